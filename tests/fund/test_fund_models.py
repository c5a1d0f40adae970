"""Asking models about bars: fitted on what was knowable, asked for what there is, the same in a replay as live."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from data.dataset import Dataset
from data.panel import PanelError, panel_from, panel_key
from data.schema import DAY_US
from data.splits import MAX_TRAIN_ROWS, thin
from fund.inference import ask, settle
from fund.models import Model, Questions
from fund.regime import NAMES, regimes
from fund.rows import Rows, rows_from, rows_of
from fund.topic_state import TopicState
from pipelines.identity import reseeded, seed_of
from pipelines.parser import block_hash, parse_module
from pipelines.spec import Call, canonical_text
from protocol.errors import ConfigError, DataError
from protocol.scores import gaussian_rank
from protocol.topics import Topic
from validator.evaluation import Replays
from validator.sandbox.host import Sandbox
from validator.sandbox.job import Job, Replay
from validator.sandbox.policy import Limits

sys.path.insert(0, str(Path(__file__).parents[1] / "validator"))

from in_process import InProcess  # the validator's stand-in for the jail
from made_market import market, module, ridge, tree

TOPIC = Topic(name="made", type="close-1d", broker="north", horizon=2, sectors=("equity-a",))
BARS = 300
WEEK = 7 * DAY_US
FIRST = 18_262  # 2020-01-01
SERIES = (("north", "equity-a", 7),)


def model(*steps: Call, weight: float = 1.0) -> Model:
    source = module(*steps)
    name = block_hash(source)
    seed = seed_of(name)
    return Model(name, canonical_text(reseeded(parse_module(source, "made"), seed)), seed, weight)


TREE, RIDGE = model(tree()), model(ridge())


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return market(bars=BARS, series=SERIES)


@pytest.fixture(scope="module")
def rows(table: pa.Table) -> Rows:
    return rows_from(table, TOPIC)


def until(table: pa.Table, day: int) -> pa.Table:
    """Return the bars that open before a day."""
    return table.filter(pc.less(table["datetime"], pa.scalar((FIRST + day) * DAY_US, pa.timestamp("us", "UTC"))))


def day(number: int) -> int:
    return (FIRST + number) * DAY_US


def questions(rows: Rows, jail: object | None = None, **options: object) -> Questions:
    replays = Replays(jail or InProcess(), Limits(), None)  # type: ignore[arg-type]  # a stand-in
    return Questions(rows, "k" * 64, replays, **{"refit_us": WEEK, **options})  # type: ignore[arg-type]  # refit_us only


def test_finished_rows_are_those_of_the_panel(table: pa.Table, rows: Rows) -> None:
    panel = panel_from(table, TOPIC)
    finished = ~np.isnan(rows.panel.label)
    assert rows.panel.feature_names == panel.feature_names
    for name in ("features", "time", "symbol", "realised", "target", "label"):
        np.testing.assert_array_equal(getattr(rows.panel, name)[finished], getattr(panel, name))
    open_rows = rows.panel.time[~finished]
    assert np.unique(open_rows).tolist() == [day(BARS - 3), day(BARS - 2), day(BARS - 1)], "horizon + 1 bars"


def test_a_series_about_to_end_is_asked_about_all_the_same(table: pa.Table) -> None:
    """Live nobody knows that it will end; a replay must not either."""
    symbol = table["symbol"][0].as_py()
    gone = pc.and_(
        pc.equal(table["symbol"], symbol),
        pc.greater_equal(table["datetime"], pa.scalar(day(260), pa.timestamp("us", "UTC"))),
    )
    rows = rows_from(table.filter(pc.invert(gone)), TOPIC)
    assert symbol in rows.symbols_at(day(259))
    assert symbol not in rows.symbols_at(day(260))
    truth = rows.truth(day(259), rows.symbols_at(day(259)), day(263))
    assert truth is not None
    assert np.isnan(truth).tolist() == [one == symbol for one in rows.symbols_at(day(259))]
    panel = panel_from(table.filter(pc.invert(gone)), TOPIC)
    assert panel.symbols.index(symbol) not in panel.symbol[panel.time >= day(257)], (
        "finished rows know three days before"
    )


@pytest.mark.parametrize("cut", [200, 231, 299])
def test_rows_regimes_and_truths_do_not_change_when_bars_are_added(table: pa.Table, rows: Rows, cut: int) -> None:
    early = rows_from(until(table, cut), TOPIC)
    n = early.panel.time.size
    np.testing.assert_array_equal(early.panel.features, rows.panel.features[:n])
    np.testing.assert_array_equal(early.regime, rows.regime[: early.grid.size])
    assert early.sectors == rows.sectors
    for back in range(5):
        time = day(cut - 1 - back)
        symbols = early.symbols_at(time)
        assert symbols == rows.symbols_at(time)
        ours, theirs = (one.truth(time, symbols, day(cut)) for one in (early, rows))
        assert (ours is None) == (theirs is None) == (back < 3)
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs)


def test_a_truth_is_the_target_once_the_exit_has_closed(table: pa.Table, rows: Rows) -> None:
    time = day(250)
    assert rows.truth(time, rows.symbols_at(time), day(254) - 1) is None
    truth = rows.truth(time, rows.symbols_at(time), day(254))
    panel = panel_from(table, TOPIC)
    np.testing.assert_array_equal(truth, panel.target[panel.time == time])
    state = TopicState.start(interval=DAY_US, horizon=2)
    assert state.known_at(time) == day(254)
    with_stranger = rows.truth(time, ("nobody", *rows.symbols_at(time)), day(254))
    assert with_stranger is not None
    assert np.isnan(with_stranger[0])
    assert not np.isnan(with_stranger[1:]).any()


def test_fits_see_only_finished_rows_before_the_period(rows: Rows) -> None:
    time = day(270)
    start = time // WEEK * WEEK
    question = questions(rows).question(time)
    last = int(rows.panel.time[question.train[-1]])
    assert last == start - (2 + 1 + 24 + 1) * DAY_US, "purge and embargo of every split"
    assert not np.isnan(rows.panel.label[question.train]).any()
    assert rows.panel.time[question.test[0]] == start
    assert rows.panel.time[question.test[1] - 1] == time
    panel, finished = rows.panel, np.flatnonzero(~np.isnan(rows.panel.label))
    expected = thin(panel.time, (0, int(np.searchsorted(panel.time, last + 1))), MAX_TRAIN_ROWS)
    np.testing.assert_array_equal(question.train, finished[expected])


@pytest.mark.parametrize("cut", [240, 266, 271])
def test_answers_are_the_same_whatever_comes_later(table: pa.Table, rows: Rows, cut: int) -> None:
    """A dataset that ends at the bar, one that goes on, and one that goes on quite differently."""
    time = day(cut - 1)
    closes = table["close"].to_numpy().copy()
    later = table["datetime"].cast(pa.int64()).to_numpy() >= day(cut)
    closes[later] *= np.exp(np.random.default_rng(0).standard_normal(int(later.sum())))
    other = rows_from(table.set_column(table.column_names.index("close"), "close", pa.array(closes)), TOPIC)
    given = [
        questions(one).answers([TREE, RIDGE], time, ahead=ahead)
        for one, ahead in ((rows_from(until(table, cut), TOPIC), False), (rows, False), (rows, True), (other, True))
    ]
    assert not np.array_equal(rows.panel.features, other.panel.features)
    for one in given:
        assert one.symbols == given[0].symbols
        assert set(one.values) == {TREE.block_hash, RIDGE.block_hash}
        np.testing.assert_array_equal(one.regime, given[0].regime)
        for name, value in one.values.items():
            np.testing.assert_array_equal(value, given[0].values[name])


def test_a_period_asked_ahead_is_fitted_once(rows: Rows) -> None:
    ahead, live = InProcess(), InProcess()
    many, single = questions(rows, ahead), questions(rows, live)
    start = day(270) // WEEK * WEEK
    for number in range(7):
        time = start + number * DAY_US
        one, other = many.answers([TREE], time, ahead=True), single.answers([TREE], time)
        np.testing.assert_array_equal(one.values[TREE.block_hash], other.values[TREE.block_hash])
    assert (len(ahead.jobs), len(live.jobs)) == (1, 7)
    many.answers([TREE], start + WEEK, ahead=True)
    assert len(ahead.jobs) == 2


def test_values_are_gaussianised_ranks_of_the_bar(rows: Rows) -> None:
    answers = questions(rows).answers([TREE], day(270))
    value = answers.values[TREE.block_hash]
    np.testing.assert_array_equal(value, gaussian_rank(value, np.zeros(7, np.int64)))
    assert value.any()
    assert answers.standing == {TREE.block_hash: 1.0}


class Failing(InProcess):
    """Fails from a day on: the job that holds it ends without an answer."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def run(self, job: Job) -> Replay:
        replay = super().run(job)
        return Replay("cpu", "60 s are used up", None, 60, 60, 1) if len(job.batches) > self.last else replay


