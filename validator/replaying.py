"""A verdict once more, from the module on, with nothing remembered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.errors import DataError
from protocol.topics import topic_from_dict
from validator.course import Note
from validator.evaluation import Jail
from validator.judging import score_module
from validator.record import Known, Record
from validator.sandbox.policy import Limits
from validator.verdict import Verdict, load_source


@dataclass(frozen=True, slots=True)
class Difference:
    """A finding that did not come out the same: where, what the verdict says, what the replay found."""

    where: str
    was: Any
    now: Any


def replay_verdict(
    verdict: Verdict,
    folder: Path,
    *,
    source: bytes | None = None,
    uri: str | None = None,
    sandbox: Jail,
    note: Note = lambda _: None,
) -> Verdict:
    """Judge again what a verdict judged: same module, record, dataset version, number and limits; no cache of answers.

    Parameters
    ----------
    verdict : Verdict
    folder : Path
        Where it lies, with the modules it speaks of.
    source : bytes, optional
        The module, if not the one beside the verdict.
    uri : str, optional
        The dataset, if it has moved.

    Raises
    ------
    DataError
        The verdict is incomplete, or a module or the dataset's version is not there.
    """
    judged, run = verdict.judged, verdict.run
    try:
        before = {part: [str(name) for name in judged["record"][part]] for part in ("models", "earlier")}
        given: dict[str, Any] = {
            "name": str(run["module"]),
            "topic": topic_from_dict(judged["topic"], "the verdict"),
            "uri": uri or str(run["uri"]),
            "root": str(judged["data_root"]),
            "k": int(judged["k"]),
            "born_us": None if judged["born_us"] is None else int(judged["born_us"]),
            "limits": Limits(**run["limits"]),
        }
        height = int(judged["record"]["height"])
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"the verdict lacks what a replay needs ({type(error).__name__}: {error}); score the module again"
        ) from error
    models, earlier = (tuple(Known(load_source(folder, name)) for name in names) for names in before.values())
    return score_module(
        load_source(folder, verdict.block_hash) if source is None else source,
        **given,
        record=Record(models, earlier, height),
        sandbox=sandbox,
        note=note,
    )


def differences(was: Any, now: Any, where: str = "") -> Iterator[Difference]:
    """Yield where two findings differ, leaf by leaf, in the order of their keys."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in sorted({*was, *now}):
            yield from differences(was.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif isinstance(was, list | tuple) and isinstance(now, list | tuple) and len(was) == len(now):
        for number, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif was != now:
        yield Difference(where, was, now)
