"""Whether a fund's store is whole, and is what the ledger has stamped; and whether a statement of a fund is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fund.proving import Stamped, Statement, check_read, quorum_of, stamp_of, stamps
from fund.store_reader import AbsentError, Reader
from protocol.errors import DataError, RefusedError
from protocol.head.head import Head
from protocol.head.quorum import Quorum
from protocol.ledger.ledger import Ledger

Note = Callable[[int, int], None]


def check_store(reader: Reader, note: Note | None = None) -> tuple[int, str | None]:
    """Read a fund whole, compute everything again, and follow its HEADs from the genesis on.

    Returns
    -------
    (steps, digest)
        The digest is that of the newest step, None before any.

    Raises
    ------
    RefusedError
        Something is damaged, missing or does not follow; the message names the first.
    """
    with reader.unchanging():
        entries = reader.entries()
        try:
            steps = reader.verify(note)
            before: Head | None = None
            for one in entries:
                head = reader.head(one.period)
                head.check_follows(before, reader.ledger)
                before = head
        except DataError as error:
            raise RefusedError(str(error)) from error
    return steps, entries[-1].digest if entries else None


def check_stamps(reader: Reader, ledger: Ledger, note: Note | None = None) -> int:
    """Check that a fund has read this ledger, and has every HEAD that is stamped on it; return how many are.

    Parameters
    ----------
    reader : Reader
    ledger : Ledger
        Its own.
    note : callable, optional
        Told after each HEAD how many are checked, and of how many there are in the store.

    Raises
    ------
    RefusedError
        One has not; the message names the first.
    DataError
        The store or the ledger is damaged.
    """
    steps = reader.entries()
    for done, step in enumerate(steps, 1):
        check_read(ledger, reader.head(step.period))
        if note:
            note(done, len(steps))
    stamped = 0
    for one in stamps(ledger):
        period = one.head.period
        try:
            ours = reader.head(period).hash
        except AbsentError as error:
            raise RefusedError(
                f"the ledger has stamped HEAD {period} ({one.head.hash}) at height {one.height}, and {error}"
            ) from error
        if ours != one.head.hash:
            raise RefusedError(
                f"HEAD {period} is {ours} in fund {reader.path}, and {one.head.hash} at height {one.height} of the ledger"
            )
        _check_quorum(one.head, one.quorum)
        stamped += 1
        if note:
            note(stamped, len(steps))
    return stamped


@dataclass(frozen=True, slots=True)
class Proven:
    """What a statement proves.

    Attributes
    ----------
    predictions : int
        How many are under the HEAD's root.
    quorum : Quorum or None
        Of the statement's signatures, by the validators that the HEAD had read; None: no ledger was asked.
    stamp : Stamped or None
        On the ledger; None: not yet, or no ledger was asked.
    """

    predictions: int
    quorum: Quorum | None
    stamp: Stamped | None


def check_statement(statement: Statement, ledger: Ledger | None) -> Proven:
    """Check that a HEAD says what a statement says, and with a ledger that it is a HEAD of its network.

    It is if more than two thirds of the stake signed it, in the statement or in its stamp.

    Raises
    ------
    RefusedError
        It is not, or has read another ledger, or another HEAD is stamped in its place.
    """
    proven = statement.check()
    if ledger is None:
        return Proven(proven, None, None)
    quorum = quorum_of(ledger, statement.head, statement.signatures)
    stamp = stamp_of(ledger, statement.head)
    if stamp is None:
        _check_quorum(statement.head, quorum)
    return Proven(proven, quorum, stamp)


def _check_quorum(head: Head, quorum: Quorum) -> None:
    if not quorum.reached:
        raise RefusedError(
            f"HEAD {head.period} ({head.hash}) is signed by {quorum.stake} of {quorum.total} wei of stake; more than two "
            "thirds must sign: fetch its signatures again"
        )
