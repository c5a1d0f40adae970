from __future__ import annotations

import pytest

from infra.amounts import ltft
from protocol.ledger.params import LTFT


@pytest.mark.parametrize(
    ("wei", "words"), [(0, "0 LTFT"), (1, "0.000000000000000001 LTFT"), (1_234_500 * LTFT // 1000, "1,234.5 LTFT")]
)
def test_amounts_are_exact(wei: int, words: str) -> None:
    assert ltft(wei) == words
