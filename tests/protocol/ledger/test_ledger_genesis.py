"""Genesis and parameters: a ledger starts consistent or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from made_ledgers import ADDRESS, made_genesis

from protocol.errors import ConfigError
from protocol.ledger.event import domain_of
from protocol.ledger.genesis import Genesis
from protocol.ledger.params import LTFT, Params
from protocol.ledger.rules import initial_state


def test_a_genesis_survives_its_json_and_names_the_ledger() -> None:
    genesis = made_genesis()
    assert Genesis.from_dict(genesis.to_dict()) == genesis
    hashes = {domain_of(one).salt for one in (genesis, made_genesis(val1=100), made_genesis(Params(slots=3)))}
    assert len(hashes) == 3
    assert domain_of(genesis).chain_id == 31_337


def test_the_first_state_holds_the_money_of_the_genesis() -> None:
    state = initial_state(made_genesis())
    assert state.total() == (1_000 + 2 * 50 + 3 * 401) * LTFT + state.params.fee
    assert set(state.validators.values()) == {400 * LTFT}
    assert (state.height, state.head, state.last_block) == (0, state.domain.salt, state.domain.salt)


ACCOUNT = {"address": ADDRESS["alice"], "name": "alice"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chain_id": 0}, "chain_id"),
        ({"chain_id": True}, "chain_id"),
        ({"time": 1.5}, "time"),
        ({"time": -1}, "time"),
        ({"pool": "5"}, "pool"),
        ({"name": "Long Tail"}, "a-z, 0-9"),
        ({"coins": 5}, "coins"),
        ({"params": {"fee": -1}}, "params.fee"),
        ({"params": {"fee": 2**256}}, "params.fee"),
        ({"params": {"slots": 0}}, "params.slots"),
        ({"params": {"reveal_window_s": 0}}, "params.reveal_window_s"),
        ({"params": {"bonus": 1}}, "params.bonus"),
        ({"accounts": [ACCOUNT, ACCOUNT]}, "named twice"),
        ({"accounts": [ACCOUNT | {"address": ADDRESS["alice"].lower()}]}, "wrong case"),
        ({"accounts": [ACCOUNT | {"address": "0x12"}]}, "40 hex digits"),
        ({"accounts": [ACCOUNT | {"stake": 5}]}, "min_stake"),
        ({"pool": 2**256 - 1, "accounts": [ACCOUNT | {"balance": 1}]}, "more money"),
    ],
    ids=str,
)
def test_a_wrong_genesis_names_the_value(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Genesis.from_dict({"chain_id": 1, "time": 0} | changes)


def test_no_object_is_no_genesis() -> None:
    with pytest.raises(ConfigError, match="genesis"):
        Genesis.from_dict(None)
