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
from made_market import SERIES, TOPIC, market, module, ridge, tree, write_market

from data.dataset import Dataset
from protocol.errors import DataError
from validator.evaluation import Contender, ReplayFailedError, baselines
from validator.live import PATIENCE_DAYS, Evidence, evidence_of, groups_before
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


@pytest.fixture(scope="module")
def wide_table() -> pa.Table:
    return market(bars=BARS, series=(*SERIES[:3], ("south", "fx", 5)))


@pytest.fixture(scope="module")
def wide_uri(wide_table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("wide") / "market.parquet"
    pq.write_table(wide_table, path)
    return str(path)


def without(table: pa.Table, sector: str, first: int, last: int = FIRST + BARS) -> pa.Table:
    """Return the rows but those of a sector on days [first, last)."""
    start, end = (pa.scalar(day * DAY_US, pa.timestamp("us", "UTC")) for day in (first, last))
    between = pc.and_(pc.greater_equal(table["datetime"], start), pc.less(table["datetime"], end))
    return table.filter(pc.invert(pc.and_(between, pc.equal(table["sector"], sector))))


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
    assert found.last_day % 7 == 3, "Sundays: the last day of the last week"
    assert found.last_day + 1 < FIRST + BARS
    same = evidence(uri, subject=Known(module(ridge())).contender, until_day=found.last_day)
    assert same
    assert (same.log_e, same.days) == (found.log_e, found.days)
    assert found.days > 20


def test_a_pipeline_that_does_not_answer_is_no_evidence(long_uri: str) -> None:
    with pytest.raises(ReplayFailedError, match="declared"):
        evidence(long_uri, sandbox=InProcess({0: ("cpu", "slow")}))


def test_the_ledger_has_millionths(long_uri: str) -> None:
    found = evidence(long_uri)
    assert found
    assert dataclasses.replace(found, log_e=1.25).log_e_micro == 1_250_000


def test_undeclared_groups_give_evidence_too(wide_uri: str) -> None:
    jail = InProcess()
    found = evidence(wide_uri, sandbox=jail)
    assert found
    assert set(found.groups) == {"declared", "north close-1d equity-b", "north close-1d equity-c", "south close-1d fx"}
    assert found.groups[0] == "declared"
    assert len(jail.jobs) == 4, "one fit on each; the bar is no pipeline"
    assert all(job.train.shape[1] == jail.jobs[0].train.shape[1] for job in jail.jobs)
    assert found.log_e > np.log(20)


@pytest.mark.parametrize("day", [BORN + 40, BORN + 100])
def test_the_path_over_groups_does_not_change_either(
    wide_table: pa.Table, wide_uri: str, tmp_path: Path, day: int
) -> None:
    """One group lags by a week: its days are waited for."""
    late = without(wide_table, "fx", day - 7)
    early = evidence(cut(late, day, tmp_path / "late.parquet"))
    whole = evidence(wide_uri)
    assert whole
    assert early
    assert early.last_day <= day - 7 - 4
    np.testing.assert_array_equal(early.path.log_e, whole.path.log_e[: early.path.log_e.size])
    same = evidence(wide_uri, until_day=early.last_day)
    assert same
    assert (same.log_e, same.days, same.mean) == (early.log_e, early.days, early.mean)


def test_a_silent_group_is_waited_for_and_then_no_more(wide_table: pa.Table, tmp_path: Path) -> None:
    """It ends, and in one world trades again: what was found in between stays."""
    silent = BORN + 40
    ended = without(wide_table, "fx", silent)
    waiting = evidence(cut(ended, silent + PATIENCE_DAYS, tmp_path / "waiting.parquet"))
    assert waiting
    assert waiting.last_day < silent
    later = evidence(cut(ended, silent + 60, tmp_path / "later.parquet"))
    assert later
    assert later.last_day == silent + 60 - 4
    assert "south close-1d fx" in later.groups
    resumed = without(wide_table, "fx", silent, silent + 70)
    again = evidence(cut(resumed, silent + 100, tmp_path / "again.parquet"))
    assert again
    assert again.last_day == silent + 100 - 4
    for part in (waiting, later):
        np.testing.assert_array_equal(part.path.log_e, again.path.log_e[: part.path.log_e.size])


def test_a_group_that_has_no_day_yet_is_waited_for(wide_table: pa.Table, tmp_path: Path) -> None:
    gone = without(wide_table, "fx", BORN + 1)
    assert evidence(cut(gone, BORN + 12, tmp_path / "12.parquet")) is None
    found = evidence(cut(gone, BORN + 40, tmp_path / "40.parquet"))
    assert found
    assert "south close-1d fx" not in found.groups


def test_groups_follow_from_the_past_and_the_block(wide_table: pa.Table, tmp_path: Path) -> None:
    start = (BORN + 1) * DAY_US
    table = market(bars=BARS, series=(*SERIES, *(("south", f"metal-{name}", 5) for name in "abcde")))
    table = without(table, "crypto-a", BORN - PATIENCE_DAYS - 1)
    table = without(table, "metal-a", FIRST, BORN + 1)

    def chosen(rows: pa.Table, salt: str) -> list[str]:
        path = tmp_path / "rows.parquet"
        pq.write_table(rows, path)
        return [group.name for group in groups_before(Dataset.open(str(path)).read_keys(), TOPIC, start, salt)]

    names = chosen(table, "0" * 64)
    assert len(names) == 8
    for absent in ("north close-1d crypto-a", "south close-1d metal-a"):
        assert absent not in names, "it ended before, or began after"
    past = table.filter(pc.less(table["datetime"], pa.scalar(start, pa.timestamp("us", "UTC"))))
    assert chosen(past, "0" * 64) == names
    assert len({tuple(chosen(past, f"{salt:064x}")) for salt in range(4)}) > 1


def test_asking_again_costs_nothing(wide_uri: str, tmp_path: Path) -> None:
    first, again = InProcess(), InProcess()
    bar = Known(module(ridge())).contender
    found = evidence(wide_uri, bar=bar, sandbox=first, cache=tmp_path)
    same = evidence(wide_uri, bar=bar, sandbox=again, cache=tmp_path)
    assert found
    assert same
    assert (len(first.jobs), len(again.jobs)) == (8, 0)
    np.testing.assert_array_equal(found.path.log_e, same.path.log_e)
    assert (found.log_e, found.days, found.groups) == (same.log_e, same.days, same.groups)
    other = evidence(wide_uri, bar=bar, sandbox=again, cache=tmp_path, born_us=(BORN + 1) * DAY_US)
    assert other
    assert len(again.jobs) == 8
