"""A ledger twice: the Python state machine and the contracts. Every event goes to both; they must say the same."""

from __future__ import annotations

from typing import Any

from evm import Contract, Done, Evm, Reverted, person
from made_ledgers import Clock, Network, PureLedger, made_genesis

from protocol.addresses import keccak256
from protocol.ledger.artifacts import code_of
from protocol.ledger.calls import BODIES, UNSIGNED, body_of, call_of, event_of, stamp_body
from protocol.ledger.commitments import parse_subject
from protocol.ledger.deployment import Addresses, constructor_arguments, with_outside
from protocol.ledger.event import SignedEvent, domain_of, genesis_record, record_at
from protocol.ledger.genesis import Genesis
from protocol.ledger.ledger import Receipt
from protocol.ledger.params import LTFT
from protocol.ledger.refusal import CODES, LedgerRefusal
from protocol.ledger.rules import apply, initial_state
from protocol.ledger.state import State

DEPLOYER, RELAY, HOLDER = person("deployer"), person("relay"), person("holder")
OUTSIDE = 1_000 * LTFT
#: What is refused before anything reaches a chain; the last by every validator before it signs a HEAD.
FORM = ("unknown-kind", "fields", "malformed", "oversized", "no-block")
STATUS = ("none", "open", "accepted", "refused", "invalid", "undecided")


class Core:
    """The contracts of a ledger on a chain."""

    def __init__(self, chain: Evm, genesis: Genesis, holders: dict[str, int] | None = None) -> None:
        holders = holders if holders is not None else {HOLDER: OUTSIDE}
        self.chain = chain
        self.addresses = Addresses(*(chain.next_address(DEPLOYER, place) for place in range(4)))
        self.genesis = with_outside(genesis, self.addresses.token, sum(holders.values()))
        chain.at(max(chain.time, genesis.time))
        arguments = constructor_arguments(self.genesis, self.addresses, holders)
        made = {name: chain.deploy(DEPLOYER, name, *values) for name, values in arguments.items()}
        self.token, self.ledger = made["LTFT"], made["Ledger"]
        self.registry, self.heads = made["Registry"], made["Heads"]
        self.contracts: dict[str, Contract] = made
        found = Addresses(*(made[name].address for name in ("LTFT", "Ledger", "Registry", "Heads")))
        assert found == self.addresses
        self.domain = domain_of(self.genesis, self.ledger.address)
        assert self.ledger.salt().hex() == self.domain.salt

    def bring(self, event: SignedEvent, *, signed: bool = True) -> Done:
        """Record an event; a relay brings it if it is signed, its author otherwise."""
        direct = event.kind == "stamp" or not signed
        call = call_of(event, self.domain, signature=not direct)
        return self.contracts[call.contract].send(event.author if direct else RELAY, call.function, *call.arguments)


class TwinLedger(PureLedger):
    """The pure ledger with the contracts beside it."""

    def __init__(self, genesis: Genesis, clock: Clock, chain: Evm | None = None) -> None:
        self.core = Core(chain or Evm(genesis.chain_id, genesis.time), genesis)
        author = self.core.ledger.address
        self.genesis, self.domain, self.clock = self.core.genesis, self.core.domain, clock
        self.chain = [genesis_record(self.genesis, author)]
        self.now = initial_state(self.genesis, author)
        self.signed = True
        self.gas: dict[str, int] = {}
        #: Whether everything is compared after each event; else whoever drives this does it when it has done something.
        self.eager = True
        same(self.core, self.now)

    def append(self, event: SignedEvent) -> Receipt:
        self.meet()
        code, done = "", None
        try:
            receipt = super().append(event)
        except LedgerRefusal as refusal:
            code = refusal.code
            if code in FORM or (code == "signature" and event.kind == "stamp"):  # nobody else can bring a stamp
                raise
        try:
            done = self.core.bring(event, signed=self.signed or code == "signature")
        except Reverted as error:
            found = code_of(error.name)
            assert found in CODES, (error, event.kind, event.body)
        else:
            found = ""
        assert found == code, (found, code, event.kind, event.body)
        if done is None:
            raise LedgerRefusal(code, "both refuse it")
        if self.eager:
            same(self.core, self.now)
        self.gas[event.kind] = done.gas
        self.check_log(event, done)
        self.signed = not self.signed  # the next one by the other way
        return receipt

    def meet(self) -> None:
        """Let both clocks say the same; a chain with blocks has no two of one second."""
        time = max(self.now.time, int(self.clock()))
        if (possible := self.core.chain.at(time)) != time:
            self.clock.now = possible

    def outside(self, function: str, *arguments: Any) -> None:
        """Let the holder of LTFT outside do something, and the account that stands for all outside with it."""
        core = self.core
        self.meet()
        contract = core.ledger if function in {"enter", "give"} else core.token
        done = contract.send(HOLDER, function, *arguments)
        (log,) = [log for log in done.logs if log.name == "Recorded"]
        kind, gate = log.values["kind"].rstrip(b"\0").decode(), core.addresses.token
        event = event_of(kind, gate, log.values["nonce"], body_of(kind, log.values["body"]), log.values["signature"])
        assert (event.author, event.signature) == (gate, UNSIGNED)
        record = record_at(self.now.height + 1, self.now.head, max(self.now.time, int(self.clock())), event)
        apply(self.now, record, signatures=False)
        self.chain.append(record)
        same(core, self.now)

    def check_log(self, event: SignedEvent, done: Done) -> None:
        """Check that the log tells the event again."""
        (log,) = [log for log in done.logs if log.name == "Recorded"]
        values = log.values
        assert values["height"] == self.now.height
        kind = values["kind"].rstrip(b"\0").decode()
        assert (kind, values["author"].lower(), values["nonce"]) == (event.kind, event.author.lower(), event.nonce)
        assert kind in BODIES
        told: dict[str, Any] = body_of(kind, values["body"])
        if kind == "stamp":
            _, function, arguments = call_of(event, self.domain)
            told = stamp_body(function, arguments, self.domain)
            assert told["head"] == event.body["head"]
        else:
            assert told == event.body
            if values["signature"]:
                assert "0x" + values["signature"].hex() == event.signature


