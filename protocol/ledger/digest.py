"""One hash for everything a state says, so that two replays can be compared."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

from protocol.ledger.commitments import canonical
from protocol.ledger.state import SCALARS, State

_TABLES = (
    "accounts",
    "commitments",
    "submissions",
    "ballots",
    "blocks",
    "unstakes",
    "claimed",
    "redeemed",
    "counts",
    "validators",
)


def state_digest(state: State) -> str:
    """Return the sha256 of the canonical JSON of all tables and scalars of a state, whatever order its tables grew in.

    Indexes that follow from the rest (standing blocks, pipelines, deadlines) are left out.
    """
    plain: dict[str, Any] = {name: _plain(getattr(state, name)) for name in SCALARS}
    for name in _TABLES:
        plain[name] = {str(key): _plain(value) for key, value in getattr(state, name).items()}
    return hashlib.sha256(canonical(plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value
