"""What attackers of the ledger's contracts try, and what they get: a refusal."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from evm import Evm, person
from made_ledgers import ADDRESS, KEYS, SALT, START, TOPIC, VALIDATORS, Network, made_genesis, module, screen_report
from test_ledger_heads import body, claim, made_head, stamp
from twin import HOLDER, RELAY, Core, TwinLedger, core_of, twin_network

from protocol.addresses import keccak256
from protocol.errors import ConfigError
from protocol.head import merkle
from protocol.head.quorum import head_digest
from protocol.keys import ORDER
from protocol.ledger.calls import HEAD_FIELDS, call_of, head_fields, stacked
from protocol.ledger.commitments import canonical, commitment_of, report_commitment, report_hash, screen_subject
from protocol.ledger.event import registration_message, sign
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import LTFT
from protocol.ledger.refusal import LedgerRefusal


@pytest.fixture
def network() -> Network:
    return twin_network()


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
    return head_fields(head), marks


def test_one_signature_counts_once_and_strangers_not_at_all(network: Network) -> None:
    core = core_of(network)
    told, marks = stamping(network, ["val1", "alice", "bob"])
    one = bytes.fromhex(marks[ADDRESS["val1"]][2:])
    for many in (one * 3, one + one):
        assert core.heads.refused(ADDRESS["carol"], "stamp", 0, *told, many) == "Signature"
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, *told, one) == "NoQuorum"
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, *told, stacked(marks)) == "NoQuorum"
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, *told, b"") == "NoQuorum"
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, *told, one[:-1]) == "Signature"
    two = stacked({ADDRESS[name]: stamping(network, [name])[1][ADDRESS[name]] for name in ("val1", "val2")})
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, *told, two) == "NoQuorum"  # exactly two thirds
    backwards = b"".join(reversed([two[:65], two[65:]]))
    assert core.heads.refused(ADDRESS["carol"], "stamp", 0, *told, backwards) == "Signature"


def test_a_head_signed_as_it_is_cannot_be_changed(network: Network) -> None:
    core = core_of(network)
    told, marks = stamping(network, list(VALIDATORS))
    fields, models_root, count, topics = told
    odd: list[tuple[Any, ...]] = [
        ((*fields[:place], value, *fields[place + 1 :]), models_root, count, topics)
        for place, value in ((8, 5 * LTFT), (6, b"\x12" * 32), (4, b"\x12" * 32), (1, 1))
    ]
    odd += [(fields, b"\x12" * 32, count, topics), (fields, models_root, 1, topics)]
    for changed in (*odd, (fields, models_root, count, '[],"version":1,"x":[]')):
        assert core.heads.refused(ADDRESS["carol"], "stamp", 0, *changed, stacked(marks)) != ""
    core.heads.send(ADDRESS["carol"], "stamp", 0, *told, stacked(marks))


def test_the_text_of_any_fields_is_the_canonical_one(network: Network) -> None:
    core, most = core_of(network), 2**256 - 1
    for number, topics in ((most, "[]"), (0, ""), (7, '[{"models":[],"topic":"a"}]' * 9)):
        fields = (number, number, *(bytes([place]) * 32 for place in range(1, 6)), number, number)
        values = [one.hex() if isinstance(one, bytes) else one for one in fields]
        plain = {**dict(zip(HEAD_FIELDS, values, strict=True)), "models_root": "09" * 32, "prediction_count": number}
        text = canonical({**plain, "topics": 0, "version": 1}).replace('"topics":0', f'"topics":{topics}')
        found = core.heads.hashOf(fields, b"\t" * 32, number, topics)
        assert found == hashlib.sha256(text.encode()).digest()


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
        "recordClaim": (ADDRESS["alice"], 0, ADDRESS["alice"], bytes(32), 5, True, b"", b""),
        "recordStamp": (ADDRESS["alice"], 0, bytes(32), b"", b""),
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
    for amount in (0, 2**256 - 1, 2**96, 2**128, 10**30):
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
        chain.deploy(who, "LTFT", core.ledger.address, 1, 1, 2**96, 0, [], [])
    rich = made_genesis().model_copy(update={"pool": 2**96})
    with pytest.raises(ConfigError, match=r"keep it below 2\*\*96"):
        Core(Evm(31_337, START), rich)


def test_signing_the_same_for_a_ledger_file_and_for_a_chain_differs() -> None:
    event = sign(KEYS["alice"], twin_network().ledger.domain, "tick", 0, {})
    other = sign(KEYS["alice"], twin_network(made_genesis(val1=400)).ledger.domain, "tick", 0, {})
    assert event.signature != other.signature
