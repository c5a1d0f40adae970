"""Words for what the ledger says in codes and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: (outcome, reason) of a submission.
REASONS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("accepted", "record"): "it beats the record",
        ("refused", "screen"): "on the held-out days it is not clearly better than the record",
        ("refused", "generalized"): "refitted on series it did not declare, it loses in too many groups",
        ("refused", "record"): "its generalized score does not reach the record's",
        ("invalid", "parse"): "the validators cannot read it as a module",
        ("invalid", "copy"): "it predicts what an earlier pipeline predicts",
        ("invalid", "fails"): "it raises an error when it is fitted or asked",
        ("invalid", "limits"): "it takes more time or memory than a replay may take",
        ("invalid", "not-finite"): "it predicts NaN or infinity",
        ("undecided", "undecided"): "the validators did not come to a decision in time",
    }
)

#: What an outcome means for the money.
BONDS: Mapping[str, str] = MappingProxyType(
    {
        "accepted": "bond returned, fee paid",
        "refused": "bond returned, fee paid",
        "invalid": "bond lost, fee paid",
        "undecided": "bond and fee returned; it may be submitted again",
    }
)


def reason_in_words(outcome: str, reason: str) -> str:
    """Return why a submission ended as it did; a code of a later version stands for itself."""
    return REASONS.get((outcome, reason), reason)


def micro(value: int) -> str:
    """Return a score of millionths, with its sign."""
    return f"{value / 1e6:+.6f}"


def span(seconds: int) -> str:
    """Return a length of time, rounded down to its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(seconds, 0)} s"
