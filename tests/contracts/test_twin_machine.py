"""Random people do random things to the state machine and the contracts at once: same refusals, same state, to the wei."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from made_ledgers import ADDRESS, NAMES, VALIDATORS, Network, made_genesis
from test_ledger_heads import body, claim, made_head
from test_ledger_machine import AMOUNTS, PEOPLE, LedgerMachine
from twin import HOLDER, TwinLedger, same, twin_network

from protocol.ledger.params import LTFT
from protocol.ledger.rules import advance, apply, initial_state

SOMEWHAT = st.sampled_from([0, 1, LTFT, 40 * LTFT])


class TwinMachine(LedgerMachine):
    """The ledger's machine over the twin, and HEADs, claims and money from outside beside."""

    def start(self) -> Network:
        self.earned: dict[str, int] = {}
        self.compared = ""
        network = twin_network(made_genesis(val1=400, val2=300, val3=200))
        network.ledger.eager = False
        return network

    @rule(who=PEOPLE, kind=st.sampled_from(["deposit", "burn", "redeem"]), amount=AMOUNTS)
    def give_money_up(self, who: str, kind: str, amount: int) -> None:
        self.attempt(who, kind, {"amount": amount})

    @rule(who=PEOPLE, amount=AMOUNTS)
    def take_money_out(self, who: str, amount: int) -> None:
        self.attempt(who, "transfer", {"to": self.twin.core.addresses.token, "amount": amount})

    @rule(
        to=st.sampled_from(NAMES[:3]),
        amount=st.sampled_from([1, LTFT]),
        what=st.sampled_from(["enter", "give", "burn"]),
    )
    def bring_money_in(self, to: str, amount: int, what: str) -> None:
        token = self.twin.core.token
        if token.balanceOf(HOLDER) < amount:
            return
        token.send(HOLDER, "approve", self.twin.core.ledger.address, amount)
        self.twin.outside(what, *([ADDRESS[to]] if what == "enter" else []), amount)

    @rule(
        who=st.sampled_from(NAMES[:3]),
        earner=st.sampled_from(NAMES[:3]),
        amount=SOMEWHAT,
        signers=st.lists(st.sampled_from(VALIDATORS), unique=True, min_size=1),
        fault=st.sampled_from(["", "", "", "parent", "height", "less", "future"]),
    )
    def stamp_a_head(self, who: str, earner: str, amount: int, signers: list[str], fault: str) -> None:
        network = self.network
        network.clock.now = max(network.clock.now, network.state.time) + (0 if fault else 600)
        earned = dict(self.earned) if fault == "less" else self.earned | {earner: self.earned.get(earner, 0) + amount}
        if fault == "less" and earned:
            earned.popitem()
        earned = {name: total for name, total in earned.items() if total}
        changes: dict[str, Any] = {
            "parent": {"parent": "12" * 32},
            "height": {"height": network.state.height + 1},
            "future": {"period": int(network.clock()) // 600 + 1},
        }.get(fault, {})
        head = made_head(network, earned, **changes)
        if not self.attempt(who, "stamp", body(network, head, tuple(signers))):
            self.earned = earned

    @precondition(lambda self: self.earned)
    @rule(data=st.data(), wrong=st.sampled_from(["", "", "total", "proof"]))
    def claim_earnings(self, data: st.DataObject, wrong: str) -> None:
        who = data.draw(st.sampled_from(sorted(self.earned)))
        told = claim(self.network, self.earned, who)
        if wrong == "total":
            told["total"] += 1
        elif wrong == "proof":
            told["proof"]["path"] = [*told["proof"]["path"], "00" * 32]
        self.attempt(who, "claim", told)

    @property
    def twin(self) -> TwinLedger:
        ledger = self.network.ledger
        assert isinstance(ledger, TwinLedger)
        return ledger

    @invariant()
    def money_is_conserved_and_never_negative(self) -> None:
        state = self.network.state
        assert state.total() == state.supply.total

    @invariant()
    def the_ledger_holds_what_its_accounts_have(self) -> None:
        core, state = self.twin.core, self.network.state
        inside = state.total() - state.accounts[core.addresses.token].balance
        assert core.token.balanceOf(core.ledger.address) == inside

    @invariant()
    def the_contracts_hold_what_the_state_does(self) -> None:
        twin = self.twin
        if twin.now.head != self.compared:
            same(twin.core, twin.now)
            self.compared = twin.now.head

    @invariant()
    def never_more_than_the_cap(self) -> None:
        core = self.twin.core
        assert core.token.minted() <= core.token.cap()

    def teardown(self) -> None:
        """Replay the records from the genesis without signatures, as from a chain."""
        if not hasattr(self, "network"):
            return
        twin = self.twin
        state = initial_state(twin.genesis, twin.core.ledger.address)
        for record in twin.chain[1:]:
            advance(state, state.time + (record.time - state.time) // 2)
            apply(state, record, signatures=False)
        same(twin.core, state)


TwinMachine.TestCase.settings = settings(max_examples=4, stateful_step_count=40, deadline=None)
TestTwinMachine = TwinMachine.TestCase


@pytest.mark.slow
def test_the_twins_agree_for_long() -> None:
    """Two hundred walks of fifty steps, and they reach what matters."""
    seen: Counter[str] = Counter()

    class Watched(TwinMachine):
        def teardown(self) -> None:
            super().teardown()
            if hasattr(self, "network"):
                seen.update(self.codes)
                seen.update(one.status for one in self.network.state.submissions.values())
                seen.update(one.status for one in self.network.state.blocks.values())

    Watched.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
    Watched.TestCase("runTest").runTest()
    for wanted in ("accepted", "refused", "invalid", "undecided", "dropped", "stamp", "claim", "claimed", "no-quorum"):
        assert seen[wanted], f"never seen: {wanted}; seen: {dict(seen)}"
