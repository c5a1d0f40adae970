"""What trading and holding cost: a table of brokers, and the formulas.

Fees are what a small account pays for taking liquidity, the worst tier. Where one broker has several markets or sources
disagree, the dearer one stands. Spreads and steps are assumptions, since bars do not tell them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from fund.journal import Instrument
from fund.units import MICRO, PICO, PPB, PPM, SECOND_US, WEI, YEAR_US
from protocol.errors import DataError
from protocol.ltft.wei import div_up

#: Share of a bar's volume that an order may take.
PARTICIPATION_PPM = 50_000
#: Impact of an order as large as the whole volume of the bar, in parts of the bar's range. A random walk's expected range
#: is 1.6 deviations, so this is 0.8 deviations times the root of participation: the square-root law, whose prefactor is
#: measured between one half and one (Toth et al. 2011; Sato and Kanazawa 2024).
IMPACT_PPM = 500_000
#: Slippage where no volume is known: 10 basis points, as scores are shown net of.
BLIND_PPM = 1_000
#: Paid at every settlement by either side of a perpetual whose rate is not known: Binance's interest rate of 0.01 %.
FUNDING_DEFAULT_PPB = 100_000
#: A funding rate beyond this is an error of the data: Binance caps at 3 % on its widest contracts.
FUNDING_MAX_PPB = 30_000_000
#: A year's interest on what the book owes its broker: about 1.5 % above the benchmark of 2024.
DEBIT_PPM = 70_000
#: Cut on the last good price when a delisted asset is sold. Shumway (1997) measures -30 % for stocks delisted for their
#: performance. A short position is bought back at the last price: no gain is taken from a delisting.
HAIRCUT_PPM = 300_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a broker asks for.

    Attributes
    ----------
    fee_ppm : int
        Millionths of the traded value.
    half_spread_ppm : int
        Millionths of the price, paid on top of impact.
    borrow_ppm : int, optional
        Millionths of a short position's value per year; None where nothing can be sold short.
    min_value : int
        Smallest order that does not only reduce a position, in wei.
    step : int, optional
        Micros of a unit in a lot; None: the power of ten worth at most one unit of quote when the asset is listed.
    source : str
        Where the fee comes from.
    """

    fee_ppm: int
    half_spread_ppm: int
    borrow_ppm: int | None
    min_value: int
    step: int | None
    source: str

    @property
    def funding_us(self) -> int:
        """Microseconds between the settlements of perpetuals, counted from midnight UTC."""
        return 8 * 3_600 * SECOND_US


def _crypto(fee_ppm: int, source: str) -> Terms:
    return Terms(fee_ppm, 200, None, 10 * WEI, None, source)


def _perpetual(fee_ppm: int, source: str) -> Terms:
    return Terms(fee_ppm, 100, 0, 10 * WEI, None, source)


def _stock(source: str) -> Terms:
    # D'Avolio (2002): nine in ten US stocks are lent below 1 % a year.
    return Terms(250, 100, 10_000, WEI, MICRO, source)


_CCXT = "fee table of ccxt 4.5.90"
_IBKR = "USD 0.005 per share on a share of USD 20, Interactive Brokers fixed pricing"
_FX = "retail commission of about USD 5 per 100,000; borrowing: 2.5 % administration fee on financing"

#: Terms by broker of ``ltds-1``.
TERMS: Mapping[str, Terms] = MappingProxyType(
    {
        "binance": _crypto(1_000, _CCXT),
        "binanceusdm": _perpetual(500, "Binance fee schedule, USD-M futures, regular user, taker 0.05 %"),
        "bitfinex": _crypto(2_000, _CCXT),
        "bitget": _crypto(2_000, _CCXT),
        "bitstamp": _crypto(4_000, _CCXT),
        "bybit": _crypto(1_000, "Bybit fee schedule, spot; perpetuals 0.055 %"),
        "coinbase": _crypto(12_000, _CCXT),
        "gate": _crypto(2_000, _CCXT),
        "gemini": _crypto(4_000, _CCXT),
        "hyperliquid": _perpetual(700, _CCXT + ", spot; perpetuals 0.045 %"),
        "kraken": _crypto(4_000, "Kraken Pro fee schedule, taker 0.40 %; ccxt 4.5.90 still has 0.26 %"),
        "krakenfutures": _perpetual(500, _CCXT),
        "kucoin": _crypto(1_000, _CCXT),
        "kucoinfutures": _perpetual(600, _CCXT),
        "okx": _crypto(1_500, _CCXT),
        "fxcm": Terms(50, 50, 25_000, WEI, MICRO, _FX),
        "oanda": Terms(50, 50, 25_000, WEI, MICRO, _FX),
        "skfolio": _stock(_IBKR),
        "stooq": _stock(_IBKR),
        "us-consolidated": _stock(_IBKR),
        "synthetic": Terms(
            500, 100, 10_000, WEI, None, "made series; the costs of a perpetual and of borrowing a stock"
        ),
    }
)

