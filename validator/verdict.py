"""A verdict: an explained, replayable record of one judgement.

One JSON document in canonical form::

    {"format": "longtail-verdict", "version": "1", "hash": …, "judged": {…}, "run": {…}}

``judged`` is what every validator with the same module, data and record must find, and ``hash`` is its sha256. ``run`` is
how it came about here: timings, machine, the jail's words. Numbers in ``judged`` are rounded to six decimals.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from infra.files import atomic_write
from infra.home import find_home
from pipelines.parser import block_hash
from protocol.errors import DataError
from protocol.judgement import Outcome
from protocol.ledger.commitments import canonical
from protocol.rounding import rounded

FORMAT = "longtail-verdict"
VERSION = "1"
MAX_BYTES = 16 << 20
MODULES = "modules"  # folder beside verdicts that holds every module they speak of, by block hash

Reason = Literal["record", "screen", "generalized", "parse", "copy", "fails", "limits", "not-finite"]


def verdict_hash(judged: Mapping[str, Any]) -> str:
    """Return the sha256 of the canonical JSON of what was judged."""
    return hashlib.sha256(canonical(judged).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one module.

    Attributes
    ----------
    judged : mapping
        The deterministic part; see docs/validator.md for its keys.
    run : mapping
        How it came about on this machine.
    """

    judged: Mapping[str, Any]
    run: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """sha256 of the deterministic part."""
        return verdict_hash(self.judged)

    @property
    def outcome(self) -> Outcome:
        """``accepted``, ``refused`` or ``invalid``."""
        outcome: Outcome = self.judged["outcome"]
        return outcome

    @property
    def reason(self) -> str:
        """Reason code; ``record`` for an accepted module."""
        return str(self.judged["reason"])

    @property
    def block_hash(self) -> str:
        """sha256 of the module."""
        return str(self.judged["block_hash"])

    def to_dict(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "hash": self.hash,
            "judged": dict(self.judged),
            "run": dict(self.run),
        }

    def to_bytes(self) -> bytes:
        """Return the document in canonical form, with a newline at its end."""
        return canonical(self.to_dict()).encode() + b"\n"

    def save(self, folder: Path, sources: Mapping[str, bytes]) -> Path:
        """Write the verdict, and the modules it speaks of, so that it can be replayed; return the verdict's path.

        Parameters
        ----------
        folder : Path
        sources : mapping of block hash to module
        """
        for name, source in sources.items():
            path = folder / MODULES / f"{name}.py"
            if not path.is_file():
                atomic_write(path, source)
        path = folder / f"{self.block_hash[:16]}-{self.hash[:16]}.json"
        atomic_write(path, self.to_bytes())
        return path


def read_verdict(content: bytes, name: str) -> Verdict:
    """Read a verdict.

    Raises
    ------
    DataError
        It is none, is of another version, or was changed.
    """
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is no JSON ({error}); give a file that `ltvalidator score` wrote") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise DataError(f"{name} is no verdict; give a file that `ltvalidator score` wrote")
    if raw.get("version") != VERSION:
        raise DataError(f"{name} is a verdict of version {raw.get('version')}; this is version {VERSION}: score again")
    judged, run = raw.get("judged"), raw.get("run")
    if not isinstance(judged, dict) or not isinstance(run, dict) or verdict_hash(judged) != raw.get("hash"):
        raise DataError(f"{name} was changed after it was written: its hash does not hold; score the module again")
    return Verdict(judged, run)


def find_verdict(name: str) -> Path:
    """Return the path of a verdict, by file name or by the beginning of its module's block hash or of its own hash.

    Raises
    ------
    DataError
        There is none, or several.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = find_home().verdicts
    found = sorted(folder.glob("*.json")) if len(name) >= 4 and name.isalnum() else []
    fitting = [file for file in found if any(part.startswith(name[:16]) for part in file.stem.split("-"))]
    if not fitting:
        raise DataError(f"no verdict {name}; give a file, or the first digits of the hash of one in {folder}")
    if len(fitting) > 1:
        raise DataError(f"{name} fits {len(fitting)} verdicts: {', '.join(file.stem for file in fitting)}; name one")
    return fitting[0]


def load_verdict(path: Path) -> Verdict:
    """Read a verdict file.

    Raises
    ------
    DataError
        It cannot be read, or is none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes, more than a verdict can have")
        return read_verdict(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"verdict {path} cannot be read: {error.strerror}") from error


def load_source(folder: Path, name: str) -> bytes:
    """Return a module that was saved beside verdicts.

    Raises
    ------
    DataError
        It is not there or was changed.
    """
    path = folder / MODULES / f"{name}.py"
    try:
        source = path.read_bytes()
    except OSError as error:
        raise DataError(f"module {path} cannot be read: {error.strerror}; name it with --module") from error
    if block_hash(source) != name:
        raise DataError(f"module {path} was changed; restore it")
    return source


def plain(value: Any) -> Any:
    """Return `value` with every float rounded as verdicts are; None for what is not finite."""
    match value:
        case float():
            return rounded(value) if math.isfinite(value) else None
        case Mapping():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return value
