"""Where modules come from: until when the search that found each saw data, as far as its run's folder tells.

A replay over a past that the search knew flatters whoever chose the module. Nothing in a module can prove the contrary, but the
journal of the run that lies beside it says which data it was mined on. What is found is told, and doubts are told as warnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.asof import parse_uri
from data.dataset import Dataset
from data.manifest import to_iso
from data.runs import micros
from data.schema import interval_of
from miner.config import RunConfig
from miner.journal import FILE_NAME, Journal
from pipelines.spec import Call, canonical_text
from protocol.errors import ConfigError, DataError
from protocol.topics import Topic


@dataclass(frozen=True, slots=True)
class Origin:
    """Until when the search behind a module saw data.

    Attributes
    ----------
    name : str
        What to call the module.
    until : int or None
        Microseconds since 1970 UTC: bars that had closed by then, and no others; None: not known.
    doubt : str
        Why it is not known, or what of it is not; empty if all is.
    """

    name: str
    until: int | None
    doubt: str = ""

    def warnings(self, start: int, data: str) -> list[str]:
        """Return what speaks against calling a replay from `start` (microseconds since 1970 UTC) unseen, with a remedy.

        Parameters
        ----------
        start : int
        data : str
            The dataset of the replay as it was named.
        """
        place = data.partition("?")[0]
        remedy = (
            f"mine with --data '{place}?until={to_iso(start)}' --no-record, and name the module in its run's folder"
        )
        if self.until is None:
            return [f"{self.name}: until when its search saw data is not known: {self.doubt}; {remedy}"]
        found = [f"{self.name}: {self.doubt}; {remedy}"] if self.doubt else []
        if self.until > start:
            found.append(
                f"{self.name}: its search saw data until {to_iso(self.until)}, the replay begins {to_iso(start)}: "
                f"that past was known to whoever chose it; {remedy}, or begin later"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "until": None if self.until is None else to_iso(self.until),
            "doubt": self.doubt or None,
        }


def origin_of(path: Path, name: str, spec: Call) -> Origin:
    """Return where a module comes from, by the journal in its folder.

    Parameters
    ----------
    path : Path
        Of the module.
    name : str
    spec : Call
        What it says: only a pipeline that the run tried comes from it.
    """
    folder = path.resolve().parent
    if not (folder / FILE_NAME).is_file():
        return Origin(name, None, f"no {FILE_NAME} lies beside it")
    try:
        with closing(Journal.open(folder)) as journal:
            config, tried = journal.config, journal.tried(canonical_text(spec))
    except ConfigError as error:
        return Origin(name, None, str(error))
    if not tried:
        return Origin(name, None, f"the run whose {FILE_NAME} lies beside it did not try this pipeline")
    known = len(config.start_from)
    doubt = (
        f"its search began with {known} pipelines that were there already, of which this is not known" if known else ""
    )
    try:
        return Origin(name, _until(config), doubt)
    except DataError as error:
        return Origin(name, None, f"its run's data cannot be read: {error}")


def called(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return what to call files: their names, with as many folders before them as it takes to tell them apart."""
    parts = [path.absolute().parts for path in paths]
    for depth in range(1, max(map(len, parts), default=0)):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(set(parts)):
            return tuple(names)
    return tuple(str(path) for path in paths)


def _until(config: RunConfig) -> int:
    """Return when the newest bar that a run could see had closed, or the moment it asked for."""
    _, until = parse_uri(config.data_uri)
    return _last_close(config.data_uri, config.data_root, config.topic) if until is None else until


def _last_close(uri: str, root: str, topic: Topic) -> int:
    table = Dataset.open(uri, root).read(
        type=topic.type, broker=topic.broker, sectors=topic.sectors, symbols=topic.symbols, columns=["close"]
    )
    return int(micros(table).max()) + (interval_of(topic.type) or 0)
