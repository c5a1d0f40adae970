"""What a group of reports stands for."""

from __future__ import annotations

from statistics import median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ledger.reports import lower_median, plurality

VOTES = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 4)), min_size=1).filter(
    lambda votes: sum(s for _, s in votes)
)


@given(VOTES)
def test_the_median_is_that_of_as_many_votes_as_stake(votes: list[tuple[int, int]]) -> None:
    assert lower_median(votes) == median_low([value for value, stake in votes for _ in range(stake)])


@given(VOTES)
def test_the_order_of_reports_does_not_matter(votes: list[tuple[int, int]]) -> None:
    assert lower_median(votes) == lower_median(votes[::-1])
    texts = [(str(value), stake) for value, stake in votes]
    assert plurality(texts) == plurality(texts[::-1])


def test_most_stake_wins_and_the_least_text_among_equals() -> None:
    assert plurality([("a", 2), ("b", 1), ("b", 2)]) == "b"
    assert plurality([("b", 2), ("a", 2)]) == "a"
    with pytest.raises(ValueError, match="no values"):
        lower_median([])
