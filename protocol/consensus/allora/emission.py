"""How many tokens a network pays out, and from where; Eq. 48-54 and the treasury of section 5.1.

Rates are per staked token and month. Amounts are in one unit throughout; the equations are homogeneous in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from protocol.consensus.allora.topics import VALIDATOR_FRACTION
from protocol.errors import ConfigError, DataError

#: The paper's maximum of 0.0095 a month is this yearly yield (12 %) rounded; the authors' simulator does not round.
YIELD_12_PERCENT = 1.12 ** (1 / 12) - 1


@dataclass(frozen=True, slots=True)
class EmissionRule:
    """Parameters of the emission; the defaults are the paper's.

    Attributes
    ----------
    treasury_fraction
        f_e, the fraction of the treasury emitted in a month if everything circulated.
    max_yield
        xi_max, the largest monthly yield of stakers.
    alpha
        Weight of the newest target in the smoothed rate at monthly cadence, Eq. 53; 1 for no smoothing.
    total_supply
        N_total, tokens.
    validator_fraction
        f_v, the part of the emission that goes to network validators, Eq. 55.
    """

    treasury_fraction: float = 0.025
    max_yield: float = 0.0095
    alpha: float = 0.1
    total_supply: float = 1e9
    validator_fraction: float = VALIDATOR_FRACTION

    def __post_init__(self) -> None:
        for name in ("treasury_fraction", "alpha", "validator_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} of the emission is {getattr(self, name)}; give a fraction from 0 to 1")
        if not 0 <= self.max_yield < math.inf or not 0 < self.total_supply < math.inf:
            raise ConfigError(
                f"max_yield of the emission is {self.max_yield} and total_supply {self.total_supply}; give a finite yield "
                "of at least 0 and a finite supply above 0"
            )


@dataclass(frozen=True, slots=True)
class Treasury:
    """Where tokens are, and the smoothed rate of emission.

    Attributes
    ----------
    mintable
        Tokens that may still be minted.
    circulating
        N_circ.
    fees
        Fees collected and not paid out yet; they are paid out before anything is minted.
    rate
        e of the last step, Eq. 53; None before the first, whose rate is its target.
    """

    mintable: float
    circulating: float
    fees: float = 0.0
    rate: float | None = None

    def __post_init__(self) -> None:
        for name in ("mintable", "circulating", "fees"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"{name} is {getattr(self, name)}; a treasury holds finite amounts of at least 0")

    @property
    def total(self) -> float:
        """Return T_total, what the treasury can pay."""
        return self.mintable + self.fees

    def collected(self, fees: float) -> Treasury:
        """Return the treasury after holders have paid fees out of what circulates."""
        if not 0 <= fees <= self.circulating:
            raise DataError(f"fees of {fees} cannot be paid; {self.circulating} tokens circulate")
        return replace(self, circulating=self.circulating - fees, fees=self.fees + fees)

    def unlocked(self, amount: float) -> Treasury:
        """Return the treasury after locked tokens, which it does not hold, have joined the circulation."""
        if not 0 <= amount < math.inf:
            raise DataError(f"{amount} tokens cannot be unlocked; give a finite amount of at least 0")
        return replace(self, circulating=self.circulating + amount)

    def paid(self, amount: float) -> Treasury:
        """Return the treasury after it has paid `amount`, from fees first and then by minting; whole stays whole."""
        if not 0 <= amount <= self.total:
            raise DataError(f"{amount} cannot be paid; the treasury holds {self.total}")
        fees = min(self.fees, amount)
        minted = min(amount - fees, self.mintable)  # the difference may round to a little more
        return replace(
            self, mintable=self.mintable - minted, circulating=self.circulating + amount, fees=self.fees - fees
        )


@dataclass(frozen=True, slots=True)
class Emission:
    """What one step emits.

    Attributes
    ----------
    target, maximum, capped, rate
        Target, its limit, the smaller of them, and the smoothed rate e; per staked token and month, Eq. 49, 51-53.
    total
        Tokens of this step, Eq. 48.
    from_fees, minted
        Where they come from.
    validators, topics
        Where they go, Eq. 55 and 56.
    annual_yield
        Yield of a staked token over a year of such months, as a fraction.
    """

    target: float
    maximum: float
    capped: float
    rate: float
    total: float
    from_fees: float
    minted: float
    validators: float
    topics: float
    annual_yield: float


def target_rate(treasury: float, circulating: float, staked: float, rule: EmissionRule | None = None) -> float:
    """Return the target of the monthly emission per staked token; Eq. 49.

    Infinite if nothing is staked while there is something to emit: :func:`step` limits it.
    """
    rule = rule or EmissionRule()
    wanted = rule.treasury_fraction * treasury * circulating / rule.total_supply
    if staked == 0:
        return math.inf if wanted > 0 else 0.0
    return wanted / staked


def maximum_rate(f_stakers: float, rule: EmissionRule | None = None) -> float:
    """Return the limit that keeps the yield of stakers at most `max_yield`; Eq. 51.

    Parameters
    ----------
    f_stakers
        Fraction of the last step's emission that reputers and network validators got, 0 to 1. At 0 there is no limit.
    """
    rule = rule or EmissionRule()
    if not 0 <= f_stakers <= 1:
        raise DataError(f"f_stakers is {f_stakers}; give the fraction of the emission that went to stakers, 0 to 1")
    return rule.max_yield / f_stakers if f_stakers > 0 else math.inf


def converted_alpha(alpha: float, periods: float) -> float:
    """Return the weight of the newest value for another cadence; Eq. 54.

    Parameters
    ----------
    alpha
        At the cadence it was defined for, 0 to 1.
    periods
        New time step over the old one, for instance days over a month.
    """
    if not 0 <= alpha <= 1 or not 0 < periods < math.inf:
        raise ConfigError(
            f"alpha {alpha} cannot be converted to {periods} periods; give 0 to 1, and more than 0 periods"
        )
    return float(1 - (1 - alpha) ** periods)


def annual_yield(rate: float, f_stakers: float) -> float:
    """Return the yearly yield of a staked token, compounded monthly, from Eq. 50: (1 + f_stakers e)^12 - 1."""
    return float((1 + f_stakers * rate) ** 12 - 1)


def step(
    state: Treasury,
    staked: float,
    f_stakers: float,
    *,
    months: float = 1.0,
    unlocked: float = 0.0,
    fees: float = 0.0,
    rule: EmissionRule | None = None,
) -> tuple[Treasury, Emission]:
    """Emit for one step; Eq. 48-56.

    In this order: unlocked tokens join the circulation, fees leave it for the treasury, the target is taken, the rate
    smoothed, and the emission paid out of fees first and newly minted tokens second.

    Parameters
    ----------
    state
        After the last step.
    staked
        N_staked, after the unlock.
    f_stakers
        Fraction of the last step's emission that went to reputers and network validators.
    months
        Length of the step, 1 / N_epochs.
    unlocked, fees
        Tokens unlocked, and fees paid by consumers and participants, since the last step.
    rule
        The paper's parameters by default.

    Returns
    -------
    Treasury
        For the next step. mintable + fees + circulating changes only by what was unlocked.
    Emission
        Never more than the treasury holds. Without stake nothing is emitted.

    Raises
    ------
    DataError
        An amount is negative, not finite, or more than there is.
    """
    rule = rule or EmissionRule()
    if not 0 <= staked < math.inf:
        raise DataError(f"{staked} staked tokens; give a finite amount of at least 0")
    funds = state.unlocked(unlocked).collected(fees)
    target = target_rate(funds.total, funds.circulating, staked, rule)
    maximum = maximum_rate(f_stakers, rule)
    capped = min(target, maximum)
    rate = capped if state.rate is None else state.rate
    if math.isfinite(capped):
        alpha = converted_alpha(rule.alpha, months)
        rate = alpha * capped + (1 - alpha) * rate
    elif state.rate is None:
        rate = 0.0
    total = min(rate * staked * months, funds.total)
    after = replace(funds.paid(total), rate=rate)
    validators = rule.validator_fraction * total
    return after, Emission(
        target=target,
        maximum=maximum,
        capped=capped,
        rate=rate,
        total=total,
        from_fees=funds.fees - after.fees,
        minted=funds.mintable - after.mintable,
        validators=validators,
        topics=total - validators,
        annual_yield=annual_yield(rate, f_stakers),
    )
