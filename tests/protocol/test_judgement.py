"""Every gate at its threshold, the order of reasons, and what is never accepted."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.bootstrap import MeanTest
from protocol.errors import DataError
from protocol.generality import generalized
from protocol.judgement import GATES, Facts, judge, outcome_of
from protocol.spending import alpha_at

GOOD = Facts(
    k=3,
    rows=1000,
    finite=1000,
    correlations={"a" * 64: 0.2, "b" * 64: -0.4},
    screen=MeanTest(0.02, 0.003, 1e-9, 300),
    generality=generalized([0.02, 0.03, 0.02, 0.01, 0.02, 0.03]),
    record_generality=generalized([0.01, 0.01, 0.01, 0.0, 0.01, 0.01]),
)
WEAK = generalized([0.9, -0.1, 0.9, -0.1, 0.9, -0.1])  # valuable, but in half of the groups only
LOW = generalized([0.001, 0.0, 0.001, 0.0, 0.001, 0.0])


def verdict(**changes):
    gates = judge(dataclasses.replace(GOOD, **changes))
    return outcome_of(gates), {gate.name: gate for gate in gates}


def test_what_passes_every_gate_is_accepted_and_every_gate_says_its_numbers():
    outcome, gates = verdict()
    assert outcome == ("accepted", "record")
    assert tuple(gates) == GATES
    for gate in gates.values():
        assert gate.passed
        assert math.isfinite(gate.value)
        assert math.isfinite(gate.threshold)
        assert len(gate.text.split()) > 5


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"finite": 999}, ("invalid", "not-finite")),
        ({"correlations": {"c" * 64: 0.9501}}, ("invalid", "copy")),
        ({"correlations": {"c" * 64: -0.9501}}, ("invalid", "copy")),
        ({"screen": MeanTest(0.02, 0.01, 0.03, 300)}, ("refused", "screen")),
        ({"generality": WEAK}, ("refused", "generalized")),
        ({"generality": LOW}, ("refused", "record")),
        ({"finite": 0, "correlations": {"c" * 64: 1.0}, "generality": LOW}, ("invalid", "not-finite")),
        ({"screen": MeanTest(0, 1, 1.0, 300), "generality": LOW}, ("refused", "screen")),
        ({"finite": 999, "screen": None, "generality": None}, ("invalid", "not-finite")),
        ({"correlations": {"c" * 64: 0.99}, "generality": None}, ("invalid", "copy")),
    ],
)
def test_the_first_gate_that_fails_gives_the_reason(changes, outcome):
    assert verdict(**changes)[0] == outcome


@pytest.mark.parametrize(
    ("changes", "gate", "passed"),
    [
        ({"correlations": {"c" * 64: 0.9500004}}, "original", True),
        ({"correlations": {"c" * 64: 0.9500006}}, "original", False),
        ({"correlations": {}}, "original", True),
        ({"screen": MeanTest(0.02, 0.01, alpha_at(3), 300)}, "screen", True),
        ({"screen": MeanTest(0.02, 0.01, alpha_at(3) * (1 + 1e-8), 300)}, "screen", True),
        ({"screen": MeanTest(0.02, 0.01, alpha_at(3) * 1.00002, 300)}, "screen", False),
        ({"k": 10**6, "screen": MeanTest(0.02, 0.01, 2e-14, 300)}, "screen", True),
        ({"k": 10**6, "screen": MeanTest(0.02, 0.01, 4e-14, 300)}, "screen", False),
        ({"record_generality": GOOD.generality}, "record", True),
        ({"record_generality": None, "generality": LOW}, "record", True),
        ({"record_generality": None, "generality": generalized([-0.001] * 6)}, "record", False),
    ],
)
def test_thresholds_are_met_after_rounding(changes, gate, passed):
    assert verdict(**changes)[1][gate].passed is passed


@settings(deadline=None)
@given(st.permutations([("f" * 64, 0.7), ("0" * 64, 0.7000001), ("9" * 64, -0.7), ("1" * 64, 0.3)]))
def test_all_validators_name_the_same_nearest_pipeline(correlations):
    assert "0" * 12 in verdict(correlations=dict(correlations))[1]["original"].text


def test_a_later_submission_needs_more():
    screen = MeanTest(0.02, 0.01, 1e-3, 300)
    assert verdict(k=5, screen=screen)[0] == ("accepted", "record")
    assert verdict(k=6, screen=screen)[0] == ("refused", "screen")


def test_a_lenient_topic_says_its_level():
    screen = MeanTest(0.02, 0.01, 0.3, 300)
    outcome, gates = verdict(k=1, screen=screen, level=0.5)
    assert outcome == ("accepted", "record")
    assert "submission 1 of the topic may have at most 0.304" in gates["screen"].text
    outcome, gates = verdict(k=1, screen=screen)
    assert outcome == ("refused", "screen")
    assert "submission 1 of the topic may have at most 0.0304" in gates["screen"].text


def test_an_open_topic_refuses_nothing_that_is_valid_and_original():
    weak = {
        "screen": MeanTest(-0.02, 0.01, 0.98, 300),
        "record_generality": dataclasses.replace(GOOD.generality, value=9.0),
    }
    outcome, gates = verdict(k=1, level=1.0, **weak)
    assert outcome == ("accepted", "record")
    assert "not asked for" in gates["screen"].text
    assert "not asked for" in gates["record"].text
    assert "not asked for" not in gates["generalized"].text
    assert verdict(k=1, level=0.999, **weak)[0] == ("refused", "screen")
    assert verdict(level=1.0, finite=999)[0] == ("invalid", "not-finite")
    assert verdict(level=1.0, correlations={"c" * 64: 0.96})[0] == ("invalid", "copy")


@pytest.mark.parametrize("count", range(5))
def test_nothing_is_accepted_with_a_gate_missing(count):
    with pytest.raises(DataError, match="judge all before accepting"):
        outcome_of(judge(GOOD)[:count])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: verdict(finite=1001), "impossible"),
        (lambda: verdict(rows=0, finite=0), "impossible"),
        (lambda: verdict(screen=None), "nothing is known for the gate 'screen'"),
        (lambda: verdict(generality=None), "nothing is known for the gate 'generalized'"),
        (lambda: verdict(k=0), "count from 1"),
        (lambda: outcome_of(judge(GOOD)[1:]), "in this order"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
