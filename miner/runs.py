"""The runs of a home: one folder each, or a link to the folder that the user chose."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.home import find_home, make_folder
from miner.journal import FILE_NAME, Journal
from protocol.errors import ConfigError


def new_run_name() -> str:
    """Return a fresh name that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def find_run(name: str) -> Path:
    """Return the folder of a run by its name in the home or by its path.

    Raises
    ------
    ConfigError
        There is no such run.
    """
    for folder in (find_home().runs / name, Path(name).absolute()):
        if (folder / FILE_NAME).is_file():
            return folder
    raise ConfigError(f"no run {name!r}; `ltminer runs` lists them, or give the folder of one")


def name_of_run(folder: Path) -> str:
    """Return the name by which `ltminer runs` lists a run, the folder's own if it is not listed."""
    runs = find_home().runs
    links = sorted(link.name for link in runs.glob("*") if link.is_symlink() and link.resolve() == folder.resolve())
    return folder.name if folder.parent == runs or not links else links[0]


def list_runs() -> list[dict[str, Any]]:
    """Return a summary of every run of the home, oldest first; journals that cannot be read say why."""
    found: list[dict[str, Any]] = []
    folders: Sequence[Path] = sorted(find_home().runs.glob("*")) if find_home().runs.is_dir() else []
    for folder in folders:
        if not (folder / FILE_NAME).exists():
            continue  # the user deleted what the link names, or the cluster never answered
        entry = {"run": folder.name, "folder": str(folder.resolve())}
        try:
            with closing(Journal.open(folder)) as journal:
                found.append({**entry, **journal.summary()})
        except ConfigError as error:
            found.append({**entry, "error": str(error)})
    return found


def link_run(folder: Path) -> None:
    """Let `ltminer runs` find a run whose folder the user chose.

    Raises
    ------
    ConfigError
        The home cannot be written.
    """
    runs = find_home().runs
    if folder.parent == runs:
        return
    link = make_folder(runs) / new_run_name()
    try:
        link.symlink_to(folder, target_is_directory=True)
    except OSError as error:
        raise ConfigError(f"link {link}: {error.strerror}; set LONGTAIL_HOME to a writable folder") from error