def twin_network(genesis: Genesis | None = None) -> Network:
    clock = Clock()
    return Network(TwinLedger(genesis or made_genesis(), clock), clock)


def core_of(network: Network) -> Core:
    assert isinstance(network.ledger, TwinLedger)
    return network.ledger.core


def same(core: Core, state: State) -> None:
    """Check that the contracts hold what the state does."""
    ledger, heads, token = core.ledger, core.heads, core.token
    gate = core.addresses.token
    assert ledger.height() == state.height
    assert ledger.pool() == state.pool
    assert ledger.rewards() == (state.rewards.deposited, state.rewards.owed)
    for address, account in state.accounts.items():
        found = ledger.accounts(address)
        if address == gate:
            outside = token.totalSupply() - token.balanceOf(core.ledger.address)
            assert (outside, found[1:]) == (account.balance, (account.nonce, 0, True, 0))
        else:
            paid = state.claimed.get(address, 0)
            assert found == (account.balance, account.nonce, account.open_reports, True, paid)
            assert ledger.stakeOf(address) == account.stake
    assert ledger.votes() == (sum(state.validators.values()), len(state.validators))
    waiting = [(one.account.lower(), one.due, one.amount) for one in state.unstakes.values()]
    assert [(a.lower(), due, amount) for a, due, amount in ledger.unstaking()] == waiting
    supply = state.supply
    assert token.totalSupply() == supply.total
    assert (token.initial(), token.minted(), token.burned(), token.redeemed()) == (
        supply.initial,
        supply.minted,
        supply.burned,
        supply.redeemed,
    )
    same_blocks(core, state)
    stamped = heads.stamped()
    if state.stamp is None:
        assert not any(stamped[0])
    else:
        one = state.stamp
        key = keccak256(bytes.fromhex(one.rewards_root) + one.reward_accounts.to_bytes(32))
        assert stamped == (
            bytes.fromhex(one.hash)[:20],
            one.period,
            one.read_height,
            one.reward_accounts,
            key[:20],
            one.reward_total,
        )
    for address, total in state.claimed.items():
        assert ledger.claimed(address) == total


def same_blocks(core: Core, state: State) -> None:
    registry = core.registry
    for commitment, one in state.commitments.items():
        found = registry.commitmentOf(bytes.fromhex(commitment))
        assert found[:2] == (one.committer.lower(), one.reveal_by)
    for block_hash, one in state.submissions.items():
        miner, _, k, status, committer, time = registry.submissions(bytes.fromhex(block_hash))
        assert (miner, k, STATUS[status], committer, time) == (
            one.miner.lower(),
            one.k,
            one.status,
            one.committer.lower(),
            one.time,
        )
    for subject, ballot in state.ballots.items():
        about = parse_subject(subject)
        place = (about.kind == "live", bytes.fromhex(about.block_hash), about.day)
        assert registry.ballot(place) == (
            ballot.round,
            ballot.opened,
            ballot.expires,
            ballot.reveal_by,
            tuple(author.lower() for author in ballot.commits),
            len(ballot.reports),
            ballot.decided,
        )
    assert registry.blockCount() == len(state.blocks)
    for block_hash, one in state.blocks.items():
        parent, pipeline, specific, generalized, log_e, day, time, number, days, dropped = registry.blocks(
            bytes.fromhex(block_hash)
        )
        assert (parent.hex(), pipeline.hex(), specific, generalized) == (
            one.parent,
            one.pipeline_id,
            one.specific,
            one.generalized,
        )
        assert (log_e, day, time, number, days) == (one.log_e, one.evidence_day, one.time, one.number, one.days)
        assert dropped == (one.status == "dropped")
        assert registry.blockAt(one.number).hex() == block_hash
    for pipeline, block_hash in state.pipelines.items():
        assert registry.standing(bytes.fromhex(pipeline)).hex() == block_hash
