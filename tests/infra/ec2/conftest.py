"""A simulated AWS on loopback behind a proxy that fails on demand; every test begins with an empty account."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from faulty_proxy import FaultyProxy
from haste import HASTE

from infra.ec2.client import Aws


@pytest.fixture(scope="session")
def simulated_aws() -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def proxy(simulated_aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with contextlib.closing(http.client.HTTPConnection(urlsplit(simulated_aws).netloc)) as connection:
        connection.request("POST", "/moto-api/reset")
        assert connection.getresponse().status == 200
    proxy = FaultyProxy(simulated_aws)
    for name, value in {
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
    yield proxy
    proxy.close()


@pytest.fixture
def aws(proxy: FaultyProxy) -> Aws:
    return Aws("us-east-1", HASTE)
