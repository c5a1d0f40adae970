"""The certificates of one run: an authority that nobody keeps, one certificate for the scheduler, one for the workers.

The authority's key signs twice and is dropped, so nothing that is stored or sent can issue a third certificate. The
scheduler's key stays on the coordinator; the workers' lies in the bucket, where only their role reads it, and neither passes
through user-data or a log. Dask does not compare names, so whoever has either certificate of the run is part of it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.files import atomic_write
from infra.scheduler import dask

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from infra.ec2.layout import Layout

#: Names below a run's worker prefix, and in a folder.
CA, CERTIFICATE, KEY = "ca.pem", "worker.pem", "worker.key"
#: A worker's clock may be behind before it is set.
SKEW = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM texts of one run; the keys do not show in ``repr``.

    Attributes
    ----------
    ca : bytes
        Certificate of the authority.
    scheduler, scheduler_key : bytes
        Of the scheduler and of clients beside it.
    worker, worker_key : bytes
        Of every worker.
    """

    ca: bytes
    scheduler: bytes
    worker: bytes
    scheduler_key: bytes = field(repr=False)
    worker_key: bytes = field(repr=False)

    @property
    def ca_sha256(self) -> str:
        """Digest of the authority's certificate, by which an instance knows it."""
        return hashlib.sha256(self.ca).hexdigest()

    def scheduler_security(self) -> Any:
        """Return the ``distributed.Security`` of the scheduler and its clients: TLS 1.3 or nothing, keys in memory."""
        return _security(
            tls_ca_file=self.ca.decode(),
            tls_scheduler_cert=self.scheduler.decode(),
            tls_scheduler_key=self.scheduler_key.decode(),
            tls_client_cert=self.scheduler.decode(),
            tls_client_key=self.scheduler_key.decode(),
        )

    def write_worker(self, folder: Path) -> None:
        """Write what a worker needs, readable by its owner only.

        Raises
        ------
        ConfigError
            The folder cannot be written.
        """
        for name, content in self._of_worker().items():
            atomic_write(folder / name, content, mode=0o600)

    def upload(self, s3: Any, layout: Layout, run: str) -> str:
        """Put what a worker needs where the run's role may read it, encrypted at rest.

        Parameters
        ----------
        s3 : boto3 client
        layout : Layout
        run : str

        Returns
        -------
        str
            Key prefix of the three objects, with a slash at its end.
        """
        prefix = layout.worker(run)
        for name, content in self._of_worker().items():
            s3.put_object(Bucket=layout.bucket, Key=prefix + name, Body=content, ServerSideEncryption="AES256")
        return prefix

    def _of_worker(self) -> dict[str, bytes]:
        return {CA: self.ca, CERTIFICATE: self.worker, KEY: self.worker_key}


def remove_certificates(s3: Any, layout: Layout, run: str) -> None:
    """Delete a run's certificates from the bucket; done twice it does nothing."""
    prefix = layout.worker(run)
    objects = [{"Key": prefix + name} for name in (CA, CERTIFICATE, KEY)]
    s3.delete_objects(Bucket=layout.bucket, Delete={"Objects": objects, "Quiet": True})


def worker_security(folder: Path) -> Any:
    """Return the ``distributed.Security`` of a worker from the files of :meth:`Certificates.write_worker`."""
    return _security(
        tls_ca_file=str(folder / CA), tls_worker_cert=str(folder / CERTIFICATE), tls_worker_key=str(folder / KEY)
    )


def make_certificates(run: str, now: dt.datetime, valid_for: dt.timedelta) -> Certificates:
    """Make the certificates of a run.

    Parameters
    ----------
    run : str
        Shown in the subjects.
    now : datetime
        With a time zone; certificates are valid from an hour before.
    valid_for : timedelta
        How long after `now`: the longest life of the run and of its instances.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    authority = ec.generate_private_key(ec.SECP256R1())
    until = now + valid_for
    ca = _certificate(f"longtail {run}", authority, None, now, until)
    pems = [_pem(ca)]
    keys = []
    for role in ("scheduler", "worker"):
        key = ec.generate_private_key(ec.SECP256R1())
        pems.append(_pem(_certificate(f"longtail {run} {role}", key, (ca, authority), now, until)))
        keys.append(_pem_key(key))
    return Certificates(*pems, *keys)


def _certificate(
    name: str,
    key: EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, EllipticCurvePrivateKey] | None,
    now: dt.datetime,
    until: dt.datetime,
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None if issuer else 0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=issuer is not None,
                key_cert_sign=issuer is None,
                crl_sign=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if issuer:
        # Every part of a Dask cluster both listens and connects.
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key()), critical=False
        )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _pem_key(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _security(**files: str) -> Any:
    import ssl

    return dask().distributed.Security(require_encryption=True, tls_min_version=ssl.TLSVersion.TLSv1_3, **files)
