from __future__ import annotations

import pytest

from data.schema import vocabulary_problem
from data.sectors import SectorChoice, parse_choice, sector_of, sector_table
from protocol.errors import UsageError


def test_the_table_knows_a_hundred_assets_once_each_by_good_slugs() -> None:
    table = sector_table()
    assert len(table.assets) > 100
    assert table.of("BTC") == "crypto-majors"
    assert table.of("1000PEPE") == table.of("PEPE") == "crypto-meme"
    assert table.of("1INCH") == "crypto-defi"
    assert table.of("NOSUCHASSET") is None
    assert {vocabulary_problem("sector", slug) for slug in table.assets.values()} == {None}


def test_what_the_user_says_goes_before_the_table_and_the_default_after_it() -> None:
    choice = parse_choice(["other", "SOL/USDT=mine"], ["SOL/USDT", "BTC/USDT", "X/USDT"])
    assert sector_of("SOL/USDT", "SOL", choice) == "mine"
    assert sector_of("BTC/USDT", "BTC", choice) == "crypto-majors"
    assert sector_of("X/USDT", "X", choice) == "other"


def test_a_stored_sector_stays() -> None:
    assert sector_of("SOL/USDT", "SOL", SectorChoice(), stored="old") == "old"
    with pytest.raises(UsageError, match=r"the dataset has SOL/USDT in 'old'"):
        sector_of("SOL/USDT", "SOL", parse_choice(["SOL/USDT=new"], ["SOL/USDT"]), stored="old")


def test_an_unknown_asset_is_refused_with_the_remedy() -> None:
    with pytest.raises(UsageError, match=r"--sector X/USDT=SLUG, or --sector other"):
        sector_of("X/USDT", "X", SectorChoice())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["Bad Slug"], "is not a slug"),
        (["BTC/USDT="], "is not a slug"),
        (["DOGE/USDT=meme"], "not among --symbols"),
        (["a", "b"], "was already given 'a'"),
        (["BTC/USDT=a", "BTC/USDT=b"], "BTC/USDT was already given 'a'"),
    ],
)
def test_bad_choices_are_refused(values: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_choice(values, ["BTC/USDT"])
