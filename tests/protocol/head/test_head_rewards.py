from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_heads import ADDRESS, MODELS

from protocol.consensus.allora import epoch
from protocol.consensus.allora.classes import Entropies, payout
from protocol.consensus.allora.loss import SQUARED
from protocol.consensus.allora.losses import Losses
from protocol.consensus.yuma.epoch import run_epoch
from protocol.errors import LongtailError, RefusedError
from protocol.head.rewards import AlloraTopic, Payees, Rewards, YumaTopic, allora_budgets, distribute

LTFT = 10**18
ANN, BEN, CLEO, DAN, EVE = (ADDRESS[name] for name in ("ann", "ben", "cleo", "dan", "eve"))
PAYEES = Payees({MODELS[0]: ANN, MODELS[1]: ANN, MODELS[2]: BEN, "regime": EVE})


def allora(**changes: Any) -> AlloraTopic:
    values: dict[str, Any] = {
        "topic": "a",
        "weight": 1.0,
        "inference": {MODELS[0]: 0.5, MODELS[1]: 0.25, MODELS[2]: 0.25},
        "forecast": {"regime": 1.0},
        "reputer": {CLEO: 0.75, DAN: 0.25},
        "entropies": Entropies(1.0, 0.5, 0.25),
        "chi": 0.25,
    }
    return AlloraTopic(**(values | changes))


def yuma(**changes: Any) -> YumaTopic:
    values: dict[str, Any] = {
        "topic": "y",
        "weight": 1.0,
        "owner": EVE,
        "incentive": {MODELS[0]: 1.0, MODELS[2]: 3.0},
        "dividends": {CLEO: 1.0},
    }
    return YumaTopic(**(values | changes))


def paid(rewards: Rewards) -> dict[tuple[str, str, str], int]:
    return {(one.account, one.role, one.source): one.amount for one in rewards.earnings}


def kept(rewards: Rewards) -> list[tuple[int, str]]:
    return [(one.amount, one.why) for one in rewards.kept]


def check_conserved(rewards: Rewards) -> None:
    assert sum(one.amount for one in rewards.earnings) + sum(one.amount for one in rewards.kept) == rewards.total
    assert all(one.amount > 0 for one in (*rewards.earnings, *rewards.kept))


def test_allora_classes_by_hand() -> None:
    # F = 1, G = 0.5, H = 0.25, chi = 1/4: gamma = 1.5 / 0.875; U = 0.75 gamma F = 9/7, V = 3/14, H = 1/4; sum 7/4
    rewards = distribute(4_900, [allora()], PAYEES)
    inference, forecast, reputer = 4_900 * Fraction(9, 7) / Fraction(7, 4), 600, 700
    assert (inference, forecast, reputer) == (3_600, 600, 700)
    assert paid(rewards) == {
        (ANN, "inference", MODELS[0]): 1_800,
        (ANN, "inference", MODELS[1]): 900,
        (BEN, "inference", MODELS[2]): 900,
        (EVE, "forecast", "regime"): 600,
        (CLEO, "reputer", CLEO): 525,
        (DAN, "reputer", DAN): 175,
    }
    assert rewards.kept == ()


def test_yuma_by_hand() -> None:
    backing = {CLEO: {CLEO: 300, DAN: 600, BEN: 100}}
    rewards = distribute(100_000, [yuma()], Payees(PAYEES.accounts, backing))
    assert paid(rewards) == {
        (EVE, "owner", "y"): 18_000,
        (ANN, "incentive", MODELS[0]): 10_250,
        (BEN, "incentive", MODELS[2]): 30_750,
        (CLEO, "dividend", CLEO): 12_300 + 5_166,  # its own 30 %, and 18 % of what the other 70 % earn
        (DAN, "delegation", CLEO): 20_172,
        (BEN, "delegation", CLEO): 3_362,
    }
    check_conserved(rewards)


