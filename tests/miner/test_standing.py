"""Where a submission stands, in every phase, and the record that newcomers must beat."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_network
import pytest
from made_network import TOPIC, commit_report, decide, network, write_verdict

from infra.network import send
from miner.judging import full_lines, gates_of
from miner.record import record_lines, record_of_topic, screen_of
from miner.sealing import Sealings
from miner.standing import own_standings, standing
from miner.submission import submit
from miner.words import BONDS, REASONS, reason_in_words, span
from protocol.judgement import _FAILURE
from protocol.keys import Key
from protocol.ledger.params import LTFT
from protocol.ledger.rules import advance
from protocol.ledger.sqlite import SqliteLedger
from protocol.spending import alpha_at

MODULE = made_network.module()
MINER = Key.create()
NOW = 1_800_000_000


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """A home of its own for each test."""


@pytest.fixture
def clock() -> list[int]:
    return [NOW]


@pytest.fixture
def opened(tmp_path: Path, clock: list[int]) -> Any:
    ledger, validator = network(tmp_path / "ledger.sqlite", miner=MINER, clock=lambda: clock[0])
    with ledger:
        yield ledger, validator


def hand_in(ledger: SqliteLedger, clock: list[int], alpha: float = 1.5, topic: str = TOPIC) -> str:
    module = made_network.module(alpha)
    submit(ledger, MINER, module, topic, name="miner", say=lambda _: None)
    return module.block_hash


def told(ledger: SqliteLedger, clock: list[int]) -> tuple[list[dict[str, Any]], str]:
    """Return the miner's standings, as facts and as text; facts are plain JSON."""
    state = advance(ledger.state(), clock[0])
    facts = own_standings(state, Sealings.of(ledger.domain, MINER.address))
    assert json.loads(json.dumps(facts)) == facts
    return facts, "\n".join(f"{label}: {text}" for one in facts for label, text in full_lines(one, state))


def test_a_seal_without_commitment_is_unsent(opened: Any, clock: list[int]) -> None:
    ledger, _ = opened
    Sealings.of(ledger.domain, MINER.address).make(MODULE.block_hash, MODULE.source, TOPIC)
    (facts,), text = told(ledger, clock)
    assert facts["phase"] == "unsent"
    assert "not on the ledger" in text


def test_a_commitment_says_until_when_it_must_be_revealed_and_with_which_file(opened: Any, clock: list[int]) -> None:
    ledger, _ = opened
    seal = Sealings.of(ledger.domain, MINER.address).make(MODULE.block_hash, MODULE.source, TOPIC)
    send(ledger, MINER, "commit", {"topic": TOPIC, "commitment": seal.commitment})
    (facts,), text = told(ledger, clock)
    assert (facts["phase"], facts["reveal_by"], facts["bond"]) == ("committed", NOW + 3600, LTFT)
    assert Path(facts["module"]).read_bytes() == MODULE.source
    assert "before 2027-01-15 09:00:00 UTC, else its bond is lost" in text
    clock[0] += 3600
    (facts,), _ = told(ledger, clock)
    assert facts["phase"] == "unsent"


def test_an_open_submission_counts_the_reports(opened: Any, clock: list[int]) -> None:
    ledger, validator = opened
    hand_in(ledger, clock)
    (facts,), text = told(ledger, clock)
    assert (facts["phase"], facts["validators"], facts["reports_committed"], facts["bond"]) == ("open", 1, 0, LTFT)
    assert "reports: 0 of 1 committed, 0 revealed" in text
    assert "bond 1 LTFT and fee 0.01 LTFT are held" in text
    commit_report(ledger, validator, facts["block_hash"], "accepted", "record")
    (facts,), text = told(ledger, clock)
    assert (facts["reports_committed"], facts["reports_revealed"]) == (1, 0)
    assert "until 2027-01-15 09:00:00 UTC; more than 2/3 of the stake decide" in text


def test_reports_that_disagree_are_counted_by_what_they_say(tmp_path: Path, clock: list[int]) -> None:
    ledger, first = network(tmp_path / "two.sqlite", miner=MINER, clock=lambda: clock[0])
    with ledger:
        send(ledger, MINER, "transfer", {"to": first.address, "amount": LTFT})
        name = hand_in(ledger, clock)
        opening = commit_report(ledger, first, name, "refused", "screen")
        state = ledger.state()
        ballot = state.ballots[f"screen:{name}"]
        state.ballots[ballot.subject] = replace(ballot, reports={first.address: opening["report"]})
        assert standing(state, state.submissions[name])["reports"].endswith("1 revealed; 1 × refused (screen)")


def test_without_validators_it_says_so(tmp_path: Path, clock: list[int]) -> None:
    ledger, validator = network(tmp_path / "none.sqlite", miner=MINER, clock=lambda: clock[0])
    with ledger:
        send(ledger, validator, "unstake", {"amount": 100 * LTFT})
        hand_in(ledger, clock)
        assert "nobody stakes enough" in told(ledger, clock)[1]


@pytest.mark.parametrize(
    ("outcome", "reason", "words"),
    [
        ("refused", "screen", "not clearly better"),
        ("refused", "record", "does not reach the record's"),
        ("invalid", "copy", "predicts what an earlier pipeline predicts"),
        ("accepted", "record", "it beats the record"),
        ("refused", "a-later-code", "a-later-code"),
    ],
)
def test_a_decision_is_told_in_words(opened: Any, clock: list[int], outcome: str, reason: str, words: str) -> None:
    ledger, validator = opened
    name = hand_in(ledger, clock)
    decide(ledger, validator, name, outcome, reason)
    (facts,), text = told(ledger, clock)
    assert (facts["phase"], facts["reason"], facts["specific"]) == (outcome, reason, 23_456)
    assert words in text
    assert ("to one standard error" in text) == (outcome == "refused")
    assert f"money: {'bond lost' if outcome == 'invalid' else 'bond returned'}, fee paid" in text
    assert ("block: number 1, screened, owned by miner" in text) == (outcome == "accepted")
    assert ("scores:" in text) == (outcome != "invalid")


