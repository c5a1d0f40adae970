"""The coordinator's own environment, distribution by distribution, as files that run on another machine.

Taken from what is installed here, so a worker has bit for bit what the coordinator has, without an index, a resolver or a
compiler. Only what is portable is accepted: pure Python, or wheels for a glibc as old as the one of the instances.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import importlib.util
import io
import marshal
import platform
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from protocol.errors import ConfigError

#: Packages of longtail that a worker imports; the layers see to it that they import no other.
PACKAGES = ("protocol", "infra", "data", "pipelines", "miner")
#: Requirements of longtail that no evaluation imports.
COORDINATOR_ONLY = frozenset({"ccxt"})
#: PEP 552: bytecode that is named by a hash of its source, and not compared with it.
HASH_UNCHECKED = (1).to_bytes(4, "little")
#: Of the oldest image that instances boot, Amazon Linux 2023.
GLIBC = (2, 34)
_TAG = re.compile(r"^Tag: \S+-(\S+)$", re.MULTILINE)
_MANYLINUX = re.compile(r"manylinux(?:_(\d+)_(\d+)|(1|2010|2014))_(\w+)\Z")
_OLD_MANYLINUX = {"1": (2, 5), "2010": (2, 12), "2014": (2, 17)}
_LEFT_OUT = frozenset({"__pycache__", "tests"})
#: Say how a distribution was installed, not what it is.
_UNSTABLE = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


@dataclass(frozen=True, slots=True)
class Part:
    """One distribution.

    Attributes
    ----------
    name, version : str
    files : tuple of (str, Path)
        Name below the folder it is unpacked to, and file, sorted.
    fingerprint : str
        sha256 of names, sizes and what the installer recorded of the content; of the content itself for longtail.
    """

    name: str
    version: str
    files: tuple[tuple[str, Path], ...]
    fingerprint: str


def environment(roots: Iterable[str] | None = None, packages: Iterable[str] = PACKAGES) -> list[Part]:
    """Return longtail and every distribution that a worker needs, by name.

    Parameters
    ----------
    roots : iterable of str, optional
        Distributions to start from; by default all that longtail requires, with its extra `s3`, but :data:`COORDINATOR_ONLY`.
    packages : iterable of str
        Packages of longtail.

    Raises
    ------
    ConfigError
        Something is not installed as a portable wheel.
    """
    own = importlib.metadata.distribution("longtail")
    if roots is None:
        roots = [name for name, _ in _required(own, ("", "s3")) if name not in COORDINATOR_ONLY]
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(_canonical(name), ("",)) for name in roots]
    while waiting:
        name, extras = waiting.pop()
        if name in found or name == "longtail":
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # left out of the lock on purpose; the coordinator does without it too
        waiting += _required(found[name], extras)
    parts = [_installed(name, distribution) for name, distribution in sorted(found.items())]
    return [_own(own, packages), *parts]


def archive(part: Part) -> bytes:
    """Return a part as .tar.gz: the same bytes for the same files, owners and times left out, bytecode beside its source."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0, filename="") as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, file in part.files:
            content = file.read_bytes()
            _add(tar, name, content, 0o755 if file.stat().st_mode & 0o100 else 0o644)
            if name.endswith(".py"):
                compiled = _compiled(name, content)
                if compiled is not None:
                    _add(tar, *compiled, 0o644)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _compiled(name: str, source: bytes) -> tuple[str, bytes] | None:
    """Return name and content of a module's bytecode, never checked against its source: nobody edits an instance."""
    try:
        code = compile(source, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None  # a template, or for another Python
    path = PurePosixPath(name)
    target = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
    header = importlib.util.MAGIC_NUMBER + HASH_UNCHECKED + importlib.util.source_hash(source)
    return str(target), header + marshal.dumps(code)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _required(
    distribution: importlib.metadata.Distribution, extras: Iterable[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    from packaging.requirements import Requirement

    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield _canonical(requirement.name), ("", *requirement.extras)


def _installed(name: str, distribution: importlib.metadata.Distribution) -> Part:
    _check_portable(name, distribution)
    files = []
    digest = hashlib.sha256(f"{name}=={distribution.version}".encode())
    for file in sorted(distribution.files or (), key=str):
        path = PurePosixPath(file)
        if ".." in path.parts or _LEFT_OUT & set(path.parts) or path.suffix == ".pyc" or path.name in _UNSTABLE:
            continue  # scripts lie outside, tests are nobody's import
        located = Path(str(distribution.locate_file(file)))
        if located.is_file():
            files.append((str(path), located))
            digest.update(f"\n{path} {located.stat().st_size} {file.hash.value if file.hash else ''}".encode())
    if not files:
        raise ConfigError(f"{name} {distribution.version} does not list its files; install it from a wheel")
    return Part(name, distribution.version, tuple(files), digest.hexdigest())


def _check_portable(name: str, distribution: importlib.metadata.Distribution) -> None:
    tags = _TAG.findall(distribution.read_text("WHEEL") or "")
    if not any(_portable(platform_tag) for tag in tags for platform_tag in tag.split("-")[-1].split(".")):
        raise ConfigError(
            f"{name} {distribution.version} is installed for {', '.join(tags) or 'an unknown platform'}, which instances "
            f"with {platform.machine()} and glibc {GLIBC[0]}.{GLIBC[1]} do not run; install it from a wheel, on Linux"
        )


def _portable(tag: str) -> bool:
    if tag == "any":
        return True
    match = _MANYLINUX.match(tag)
    if match is None or match[4] != platform.machine():
        return False
    return (_OLD_MANYLINUX[match[3]] if match[3] else (int(match[1]), int(match[2]))) <= GLIBC


def _own(distribution: importlib.metadata.Distribution, packages: Iterable[str]) -> Part:
    root = Path(__file__).parents[2]
    files = sorted(
        (path.relative_to(root).as_posix(), path)
        for package in packages
        for path in (root / package).rglob("*")
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(root).parts)
    )
    about = next(
        Path(str(distribution.locate_file(file))) for file in distribution.files or () if file.name == "METADATA"
    )
    files.append((f"{about.parent.name}/METADATA", about))
    digest = hashlib.sha256(f"longtail=={distribution.version}".encode())
    for name, path in files:
        digest.update(f"\n{name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return Part("longtail", distribution.version, tuple(files), digest.hexdigest())
