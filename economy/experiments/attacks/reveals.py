"""Commit and reveal of Yuma weights: replayed commitments, weights never revealed, ids reused before the reveal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from economy.experiments.attacks.row import Row, middle
from protocol.addresses import checksum_address
from protocol.consensus.yuma.commit_reveal import (
    Book,
    CommitRevealError,
    Schedule,
    commitment_of,
    quantised,
    standing,
)
from protocol.consensus.yuma.epoch import run_epoch

Floats = NDArray[np.float64]

SCHEDULE = Schedule(epoch_blocks=10, delay=1)
HONEST, MINERS = 8, 16
AUTHORS = [checksum_address(f"0x{number + 1:040x}") for number in range(HONEST + 1)]  # the last one attacks
ATTACKER = HONEST
EPOCHS = 40


def salt_of(validator: int, epoch: int) -> str:
    """Return a salt; a live validator draws it at random."""
    return f"{validator:032x}{epoch:032x}"


def judged(random: np.random.Generator, quality: Floats, noise: float) -> Floats:
    """Return weights on miners of that log quality, as a validator with that error sees them; (M,)."""
    weights = np.exp(quality + noise * random.normal(size=quality.size))
    return np.asarray(weights / weights.max())


def replayed_dividend(seed: int, *, bound: bool) -> float:
    """Return the dividend per stake, over an honest one's, of a validator that commits to what another has committed to.

    It reveals the other's weights and salt as soon as they are public. Bound, the commitment holds its author; else it is
    taken for the hash of weights and salt only, which anyone who knows these can open.
    """
    random = np.random.default_rng(seed)
    quality = random.normal(size=MINERS)
    rows = [quantised(judged(random, quality, 0.1)) for _ in range(HONEST)]
    book, domain = Book("topic", SCHEDULE), "topic"
    digests = [commitment_of(domain, AUTHORS[v], 0, rows[v], salt_of(v, 0)) for v in range(HONEST)]
    for validator, digest in enumerate([*digests, digests[0]]):
        book = book.commit(validator, AUTHORS[validator], digest)
    start = SCHEDULE.window(0).start
    for validator, row in enumerate(rows):
        book = book.reveal(start, AUTHORS[validator], 0, row, salt_of(validator, 0))
    try:
        book = book.reveal(start + 1, AUTHORS[ATTACKER], 0, rows[0], salt_of(0, 0))
    except CommitRevealError as error:
        if error.code != "copied":
            raise
    inforce = book.rows(start + 1, AUTHORS, MINERS)
    weights, active = inforce.weights.copy(), inforce.active.copy()
    if not bound:
        weights[ATTACKER], active[ATTACKER] = weights[0], True
    dividends = run_epoch(np.ones(HONEST + 1), weights, active=active).dividends
    return float(dividends[ATTACKER] / dividends[:HONEST].mean())


def commit_replay(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what copying a commitment pays."""
    for on in (True, False):
        values = [replayed_dividend(seed, bound=on) for seed in seeds]
        yield Row.over(
            values,
            attack="commit-replay",
            setting="a validator commits to another's hash and opens it after it",
            defence="author inside the commitment",
            on=on,
            measure="dividend per stake over an honest validator's",
            unit="ratio",
            verdict="the copy opens for nobody but its author"
            if max(values) == 0
            else "copying is free, and without any lag",
        )


