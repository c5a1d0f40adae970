"""A prediction of the network as it is stamped: what was predicted for whom, from which bar, by which models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from protocol.errors import RefusedError
from protocol.head.units import MAX_NANO, NANO, nano, nano_shares
from protocol.head.wire import fields_of, list_of, read_canonical, whole
from protocol.ledger.commitments import canonical
from protocol.ledger.kinds import is_hash
from protocol.topics import MAX_HORIZON, NAME

MAX_PREDICTION_BYTES = 262_144
#: What a series may be called, as in ltds-1: no spaces, quotes, commas, backslashes, '='; nor half of a surrogate pair.
_WORD = re.compile(r"[^\s\x00-\x1f\x7f\"',\\=\ud800-\udfff]{1,64}\Z")
_FIELDS = ("topic", "sector", "broker", "symbol", "type", "bar", "horizon", "value", "low", "high", "models")


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one symbol.

    Attributes
    ----------
    topic : str
    sector, broker, symbol, type : str
        The series, as in ltds-1.
    bar : int
        Open of the bar at whose close the prediction was made, microseconds since 1970 UTC. Nothing later was known.
    horizon : int
        Bars, from the close of the next bar on.
    value : int
        The network inference, billionths; unit: gaussianised cross-sectional rank.
    low, high : int
        Interval at the quantiles .1587 and .8413 of the weighted inferences, billionths. Being a weighted mean, the value
        may lie outside.
    models : tuple of (block hash, share)
        Who made it, by hash; shares are billionths, at least 1, and add up to 10**9.

    Raises
    ------
    RefusedError
        A value is of another type, out of range or out of order.
    """

    topic: str
    sector: str
    broker: str
    symbol: str
    type: str
    bar: int
    horizon: int
    value: int
    low: int
    high: int
    models: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.topic, str) or not NAME.match(self.topic):
            raise RefusedError(f"topic {self.topic!r:.80} of a prediction is not a slug")
        for name in ("sector", "broker", "symbol", "type"):
            word = getattr(self, name)
            if not isinstance(word, str) or not _WORD.match(word):
                raise RefusedError(f"{name} {word!r:.80} of a prediction is not a name of 1 to 64 characters")
        whole(self.bar, "the bar of a prediction")
        whole(self.horizon, "the horizon of a prediction", 1, MAX_HORIZON)
        for name in ("value", "low", "high"):
            whole(getattr(self, name), f"{name} of a prediction", -MAX_NANO, MAX_NANO)
        if self.low > self.high:
            raise RefusedError(
                f"the interval of {self.symbol} is from {self.low} to {self.high}; give the lower end first"
            )
        hashes = [model[0] for model in self.models]
        if not all(is_hash(one) for one in hashes) or hashes != sorted(set(hashes)):
            raise RefusedError(
                f"the models of {self.symbol} are {hashes!r:.200}; name each block once, in order of hash"
            )
        total = sum(whole(share, f"the share of {one} in {self.symbol}", 1, NANO) for one, share in self.models)
        if total != NANO:
            raise RefusedError(f"the shares in {self.symbol} add up to {total}; they must add up to {NANO}")

    @classmethod
    def of(
        cls,
        *,
        topic: str,
        sector: str,
        broker: str,
        symbol: str,
        type: str,
        bar: int,
        horizon: int,
        value: float,
        interval: tuple[float, float],
        weights: Mapping[str, float],
    ) -> Self:
        """Return a prediction from floats, rounded to billionths.

        Parameters
        ----------
        interval : (low, high)
        weights : mapping of block hash to float
            Weight of each model, any scale; those without weight are left out.

        Raises
        ------
        RefusedError
            A number is not finite, or no model has weight: then there is no prediction.
        """
        low, high = (nano(end) for end in interval)
        models = nano_shares(weights)
        return cls(topic, sector, broker, symbol, type, bar, horizon, nano(value), low, high, models)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a HEAD has at most one prediction of: topic, type, broker and symbol."""
        return self.topic, self.type, self.broker, self.symbol

    @property
    def leaf(self) -> bytes:
        """The bytes that enter the Merkle tree: canonical JSON."""
        return canonical(self.to_dict()).encode()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in _FIELDS[:-1]} | {"models": [list(one) for one in self.models]}

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a leaf that a stranger wrote; refused unless it is the canonical text of a prediction."""
        return cls.from_dict(read_canonical(text, "a prediction", MAX_PREDICTION_BYTES))

    @classmethod
    def from_dict(cls, raw: object) -> Self:
        """Read a prediction from plain JSON values."""
        values = fields_of(raw, "a prediction", _FIELDS)
        models = [tuple(list_of(one, "a model of a prediction")) for one in list_of(values["models"], "models")]
        if any(len(model) != 2 for model in models):
            raise RefusedError("a model of a prediction is a pair of block hash and share")
        return cls(**{**values, "models": tuple(models)})


def in_tree_order(predictions: Iterable[Prediction]) -> Sequence[Prediction]:
    """Return predictions in the order of the tree: by topic, type, broker, symbol, each by its code points.

    Raises
    ------
    RefusedError
        Two are of the same series and topic.
    """
    ordered = sorted(predictions, key=lambda one: one.key)
    for one, other in pairwise(ordered):
        if one.key == other.key:
            raise RefusedError(f"two predictions are of {', '.join(one.key)}; a HEAD has one of each")
    return ordered
