"""What a fund is run by: everything that who makes or checks its HEADs must agree on, as plain JSON values or TOML.

A fund gets its charter when it begins and keeps it. A file of one::

    topics = ["us-daily"]
    refit_days = 30

    [pool]                   # omitted: there is no market of LTFT
    ltft = 1_000_000
    quote = 1_000_000

    [fees]
    performance_ppm = 200_000
    performance_days = 7
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from fund.cycle import Policy
from fund.desk import Trading
from fund.forecasters import FORECASTERS
from fund.limits import Limits
from fund.nav import FundFees
from fund.units import SECOND_US, WEI
from protocol.errors import ConfigError
from protocol.ledger.genesis import Address
from protocol.ledger.params import DAY_S, LTFT
from protocol.topics import Topic, topic_from_dict

Whole = Annotated[int, Field(strict=True, ge=1, le=10**15)]
Ppm = Annotated[int, Field(strict=True, ge=0, lt=1_000_000)]
Limit = Annotated[int, Field(strict=True, ge=0, le=10**9)]
_USUAL = Limits()
Weight = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PoolTerms(_Part):
    """What the market opens with: whole LTFT of the fund's account, and whole units of quote; both stay in the pool."""

    ltft: Whole = 1_000_000
    quote: Whole = 1_000_000


class FeeTerms(_Part):
    """See :class:`fund.nav.FundFees`; the performance fee is due every so many days."""

    management_ppm: Ppm = 0
    performance_ppm: Ppm = 200_000
    performance_days: Annotated[int, Field(strict=True, ge=1, le=366)] = 7


class LimitTerms(_Part):
    """See :class:`fund.limits.Limits`; millionths of a book's net asset value."""

    gross_ppm: Limit = _USUAL.gross_ppm
    name_ppm: Limit = _USUAL.name_ppm
    sector_ppm: Limit = _USUAL.sector_ppm
    turnover_ppm: Limit = _USUAL.turnover_ppm


def _known(name: str) -> str:
    if name not in FORECASTERS:
        raise ValueError(f"forecasters are {', '.join(FORECASTERS)}")
    return name


class Charter(_Part):
    """The terms of a fund.

    Attributes
    ----------
    topics : tuple of dict
        Of each topic all that its file says, by name.
    money : int
        Whole units of quote currency that each topic's book begins with.
    refit_days : int
        Days between fits of a model.
    simulated : bool
        The clock jumps from bar to bar, and the periods between are carried; else they are missed.
    pool : PoolTerms or None
        None: there is no market, and gains buy nothing.
    fees, limits
        Of every topic's book.
    weights : mapping of topic to float
        By which rewards are divided; a topic that is not here has weight 1.
    forecasters : mapping of forecaster to account
        Who is paid for forecasts; what others would get is kept.
    """

    topics: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=64)]
    money: Whole = 1_000_000
    refit_days: Annotated[int, Field(strict=True, ge=1, le=366)] = 1
    simulated: bool = False
    pool: PoolTerms | None = None
    fees: FeeTerms = FeeTerms()
    limits: LimitTerms = LimitTerms()
    weights: dict[str, Weight] = Field(default_factory=dict)
    forecasters: dict[Annotated[str, AfterValidator(_known)], Address] = Field(default_factory=dict)

    @field_validator("topics")
    @classmethod
    def _whole_topics(cls, given: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        try:
            found = {topic.name: topic.to_dict() for topic in (topic_from_dict(one, "charter") for one in given)}
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if len(found) < len(given):
            raise ValueError("a topic is named twice")
        return tuple(found[name] for name in sorted(found))

    def topic_list(self) -> tuple[Topic, ...]:
        """Return the topics, by name."""
        return tuple(topic_from_dict(one, "charter") for one in self.topics)

    def policy(self) -> Policy:
        """Return what every HEAD is made by."""
        fees = FundFees(
            self.fees.management_ppm, self.fees.performance_ppm, self.fees.performance_days * DAY_S * SECOND_US
        )
        limits = Limits(**self.limits.model_dump())
        pool = None if self.pool is None else (self.pool.ltft * LTFT, self.pool.quote * WEI)
        return Policy(Trading(self.money * WEI, limits, fees), pool, self.weights, self.forecasters)

    @property
    def refit_us(self) -> int:
        """Microseconds between fits of a model."""
        return self.refit_days * DAY_S * SECOND_US

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, weights as texts: canonical JSON has whole numbers only."""
        plain = self.model_dump(mode="json")
        return {**plain, "weights": {name: repr(weight) for name, weight in self.weights.items()}}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], source: str) -> Self:
        """Check the values of a charter.

        Parameters
        ----------
        raw : mapping
            Plain JSON or TOML values; topics whole.
        source : str
            Named in the message.

        Raises
        ------
        ConfigError
            A value is missing, unknown, of the wrong type or out of range.
        """
        try:
            return cls.model_validate(dict(raw))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "charter"
            raise ConfigError(f"{source}: {place} = {first['input']!r:.100}: {first['msg']}") from error

    @classmethod
    def load(cls, path: Path, find: Callable[[str], Topic]) -> Self:
        """Read the file of a charter, in which topics may be named: `find` gives the topic of a name.

        Raises
        ------
        ConfigError
            The file is missing, no TOML, or a value is wrong.
        """
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"charter {path}: {error.strerror}; see docs/operator.md for what it holds") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"charter {path} is not TOML: {error}") from error
        topics = raw.get("topics")
        if isinstance(topics, list):
            raw["topics"] = [find(one).to_dict() if isinstance(one, str) else one for one in topics]
        return cls.from_dict(raw, f"charter {path}")
