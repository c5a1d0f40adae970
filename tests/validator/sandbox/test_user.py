"""Which throwaway user a child of root becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.sandbox.user import FIRST, ranges, throwaway

MACHINE = ranges("         0          0 4294967295\n")
ROOTLESS = ranges("         0       1001          1\n         1     100000      65536\n")


@pytest.mark.parametrize("pid", [1, 2, 4711, 4_194_303])
def test_a_machine_gives_every_process_an_id_nobody_else_has(pid: int) -> None:
    assert throwaway(MACHINE, pid) == FIRST + pid < 2**31


def test_a_container_gives_ids_of_the_upper_half_of_its_own() -> None:
    assert throwaway(ROOTLESS, 1) == 65535
    assert throwaway(ROOTLESS, 2) == 65533  # and not nobody, who stands for every unknown id
    assert throwaway(ROOTLESS, 3) == 65533


@pytest.mark.parametrize("text", ["0 1001 1\n", "0 0 1\n", "0 100000 10\n"])
def test_a_namespace_of_few_has_none_to_throw_away(text: str) -> None:
    assert throwaway(ranges(text), 4711) is None


@given(st.integers(0, 70_000), st.integers(1000, 2**32 - 1), st.integers(1, 2**22 - 1))
def test_the_id_exists_and_is_neither_root_nor_nobody(first: int, count: int, pid: int) -> None:
    chosen = throwaway([(0, 1, 1), (first, 100_000, count)], pid)
    assert chosen is not None
    assert first + count // 3 <= chosen < first + count
    assert chosen not in {0, 65534}