def test_topics_share_by_weight_and_come_by_name() -> None:
    rewards = distribute(
        700, [yuma(weight=2e-9, dividends={}), allora(weight=5e-9), yuma(topic="z", weight=0.0)], PAYEES
    )
    by_topic: dict[str, int] = {}
    for one in (*rewards.earnings, *rewards.kept):
        by_topic[one.topic] = by_topic.get(one.topic, 0) + one.amount
    assert by_topic == {"a": 500, "y": 200}
    assert [one.topic for one in rewards.earnings] == sorted(one.topic for one in rewards.earnings)


@pytest.mark.parametrize(
    ("topics", "reason"),
    [
        ([], "no topic has weight"),
        ([allora(weight=0.0), yuma(weight=math.nan)], "no topic has weight"),
        ([allora(entropies=Entropies(0.0, 0.0, 0.0))], "no inferences, no forecasts and no judging"),
    ],
)
def test_nobody_to_pay_keeps_everything_and_says_so(topics: list[Any], reason: str) -> None:
    rewards = distribute(LTFT, topics, PAYEES)
    assert not rewards.earnings
    ((amount, why),) = kept(rewards)
    assert amount == LTFT
    assert why.startswith(reason)


def test_a_topic_without_models_pays_its_validators_and_keeps_the_rest() -> None:
    empty = {"inference": {}, "forecast": {}}
    rewards = distribute(4_900, [allora(**empty)], Payees({}))
    assert {one.role for one in rewards.earnings} == {"reputer"}
    assert kept(rewards) == [(3_600, "nobody to pay for inference"), (600, "nobody to pay for forecast")]
    check_conserved(rewards)


def test_without_validators_their_part_is_kept() -> None:
    rewards = distribute(4_900, [allora(reputer={})], PAYEES)
    assert kept(rewards) == [(700, "nobody to pay for reputer")]


def test_who_left_the_head_is_not_paid_and_nobody_gains_by_it() -> None:
    all_there = paid(distribute(4_900, [allora()], PAYEES))
    gone = Payees({name: account for name, account in PAYEES.accounts.items() if name != MODELS[0]})
    rewards = distribute(4_900, [allora()], gone)
    assert paid(rewards) == {key: amount for key, amount in all_there.items() if key[2] != MODELS[0]}
    ((amount, why),) = kept(rewards)
    assert amount == 1_800
    assert why == f"inference of {MODELS[0]}, which is not in the HEAD or has no account"


def test_the_owner_is_paid_only_where_somebody_works() -> None:
    idle = distribute(1_000, [yuma(incentive={MODELS[5]: 1.0}, dividends={CLEO: math.nan})], PAYEES)
    assert not idle.earnings
    assert (180, "the owner is paid only where somebody works") in kept(idle)
    check_conserved(idle)
    unowned = distribute(1_000, [yuma(owner="")], PAYEES)
    assert kept(unowned) == [(180, "the topic has no owner")]


def test_one_lone_model_and_one_wei() -> None:
    alone = distribute(1, [allora(inference={MODELS[0]: 1.0}, forecast={}, reputer={})], PAYEES)
    assert paid(alone) == {(ANN, "inference", MODELS[0]): 1}
    assert paid(distribute(5, [yuma()], PAYEES)) == {
        (BEN, "incentive", MODELS[2]): 2,  # 333,333,333 against 10**9: the other's part is just under half a wei
        (CLEO, "dividend", CLEO): 3,
    }  # the owner's 0.9 wei are rounded down
    assert distribute(0, [allora(), yuma()], PAYEES) == Rewards(0, (), ())
    assert distribute(0, [], PAYEES) == Rewards(0, (), ())


def test_why_is_said_in_words() -> None:
    backing = {CLEO: {CLEO: 1, DAN: 1}}
    whys = {
        one.role: one.why for one in distribute(LTFT, [allora(), yuma()], Payees(PAYEES.accounts, backing)).earnings
    }
    assert whys["inference"].startswith("inferences of block ")
    assert whys["forecast"] == "forecasts of regime in a"
    assert whys["delegation"] == f"stake delegated to {CLEO}, validator of y"
    assert set(whys) == {"inference", "forecast", "reputer", "incentive", "dividend", "delegation", "owner"}
    assert not any("{" in why for why in whys.values())


