"""The manifest of one dataset version: which files hold it, and where it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from data.runs import Ints
from data.schema import DAY_US, FORMAT, interval_of, vocabulary_problem
from protocol.errors import DataError

_HIVE = re.compile(r"(?:^|.*/)type=(?P<type>[^/]+)/broker=(?P<broker>[^/]+)/[^/]+\Z")
_VERSIONED = re.compile(r"data/type=[^/]+/broker=[^/]+/[^/]+-[0-9a-f]{16}\.parquet")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One Parquet file. ``first`` and ``last`` are bar opens in microseconds since 1970 UTC; None: not known."""

    path: str
    type: str | None = None
    broker: str | None = None
    period: str = ""
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    first: int | None = None
    last: int | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """One immutable version.

    Attributes
    ----------
    root, parent : str or None
        Content root of this version and of the one it was appended to.
    files : tuple of FileEntry
        Sorted by path; no two hold rows of the same (type, broker, period).
    cuts : mapping of str to str
        Sector pattern (``crypto-*``) to the ISO time from which data of those sectors are held out.
    source : str
        Where the rows that this version added came from.
    created : str
        ISO time of writing, UTC.
    """

    root: str
    files: tuple[FileEntry, ...]
    parent: str | None = None
    cuts: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    created: str = ""

    def to_json(self) -> bytes:
        """Return the file's bytes: UTF-8 JSON with sorted keys and one final newline."""
        raw = {"format": FORMAT, "rows": sum(entry.rows for entry in self.files), **asdict(self)}
        return (json.dumps(raw, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def manifest_path(root: str) -> str:
    """Return where the manifest of `root` lies in a dataset."""
    return f"manifests/{root}.json"


def leaves_path(root: str) -> str:
    """Return where the leaf lines of `root` lie in a dataset."""
    return f"manifests/{root}.leaves"


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Return the manifest in `content`; DataError names `where` when it is damaged or of another format."""
    try:
        raw = json.loads(content)
        if raw["format"] != FORMAT:
            raise DataError(f"{where}: format is {raw['format']!r}, this program reads {FORMAT!r}")
        names = set(FileEntry.__dataclass_fields__)
        files = [
            FileEntry(**{**{k: v for k, v in entry.items() if k in names}, "columns": tuple(entry["columns"])})
            for entry in raw["files"]
        ]
        strange = [e for e in files if not (_valid("type", e.type) and _valid("broker", e.broker))]
        if strange:
            raise DataError(
                f"{where}: type {strange[0].type!r} or broker {strange[0].broker!r} is outside the vocabulary"
            )
        outside = [entry.path for entry in files if entry.path.startswith("/") or ".." in entry.path.split("/")]
        if outside:
            raise DataError(f"{where}: file {outside[0]!r} lies outside the dataset; do not use it")
        cuts = {str(pattern): parse_time(str(time)).isoformat() for pattern, time in raw.get("cuts", {}).items()}
        return Manifest(
            str(raw["root"]), tuple(files), raw.get("parent"), cuts, raw.get("source", ""), raw.get("created", "")
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where} is damaged ({error!r}); fetch the dataset again or open an older root") from error


def data_path(type_: str, broker: str, period: str, sha256: str) -> str:
    """Return the path of a new data file; its content's hash is in its name, so it is never overwritten."""
    return f"data/type={type_}/broker={broker}/{period}-{sha256[:16]}.parquet"


def is_versioned(path: str) -> bool:
    """Return whether `path` is a name that :func:`data_path` gives, so that only a manifest can vouch for it."""
    return _VERSIONED.fullmatch(path) is not None


def _valid(column: str, word: object) -> bool:
    return isinstance(word, str) and vocabulary_problem(column, word) is None


def entry_of_path(path: str) -> FileEntry:
    """Return what a path of a bare hive tree says about its file."""
    match = _HIVE.match(path)
    return FileEntry(path, match["type"], match["broker"]) if match else FileEntry(path)


def periods_of(type_: str, times: Ints) -> tuple[list[str], Ints]:
    """Return the periods that bars at `times` (microseconds) fall into, and for each bar the index of its period.

    One file holds the bars of one period: everything (``all``) for bars of a day or more, a year for bars of an hour or
    more, else a month. A period never splits a calendar month, so a leaf lies in one file.
    """
    interval = interval_of(type_)
    if interval is not None and interval >= DAY_US:
        return ["all"], np.zeros(len(times), dtype=np.int64)
    unit = "Y" if interval is not None and interval >= DAY_US // 24 else "M"
    found, index = np.unique(times.astype("datetime64[us]").astype(f"datetime64[{unit}]"), return_inverse=True)
    return np.datetime_as_string(found).tolist(), index.astype(np.int64)


def cut_for(cuts: Mapping[str, str], sector: str) -> int | None:
    """Return the earliest cut, in microseconds, among those whose pattern matches `sector`."""
    times = [to_micros(parse_time(time)) for pattern, time in cuts.items() if fnmatchcase(sector, pattern)]
    return min(times, default=None)


def parse_time(text: str) -> datetime:
    """Return an ISO date or time as an aware UTC datetime; without an offset it is taken as UTC.

    Raises
    ------
    DataError
        `text` is not ISO 8601.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DataError(f"time {text!r} is not ISO 8601; write for example 2024-01-01 or 2024-01-01T12:00") from error


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970 UTC of an aware datetime; DataError when it is naive."""
    if moment.tzinfo is None:
        raise DataError(f"time {moment} has no time zone; give an aware datetime, for example tzinfo=UTC")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def to_iso(moment: int) -> str:
    """Return microseconds since 1970 as ISO text in UTC, without a time of day where it is midnight."""
    text = datetime.fromtimestamp(moment // 10**6, UTC).replace(microsecond=moment % 10**6).isoformat()
    return text.replace("+00:00", "Z").replace("T00:00:00Z", "")


def parse_cuts(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return cuts from ``PATTERN=TIME`` texts."""
    cuts = {}
    for pair in pairs:
        pattern, found, time = pair.partition("=")
        if not found or not pattern:
            raise DataError(f"cut {pair!r} is not PATTERN=TIME; write for example crypto-*=2025-02-01")
        cuts[pattern] = parse_time(time).isoformat()
    return cuts
