from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.head.head import HeadModel
from protocol.head.standing import MAX_PROVISIONAL, prior_weight, standing
from protocol.head.units import NANO
from protocol.ledger.blocks import mint, take_evidence
from protocol.ledger.event import domain_of
from protocol.ledger.genesis import Genesis
from protocol.ledger.params import DAY_S, Params
from protocol.ledger.rules import advance
from protocol.ledger.state import State, Submission

START = 20_000 * DAY_S
PARAMS = Params(slots=2)


def a_state(params: Params = PARAMS) -> State:
    genesis = Genesis(chain_id=1, time=START, params=params)
    return State(genesis, domain_of(genesis))


def add(state: State, number: int, log_e: int | None = None, topic: str = "a") -> str:
    block = hashlib.sha256(b"%d" % number).hexdigest()
    pipeline = hashlib.sha256(b"p%d" % number).hexdigest()
    mint(state, Submission(block, topic, number, "0x" + "0" * 40, "", 1, START, 1, START, 0, 0, pipeline_id=pipeline))
    if log_e is not None:
        take_evidence(state, block, START // DAY_S + 1, log_e, 1)
    return block


def test_known_weights() -> None:
    params = Params()
    drop, crown = params.drop_log_e, params.crown_log_e
    assert [prior_weight(log_e, params) for log_e in (drop - 1, drop, crown, crown + 1, 10**12)] == [
        0,
        0,
        NANO,
        NANO,
        NANO,
    ]
    assert prior_weight((drop + crown) // 2, params) == 499_999_901  # the middle is between two millionths
    assert prior_weight(0, params) == 343_566_035
    x = -drop / (crown - drop)
    assert prior_weight(0, params) == pytest.approx(NANO * (3 * x * x - 2 * x**3), abs=2)


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**7), st.integers(-(10**12), 10**12), st.integers(-10, 10**12))
def test_weight_never_falls_with_evidence_nor_leaves_its_range(log_e: int, more: int, drop: int, span: int) -> None:
    params = Params(drop_log_e=drop, crown_log_e=max(-(10**12), min(drop + span, 10**12)))
    assert 0 <= prior_weight(log_e, params) <= prior_weight(log_e + more, params) <= NANO


@given(st.integers(-3_000_000, 4_700_000))
def test_weight_moves_without_a_step(log_e: int) -> None:
    """One millionth of a nat moves it by at most the largest slope, 1.5 per span, and the rounding."""
    params = Params()
    steepest = 1.5 * NANO / (params.crown_log_e - params.drop_log_e)
    assert prior_weight(log_e + 1, params) - prior_weight(log_e, params) <= steepest + 1


def test_nobody_speaks_for_an_empty_topic() -> None:
    assert standing(a_state(), "a").models == ()


def test_crowned_and_screened_blocks_speak_and_dropped_ones_do_not() -> None:
    state = a_state()
    crown, young = add(state, 1, PARAMS.crown_log_e + 5), add(state, 2)
    dropped, elsewhere = add(state, 3, PARAMS.drop_log_e), add(state, 4, topic="b")
    assert state.blocks[dropped].status == "dropped"
    expected = {HeadModel(crown, "crowned", NANO), HeadModel(young, "provisional", prior_weight(0, PARAMS))}
    assert set(standing(state, "a").models) == expected
    assert [model.hash for model in standing(state, "b").models] == [elsewhere]


def test_a_crowned_block_fades_with_its_evidence() -> None:
    state = a_state()
    block = add(state, 1, PARAMS.crown_log_e)
    take_evidence(state, block, START // DAY_S + 2, -2_900_000, 2)
    assert state.blocks[block].status == "crowned"
    (model,) = standing(state, "a").models
    assert model == HeadModel(block, "crowned", prior_weight(-2_900_000, PARAMS))
    assert 0 < model.weight < NANO // 1_000


def test_a_weight_that_rounds_to_nothing_is_silence() -> None:
    state = a_state()
    block = add(state, 1, PARAMS.drop_log_e + 1)
    assert state.blocks[block].status == "screened"
    assert standing(state, "a").models == ()


def test_old_blocks_fall_silent_with_time() -> None:
    state = a_state()
    add(state, 1)
    assert standing(advance(state, START + PARAMS.max_age_s - 1), "a").models
    assert not standing(advance(state, START + PARAMS.max_age_s), "a").models


def test_of_too_many_screened_blocks_the_strongest_and_then_the_oldest_speak() -> None:
    state = a_state()
    young = [add(state, number) for number in range(MAX_PROVISIONAL + 5)]
    strong = add(state, 100, 1_000)
    crowned = [add(state, 101, PARAMS.crown_log_e), add(state, 102, PARAMS.crown_log_e)]
    heard = {model.hash for model in standing(state, "a").models}
    assert heard == {*crowned, strong, *young[: MAX_PROVISIONAL - 1]}
    assert [model.hash for model in standing(state, "a").models] == sorted(heard)
