"""LTFT over a replay: the live cycle's own amounts, and no wei lost; and where modules come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made_funds import FIRST, HOUR, HOUR_S, NAMES, ORACLE, POLICY, TOPIC, US, Asked, Floats, Fund, reversal

from data.synthetic import synthetic
from fund.desk import Trading
from fund.forecasters import FORECASTERS
from fund.market_events import Bought
from fund.models import Model
from fund.nav import FundFees
from fund.origins import called, origin_of
from fund.quotes import Quotes
from fund.replay import Course, Setting, replay
from fund.replay_token import FUND, Tokens
from fund.rows import rows_from
from fund.units import WEI
from miner.candidate import Candidate
from miner.config import RunConfig
from miner.journal import Journal
from pipelines.parser import parse_module
from pipelines.spec import canonical_text
from protocol.errors import DataError
from protocol.head.schedule import Period
from protocol.ltft.emission import SCHEDULE, Schedule

#: Gains are paid over every second hour, so that a short replay has some.
FEES = FundFees(period=2 * HOUR)
MONEY = 1_000 * WEI


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return synthetic("linear", n_symbols=8, n_bars=400, strength=0.8, seed=4)  # with gains


def play(
    table: pa.Table,
    tokens: Tokens,
    *,
    bars: int = 30,
    says: Callable[[str, Floats], Floats] = reversal,
    gone: int = 10**9,
) -> Iterator[Course]:
    """Replay with the models of the names until bar `gone`; the tokens follow."""
    quotes, asked = Quotes.of(table), Asked(rows_from(table, TOPIC), says)
    setting = Setting((FIRST - HOUR_S) * US, (FIRST + (bars - 1) * HOUR_S) * US, money=MONEY, fees=FEES)
    models = [Model(name, "", 0) for name in NAMES]
    last = (FIRST + gone * HOUR_S) * US
    for course in replay(quotes, asked, lambda time: models if time < last else [], setting):  # type: ignore[arg-type]  # asked as Questions are
        tokens.follow(course)
        yield course


def tokens_of(**options: object) -> Tokens:
    return replace(Tokens.of(TOPIC.name, dict(zip(NAMES, ("a.py", "b.py", "c.py"), strict=True))), **options)  # type: ignore[arg-type]  # the options are a Tokens'


def accounted(tokens: Tokens) -> None:
    """Every wei that was emitted or bought is somewhere, once."""
    assert tokens.market is not None
    earned = sum(one.amount for one in tokens.earnings)
    assert tokens.emission == tokens.minted + sum(tokens.unminted.values())
    assert tokens.market.sums.rewarded == tokens.taken + tokens.deposits
    assert earned == tokens.minted + tokens.taken == sum(one["amount"] for one in tokens.earned())
    assert all(sum(one["roles"].values()) == one["amount"] for one in tokens.earned())
    assert min(tokens.deposits, tokens.minted, *tokens.unminted.values(), 0) == 0


def test_heads_buy_and_pay_as_the_live_cycle_does(tmp_path: Path, table: pa.Table) -> None:
    policy = replace(
        POLICY, trading=Trading(money=MONEY, fees=FEES), forecasters=dict.fromkeys(FORECASTERS, ORACLE.address)
    )
    fund = Fund(tmp_path / "fund.sqlite", table, policy=policy, replay=True)
    for name in NAMES:
        fund.block(name)
    tokens, judged = tokens_of(), 0
    for bar, _ in enumerate(play(table, tokens)):
        time = FIRST + bar * HOUR_S
        made = fund.step(time)
        assert made.market == tokens.market
        assert list(made.events) == tokens.events[len(tokens.events) - len(made.events) :]
        live = {(one.role, one.source): one.amount for one in made.earnings}
        judged += sum(live.pop(key) for key in list(live) if key[0] == "reputer")
        assert {(one.role, one.source): one.amount for one in tokens.heads[-1].earnings} == live
        bought = sum(one.rewarded for one in made.events if isinstance(one, Bought))
        if bought:
            fund.send("deposit", time, amount=bought)
    fund.store.close()
    accounted(tokens)
    assert tokens.taken > 0
    assert tokens.unminted["nobody to pay for reputer"] == pytest.approx(judged)
    assert tokens.emission == SCHEDULE.until(29 * 6 + 1), "of the first HEAD's period and of all since"


@pytest.mark.parametrize("schedule", [SCHEDULE, Schedule(first=7, era=40, cap=700), Schedule(first=0, era=1, cap=0)])
def test_no_wei_is_lost(table: pa.Table, schedule: Schedule) -> None:
    tokens = tokens_of(schedule=schedule)
    for _ in play(table, tokens, gone=20):
        accounted(tokens)
    assert tokens.taken > 0
    assert not tokens.heads[-1].earnings, "nobody speaks any more"
    time, curves = tokens.curves()
    assert time.tolist() == [(FIRST + bar * HOUR_S) * US for bar in range(30)]
    assert list(curves) == ["a.py", "b.py", "c.py", FUND]
    for one in tokens.earned():
        assert (np.diff(curves[one["name"]]) >= 0).all()
        assert curves[one["name"]][-1] == pytest.approx(one["amount"] / WEI)
    assert json.loads(json.dumps(tokens.to_dict(), allow_nan=False))["not_minted"] == tokens.unminted


def test_what_is_bought_waits_while_nobody_can_be_paid(table: pa.Table) -> None:
    tokens = tokens_of()
    for _ in play(table, tokens, gone=0):
        accounted(tokens)
    assert tokens.market is not None
    assert tokens.deposits == tokens.market.sums.rewarded > 0
    assert tokens.to_dict()["bought_and_waiting"] == tokens.deposits


def test_without_models_nothing_is_minted_or_bought(table: pa.Table) -> None:
    tokens = tokens_of()
    for _ in play(table, tokens, gone=-10):
        accounted(tokens)
    assert (tokens.minted, tokens.taken, tokens.events, tokens.earnings) == (0, 0, [], [])
    assert tokens.unminted == {"no topic has weight": tokens.emission}
    assert {one["share"] for one in tokens.earned()} == {None}


def test_there_is_one_head_a_period(table: pa.Table) -> None:
    tokens = tokens_of()
    course = next(play(table, tokens))
    tokens.follow(course)
    assert len(tokens.heads) == 1
    assert tokens.last == Period.at(FIRST)


def test_a_block_that_is_no_hash_is_refused() -> None:
    with pytest.raises(DataError, match="is no hash of 64"):
        Tokens.of("made", {"a.py": "a.py"})


MODULE = (
    "from sklearn.linear_model import Ridge\nfrom sklearn.pipeline import make_pipeline\n"
    "exported_pipeline = make_pipeline(Ridge(alpha={}.0))\n"
)
START = 1_514_764_800 * US  # 2018-01-01


def run_of(folder: Path, uri: str, root: str = "", **options: object) -> Path:
    """Make the folder of a run that tried the first module, which lies in it."""
    folder.mkdir()
    file = folder / "pipeline.py"
    file.write_text(MODULE.format(1), encoding="utf-8")
    config = RunConfig(topic=TOPIC, data_uri=uri, data_root=root, **options)  # type: ignore[arg-type]  # the options are a RunConfig's
    journal = Journal.create(folder, config, {})
    journal.record_candidates(
        [Candidate(0, canonical_text(parse_module(MODULE.format(1))), "made", 1.0, 1.0, (), False)]
    )
    journal.close()
    return file


def warned(file: Path) -> list[str]:
    return origin_of(file, "x.py", parse_module(file.read_bytes())).warnings(START, "sample?until=2023-01-01")


def test_a_module_in_the_folder_of_an_earlier_run_raises_no_doubt(tmp_path: Path) -> None:
    file = run_of(tmp_path / "run", "anywhere?until=2018-01-01")
    origin = origin_of(file, "x.py", parse_module(file.read_bytes()))
    assert (origin.until, warned(file)) == (START, [])
    assert origin.to_dict() == {"name": "x.py", "until": "2018-01-01", "doubt": None}


def test_a_search_that_saw_what_is_replayed_is_named_with_the_remedy(tmp_path: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, tmp_path / "made.parquet")
    (later,) = warned(run_of(tmp_path / "later", "anywhere?until=2018-01-01T00:00:01"))
    assert "saw data until 2018-01-01T00:00:01Z, the replay begins 2018-01-01" in later
    assert "--data 'sample?until=2018-01-01' --no-record" in later
    from data.dataset import Dataset

    root = Dataset.open(str(tmp_path / "made.parquet")).known_root
    (whole,) = warned(run_of(tmp_path / "whole", str(tmp_path / "made.parquet"), root))
    assert "saw data until 2020-01-17T16:00:00Z" in whole


@pytest.mark.parametrize(
    ("uri", "options", "said"),
    [
        ("nowhere", {}, "not known: its run's data cannot be read: "),
        ("x?until=2018-01-01", {"start_from": ("{}",)}, "began with 1 pipelines that were there already"),
    ],
)
def test_what_a_run_does_not_tell_is_a_doubt(tmp_path: Path, uri: str, options: dict[str, object], said: str) -> None:
    (line,) = warned(run_of(tmp_path / "run", uri, **options))
    assert said in line
    assert "mine with --data" in line


def test_a_module_beside_no_run_or_of_another_is_a_doubt(tmp_path: Path) -> None:
    alone = tmp_path / "alone.py"
    alone.write_text(MODULE.format(1), encoding="utf-8")
    assert "not known: no journal.sqlite lies beside it" in warned(alone)[0]
    file = run_of(tmp_path / "run", "x?until=2018-01-01")
    file.write_text(MODULE.format(2), encoding="utf-8")
    assert "did not try this pipeline" in warned(file)[0]
    (tmp_path / "run" / "journal.sqlite").write_bytes(b"no database at all")
    assert "journal" in warned(file)[0]


def test_files_are_called_by_as_little_as_tells_them_apart() -> None:
    assert called([Path("runs/a/one.py"), Path("two.py")]) == ("one.py", "two.py")
    assert called([Path("runs/a/p.py"), Path("runs/b/p.py")]) == ("a/p.py", "b/p.py")
    assert called([Path("x/runs/p.py"), Path("y/runs/p.py"), Path("q.py")])[:2] == ("x/runs/p.py", "y/runs/p.py")
