"""What an account has earned, as a fund tells it and the ledger's newest HEAD proves it; and claiming it, once.

The total is proven: it leads to the root that a quorum of validators signed. What it was earned for is the fund's word; how
much of the total that leaves open is told too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, get_args

from infra.amounts import ltft
from infra.fetching import NotFoundError, get_json
from infra.network import register, send
from protocol.errors import ClusterError, ConfigError, RefusedError
from protocol.head.claims import Claim, due
from protocol.head.merkle import Proof
from protocol.head.rewards import Earning, Role
from protocol.head.wire import list_of, whole
from protocol.keys import Key
from protocol.ledger.kinds import is_hash
from protocol.ledger.ledger import Ledger
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.state import Stamp, State
from protocol.topics import NAME

Lines = list[tuple[str, str]]
#: Thousands of things an account can earn with; 64 HEADs.
MAX_ACCOUNT_BYTES, MAX_HEADS_BYTES = 4 << 20, 16 << 20
ANSWER_S = 10.0
#: Of claiming while new HEADs are stamped; one comes every ten minutes.
TRIES = 5
#: What is shown of a block's hash.
SHOWN_DIGITS = 16
_WEI = re.compile(r"(0|[1-9][0-9]{0,77})\Z")
_ROLES: Mapping[str, Role] = {role: role for role in get_args(Role)}
_SOURCE = re.compile(r"[!-~]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Part:
    """What was earned with one thing.

    Attributes
    ----------
    earning : Earning
        The sum.
    heads : int
        HEADs that paid it.
    """

    earning: Earning
    heads: int

    @property
    def words(self) -> str:
        """How much for what, for people."""
        one = self.earning
        short = replace(one, source=one.source[:SHOWN_DIGITS]) if is_hash(one.source) else one
        return f"{ltft(one.amount)} for {short.why}, {self.heads} HEAD{'' if self.heads == 1 else 's'}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; wei are texts."""
        one = self.earning
        plain = {"topic": one.topic, "role": one.role, "source": one.source, "amount": str(one.amount)}
        return {**plain, "heads": self.heads, "why": one.why}


