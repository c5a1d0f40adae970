"""What workers run, in S3: content-addressed archives, a manifest that names them, a pointer from a version to its manifest.

Everything is put only where nothing is: it is built once per version and lock, whoever is late uploads nothing, and builders
that race end with the same objects. A new version of longtail under the same lock uploads longtail alone. Only the
interpreter comes from the instance: it needs the coordinator's minor version of Python.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from infra.ec2.environment import Part, archive
from infra.ec2.layout import Layout
from infra.objects import Objects

#: Counts changes of what an archive holds.
FORMAT = 1
#: Archives built and sent at once.
BUILDERS = 4


@dataclass(frozen=True, slots=True)
class Bundle:
    """What an instance has to know to fetch it.

    Attributes
    ----------
    manifest : str
        sha256 of the manifest, which is the object of that name.
    python : str
        Minor version of the interpreter, such as ``3.11``.
    machine : str
        Processor, such as ``x86_64``.
    size : int
        Bytes of all archives.
    built : int
        Archives that were built now; 0 if all were there.
    """

    manifest: str
    python: str
    machine: str
    size: int
    built: int


def fingerprint(parts: Sequence[Part]) -> str:
    """Return the digest of version and lock: of the parts, the interpreter and the processor they are for."""
    described = [FORMAT, sys.version_info[:2], platform.machine(), [part.fingerprint for part in parts]]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def ensure_bundle(
    s3: Any, layout: Layout, parts: Sequence[Part], say: Callable[[str], None] = lambda text: None
) -> Bundle:
    """Put the bundle where it is not yet; as many processes as like may do this at once.

    Parameters
    ----------
    s3 : boto3 client
    layout : Layout
    parts : sequence of Part
        See :func:`infra.ec2.environment.environment`.
    say : callable
        Told how far it is.

    Raises
    ------
    ClusterError
        The bucket refuses an object again and again.
    ConfigError
        A file cannot be read.
    """
    there, place = _objects(s3, layout), Objects(f"s3://{layout.bucket}", s3)
    pointer = _read(place, layout.bundle(fingerprint(parts)))
    if pointer is not None and {pointer["manifest"], *pointer["objects"]} <= there:
        return _bundle(pointer, built=0)

    def build(part: Part) -> tuple[dict[str, Any], bool]:
        known = _read(place, layout.key("parts", f"{_key_of(part)}.json"))
        if known is not None and known["sha256"] in there:
            return known, False
        content = archive(part)
        sha256 = hashlib.sha256(content).hexdigest()
        about = {
            "name": part.name,
            "version": part.version,
            "sha256": sha256,
            "size": len(content),
        }
        place.create(layout.object(sha256), content)
        _put_json(s3, layout.bucket, layout.key("parts", f"{_key_of(part)}.json"), about)
        return about, True

    done = []
    with ThreadPoolExecutor(BUILDERS) as pool:
        for one in pool.map(build, parts):
            done.append(one)
            say(f"the environment of instances: {len(done)} of {len(parts)} parts are in s3://{layout.bucket}")
    objects = [about for about, _ in done]
    manifest = json.dumps({"format": FORMAT, "objects": objects}, sort_keys=True, indent=1).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    place.create(layout.object(digest), manifest)
    pointer = {
        "manifest": digest,
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "machine": platform.machine(),
        "objects": [about["sha256"] for about in objects],
        "size": sum(about["size"] for about in objects),
    }
    _put_json(s3, layout.bucket, layout.bundle(fingerprint(parts)), pointer)
    return _bundle(pointer, built=sum(new for _, new in done))


def _key_of(part: Part) -> str:
    return fingerprint([part])


def _bundle(pointer: dict[str, Any], built: int) -> Bundle:
    return Bundle(pointer["manifest"], pointer["python"], pointer["machine"], pointer["size"], built)


def _objects(s3: Any, layout: Layout) -> set[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=layout.bucket, Prefix=layout.objects)
    return {entry["Key"].removeprefix(layout.objects) for page in pages for entry in page.get("Contents", ())}


def _read(place: Objects, key: str) -> dict[str, Any] | None:
    found = place.get(key)
    return dict(json.loads(found[0])) if found else None


def _put_json(s3: Any, bucket: str, key: str, content: dict[str, Any]) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(content, sort_keys=True).encode())
