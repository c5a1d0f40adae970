"""What a quorum has signed goes to the ledger: stamps, in order, and the tokens that buybacks bought.

Everything is derived from what the ledger has already, so whoever is killed in between finds out what is left to do, and
nothing is done twice: a stamp follows the newest one, and deposits and burns are what the market says less what this
account has deposited and burned so far. They follow the newest *stamped* step: what nobody signed moves no money.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fund.store_reader import Entry, Reader
from infra.network import send
from protocol.errors import ConfigError
from protocol.head.head import Head
from protocol.head.quorum import HeadSignature, count
from protocol.keys import Key
from protocol.ledger.ledger import Ledger
from protocol.ledger.params import LTFT
from protocol.ledger.state import State
from protocol.ledger.values import Place, SignedValues, Values


@dataclass(slots=True)
class Courier:
    """Carries a fund's HEADs to its ledger. One thread at a time.

    Attributes
    ----------
    fund : Reader
    ledger : Ledger
    key : Key
        Of the fund's account, which holds the pool's LTFT.
    values : {"log", "keep", "none"}
        Where the values of predictions go; a HEAD is stamped with them if a quorum has signed them, else by its root.
    """

    fund: Reader
    ledger: Ledger
    key: Key
    values: Place = "none"
    _read: int = 0  # height up to which payments were counted
    _paid: dict[str, int] = field(default_factory=lambda: {"deposit": 0, "burn": 0})

    def waiting(self, state: State) -> tuple[Entry, ...]:
        """Return the steps that are not stamped, oldest first.

        Raises
        ------
        ConfigError
            The newest stamp is of a HEAD that this fund did not make.
        """
        if state.stamp is None:
            return self.fund.entries()
        found = self.fund.entries(state.stamp.period)
        if not found or (found[0].period, found[0].hash) != (state.stamp.period, state.stamp.hash):
            raise ConfigError(
                f"the ledger is stamped with HEAD {state.stamp.hash} of period {state.stamp.period}, and fund {self.fund.path} "
                "has it not: it is an older copy or another fund; take the newest copy, or that of a validator"
            )
        return found[1:]

    def carry(self) -> int:
        """Bring to the ledger what can be brought; return how many HEADs were stamped.

        Raises
        ------
        LedgerRefusal
            The ledger refuses a stamp or payment; nothing has changed.
        ConfigError, DataError
            Ledger or fund cannot be used just now, or are damaged.
        """
        stamped, waiting = 0, self.waiting(self.ledger.state())
        self._pay()
        for entry in waiting:
            if not self._stamp(self.fund.head(entry.period)):
                break
            stamped += 1
            self._pay()
        return stamped

    def _stamp(self, head: Head) -> bool:
        state = self.ledger.state()
        signatures = self.fund.signatures(head.period)
        quorum = count(state.domain, head, signatures, state.validators)
        if not quorum.reached:
            return False
        counted = [one for one in signatures if one.validator in quorum.signers and one.head == head.hash]
        plain = [{"validator": one.validator, "signature": one.signature} for one in counted]
        body = {"head": head.text, "signatures": plain}
        send(self.ledger, self.key, "stamp", body, self._signed_values(state, head, counted))
        return True

    def _signed_values(self, state: State, head: Head, signatures: Sequence[HeadSignature]) -> SignedValues | None:
        """Return the values of a HEAD's predictions if those of its signers who signed them are a quorum by themselves."""
        if self.values == "none" or not any(one.values for one in signatures):
            return None
        values = Values.of(head, self.fund.predictions(head.period))
        right = {one.validator: one.values for one in signatures if values.signed(one, state.domain)}
        stake = sum(state.validators[validator] for validator in right)
        reached = 3 * stake > 2 * sum(state.validators.values())
        return SignedValues(values, right, self.values == "keep") if reached else None

    def _pay(self) -> None:
        """Deposit and burn what the market of the newest stamped step has bought, less what was before."""
        state = self.ledger.state()
        market = self.fund.market(state.stamp.period) if state.stamp else None
        if market is None:
            return
        for record in self.ledger.records(self._read + 1):
            if record.event.author == self.key.address and record.event.kind in self._paid:
                self._paid[record.event.kind] += record.event.body["amount"]
            self._read = record.height
        for kind, bought in (("deposit", market.sums.rewarded), ("burn", market.sums.burned)):
            if bought > self._paid[kind]:
                send(self.ledger, self.key, kind, {"amount": bought - self._paid[kind]})


def refuse_unfit(state: State, address: str, pool: int = 0) -> None:
    """Make sure that the fund's account is there, and has what a market is about to open with.

    Parameters
    ----------
    state : State
        Of the ledger.
    address : str
    pool : int
        Wei of LTFT.

    Raises
    ------
    ConfigError
        It is not, or has not.
    """
    account = state.accounts.get(address)
    if account is None:
        raise ConfigError(f"the ledger has no account {address}; register it, or name the fund's own --key")
    if account.balance < pool:
        raise ConfigError(
            f"the pool opens with {pool / LTFT:g} LTFT and account {address} has {account.balance / LTFT:g}; "
            "transfer the rest to it, or name less in the charter"
        )
