"""What supervisor and workers of one instance tell each other: small files, with times of the machine's monotonic clock."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

CONNECTED, BUSY = "connected", "busy"


class State:
    """A folder that all processes of an instance share; each file is replaced whole.

    Parameters
    ----------
    folder : Path
        Created if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def mark(self, name: str) -> None:
        """Note that something is so now."""
        self._write(name, time.monotonic())

    def marked(self, name: str) -> float | None:
        """Return when something was last so, monotonic seconds; None if never."""
        when = self._read(name)
        return float(when) if isinstance(when, int | float) else None

    def ask_to_drain(self, why: str, within_s: float) -> None:
        """Ask the workers to leave within some seconds."""
        self._write("drain", [why, time.monotonic() + within_s])

    def drain(self) -> tuple[str, float] | None:
        """Return why the workers shall leave and within how many seconds; None if they may stay."""
        asked = self._read("drain")
        return (str(asked[0]), float(asked[1]) - time.monotonic()) if isinstance(asked, list) else None

    def ended(self, why: str) -> None:
        """Note that a worker left for a reason that ends the instance."""
        self._write("ended", why)

    def why_ended(self) -> str | None:
        """Return the reason of :meth:`ended`; None if no worker left for one."""
        why = self._read("ended")
        return why if isinstance(why, str) else None

    def _write(self, name: str, content: object) -> None:
        # Not synced: it describes processes that do not survive the machine.
        temporary = self.folder / f".{name}-{time.monotonic_ns()}"
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(self.folder / name)

    def _read(self, name: str) -> object:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        return None