#: For a broker that is not in the table: the dearest of every column, and no short selling.
UNKNOWN = Terms(
    max(terms.fee_ppm for terms in TERMS.values()),
    max(terms.half_spread_ppm for terms in TERMS.values()),
    None,
    max(terms.min_value for terms in TERMS.values()),
    None,
    "unknown broker: the dearest of every column of the table, no short selling",
)


def terms_of(broker: str) -> Terms:
    """Return the terms of a broker, :data:`UNKNOWN` for one that is not in the table (its `source` says so)."""
    return TERMS.get(broker, UNKNOWN)


def shortable(instrument: Instrument) -> bool:
    """Return whether a position may go below 0."""
    return instrument.perpetual or terms_of(instrument.broker).borrow_ppm is not None


def listed(
    broker: str,
    symbol: str,
    sector: str,
    *,
    price: int,
    fills: Literal["open", "close"] = "open",
    step: int | None = None,
) -> Instrument:
    """Return the instrument, with the lot step of its broker if `step` is not given.

    Parameters
    ----------
    broker, symbol, sector : str
    price : int
        At which it is listed, picos; a lot is the power of ten worth at most one unit of quote then, at least 10**-6.
    fills : {'open', 'close'}
        ``close`` for series of closes without volume.
    step : int, optional
        Micros of a unit.

    Raises
    ------
    DataError
        The price or the step is not positive.
    """
    if price < 1 or (step is not None and step < 1):
        raise DataError(f"{broker}:{symbol} is listed at {price} picos with step {step}; both must be positive")
    micros = step or terms_of(broker).step
    if micros is None:
        most = MICRO * PICO // price  # micros worth one unit of quote
        micros = 10 ** (len(str(most)) - 1) if most else 1
    return Instrument(broker, symbol, sector, micros, fills)


def fill_price(side: int, quoted: int, bar_range: int, *, lots: int, volume: int | None, terms: Terms) -> int:
    """Return what a lot's unit trades at: the quote, worse by half a spread and by the order's impact.

    ``quoted (1 ± (half_spread + impact · range/quoted · √(lots / volume)))``, in whole picos, up for buys and down for
    sells. The root is cut to nine decimals. Without a volume: ``quoted (1 ± 0.001)``.

    Parameters
    ----------
    side : {1, -1}
        Buy, sell.
    quoted, bar_range : int
        Open, and high less low of the same bar, picos.
    lots : int
        Filled, positive.
    volume : int or None
        Lots traded in the bar, positive; None where the series has none.
    terms : Terms

    Returns
    -------
    int
        At least 1.
    """
    parts = PPM * PPB
    if volume is None:
        worse = max(BLIND_PPM, terms.half_spread_ppm) * PPB * quoted
    else:
        root = math.isqrt(lots * PPB**2 // volume)  # of parts per milliard
        worse = terms.half_spread_ppm * PPB * quoted + IMPACT_PPM * root * bar_range
    return div_up(quoted * parts + worse, parts) if side > 0 else max(1, (quoted * parts - worse) // parts)


def fee(value: int, terms: Terms) -> int:
    """Return the fee on a traded value (wei, not negative), rounded up."""
    return div_up(value * terms.fee_ppm, PPM)


def borrow(value: int, terms: Terms, elapsed: int) -> int:
    """Return the cost of being short `value` (wei, positive) for `elapsed` microseconds, act/365, rounded up."""
    return div_up(value * (terms.borrow_ppm or 0) * elapsed, PPM * YEAR_US)


def interest(debit: int, elapsed: int) -> int:
    """Return the interest on what the book owes (wei) for `elapsed` microseconds, act/365, rounded up."""
    return div_up(debit * DEBIT_PPM * elapsed, PPM * YEAR_US)


def funding_ppb(rate: float | None) -> int | None:
    """Return a funding rate in parts per milliard, None for one that is missing, not finite or beyond 3 %."""
    if rate is None or not math.isfinite(rate) or abs(rate) * PPB > FUNDING_MAX_PPB:
        return None
    return round(rate * PPB)


def funding(value: int, ppb: int | None) -> int:
    """Return the change of cash at one settlement: with a positive rate longs pay shorts; rounded down.

    Parameters
    ----------
    value : int
        Of the position, wei, negative for a short one.
    ppb : int or None
        Rate; None is paid :data:`FUNDING_DEFAULT_PPB` whichever side the position is on.
    """
    return -abs(value) * FUNDING_DEFAULT_PPB // PPB if ppb is None else -value * ppb // PPB


def delisted_price(lots: int, last: int) -> int:
    """Return the price (picos) at which a delisted position of `lots` is closed, see :data:`HAIRCUT_PPM`."""
    return max(1, last * (PPM - HAIRCUT_PPM) // PPM) if lots > 0 else last
