"""What attackers of the ledger's contracts try, and what they get: a refusal."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from evm import Evm, person
from made_ledgers import ADDRESS, KEYS, SALT, START, TOPIC, VALIDATORS, Network, made_genesis, module, screen_report
from test_ledger_heads import body, claim, made_head, stamp
from twin import HOLDER, RELAY, Core, TwinLedger, twin_network

from protocol.addresses import keccak256
from protocol.head import merkle
from protocol.head.quorum import head_digest
from protocol.keys import ORDER
from protocol.ledger.calls import call_of, head_fields, stacked
from protocol.ledger.commitments import commitment_of, report_commitment, report_hash, screen_subject
from protocol.ledger.event import registration_message, sign
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import LTFT
from protocol.ledger.refusal import LedgerRefusal
from protocol.typed_data import typed_digest


@pytest.fixture
def network() -> Network:
    return twin_network()


def core_of(network: Network) -> Core:
    assert isinstance(network.ledger, TwinLedger)
    return network.ledger.core


def code(network: Network, event: Any) -> str:
    """Return the refusal of an event by both."""
    with pytest.raises(LedgerRefusal) as caught:
        network.ledger.append(event)
    return caught.value.code


# ----------------------------------------------------------------------------------------------------------- signatures


def test_a_signature_is_good_for_one_chain_one_ledger_and_one_place(network: Network) -> None:
    core = core_of(network)
    event = network.event("alice", "transfer", to=ADDRESS["bob"], amount=5)
    elsewhere = Core(Evm(31_337, START + 1), made_genesis())
    assert elsewhere.domain.salt == core.domain.salt  # same deployer, same place, same genesis: only the chain differs
    other = Core(Evm(31_338, START), made_genesis().model_copy(update={"chain_id": 31_338}))
    call = call_of(event, core.domain)
    assert other.ledger.refused(RELAY, call.function, *call.arguments) == "Signature"
    core.chain.deploy(person("deployer"), "Coin")
    second = Core(core.chain, made_genesis())
    assert second.ledger.address != core.ledger.address
    assert second.domain.salt != core.domain.salt
    assert second.ledger.refused(RELAY, call.function, *call.arguments) == "Signature"
    core.ledger.send(RELAY, call.function, *call.arguments)
    assert core.ledger.refused(RELAY, call.function, *call.arguments) == "Nonce"


def test_a_ledger_on_a_chain_that_splits_takes_no_signature_of_the_other(network: Network) -> None:
    core = core_of(network)
    event = network.event("alice", "transfer", to=ADDRESS["bob"], amount=5)
    core.chain.context._chain_id = 99
    call = call_of(event, core.domain)
    assert core.ledger.refused(RELAY, call.function, *call.arguments) == "Signature"


@pytest.mark.parametrize("fault", ["high s", "v 0", "short", "long", "zero", "another author"])
def test_malleated_signatures_are_refused(network: Network, fault: str) -> None:
    core = core_of(network)
    event = network.event("alice", "stake", amount=5)
    raw = bytes.fromhex(event.signature[2:])
    s = int.from_bytes(raw[32:64])
    bad = {
        "high s": raw[:32] + (ORDER - s).to_bytes(32) + bytes([55 - raw[64]]),
        "v 0": raw[:64] + bytes([raw[64] - 27]),
        "short": raw[:64],
        "long": raw + b"\0",
        "zero": bytes(65),
        "another author": raw,
    }[fault]
    author = ADDRESS["bob"] if fault == "another author" else event.author
    assert core.ledger.refused(RELAY, "stake", author, 0, 5, bad) == "Signature"
    assert core.ledger.refused(RELAY, "stake", event.author, 0, 5, b"") == "Signature"
    assert core.ledger.refused(RELAY, "stake", event.author, 0, 6, raw) == "Signature"


def test_nobody_registers_another_or_with_anothers_key(network: Network) -> None:
    core = core_of(network)
    told = network.registration("dora")
    for changes in (
        {"public_key": KEYS["alice"].public_key, "cosmos_address": KEYS["alice"].cosmos_address},
        {"cosmos_signature": KEYS["alice"].sign_cosmos(registration_message(core.domain, ADDRESS["dora"]))},
        {"cosmos_signature": KEYS["dora"].sign_cosmos(registration_message(core.domain, ADDRESS["bob"]))},
    ):
        assert code(network, network.event("dora", "register", **(told | changes))) == "identity"
    key = bytes.fromhex(told["public_key"])
    off = b"\x02" + (5).to_bytes(32)  # no point of the curve has x = 5
    for bad in (off, key[:-1], b"\x04" + key[1:], b"\x02" + b"\xff" * 32):
        found = core.ledger.refused(
            ADDRESS["dora"], "register", ADDRESS["dora"], 0, "dora", bad, bytes.fromhex(told["cosmos_signature"]), b""
        )
        assert found in {"Identity", "Panic", ""} and found
    network.send("dora", "register", **told)


# ------------------------------------------------------------------------------------------------- commitments, ballots


def test_a_copied_commitment_and_a_front_run_reveal_are_worth_nothing(network: Network) -> None:
    source = module(1)
    commitment = commitment_of(source_hash(source), ADDRESS["alice"], SALT)
    network.send("alice", "commit", topic=TOPIC, commitment=commitment)
    assert network.refused("bob", "commit", topic=TOPIC, commitment=commitment) == "commitment-used"
    told = {"commitment": commitment, "salt": SALT, "topic": TOPIC, "source": source}
    assert network.refused("bob", "reveal", **told) == "wrong-opening"
    mine = commitment_of(source_hash(source), ADDRESS["bob"], SALT)
    network.send("bob", "commit", topic=TOPIC, commitment=mine)  # seen in the mempool, too late to be first
    network.send("alice", "reveal", **told)
    assert network.refused("bob", "reveal", **(told | {"commitment": mine})) == "duplicate"


def test_who_commits_first_to_anothers_commitment_pays_its_bond(network: Network) -> None:
    """A copied commitment that is recorded before the original blocks nobody: the miner opens the copy."""
    commitment = commitment_of(source_hash(module(1)), ADDRESS["alice"], SALT)
    network.send("bob", "commit", topic=TOPIC, commitment=commitment)
    network.send("alice", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))


def test_a_copied_report_commitment_opens_for_its_author_only(network: Network) -> None:
    block_hash = network.submit("alice", module(1))
    subject, report = screen_subject(block_hash), screen_report(block_hash, 1)
    copied = report_commitment(subject, ADDRESS["val1"], SALT, report_hash(report))
    for who in VALIDATORS:
        network.send(who, "report_commit", subject=subject, commitment=copied)
    assert network.refused("val2", "report_reveal", subject=subject, salt=SALT, report=report) == "wrong-opening"
    network.send("val1", "report_reveal", subject=subject, salt=SALT, report=report)


def test_never_revealing_costs_who_does_it_and_stops_nobody(network: Network) -> None:
    params = network.state.params
    network.commit("alice", module(7))
    pool = network.state.pool
    network.wait(params.reveal_window_s)
    assert network.state.pool == pool + params.bond
    block_hash = network.submit("bob", module(1))
    subject, report = screen_subject(block_hash), screen_report(block_hash, 1)
    for who in VALIDATORS:
        network.commit_report(who, subject, report)
    network.reveal_report("val1", subject, report)
    network.reveal_report("val2", subject, report)
    assert network.state.accounts[ADDRESS["val3"]].open_reports == 1
    assert network.refused("val3", "unstake", amount=1) == "reports-open"
    network.wait(params.report_reveal_s)
    assert network.state.accounts[ADDRESS["val3"]].stake == 400 * LTFT - params.report_penalty
    for _ in range(3):  # rounds go on until the end, then the miner has its money back
        network.wait(params.submission_expiry_s)
    assert network.state.submissions[block_hash].status in {"undecided", "open"}


@pytest.mark.slow
def test_more_deadlines_than_fit_one_event_are_worked_off_in_parts() -> None:
    network = twin_network(
        made_genesis().model_copy(update={"params": made_genesis().params.model_copy(update={"bond": 1})})
    )
    for number in range(70):
        commitment = keccak256(number.to_bytes(32)).hex()
        network.send("alice", "commit", topic=TOPIC, commitment=commitment)
    core = core_of(network)
    core.chain.at(START + 200)
    tick = ("tick", ADDRESS["bob"], 0, b"")
    assert core.ledger.refused(ADDRESS["bob"], *tick) == "Behind"
    core.ledger.send(RELAY, "advance", 10)
    core.ledger.send(ADDRESS["bob"], *tick)
    assert core.ledger.pool() == network.state.pool + 70


# -------------------------------------------------------------------------------------------------------- HEAD, rewards


def stamping(network: Network, signers: list[str], **changes: Any) -> tuple[Any, ...]:
    head = made_head(network, {}, **changes)
    digest = head_digest(network.ledger.domain, head.period, head.hash)
    marks = {ADDRESS[name]: KEYS[name].sign(digest) for name in signers}
    fields, topics = head_fields(head)
    return fields, topics, marks


def test_one_signature_counts_once_and_strangers_not_at_all(network: Network) -> None:
    core = core_of(network)
    fields, topics, marks = stamping(network, ["val1", "alice", "bob"])
    one = bytes.fromhex(marks[ADDRESS["val1"]][2:])
    for many in (one * 3, one + one):
        assert core.heads.refused(ADDRESS["carol"], "stamp", 0, fields, topics, many) == "Signature"
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, fields, topics, one) == "NoQuorum"
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, fields, topics, stacked(marks)) == "NoQuorum"
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, fields, topics, b"") == "NoQuorum"
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, fields, topics, one[:-1]) == "Signature"
    two = stacked({ADDRESS[name]: stamping(network, [name])[2][ADDRESS[name]] for name in ("val1", "val2")})
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, fields, topics, two) == "NoQuorum"  # exactly two thirds
    backwards = b"".join(reversed([two[:65], two[65:]]))
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, fields, topics, backwards) == "Signature"


def test_a_head_signed_as_it_is_cannot_be_changed(network: Network) -> None:
    core = core_of(network)
    fields, topics, marks = stamping(network, list(VALIDATORS))
    for place, value in ((10, 5 * LTFT), (8, b"\x12" * 32), (4, b"\x12" * 32), (1, 1)):
        changed = (*fields[:place], value, *fields[place + 1 :])
        assert core.heads.refused(ADDRESS["carol"], "stamp", 0, changed, topics, stacked(marks)) != ""
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, fields, '[],"version":1,"x":[]', stacked(marks)) != ""
    core.heads.send(ADDRESS["carol"], "stamp", 0, fields, topics, stacked(marks))


def test_a_stale_head_or_a_second_one_of_a_period_is_refused(network: Network) -> None:
    first = made_head(network, {})
    old = body(network, first)
    network.send("carol", "stamp", **old)
    assert network.refused("carol", "stamp", **old) == "wrong-parent"
    same = body(network, made_head(network, {"alice": 1}, parent=first.hash))
    assert network.refused("carol", "stamp", **same) == "wrong-period"
    early = body(network, made_head(network, {}, parent=first.hash, period=first.period + 1))
    assert network.refused("carol", "stamp", **early) == "wrong-period"


def test_nothing_is_claimed_twice_or_by_another(network: Network) -> None:
    earned = {"alice": 3 * LTFT, "bob": LTFT}
    stamp(network, **earned)
    told = claim(network, earned, "alice")
    assert network.refused("bob", "claim", **told) == "wrong-claim"
    network.send("alice", "claim", **told)
    assert network.refused("alice", "claim", **told) == "claimed"
    network.clock.now += 600
    stamp(network, **earned)
    assert network.refused("alice", "claim", **claim(network, earned, "alice")) == "claimed"


def test_a_node_of_64_bytes_is_no_leaf_and_a_shorter_tree_no_tree(network: Network) -> None:
    chain = Evm()
    harness = chain.deploy(RELAY, "Harness")
    leaves = [bytes([number]) * 64 for number in range(4)]
    root = bytes.fromhex(merkle.root(leaves))
    hashes = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    nodes = [hashlib.sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in (0, 2)]
    assert harness.verify(root, 4, leaves[0], 0, [hashes[1], nodes[1]])
    assert not harness.verify(root, 2, hashes[0] + hashes[1], 0, [nodes[1]])
    assert not harness.verify(root, 4, hashes[0] + hashes[1], 0, [nodes[1]])
    assert not harness.verify(root, 1, nodes[0] + nodes[1], 0, [])
    assert not harness.verify(root, 8, leaves[0], 0, [hashes[1], nodes[1]])
    assert not harness.verify(root, 4, leaves[0], 4, [hashes[1], nodes[1]])
    assert not harness.verify(root, 0, leaves[0], 0, [])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 13])
def test_trees_of_any_size_are_the_python_ones(size: int) -> None:
    harness = Evm().deploy(RELAY, "Harness")
    leaves = [f"leaf {number}".encode() for number in range(size)]
    root = bytes.fromhex(merkle.root(leaves))
    for index in range(size):
        proof = merkle.prove(leaves, index)
        path = [bytes.fromhex(one) for one in proof.path]
        assert harness.verify(root, size, leaves[index], index, path)
        assert not harness.verify(root, size, leaves[index] + b"!", index, path)
        assert not harness.verify(root, size, leaves[index], index, [*path, bytes(32)])
        if path:
            assert not harness.verify(root, size, leaves[index], index, path[:-1])


# --------------------------------------------------------------------------------------------------- money, other ways


def test_only_the_contracts_of_the_ledger_call_its_modules_functions(network: Network) -> None:
    core = core_of(network)
    for function, arguments in {
        "pay": (HOLDER, 1),
        "charge": (ADDRESS["alice"], 1),
        "toPool": (1,),
        "owe": (ADDRESS["alice"],),
        "settle": (ADDRESS["alice"],),
        "fine": (ADDRESS["val1"],),
        "remind": (5,),
        "reward": (1, 1),
        "outside": (b"burn".ljust(32, b"\0"), 1),
        "record": (b"tick".ljust(32, b"\0"), ADDRESS["alice"], 0, ADDRESS["alice"], bytes(32), b"", b""),
        "recordClaim": (ADDRESS["alice"], 0, ADDRESS["alice"], bytes(32), 5, b"", b""),
        "recordStamp": (ADDRESS["alice"], 0, bytes(32), []),
    }.items():
        assert core.ledger.refused(HOLDER, function, *arguments) == "NotAllowed", function
    assert core.registry.refused(HOLDER, "fallDue", 5) == "NotAllowed"
    assert core.token.refused(HOLDER, "mint", 1, 1) == "NotAllowed"


def test_money_goes_in_and_out_and_is_the_same_money(network: Network) -> None:
    ledger = network.ledger
    assert isinstance(ledger, TwinLedger)
    core = ledger.core
    core.token.send(HOLDER, "approve", core.ledger.address, 2**256 - 1)
    ledger.outside("enter", ADDRESS["alice"], 5 * LTFT)
    ledger.outside("give", 3 * LTFT)
    ledger.outside("burn", 2 * LTFT)
    ledger.outside("redeem", LTFT)
    network.send("alice", "transfer", to=core.addresses.token, amount=55 * LTFT)
    assert core.token.balanceOf(ADDRESS["alice"]) == 55 * LTFT
    assert network.state.accounts[ADDRESS["alice"]].balance == 0
    for amount in (0, 2**256 - 1, 2**128, 10**30):
        assert core.ledger.refused(HOLDER, "enter", ADDRESS["alice"], amount)
        assert core.ledger.refused(HOLDER, "give", amount)
        assert core.token.refused(HOLDER, "burn", amount)
    assert core.ledger.refused(HOLDER, "enter", HOLDER, 1) == "NoAccount"
    assert core.ledger.refused(HOLDER, "enter", core.addresses.token, 1) == "NoAccount"


def test_lost_ltft_sent_to_the_ledger_is_nobodys(network: Network) -> None:
    core = core_of(network)
    core.token.send(HOLDER, "transfer", core.ledger.address, LTFT)
    assert core.ledger.pool() == network.state.pool
    network.send("alice", "stake", amount=1) if False else None
    assert core.token.balanceOf(core.ledger.address) == made_genesis().total + LTFT


def test_contracts_that_do_not_fit_are_not_deployed() -> None:
    chain = Evm(31_337, START)
    core = Core(chain, made_genesis())
    terms, who = (0, 1, 0, 1), person("deployer")
    for arguments in (
        ("", core.token.address, HOLDER, HOLDER, 0, terms, []),
        ("", core.token.address, HOLDER, HOLDER, 0, terms, [(HOLDER, 1, 0)] * 2),
    ):
        with pytest.raises(Exception, match="Misdeployed"):
            chain.deploy(who, "Ledger", *arguments)
    with pytest.raises(Exception, match="Misdeployed"):
        chain.deploy(who, "LTFT", core.ledger.address, 1, 1, 2**128, 0, [], [])


# ----------------------------------------------------------------------------------------------------- values and feeds


def test_feeds_answer_what_a_quorum_signed_for_their_series_only(network: Network) -> None:
    core = core_of(network)
    series, others = b"\x11" * 32, b"\x22" * 32
    feeds = [core.chain.deploy(RELAY, "Feed", core.heads.address, series, place, f"S{place}") for place in (0, 5)]
    wrong = core.chain.deploy(RELAY, "Feed", core.heads.address, others, 0, "S0")
    numbers = [-1, 2**63 - 1, -(2**63), 0, 7, -3_000_000_000]
    values = b"".join(number.to_bytes(8, signed=True) for number in numbers)
    head = replace(made_head(network, {}), prediction_count=6, predictions_root="12" * 32)
    fields, topics = head_fields(head)
    types = [("period", "uint256"), ("head", "bytes32"), ("series", "bytes32"), ("values", "bytes32")]
    said = {"period": head.period, "head": head.hash, "series": series.hex(), "values": keccak256(values).hex()}
    digest = typed_digest(core.domain, "HeadValues", types, said)
    marks = stacked({ADDRESS[name]: KEYS[name].sign(digest) for name in VALIDATORS})
    plain = stacked(
        {ADDRESS[name]: KEYS[name].sign(head_digest(core.domain, head.period, head.hash)) for name in VALIDATORS}
    )
    who = ADDRESS["carol"]
    for feed in (*feeds, wrong):
        with pytest.raises(Exception, match="NoData"):
            feed.latestRoundData()
    assert core.heads.refused(who, "stampValues", 0, fields, topics, series, values[:-8], True, marks) == "Malformed"
    assert core.heads.refused(who, "stampValues", 0, fields, topics, others, values, True, marks) != ""
    assert core.heads.refused(who, "stampValues", 0, fields, topics, series, values, True, plain) != ""
    assert core.heads.refused(who, "stamp", 0, fields, topics, marks) != ""
    done = core.heads.send(who, "stampValues", 0, fields, topics, series, values, True, marks)
    assert [log.values["values"] for log in done.logs if log.name == "Values"] == [values]
    start = head.period * 600
    assert feeds[0].latestRoundData() == (head.period, -1, start, start, head.period)
    assert feeds[1].getRoundData(head.period)[1] == numbers[5]
    assert [core.heads.valueAt(place)[0] for place in range(6)] == numbers
    with pytest.raises(Exception, match="NoData"):
        wrong.latestRoundData()
    with pytest.raises(Exception, match="NoData"):
        feeds[0].getRoundData(head.period - 1)


# ------------------------------------------------------------------------------------------------- provenance, weights


def provenance(network: Network, signers: tuple[str, ...] = VALIDATORS, **changes: Any) -> tuple[Any, bytes]:
    record = {"to": ADDRESS["alice"], "data": "ab" * 32, "quality": 9 * 10**8, "improvement": -5, "royalty": 250} | {
        name: value for name, value in changes.items() if name != "parents"
    }
    parents = list(changes.get("parents", []))
    packed = keccak256(b"".join(one.to_bytes(32) for one in parents)).hex()
    types = [
        ("to", "address"),
        ("data", "bytes32"),
        ("quality", "uint256"),
        ("improvement", "int256"),
        ("royalty", "uint256"),
        ("parents", "bytes32"),
    ]
    digest = typed_digest(network.ledger.domain, "Provenance", types, record | {"parents": packed})
    marks = stacked({ADDRESS[name]: KEYS[name].sign(digest) for name in signers})
    return (*(bytes.fromhex(v) if k == "data" else v for k, v in record.items()), parents), marks


def test_provenance_is_minted_once_by_a_quorum_with_known_parents(network: Network) -> None:
    core = core_of(network)
    nft = core.chain.deploy(RELAY, "Provenance", core.ledger.address)
    record, marks = provenance(network)
    assert nft.refused(RELAY, "mint", *provenance(network, ("val1", "val2"))) == "NoQuorum"
    assert nft.refused(RELAY, "mint", (*record[:2], 10**9, *record[3:]), marks) in {"NoQuorum", "Signature"}
    assert nft.refused(RELAY, "mint", *provenance(network, parents=[1])) == "WrongRecord"
    assert nft.refused(RELAY, "mint", *provenance(network, royalty=1_001)) == "WrongRecord"
    assert nft.send(RELAY, "mint", record, marks).result == 1
    assert nft.refused(RELAY, "mint", record, marks) == "Minted"
    child = provenance(network, data="cd" * 32, parents=[1])
    assert nft.send(RELAY, "mint", *child).result == 2
    assert nft.refused(RELAY, "mint", *provenance(network, data="ef" * 32, parents=[2, 1])) == "WrongRecord"
    assert nft.refused(RELAY, "mint", *provenance(network, data="ef" * 32, parents=[1, 1])) == "WrongRecord"
    assert nft.parentsOf(2) == (1,)
    assert nft.ownerOf(1) == ADDRESS["alice"].lower()
    assert nft.royaltyInfo(1, 10_000) == (ADDRESS["alice"].lower(), 250)
    assert nft.supportsInterface(bytes.fromhex("2a55205a"))
    assert nft.origins(1)[:3] == (b"\xab" * 32, 9 * 10**8, -5)


def test_weights_are_hidden_in_their_epoch_and_open_in_the_next(network: Network) -> None:
    core = core_of(network)
    weights = core.chain.deploy(RELAY, "Weights", core.ledger.address, 3_600)
    epoch, who, salt, content = START // 3_600, ADDRESS["val1"], b"\x05" * 32, b"weights"
    hashed = hashlib.sha256(content).digest()
    from eth_abi import encode

    sealed = keccak256(encode(["uint64", "address", "bytes32", "bytes32"], [epoch, who, salt, hashed]))
    assert weights.refused(ADDRESS["alice"], "commit", epoch, sealed) == "NotValidator"
    assert weights.refused(who, "commit", epoch + 1, sealed) == "WrongPeriod"
    weights.send(who, "commit", epoch, sealed)
    assert weights.refused(who, "commit", epoch, sealed) == "AlreadyCommitted"
    assert weights.refused(who, "reveal", epoch, salt, hashed, content) == "TooEarly"
    core.chain.at(START + 3_600)
    assert weights.refused(ADDRESS["val2"], "reveal", epoch, salt, hashed, content) == "NotCommitted"
    assert weights.refused(who, "reveal", epoch, salt, hashed, b"other") == "WrongOpening"
    assert weights.refused(who, "reveal", epoch, bytes(32), hashed, content) == "WrongOpening"
    weights.send(who, "reveal", epoch, salt, hashed, content)
    assert weights.refused(who, "reveal", epoch, salt, hashed, b"") == "AlreadyRevealed"
    core.chain.at(START + 7_200)
    assert weights.refused(ADDRESS["val2"], "reveal", epoch, salt, hashed, b"") == "WrongPeriod"


def test_signing_the_same_for_a_ledger_file_and_for_a_chain_differs() -> None:
    event = sign(KEYS["alice"], twin_network().ledger.domain, "tick", 0, {})
    other = sign(KEYS["alice"], twin_network(made_genesis(val1=400)).ledger.domain, "tick", 0, {})
    assert event.signature != other.signature
