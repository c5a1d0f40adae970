"""What stands on a chain is read: HEADs however they were brought, logs in parts, and by whoever has web3 alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_ledgers import ADDRESS, KEYS, VALIDATORS
from place import Place
from test_ledger_heads import body, made_head

from protocol.addresses import keccak256
from protocol.errors import ConfigError, DataError
from protocol.head.quorum import sign_head
from protocol.ledger.calls import head_fields, said_values, stacked, values_digest
from protocol.ledger.evm_node import Node, Refused

ROOT = Path(__file__).parents[2]
SERIES = "11" * 32
pytestmark = pytest.mark.filterwarnings("ignore")


def with_values(place: Place, fields: tuple[Any, ...], topics: str, said: bytes) -> tuple[Any, ...]:
    """Return the arguments of `stampValues` behind the nonce, signed by all validators."""
    digest = values_digest(place.core.domain, fields, topics, keccak256(said).hex())
    return fields, topics, said, stacked({ADDRESS[name]: KEYS[name].sign(digest) for name in VALIDATORS})


def test_heads_with_values_are_read_as_well(place: Place) -> None:
    network = place.network("carol")
    place.later(700)
    head = replace(made_head(network, {}), prediction_count=1, predictions_root="12" * 32)
    fields, _, _, topics = head_fields(head)
    said = said_values(head.hash, SERIES, [5])
    place.core.heads.send(ADDRESS["carol"], "stampValues", 0, *with_values(place, fields, topics, said))
    stamped = network.state.stamp
    assert stamped is not None
    assert stamped.hash == head.hash
    assert {one["validator"] for one in network.ledger.tip().event.body["signatures"]} == {
        ADDRESS[name] for name in VALIDATORS
    }


#: Calls that the contract takes and a strict decoder does not.
SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "padding that is not zero": lambda data: data[:-29] + b"\xff" * 29,
    "no padding": lambda data: data[:-29],
    "something behind": lambda data: data + b"something" * 9,
}


def test_a_head_is_read_however_its_call_is_spelled(place: Place) -> None:
    network, heads = place.network("carol"), place.core.heads
    for nonce, spelled in enumerate(SPELLINGS.values()):
        place.later(700)
        head = made_head(network, {})
        marks = stacked(
            {ADDRESS[name]: sign_head(KEYS[name], place.core.domain, head).signature for name in VALIDATORS}
        )
        data = heads.data("stamp", nonce, *head_fields(head), marks)
        place.chain.transact(ADDRESS["carol"], heads.address, spelled(data))
        assert network.state.stamp is not None
        assert network.state.stamp.hash == head.hash
    place.later(700)
    head = made_head(network, {})
    fields, _, _, topics = head_fields(head)
    arguments = with_values(place, fields, topics, said_values(head.hash, SERIES, []))
    data = heads.data("stampValues", len(SPELLINGS), *arguments)
    moved = data[-256:]  # the signatures with their length: again behind, and the first ones are nothing
    where = 4 + 32 * 12
    data = data[:where] + (len(data) - 4).to_bytes(32) + data[where + 32 : -256] + b"\xab" * 256 + moved
    place.chain.transact(ADDRESS["carol"], heads.address, data)
    assert network.state.stamp.hash == head.hash
    assert len(network.ledger.tip().event.body["signatures"]) == len(VALIDATORS)


@pytest.mark.parametrize("lie", ["data root", "topics", "no JSON", "no topics"])
def test_a_quorum_that_signs_a_hash_with_another_heads_fields_damages_the_ledger(place: Place, lie: str) -> None:
    """As it does with a HEAD that names no model blocks: nobody else can."""
    network = place.network("carol")
    place.later(700)
    head = made_head(network, {})
    fields, _, _, topics = head_fields(head if lie != "data root" else replace(head, data_root="34" * 32))
    topics = {"topics": '[{"models":[],"topic":"a"}]', "no JSON": "[" * 5, "no topics": "{}"}.get(lie, topics)
    before = network.ledger.tip().height
    said = said_values(head.hash, SERIES, [])
    place.core.heads.send(ADDRESS["carol"], "stampValues", 0, *with_values(place, fields, topics, said))
    with pytest.raises(DataError, match="tells no HEAD" if lie.startswith("no ") else "fields and topics of another"):
        network.ledger.state()
    damage = network.ledger.verify().damage
    assert damage is not None
    assert damage.height == before + 1


def test_who_delegates_is_told_before_it_stamps(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    network = place.network("carol")
    place.later(700)
    event = network.event("carol", "stamp", **body(network, made_head(network, {})))
    monkeypatch.setattr(network.ledger._node, "code", lambda address: bytes.fromhex("ef0100") + bytes(20))
    with pytest.raises(ConfigError, match="end the delegation"):
        network.ledger.append(event)


def test_a_node_that_gives_few_logs_at_once_is_asked_for_less() -> None:
    from web3.exceptions import Web3RPCError

    class Eth:
        def __init__(self, *blocks: int) -> None:
            self.blocks = blocks

        def get_logs(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
            found = [one for one in self.blocks if asked["fromBlock"] <= one <= asked["toBlock"]]
            if len(found) > 2:
                raise Web3RPCError("query returned more than 2 results")
            return [
                {"address": ADDRESS["bob"], "topics": [], "data": b"", "blockNumber": one}
                | {"blockHash": b"", "transactionHash": b""}
                for one in found
            ]

    blocks = (3, 4, 4, 900, 901, 1_999, 2_000, 4_500)
    node = Node(SimpleNamespace(eth=Eth(*blocks)), wait=lambda seconds: None)
    assert tuple(one.block for one in node.logs(ADDRESS["bob"], 0, 5_000, "ab" * 32)) == blocks
    assert [one.block for one in node.logs(ADDRESS["bob"], 4, 4, "ab" * 32)] == [4, 4]
    assert node.logs(ADDRESS["bob"], 7, 6, "ab" * 32) == []
    node.web3 = SimpleNamespace(eth=Eth(4, 4, 4))
    with pytest.raises(Refused, match="more than 2 results"):
        node.logs(ADDRESS["bob"], 0, 5_000, "ab" * 32)
