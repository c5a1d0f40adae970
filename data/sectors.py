"""Which sector a crypto asset belongs to: a versioned table, and what the user says instead.

The table is today's view. Applied to the past it looks ahead a little: nobody knew in 2018 what would be called
``crypto-ai``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from data.schema import vocabulary_problem
from protocol.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class SectorTable:
    """Base asset to sector slug, and the version of that assignment."""

    version: str
    assets: Mapping[str, str]

    def of(self, base: str) -> str | None:
        """Return the sector of a base asset; ``1000PEPE`` is ``PEPE`` in larger units."""
        if base in self.assets:
            return self.assets[base]
        for prefix in ("1000000", "10000", "1000", "1M"):
            if base.startswith(prefix) and base.removeprefix(prefix) in self.assets:
                return self.assets[base.removeprefix(prefix)]
        return None


@dataclass(frozen=True, slots=True)
class SectorChoice:
    """What ``--sector`` said: a slug for symbols the table does not know, and slugs for single symbols."""

    default: str | None = None
    symbols: Mapping[str, str] | None = None


@cache
def sector_table() -> SectorTable:
    """Return the table that ships with the package.

    Raises
    ------
    DataError
        The table is damaged: an asset in two sectors, or a bad slug.
    """
    raw = tomllib.loads((resources.files("data") / "sectors.toml").read_text(encoding="utf-8"))
    assets: dict[str, str] = {}
    for slug, bases in raw["sectors"].items():
        problem = vocabulary_problem("sector", slug)
        if problem:
            raise DataError(f"sectors.toml: {problem}; install the package again")
        for base in bases:
            if base in assets:
                raise DataError(f"sectors.toml: {base} is in {assets[base]} and in {slug}; install the package again")
            assets[base] = slug
    return SectorTable(raw["version"], assets)


def parse_choice(values: Iterable[str], symbols: Iterable[str]) -> SectorChoice:
    """Read the values of ``--sector``: ``SLUG`` or ``SYMBOL=SLUG``.

    Raises
    ------
    UsageError
        A slug is none, a symbol is not among `symbols`, or something is said twice.
    """
    default: str | None = None
    single: dict[str, str] = {}
    symbols = set(symbols)
    for value in values:
        symbol, equals, slug = value.rpartition("=")
        problem = vocabulary_problem("sector", slug)
        if problem:
            raise UsageError(f"--sector {value!r}: {problem}")
        if equals and symbol not in symbols:
            raise UsageError(f"--sector {value!r}: {symbol!r} is not among --symbols {','.join(sorted(symbols))}")
        known = single.get(symbol) if equals else default
        if known not in (None, slug):
            raise UsageError(f"--sector {value!r}: {symbol or 'the rest'} was already given {known!r}; say it once")
        if equals:
            single[symbol] = slug
        else:
            default = slug
    return SectorChoice(default, single)


def sector_of(symbol: str, base: str, choice: SectorChoice, stored: str | None = None) -> str:
    """Return the sector of one symbol: what the dataset has, the user says or the table has, else the user's default.

    Raises
    ------
    UsageError
        Nobody knows the sector, or the user contradicts the dataset (a symbol has one sector in a dataset version).
    """
    said = (choice.symbols or {}).get(symbol)
    if stored is not None:
        if said not in (None, stored):
            raise UsageError(
                f"--sector {symbol}={said}: the dataset has {symbol} in {stored!r}; leave it out or use another --to"
            )
        return stored
    table = sector_table()
    sector = said or table.of(base) or choice.default
    if sector is None:
        raise UsageError(
            f"symbol {symbol!r}: {base!r} is not in the sector table {table.version}; "
            f"say --sector {symbol}=SLUG, or --sector other for all such symbols"
        )
    return sector
