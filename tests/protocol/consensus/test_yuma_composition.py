"""Weights over weights: councils of councils."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protocol.consensus.yuma.composition import Council, leaf_shares, seat_shares
from protocol.consensus.yuma.epoch import run_epoch
from protocol.errors import ConfigError, DataError

KAPPA = 32767 / 65535
VOICES = arrays(np.float64, 4, elements=st.integers(0, 20).map(float))
ROWS = arrays(np.float64, (4, 3), elements=st.integers(0, 9).map(float))
COUNCILS = st.recursive(
    st.builds(Council, VOICES, ROWS.map(list)),
    lambda inner: st.one_of(
        st.builds(Council, VOICES, ROWS.map(list), st.lists(st.none() | inner, min_size=3, max_size=3)),
        st.builds(Council, VOICES, st.lists(st.builds(Council, VOICES, ROWS.map(list)), min_size=4, max_size=4)),
    ),
    max_leaves=6,
)


def leaves(council):
    count = np.shape(council.rows[0])[0] if not isinstance(council.rows[0], Council) else 3
    return sum(1 if seat is None else leaves(seat) for seat in council.seats or [None] * count)


@given(VOICES, ROWS)
def test_one_council_of_leaves_is_one_yuma(voices, rows):
    expected = run_epoch(voices, rows).incentive
    np.testing.assert_allclose(leaf_shares(Council(voices, rows), kappa=KAPPA), expected, rtol=1e-12, atol=1e-15)


@given(VOICES, ROWS)
def test_a_single_committee_or_a_single_seat_changes_nothing(voices, rows):
    flat = Council(voices, rows)
    expected = leaf_shares(flat)
    np.testing.assert_allclose(leaf_shares(Council([3.0], [flat])), expected, atol=1e-12)
    np.testing.assert_allclose(leaf_shares(Council([1, 1], [[1.0], [2.0]], [flat])), expected, atol=1e-12)


@given(VOICES, st.lists(st.integers(0, 9), min_size=3, max_size=3), st.sampled_from(["yuma", "stake", "trust"]))
def test_unanimous_committees_are_one_flat_council(voices, row, rule):
    inner = Council([1.0, 2.0], [row, row])
    composed = leaf_shares(Council(voices, [inner] * 4), rule)
    np.testing.assert_allclose(composed, leaf_shares(Council(voices, [row] * 4), rule), atol=1e-12)


@given(COUNCILS, st.sampled_from(["yuma", "stake", "trust"]))
def test_shares_of_leaves_add_up_however_deep(council, rule):
    found = leaf_shares(council, rule)
    assert found.shape == (leaves(council),)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1) or not found.any()


def test_the_root_over_topics_over_miners():
    miners = Council([2, 1], [[1, 3], [1, 3]])
    other = Council([1], [[1, 1, 2]])
    root = Council([5, 5, 1], [[2, 3, 0], [2, 3, 0], [0, 0, 1]], [miners, other, None])
    np.testing.assert_allclose(leaf_shares(root), [0.4 / 4, 0.4 * 3 / 4, 0.6 / 4, 0.6 / 4, 0.6 / 2, 0.0])


def test_a_topic_that_agrees_on_nobody_leaves_its_share_to_the_others():
    silent = Council([0.0], [[1, 1]])
    root = Council([1], [[1, 2, 1]], [Council([1], [[1, 1]]), silent, None])
    np.testing.assert_allclose(leaf_shares(root), [0.25, 0.25, 0, 0, 0.5])
    nothing = leaf_shares(Council([1], [[1]], [silent]))
    assert nothing.tolist() == [0, 0]


def test_a_committee_without_an_answer_abstains_instead_of_vetoing():
    torn = Council([1, 1, 1], [[1, 0, 0], [0, 1, 0], [0, 0, 1]])  # a third each: agrees on nothing
    assert not seat_shares(torn).any()
    upper = Council([6, 4], [torn, [1, 1, 0]])
    np.testing.assert_allclose(leaf_shares(upper), [0.5, 0.5, 0])


def test_layers_filter_a_minority_at_every_level_and_a_captured_committee_at_the_next():
    honest = Council([51, 49], [[1, 1, 0], [0, 0, 1]])  # its cabal has 49 % and no say
    np.testing.assert_allclose(leaf_shares(honest), [0.5, 0.5, 0])
    captured = Council([49, 51], [[1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(leaf_shares(captured), [0, 0, 1])
    np.testing.assert_allclose(leaf_shares(Council([1, 1, 1], [honest, honest, captured])), [0.5, 0.5, 0])


def test_voices_may_be_a_reputation_instead_of_stake():
    rows = [[1, 0], [0, 1]]
    stake, record = np.array([90.0, 10.0]), np.array([0.1, 0.6])
    np.testing.assert_allclose(leaf_shares(Council(stake, rows)), [1, 0])
    np.testing.assert_allclose(leaf_shares(Council(record, rows)), [0, 1])
    np.testing.assert_allclose(leaf_shares(Council(record * 1e6, rows)), [0, 1])


@pytest.mark.parametrize(
    ("council", "error", "message"),
    [
        (Council([1, 1], [[1, 2]]), DataError, "2 voices and 1 rows"),
        (Council([1, 1], [[1, 2], [1]]), DataError, "rows of equal length"),
        (Council([1, 1], [[1, 2], Council([1], [[1]])]), DataError, "rows of equal length"),
        (Council([], []), DataError, "one row per validator"),
        (Council([-1], [[1]]), DataError, "voices is -1.0 at 0"),
        (Council([float("nan")], [[1]]), DataError, "voices is nan at 0"),
        (Council([1], [[1, 2]], [None]), DataError, "1 seats and weights on 2"),
    ],
)
def test_bad_councils_are_named(council, error, message):
    with pytest.raises(error, match=message):
        leaf_shares(council)
    with pytest.raises(error, match=message):
        leaf_shares(Council([1], [[1]], [council]))


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match="root rule is 'dice'"):
        leaf_shares(Council([1], [[1]]), "dice")