@pytest.mark.parametrize(
    ("total", "topics", "payees"),
    [
        (-1, [allora()], PAYEES),
        (1.0, [allora()], PAYEES),
        (2**256, [], PAYEES),
        (9, [allora(), allora()], PAYEES),
        (9, [allora(topic="A a")], PAYEES),
        (9, [allora(weight=-1.0)], PAYEES),
        (9, [allora(weight=math.inf)], PAYEES),
        (9, [allora(inference={MODELS[0]: -0.1})], PAYEES),
        (9, [allora(chi=0.0)], PAYEES),
        (9, [allora(chi=1.0)], PAYEES),
        (9, [allora(chi=math.nan)], PAYEES),
        (9, [allora(entropies=Entropies(-1.0, 0.0, 0.0))], PAYEES),
        (9, [allora(entropies=Entropies(math.inf, 0.0, 0.0))], PAYEES),
        (9, [allora(reputer={"cleo": 1.0})], PAYEES),
        (99, [yuma(owner=EVE.lower())], PAYEES),
        (9, [allora()], Payees({MODELS[0]: "ann"})),
        (99, [yuma()], Payees(PAYEES.accounts, {CLEO: {DAN: -1}})),
        (99, [yuma()], Payees(PAYEES.accounts, {CLEO: {"dan": 10}})),
    ],
)
def test_what_makes_no_sense_is_refused(total: Any, topics: list[Any], payees: Payees) -> None:
    with pytest.raises(LongtailError):
        distribute(total, topics, payees)


fraction = st.one_of(st.just(0.0), st.just(math.nan), st.floats(0, 1), st.floats(0, 1e-12), st.floats(0, 1e300))
blocks = st.dictionaries(st.sampled_from(MODELS), fraction)
people = st.dictionaries(st.sampled_from(sorted(ADDRESS.values())), fraction)
entropy = st.one_of(st.just(0.0), st.floats(0, 5), st.floats(0, 1e-9))
some_allora = st.builds(
    AlloraTopic,
    topic=st.sampled_from("ab"),
    weight=fraction,
    inference=blocks,
    forecast=st.dictionaries(st.sampled_from(("regime", "recent")), fraction),
    reputer=people,
    entropies=st.builds(Entropies, entropy, entropy, entropy),
    chi=st.floats(0.1, 0.5),
)
some_yuma = st.builds(
    YumaTopic,
    topic=st.sampled_from("yz"),
    weight=fraction,
    owner=st.sampled_from(("", EVE)),
    incentive=blocks,
    dividends=people,
)
some_topics = st.lists(st.one_of(some_allora, some_yuma), max_size=4, unique_by=lambda topic: topic.topic)
accounts = st.sampled_from(sorted(ADDRESS.values()))
some_payees = st.builds(
    Payees,
    st.dictionaries(st.sampled_from((*MODELS, "regime", "recent")), accounts),
    st.dictionaries(accounts, st.dictionaries(accounts, st.integers(0, 10**27))),
)
amounts = st.one_of(st.integers(0, 20), st.integers(0, 10**22), st.just(2**256 - 1))


@given(amounts, some_topics, some_payees)
def test_not_a_wei_is_lost_or_made(total: int, topics: list[Any], payees: Payees) -> None:
    rewards = distribute(total, topics, payees)
    check_conserved(rewards)
    assert distribute(total, topics[::-1], payees) == rewards
    for one in rewards.earnings:
        if one.role in ("inference", "forecast", "incentive"):
            assert payees.accounts[one.source] == one.account


@given(st.integers(0, 10**24), st.builds(Entropies, entropy, entropy, entropy), st.floats(0.1, 0.5))
def test_budgets_are_those_of_the_white_paper(total: int, entropies: Entropies, chi: float) -> None:
    """The exact split equals the one in floats to what rounding entropies and chi to billionths changes."""
    names = ("inference", "forecast", "reputer")
    rounded = Entropies(*(round(getattr(entropies, name), 9) for name in names))
    ours = allora_budgets(total, rounded, round(chi, 9))
    assert sum(ours) == total
    theirs = payout(total, rounded, round(chi, 9), inference=[1.0], forecast=[1.0], reputer=[1.0])
    floats = (theirs.inference[0], theirs.forecast[0], theirs.reputer[0], theirs.kept)
    assert ours == pytest.approx(floats, rel=1e-9, abs=1 + total * 1e-9)


