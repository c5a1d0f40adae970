"""The loop over bars: infer, trade, settle, each thing in its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from numpy.typing import NDArray

from data.synthetic import synthetic
from fund.audit import audit
from fund.book import Book
from fund.journal import Fill, Order
from fund.models import Model
from fund.quotes import Quotes
from fund.replay import Course, Setting, replay
from fund.rows import Rows, rows_from
from fund.topic_state import Answers
from protocol.errors import DataError
from protocol.scores import gaussian_rank
from protocol.topics import Topic

HOUR = 3_600_000_000
TOPIC = Topic(name="made-1h", type="ohlcv-1h", broker="synthetic", horizon=1)
BARS, FIRST = 420, 300
NAMES = tuple(f"{number:064x}" for number in (1, 2, 3))


@dataclass
class Asked:
    """Stands for the jail: models are functions of the rows of a bar."""

    rows: Rows
    says: Callable[[str, NDArray[np.float64]], NDArray[np.float64]]
    times: list[int] = field(default_factory=list)

    def answers(self, models: Sequence[Model], time: int, *, ahead: bool = False) -> Answers:
        self.times.append(time)
        features = self.rows.panel.features[self.rows.at(time)]
        values = {}
        for model in models:
            said = self.says(model.block_hash, features)
            values[model.block_hash] = (
                gaussian_rank(said, np.zeros(said.size, np.int64)) if np.isfinite(said).all() else said
            )
        standing = {model.block_hash: model.weight for model in models}
        return Answers(time, self.rows.symbols_at(time), values, standing, {}, self.rows.regime_at(time))


def reversal(name: str, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bet against the last return: right on `linear` series; the third model bets the other way."""
    return features[:, 0] if name == NAMES[2] else -features[:, 0] + 1e-9 * int(name, 16) * np.arange(len(features))


def table(bars: int = BARS, strength: float = 0.8, seed: int = 1) -> pa.Table:
    return synthetic("linear", n_symbols=8, n_bars=bars, strength=strength, seed=seed)


def run(
    made: pa.Table,
    *,
    says: Callable[[str, NDArray[np.float64]], NDArray[np.float64]] = reversal,
    models: Sequence[str] = NAMES,
    stop: int = BARS,
) -> tuple[Course, Asked, Quotes]:
    quotes, asked = Quotes.of(made), Asked(rows_from(made, TOPIC), says)
    setting = Setting(int(quotes.grid[FIRST]), int(quotes.grid[min(stop, len(quotes.grid)) - 1]) + 1)
    *_, course = replay(quotes, asked, lambda _: [Model(name, "", 0) for name in models], setting)  # type: ignore[arg-type]  # asked as Questions are
    return course, asked, quotes


@pytest.fixture(scope="module")
def played() -> tuple[Course, Asked, Quotes]:
    return run(table())


def test_a_real_signal_is_found_and_the_wrong_model_loses_its_share(played: tuple[Course, Asked, Quotes]) -> None:
    course, _, _ = played
    losses = [one.losses for one in course.settlements]
    mean = {name: np.mean([loss[name] for loss in losses]) for name in ("network", NAMES[0], NAMES[2])}
    assert mean["network"] < 0 < mean[NAMES[2]]
    assert dict(course.inferences[-1].shares)[NAMES[2]] < 0.2


def test_every_bar_is_valued_and_the_audit_agrees_to_the_cent(played: tuple[Course, Asked, Quotes]) -> None:
    course, _, quotes = played
    opened = [int(quotes.grid[at]) for at in range(FIRST, BARS)]
    assert [one.time for one in course.valuations] == [time + HOUR for time in opened]
    found = audit(course.records, course.ticks, Setting(0, 1).fees)
    assert not found.differences
    assert found.navs[-1][1] == course.valuations[-1].nav // 10**16


def test_orders_fill_after_they_were_decided_and_truth_comes_in_its_time(played: tuple[Course, Asked, Quotes]) -> None:
    course, asked, _ = played
    orders = {record.id: record for record in course.records if isinstance(record, Order)}
    fills = [record for record in course.records if isinstance(record, Fill)]
    assert fills
    assert all(fill.time >= orders[fill.order].time for fill in fills)
    horizon = TOPIC.horizon + 2
    assert [one.time for one in course.settlements] == asked.times[: len(course.settlements)]
    assert len(asked.times) - len(course.settlements) == horizon - 1


