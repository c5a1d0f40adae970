"""The network's time: that on the wall, or that of a simulation, which a file tells.

Whoever drives a simulation writes the file; ledgers, miners, validators and the page of that network all read it, so that
windows, ages and days pass for all of them alike. What takes real time (patience with a peer, pauses) stays on the wall.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from infra.files import atomic_write
from infra.settings import Settings
from protocol.errors import ConfigError
from protocol.head.schedule import MAX_TIME

Time = Callable[[], float]


def clock_file(settings: Settings) -> Path | None:
    """Return the file of the settings that tells the time; None: the wall does."""
    return Path(settings.clock).expanduser().absolute() if settings.clock else None


def network_time(settings: Settings) -> Time:
    """Return what tells the network's time, Unix seconds, whenever it is called.

    Raises
    ------
    ConfigError
        The file of the settings cannot be read, or holds no time; also from the calls.
    """
    path = clock_file(settings)
    if path is None:
        return time.time
    read_time(path)
    return lambda: read_time(path)


def read_time(path: Path) -> int:
    """Return the Unix seconds in a file.

    Raises
    ------
    ConfigError
        It cannot be read, or holds no time.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"clock {path} cannot be read: {error}; whoever drives the simulation writes it") from error
    if not text.isdecimal() or int(text) > MAX_TIME:
        raise ConfigError(f"clock {path} says {text[:40]!r}; it must hold whole Unix seconds")
    return int(text)


def write_time(path: Path, moment: int) -> None:
    """Let the file tell a time, Unix seconds."""
    atomic_write(path, b"%d\n" % moment)
