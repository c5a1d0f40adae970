"""Model blocks: the chain they form, who is crowned, displaced and dropped, and what counts as evidence."""

from __future__ import annotations

import pytest
from made_ledgers import ADDRESS, PARAMS, SALT, START, VALIDATORS, Network, module, pure_network

from protocol.ledger.commitments import live_subject
from protocol.ledger.params import DAY_S

TODAY = START // DAY_S
CROWN, DROP = PARAMS.crown_log_e, PARAMS.drop_log_e


@pytest.fixture
def network() -> Network:
    return pure_network()


def statuses(network: Network) -> list[str]:
    return [block.status for block in network.state.blocks.values()]


def test_blocks_form_a_chain_from_the_genesis(network: Network) -> None:
    hashes = [network.accept(number) for number in (1, 2, 3)]
    blocks = list(network.state.blocks.values())
    assert [block.hash for block in blocks] == hashes
    assert [block.parent for block in blocks] == [network.ledger.domain.salt, *hashes[:2]]
    assert [block.number for block in blocks] == [1, 2, 3]
    assert network.state.last_block == hashes[-1]
    assert blocks[0].height == 8, "the record of the deciding reveal"


def test_a_standing_pipeline_is_not_accepted_twice(network: Network) -> None:
    first = network.accept(1)
    same: dict[str, int | str] = {"pipeline_id": network.state.blocks[first].pipeline_id}
    second = network.submit("bob", module(2))
    assert network.judge(second, same, same, same) == "invalid"
    assert network.state.submissions[second].reason == "copy"
    network.wait(2 * DAY_S)
    network.live(first, 1, DROP)
    third = network.submit("bob", module(3))
    assert network.judge(third, same, same, same) == "accepted", "the first one no longer stands"


def test_evidence_crowns_at_the_threshold(network: Network) -> None:
    block_hash = network.accept(1)
    network.wait(3 * DAY_S)
    network.live(block_hash, 1, CROWN - 1)
    assert statuses(network) == ["screened"]
    network.live(block_hash, 2, CROWN, days=2)
    block = network.state.blocks[block_hash]
    assert (block.status, block.log_e, block.evidence_day, block.days) == ("crowned", CROWN, TODAY + 2, 2)
    assert block.status_time == START + 3 * DAY_S


def test_evidence_below_the_crown_keeps_it_and_at_the_drop_ends_it(network: Network) -> None:
    block_hash = network.accept(1)
    network.wait(9 * DAY_S)
    for day, log_e, status in (
        (1, CROWN, "crowned"),
        (2, 0, "crowned"),
        (3, DROP + 1, "crowned"),
        (4, DROP, "dropped"),
    ):
        network.live(block_hash, day, log_e)
        assert network.state.blocks[block_hash].status == status
    assert (
        network.refused("val1", "report_commit", subject=live_subject(block_hash, TODAY + 5), commitment=SALT)
        == "closed"
    )
    assert not network.state.standing_blocks(network.state.blocks[block_hash].topic)


def test_more_evidence_displaces_less_when_the_slots_are_taken(network: Network) -> None:
    hashes = [network.accept(number) for number in (1, 2, 3, 4)]
    network.wait(3 * DAY_S)
    for block_hash, log_e in zip(hashes, (CROWN + 5, CROWN + 9, CROWN + 5, CROWN + 6), strict=True):
        network.live(block_hash, 1, log_e)
    assert statuses(network) == ["screened", "crowned", "screened", "crowned"], "two slots; a tie keeps the older"


def test_a_freed_slot_goes_to_the_strongest_candidate(network: Network) -> None:
    hashes = [network.accept(number) for number in (1, 2, 3, 4)]
    network.wait(3 * DAY_S)
    for block_hash, log_e in zip(hashes, (CROWN + 9, CROWN + 8, CROWN + 5, CROWN + 5), strict=True):
        network.live(block_hash, 1, log_e)
    network.live(hashes[0], 2, DROP)
    assert statuses(network) == ["dropped", "crowned", "crowned", "screened"]


def test_the_slot_of_a_retired_block_is_filled(network: Network) -> None:
    hashes = [network.accept(1)]
    network.wait(PARAMS.max_age_s - 5 * DAY_S)
    hashes += [network.accept(number) for number in (2, 3)]
    network.wait(3 * DAY_S)
    today = network.state.time // DAY_S - TODAY - 1
    for block_hash, log_e in zip(hashes, (CROWN + 9, CROWN + 8, CROWN), strict=True):
        network.live(block_hash, today, log_e)
    assert statuses(network) == ["crowned", "crowned", "screened"]
    network.wait(2 * DAY_S)
    assert statuses(network) == ["dropped", "crowned", "crowned"]


