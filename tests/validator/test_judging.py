"""Whole verdicts, through a stand-in for the jail."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import InProcess
from made_market import TOPIC, module, ridge, tree, write_market

from pipelines.parser import block_hash
from pipelines.spec import call
from protocol.errors import DataError
from protocol.spending import alpha_at
from protocol.topics import topic_from_dict
from validator.evaluation import Jail
from validator.explain import explain
from validator.judging import score_module
from validator.record import Known, Record
from validator.sandbox.job import Job, Replay
from validator.sandbox.policy import Limits
from validator.verdict import Verdict

SCALER = call("sklearn.preprocessing.StandardScaler")


def judged(source: bytes, uri: str, *, jail: Jail | None = None, **options: Any) -> Verdict:
    return score_module(source, "m.py", topic=TOPIC, uri=uri, sandbox=jail or InProcess(), **options)


def gates_of(verdict: Verdict) -> dict[str, bool]:
    return {gate["name"]: gate["passed"] for gate in verdict.judged["gates"]}


@pytest.fixture(scope="module")
def accepted(market_uri: str, shared_home: Path) -> Verdict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGTAIL_HOME", str(shared_home))
        return judged(module(tree()), market_uri)


def test_a_pipeline_that_sees_more_than_the_baselines_is_accepted(accepted: Verdict) -> None:
    assert (accepted.outcome, accepted.reason) == ("accepted", "record")
    assert all(gates_of(accepted).values())
    assert list(gates_of(accepted)) == ["module", "identity", "complete", "original", "screen", "generalized", "record"]
    scores = accepted.judged["scores"]
    assert scores["generalized"] > max(one["generalized"] for one in accepted.judged["baselines"])
    assert scores["relevant"] is None
    assert accepted.judged["bar"] in {"zero", "ridge", "reversal"}
    assert len(accepted.judged["course"]["groups"]) >= 6


def test_a_verdict_says_the_numbers_that_its_gates_compare(accepted: Verdict) -> None:
    judged_ = accepted.judged
    gates = {gate["name"]: gate for gate in judged_["gates"]}
    groups = judged_["scores"]["groups"]
    spread = np.mean(groups) - 0.5 * np.std(groups, ddof=1)
    assert gates["record"]["value"] == judged_["scores"]["generalized"] == pytest.approx(spread, abs=1e-6)
    bar = next(one for one in judged_["baselines"] if one["name"] == judged_["bar"])
    assert gates["record"]["threshold"] == bar["generalized"]
    assert gates["screen"]["threshold"] == pytest.approx(alpha_at(1), rel=1e-5)
    assert judged_["screen"]["mean"] == pytest.approx(np.mean(groups) - np.mean(bar["groups"]), abs=0.02)


def test_the_same_judgement_has_the_same_hash_whoever_gives_it(
    accepted: Verdict, market_uri: str, tmp_path: Path
) -> None:
    source = module(tree())
    again = score_module(
        source,
        "another-name.py",
        topic=TOPIC,
        uri=write_market(tmp_path / "copy.parquet"),
        sandbox=InProcess({3: ("killed", "signal 9")}),
        limits=Limits(cpu_s=7.0),
        panels=tmp_path / "panels",
        cache=tmp_path / "replays",
    )
    assert again.hash == accepted.hash
    assert again.judged == accepted.judged
    remembered = judged(source, market_uri, cache=tmp_path / "replays")
    assert remembered.hash == accepted.hash
    assert len(remembered.run["fits"]) < len(again.run["fits"])


def test_formatting_changes_the_block_and_not_the_pipeline(accepted: Verdict, market_uri: str) -> None:
    other = judged(module(tree(), title="written otherwise"), market_uri)
    assert other.block_hash != accepted.block_hash
    assert other.judged["pipeline"]["id"] == accepted.judged["pipeline"]["id"]
    assert other.judged["pipeline"]["seed"] != accepted.judged["pipeline"]["seed"]


def test_honest_work_that_is_no_better_is_refused(market_uri: str) -> None:
    verdict = judged(module(ridge(10.0)), market_uri)
    assert (verdict.outcome, verdict.reason) == ("refused", "screen")
    assert not gates_of(verdict)["screen"]
    assert "bars ahead\n" in explain(verdict)


def test_a_lenient_topic_lets_it_pass_and_says_so(market_uri: str) -> None:
    lenient = dataclasses.replace(TOPIC, screen=0.5)
    verdict = score_module(module(ridge(10.0)), "m.py", topic=lenient, uri=market_uri, sandbox=InProcess())
    assert (verdict.outcome, verdict.reason) == ("accepted", "record")
    (gate,) = (gate for gate in verdict.judged["gates"] if gate["name"] == "screen")
    assert gate["threshold"] == pytest.approx(alpha_at(1, 0.5), rel=1e-5)
    assert gate["value"] > alpha_at(1)
    told = explain(verdict)
    assert "submission 1 of the topic may have at most 0.304" in told
    assert "its screen lets luck pass with 0.5 in all, not 0.05" in told
    assert topic_from_dict(verdict.judged["topic"], "the verdict") == lenient


def test_the_record_is_the_bar_where_there_is_one(accepted: Verdict, market_uri: str) -> None:
    record = Record(models=(Known(module(ridge())), Known(module(tree()))), height=9)
    other = judged(module(SCALER, tree(max_features=5)), market_uri, record=record)
    assert other.judged["bar"] == accepted.block_hash
    assert [one["name"] for one in other.judged["models"]] == [known.block_hash for known in record.models]
    assert other.outcome == "refused"
    assert other.judged["shown"]["mmc"] is not None


def test_the_number_of_the_submission_sets_the_level(market_uri: str) -> None:
    thresholds = []
    for k in (1, 10):
        gates = judged(module(ridge(10.0)), market_uri, k=k).judged["gates"]
        thresholds.append(next(gate["threshold"] for gate in gates if gate["name"] == "screen"))
    assert thresholds[0] == pytest.approx(100 * thresholds[1], rel=1e-4)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"import os\n", "imports os"),
        (b"\xff\xfe\x00", "byte-order mark"),
        (b"", "exported_pipeline"),
        (b"exported_pipeline = 1\n", "exported_pipeline"),
        (b"x" * 70_000, "70000 bytes"),
    ],
)
def test_what_is_no_module_is_invalid_and_costs_no_fit(source: bytes, said: str, market_uri: str) -> None:
    jail = InProcess()
    verdict = judged(source, market_uri, jail=jail)
    assert (verdict.outcome, verdict.reason) == ("invalid", "parse")
    assert said in verdict.run["said"]
    assert verdict.block_hash == block_hash(source)
    assert not jail.jobs


@pytest.mark.parametrize("place", ["models", "earlier"])
def test_copies_are_found_before_any_fit(place: str, market_uri: str) -> None:
    known = (Known(module(SCALER, ridge(1.2345))),)
    record = Record(**{place: known})
    for source, shared in (
        (module(SCALER, ridge(1.2345), title="mine"), "pipeline_id"),
        (module(SCALER, ridge(1.2349)), "near_id"),
    ):
        jail = InProcess()
        verdict = judged(source, market_uri, jail=jail, record=record)
        assert (verdict.outcome, verdict.reason) == ("invalid", "copy")
        assert shared in verdict.judged["gates"][-1]["text"]
        assert not jail.jobs


def test_a_copy_in_effect_is_found_by_its_predictions(market_uri: str) -> None:
    record = Record(earlier=(Known(module(SCALER, ridge(1.0))),))
    verdict = judged(module(call("sklearn.preprocessing.MinMaxScaler"), ridge(0.01)), market_uri, record=record)
    assert (verdict.outcome, verdict.reason) == ("invalid", "copy")
    assert verdict.judged["gates"][-1]["name"] == "original"
    assert min(verdict.judged["similarity"].values()) > 0.95
    assert "scores" not in verdict.judged


@pytest.mark.parametrize(("at", "group"), [(0, "declared"), (5, "another")])
def test_a_pipeline_that_fails_anywhere_is_invalid(at: int, group: str, market_uri: str) -> None:
    ends: Any = dict.fromkeys((at, at + 1), ("failed", "ValueError: no"))
    verdict = judged(module(tree()), market_uri, jail=InProcess(ends))
    assert (verdict.outcome, verdict.reason) == ("invalid", "fails")
    assert "failed: ValueError: no" in verdict.run["said"]
    assert verdict.run["said"].startswith("declared") == (group == "declared")


def test_a_pipeline_over_its_limits_is_invalid_with_the_same_hash_on_every_machine(market_uri: str) -> None:
    ends: Any = [{0: ("cpu", "61 s of 60 s")}, {4: ("memory", "2.1 GB")}]
    verdicts = [judged(module(tree()), market_uri, jail=InProcess(end)) for end in ends]
    assert {(verdict.outcome, verdict.reason) for verdict in verdicts} == {("invalid", "limits")}
    assert len({verdict.hash for verdict in verdicts}) == 1


def test_a_recorded_model_that_fails_here_is_no_bar(market_uri: str) -> None:
    class FailsOnRidges(InProcess):
        def run(self, job: Job) -> Replay:
            return Replay("failed", "no", None, 0.1, 0.1, 1.0) if "alpha" in job.text else super().run(job)

    record = Record(models=(Known(module(ridge(7.0))),))
    verdict = judged(module(tree()), market_uri, jail=FailsOnRidges(), record=record)
    assert verdict.judged["models"] == []
    assert verdict.judged["bar"] in {"zero", "ridge", "reversal"}
    assert verdict.outcome == "accepted"


def test_relevant_counts_days_after_the_block_only(market_uri: str, accepted: Verdict) -> None:
    last = pq.read_table(market_uri)["datetime"].to_pylist()[-1]
    born = int(last.timestamp() - 30 * 86_400) * 1_000_000
    verdict = judged(module(tree()), market_uri, born_us=born)
    assert verdict.judged["scores"]["relevant"] > 0.1
    assert judged(module(tree()), market_uri, born_us=born + 40 * 86_400_000_000).judged["scores"]["relevant"] is None


def test_what_the_dataset_lacks_is_an_error_and_no_verdict(market_uri: str, tmp_path: Path) -> None:
    source = module(tree())
    with pytest.raises(DataError, match="not " + "0" * 64):
        judged(source, market_uri, root="0" * 64)
    with pytest.raises(DataError, match="no dataset there"):
        judged(source, str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="no rows of sector"):
        score_module(
            source, "m", topic=dataclasses.replace(TOPIC, sectors=("other",)), uri=market_uri, sandbox=InProcess()
        )
    with pytest.raises(DataError, match=r"too few|usable bars"):
        judged(source, write_market(tmp_path / "short.parquet", bars=200))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_get_a_verdict(market_uri: str, source: bytes) -> None:
    jail = InProcess()
    assert judged(source, market_uri, jail=jail).outcome == "invalid"
    assert not jail.jobs
