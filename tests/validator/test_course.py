"""The slices that contenders are asked on: what is known when, and what never leaves the host."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from made_market import SERIES, TOPIC, market, write_market

from data.dataset import Dataset
from data.panel_store import panels_folder
from data.splits import MAX_TRAIN_ROWS
from protocol.errors import DataError
from validator.course import Course, lay_course, scores_of
from validator.sandbox.policy import Limits

DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def course(market_uri: str, shared_home: Path) -> Course:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGTAIL_HOME", str(shared_home))
        return lay_course(Dataset.open(market_uri), TOPIC, panels_folder())


def test_every_training_target_is_known_before_the_first_test_bar(course: Course) -> None:
    assert len(course.slices) == 1 + 2 * len(course.groups)
    for one in course.slices:
        panel = one.panel
        known = panel.time[one.train] + (panel.horizon + 2) * panel.interval
        first = panel.time[one.test[0]]
        assert known.max() <= first - 24 * panel.interval, "purge and embargo"
        assert one.train.size <= MAX_TRAIN_ROWS


def test_the_declared_slice_is_the_last_fifth(course: Course) -> None:
    moments = np.unique(course.declared.panel.time)
    tested = np.unique(course.declared.panel.time[slice(*course.declared.test)])
    np.testing.assert_array_equal(tested, moments[int(0.8 * moments.size) :])


def test_a_job_holds_no_test_label_and_tiles_its_rows_by_timestamp(course: Course) -> None:
    for one in course.slices:
        job = one.job("text", 7, Limits())
        panel, rows = one.panel, np.arange(*one.test)
        np.testing.assert_array_equal(job.test, panel.features[rows][:, one.columns])
        np.testing.assert_array_equal(job.label, panel.label[one.train])
        time = panel.time[rows]
        assert [a for a, _ in job.batches] + [rows.size] == [0, *(b for _, b in job.batches)]
        assert all(np.ptp(time[a:b]) == 0 for a, b in job.batches)
        assert len(job.batches) == np.unique(time).size


def test_groups_show_the_declared_columns_in_their_order(market_uri: str, tmp_path: Path) -> None:
    """Panels of other types have more columns, between the declared ones."""
    table = market(series=(("north", "equity-a", 6),))
    parts = [table]
    for number, name in enumerate("bcdefg"):
        rich = market(series=(("north", f"equity-{name}", 5),), seed=10 + number)
        close = rich["close"]
        rich = rich.set_column(4, "type", pa.array(["ohlcv-1d"] * rich.num_rows))
        rich = rich.set_column(3, "symbol", pc.binary_join_element_wise(rich["symbol"], name, ""))
        extra = {"open": close, "high": pc.multiply(close, 1.01), "low": pc.multiply(close, 0.99), "volume": close}
        for column, values in extra.items():
            rich = rich.append_column(column, values)
        parts.append(rich)
    folder = tmp_path / "tree"
    for number, part in enumerate(parts):
        place = folder / f"type={'ohlcv-1d' if number else 'close-1d'}" / "broker=north"
        place.mkdir(parents=True, exist_ok=True)
        columns = ["datetime", "sector", "broker", "symbol", "type"]
        columns += ["open", "high", "low", "close", "volume"] if number else ["close"]
        pq.write_table(part.select(columns), place / f"{number}.parquet")
    laid = lay_course(Dataset.open(str(folder)), TOPIC, tmp_path / "panels")
    names = laid.declared.panel.feature_names
    for _, slices in laid.groups:
        assert {group.kind for group, _ in laid.groups} == {"type"}
        assert [slices[0].panel.feature_names[column] for column in slices[0].columns] == list(names)
        assert len(slices[0].panel.feature_names) > len(names)


def test_a_group_whose_panel_cannot_be_made_is_left_out(tmp_path: Path) -> None:
    """Five names in different years look like a group in the summary of none but the panel's maker."""
    table = market(series=(*SERIES, ("north", "zinc", 5)))
    flat = pc.equal(table["sector"], "zinc")
    still = pa.chunked_array([pc.if_else(flat.combine_chunks(), pa.scalar(1.0), table["close"].combine_chunks())])
    table = table.set_column(table.column_names.index("close"), "close", still)
    path = tmp_path / "market.parquet"
    pq.write_table(table, path)
    laid = lay_course(Dataset.open(str(path)), TOPIC, tmp_path / "panels")
    assert len(laid.groups) >= 6
    assert "zinc" not in {sector for group, _ in laid.groups for sector in group.sectors}


def test_a_long_history_does_not_outweigh_the_declared_one(tmp_path: Path) -> None:
    """The other series of the dataset are twice as long as those of the topic."""
    table = market(bars=900)
    young = pc.greater_equal(table["datetime"], pa.scalar(table["datetime"][450].as_py(), table["datetime"].type))
    path = tmp_path / "market.parquet"
    pq.write_table(table.filter(pc.or_(pc.not_equal(table["sector"], "equity-a"), young)), path)
    laid = lay_course(Dataset.open(str(path)), TOPIC, tmp_path / "panels")
    longest = np.ptp(laid.declared.panel.time)
    for _, slices in laid.groups:
        time = slices[0].panel.time
        assert np.ptp(time) > 2 * longest
        assert time[slices[-1].test[1] - 1] - time[slices[0].train[0]] <= longest


def test_day_scores_of_a_group_join_its_two_slices(course: Course) -> None:
    _, slices = course.groups[0]
    answers = [one.panel.target[slice(*one.test)] for one in slices]
    days = scores_of(slices, answers)
    tested = [np.unique(one.panel.time[slice(*one.test)]) // DAY_US for one in slices]
    np.testing.assert_array_equal(days.day, np.concatenate(tested))
    assert days.score.min() > 0.7, "a perfect forecast"


def test_a_course_is_named_by_its_content(course: Course, tmp_path: Path) -> None:
    keys = [one.key for one in course.slices]
    assert len(set(keys)) == len(keys)
    again = write_market(tmp_path / "again.parquet")
    same = lay_course(Dataset.open(again), TOPIC, panels_folder())
    assert [one.key for one in same.slices] == keys
    assert same.to_dict() == course.to_dict()
    longer = lay_course(Dataset.open(again), dataclasses.replace(TOPIC, horizon=2), panels_folder())
    assert not {one.key for one in longer.slices} & set(keys)


def test_a_damaged_dataset_is_an_error(market_uri: str, tmp_path: Path) -> None:
    table = pq.read_table(market_uri)
    path = tmp_path / "broken.parquet"
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    with pytest.raises(DataError, match="occurs twice"):
        lay_course(Dataset.open(str(path)), TOPIC, tmp_path / "panels")
