from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.query import ORDERS, SPANS, Query, parse
from protocol.errors import UsageError

texts = st.text(max_size=64).filter(str.isprintable).map(str.strip)
queries = st.builds(
    Query,
    st.none() | st.integers(0, 10**12 - 1),
    texts,
    texts,
    texts,
    st.sampled_from(sorted(ORDERS)),
    st.sampled_from(["", *SPANS]),
    st.none() | st.integers(0, 10**11),
    st.none() | st.integers(10**11 + 1, 10**12 - 1),
)


@given(queries)
def test_every_view_has_an_address(query: Query) -> None:
    address = query.link()
    assert parse(parse_qsl(address.lstrip("./?"), keep_blank_values=True)) == query


def test_defaults_are_left_out() -> None:
    assert Query().link() == "./"
    assert Query(sector="defi").link(head=5) == "?head=5&sector=defi"
    assert parse([("head", ""), ("order", "")]) == Query()


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("haed", "1")], "knows no 'haed'"),
        ([("head", "1"), ("head", "2")], "twice"),
        ([("head", "-1")], "whole number"),
        ([("head", "1e3")], "whole number"),
        ([("head", "9" * 13)], "12 digits"),
        ([("head", "٣")], "whole number"),
        ([("order", "random")], "choose one of"),
        ([("span", "decade")], "choose one of"),
        ([("start", "5"), ("end", "5")], "come first"),
        ([("text", "x" * 65)], "64 characters"),
        ([("text", "a\0b")], "not printable"),
    ],
)
def test_nonsense_is_refused_in_words(pairs: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(pairs)


@given(
    st.lists(st.tuples(st.sampled_from(["head", "text", "order", "span", "start", "end", "x"]), st.text(max_size=70)))
)
def test_anything_is_a_query_or_a_usage_error(pairs: list[tuple[str, str]]) -> None:
    try:
        assert isinstance(parse(pairs), Query)
    except UsageError as error:
        assert str(error)
