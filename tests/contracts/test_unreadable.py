"""Nobody alone can make a ledger on a chain unreadable: what a contract takes, every reader reads and the rules take too."""

from __future__ import annotations

import hashlib

import pytest
from evm import Contract, Evm, artifact
from hypothesis import example, given
from hypothesis import strategies as st
from made_ledgers import ADDRESS, SALT, TOPIC, VALIDATORS, Network, key_of, module
from test_ledger_heads import body, made_head
from twin import RELAY, Core, core_of, twin_network

from protocol.head.head import MAX_HEAD_BYTES, Head
from protocol.head.quorum import head_digest
from protocol.ledger.calls import head_fields, said_values, stacked
from protocol.ledger.commitments import commitment_of
from protocol.ledger.kinds import MAX_EVENT_BYTES, MAX_SIGNATURES, MAX_SOURCE_BYTES, source_hash
from protocol.ledger.params import DAY_S

#: The code of an account that delegates to a contract begins with it (EIP-7702).
DELEGATED = bytes.fromhex("ef0100")


@pytest.fixture
def network() -> Network:
    return twin_network()


def signed(core: Core, head: Head, *more: str) -> bytes:
    """Return the stacked signatures of all validators, and of others named."""
    digest = head_digest(core.domain, head.period, head.hash)
    return stacked({key_of(name).address: key_of(name).sign(digest) for name in (*VALIDATORS, *more)})


# ------------------------------------------------------------------------------------------- text and signatures of HEADs


def test_a_head_comes_from_the_account_that_sends_the_transaction_and_has_no_code(network: Network) -> None:
    """Its text stands in the transaction's data, which is another's call if code stands between."""
    core = core_of(network)
    head = made_head(network, {})
    arguments = (0, *head_fields(head), signed(core, head))
    courier, carol = core.chain.deploy(RELAY, "Courier"), ADDRESS["carol"]
    data = core.heads.data("stamp", *arguments)
    assert courier.refused(carol, "carry", core.heads.address, data) == "NotAllowed"
    delegate(core, carol, courier)
    inner = Contract(core.chain, artifact("Courier"), carol)
    assert inner.refused(carol, "carry", core.heads.address, data) == "NotAllowed"
    assert inner.refused(ADDRESS["bob"], "carry", core.heads.address, data) == "NotAllowed"
    assert core.heads.refused(carol, "stamp", *arguments) == "NotAllowed"
    fields, _, _, topics = head_fields(head)
    values = (0, fields, topics, said_values(head.hash, "11" * 32, []), signed(core, head))
    for function in ("stampValues", "stampFeeds"):
        assert inner.refused(carol, "carry", core.heads.address, core.heads.data(function, *values)) == "NotAllowed"
    core.chain.state.set_code(bytes.fromhex(carol[2:]), b"")
    network.send("carol", "stamp", **body(network, head))


def test_other_events_may_come_by_a_contract(network: Network) -> None:
    core = core_of(network)
    delegate(core, ADDRESS["alice"], core.chain.deploy(RELAY, "Courier"))
    inner = Contract(core.chain, artifact("Courier"), ADDRESS["alice"])
    data = core.ledger.data("stake", ADDRESS["alice"], 0, 5, b"")
    inner.send(ADDRESS["bob"], "carry", core.ledger.address, data)
    assert core.ledger.stakeOf(ADDRESS["alice"]) == 5


def test_signatures_of_strangers_are_as_many_as_an_event_may_have(network: Network) -> None:
    core = core_of(network)
    head = made_head(network, {})
    strangers = [f"stranger-{number}" for number in range(MAX_SIGNATURES + 1 - len(VALIDATORS))]
    fields, carol = head_fields(head), ADDRESS["carol"]
    assert core.heads.refused(carol, "stamp", 0, *fields, signed(core, head, *strangers)) == "Malformed"
    most = [*VALIDATORS, *strangers[:-1]]
    digest = head_digest(core.domain, head.period, head.hash)
    marks = [{"validator": key_of(name).address, "signature": key_of(name).sign(digest)} for name in most]
    network.send("carol", "stamp", head=head.text, signatures=marks)


def delegate(core: Core, who: str, to: Contract) -> None:
    core.chain.state.set_code(bytes.fromhex(who[2:]), DELEGATED + bytes.fromhex(to.address[2:]))


# ---------------------------------------------------------------------------------------------------------------- modules


