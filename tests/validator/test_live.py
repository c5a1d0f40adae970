"""Evidence on days after a block: it grows with skill, comes from those days alone, and does not change in hindsight."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from in_process import InProcess
from made_market import TOPIC, market, module, ridge, tree, write_market

from protocol.errors import DataError
from validator.evaluation import Contender, ReplayFailedError, baselines
from validator.live import Evidence, evidence_of
from validator.record import Known

DAY_US = 86_400_000_000
BARS = 700
FIRST = 18_262  # 2020-01-01
BORN = FIRST + 500
ZERO = baselines()[0]
TREE = Known(module(tree())).contender


def evidence(uri: str, subject: Contender = TREE, bar: Contender = ZERO, **options: Any) -> Evidence | None:
    given: dict[str, Any] = {"topic": TOPIC, "born_us": BORN * DAY_US + 12_345, "sandbox": InProcess(), **options}
    return evidence_of(subject, bar, uri=uri, **given)


@pytest.fixture(scope="module")
def long_table() -> pa.Table:
    return market(bars=BARS, series=(("north", "equity-a", 8),))


@pytest.fixture(scope="module")
def long_uri(long_table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("long") / "market.parquet"
    pq.write_table(long_table, path)
    return str(path)


def cut(table: pa.Table, day: int, path: Path) -> str:
    """Write the rows whose bars open before `day`."""
    pq.write_table(table.filter(pc.less(table["datetime"], pa.scalar(day * DAY_US, pa.timestamp("us", "UTC")))), path)
    return str(path)


def test_skill_is_crowned_and_its_absence_is_dropped(long_uri: str) -> None:
    found = evidence(long_uri)
    assert found
    assert found.log_e > np.log(20)
    assert found.mean > 0.2
    assert found.first_day == BORN + 1
    worse = evidence(long_uri, subject=ZERO, bar=TREE)
    assert worse
    assert worse.log_e <= 0
    assert worse.mean == -found.mean


def test_a_pipeline_has_no_evidence_against_itself(long_uri: str) -> None:
    found = evidence(long_uri, bar=TREE)
    assert found
    assert (found.log_e, found.mean) == (0.0, 0.0)


def test_the_path_does_not_change_when_days_are_added(long_table: pa.Table, long_uri: str, tmp_path: Path) -> None:
    whole = evidence(long_uri)
    assert whole
    for day in (BORN + 40, BORN + 100):
        early = evidence(cut(long_table, day, tmp_path / f"{day}.parquet"))
        assert early
        assert early.last_day <= day - 4, "a target takes two more bars, and the last day may still grow"
        np.testing.assert_array_equal(early.path.log_e, whole.path.log_e[: early.path.log_e.size])
        same = evidence(long_uri, until_day=early.last_day)
        assert same
        assert (same.log_e, same.days, same.last_day) == (early.log_e, early.days, early.last_day)


def test_nothing_after_the_block_is_learnt_from(long_uri: str) -> None:
    jail = InProcess()
    evidence(long_uri, sandbox=jail)
    (job,) = jail.jobs
    sooner = InProcess()
    evidence(long_uri, sandbox=sooner, born_us=(BORN - 50) * DAY_US)
    assert job.train.shape[0] - sooner.jobs[0].train.shape[0] == 50 * 8
    assert job.test.shape[0] + job.train.shape[0] + 8 * (2 + 24) == 8 * (BARS - 168 - 2), "purge and embargo between"


def test_before_a_day_is_finished_there_is_no_evidence(long_table: pa.Table, long_uri: str, tmp_path: Path) -> None:
    assert evidence(cut(long_table, BORN + 2, tmp_path / "short.parquet")) is None
    assert evidence(long_uri, born_us=(FIRST + BARS) * DAY_US) is None
    assert evidence(long_uri, until_day=BORN) is None
    assert evidence(long_uri, until_day=FIRST + BARS) is None, "these data do not reach that day"


def test_without_a_past_there_is_nothing_to_fit_on(long_uri: str) -> None:
    with pytest.raises(DataError, match="too few to fit on"):
        evidence(long_uri, born_us=(FIRST + 175) * DAY_US)


def test_small_panels_are_judged_by_finished_weeks(tmp_path: Path) -> None:
    uri = write_market(tmp_path / "small.parquet", bars=BARS, kind="linear", series=(("north", "equity-a", 3),))
    found = evidence(uri, subject=Known(module(ridge())).contender)
    assert found
    assert found.first_day % 7 == 4, "Mondays"
    assert found.first_day > BORN
    assert found.last_day + 7 < FIRST + BARS
    assert found.days > 20


def test_a_pipeline_that_does_not_answer_is_no_evidence(long_uri: str) -> None:
    with pytest.raises(ReplayFailedError, match="declared"):
        evidence(long_uri, sandbox=InProcess({0: ("cpu", "slow")}))


def test_the_ledger_has_millionths(long_uri: str) -> None:
    found = evidence(long_uri)
    assert found
    assert dataclasses.replace(found, log_e=1.25).log_e_micro == 1_250_000
