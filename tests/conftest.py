"""What all tests share: property tests are not judged by the clock of a busy machine, leave nothing behind, and try the
same cases in every run, and end; a simulated S3."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from benchmarks.loopback_s3 import ENVIRONMENT, LoopbackS3, loopback_s3

settings.register_profile("unhurried", deadline=None, database=None, derandomize=True)
settings.load_profile("unhurried")

RECURSION_LIMIT = sys.getrecursionlimit()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the slow tests an hour; the others have what pyproject.toml says."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(autouse=True)
def recursion_limit() -> None:
    """Undo what py-evm and py_ecc do at import: at their limits a deeply nested text overflows the C stack of ``json``."""
    sys.setrecursionlimit(RECURSION_LIMIT)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[LoopbackS3]:
    """Return a simulated S3 for all tests that want one."""
    pytest.importorskip("moto.server")
    with loopback_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: LoopbackS3, monkeypatch: pytest.MonkeyPatch) -> LoopbackS3:
    """Return it empty, sound, and as what AWS variables name."""
    from moto.backends import get_backend

    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_server.url}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for account in get_backend("s3").values():
        for backend in account.values():
            backend.reset()
    s3_server.losing, s3_server.refusing = [], False
    s3_server.reset()
    return s3_server


@pytest.fixture
def bucket(s3: LoopbackS3) -> str:
    """Return the address of a bucket that is there and empty."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="made-bucket")
    client.close()
    s3.reset()
    return "s3://made-bucket"