def test_a_model_speaks_until_it_fails_in_a_replay_too(rows: Rows) -> None:
    start = day(270) // WEEK * WEEK
    ahead, live = questions(rows, Failing(4)), questions(rows, Failing(4))
    for number in range(7):
        one, other = (
            ahead.answers([TREE], start + number * DAY_US, ahead=True),
            live.answers([TREE], start + number * DAY_US),
        )
        assert set(one.values) == set(other.values) == ({TREE.block_hash} if number < 4 else set())
        assert one.failed == other.failed
        assert ("60 s" in one.failed.get(TREE.block_hash, "")) == (number >= 4)
    assert len(ahead.replays.costs) == 8, "asked ahead in vain once, then day by day"


def test_a_model_that_fails_is_named_and_the_others_speak(rows: Rows) -> None:
    broken = Model("b" * 64, "not a pipeline", 0)
    answers = questions(rows).answers([broken, TREE, model(tree(3), weight=0.0)], day(270))
    assert set(answers.values) == {TREE.block_hash}
    assert set(answers.failed) == {broken.block_hash}
    state = TopicState.start(interval=DAY_US, horizon=2)
    _, inference = ask(state, answers)
    assert dict(inference.shares) == {TREE.block_hash: 1.0}
    assert "failed" in dict(inference.absent)[broken.block_hash]
    nobody = questions(rows).answers([broken], day(270))
    assert ask(state, nobody)[1].is_empty
    assert ask(state, questions(rows).answers([], day(270)))[1].is_empty


