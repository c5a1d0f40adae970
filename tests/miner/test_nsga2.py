"""Non-dominated sorting against a slow implementation straight from the definitions."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from miner.nsga2 import crowding, dominates, pareto_front, ranks

Rows = list[tuple[float, float]]
# Few values, so that ties and duplicates are common.
rows = st.lists(st.tuples(st.integers(-4, 4).map(float), st.integers(-3, 3).map(float)), max_size=25)


def matrix(values: Rows) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(-1, 2)


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def slow_ranks(values: Rows) -> list[int]:
    found: dict[int, int] = {}
    level = 0
    while len(found) < len(values):
        rest = [i for i in range(len(values)) if i not in found]
        for i in [i for i in rest if not any(beats(values[j], values[i]) for j in rest)]:
            found[i] = level
        level += 1
    return [found[i] for i in range(len(values))]


@given(rows)
def test_dominates_and_ranks_follow_the_definitions(values: Rows) -> None:
    expected = [[beats(one, other) for other in values] for one in values]
    assert dominates(matrix(values)).tolist() == expected
    assert ranks(matrix(values)).tolist() == slow_ranks(values)


@given(
    st.lists(
        st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
        min_size=1,
        max_size=20,
        unique_by=(lambda v: v[0], lambda v: v[1]),
    )
)
def test_crowding_is_the_sum_of_relative_gaps_within_a_rank(values: Rows) -> None:
    level = slow_ranks(values)
    expected = [0.0] * len(values)
    for wanted in set(level):
        members = [i for i, found in enumerate(level) if found == wanted]
        for axis in (0, 1):
            ordered = sorted(members, key=lambda i: values[i][axis])
            width = values[ordered[-1]][axis] - values[ordered[0]][axis]
            expected[ordered[0]] = expected[ordered[-1]] = math.inf
            for low, here, high in zip(ordered, ordered[1:], ordered[2:], strict=False):
                expected[here] += (values[high][axis] - values[low][axis]) / width
    np.testing.assert_allclose(crowding(matrix(values), np.array(level)), expected, rtol=1e-12)


@given(rows)
def test_the_front_is_every_undominated_value_once_best_first(values: Rows) -> None:
    front = pareto_front(matrix(values))
    undominated = {value for value in values if not any(beats(other, value) for other in values)}
    assert [values[row] for row in front] == sorted(undominated, key=lambda value: -value[0])
    assert all(values.index(values[row]) == row for row in front), "of equals the earliest stays"


@given(rows, rows)
def test_what_is_dominated_does_not_change_the_front(values: Rows, more: Rows) -> None:
    front = pareto_front(matrix(values))
    added = [value for value in more if any(beats(values[row], value) for row in front)]
    assert pareto_front(matrix(values + added)) == front
