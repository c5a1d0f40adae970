"""What an instance runs first, on nothing but the Python of its image (3.9 or later): its text is part of user-data.

It reads the instance role's credentials from the metadata service (IMDSv2), fetches certificate and bundle from S3, refuses
what has another digest than user-data says, and unpacks. It knows no secret before it runs and writes none but the key.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import io
import json
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

METADATA = "http://169.254.169.254/latest/"
#: Downloads at once: one S3 connection gives some 80 MB/s, an instance takes more.
STREAMS = 8
TRIES = 6
#: sha256 of the body of a GET.
EMPTY = hashlib.sha256(b"").hexdigest()
_Credentials = dict[str, str]


def metadata(path: str, timeout: float = 2.0) -> str | None:
    """Return what the metadata service has at `path`, None where it has nothing.

    Raises
    ------
    OSError
        The service cannot be reached.
    """
    token = urllib.request.Request(  # noqa: S310 - a constant address
        METADATA + "api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy must never see a token
    with opener.open(token, timeout=timeout) as answer:
        headers = {"X-aws-ec2-metadata-token": answer.read().decode()}
    try:
        with opener.open(urllib.request.Request(METADATA + path, headers=headers), timeout=timeout) as answer:  # noqa: S310 - a constant address
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return None
        raise


def role_credentials() -> _Credentials:
    """Return the keys of the instance's role.

    Raises
    ------
    OSError
        The instance has no role, or the service cannot be reached.
    """
    roles = "meta-data/iam/security-credentials/"
    role = (metadata(roles) or "").strip().partition("\n")[0]
    answer = metadata(roles + role) if role else None
    if not answer:
        raise OSError("the instance has no role; its launch template must name an instance profile")
    return dict(json.loads(answer))


def signed(url: str, region: str, keys: _Credentials, now: time.struct_time) -> dict[str, str]:
    """Return the headers of a signed GET (AWS Signature Version 4 for S3).

    Parameters
    ----------
    url : str
        Path already quoted, no query.
    region : str
    keys : dict
        ``AccessKeyId``, ``SecretAccessKey``, ``Token``.
    now : time.struct_time
        UTC.
    """
    parts = urllib.parse.urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", now)
    headers = {"host": parts.netloc, "x-amz-content-sha256": EMPTY, "x-amz-date": stamp}
    if keys.get("Token"):
        headers["x-amz-security-token"] = keys["Token"]
    names = ";".join(sorted(headers))
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    request = "\n".join(["GET", parts.path, "", *lines, "", names, EMPTY])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + keys["SecretAccessKey"].encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={keys['AccessKeyId']}/{scope}"
    headers["Authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
    return headers


class Store:
    """The run's bucket, read with the role's keys.

    Parameters
    ----------
    endpoint, bucket, region : str
        The endpoint is a URL without a path.
    keys : dict
        See :func:`role_credentials`.
    """

    def __init__(self, endpoint: str, bucket: str, region: str, keys: _Credentials) -> None:
        self.base = f"{endpoint.rstrip('/')}/{bucket}/"
        self.region = region
        self.keys = keys

    def get(self, key: str, sha256: str = "") -> bytes:
        """Return an object, asked for again after any refusal: a new role is in force everywhere only after some seconds.

        Raises
        ------
        OSError
            It cannot be had, or has another digest than `sha256`.
        """
        url = self.base + urllib.parse.quote(key, safe="/-_.~")
        why: object = None
        for attempt in range(TRIES):
            if attempt:
                time.sleep(min(0.5 * 2**attempt, 10.0))
            try:
                request = urllib.request.Request(url, headers=signed(url, self.region, self.keys, time.gmtime()))  # noqa: S310 - the endpoint is ours
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the endpoint is ours
                    content = bytes(answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    why = f"HTTP {error.code} {error.read(300)!r}"
            except (OSError, http.client.HTTPException) as error:
                why = error
            else:
                if not sha256 or hashlib.sha256(content).hexdigest() == sha256:
                    return content
                why = f"sha256 is {hashlib.sha256(content).hexdigest()}, must be {sha256}"
        raise OSError(f"cannot fetch {url}: {why}")


def fetch(config: dict[str, Any], root: Path, store: Store) -> int:
    """Put certificate, key and the unpacked bundle below `root`.

    Parameters
    ----------
    config : dict
        See :class:`infra.ec2.userdata.Boot`.
    root : Path
    store : Store

    Returns
    -------
    int
        Bytes fetched.

    Raises
    ------
    OSError
        Something cannot be had, or is not what user-data says.
    """
    secrets = root / "tls"
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("ca.pem", "worker.pem", "worker.key"):
        content = store.get(config["certificates"] + name, config["ca_sha256"] if name == "ca.pem" else "")
        file = secrets / name
        file.touch(mode=0o600)
        file.write_bytes(content)
    site = root / "site"
    site.mkdir(exist_ok=True)
    manifest = json.loads(store.get(config["objects"] + config["manifest"], config["manifest"]))

    def unpack(sha256: str) -> int:
        content = store.get(config["objects"] + sha256, sha256)
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            archive.extractall(site)  # noqa: S202 - the digest says that it is ours
        return len(content)

    with ThreadPoolExecutor(STREAMS) as pool:
        return sum(pool.map(unpack, [one["sha256"] for one in manifest["objects"]]))


def main(config: dict[str, Any], root: Path) -> None:
    """Fetch everything and say how long it took."""
    began = time.monotonic()
    store = Store(config["endpoint"], config["bucket"], config["region"], role_credentials())
    size = fetch(config, root, store)
    (root / "instance-id").write_text(metadata("meta-data/instance-id") or "i-0", encoding="ascii")
    sys.stdout.write(f"longtail: {size / 1e6:.0f} MB fetched and unpacked in {time.monotonic() - began:.1f} s\n")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
