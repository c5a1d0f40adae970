"""A simulated AWS on loopback behind a proxy that fails on demand; every test begins with an empty account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy
from haste import HASTE

from infra.ec2.client import Aws

HERE = Path(__file__).parent
#: Of rules and texts; the others start servers, schedulers and processes, and are run with the slow tests.
QUICK = {
    "test_ec2_cost",
    "test_ec2_offer",
    "test_ec2_policy",
    "test_ec2_reconcile",
    "test_fleet_settings",
    "test_userdata",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE and item.path.stem not in QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def simulated_aws() -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def empty_account() -> None:
    """Forget what tests made. The simulation's own reset takes seconds: it reads all of IAM's managed policies again."""
    from moto.backends import get_backend

    for regions in get_backend("ec2").values():
        for region in regions.values():
            region.reset()
    for account in get_backend("iam").values():
        for backend in account.values():
            backend.roles.clear()
            backend.instance_profiles.clear()


@pytest.fixture(scope="session")
def proxy_server(simulated_aws: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(simulated_aws)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(proxy_server: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    empty_account()
    proxy_server.reset()
    environment(monkeypatch, proxy_server)
    return proxy_server


def environment(monkeypatch: pytest.MonkeyPatch, proxy: FaultyProxy) -> None:
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


@pytest.fixture(scope="session")
def client(proxy_server: FaultyProxy) -> Aws:
    """AWS for all tests: making clients takes longer than most of them."""
    with pytest.MonkeyPatch.context() as patch:
        environment(patch, proxy_server)
        client = Aws("us-east-1", HASTE)
        for service in ("ec2", "iam", "ssm", "pricing"):
            client._client(service, "us-east-1")
        return client


@pytest.fixture
def aws(client: Aws, proxy: FaultyProxy) -> Aws:
    return client
