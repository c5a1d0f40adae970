"""Weight commit-reveal: what it binds, when it opens, and whom it stops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from protocol.addresses import checksum_address, keccak256
from protocol.consensus.yuma.commit_reveal import (
    CODES,
    MAX_WEIGHT,
    Book,
    CommitRevealError,
    Schedule,
    commitment_of,
    quantised,
    recently_registered,
    standing,
)
from protocol.consensus.yuma.consensus import weight_shares
from protocol.consensus.yuma.epoch import run_epoch
from protocol.errors import ConfigError, DataError, RefusedError
from protocol.ledger.commitments import report_hash

ANN, BOB, EVE, MALLORY = (checksum_address("0x" + digit * 40) for digit in "abcd")
SALT, OTHER_SALT = "11" * 32, "22" * 32
TOPIC = "ledger-1/layer1-24h"
PLAN = Schedule(epoch_blocks=10, delay=2, cutoff=60)
ROW = {0: 3, 2: 1}
BLOCKS = 10  # of an epoch


def committed(author=ANN, block=13, weights=None, salt=SALT, book=None):
    book = Book(TOPIC, PLAN) if book is None else book
    return book.commit(block, author, commitment_of(TOPIC, author, block // BLOCKS, weights or ROW, salt))


def refused(code, call, *args):
    with pytest.raises(CommitRevealError) as found:
        call(*args)
    assert found.value.code == code
    assert code in CODES
    assert len(str(found.value)) > 20
    return str(found.value)


@given(
    st.binary(min_size=32, max_size=32), st.integers(0, 10**9), st.dictionaries(st.integers(0, 99), st.integers(1, 9))
)
def test_a_contract_computes_the_same_commitment(salt, epoch, weights):
    words = (
        keccak256(f"weights:{TOPIC}:{epoch}".encode()),
        ANN,
        salt,
        bytes.fromhex(report_hash({str(miner): weight for miner, weight in weights.items()})),
    )
    expected = keccak256(encode(["bytes32", "address", "bytes32", "bytes32"], words)).hex()
    assert commitment_of(TOPIC, ANN, epoch, weights, salt.hex()) == expected


def test_a_commitment_binds_everything_in_it():
    found = {
        commitment_of(domain, author, epoch, weights, salt)
        for domain in (TOPIC, "ledger-2/layer1-24h")
        for author in (ANN, EVE)
        for epoch in (1, 11)
        for weights in (ROW, {0: 3, 2: 2}, {0: 3, 1: 1})
        for salt in (SALT, OTHER_SALT)
    }
    assert len(found) == 48
    assert commitment_of(TOPIC, ANN, 1, {2: 1, 0: 3, 7: 0}, SALT) == commitment_of(TOPIC, ANN.lower(), 1, ROW, SALT)


def test_the_window_opens_and_closes_to_the_block():
    book = committed()  # in epoch 1, revealed in epoch 3
    assert PLAN.window(1) == range(30, 40)
    assert "opens at block 30" in refused("too-early", book.reveal, 29, ANN, 1, ROW, SALT)
    assert "closed at block 40" in refused("too-late", book.reveal, 40, ANN, 1, ROW, SALT)
    for block in (30, 39):
        opened = book.reveal(block, ANN, 1, ROW, SALT)
        assert opened.commitments[ANN, 1].weights == ROW
    assert book.commitments[ANN, 1].weights is None  # the book is a value


def test_each_wrong_opening_has_its_own_answer():
    book = committed()
    refused("wrong-opening", book.reveal, 30, ANN, 1, ROW, OTHER_SALT)
    refused("wrong-opening", book.reveal, 30, ANN, 1, {0: 3, 2: 2}, SALT)
    refused("not-committed", book.reveal, 30, EVE, 1, ROW, SALT)
    refused("not-committed", book.reveal, 30, ANN, 0, ROW, SALT)
    refused("already-revealed", book.reveal(31, ANN, 1, ROW, SALT).reveal, 32, ANN, 1, ROW, SALT)
    refused("already-committed", book.commit, 14, ANN, "00" * 32)
    refused("out-of-order", book.commit, 12, EVE, "00" * 32)
    refused("out-of-order", book.rows, 12, [ANN], 3)
    committed(block=20, book=book)  # the next epoch is another commitment


def test_a_copied_commitment_opens_for_nobody_but_its_author_whoever_came_first():
    digest = commitment_of(TOPIC, ANN, 1, ROW, SALT)
    for order in ((ANN, EVE), (EVE, ANN)):
        book = Book(TOPIC, PLAN)
        for author in order:
            book = book.commit(13, author, digest)  # a copy may come first: it must not block the author
        book = book.reveal(30, ANN, 1, ROW, SALT)
        message = refused("copied", book.reveal, 30, EVE, 1, ROW, SALT)
        assert ANN in message
        assert book.rows(40, [ANN, EVE], 3).active.tolist() == [True, False]


def test_an_old_commitment_of_ones_own_does_not_open_in_another_epoch_or_topic():
    digest = commitment_of(TOPIC, ANN, 1, ROW, SALT)
    late = Book(TOPIC, PLAN).commit(25, ANN, digest)
    refused("wrong-opening", late.reveal, 40, ANN, 2, ROW, SALT)
    elsewhere = Book("ledger-1/memes-24h", PLAN).commit(13, ANN, digest)
    refused("wrong-opening", elsewhere.reveal, 30, ANN, 1, ROW, SALT)


def test_who_does_not_reveal_has_no_say_until_it_reveals_again():
    book = committed(block=13).reveal(30, ANN, 1, ROW, SALT)
    book = committed(block=35, weights={1: 1}, book=book)  # epoch 3, due in epoch 5 = blocks 50 to 59
    rows = book.rows(59, [ANN, BOB], 3)
    assert rows.weights.tolist() == [[3, 0, 1], [0, 0, 0]]  # until the window closes the older row counts
    assert rows.committed_at.tolist() == [13, -1]
    assert rows.active.tolist() == [True, False]
    assert book.overdue(59) == ()
    assert [(late.author, late.epoch) for late in book.overdue(60)] == [(ANN, 3)]
    assert not book.rows(60, [ANN], 3).active.any()
    assert not book.rows(60, [ANN], 3).weights.any()
    again = committed(block=60, weights={1: 5}, book=book).reveal(80, ANN, 6, {1: 5}, SALT)
    rows = again.rows(80, [ANN], 3)
    assert rows.weights.tolist() == [[0, 5, 0]]
    assert rows.active.all()


def test_an_older_row_revealed_after_a_newer_one_fell_due_stays_void():
    book = committed(block=13).commit(25, ANN, "00" * 32).reveal(39, ANN, 1, ROW, SALT)
    assert book.rows(49, [ANN], 3).active.all()
    assert not book.rows(50, [ANN], 3).active.any()


def test_weights_grow_too_old():
    book = committed(block=13).reveal(30, ANN, 1, ROW, SALT)
    assert [book.rows(block, [ANN], 3).active.item() for block in (13 + 60, 13 + 61)] == [True, False]


def test_silence_hands_neither_incentive_nor_dividends_and_does_not_block_the_others():
    book = committed(ANN, weights={0: 1})
    book = committed(BOB, weights={0: 1}, book=book)
    book = committed(EVE, weights={1: 1}, book=book)  # 60 % of the stake, never revealed
    for author in (ANN, BOB):
        book = book.reveal(30, author, 1, {0: 1}, SALT)
    rows = book.rows(40, [ANN, BOB, EVE], 2)
    found = run_epoch([20, 20, 60], rows.weights, active=rows.active)
    np.testing.assert_allclose(found.incentive, [1, 0])
    np.testing.assert_allclose(found.dividends, [0.5, 0.5, 0])
    vetoed = run_epoch([20, 20, 60], rows.weights)  # without the flag its empty row would veto
    assert not vetoed.incentive.any()


def test_an_id_reused_between_commit_and_reveal_inherits_nothing():
    book = committed(ANN, weights={0: 3, 1: 1})
    book = committed(BOB, block=18, weights={0: 3, 1: 1}, book=book)
    for author in (ANN, BOB):
        book = book.reveal(30, author, 1, {0: 3, 1: 1}, SALT)
    registered_at = [15, 2]  # id 0 went to a newcomer after ANN's commitment and before BOB's
    rows = book.rows(40, [ANN, BOB], 2)
    mask = standing(rows.committed_at, registered_at)
    assert mask.tolist() == [[False, True], [True, True]]
    np.testing.assert_allclose(weight_shares(rows.weights, mask), [[0, 1], [0.75, 0.25]])
    # had ANN alone voted, the newcomer would have got three quarters unmasked, and gets nothing masked
    before = run_epoch([1, 0], rows.weights)
    after = run_epoch([1, 0], rows.weights, mask=mask, recent=recently_registered(registered_at, 10))
    np.testing.assert_allclose(before.incentive, [0.75, 0.25])
    np.testing.assert_allclose(after.incentive, [0, 1])
    # the reveal's block would be no defence: it is after the registration
    assert standing([30], registered_at).all()


def test_a_row_masked_whole_is_empty_and_the_same_block_counts_as_before():
    assert standing([15, 16], [15]).tolist() == [[False], [True]]
    assert not weight_shares(np.ones((1, 2)), standing([15], [15, 20])).any()
    assert recently_registered([9, 10, 11], 10).tolist() == [False, True, True]
    assert standing([], [1]).shape == (0, 1)


def copier_over_honest(delay, epochs=60, miners=24, drift=0.15):
    """Return the dividend per stake of a copier over that of three honest validators, all weights going through a book."""
    rng = np.random.default_rng(7)
    plan = Schedule(epoch_blocks=10, delay=delay, cutoff=10_000)
    book, bonds, paid = Book(TOPIC, plan), None, np.zeros(4)
    authors, stakes = [ANN, BOB, EVE, MALLORY], np.array([0.35, 0.3, 0.3, 0.05])
    skill, opened = rng.uniform(0, 1, miners), []
    for epoch in range(epochs):
        changed = rng.uniform(size=miners) < drift
        skill = np.where(changed, rng.uniform(0, 1, miners), skill)
        seen = book.rows(epoch * 10, authors, miners).weights[:3].mean(axis=0)  # all that anybody can see
        texts = [quantised(skill * rng.uniform(0.95, 1.05, miners)) for _ in range(3)]
        texts.append(quantised(seen) or texts[0])
        opened.append(texts)
        for author, text in zip(authors, texts, strict=True):
            book = book.commit(epoch * 10, author, commitment_of(TOPIC, author, epoch, text, SALT))
        if epoch < delay:
            continue
        for author, text in zip(authors, opened[epoch - delay], strict=True):
            book = book.reveal(epoch * 10 + 1, author, epoch - delay, text, SALT)
        rows = book.rows(epoch * 10 + 9, authors, miners)
        found = run_epoch(stakes, rows.weights, bonds, active=rows.active)
        bonds, paid = found.bonds, paid + found.dividends
    per_stake = paid / stakes
    return per_stake[3] / per_stake[:3].mean()


def test_a_copier_earns_the_less_the_later_weights_are_revealed():
    soon, later, late = (copier_over_honest(delay) for delay in (1, 3, 8))
    assert late < later < soon < 0.95
    assert late < 0.87


def test_without_change_among_miners_lateness_costs_a_copier_nothing():
    assert copier_over_honest(4, drift=0.0) == pytest.approx(1, abs=0.02)


@given(st.lists(st.floats(0, 1e12), max_size=20))
def test_quantised_rows_keep_proportions_to_half_a_part_of_the_largest(weights):
    row = quantised(weights)
    largest = max(weights, default=0)
    assert (max(row.values()) == MAX_WEIGHT) if largest > 0 else (row == {})
    for miner, weight in enumerate(weights):
        if largest > 0:
            assert row.get(miner, 0) / MAX_WEIGHT == pytest.approx(weight / largest, abs=0.5001 / MAX_WEIGHT)
    commitment_of(TOPIC, ANN, 0, row, SALT)


@given(st.data())
def test_whatever_is_sent_to_reveal_either_opens_or_is_refused_by_a_known_code(data):
    book = committed()
    author = data.draw(st.sampled_from([ANN, ANN.lower(), EVE, "0x12", 5, None]))
    weights = data.draw(st.sampled_from([ROW, {0: 3}, {}, {0: -1}, {0: 70_000}, {"0": 3}, {0: 3.0}, [3, 0, 1], None]))
    salt = data.draw(st.sampled_from([SALT, OTHER_SALT, "", "zz", 7, SALT.upper() + "A"]))
    epoch = data.draw(st.sampled_from([1, 0, -1, 1.0, "1", True]))
    block = data.draw(st.sampled_from([30, 29, 40, 2, -1, 30.5, None]))
    right = author in (ANN, ANN.lower()) and weights is ROW and salt == SALT and block == 30 and epoch == 1
    if right and type(epoch) is int:
        assert book.reveal(block, author, epoch, weights, salt).commitments[ANN, 1].weights == ROW
        return
    with pytest.raises(CommitRevealError) as found:
        book.reveal(block, author, epoch, weights, salt)
    assert found.value.code in CODES
    assert isinstance(found.value, RefusedError)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Schedule(delay=0), ConfigError, "delay of a commit-reveal schedule is 0"),
        (lambda: Schedule(epoch_blocks=0), ConfigError, "epoch_blocks"),
        (lambda: Schedule(cutoff=1.5), DataError, "cutoff is 1.5"),
        (lambda: quantised([math.nan]), DataError, "weights is nan at 0"),
        (lambda: quantised([1.0, -1.0]), DataError, "weights is -1.0 at 1"),
        (lambda: Book(TOPIC).commit(1, ANN, "abc"), CommitRevealError, "commitment 'abc' is not 64"),
        (lambda: Book(TOPIC).commit(1, "ann", "00" * 32), CommitRevealError, "address 'ann'"),
        (lambda: Book(TOPIC).rows(1, [ANN], -1), CommitRevealError, "miners is -1"),
        (lambda: standing([1.5], [1]), DataError, "committed_at is float64"),
        (lambda: standing([[1]], [1]), DataError, r"shape \(1, 1\)"),
        (lambda: recently_registered(["a"], 1), DataError, "registered_at"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_weights_on_ids_that_do_not_exist_count_for_nothing():
    row = {0: 1, 2: 5, 99: 65_535}
    book = committed(weights=row).reveal(30, ANN, 1, row, SALT)
    assert book.rows(30, [ANN], 2).weights.tolist() == [[1, 0]]
