"""The simulated broker beside a public backtester on the same bars and orders, every difference accounted for.

    python -m benchmarks.backtest --peer PYTHON [--bars 400] [--symbols 12] [--seed 0] [--json]

PYTHON is an interpreter with backtrader (``backtest_peer.py``). Long-short portfolios on generated daily bars, rebalanced every
five days; the orders are those of our run. Three pairs of runs:

deep       volume without end: fees and half a spread only
volume     5 % of each bar's volume at most, so orders fill over several bars
borrow     as deep, the peer charging its interest on short positions as well

What the peer cannot do is added back to our value before the series are compared: the impact of size, and borrowing, which the
peer charges on the price paid, for whole days, and a bar later. The third pair shows how much that is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data.synthetic import synthetic
from fund.audit import audit
from fund.book import Book, book_of
from fund.broker import Quote, Tick, place, step
from fund.costs import PARTICIPATION_PPM, fee, fill_price, listed, terms_of
from fund.journal import Charge, Fill, Record, Valuation
from fund.limits import Limits
from fund.nav import FundFees, deposit, valued
from fund.portfolio import propose, target_weights
from fund.units import MICRO, PPM, WEI, pico

EVERY = 5  # bars from one rebalance to the next
FREE = FundFees(0, 0)
DEEP = 1e15  # units of volume: impact is below a millionth of a millionth
MONEY = 20_000  # small enough for a bar's 5 % to fill an order within days, large enough that it takes some


@dataclass
class Ours:
    """Our run: bars per lot as the peer gets them, orders by bar, values at the closes and what the peer leaves out."""

    bars: dict[str, list[list[float]]]
    orders: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    fills: list[list[Any]] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    impact: list[float] = field(default_factory=list)
    borrow: list[float] = field(default_factory=list)
    audited: bool = False


def our_run(symbols: int, bars: int, seed: int, deep: bool) -> Ours:
    """Trade short-term reversal on generated bars."""
    table = synthetic("linear", n_symbols=symbols, n_bars=bars, type_="ohlcv-1d", seed=seed)
    names = sorted(set(table["symbol"].to_pylist()))
    columns = {
        name: table[name].to_numpy().reshape(symbols, bars) for name in ("open", "high", "low", "close", "volume")
    }
    if deep:
        columns["volume"] = np.full((symbols, bars), DEEP)
    time = table["datetime"].cast("int64").to_numpy()[:bars].tolist()
    day = time[1] - time[0]
    instruments = [
        listed("synthetic", name, "synthetic", price=pico(float(columns["close"][row, 0])) or 0)
        for row, name in enumerate(names)
    ]
    assets = [instrument.asset for instrument in instruments]
    book, new = deposit(book_of(instruments), MONEY * WEI, time[0], FREE)
    records: list[Record] = [*instruments, *new]
    ticks = []
    ours = Ours({a: _per_lot(columns, row, instruments[row].step) for row, a in enumerate(assets)})
    change = np.diff(np.log(columns["close"]), axis=1, prepend=np.nan)
    impact = borrow = 0
    for bar, opened in enumerate(time):
        quotes = {a: Quote(*(float(columns[c][row, bar]) for c in columns)) for row, a in enumerate(assets)}
        tick = Tick(opened, opened + day, quotes)
        ticks.append(tick)
        book, new = step(book, tick)
        book, more = valued(book, tick.end, FREE)
        records += [*new, *more]
        for record in new:
            if isinstance(record, Fill):
                impact += _impact(book, record)
                ours.fills.append([bar, record.asset, record.lots])
            elif isinstance(record, Charge):
                assert record.kind == "borrow", record
                borrow -= record.amount
        ours.value.append(book.nav() / WEI)
        ours.impact.append(impact / WEI)
        ours.borrow.append(borrow / WEI)
        if bar >= 20 and bar % EVERY == 0:
            value, sigma = -change[:, bar] / 0.01, change[:, bar - 19 : bar + 1].std(axis=1)
            weights = target_weights(value, value - 1, value + 1, sigma, evidence=1.0, bars_per_year=365.0)
            wanted = dict(zip(assets, weights.tolist(), strict=True))
            limits = Limits(sector_ppm=PPM, name_ppm=PPM // 5, turnover_ppm=2 * PPM)
            orders, _ = propose(book, wanted, limits, tick.end + 10**6 * day)
            book, new = place(book, orders)
            records += new
            ours.orders[bar] = [(order.asset, order.lots) for order in book.working]
    assert all(record.cash > 0 for record in records[len(instruments) + 2 :] if isinstance(record, Valuation))
    ours.audited = not audit(records, ticks, FREE).differences
    return ours


def their_run(peer: str, ours: Ours, share: float, interest: float) -> dict[str, Any]:
    """Return the peer's answer on our bars and orders."""
    terms = terms_of("synthetic")
    asked = {
        "bars": ours.bars,
        "orders": ours.orders,
        "cash": MONEY,
        "fee": terms.fee_ppm / PPM,
        "slip": terms.half_spread_ppm / PPM,
        "interest": interest,
        "share": share,
    }
    script = Path(__file__).with_name("backtest_peer.py")
    done = subprocess.run([peer, script], input=json.dumps(asked), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the peer failed:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def compared(peer: str, ours: Ours, *, share: float = 0.0, interest: float = 0.0) -> dict[str, Any]:
    """Return our run beside the peer's."""
    theirs = their_run(peer, ours, share, interest)
    plain = np.array(theirs["value"])
    raw = np.array(ours.value)
    adjusted = raw + ours.impact + (0 if interest else np.array(ours.borrow))
    return {
        "peer": f"backtrader {theirs['version']}",
        "bars": len(plain),
        "fills": len(ours.fills),
        "same fills": sorted(map(list, ours.fills))
        == sorted([bar, name, round(size)] for bar, name, size, _ in theirs["fills"]),
        "audited": ours.audited,
        "ours": raw[-1],
        "theirs": plain[-1],
        "impact": ours.impact[-1],
        "borrowing": ours.borrow[-1],
        "largest difference": float(np.abs(plain - raw).max()),
        "unexplained": float(np.abs(plain - adjusted).max()),
    }


def main() -> None:
    """Run the three pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="interpreter with backtrader")
    parser.add_argument("--bars", type=int, default=400)
    parser.add_argument("--symbols", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    deep = our_run(options.symbols, options.bars, options.seed, deep=True)
    volume = our_run(options.symbols, options.bars, options.seed, deep=False)
    yearly = (terms_of("synthetic").borrow_ppm or 0) / PPM
    found = {
        "deep": compared(options.peer, deep),
        "volume": compared(options.peer, volume, share=PARTICIPATION_PPM / PPM),
        "borrow": compared(options.peer, deep, interest=yearly),
    }
    if options.json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        print(name)
        for key, value in row.items():
            print(f"  {key:18} {f'{value:.9f}' if isinstance(value, float) else value}")


def _per_lot(columns: dict[str, Any], row: int, micros: int) -> list[list[float]]:
    """Return bars in prices of one lot and volumes in whole lots: the peer's sizes are whole numbers."""
    unit = micros / MICRO
    prices = np.stack([columns[name][row] * unit for name in ("open", "high", "low", "close")])
    lots = np.floor(columns["volume"][row] / unit)
    return np.vstack([prices, lots]).T.tolist()  # type: ignore[no-any-return]  # numpy's tolist is Any


def _impact(book: Book, fill: Fill) -> int:
    """Return what the size of a fill cost in wei, its share of the fee included."""
    instrument = book.instruments[fill.asset]
    terms = terms_of(instrument.broker)
    side = 1 if fill.lots > 0 else -1
    still = fill_price(side, fill.quoted, 0, lots=1, volume=1, terms=terms)
    paid, plain = (abs(fill.lots) * price * instrument.step for price in (fill.price, still))
    return side * (paid - plain) + fill.fee - fee(plain, terms)


if __name__ == "__main__":
    main()