def choosy_dividend(seed: int, *, voided: bool) -> float:
    """Return what a validator earns that reveals only rows that suit it, over a twin that always reveals.

    Both judge badly, and alike. The choosy one waits until all others have revealed, and keeps silent if its row in force is
    nearer to their median than its new one. `voided`: its silence voids the row in force, as in the protocol.
    """
    random = np.random.default_rng(seed)
    quality = random.normal(size=MINERS)
    book, twin = Book("topic", SCHEDULE), ATTACKER - 1
    stakes, earned = np.ones(HONEST + 1), np.zeros(HONEST + 1)
    committed: list[list[dict[int, int]]] = []
    kept, bonds = np.zeros(MINERS), None
    for epoch in range(EPOCHS):
        quality += 0.05 * random.normal(size=MINERS)
        bad = judged(random, quality, 1.0)
        rows = [judged(random, quality, 0.05) for _ in range(HONEST - 1)] + [bad, bad]
        block = epoch * SCHEDULE.epoch_blocks
        if epoch:
            median = np.median([_row(row) for row in committed[-1][: HONEST - 1]], axis=0)
            for validator, row in enumerate(committed[-1]):
                if validator == ATTACKER and _overlap(kept, median) > _overlap(_row(row), median):
                    continue
                book = book.reveal(block, AUTHORS[validator], epoch - 1, row, salt_of(validator, epoch - 1))
                kept = _row(row) if validator == ATTACKER else kept
        committed.append([quantised(row) for row in rows])
        for validator, whole in enumerate(committed[-1]):
            digest = commitment_of("topic", AUTHORS[validator], epoch, whole, salt_of(validator, epoch))
            book = book.commit(block, AUTHORS[validator], digest)
        if epoch:
            end = block + SCHEDULE.epoch_blocks
            inforce = book.rows(end, AUTHORS, MINERS)
            weights, active = inforce.weights.copy(), inforce.active.copy()
            if not voided:
                weights[ATTACKER], active[ATTACKER] = kept, True
            decided = run_epoch(stakes, weights, bonds, active=active)
            bonds = decided.bonds
            earned += decided.dividends
    return float(earned[ATTACKER] / earned[twin])


def _row(weights: dict[int, int]) -> Floats:
    row = np.zeros(MINERS)
    row[list(weights)] = list(weights.values())
    return np.asarray(row / row.sum())


def _overlap(row: Floats, other: Floats) -> float:
    return float(np.minimum(row, other).sum())


def no_reveal(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what it pays to reveal only when it suits."""
    for on in (True, False):
        values = [choosy_dividend(seed, voided=on) for seed in seeds]
        pays = middle(values) > 1
        yield Row.over(
            values,
            attack="no-reveal",
            setting="a bad judge reveals only rows better than its row in force",
            defence="silence voids the row in force",
            on=on,
            measure="dividend over a twin's that always reveals",
            unit="ratio",
            verdict="choosing what to reveal pays" if pays else "keeping silent costs more than a bad row",
        )


def inherited_incentive(seed: int, *, masked: bool) -> float:
    """Return the incentive of a newcomer that took the best miner's id between commit and reveal."""
    random = np.random.default_rng(seed)
    quality = random.normal(size=MINERS)
    best = int(np.argmax(quality))
    book = Book("topic", SCHEDULE)
    rows = [quantised(judged(random, quality, 0.05)) for _ in range(HONEST)]
    for validator, row in enumerate(rows):
        book = book.commit(
            5, AUTHORS[validator], commitment_of("topic", AUTHORS[validator], 0, row, salt_of(validator, 0))
        )
    registered = np.where(np.arange(MINERS) == best, 7, 0)
    for validator, row in enumerate(rows):
        book = book.reveal(12, AUTHORS[validator], 0, row, salt_of(validator, 0))
    inforce = book.rows(12, AUTHORS[:HONEST], MINERS)
    mask = standing(inforce.committed_at, registered) if masked else None
    return float(run_epoch(np.ones(HONEST), inforce.weights, mask=mask, active=inforce.active).incentive[best])


def id_reuse(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what a newcomer inherits."""
    row = partial(Row.over, attack="id-reuse", setting="a newcomer takes the best miner's id between commit and reveal")
    for on in (True, False):
        values = [inherited_incentive(seed, masked=on) for seed in seeds]
        yield row(
            values,
            defence="mask by commit and registration block",
            on=on,
            measure="newcomer's incentive",
            unit="share",
            verdict="nothing is inherited" if max(values) == 0 else "it is paid for the work of the one before",
        )
