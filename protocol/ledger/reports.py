"""What validators report: the fields, which reports agree, and the numbers that a group of them stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from protocol.ledger.kinds import HASH
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.state import Report
from protocol.topics import NAME

#: Fields of a report on a submission. Scores are millionths.
SCREEN_FIELDS: Mapping[str, type] = {
    "outcome": str,
    "reason": str,
    "pipeline_id": str,
    "near_id": str,
    "verdict": str,
    "data_root": str,
    "registry": str,
    "specific": int,
    "generalized": int,
    "k": int,
}
#: Fields of a report on live evidence: log_e in millionths of a nat, over `days` days.
LIVE_FIELDS: Mapping[str, type] = {"log_e": int, "days": int}
OUTCOMES = ("accepted", "refused", "invalid")
#: What an accepted module always has; others may lack it and say "".
_IDENTITY = ("pipeline_id", "near_id", "data_root")


def check_report(kind: Literal["screen", "live"], report: Report) -> None:
    """Check the fields of a report.

    Raises
    ------
    LedgerRefusal
        ``malformed``; the message names the field.
    """
    fields = SCREEN_FIELDS if kind == "screen" else LIVE_FIELDS
    if set(report) != set(fields):
        odd = ", ".join(sorted(set(report) ^ set(fields)))
        raise LedgerRefusal(
            "malformed", f"a {kind} report has the fields {', '.join(fields)}; missing or unknown: {odd}"
        )
    for name, value in report.items():
        if type(value) is not fields[name] or (isinstance(value, str) and not _fits(name, value, report)):
            raise LedgerRefusal(
                "malformed", f"report field {name} = {value!r:.80} does not fit; see the ledger's specification"
            )
    if kind == "live" and int(report["days"]) < 1:
        raise LedgerRefusal("malformed", f"report field days = {report['days']}; evidence covers at least one day")


def agreement(kind: Literal["screen", "live"], report: Report) -> tuple[int | str, ...]:
    """Return what reports must have in common to count together."""
    return (report["outcome"], report["pipeline_id"]) if kind == "screen" else (report["days"],)


def lower_median(values: Sequence[tuple[int, int]]) -> int:
    """Return the lower median of (value, stake) pairs: the least value with at least half of the stake at or below it."""
    total, below = sum(stake for _, stake in values), 0
    for value, stake in sorted(values):
        below += stake
        if 2 * below >= total:
            return value
    raise ValueError("the median of no values")


def plurality(values: Sequence[tuple[str, int]]) -> str:
    """Return the text with the most stake behind it, of (text, stake) pairs; among equals the least text."""
    stakes: dict[str, int] = {}
    for text, stake in values:
        stakes[text] = stakes.get(text, 0) + stake
    return min(stakes, key=lambda text: (-stakes[text], text))


def _fits(name: str, value: str, report: Report) -> bool:
    if name == "outcome":
        return value in OUTCOMES
    if name == "reason":
        return NAME.match(value) is not None
    optional = name in _IDENTITY and report["outcome"] != "accepted"
    return HASH.match(value) is not None or (optional and not value)
