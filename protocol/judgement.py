"""The record rule's first stage: does a pipeline pass the screen on held-out data, and if not, at which gate.

A screened pipeline becomes a model block; only evidence on days after its block (:mod:`protocol.evidence`) crowns it,
since a held-out range that is asked often enough answers anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from protocol.bootstrap import MeanTest
from protocol.errors import DataError
from protocol.generality import SHARE_NOT_NEGATIVE, Generality
from protocol.rounding import rounded, rounded_p
from protocol.spending import ALPHA, alpha_at

MAX_CORRELATION = 0.95  # with any recorded or earlier pipeline; above it is a copy

GateName = Literal["complete", "original", "screen", "generalized", "record"]
Outcome = Literal["accepted", "refused", "invalid"]

GATES: tuple[GateName, ...] = ("complete", "original", "screen", "generalized", "record")

#: Level at which luck passes for certain: an open topic, whose record shows what was submitted and not what is better.
OPEN = 1.0
NOT_ASKED = " (not asked for: the topic is open)"

_FAILURE: Mapping[GateName, tuple[Outcome, str]] = {
    "complete": ("invalid", "not-finite"),
    "original": ("invalid", "copy"),
    "screen": ("refused", "screen"),
    "generalized": ("refused", "generalized"),
    "record": ("refused", "record"),
}


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of the rule.

    Attributes
    ----------
    name : GateName
    value, threshold : float
        As compared: rounded to six decimals, probabilities to six significant digits.
    passed : bool
    text : str
        What was compared, with the numbers, in a sentence.
    """

    name: GateName
    value: float
    threshold: float
    passed: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rule judges by, of one submission.

    Attributes
    ----------
    k : int
        The submission's number within its topic, from 1.
    rows, finite : int
        Predictions asked for, over all groups and folds, and finite predictions received.
    correlations : mapping of str to float
        Similarity (:func:`protocol.originality.similarity`) with every recorded and earlier pipeline, by block hash.
    screen : MeanTest or None
        Of the daily differential against the record (with an empty record: the strongest baseline).
    generality : Generality or None
        Of the candidate. None, as `screen`, only where it was not computed because an earlier gate fails.
    record_generality : Generality or None
        Of what is to be beaten; None asks for a value that is not negative.
    level : float
        Of the screen, over all submissions of the topic: its ``screen``. At :data:`OPEN` screen, generality and record
        are told and refuse nothing.
    """

    k: int
    rows: int
    finite: int
    correlations: Mapping[str, float] = field(default_factory=dict)
    screen: MeanTest | None = None
    generality: Generality | None = None
    record_generality: Generality | None = None
    level: float = ALPHA


def judge(facts: Facts) -> tuple[Gate, ...]:
    """Return the gates in order; those whose facts are missing, and all after them, are left out.

    Every gate that can be judged is judged, also after one has failed, so that a refusal says all of why.

    Raises
    ------
    DataError
        Counts are impossible, or a fact is missing although every earlier gate passes.
    """
    if not 0 <= facts.finite <= facts.rows or facts.rows < 1:
        raise DataError(f"{facts.finite} finite of {facts.rows} predictions is impossible; count both anew")
    gates = [_complete(facts), _original(facts)]
    if facts.screen is not None:
        gates.append(_screen(facts.screen, facts.k, facts.level))
        if facts.generality is not None:
            gates += [_generalized(facts.generality), _record(facts.generality, facts.record_generality)]
    if facts.level >= OPEN:
        gates[2:] = [
            gate if gate.passed else replace(gate, passed=True, text=gate.text + NOT_ASKED) for gate in gates[2:]
        ]
    if len(gates) < len(GATES) and all(gate.passed for gate in gates):
        raise DataError(f"nothing is known for the gate {GATES[len(gates)]!r} although all before it pass; compute it")
    return tuple(gates)


def outcome_of(gates: Iterable[Gate]) -> tuple[Outcome, str]:
    """Return the outcome and its reason code: that of the first gate that fails, or ``("accepted", "record")``.

    Raises
    ------
    DataError
        The gates are not those of the rule in order, or some are missing although none fails.
    """
    given = tuple(gates)
    if tuple(gate.name for gate in given) != GATES[: len(given)]:
        raise DataError(f"the gates are {', '.join(GATES)}, in this order; not {[gate.name for gate in given]}")
    for gate in given:
        if not gate.passed:
            return _FAILURE[gate.name]
    if len(given) < len(GATES):
        raise DataError(f"the gate {GATES[len(given)]!r} has not been judged; judge all before accepting")
    return "accepted", "record"


def _complete(facts: Facts) -> Gate:
    text = f"{facts.finite:,} of {facts.rows:,} predictions are finite numbers; all must be"
    return Gate("complete", float(facts.finite), float(facts.rows), facts.finite == facts.rows, text)


def _original(facts: Facts) -> Gate:
    if not facts.correlations:
        text = "there is no earlier pipeline to be a copy of"
        return Gate("original", 0.0, MAX_CORRELATION, True, text)
    # Ties go to the smallest hash, so that every validator names the same one.
    nearest = min(facts.correlations, key=lambda name: (-rounded(abs(facts.correlations[name])), name))
    value = rounded(abs(facts.correlations[nearest]))
    text = (
        f"the predictions correlate by {value:.6f} (rank or linear) with those of {nearest[:12]}, the nearest of "
        f"{len(facts.correlations)} earlier pipelines; at most {MAX_CORRELATION} is a work of its own"
    )
    return Gate("original", value, MAX_CORRELATION, value <= MAX_CORRELATION, text)


def _screen(test: MeanTest, k: int, total: float) -> Gate:
    p, level = rounded_p(test.p), rounded_p(alpha_at(k, total))
    text = (
        f"over {test.n} days it scores {test.mean:+.6f} ± {test.se:.6f} a day against the record: p = {p:.3g}, "
        f"and submission {k} of the topic may have at most {level:.3g}"
    )
    return Gate("screen", p, level, p <= level, text)


def _generalized(own: Generality) -> Gate:
    part, whole = SHARE_NOT_NEGATIVE
    text = (
        f"refitted on groups that it did not declare it is not negative in {own.share_not_negative:.0%} of them; "
        f"{part} of {whole} are needed"
    )
    return Gate("generalized", rounded(own.share_not_negative), rounded(part / whole), own.passed, text)


def _record(own: Generality, record: Generality | None) -> Gate:
    value, bar = rounded(own.value), rounded(record.value) if record else 0.0
    text = f"its generalized score is {value:+.6f} (mean {own.mean:+.6f}, deviation {own.sd:.6f}); " + (
        f"the record's is {bar:+.6f}, which it must reach" if record else "with no record it must not be negative"
    )
    return Gate("record", value, bar, value >= bar, text)