def test_slots_are_per_topic(network: Network) -> None:
    hashes = [network.submit("alice", module(number), topic=f"topic-{number % 2}") for number in range(4)]
    for block_hash in hashes:
        network.judge(block_hash)
    network.wait(3 * DAY_S)
    for block_hash in hashes:
        network.live(block_hash, 1, CROWN)
    assert statuses(network) == ["crowned"] * 4


def test_a_block_retires_at_the_maximal_age(network: Network) -> None:
    block_hash = network.accept(1)
    network.wait(PARAMS.max_age_s - 1)
    assert statuses(network) == ["screened"]
    network.wait(1)
    assert statuses(network) == ["dropped"]
    assert network.state.blocks[block_hash].status_time == START + PARAMS.max_age_s
    assert not network.state.pipelines


def test_evidence_is_newer_than_the_block_and_its_day_is_over(network: Network) -> None:
    block_hash = network.accept(1)

    def refused(day: int, who: str = "val1", block: str = block_hash) -> str:
        return network.refused(who, "report_commit", subject=live_subject(block, TODAY + day), commitment=SALT)

    assert refused(0) == "closed"
    assert refused(1) == "too-early"
    network.wait(2 * DAY_S - 1)
    assert refused(1) == "too-early"
    network.wait(1)
    assert refused(1, who="alice") == "not-validator"
    assert refused(1, block=SALT) == "no-subject"
    network.live(block_hash, 1, 5)
    assert refused(1) == "closed"
    assert not network.state.ballots


def test_a_live_ballot_is_given_up_like_any_other(network: Network) -> None:
    block_hash = network.accept(1)
    network.wait(3 * DAY_S)
    subject = live_subject(block_hash, TODAY + 1)
    network.commit_report("val1", subject, {"log_e": 5, "days": 1})
    assert network.refused("val1", "report_commit", subject=subject, commitment=SALT) == "already-committed"
    network.wait(PARAMS.submission_expiry_s)
    assert not network.state.ballots
    network.live(block_hash, 1, 5)
    assert network.state.blocks[block_hash].log_e == 5


def test_evidence_is_the_median_of_those_who_agree_on_the_days(network: Network) -> None:
    block_hash = network.accept(1)
    network.wait(5 * DAY_S)
    network.vote(
        live_subject(block_hash, TODAY + 1),
        {w: {"log_e": e, "days": 1} for w, e in zip(VALIDATORS, (1, 9, 4), strict=True)},
    )
    assert network.state.blocks[block_hash].log_e == 4
    network.vote(
        live_subject(block_hash, TODAY + 2),
        {w: {"log_e": 7, "days": d} for w, d in zip(VALIDATORS, (2, 2, 3), strict=True)},
    )
    assert network.state.blocks[block_hash].evidence_day == TODAY + 1, "no group of two thirds"


def test_older_evidence_decided_later_changes_nothing(network: Network) -> None:
    block_hash = network.accept(1)
    network.wait(5 * DAY_S)
    older = live_subject(block_hash, TODAY + 1)
    for who in VALIDATORS:
        network.commit_report(who, older, {"log_e": 1, "days": 1})
    network.live(block_hash, 2, 7, days=2)
    for who in VALIDATORS:
        network.reveal_report(who, older, {"log_e": 1, "days": 1})
    block = network.state.blocks[block_hash]
    assert (block.log_e, block.days, block.evidence_day) == (7, 2, TODAY + 2)


def test_a_live_report_has_its_fields(network: Network) -> None:
    block_hash = network.accept(1)
    network.wait(3 * DAY_S)
    subject = live_subject(block_hash, TODAY + 1)
    bad: list[dict[str, int | str]] = [{"log_e": 1, "days": 0}, {"log_e": 1}, {"log_e": "1", "days": 1}]
    for who, report in zip(VALIDATORS, bad, strict=True):
        network.commit_report(who, subject, report)
    for who, report in zip(VALIDATORS, bad, strict=True):
        assert network.refused(who, "report_reveal", subject=subject, salt=SALT, report=report) == "malformed"
    assert ADDRESS["val1"] in network.state.validators