def test_the_future_changes_nothing_before_it() -> None:
    whole = table()
    early, _, _ = run(whole, stop=360)
    cut = int(Quotes.of(whole).grid[360])
    spoilt = pc.add(
        whole["close"],
        pc.multiply(pc.cast(pc.greater_equal(pc.cast(whole["datetime"], pa.int64()), cut), pa.float64()), 5.0),
    )
    changed = whole.set_column(whole.column_names.index("close"), "close", spoilt)
    changed = changed.set_column(
        changed.column_names.index("high"), "high", pc.max_element_wise(changed["high"], spoilt)
    )
    again, _, _ = run(changed, stop=360)
    assert again.valuations == early.valuations
    assert [one.value.tolist() for one in again.inferences] == [one.value.tolist() for one in early.inferences]


def test_without_models_the_fund_stays_in_cash() -> None:
    course, _, _ = run(table(), models=())
    assert all(one.is_empty for one in course.inferences)
    assert {one.nav for one in course.valuations} == {course.valuations[0].nav}
    assert not [record for record in course.records if isinstance(record, Order)]


def test_a_model_that_breaks_is_absent_and_the_others_go_on() -> None:
    def says(name: str, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(len(features), np.nan) if name == NAMES[0] else reversal(name, features)

    course, _, _ = run(table(), says=says)
    assert course.inferences[-1].absent == ((NAMES[0], "its answer is not finite"),)
    assert course.settlements


def test_positions_are_sold_when_the_last_model_is_gone() -> None:
    made = table()
    quotes, asked = Quotes.of(made), Asked(rows_from(made, TOPIC), reversal)
    until = int(quotes.grid[350])
    setting = Setting(int(quotes.grid[FIRST]), int(quotes.grid[-1]) + 1)
    *_, course = replay(quotes, asked, lambda time: [Model(NAMES[0], "", 0)] * (time < until), setting)  # type: ignore[arg-type]  # asked as Questions are
    assert not any(course.book.lots(asset) for asset in course.book.instruments)


def test_a_span_without_bars_is_refused() -> None:
    made = table()
    quotes, asked = Quotes.of(made), Asked(rows_from(made, TOPIC), reversal)
    late = int(quotes.grid[-1]) + HOUR
    with pytest.raises(DataError, match="no bar opens"):
        next(replay(quotes, asked, lambda _: [], Setting(late, late + HOUR)))  # type: ignore[arg-type]  # asked as Questions are
    with pytest.raises(DataError, match="is none"):
        Setting(late, late)


def test_quotes_have_nothing_where_there_is_no_bar_and_sigma_looks_back() -> None:
    made = table(bars=60)
    gone = pc.and_(
        pc.equal(made["symbol"], "S003"),
        pc.greater(pc.cast(made["datetime"], pa.int64()), int(Quotes.of(made).grid[40])),
    )
    quotes = Quotes.of(made.filter(pc.invert(gone)))
    assert "synthetic:S003" in quotes.tick(40).quotes
    assert "synthetic:S003" not in quotes.tick(41).quotes
    assert np.isnan(quotes.sigma(10, quotes.symbols)).all()
    whole = quotes.sigma(50, quotes.symbols)
    assert (whole[[0, 1, 2]] > 0).all()
    short = Quotes.of(made.filter(pc.less_equal(pc.cast(made["datetime"], pa.int64()), int(quotes.grid[50]))))
    np.testing.assert_array_equal(short.sigma(50, ("S000",)), whole[:1])


def test_quotes_of_several_brokers_are_refused() -> None:
    made = table(bars=5)
    field = made.schema.field("broker")
    other = made.set_column(made.schema.get_field_index("broker"), field, pa.array(["x"] * made.num_rows))
    with pytest.raises(DataError, match="one broker"):
        Quotes.of(pa.concat_tables([made, other]))


def test_funding_is_due_in_the_bar_in_which_it_is_settled() -> None:
    made = table(bars=20)
    grid = Quotes.of(made).grid
    eight = made.filter(pc.equal(pc.cast(made["datetime"], pa.int64()), int(grid[0]))).select(
        ["datetime", "sector", "broker", "symbol"]
    )
    series = eight.append_column("type", pa.array(["funding-8h"] * 8)).append_column(
        "rate", pa.array([1e-4] * 7 + [None])
    )
    quotes = Quotes.of(made, series)
    assert not quotes.tick(6).funding
    settled = int(grid[0]) + 8 * HOUR
    assert quotes.tick(7).funding == {(f"synthetic:S00{number}", settled): 1e-4 for number in range(7)}
    assert not quotes.tick(8).funding
    with pytest.raises(DataError, match="no column rate"):
        Quotes.of(made, made)


def test_series_without_opens_or_volumes_fill_at_the_close() -> None:
    made = table(bars=5)
    for name, fills in (("volume", "close"), ("open", "close"), ("high", "open")):
        empty = pa.array([None] * made.num_rows, pa.float64())
        changed = made.set_column(made.column_names.index(name), name, empty)
        assert {one.fills for one in Quotes.of(changed).newly_listed(Book(), 0)} == {fills}
