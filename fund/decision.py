"""From what the network said at a bar to the weights that the fund wants."""

from __future__ import annotations

from collections.abc import Mapping

from fund.portfolio import target_weights
from fund.quotes import Quotes
from fund.topic_state import Inference


def weights_of(said: Inference, standing: Mapping[str, float], quotes: Quotes, at: int) -> dict[str, float]:
    """Return the wanted weights by asset, fractions of the net asset value; empty, all is sold, if nobody spoke.

    Parameters
    ----------
    said : Inference
    standing : mapping of block hash to float
        Prior weight of every model; the largest of those that spoke is the evidence.
    quotes : Quotes
    at : int
        Place of the inference's bar on the grid; nothing after its close is looked at.
    """
    if said.is_empty:
        return {}
    found = target_weights(
        said.value,
        said.low,
        said.high,
        quotes.sigma(at, said.symbols),
        evidence=max(standing[name] for name, _ in said.shares),
        bars_per_year=quotes.bars_per_year,
    )
    named = zip(said.symbols, found.tolist(), strict=True)
    return {quotes.asset(symbol): weight for symbol, weight in named if weight}
