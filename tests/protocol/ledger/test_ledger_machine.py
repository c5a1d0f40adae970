"""Random people do random things, allowed or not: money is conserved to the wei and every replay says the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule
from made_ledgers import (
    ADDRESS,
    KEYS,
    NAMES,
    PARAMS,
    START,
    VALIDATORS,
    Clock,
    Network,
    PureLedger,
    made_genesis,
    module,
    screen_report,
)

from protocol.ledger import ballots, blocks, money, submissions
from protocol.ledger.commitments import commitment_of, live_subject, report_commitment, report_hash, screen_subject
from protocol.ledger.digest import state_digest
from protocol.ledger.event import SignedEvent, genesis_record, sign
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import DAY_S, LTFT
from protocol.ledger.refusal import CODES, LedgerRefusal
from protocol.ledger.rules import advance, apply, initial_state
from protocol.ledger.state import State

PEOPLE = st.sampled_from(NAMES)
MINERS = st.sampled_from(["alice", "bob"])
WATCH = st.sampled_from(VALIDATORS)
SALTS = st.sampled_from(["5a" * 32, "c3" * 32])
TOPICS = st.sampled_from(["one", "two"])
AMOUNTS = st.sampled_from([1, 7, LTFT, 20 * LTFT, 150 * LTFT, 2**256 - 1])
EVIDENCE = st.sampled_from([PARAMS.drop_log_e, 1, PARAMS.crown_log_e, 9_000_000])
OUTCOMES = st.sampled_from(["accepted", "accepted", "accepted", "refused", "invalid"])
PIPELINES = st.sampled_from(["11" * 32, "22" * 32, "33" * 32])


def scheduled(state: State) -> set[tuple[int, int, str]]:
    """Return the deadlines that the tables of a state call for."""
    window = state.params.report_window_s
    due = {(one.reveal_by, submissions.COMMITMENT_RANK, key) for key, one in state.commitments.items()}
    due |= {(one.due, money.UNSTAKE_RANK, str(key)) for key, one in state.unstakes.items()}
    due |= {
        (one.time + state.params.max_age_s, blocks.AGE_RANK, key)
        for key, one in state.blocks.items()
        if one.status != "dropped"
    }
    for key, ballot in state.ballots.items():
        if not ballot.decided:
            due.add((ballot.expires, ballots.EXPIRY_RANK, key))
        if ballot.reveal_by:
            due.add((ballot.reveal_by, ballots.REVEAL_RANK, key))
        elif ballot.opened + window > state.time:
            due.add((ballot.opened + window, ballots.WINDOW_RANK, key))
    return due


class LedgerMachine(RuleBasedStateMachine):
    """Drives a ledger; subclasses may start another backend."""

    modules = Bundle("modules")
    reports = Bundle("reports")

    def start(self) -> Network:
        clock = Clock()
        return Network(PureLedger(made_genesis(val1=400, val2=300, val3=200), clock), clock)

    @initialize()
    def begin(self) -> None:
        self.network = self.start()
        self.records = [genesis_record(self.network.ledger.genesis)]
        self.money = self.network.state.total()
        self.codes: Counter[str] = Counter()
        self.last: SignedEvent | None = None

    def attempt(self, who: str, kind: str, body: dict[str, Any], *, nonce_off: int = 0) -> str:
        """Send an event; return the code of the refusal or ""; a refusal changes nothing."""
        state = self.network.state
        account = state.accounts.get(ADDRESS[who])
        event = sign(KEYS[who], self.network.ledger.domain, kind, (account.nonce if account else 0) + nonce_off, body)
        return self.offer(event)

    def offer(self, event: SignedEvent) -> str:
        before, height = self.everything(), self.network.state.height
        try:
            self.network.ledger.append(event)
        except LedgerRefusal as refusal:
            assert refusal.code in CODES
            assert self.everything() == before
            self.codes[refusal.code] += 1
            return refusal.code
        assert self.network.state.height == height + 1
        self.last = event
        self.codes[event.kind] += 1
        return ""

    def everything(self) -> tuple[str, Any, Any, Any]:
        """Return the state with the indexes that its digest leaves out."""
        state = self.network.state
        return state_digest(state), state._deadlines.copy(), dict(state.standing), dict(state.pipelines)

    # ---------------------------------------------------------------------------------------------------- single events

    @rule(seconds=st.one_of(st.integers(0, 400), st.just(DAY_S), st.just(-1_000)))
    def pass_time(self, seconds: int) -> None:
        self.network.clock.now += seconds

    @rule(who=PEOPLE, to=PEOPLE, kind=st.sampled_from(["transfer", "stake", "unstake"]), amount=AMOUNTS)
    def move_money(self, who: str, to: str, kind: str, amount: int) -> None:
        body: dict[str, Any] = {"amount": amount}
        self.attempt(who, kind, body | {"to": ADDRESS[to]} if kind == "transfer" else body)

    @rule(who=PEOPLE, what=st.sampled_from(["register", "skip", "replay", "forge"]))
    def be_a_nuisance(self, who: str, what: str) -> None:
        if what == "register":
            self.attempt(who, "register", self.network.registration(who))
        elif what == "skip":
            assert self.attempt(who, "tick", {}, nonce_off=1)
        elif self.last is not None and what == "replay":
            assert self.offer(self.last) == "nonce"
        elif self.last is not None and self.last.author != ADDRESS[who]:
            kind, nonce, body = self.last.kind, self.last.nonce + 1, self.last.body
            other = sign(KEYS[who], self.network.ledger.domain, kind, nonce, body)
            assert self.offer(SignedEvent(kind, self.last.author, nonce, body, other.signature)) == "signature"

    # ------------------------------------------------------------------------------------------- submissions and reports

    @rule(target=modules, who=PEOPLE, miner=PEOPLE, number=st.integers(1, 6), topic=TOPICS, salt=SALTS)
    def commit(self, who: str, miner: str, number: int, topic: str, salt: str) -> tuple[str, str, str, str]:
        self.commit_module(who, miner, number, topic, salt)
        return miner, module(number), topic, salt

    def commit_module(self, who: str, miner: str, number: int, topic: str, salt: str) -> None:
        commitment = commitment_of(source_hash(module(number)), ADDRESS[miner], salt)
        self.attempt(who, "commit", {"topic": topic, "commitment": commitment})

    @rule(one=modules, topic=TOPICS | st.none())
    def reveal(self, one: tuple[str, str, str, str], topic: str | None) -> None:
        self.reveal_module(one, topic)

    def reveal_module(self, one: tuple[str, str, str, str], topic: str | None) -> None:
        miner, source, committed_topic, salt = one
        commitment = commitment_of(source_hash(source), ADDRESS[miner], salt)
        self.attempt(
            miner,
            "reveal",
            {"commitment": commitment, "salt": salt, "topic": topic or committed_topic, "source": source},
        )

    def subjects(self) -> list[str]:
        state = self.network.state
        day = state.time // DAY_S - 1
        return [screen_subject(one) for one in state.submissions] + [live_subject(one, day) for one in state.blocks]

    def report_on(self, subject: str, outcome: str, pipeline_id: str, log_e: int) -> dict[str, int | str]:
        kind, block_hash = subject.split(":")[:2]
        if kind == "live":
            return {"log_e": log_e, "days": 1}
        k = self.network.state.submissions[block_hash].k
        return screen_report(block_hash, k, outcome=outcome, pipeline_id=pipeline_id, specific=log_e)

    @precondition(lambda self: self.subjects())
    @rule(target=reports, who=WATCH, data=st.data(), outcome=OUTCOMES, pipeline_id=PIPELINES, salt=SALTS)
    def commit_report(self, who: str, data: st.DataObject, outcome: str, pipeline_id: str, salt: str) -> Any:
        subject = data.draw(st.sampled_from(self.subjects()))
        report = self.report_on(subject, outcome, pipeline_id, 1)
        commitment = report_commitment(subject, ADDRESS[who], salt, report_hash(report))
        if self.attempt(who, "report_commit", {"subject": subject, "commitment": commitment}):
            return multiple()
        return who, {"subject": subject, "salt": salt, "report": report}

    @rule(one=reports, who=WATCH | st.none())
    def reveal_report(self, one: tuple[str, dict[str, Any]], who: str | None) -> None:
        author, body = one
        self.attempt(who or author, "report_reveal", body)

    def judge(self, subject: str, outcome: str, pipeline_id: str, log_e: int) -> None:
        """Let all validators agree on something, as far as the rules let them."""
        report = self.report_on(subject, outcome, pipeline_id, log_e)
        for who in VALIDATORS:
            commitment = report_commitment(subject, ADDRESS[who], "5a" * 32, report_hash(report))
            self.attempt(who, "report_commit", {"subject": subject, "commitment": commitment})
        for who in VALIDATORS:
            self.attempt(who, "report_reveal", {"subject": subject, "salt": "5a" * 32, "report": report})

    @rule(who=MINERS, number=st.integers(1, 9), topic=TOPICS, outcome=OUTCOMES | st.none(), pipeline_id=PIPELINES)
    def submit(self, who: str, number: int, topic: str, outcome: str | None, pipeline_id: str) -> None:
        self.commit_module(who, who, number, topic, "00" * 32)
        self.reveal_module((who, module(number), topic, "00" * 32), None)
        if outcome and (subject := screen_subject(source_hash(module(number)))) in self.network.state.ballots:
            self.judge(subject, outcome, pipeline_id, 1)

    @precondition(lambda self: self.network.state.ballots)
    @rule(
        data=st.data(),
        wait=st.sampled_from([0, PARAMS.report_window_s]),
        late=st.sampled_from([0, PARAMS.report_reveal_s]),
    )
    def quarrel(self, data: st.DataObject, wait: int, late: int) -> None:
        """Let some validators commit to what they like and some of them reveal it, some time later."""
        subject = data.draw(st.sampled_from(sorted(self.network.state.ballots)))
        said = {}
        for who in data.draw(st.lists(WATCH, unique=True)):
            said[who] = self.report_on(subject, data.draw(OUTCOMES), "11" * 32, data.draw(EVIDENCE))
            commitment = report_commitment(subject, ADDRESS[who], "5a" * 32, report_hash(said[who]))
            self.attempt(who, "report_commit", {"subject": subject, "commitment": commitment})
        self.network.clock.now = max(self.network.clock.now, self.network.state.time) + wait
        for who in data.draw(st.lists(st.sampled_from(sorted(said)), unique=True) if said else st.just([])):
            self.attempt(who, "report_reveal", {"subject": subject, "salt": "5a" * 32, "report": said[who]})
        self.network.clock.now += late

    @precondition(lambda self: self.network.state.blocks)
    @rule(data=st.data(), log_e=EVIDENCE)
    def gather_evidence(self, data: st.DataObject, log_e: int) -> None:
        self.network.clock.now = max(self.network.clock.now, self.network.state.time) + 2 * DAY_S
        self.attempt("bob", "tick", {})
        block_hash = data.draw(st.sampled_from(sorted(self.network.state.blocks)))
        self.judge(live_subject(block_hash, self.network.state.time // DAY_S - 1), "", "", log_e)

    # -------------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def money_is_conserved_and_never_negative(self) -> None:
        state = self.network.state
        assert state.total() == self.money
        assert state.pool >= 0
        assert all(min(one.balance, one.stake, one.open_reports) >= 0 for one in state.accounts.values())

    @invariant()
    def nonces_count_the_records(self) -> None:
        assert sum(account.nonce for account in self.network.state.accounts.values()) == self.network.state.height

    @invariant()
    def validators_are_those_with_enough_stake(self) -> None:
        state = self.network.state
        enough = {key: one.stake for key, one in state.accounts.items() if one.stake >= PARAMS.min_stake}
        assert dict(state.validators) == enough

    @invariant()
    def owed_reveals_are_those_on_the_ballots(self) -> None:
        state = self.network.state
        owed = Counter(author for one in state.ballots.values() for author in one.commits if author not in one.reports)
        assert owed == Counter({key: one.open_reports for key, one in state.accounts.items() if one.open_reports})

    @invariant()
    def every_open_submission_has_a_ballot_and_holds_its_money(self) -> None:
        state = self.network.state
        for block_hash, one in state.submissions.items():
            undecided = (
                screen_subject(block_hash) in state.ballots and not state.ballots[screen_subject(block_hash)].decided
            )
            assert (one.status == "open") == undecided == (one.bond + one.fee > 0)

    @invariant()
    def blocks_are_a_chain_with_limited_crowns(self) -> None:
        state = self.network.state
        parent = state.domain.salt
        for number, block in enumerate(state.blocks.values(), start=1):
            assert (block.parent, block.number) == (parent, number)
            assert state.submissions[block.hash].status == "accepted"
            parent = block.hash
        standing = [block for block in state.blocks.values() if block.status != "dropped"]
        assert {block.pipeline_id: block.hash for block in standing} == dict(state.pipelines)
        for topic in ("one", "two"):
            mine = [block for block in standing if block.topic == topic]
            assert state.standing_blocks(topic) == mine
            crowned = [block for block in mine if block.status == "crowned"]
            waiting = [one for one in mine if one.status == "screened" and one.log_e >= PARAMS.crown_log_e]
            assert len(crowned) <= PARAMS.slots
            if waiting:
                assert len(crowned) == PARAMS.slots
                assert max(one.log_e for one in waiting) <= min(one.log_e for one in crowned)

    @invariant()
    def everything_that_waits_has_its_deadline(self) -> None:
        state = self.network.state
        assert scheduled(state) <= {tuple(one) for one in state._deadlines}
        assert all(one.time > state.time for one in state._deadlines)

    def teardown(self) -> None:
        """Replay from the genesis, once as it was and once with stops on the way and copies."""
        if not hasattr(self, "network"):
            return
        ledger = self.network.ledger
        wanted = state_digest(self.network.state)
        chain = ledger.chain if isinstance(ledger, PureLedger) else list(ledger.records())
        straight, stopping = initial_state(ledger.genesis), initial_state(ledger.genesis)
        for record in chain[1:]:
            apply(straight, record)
            for part in (3, 2):
                advance(stopping, stopping.time + (record.time - stopping.time) // part)
            stopping = stopping.copy()
            apply(stopping, record, signatures=False)
        assert state_digest(straight) == wanted
        assert state_digest(stopping) == wanted
        assert straight.time >= START


LedgerMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=60, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase


def test_the_machine_reaches_what_matters() -> None:
    """Random walks that never accept a block or never miss a deadline would prove little."""
    seen: Counter[str] = Counter()

    class Watched(LedgerMachine):
        def teardown(self) -> None:
            super().teardown()
            if not hasattr(self, "network"):
                return
            state = self.network.state
            seen.update(self.codes)
            seen.update(submission.status for submission in state.submissions.values())
            seen.update(block.status for block in state.blocks.values())
            seen["missed"] += sum(one.missed for one in state.accounts.values())

    Watched.TestCase.settings = settings(max_examples=80, stateful_step_count=60, deadline=None, derandomize=True)
    test = Watched.TestCase("runTest")
    test.runTest()
    for wanted in (
        "accepted",
        "refused",
        "invalid",
        "undecided",
        "crowned",
        "dropped",
        "missed",
        "report_reveal",
        "closed",
    ):
        assert seen[wanted], f"never seen: {wanted}; seen: {dict(seen)}"
