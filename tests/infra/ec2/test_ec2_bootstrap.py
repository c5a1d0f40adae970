"""What runs first on an instance: signatures as AWS makes them, IMDSv2, digests; on the Python of old images too."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fake_ec2 import _metadata_of

from infra.ec2 import bootstrap
from infra.ec2.bootstrap import Store, metadata, role_credentials, signed

KEYS = {
    "AccessKeyId": "AKIDEXAMPLE",
    "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "Token": "a+session/token==",
}


@pytest.mark.parametrize("token", [KEYS["Token"], ""])
@pytest.mark.parametrize("key", ["one", "runs/a-b/worker/ca.pem", "with%20space/%C3%A4"])
def test_the_signature_is_the_one_of_botocore(key: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth")
    awsrequest = pytest.importorskip("botocore.awsrequest")
    credentials = pytest.importorskip("botocore.credentials")
    url = f"https://s3.eu-central-1.amazonaws.com/bucket/{key}"
    ours = signed(url, "eu-central-1", {**KEYS, "Token": token}, time.gmtime())
    request = awsrequest.AWSRequest("GET", url)
    stamp = dt.datetime.strptime(ours["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: stamp)
    signer = auth.S3SigV4Auth(
        credentials.Credentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"], token or None), "s3", "eu-central-1"
    )
    signer.add_auth(request)
    assert ours["Authorization"] == request.headers["Authorization"]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    texts: dict[str, str] = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), _metadata_of({"127.0.0.1": texts})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(bootstrap, "METADATA", f"http://127.0.0.1:{server.server_port}/latest/")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a token must not go there
        yield texts
        server.shutdown()


def test_metadata(answers: dict[str, str]) -> None:
    answers["meta-data/instance-id"] = "i-0abc"
    assert metadata("meta-data/instance-id") == "i-0abc"
    assert metadata("meta-data/spot/instance-action") is None
    with pytest.raises(OSError, match="the instance has no role"):
        role_credentials()
    role = "meta-data/iam/security-credentials/"
    answers[role], answers[f"{role}worker"] = "worker", '{"AccessKeyId": "k"}'
    assert role_credentials() == {"AccessKeyId": "k"}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, list[Any]]]:
    script: list[Any] = []

    class Bucket(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            code, content, length = script.pop(0)
            self.send_response(code)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

    monkeypatch.setattr(bootstrap.time, "sleep", lambda _: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Store(f"http://127.0.0.1:{server.server_port}", "bucket", "us-east-1", KEYS), script
        server.shutdown()


def test_what_breaks_is_asked_for_again(bucket: tuple[Store, list[Any]]) -> None:
    store, script = bucket
    script += [(403, b"", 0), (503, b"SlowDown", 8), (200, b"cut o", 9), (200, b"damaged", 7), (200, b"content", 7)]
    assert store.get("key", hashlib.sha256(b"content").hexdigest()) == b"content"
    assert not script


def test_what_has_another_digest_is_refused(bucket: tuple[Store, list[Any]]) -> None:
    store, script = bucket
    script += [(200, b"other", 5)] * bootstrap.TRIES
    with pytest.raises(OSError, match=r"cannot fetch http.*/bucket/key: sha256 is .*, must be 00"):
        store.get("key", "0" * 64)
    script += [(403, b"AccessDenied", 12)] * bootstrap.TRIES
    with pytest.raises(OSError, match="HTTP 403 b'AccessDenied'"):
        store.get("key")


@pytest.mark.parametrize("python", ["python3.9", "python3.10"])
def test_it_runs_on_the_python_of_old_images(python: str) -> None:
    found = shutil.which(python)
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no {python} here")
    ours = "import runpy, sys, time; f = runpy.run_path(sys.argv[1])['signed']; "
    code = f"{ours}print(f('https://h/k', 'r', {KEYS!r}, time.gmtime(0))['Authorization'])"
    command = [found, "-c", code, bootstrap.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == signed("https://h/k", "r", KEYS, time.gmtime(0))["Authorization"]


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import runpy, sys; before = set(sys.modules); runpy.run_path(sys.argv[1]);"
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, bootstrap.__file__], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
