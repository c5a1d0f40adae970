"""The numbers a ledger is run by; they are in its genesis and never change."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from protocol.ltft.emission import SCHEDULE

LTFT = 10**18
DAY_S = 86_400
MAX_AMOUNT = 2**256 - 1

Amount = Annotated[int, Field(strict=True, ge=0, le=MAX_AMOUNT)]
Seconds = Annotated[int, Field(strict=True, ge=1, le=100 * 365 * DAY_S)]
MicroNats = Annotated[int, Field(strict=True, ge=-(10**12), le=10**12)]


class Params(BaseModel):
    """Parameters of a ledger, all whole numbers: amounts in wei, times in seconds, evidence in millionths of a nat."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: What the pool gives a new account, once.
    welcome: Amount = 10 * LTFT
    #: Held from the commitment of a module until its outcome; lost if the module is invalid or never revealed.
    bond: Amount = LTFT
    #: Price of being judged.
    fee: Amount = LTFT // 100
    #: Stake from which on an account is a validator.
    min_stake: Annotated[int, Field(strict=True, ge=1, le=MAX_AMOUNT)] = 100 * LTFT
    #: What a validator loses when it does not reveal a report it committed to.
    report_penalty: Amount = LTFT
    #: From the commitment of a module to the last moment for revealing it.
    reveal_window_s: Seconds = 3_600
    #: From the start of a round until two thirds of the stake suffice, instead of every validator.
    report_window_s: Seconds = 3_600
    #: From the end of the commitments to the last moment for revealing reports.
    report_reveal_s: Seconds = 3_600
    #: A submission that is not decided by then is undecided.
    submission_expiry_s: Seconds = 7 * DAY_S
    unstake_delay_s: Seconds = 7 * DAY_S
    #: Crowned models per topic.
    slots: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 5
    #: ln(20 slots)
    crown_log_e: MicroNats = 4_605_171
    #: ln 0.05
    drop_log_e: MicroNats = -2_995_732
    max_age_s: Seconds = 180 * DAY_S
    #: What the HEADs of one period may mint at first; half as much after every era, never more than the cap in all.
    emission_first: Amount = SCHEDULE.first
    emission_era: Annotated[int, Field(strict=True, ge=1, le=2**53)] = SCHEDULE.era
    emission_cap: Amount = SCHEDULE.cap