def test_last_bits_of_floats_move_nobody() -> None:
    """What two kinds of processor compute differs by some 1e-16: they must pay the same."""
    exact = {block: number / 7 for number, block in enumerate(MODELS[:3])}
    near = {block: weight * (1 + 2**-52) for block, weight in exact.items()}
    assert near != exact
    one, other = (
        allora(inference=fractions, entropies=Entropies(f, 0.5, 0.25), chi=chi, weight=weight)
        for fractions, f, chi, weight in ((exact, 0.6, 0.3, 0.1), (near, 0.6 + 2**-53, 0.3 + 2**-54, 0.1 + 2**-56))
    )
    assert one != other
    topic = yuma(weight=1.0)
    assert distribute(LTFT, [one, topic], PAYEES) == distribute(LTFT, [other, topic], PAYEES)


def test_an_allora_epoch_is_paid_as_it_was_settled() -> None:
    rng = np.random.default_rng(5)
    state = epoch.State.start(3, 1, [3.0, 1.0])
    for _ in range(12):
        truth = rng.normal()
        said = truth + rng.normal(size=3) * [0.1, 0.5, 1.0]
        synthesis = epoch.infer(state, said, rng.normal(size=(1, 3)) - [1, 0.3, 0])
        loss = SQUARED.log10(state.layout.inferences(said, synthesis), truth)
        reports = np.stack([loss, loss + rng.normal(size=loss.size) * 0.01])
        state, outcome = epoch.settle(state, synthesis, Losses(state.layout, reports), 1.0)
    topic = AlloraTopic(
        "a",
        1.0,
        dict(zip(MODELS, outcome.inference_fractions, strict=False)),
        {"regime": outcome.forecast_fractions[0]},
        dict(zip((CLEO, DAN), outcome.reputer_fractions, strict=True)),
        outcome.entropies,
        outcome.chi,
    )
    rewards = distribute(LTFT, [topic], PAYEES)
    check_conserved(rewards)
    shares = {one.source: one.amount / LTFT for one in rewards.earnings}
    expected = [*outcome.inference_rewards, *outcome.forecast_rewards, *outcome.reputer_rewards]
    assert len(shares) == 6
    assert [shares[name] for name in (*MODELS[:3], "regime", CLEO, DAN)] == pytest.approx(expected, abs=1e-8)


def test_a_yuma_epoch_is_paid_41_percent_each() -> None:
    done = run_epoch([3, 1], [[0.5, 0.5, 0], [0.5, 0.25, 0.25]])
    incentive = dict(zip(MODELS, done.incentive, strict=False))
    rewards = distribute(
        LTFT, [yuma(incentive=incentive, dividends=dict(zip((CLEO, DAN), done.dividends, strict=True)))], PAYEES
    )
    check_conserved(rewards)
    by_role: dict[str, int] = {}
    for one in rewards.earnings:
        by_role[one.role] = by_role.get(one.role, 0) + one.amount
    assert by_role == {"owner": 18 * LTFT // 100, "incentive": 41 * LTFT // 100, "dividend": 41 * LTFT // 100}
    assert [one.amount for one in rewards.earnings if one.role == "incentive"] == pytest.approx(
        [0.41 * LTFT * share for share in done.incentive if share > 0], rel=1e-8
    )


def test_an_earning_is_of_an_address_and_at_least_a_wei() -> None:
    earning = distribute(LTFT, [allora()], PAYEES).earnings[0]
    for change in ({"account": "ann"}, {"amount": 0}, {"amount": 1.5}):
        with pytest.raises(RefusedError):
            type(earning)(**{**{name: getattr(earning, name) for name in earning.__slots__}, **change})
