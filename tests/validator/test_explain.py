"""Verdicts in words: every gate with its number, and what would have to be different."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from in_process import InProcess
from made_market import TOPIC, module, ridge, tree
from scipy.special import stdtr

from protocol.bootstrap import degrees_of_freedom
from protocol.errors import DataError
from protocol.generality import MIN_GROUPS
from validator.explain import explain
from validator.judging import score_module
from validator.record import Known, Record
from validator.verdict import Verdict


def judged(source: bytes, uri: str, jail: InProcess | None = None, **options: Any) -> Verdict:
    return score_module(source, "m.py", topic=TOPIC, uri=uri, sandbox=jail or InProcess(), **options)


@pytest.fixture
def refused(market_uri: str) -> Verdict:
    return judged(module(ridge(10.0)), market_uri)


def changed(verdict: Verdict, **findings: Any) -> Verdict:
    return Verdict({**verdict.judged, **findings}, verdict.run)


def test_acceptance_names_the_bar_and_all_gates(market_uri: str) -> None:
    verdict = judged(module(tree()), market_uri)
    text = explain(verdict)
    assert text.startswith("accepted: ")
    assert text.count("\n  passed  ") == 7
    assert "FAILED" not in text
    assert "what would have to be different" not in text
    assert f"{verdict.judged['bar']} (bar)" in text
    assert f"{verdict.judged['scores']['generalized']:+.6f}" in text
    assert "n/a" in text
    assert all(group["name"] in text for group in verdict.judged["course"]["groups"])


def test_a_screen_says_what_advantage_it_would_take(refused: Verdict) -> None:
    text = explain(refused)
    assert "FAILED  screen" in text
    needed = float(text.split("an advantage of ")[1].split(" ")[0])
    test = refused.judged["screen"]
    assert needed > test["mean"]
    assert 1.5 * test["se"] < needed < 3 * test["se"], "the level of a first submission is 0.03"
    (level,) = (gate["threshold"] for gate in refused.judged["gates"] if gate["name"] == "screen")
    reached = stdtr(degrees_of_freedom(test["days"], test["block"]), -needed / test["se"])
    assert reached == pytest.approx(level, rel=1e-3), "the p that the test would give such an advantage"


def test_a_screen_without_scatter_asks_for_a_difference(refused: Verdict) -> None:
    screen = {"mean": 0.0, "se": 0.0, "days": 300, "block": 5.0}
    assert "on enough days to tell the two apart" in explain(changed(refused, screen=screen))


def test_other_gates_say_what_they_would_take(refused: Verdict) -> None:
    gates = [{**gate, "passed": gate["name"] != "record"} for gate in refused.judged["gates"]]
    gates[-1].update(value=0.01, threshold=0.03)
    assert "must rise by 0.020000, to +0.030000" in explain(changed(refused, gates=gates, reason="record"))
    gates = [{**gate, "passed": gate["name"] != "generalized"} for gate in refused.judged["gates"]]
    scores = {**refused.judged["scores"], "groups": [-0.5] * 3 + [0.1] * 3}
    text = explain(changed(refused, gates=gates, reason="generalized", scores=scores))
    assert f"4 of {MIN_GROUPS} groups must not be negative" in text
    assert text.count("(-0.500000)") == 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("cpu", "60 CPU seconds, 180 seconds and 2048 MB"),
        ("failed", "must fit and answer on every group"),
        ("not-finite", "must be a finite number"),
    ],
)
def test_failed_replays_bring_the_jails_words(status: Any, words: str, market_uri: str) -> None:
    text = explain(judged(module(tree()), market_uri, InProcess(dict.fromkeys(range(2), (status, "so it said")))))
    assert text.startswith("invalid: ")
    assert words in text
    assert "so it said" in text


def test_parsing_and_copies_are_explained(market_uri: str) -> None:
    text = explain(judged(b"import os\n", market_uri))
    assert "m.py, line 1: imports os" in text
    assert "docs/spec/module.md" in text
    record = Record(models=(Known(module(ridge(1.0))),))
    assert "must be another pipeline" in explain(judged(module(ridge(1.0)), market_uri, record=record))
    scaled = module(ridge(1.01))
    text = explain(judged(scaled, market_uri, record=Record(earlier=(Known(module(ridge(1.5))),))))
    assert "may correlate by at most 0.95" in text
    assert "1 undecided submissions before this one" in text


def test_a_verdict_from_elsewhere_can_neither_crash_nor_paint_the_terminal(refused: Verdict) -> None:
    painted = explain(Verdict(refused.judged, {**refused.run, "said": "\x1b[31mred\u202e\nline"}))
    assert "?[31mred??line" in painted
    for lacking in (Verdict(refused.judged, {"uri": 1}), Verdict({}, {}), Verdict({"outcome": "accepted"}, {})):
        with contextlib.suppress(DataError):
            explain(lacking)
    with pytest.raises(DataError, match="lacks what it should say"):
        explain(Verdict({**refused.judged, "course": None}, refused.run))
