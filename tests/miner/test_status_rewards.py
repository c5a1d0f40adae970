"""`ltminer status` where HEADs pay: who speaks, with what weight, what came of it, and the rest whatever a fund says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_calls import call_main, failed
from made_network import TOPIC, decide, module

from infra.network import MINER, find_key
from infra.settings import load_settings
from miner.submission import submit
from protocol.head.head import HeadModel, HeadTopic
from protocol.head.rewards import Earning
from protocol.ledger.params import LTFT

sys.path.insert(0, str(Path(__file__).parents[1] / "infra"))

from made_rewards import Fund, open_fund

FULL = 10**9


@pytest.fixture
def fund(home: Path) -> Iterator[Fund]:
    with open_fund() as opened:
        yield opened


def accepted(fund: Fund, alpha: float) -> str:
    """Hand in a module of the home's miner and have it accepted; return its hash."""
    made = module(alpha)
    submit(fund.ledger, find_key(load_settings(), MINER), made, TOPIC, name="miner", say=lambda _: None)
    decide(fund.ledger, fund.validator, made.block_hash, "accepted", "record")
    return made.block_hash


def topics(*models: tuple[str, int]) -> tuple[HeadTopic, ...]:
    return (HeadTopic(TOPIC, tuple(HeadModel(name, "provisional", weight) for name, weight in sorted(models))),)


def document(*words: str) -> Any:
    result = call_main(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_status_tells_who_speaks_and_what_it_earned(fund: Fund) -> None:
    miner = find_key(load_settings(), MINER).address
    one, two = accepted(fund, 1.0), accepted(fund, 2.0)
    facts = document("status", "--fund", fund.url)
    assert [(one["head"], one["earned"]) for one in facts] == [(None, None)] * 2  # no HEAD yet
    assert "HEAD" not in call_main("status", "--fund", fund.url).stdout
    assert fund.asked == []

    paid = [Earning(miner, amount, TOPIC, "inference", name) for name, amount in ((one, LTFT), (two, 2 * LTFT))]
    first = fund.stamp(*paid, topics=topics((one, 343_566_035), (two, 5)))
    head = fund.stamp(paid[0], Earning(miner, 7, TOPIC, "forecast", "steady"), topics=topics((one, 343_566_035)))
    three = accepted(fund, 3.0)
    facts = document("status", "--fund", fund.url)
    assert [(said["block_hash"], said["head"], said["earned"]) for said in facts] == [
        (one, {"period": head.period, "role": "provisional", "weight": 343_566_035}, str(2 * LTFT)),
        (two, None, str(2 * LTFT)),
        (three, None, "0"),
    ]
    assert head.period > first.period
    shown = call_main("status", "--fund", fund.url).stdout
    for words in (
        f"HEAD  it speaks in HEAD {head.period} as provisional, with a weight of 0.344",
        f"HEAD  it does not speak in HEAD {head.period}: the evidence for it",
        f"HEAD  it does not speak in HEAD {head.period}: it is newer",
        "earned  2 LTFT\n",
        f"account  {miner}\n",
        f"earned  4.000000000000000007 LTFT up to HEAD {head.period}, 1.000000000000000007 LTFT of it in that one",
        f"2 LTFT for inferences of block {one[:16]} in us-daily, 2 HEADs",
        "0.000000000000000007 LTFT for forecasts of steady in us-daily, 1 HEAD\n",
        "claimable  4.000000000000000007 LTFT: `ltminer claim`",
        "claimed  0 LTFT",
    ):
        assert words in shown
    (found,) = document("status", two[:12], "--fund", fund.url)
    assert (found["head"], found["earned"]) == (None, str(2 * LTFT))


def test_without_a_fund_it_tells_what_the_ledger_knows(fund: Fund) -> None:
    miner = find_key(load_settings(), MINER).address
    name = accepted(fund, 1.0)
    fund.stamp(Earning(miner, LTFT, TOPIC, "inference", name), topics=topics((name, FULL)))
    (facts,) = document("status")
    assert (facts["head"]["weight"], facts["earned"]) == (FULL, None)
    assert document("claim", "--fund", fund.url)["paid"] == str(LTFT)
    result = call_main("status")
    assert "with a weight of 1.000" in result.stdout
    assert "claimed  1 LTFT" in result.stdout
    assert "claimable" not in result.stdout
    assert result.stderr == ""
    assert len(fund.asked) == 1


def test_a_fund_that_lies_or_is_not_there_changes_nothing_of_the_rest(fund: Fund) -> None:
    miner = find_key(load_settings(), MINER).address
    name = accepted(fund, 1.0)
    fund.stamp(Earning(miner, LTFT, TOPIC, "inference", name), topics=topics((name, FULL)))
    without = call_main("status")
    fund.lie = lambda said: said | {"total": str(5 * LTFT)}
    for url, words in ((fund.url, "does not hold: the claim of"), ("http://127.0.0.1:1", "no answer from")):
        result = call_main("status", "--fund", url)
        assert (result.exit_code, result.stdout) == (0, without.stdout)
        assert "what was earned is not known: " in result.stderr
        assert words in result.stderr
        (facts,) = document("status", "--fund", url)
        assert (facts["head"]["role"], facts["earned"]) == ("provisional", None)
    failed(call_main("claim", "--fund", "http://127.0.0.1:1"), 4, "no answer from http://127.0.0.1:1/v1/account")


def test_what_is_no_block_yet_has_no_place_in_a_head(fund: Fund) -> None:
    fund.stamp()
    made = module(4.0)
    submit(fund.ledger, find_key(load_settings(), MINER), made, TOPIC, name="miner", say=lambda _: None)
    (facts,) = document("status", "--fund", fund.url)
    assert (facts["phase"], facts["head"], facts["earned"]) == ("open", None, "0")
    assert "HEAD  " not in call_main("status", "--fund", fund.url).stdout
