from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import words
from dashboard.words import THIN


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (words.number(-1234567.891, 2), f"−1{THIN}234{THIN}567.89"),
        (words.number(0.3, 1, sign=True), "+0.3"),
        (words.number(-0.001, 2, sign=True), "0.00"),
        (words.number(math.nan), "–"),
        (words.number(None), "–"),
        (words.percent(-0.0432), f"−4.3{THIN}%"),
        (words.percent(math.inf), "–"),
        (words.price(0.0000123456), "0.0000123456"),
        (words.price(68123.456), f"68{THIN}123.46"),
        (words.price(0.0), "0.00"),
        (words.money(-5), "−0.05"),
        (words.money(123456, sign=True), f"+1{THIN}234.56"),
        (words.tokens(10**18 + 999), "1.00"),
        (words.tokens(5), f"<{THIN}0.01"),
        (words.tokens(0), "0.00"),
        (words.tokens(3 * 10**18, 0), "3"),
        (words.quantity(12.5), "12.5"),
        (words.quantity(100.0), "100"),
        (words.short("a" * 64), "aaaaaaaa…aaaa"),
        (words.short("0x" + "b" * 40), "0xbbbb…bbbb"),
        (words.span(133), f"2{THIN}min 13{THIN}s"),
        (words.span(86_400 * 3), f"3{THIN}d 0{THIN}h"),
        (words.span(-5), f"0{THIN}s"),
        (words.days(7200), f"2.0{THIN}h"),
        (words.days(86_400 * 10), f"10.0{THIN}d"),
        (words.iso(0), "1970-01-01T00:00:00Z"),
        (words.moment(1_780_000_000), "2026-05-28 20:26"),
    ],
)
def test_words(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.integers(-(10**30), 10**30))
def test_money_says_every_cent(cents: int) -> None:
    assert int(words.money(cents).replace(THIN, "").replace(".", "").replace("−", "-")) == cents


@given(st.integers(10**16, 10**30))
def test_tokens_never_show_more_than_there_is(wei: int) -> None:
    shown = int(words.tokens(wei).replace(THIN, "").replace(".", "")) * 10**16
    assert 0 <= wei - shown < 10**16
