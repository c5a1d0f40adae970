"""Which files a jailed Python needs: the code of the interpreter and its packages, and nothing that anybody wrote by hand.

Folders of code are named one by one, so that a home folder, a checkout or a working folder that happens to be on the import
path brings in its packages and not the keys and data that lie beside them.
"""

from __future__ import annotations

import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

#: Programs are not among them. Of /etc only what finds a shared library; /nix/store is public by definition.
SYSTEM: Final = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/lib", "/lib64", "/nix/store"),
    *("/usr/share/zoneinfo", "/etc/ld.so.cache", "/dev/null", "/dev/urandom"),
)
#: Packages of this project, which may be installed where they are edited.
OWN: Final = ("protocol", "data", "infra", "pipelines", "validator")
_MAX_LINKS = 40  # as the kernel: MAXSYMLINKS


class Layout(NamedTuple):
    """Paths without symbolic links in them, and the links that lead there: where each lies and what it says."""

    paths: tuple[Path, ...]
    links: dict[Path, str]


def readable(extra: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the files and folders that a jailed child of this very interpreter may read; all exist, none lies below another.

    Parameters
    ----------
    extra : further folders of code
    """
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    libraries = (f"{prefix}/{name}" for prefix in prefixes for name in ("lib", "lib64"))
    paths = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    named = map(Path, (*SYSTEM, *libraries, *paths, *_site_folders(), *_own_packages(), *extra))
    return tuple(map(str, outermost(path.resolve() if ".." in path.parts else path.absolute() for path in named)))


def outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the paths that exist, sorted, without those that lie below another one."""
    kept: list[Path] = []
    for path in sorted({path for path in paths if path.exists()}):
        if not kept or not path.is_relative_to(kept[-1]):
            kept.append(path)
    return tuple(kept)


def layout(paths: Sequence[str]) -> Layout:
    """Follow every symbolic link on the way to the absolute `paths`, so that they can be laid out again under another root.

    Raises
    ------
    OSError
        A chain of links does not end.
    """
    links: dict[Path, str] = {}
    real = [_resolve(Path(path), links) for path in paths]
    return Layout(outermost(real), links)


def _resolve(path: Path, links: dict[Path, str]) -> Path:
    here, waiting, followed = Path("/"), list(path.parts[:0:-1]), 0
    while waiting:
        part = waiting.pop()
        step = here.parent if part == ".." else here / part
        try:
            target = step.readlink()
        except OSError:  # no link
            here = step
            continue
        followed += 1
        if followed > _MAX_LINKS:
            raise OSError(0, f"{path} does not end in a file: too many symbolic links")
        links[step] = str(target)
        here = Path("/") if target.is_absolute() else here
        waiting += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return here


def _site_folders() -> Iterator[str]:
    yield from site.getsitepackages()
    if site.ENABLE_USER_SITE:
        yield site.getusersitepackages()


def _own_packages() -> Iterator[str]:
    for name in OWN:
        spec = importlib.util.find_spec(name)
        yield from (spec and spec.submodule_search_locations) or ()