def test_what_cannot_be_asked_is_refused(table: pa.Table, rows: Rows) -> None:
    with pytest.raises(DataError, match="no cross-section"):
        questions(rows).answers([TREE], day(100))
    with pytest.raises(DataError, match="too few to fit on"):
        questions(rows).answers([TREE], day(180))
    with pytest.raises(ConfigError, match="more often"):
        questions(rows, refit_us=DAY_US // 2)
    with pytest.raises(PanelError, match="at least 5"):
        rows_from(market(bars=200, series=(("north", "equity-a", 4),)), TOPIC)
    with pytest.raises(PanelError, match="equity-z"):
        rows_from(table, Topic(name="made", type="close-1d", broker="north", horizon=2, sectors=("equity-z",)))
    with pytest.raises(PanelError, match="no rows"):
        rows_from(table.slice(0, 0), TOPIC)
    with pytest.raises(PanelError, match="longer series"):
        rows_from(until(table, 100), TOPIC)
    with pytest.raises(DataError, match="no bar"):
        rows.regime_at(day(BARS + 5))


def test_a_tree_that_sees_the_signal_becomes_the_network(tmp_path: Path) -> None:
    """From a dataset to shares, over eighty days: the tree sees the planted signal, the ridge cannot."""
    path, bars = tmp_path / "market.parquet", 520
    pq.write_table(market(bars=bars, series=(("north", "equity-a", 9),)), path)
    dataset, topic = Dataset.open(str(path)), replace(TOPIC, horizon=1)
    rows = rows_of(dataset, topic, tmp_path / "panels")

    def opened(jail: InProcess) -> Questions:
        return Questions(
            rows, panel_key(dataset.known_root, topic), Replays(jail, Limits(), tmp_path / "answers"), 4 * WEEK
        )

    jail, state = InProcess(), TopicState.start(interval=DAY_US, horizon=1)
    asked, losses = opened(jail), dict[str, list[float]]()
    for time in rows.times[rows.times >= day(bars - 80)].tolist():
        close = time + DAY_US
        while state.pending:
            old = state.pending[0]
            truth = rows.truth(old.time, old.inference.symbols, close)
            if truth is None:
                break
            state, settlement = settle(state, old.time, truth, asof=close)
            assert settlement
            for name, loss in settlement.losses.items():
                losses.setdefault(name, []).append(loss)
        state, inference = ask(state, asked.answers([TREE, RIDGE], time, ahead=True))
    assert len(losses["network"]) == 78
    assert np.mean(losses[TREE.block_hash]) < np.mean(losses[RIDGE.block_hash]) - 0.1
    assert np.mean(losses["network"]) < np.mean(losses[RIDGE.block_hash]) - 0.1
    assert dict(inference.shares)[TREE.block_hash] > 0.6
    assert len(jail.jobs) <= 2 * 4
    restarted = InProcess()
    opened(restarted).answers([TREE, RIDGE], day(bars - 1), ahead=True)
    assert not restarted.jobs, "the answers are still known"


def test_the_real_jail_answers_alike(rows: Rows) -> None:
    with Sandbox() as sandbox:
        jailed = questions(rows, sandbox).answers([TREE, RIDGE], day(270))
    free = questions(rows).answers([TREE, RIDGE], day(270))
    assert jailed.failed == {}
    for name, value in free.values.items():
        np.testing.assert_allclose(jailed.values[name], value, atol=1e-12)


def returns(seed: int, bars: int = 400, symbols: int = 6) -> NDArray[np.float64]:
    return 0.01 * np.random.default_rng(seed).standard_normal((bars, symbols))


def test_regimes_tell_kinds_of_market_apart() -> None:
    grid = day(0) + DAY_US * np.arange(400)
    plain = regimes(returns(0), grid, DAY_US)
    column = {name: place for place, name in enumerate(NAMES)}
    wild, common, rising, repeating = returns(0), returns(0), returns(0), returns(0)
    wild[-24:] *= 3
    common[-24:] = common[-24:, :1]
    rising[-24:] += 0.01
    repeating[1:] = 0.6 * repeating[:-1] + repeating[1:]
    assert regimes(wild, grid, DAY_US)[-1, column["volatility"]] > 1 > plain[-1, column["volatility"]]
    assert regimes(common, grid, DAY_US)[-1, column["dispersion"]] < -1 < plain[-1, column["dispersion"]]
    assert regimes(rising, grid, DAY_US)[-1, column["trend"]] > 2 > plain[-1, column["trend"]]
    assert regimes(-rising, grid, DAY_US)[-1, column["trend"]] < -2
    assert regimes(repeating, grid, DAY_US)[-1, column["autocorrelation"]] > 1 > plain[-1, column["autocorrelation"]]
    assert not plain[:, [column["hour_sin"], column["hour_cos"]]].any(), "a day has no hour"
    assert np.unique(plain[:, column["week_sin"]].round(9)).size > 3
    assert not plain[:167, :4].any()
    assert plain[168:, :4].all()
    hours = regimes(returns(0), day(0) + 3_600_000_000 * np.arange(400), 3_600_000_000)
    assert hours[:, column["hour_sin"]].std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("cut", [1, 100, 168, 300])
def test_regimes_look_back_only(cut: int) -> None:
    grid = day(0) + DAY_US * np.arange(400)
    whole, gaps = returns(1), np.random.default_rng(2).random((400, 6)) < 0.2
    whole[gaps] = np.nan
    other = whole.copy()
    other[cut:] = 5 * returns(3)[cut:]
    ours, theirs = (regimes(one, grid, DAY_US) for one in (whole, other))
    np.testing.assert_array_equal(ours[:cut], theirs[:cut])
    np.testing.assert_array_equal(regimes(whole[:cut], grid[:cut], DAY_US), ours[:cut])
    assert np.isfinite(ours).all()
    assert np.abs(ours).max() <= 3


def test_a_market_that_stands_still_is_nothing_out_of_the_ordinary() -> None:
    still = regimes(np.zeros((300, 5)), day(0) + DAY_US * np.arange(300), DAY_US)
    assert not still[:, :4].any()