def test_an_undecided_submission_gives_everything_back(opened: Any, clock: list[int]) -> None:
    ledger, _ = opened
    hand_in(ledger, clock)
    clock[0] += 7 * 86_400
    (facts,), text = told(ledger, clock)
    assert facts["phase"] == "undecided"
    assert "it may be submitted again" in text


def test_the_gates_of_a_verdict_that_is_here_are_shown(opened: Any, clock: list[int]) -> None:
    ledger, validator = opened
    name = hand_in(ledger, clock)
    decide(ledger, validator, name, "refused", "screen")
    state = ledger.state()
    submission = state.submissions[name]
    assert gates_of(submission) == []
    write_verdict(name)
    facts = {**standing(state, submission), "gates": gates_of(submission)}
    assert ("FAILED", "screen: it is not clearly better") in full_lines(facts, state)
    assert ("passed", "original: it is a work of its own") in full_lines(facts, state)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"judged": {"gates": [{}]}}', b'{"judged": 5}', b"[" * 9999])
def test_a_verdict_file_that_is_none_is_left_out(opened: Any, clock: list[int], content: bytes, home: Path) -> None:
    ledger, validator = opened
    name = hand_in(ledger, clock)
    decide(ledger, validator, name, "refused", "screen")
    write_verdict(name)
    (file,) = (home / "state" / "verdicts").iterdir()
    file.write_bytes(content)
    assert gates_of(ledger.state().submissions[name]) == []


def test_every_reason_that_the_rule_gives_has_words() -> None:
    assert set(_FAILURE.values()) <= set(REASONS)
    assert {outcome for outcome, _ in REASONS} == set(BONDS)
    assert reason_in_words("invalid", "fails").startswith("it raises")


# --------------------------------------------------------------------------------------------------------------- record


def test_an_empty_record_asks_to_beat_the_baselines(opened: Any, clock: list[int]) -> None:
    ledger, _ = opened
    found = record_of_topic(ledger, ledger.state(), TOPIC)
    assert (found["submissions"], found["models"], found["to_beat"]["block"]) == (0, [], None)
    assert found["to_beat"]["p_at_most"] == alpha_at(1)
    text = "\n".join(record_lines(found, ledger.state()))
    assert "the strongest of the baselines" in text
    assert "if its screen is the usual 0.05: the topic's file is not here" in text


def test_the_bar_is_as_high_as_the_topic_says(opened: Any, home: Path) -> None:
    ledger, _ = opened
    path = home / "config" / "topics" / "easy.toml"
    path.parent.mkdir(parents=True)
    path.write_text('name="easy"\ntype="close-1d"\nbroker="b"\nhorizon=1\nscreen=0.5\n')
    assert (screen_of("easy"), screen_of(TOPIC), screen_of("elsewhere")) == (0.5, 0.05, None)
    found = record_of_topic(ledger, ledger.state(), "easy", screen_of("easy"))
    assert (found["to_beat"]["screen"], found["to_beat"]["p_at_most"]) == (0.5, alpha_at(1, 0.5))
    text = "\n".join(record_lines(found, ledger.state()))
    assert "with p <= 0.304 for submission 1, and less for each after\n" in text


def test_the_record_shows_models_and_the_bar_for_the_next(opened: Any, clock: list[int]) -> None:
    ledger, validator = opened
    names = [hand_in(ledger, clock, alpha) for alpha in (1.0, 2.0, 3.0)]
    decide(ledger, validator, names[0], "accepted", "record")
    decide(ledger, validator, names[1], "refused", "screen")
    decide(ledger, validator, names[2], "accepted", "record")
    clock[0] += 90 * 86_400
    state = advance(ledger.state(), clock[0])
    found = record_of_topic(ledger, state, TOPIC)
    assert json.loads(json.dumps(found)) == found
    assert [model["hash"] for model in found["models"]] == [names[0], names[2]]
    model = found["models"][0]
    assert (model["owner"], model["pipeline"], model["age_s"]) == ("miner", "StandardScaler > Ridge", 90 * 86_400)
    beat = found["to_beat"]
    assert (beat["block"], beat["generalized"], beat["specific"], beat["next_k"]) == (names[0], 12_345, 23_456, 4)
    assert beat["p_at_most"] == alpha_at(4)
    text = "\n".join(record_lines(found, state))
    for words in (
        "2 model blocks of 3 submissions",
        "90 d",
        "generalized +0.012345",
        "crowned from 100 on",
        "E = 1 after",
    ):
        assert words in text


def test_dropped_models_stay_visible_and_set_no_bar(opened: Any, clock: list[int]) -> None:
    ledger, validator = opened
    decide(ledger, validator, hand_in(ledger, clock), "accepted", "record")
    clock[0] += 180 * 86_400
    state = advance(ledger.state(), clock[0])
    found = record_of_topic(ledger, state, TOPIC)
    assert [model["status"] for model in found["models"]] == ["dropped"]
    assert found["to_beat"]["block"] is None
    assert "no longer part of the record" in "\n".join(record_lines(found, state))


@pytest.mark.parametrize(("seconds", "words"), [(-5, "0 s"), (59, "59 s"), (3599, "59 min"), (86_400, "1 d")])
def test_lengths_of_time_are_rounded_down(seconds: int, words: str) -> None:
    assert span(seconds) == words
