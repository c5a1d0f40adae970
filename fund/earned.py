"""What everybody has earned with each thing: the earnings of all HEADs, added up once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, NamedTuple

from fund.store_reader import Reader
from protocol.head.claims import Claims
from protocol.head.rewards import Earning

#: Steps between two copies of the sums: sums of the past are added up from the copy before.
STRIDE = 256

#: Account, topic, role and source.
Key = tuple[str, str, str, str]
#: Wei, and how many HEADs paid them.
Sums = dict[Key, tuple[int, int]]
Note = Callable[[int, int], None]


class Line(NamedTuple):
    """What an account has earned with one thing.

    Attributes
    ----------
    topic, role, source : str
        As in :class:`protocol.head.rewards.Earning`.
    amount : int
        Wei.
    heads : int
        How many HEADs paid it.
    """

    topic: str
    role: str
    source: str
    amount: int
    heads: int


class Earned:
    """The earnings of all steps so far, up to any of them; each step is read once. Any number of threads may ask.

    The first answer takes as long as reading all earnings; later ones read what was committed since, and for the past at
    most :data:`STRIDE` steps.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lock = Lock()
        self._periods: list[int] = []
        self._sums: Sums = {}
        self._copies: list[Sums] = [{}]

    def lines(self, account: str, period: int, note: Note | None = None) -> tuple[Line, ...]:
        """Return what an account has earned up to and including a period, the largest amount first.

        Parameters
        ----------
        account : str
        period : int
        note : callable, optional
            Told after each step that is read for the first time how many are, and of how many.

        Raises
        ------
        DataError
            The fund is damaged.
        """
        with self._lock:
            self._refresh(note)
            return lines_of(self._until(period), account)

    def _refresh(self, note: Note | None) -> None:
        new = self._reader.entries(self._periods[-1] + 1 if self._periods else 0)
        steps = len(self._periods) + len(new)
        for one in new:
            add(self._sums, self._reader.earnings(one.period))
            self._periods.append(one.period)
            if len(self._periods) % STRIDE == 0:
                self._copies.append(dict(self._sums))
            if note:
                note(len(self._periods), steps)

    def _until(self, period: int) -> Sums:
        steps = bisect_right(self._periods, period)
        if steps == len(self._periods):
            return self._sums
        sums = dict(self._copies[steps // STRIDE])
        for one in self._periods[steps // STRIDE * STRIDE : steps]:
            add(sums, self._reader.earnings(one))
        return sums


def paid(
    earned: Earned,
    claims: Claims,
    last: Iterable[Earning],
    *,
    account: str,
    period: int,
    note: Note | None = None,
) -> dict[str, Any]:
    """Return what an account has earned and how to claim it, as plain JSON values; wei are decimal strings.

    Parameters
    ----------
    earned : Earned
    claims : Claims
        After the HEAD of the period.
    last : iterable of Earning
        Of that HEAD alone.
    account : str
    period : int
    note : callable, optional
        As for :meth:`Earned.lines`.

    Returns
    -------
    dict
        ``account, period, total``; ``proof``, null without anything to claim; ``earned`` and ``last``, lists of topic, role,
        source, amount and heads.
    """
    claim = claims.claim(account) if account in claims.totals else None
    newest: Sums = {}
    add(newest, last)
    return {
        "account": account,
        "period": period,
        "total": str(claim.total if claim else 0),
        "proof": claim.proof.to_dict() if claim else None,
        "earned": _plain(earned.lines(account, period, note)),
        "last": _plain(lines_of(newest, account)),
    }


def _plain(lines: Iterable[Line]) -> list[dict[str, Any]]:
    return [{**one._asdict(), "amount": str(one.amount)} for one in lines]


def add(sums: Sums, earnings: Iterable[Earning]) -> None:
    """Add the earnings of a HEAD."""
    earned: Sums = {}
    for one in earnings:
        key: Key = (one.account, one.topic, one.role, one.source)
        earned[key] = earned.get(key, (0, 1))[0] + one.amount, 1
    for key, (amount, _) in earned.items():
        before, heads = sums.get(key, (0, 0))
        sums[key] = before + amount, heads + 1


def lines_of(sums: Mapping[Key, tuple[int, int]], account: str) -> tuple[Line, ...]:
    """Return the sums of an account, the largest first."""
    found = [Line(*key[1:], *summed) for key, summed in sums.items() if key[0] == account]
    return tuple(sorted(found, key=lambda one: (-one.amount, one)))
