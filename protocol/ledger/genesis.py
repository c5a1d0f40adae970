"""The genesis: what a ledger starts from. Its record's hash names the ledger."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocol.addresses import checksum_address
from protocol.errors import ConfigError, RefusedError
from protocol.ledger.params import MAX_AMOUNT, Amount, Params
from protocol.topics import NAME

MAX_TIME = 2**53
#: Name of the account that stands for all money outside of a ledger on a chain; its address is the token's.
OUTSIDE = "outside"


def _checked(address: str) -> str:
    try:
        right = checksum_address(address)
    except RefusedError as error:
        raise ValueError(str(error)) from error
    if right != address:
        raise ValueError(f"address {address} has the wrong case; write {right}")
    return address


def _slug(name: str) -> str:
    if not NAME.match(name):
        raise ValueError("a name is a-z, 0-9 and '-', at most 63")
    return name


#: What people call an account or a ledger. Not unique: the address is the identity.
Name = Annotated[str, AfterValidator(_slug)]
Address = Annotated[str, AfterValidator(_checked)]


class GenesisAccount(BaseModel):
    """An account that is there from the start; amounts in wei."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Address
    name: Name
    balance: Amount = 0
    stake: Amount = 0


class Genesis(BaseModel):
    """Record 0 of a ledger.

    Attributes
    ----------
    chain_id : int
        EIP-712 chain id.
    name : str
        What people call this ledger.
    time : int
        Unix seconds; no record is older.
    pool : int
        Wei that welcomes are paid from; fees, lost bonds and penalties flow into it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chain_id: Annotated[int, Field(strict=True, ge=1, lt=2**53)]
    name: Name = "longtail"
    time: Annotated[int, Field(strict=True, ge=0, lt=MAX_TIME)]
    pool: Amount = 0
    params: Params = Params()
    accounts: tuple[GenesisAccount, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        addresses = [account.address for account in self.accounts]
        if len(set(addresses)) != len(addresses):
            raise ValueError("an account is named twice")
        if self.total + self.params.emission_cap > MAX_AMOUNT:
            raise ValueError("there is, or will be emitted, more money than 2**256 - 1 wei")
        for account in self.accounts:
            if 0 < account.stake < self.params.min_stake:
                raise ValueError(f"stake of {account.name} is {account.stake}, less than min_stake: use 0 or more")
        return self

    @property
    def total(self) -> int:
        """All money at the start, in wei."""
        return self.pool + sum(account.balance + account.stake for account in self.accounts)

    @property
    def outside(self) -> str:
        """Address of the account for money outside of the ledger, the last one of that name; empty if there is none."""
        return next((account.address for account in reversed(self.accounts) if account.name == OUTSIDE), "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: the body of record 0."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, raw: object, source: str = "genesis") -> Genesis:
        """Check the values of a genesis file or record.

        Raises
        ------
        ConfigError
            A value is missing, unknown, of the wrong type or inconsistent; the message names `source` and the value.
        """
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "genesis"
            raise ConfigError(f"{source}: {place} = {first['input']!r:.100}: {first['msg']}") from error
