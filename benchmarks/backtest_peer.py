"""The other side of ``backtest.py``: runs in the peer's own interpreter, which has backtrader. Nothing of longtail is used.

Reads one JSON document: {"bars": {name: [[open, high, low, close, volume], …]}, "orders": {bar: [[name, size], …]}, "cash",
"fee", "slip", "interest", "share"}; the orders of a bar are given at its close and replace what still works. Writes one:
{"version", "value": at each close, "fills": [[bar, name, size, price], …]}.
"""

from __future__ import annotations

import datetime
import json
import sys
from typing import Any

import backtrader as bt  # type: ignore[import-not-found]  # of the peer's environment


class Feed(bt.feed.DataBase):  # type: ignore[misc]  # backtrader has no types
    """Daily bars from a list."""

    params: Any = (("rows", ()),)

    def start(self) -> None:
        """Begin at the first row."""
        super().start()
        self.place = 0

    def _load(self) -> bool:
        if self.place >= len(self.p.rows):
            return False
        day = datetime.datetime(2020, 1, 1) + datetime.timedelta(self.place)  # noqa: DTZ001 - backtrader is naive
        self.lines.datetime[0] = bt.date2num(day)
        row = self.p.rows[self.place]
        for line, value in zip(("open", "high", "low", "close", "volume"), row, strict=True):
            getattr(self.lines, line)[0] = value
        self.lines.openinterest[0] = 0.0
        self.place += 1
        return True


class Follow(bt.Strategy):  # type: ignore[misc]  # backtrader has no types
    """Gives the orders it was told to give."""

    params: Any = (("orders", {}),)

    def __init__(self) -> None:
        self.value: list[float] = []
        self.fills: list[list[Any]] = []

    def notify_order(self, order: Any) -> None:
        """Note what was filled; an order may fill in several bars."""
        for bit in order.executed.iterpending():
            self.fills.append([len(self) - 1, order.data._name, bit.size, bit.price])

    def next(self) -> None:
        """Value the account, then cancel and order."""
        self.value.append(self.broker.getvalue())
        wanted = self.p.orders.get(str(len(self) - 1))
        if wanted is not None:
            for order in self.broker.get_orders_open():
                self.broker.cancel(order)
            for name, size in wanted:
                (self.buy if size > 0 else self.sell)(self.getdatabyname(name), size=abs(size))


def main() -> None:
    """Answer one request."""
    asked = json.load(sys.stdin)
    brain = bt.Cerebro(stdstats=False)
    for name, rows in asked["bars"].items():
        brain.adddata(Feed(rows=rows), name=name)
    brain.addstrategy(Follow, orders=asked["orders"])
    brain.broker.setcash(asked["cash"])
    brain.broker.setcommission(commission=asked["fee"], interest=asked["interest"])
    brain.broker.set_slippage_perc(asked["slip"], slip_open=True, slip_match=True, slip_out=True)
    brain.broker.set_checksubmit(False)
    if asked["share"]:
        brain.broker.set_filler(bt.broker.fillers.FixedBarPerc(perc=100 * asked["share"]))
    [run] = brain.run(runonce=False)
    json.dump({"version": bt.__version__, "value": run.value, "fills": run.fills}, sys.stdout)


if __name__ == "__main__":
    main()
