"""Certificates of a run: two parts know each other, strangers and expired ones stay out, keys stay hidden."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from distributed import Client, Scheduler, Worker

from infra.ec2.certificates import Certificates, make_certificates, worker_security

NOW = dt.datetime.now(dt.UTC)


def made(now: dt.datetime = NOW) -> Certificates:
    return make_certificates("one", now, dt.timedelta(hours=2))


async def works(scheduler: Certificates, worker: Path) -> int:
    """Start a scheduler and a worker on loopback and run one task."""
    security = scheduler.scheduler_security()
    async with (
        Scheduler(protocol="tls", host="127.0.0.1", port=0, dashboard=False, security=security) as there,
        Worker(
            there.address,
            host="127.0.0.1",
            nthreads=1,
            security=worker_security(worker),
            death_timeout=3,
            dashboard=False,
            local_directory=str(worker),
        ),
        Client(there.address, asynchronous=True, security=security) as client,
    ):
        return int(await client.submit(lambda: 42))


def test_a_scheduler_and_a_worker_of_the_run_know_each_other(tmp_path: Path) -> None:
    certificates = made()
    certificates.write_worker(tmp_path)
    assert asyncio.run(works(certificates, tmp_path)) == 42
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("*.*")} == {
        "ca.pem": 0o600,
        "worker.pem": 0o600,
        "worker.key": 0o600,
    }


@pytest.mark.filterwarnings("ignore")  # Dask leaves a connection behind when its start fails
@pytest.mark.parametrize("whose", ["of another run", "expired"])
def test_a_stranger_stays_out(whose: str, tmp_path: Path) -> None:
    certificates = made()
    other = made() if whose == "of another run" else made(NOW - dt.timedelta(days=1))
    other.write_worker(tmp_path)
    (tmp_path / "ca.pem").write_bytes(certificates.ca)
    with pytest.raises(Exception, match=r"start|Timed out|timed out|connect"):
        asyncio.run(works(certificates if whose == "of another run" else other, tmp_path))


def test_keys_do_not_show_and_differ() -> None:
    certificates = made()
    shown = repr(certificates)
    for key in (certificates.worker_key, certificates.scheduler_key):
        assert key.startswith(b"-----BEGIN PRIVATE KEY-----")
        assert key.decode().splitlines()[1] not in shown
    assert certificates.worker_key != certificates.scheduler_key
    assert certificates.ca_sha256 != made().ca_sha256


def test_a_certificate_of_the_run_is_no_authority() -> None:
    from cryptography import x509

    certificates = made()
    for pem in (certificates.scheduler, certificates.worker):
        certificate = x509.load_pem_x509_certificate(pem)
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
        assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc <= NOW + dt.timedelta(hours=2)
