"""Modules whose hash is in the chain and whose text is not."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from made_ledgers import ADDRESS, SALT, TOPIC, module
from place import Place

from infra.texts import find_texts
from protocol.errors import ConfigError
from protocol.ledger.commitments import commitment_of
from protocol.ledger.digest import state_digest
from protocol.ledger.event import SignedEvent
from protocol.ledger.kinds import source_hash
from protocol.ledger.texts import TextMissingError

pytestmark = pytest.mark.filterwarnings("ignore")
HASH = source_hash(module(1))


def revealed(place: Place, texts: Any) -> tuple[Any, SignedEvent]:
    """Return the network of a miner who has revealed a module whose text lies elsewhere, and the event."""
    network = place.network("alice", texts=texts)
    commitment = network.commit("alice", module(1))
    event = network.event("alice", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
    assert network.ledger.append(event).new
    return network, event


def test_a_text_put_elsewhere_is_found_by_its_hash(place: Place) -> None:
    folder = place.folder / "texts"
    network, event = revealed(place, find_texts(str(folder)))
    assert (folder / f"{HASH}.py").read_text() == module(1)
    record = network.ledger.tip()
    assert record.event.body["source_hash"] == HASH
    assert "source" not in record.event.body
    again = network.ledger.append(event)
    assert (again.height, again.new) == (record.height, False)

    blind = place.view(cache=place.folder / "cache.sqlite")
    with pytest.raises(TextMissingError, match="set `modules`"):
        blind.source(HASH)
    assert state_digest(blind.state()) == state_digest(network.ledger.state())
    seeing = place.view(cache=place.folder / "cache.sqlite", texts=find_texts(str(folder)))
    assert seeing.source(HASH) == module(1)
    (folder / f"{HASH}.py").unlink()
    assert blind.source(HASH) == module(1)  # kept beside what was read of the chain
    assert network.judge(HASH) == "accepted"
    assert network.ledger.verify().ok


def test_a_place_is_not_trusted(place: Place) -> None:
    folder = place.folder / "texts"
    network, _ = revealed(place, find_texts(str(folder)))
    for content in (module(2).encode(), b"\xff\xfe", b"", b"x" * 70_000):
        (folder / f"{HASH}.py").write_bytes(content)
        with pytest.raises(TextMissingError, match="is another text" if content else "is missing"):
            network.ledger.source(HASH)


def test_nothing_is_sent_that_could_not_be_put(place: Place) -> None:
    (place.folder / "texts").write_text("in the way")
    network = place.network("alice", texts=find_texts(str(place.folder / "texts")))
    commitment = network.commit("alice", module(1))
    before = network.ledger.tip()
    with pytest.raises(ConfigError, match="cannot write"):
        network.send("alice", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
    assert network.ledger.tip() == before


def test_a_module_without_a_text_leaves_the_ledger_readable(place: Place) -> None:
    """Whoever calls the contract by hand may name any hash."""
    block_hash = hashlib.sha256(b"whatever").hexdigest()
    network = place.network("alice")
    commitment = commitment_of(block_hash, ADDRESS["alice"], SALT)
    network.send("alice", "commit", topic=TOPIC, commitment=commitment)
    words = bytes.fromhex(commitment), bytes.fromhex(SALT), TOPIC, bytes.fromhex(block_hash), b"", b""
    nonce = network.state.accounts[ADDRESS["alice"]].nonce
    place.core.registry.send(ADDRESS["alice"], "reveal", ADDRESS["alice"], nonce, *words)
    reader = place.view()
    assert reader.state().submissions[block_hash].status == "open"
    with pytest.raises(TextMissingError):
        reader.source(block_hash)


def test_a_text_may_lie_in_a_bucket(bucket: str) -> None:
    texts = find_texts(f"{bucket}/modules")
    assert texts is not None
    assert texts.get(HASH) is None
    texts.put(HASH, module(1).encode())
    texts.put(HASH, module(1).encode())
    assert texts.get(HASH) == module(1).encode()
    assert find_texts("") is None
