"""Limits on gross, single names, sectors and turnover, held exactly, in lots.

Everything is whole numbers: what comes out obeys every limit to the wei at the prices it was decided at. All roundings are
towards zero, and taking lots away never breaks a limit on the size of positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fund.units import PPM, toward_zero
from protocol.errors import ConfigError

_PARTS = 1 << 20  # of the way from the present positions to the wanted ones

Lots = dict[str, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """All in millionths of the net asset value; a value that is not positive allows no positions.

    Attributes
    ----------
    gross_ppm : int
        Sum of the sizes of all positions.
    name_ppm, sector_ppm : int
        Size of one position; sum of the sizes in one sector.
    turnover_ppm : int
        Value traded by one decision. Trades that bring positions back within the other limits (after prices moved) count
        too, but are not held back by it.
    """

    gross_ppm: int = 1_000_000
    name_ppm: int = 100_000
    sector_ppm: int = 300_000
    turnover_ppm: int = 500_000

    def __post_init__(self) -> None:
        if min(self.gross_ppm, self.name_ppm, self.sector_ppm, self.turnover_ppm) < 0:
            raise ConfigError(f"{self}: limits are millionths of the net asset value, at least 0")


class Wanted(NamedTuple):
    """One asset before limits.

    Attributes
    ----------
    held, target : int
        Lots now, and lots wanted.
    unit : int
        Wei of one lot.
    sector : str
    least : int
        Smallest trade in wei; what only reduces a position may be smaller.
    fixed : bool
        Cannot be traded now (halted): stays as it is and uses up limits.
    """

    held: int
    target: int
    unit: int
    sector: str
    least: int = 0
    fixed: bool = False


class Allowed(NamedTuple):
    """Lots of every asset within the limits, and which limits were binding, in words."""

    lots: Lots
    hits: tuple[str, ...]


def fit(wanted: Mapping[str, Wanted], nav: int, limits: Limits) -> Allowed:
    """Return the positions closest to the targets, on the straight way from those held, that obey all limits.

    First both ends are brought within the limits on size: each name is capped, then sectors, then all positions are scaled
    down in proportion. Those limits are convex, so every point between the ends obeys them; the furthest one within the
    turnover is taken. Last, trades below the broker's minimum are left out.

    Parameters
    ----------
    wanted : mapping of asset to Wanted
    nav : int
        Wei.
    limits : Limits

    Returns
    -------
    Allowed
        Fixed assets keep their lots, even where these alone break a limit; nothing is added to what they overfill.
    """
    hits: list[str] = []
    target = _sized(wanted, lambda asset: wanted[asset].target, nav, limits, hits)
    forced: list[str] = []
    held = _sized(wanted, lambda asset: wanted[asset].held, nav, limits, forced)
    hits += [f"{hit} (prices moved)" for hit in forced]
    most = max(0, nav) * limits.turnover_ppm // PPM
    part = _PARTS
    if _turnover(wanted, target) > most:
        hits.append("turnover")
        low, high = 0, _PARTS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _turnover(wanted, _between(held, target, middle)) <= most else (low, middle)
        part = low
    lots = _between(held, target, part)
    return Allowed({asset: _worth_it(want, lots[asset]) for asset, want in wanted.items()}, tuple(hits))


def broken(wanted: Mapping[str, Wanted], lots: Mapping[str, int], nav: int, limits: Limits) -> tuple[str, ...]:
    """Return the limits on size that `lots` break, in words."""
    size = {asset: abs(lots[asset]) * want.unit for asset, want in wanted.items()}
    sectors: dict[str, int] = defaultdict(int)
    for asset, want in wanted.items():
        sectors[want.sector] += size[asset]
    whole = max(0, nav)
    return (
        *(f"name {asset}" for asset in wanted if size[asset] * PPM > whole * limits.name_ppm),
        *(f"sector {sector}" for sector, total in sectors.items() if total * PPM > whole * limits.sector_ppm),
        *(("gross",) if sum(size.values()) * PPM > whole * limits.gross_ppm else ()),
    )


def _sized(wanted: Mapping[str, Wanted], of: Callable[[str], int], nav: int, limits: Limits, hits: list[str]) -> Lots:
    """Return positions scaled down until names, sectors and gross obey their limits; appends what had to give."""
    whole = max(0, nav)
    lots = {asset: want.held if want.fixed else of(asset) for asset, want in wanted.items()}
    for asset, want in wanted.items():
        most = whole * limits.name_ppm // (PPM * want.unit)
        if not want.fixed and abs(lots[asset]) > most:
            hits.append(f"name {asset}")
            lots[asset] = most if lots[asset] > 0 else -most
    for sector in sorted({want.sector for want in wanted.values()}):
        members = {asset: want for asset, want in wanted.items() if want.sector == sector}
        if _scaled(members, lots, whole * limits.sector_ppm // PPM):
            hits.append(f"sector {sector}")
    if _scaled(wanted, lots, whole * limits.gross_ppm // PPM):
        hits.append("gross")
    return lots


def _scaled(members: Mapping[str, Wanted], lots: Lots, most: int) -> bool:
    """Scale `lots` of the members to at most `most` wei, fixed ones apart; return whether that took anything away."""
    fixed = sum(abs(lots[asset]) * want.unit for asset, want in members.items() if want.fixed)
    total = sum(abs(lots[asset]) * want.unit for asset, want in members.items() if not want.fixed)
    room = max(0, most - fixed)
    if total <= room:
        return False
    for asset, want in members.items():
        if not want.fixed:
            lots[asset] = toward_zero(lots[asset] * room, total)
    return True


def _between(start: Lots, end: Lots, part: int) -> Lots:
    return {asset: toward_zero(start[asset] * (_PARTS - part) + end[asset] * part, _PARTS) for asset in start}


def _turnover(wanted: Mapping[str, Wanted], lots: Lots) -> int:
    return sum(abs(lots[asset] - want.held) * want.unit for asset, want in wanted.items())


def _worth_it(want: Wanted, lots: int) -> int:
    """Return `lots`, or fewer where the trade is below the broker's minimum."""
    trade = lots - want.held
    if abs(trade) * want.unit >= want.least or (abs(lots) < abs(want.held) and lots * want.held >= 0):
        return lots
    return want.held if lots * want.held >= 0 else 0  # too small to turn round: close only