@dataclass(frozen=True, slots=True)
class Earned:
    """What an account has earned up to the newest HEAD, and was paid of it.

    Attributes
    ----------
    account : str
        EIP-55 address.
    period : int
        Of the HEAD.
    total, claimed : int
        Wei since the genesis: earned, as proven, and paid, as the ledger has it.
    claim : Claim or None
        The proof; None if nothing was earned.
    parts, last : tuple of Part
        What for, largest first, as the fund says: in all, and under the HEAD alone.
    """

    account: str
    period: int
    total: int
    claimed: int
    claim: Claim | None
    parts: tuple[Part, ...]
    last: tuple[Part, ...]

    @property
    def claimable(self) -> int:
        """Wei that a claim pays now."""
        return self.total - self.claimed

    @property
    def unexplained(self) -> int:
        """Wei of the total for which the fund names no reason; below 0 if it names reasons for more."""
        return self.total - sum(part.earning.amount for part in self.parts)

    def of(self, block_hash: str) -> int:
        """Return the wei earned with a block."""
        return sum(part.earning.amount for part in self.parts if part.earning.source == block_hash)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; wei are texts."""
        return {
            "earned": str(self.total),
            "claimable": str(self.claimable),
            "unexplained": str(self.unexplained),
            "parts": [part.to_dict() for part in self.parts],
            "last": [part.to_dict() for part in self.last],
        }

    def lines(self, claim_command: str) -> Lines:
        """Return it as (label, text) lines for people."""
        last = sum(part.earning.amount for part in self.last)
        lines = [("earned", f"{ltft(self.total)} up to HEAD {self.period}, {ltft(last)} of it in that one")]
        lines += [("" if number else "why", part.words) for number, part in enumerate(self.parts)]
        if self.unexplained:
            lines.append(("unclear", f"the fund's reasons differ from what is proven by {ltft(abs(self.unexplained))}"))
        lines.append(("claimable", f"{ltft(self.claimable)}{f': `{claim_command}`' if self.claimable else ''}"))
        return lines


@dataclass(frozen=True, slots=True)
class Payment:
    """What came of a claim.

    Attributes
    ----------
    earned : Earned
        As it was before.
    paid : int
        Wei, 0 if there was nothing to claim.
    height : int or None
        Of the record.
    """

    earned: Earned
    paid: int
    height: int | None


def ask(fund: str, account: str, state: State) -> Earned:
    """Ask a fund what an account has earned up to the ledger's newest HEAD, and check it against that.

    Parameters
    ----------
    fund : str
        Its address.
    account : str
        EIP-55 address.
    state : State
        With a stamp.

    Raises
    ------
    ConfigError
        `fund` is no address.
    ClusterError
        It does not answer, or does not have the HEAD.
    DataError
        What answers there is no fund.
    RefusedError
        It tells of another account or HEAD, its proof does not hold, or it tells nonsense.
    """
    if state.stamp is None:
        raise RefusedError("no HEAD is stamped on this ledger yet; nobody has earned anything")
    query: dict[str, str | int] = {"address": account, "period": state.stamp.period}
    try:
        raw = get_json(fund, "/v1/account", query, limit_bytes=MAX_ACCOUNT_BYTES, timeout_s=ANSWER_S)
    except NotFoundError:
        if not _knows(fund, state.stamp):
            raise
        raw = {"account": account, "period": state.stamp.period, "total": "0", "earned": [], "last": []}
    try:
        return _checked(raw, account, state.stamp, state.claimed.get(account, 0))
    except RefusedError as error:
        raise RefusedError(
            f"what {fund} says of {account} does not hold: {error}; name another fund, or ask its operator"
        ) from error


def claim_rewards(ledger: Ledger, key: Key, fund: str, *, name: str, say: Callable[[str], None]) -> Payment | None:
    """Claim what a key has earned and was not paid, as one event; None if no HEAD is stamped.

    Called again it pays nothing more. A HEAD that is stamped between the answer and the claim makes it ask again.

    Parameters
    ----------
    ledger : Ledger
    key : Key
    fund : str
        Its address.
    name : str
        Of the account, if it is still to be opened.
    say : callable
        Takes a line for people.

    Raises
    ------
    ConfigError, ClusterError, DataError, RefusedError
        As :func:`ask`, or no fund is named, or the ledger cannot be written or refuses. Nothing was claimed.
    """
    for _ in range(TRIES):
        state = ledger.state()
        if state.stamp is None:
            return None
        earned = ask(named(fund), key.address, state)
        if earned.claim is None or not earned.claimable:
            return Payment(earned, 0, None)
        if key.address not in state.accounts:
            register(ledger, key, name)
            say(f"registered {key.address} as {name}")
        try:
            receipt = send(ledger, key, "claim", {"total": earned.total, "proof": earned.claim.proof.to_dict()})
        except LedgerRefusal as refusal:
            if refusal.code not in ("claimed", "wrong-claim"):  # another program was quicker; a new HEAD is stamped
                raise
        else:
            return Payment(earned, earned.claimable, receipt.height)
    raise ClusterError(f"a new HEAD came before each of {TRIES} claims; nothing was claimed, so try again")


def named(fund: str) -> str:
    """Return the address of a fund.

    Raises
    ------
    ConfigError
        It is empty.
    """
    if not fund:
        raise ConfigError("no fund is named; give --fund http://HOST:PORT, or set `fund`")
    return fund


def _knows(fund: str, stamp: Stamp) -> bool:
    """Return whether a fund has the newest HEAD: if so, an account that it does not find has earned nothing."""
    raw = get_json(fund, "/v1/heads", {"after": stamp.period - 1}, limit_bytes=MAX_HEADS_BYTES, timeout_s=ANSWER_S)
    heads = raw.get("heads")
    texts = [one.get("head") for one in heads if isinstance(one, dict)] if isinstance(heads, list) else []
    return any(
        isinstance(text, str) and sha256(text.encode("utf-8", "replace")).hexdigest() == stamp.hash for text in texts
    )


def _checked(raw: dict[str, Any], account: str, stamp: Stamp, claimed: int) -> Earned:
    """Return the answer of a fund, checked against the newest HEAD and what the ledger has paid."""
    for name, expected in (("account", account), ("period", stamp.period)):
        if raw.get(name) != expected or isinstance(raw[name], bool):
            raise RefusedError(f"its {name} is {raw.get(name)!r:.80}, asked was {expected}")
    total, claim = _wei(raw.get("total"), "total"), None
    if total:
        claim = Claim(account, total, Proof.from_dict(raw.get("proof")))
        due(claim, claimed, stamp.rewards_root, stamp.reward_accounts)
    elif claimed:
        raise RefusedError(f"it has earned nothing, but was paid {claimed} wei")
    parts, last = (_parts(raw.get(name), account, name) for name in ("earned", "last"))
    return Earned(account, stamp.period, total, claimed, claim, parts, last)


def _parts(raw: object, account: str, what: str) -> tuple[Part, ...]:
    parts = [_part(one, account, what) for one in list_of(raw, what)]
    return tuple(sorted(parts, key=lambda part: -part.earning.amount))


def _part(raw: object, account: str, what: str) -> Part:
    values = raw if isinstance(raw, dict) else {}
    texts = [values.get(name) for name in ("topic", "role", "source")]
    topic, named_role, source = (text if isinstance(text, str) else "" for text in texts)
    role = _ROLES.get(named_role)
    if not NAME.match(topic) or role is None or not _SOURCE.match(source):
        raise RefusedError(f"under {what} is {raw!r:.200}, which is no topic, role and source")
    amount = _wei(values.get("amount"), f"amount under {what}")
    return Part(Earning(account, amount, topic, role, source), whole(values.get("heads"), f"heads under {what}", 1))


def _wei(text: object, what: str) -> int:
    if not isinstance(text, str) or not _WEI.match(text):
        raise RefusedError(f"its {what} is {text!r:.100}, no text of wei")
    return int(text)
