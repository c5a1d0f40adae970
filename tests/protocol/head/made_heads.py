"""Made-up people, models, predictions and HEADs."""

from __future__ import annotations

import hashlib
from typing import Any

from protocol.head.claims import Claims
from protocol.head.head import Head, HeadModel, HeadTopic
from protocol.head.prediction import Prediction
from protocol.head.units import NANO
from protocol.keys import Key
from protocol.typed_data import Domain

DOMAIN = Domain(chain_id=31_337, salt="cd" * 32)
GENESIS = DOMAIN.salt
TOPIC = "us-daily"
KEYS = {name: Key.from_secret(hashlib.sha256(name.encode()).digest()) for name in ("ann", "ben", "cleo", "dan", "eve")}
ADDRESS = {name: key.address for name, key in KEYS.items()}
MODELS = tuple(sorted(hashlib.sha256(f"model {number}".encode()).hexdigest() for number in range(6)))


def prediction(**changes: Any) -> Prediction:
    values: dict[str, Any] = {
        "topic": TOPIC,
        "sector": "energy",
        "broker": "nyse",
        "symbol": "XOM",
        "type": "ohlcv-1d",
        "bar": 1_700_006_400_000_000,
        "horizon": 5,
        "value": 123_456_789,
        "low": -500_000_000,
        "high": 700_000_000,
        "models": ((MODELS[0], NANO // 4), (MODELS[1], 3 * NANO // 4)),
    }
    return Prediction(**(values | changes))


def predictions(count: int) -> list[Prediction]:
    return [prediction(symbol=f"S{number:03}", value=number - 3) for number in range(count)]


def topics(*models: str) -> tuple[HeadTopic, ...]:
    roles = ("crowned", "provisional")
    return (HeadTopic(TOPIC, tuple(HeadModel(one, roles[i % 2], NANO - i) for i, one in enumerate(sorted(models)))),)


def head(**changes: Any) -> Head:
    values: dict[str, Any] = {
        "period": 2_833_344,
        "parent": GENESIS,
        "height": 17,
        "ledger": "ab" * 32,
        "data_root": "ef" * 32,
        "topics": topics(*MODELS[:2]),
        "predictions": predictions(3),
        "claims": Claims({ADDRESS["ann"]: 10**20, ADDRESS["ben"]: 7}),
    }
    return Head.of(**(values | changes))


EMPTY: dict[str, Any] = {"topics": (), "predictions": (), "claims": Claims()}
