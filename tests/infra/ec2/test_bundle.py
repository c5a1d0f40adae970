"""The bundle: the same bytes for the same files, built once, complete when builders race, and fetched as it was put."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.ec2.bootstrap import Store, fetch
from infra.ec2.bundle import ensure_bundle
from infra.ec2.certificates import make_certificates, remove_certificates
from infra.ec2.environment import GLIBC, Part, _portable, archive, environment
from infra.ec2.layout import Layout, instance_of
from infra.ec2.run import prepare_run
from infra.ec2.supervisor import Limits
from protocol.errors import ConfigError

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")
LAYOUT = Layout("bucket", "below")
ROOTS = ("platformdirs", "psutil")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str) -> Iterator[Any]:
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    client.create_bucket(Bucket=LAYOUT.bucket)
    yield client
    for entry in client.list_objects_v2(Bucket=LAYOUT.bucket).get("Contents", ()):
        client.delete_object(Bucket=LAYOUT.bucket, Key=entry["Key"])
    client.delete_bucket(Bucket=LAYOUT.bucket)
    client.close()


def made(folder: Path, name: str, content: str) -> Part:
    file = folder / f"{name}.py"
    file.write_text(content)
    return Part(name, "1", ((f"{name}/__init__.py", file),), hashlib.sha256(content.encode()).hexdigest())


def keys(s3: Any) -> dict[str, str]:
    return {entry["Key"]: entry["ETag"] for entry in s3.list_objects_v2(Bucket=LAYOUT.bucket).get("Contents", ())}


def test_it_is_built_once_and_a_change_builds_what_changed(s3: Any, tmp_path: Path) -> None:
    parts = [made(tmp_path, name, f"NAME = {name!r}\n") for name in ("one", "two", "three")]
    first = ensure_bundle(s3, LAYOUT, parts)
    before = keys(s3)
    again = ensure_bundle(s3, LAYOUT, parts)
    assert (first.built, again.built, again.manifest) == (3, 0, first.manifest)
    assert keys(s3) == before
    changed = ensure_bundle(s3, LAYOUT, [*parts[:2], made(tmp_path, "three", "NAME = 3\n")])
    assert changed.built == 1
    assert changed.manifest != first.manifest
    assert before.items() <= keys(s3).items()


def test_builders_that_race_end_with_the_same_objects(s3: Any, tmp_path: Path) -> None:
    parts = [made(tmp_path, f"part{k}", f"K = {k}\n" * 1000) for k in range(6)]
    with ThreadPoolExecutor(4) as pool:
        bundles = list(pool.map(lambda _: ensure_bundle(s3, LAYOUT, parts), range(4)))
    assert len({one.manifest for one in bundles}) == 1
    assert len([key for key in keys(s3) if key.startswith(LAYOUT.objects)]) == 6 + 1


def test_what_was_lost_is_built_again(s3: Any, tmp_path: Path) -> None:
    parts = [made(tmp_path, name, f"NAME = {name!r}\n") for name in ("one", "two")]
    first = ensure_bundle(s3, LAYOUT, parts)
    before = keys(s3)
    lost = hashlib.sha256(archive(parts[0])).hexdigest()
    s3.delete_object(Bucket=LAYOUT.bucket, Key=LAYOUT.object(lost))
    again = ensure_bundle(s3, LAYOUT, parts)
    assert (again.built, again.manifest, keys(s3)) == (1, first.manifest, before)


def test_an_archive_is_a_function_of_its_files(tmp_path: Path) -> None:
    part = made(tmp_path, "one", "def f():\n    return 1\n")
    first = archive(part)
    os.utime(part.files[0][1], (1, 1))
    assert archive(part) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as packed:
        assert [(m.uid, m.gid, m.mtime, m.uname) for m in packed] == [(0, 0, 0, "")] * 2
        packed.extractall(tmp_path / "out", filter="data")
    source = tmp_path / "out" / "one" / "__init__.py"
    source.write_text("def f():\n    return 2\n")  # bytecode is taken as it is
    code = "import one; print(one.f(), one.__cached__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("1 ")


def test_the_environment_is_what_is_installed_here_and_runs_elsewhere(s3: Any, endpoint: str, tmp_path: Path) -> None:
    parts = environment(ROOTS)
    assert {part.name: part.version for part in parts} == {
        name: importlib.metadata.version(name) for name in ("longtail", *ROOTS)
    }
    assert environment(ROOTS) == parts
    made_bundle = ensure_bundle(s3, LAYOUT, parts)
    certificates = LAYOUT.worker("one")
    for name in ("ca.pem", "worker.pem", "worker.key"):
        s3.put_object(Bucket=LAYOUT.bucket, Key=certificates + name, Body=name.encode())
    config = {
        "certificates": certificates,
        "ca_sha256": hashlib.sha256(b"ca.pem").hexdigest(),
        "objects": LAYOUT.objects,
        "manifest": made_bundle.manifest,
    }
    store = Store(endpoint, LAYOUT.bucket, "us-east-1", {"AccessKeyId": "k", "SecretAccessKey": "s", "Token": "t"})
    assert fetch(config, tmp_path, store) == made_bundle.size
    assert (tmp_path / "tls" / "worker.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    code = (
        "import json, sys, psutil, infra.forkclient, miner.engine; from importlib.metadata import version; "
        "print(json.dumps([psutil.__file__, infra.forkclient.__file__, version('longtail')]))"
    )
    done = subprocess.run(
        [Path(sys.base_prefix) / "bin" / "python3", "-P", "-c", code.replace(", miner.engine", "")],
        env={"PYTHONPATH": str(tmp_path / "site"), "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    *files, version = json.loads(done.stdout)
    assert all(file.startswith(str(tmp_path)) for file in files)
    assert version == importlib.metadata.version("longtail")


def test_all_that_longtail_requires_is_portable_and_in_it() -> None:
    names = {part.name for part in environment()}
    assert {"longtail", "distributed", "scikit-learn", "lightgbm", "tpot", "pyarrow", "boto3"} <= names
    assert not {"ccxt", "moto", "pytest", "ruff", "mypy"} & names


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("any", True),
        ("manylinux2014_{machine}", True),
        ("manylinux_2_28_{machine}", True),
        (f"manylinux_{GLIBC[0]}_{GLIBC[1] + 1}_{{machine}}", False),
        ("linux_{machine}", False),
        ("musllinux_1_2_{machine}", False),
        ("manylinux2014_s390x", False),
        ("macosx_11_0_arm64", False),
    ],
)
def test_what_instances_run(tag: str, fits: bool) -> None:
    assert _portable(tag.format(machine=os.uname().machine)) is fits


def test_what_was_compiled_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(importlib.metadata.distribution("psutil"))  # of the standard library or of its backport
    read = kind.read_text

    def local(self: importlib.metadata.Distribution, name: str) -> str | None:
        return "Tag: cp311-cp311-linux_x86_64\n" if name == "WHEEL" else read(self, name)

    monkeypatch.setattr(kind, "read_text", local)
    with pytest.raises(ConfigError, match=r"psutil .* is installed for linux_x86_64, which instances .* do not run"):
        environment(["psutil"])


def test_layout() -> None:
    reads, lists = LAYOUT.role_policy("one")["Statement"]
    assert (reads["Action"], lists["Action"]) == ("s3:GetObject", "s3:ListBucket")
    assert reads["Resource"] == [
        "arn:aws:s3:::bucket/below/objects/*",
        "arn:aws:s3:::bucket/below/runs/one/worker/*",
        "arn:aws:s3:::bucket/below/datasets/*",
    ]
    assert lists["Resource"] == "arn:aws:s3:::bucket"
    reads, lists = LAYOUT.role_policy("*", "s3://series/us/daily?until=2020-01-01", "aws-cn")["Statement"]
    assert reads["Resource"][1:] == [
        "arn:aws-cn:s3:::bucket/below/runs/*/worker/*",
        "arn:aws-cn:s3:::series/us/daily/*",
    ]
    assert lists["Resource"] == "arn:aws-cn:s3:::series"
    assert Layout("bucket", "").objects == "objects/"
    for name in ("", "../other", "a/b", "A", "*x"):
        with pytest.raises(ValueError, match="is no name"):
            LAYOUT.worker(name)
    names = ("i-0abc", "i-0abc-12", 3, "tls://h:1", "i-0abc-x")
    assert [instance_of(name) for name in names] == [
        "i-0abc",
        "i-0abc",
        None,
        None,
        None,
    ]


def test_certificates_go_where_the_role_reads_them_and_go_again(s3: Any) -> None:
    certificates = make_certificates("one", dt.datetime.now(dt.UTC), dt.timedelta(hours=1))
    prefix = certificates.upload(s3, LAYOUT, "one")
    statement, _ = LAYOUT.role_policy("one")["Statement"]
    assert statement["Resource"][1] == f"arn:aws:s3:::bucket/{prefix}*"
    assert sorted(keys(s3)) == [f"{prefix}{name}" for name in ("ca.pem", "worker.key", "worker.pem")]
    stored = [s3.get_object(Bucket=LAYOUT.bucket, Key=key) for key in keys(s3)]
    assert {one["ServerSideEncryption"] for one in stored} == {"AES256"}
    assert certificates.scheduler_key not in [one["Body"].read() for one in stored]
    for _ in range(2):
        remove_certificates(s3, LAYOUT, "one")
        assert not keys(s3)


def test_a_prepared_run_says_where_its_things_are(s3: Any, endpoint: str, tmp_path: Path) -> None:
    prepared = prepare_run(
        s3,
        LAYOUT,
        "one",
        Limits(lost_s=300, idle_s=600, lifetime_s=3600),
        now=dt.datetime.now(dt.UTC),
        valid_for=dt.timedelta(hours=1),
        parts=[made(tmp_path, "one", "NAME = 1\n")],
    )
    script = prepared.user_data("tls://10.0.0.1:8786").decode()
    (line,) = [line for line in script.splitlines() if line.startswith('{"')]
    config = json.loads(line)
    assert (config["endpoint"], config["region"], config["lifetime_s"]) == (endpoint, "us-east-1", 3600)
    there = {
        key for key in keys(s3) if key.startswith((config["certificates"], config["objects"] + config["manifest"]))
    }
    assert len(there) == 4
    statement, _ = prepared.policy["Statement"]
    readable = [
        resource.removeprefix(f"arn:aws:s3:::{LAYOUT.bucket}/").rstrip("*") for resource in statement["Resource"]
    ]
    assert all(key.startswith(tuple(readable)) for key in there)
    assert prepared.security.require_encryption is True
    ca = s3.get_object(Bucket=LAYOUT.bucket, Key=config["certificates"] + "ca.pem")["Body"].read()
    assert config["ca_sha256"] == hashlib.sha256(ca).hexdigest()
    assert prepared.security.tls_ca_file == ca.decode()