@pytest.mark.parametrize(
    "source",
    [b"\xff", b"ok\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"x" * 40 + b"\x80"],
    ids=lambda source: source[-8:].hex(),
)
def test_what_is_given_as_a_module_is_text(network: Network, source: bytes) -> None:
    core = core_of(network)
    digest = hashlib.sha256(source).hexdigest()
    commitment = commitment_of(digest, ADDRESS["alice"], SALT)
    network.send("alice", "commit", topic=TOPIC, commitment=commitment)
    hidden = bytes.fromhex(commitment), bytes.fromhex(SALT), TOPIC, bytes.fromhex(digest)
    assert core.registry.refused(ADDRESS["alice"], "reveal", ADDRESS["alice"], 1, *hidden, source, b"") == "Malformed"


@pytest.mark.parametrize("sign", ["\0", '"', "é", "€", "𝄞", "x"])
def test_the_largest_module_of_any_signs_is_an_event(network: Network, sign: str) -> None:
    source = sign * (MAX_SOURCE_BYTES // len(sign.encode()))
    network.ledger.eager = False
    block_hash = network.submit("alice", source)
    assert network.state.submissions[block_hash].status == "open"


UTF8 = Evm().deploy(RELAY, "Harness")


@example(b"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\x7f")
@example(b"\xe0\x9f\xbf")
@example(b"\xf0\x8f\xbf\xbf")
@given(
    st.lists(
        st.sampled_from([b"x" * 31, b"x" * 32, b"\x80", b"\xbf", b"\xc1", b"\xf5\x80\x80\x80", b"\xf0\x90", b"\xed"])
        | st.text(max_size=20).map(str.encode)
        | st.binary(max_size=4),
        max_size=6,
    ).map(b"".join)
)
def test_what_is_utf_8_is_what_python_reads(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError:
        assert not UTF8.isUtf8(content)
    else:
        assert UTF8.isUtf8(content)


# ------------------------------------------------------------------------------------------------------------ commitments


def test_a_commitment_is_known_by_all_of_its_digits(network: Network) -> None:
    mine = commitment_of(source_hash(module(1)), ADDRESS["alice"], SALT)
    alike = mine[:-10] + ("0" * 10 if mine[-10:] != "0" * 10 else "1" * 10)
    network.send("bob", "commit", topic=TOPIC, commitment=alike)
    told = {"commitment": mine, "salt": SALT, "topic": TOPIC, "source": module(1)}
    assert network.refused("alice", "reveal", **told) == "no-commitment"
    network.send("alice", "commit", topic=TOPIC, commitment=mine)
    network.send("alice", "reveal", **told)
    pool = network.state.pool
    network.wait(network.state.params.reveal_window_s)
    assert network.state.pool == pool + network.state.params.bond


def test_a_commitment_that_was_revealed_can_be_made_again(network: Network) -> None:
    """Its place in the queue is then that of the later one, and what waits behind its earlier place does not wait."""
    window, bond = network.state.params.reveal_window_s, network.state.params.bond
    commitment = network.commit("alice", module(1))
    network.send("alice", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
    network.commit("bob", module(2))
    network.wait(window // 2)
    network.send("bob", "commit", topic=TOPIC, commitment=commitment)
    pool = network.state.pool
    network.wait(window // 2)
    assert network.state.pool == pool + bond  # of the other module
    network.wait(window // 2)
    assert network.state.pool == pool + 2 * bond


# ----------------------------------------------------------------------------------------------------------------- bounds


def test_rounds_of_a_ballot_are_counted_to_the_end_whatever_the_parameters() -> None:
    """A round lasts a second at least and a ballot a hundred years at most; else time itself would be refused."""
    (bits,) = {one.removeprefix("uint") for one in artifact("Registry").functions["ballot"].outputs[:1]}
    assert 2 ** int(bits) > 100 * 365 * DAY_S


def test_reports_that_an_account_owes_are_bounded_by_gas() -> None:
    """A commitment to a report costs 100,000 gas or more; what an account can owe is more than a chain has room for in days."""
    owed = artifact("Ledger").functions["accounts"].outputs[2]
    assert 2 ** int(owed.removeprefix("uint")) * 100_000 > 10**12


def test_what_is_taken_fits_an_event() -> None:
    mark = len('{"signature":"0x","validator":"0x"},') + 130 + 40
    assert 6 * MAX_SOURCE_BYTES + 1_000 < MAX_EVENT_BYTES
    assert 2 * MAX_HEAD_BYTES + MAX_SIGNATURES * mark + 1_000 < MAX_EVENT_BYTES
