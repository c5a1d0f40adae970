"""Figure 4 of the white paper: the yield of stakers over eight years, without smoothing, with it, and with fees as well.

The paper gives a major unlock after a year, fees of 2 % of the unstaked circulation per month, and holders who stake about
60 % of what circulates; it gives no schedule. With that part constant the yield would not drop at the unlock: for the drop
of its figure it has to jump. The schedule below is chosen for that: 30 % before the unlock, 52 % with it, 68 % in the end.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from economy.experiments.experiment import Experiment, aligned
from economy.experiments.plots import BLACK, BLUE, GREY, VERMILION, dress, make_figure, to_png
from protocol.consensus.allora.emission import EmissionRule, Treasury, step
from protocol.errors import UsageError

MONTHS = 96


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who holds and stakes what; tokens and months.

    Attributes
    ----------
    circulating, treasury, locked
        Tokens at the start: of the public and the foundation, of the network, and of investors and team.
    first_staked
        Part of the first circulation that is staked.
    unlock_month
        When locked tokens begin to circulate.
    cliff
        Part of the locked tokens that does so at once; the others follow in equal parts over `vesting` months.
    unlocked_staked
        Part of what unlocks that is staked at once.
    rewards_staked
        Part of what is paid out that is staked at once. Holders pay fees out of staked and other tokens alike.
    stakers
        Part of the emission that goes to stakers, f_stakers of Eq. 50: the validators' quarter, and a third of the rest.
    fees
        Part of the unstaked circulation paid in fees per month, in the setup with fees.
    """

    circulating: float = 155e6
    treasury: float = 355e6
    locked: float = 490e6
    first_staked: float = 0.27
    unlock_month: int = 12
    cliff: float = 1 / 3
    vesting: int = 33
    unlocked_staked: float = 0.74
    rewards_staked: float = 0.8
    stakers: float = 0.5
    fees: float = 0.02

    def unlocks(self, month: int) -> float:
        """Return the tokens that unlock at the beginning of a month, counted from 1."""
        if month == self.unlock_month:
            return self.locked * self.cliff
        after = self.unlock_month < month <= self.unlock_month + self.vesting
        return self.locked * (1 - self.cliff) / self.vesting * after


@dataclass(frozen=True, slots=True)
class Setup:
    """One curve of the figure: weight of the newest rate, Eq. 53, and whether consumers pay fees."""

    key: str
    title: str
    alpha: float
    fees: bool


SETUPS = (
    Setup("unsmoothed", "no emission smoothing", 1.0, False),
    Setup("smoothed", "emission smoothing", EmissionRule().alpha, False),
    Setup("fees", "emission smoothing and fees", EmissionRule().alpha, True),
)


@dataclass(frozen=True, slots=True)
class Yields:
    """A setup's course; element 0 is month 1.

    Attributes
    ----------
    annual
        Yield of a staked token over a year of such months, percent.
    staked
        Staked part of the circulation when the rate is set.
    treasury, circulating
        What the network holds and what circulates after the month, tokens.
    """

    setup: Setup
    annual: tuple[float, ...]
    staked: tuple[float, ...]
    treasury: tuple[float, ...]
    circulating: tuple[float, ...]

    def numbers(self, unlock_month: int) -> dict[str, Any]:
        """Return plain JSON values."""
        before, after = (self.annual[month - 1] for month in (unlock_month - 1, unlock_month))
        return {
            "setup": self.setup.key,
            "before_unlock": before,
            "at_unlock": after,
            "change": after - before,
            "last": self.annual[-1],
            "staked_before_unlock": self.staked[unlock_month - 2],
            "staked_at_unlock": self.staked[unlock_month - 1],
            "staked_last": self.staked[-1],
            "treasury_last": self.treasury[-1],
            "annual_yield": list(self.annual),
        }


def course(setup: Setup, months: int = MONTHS, scenario: Scenario | None = None) -> Yields:
    """Return the yields of a setup, month by month, from the protocol's emission; Eq. 48-54.

    Raises
    ------
    UsageError
        The months end before the unlock.
    """
    place = scenario or Scenario()
    if months < place.unlock_month:
        raise UsageError(f"{months} months end before the unlock; give at least {place.unlock_month}")
    supply = place.circulating + place.treasury + place.locked
    rule = EmissionRule(alpha=setup.alpha, total_supply=supply)
    state, staked = Treasury(place.treasury, place.circulating), place.first_staked * place.circulating
    annual, shares, held, outside = [], [], [], []
    for month in range(1, months + 1):
        unlocked = place.unlocks(month)
        circulating = state.circulating + unlocked
        staked += place.unlocked_staked * unlocked
        fees = place.fees * (circulating - staked) if setup.fees else 0.0
        staked *= 1 - fees / circulating
        state, emission = step(state, staked, place.stakers, unlocked=unlocked, fees=fees, rule=rule)
        annual.append(100 * emission.annual_yield)
        shares.append(staked / (circulating - fees))
        held.append(state.total)
        outside.append(state.circulating)
        staked += place.rewards_staked * emission.total
    return Yields(setup, tuple(annual), tuple(shares), tuple(held), tuple(outside))


def run(months: int = MONTHS) -> Experiment:
    """Return the figure with its numbers; nothing in it is random."""
    scenario = Scenario()
    courses = tuple(course(setup, months, scenario) for setup in SETUPS)
    told = [one.numbers(scenario.unlock_month) for one in courses]
    numbers = {
        "experiment": "fig4",
        "months": months,
        "unit": "percent per year",
        "scenario": asdict(scenario),
        "setups": told,
    }
    head = ("APY, percent", "before unlock", "at unlock", "change", f"month {months}", "staked: before", "at", "last")
    rows: list[tuple[str, ...]] = [head]
    for one, facts in zip(courses, told, strict=True):
        shares = (f"{facts[key]:.1%}" for key in ("staked_before_unlock", "staked_at_unlock", "staked_last"))
        yields = (f"{facts['before_unlock']:.2f}", f"{facts['at_unlock']:.2f}", f"{facts['change']:+.2f}")
        rows.append((one.setup.title, *yields, f"{facts['last']:.2f}", *shares))
    return Experiment("fig4", numbers, aligned(rows), draw(courses, scenario))


def draw(courses: tuple[Yields, ...], scenario: Scenario) -> bytes:
    """Return as PNG the yields over time, one curve per setup, like the paper's Figure 4."""
    figure = make_figure(6.4, 4.2)
    axes = figure.add_subplot()
    looks = ((BLACK, ":"), (BLUE, "--"), (VERMILION, "-"))
    for one, (colour, style) in zip(courses, looks, strict=True):
        months = range(1, len(one.annual) + 1)
        axes.plot(months, one.annual, color=colour, linestyle=style, linewidth=1.8, label=one.setup.title)
    axes.axvline(scenario.unlock_month, color=GREY, linewidth=0.8)
    axes.annotate(
        "major unlock",
        (scenario.unlock_month, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        color=GREY,
        fontsize=8,
    )
    dress(
        axes,
        title="Yield of staked tokens under three emission setups",
        x="months since launch",
        y="APY of stakers [%]",
    )
    axes.set_xlim(0, len(courses[0].annual))
    axes.set_ylim(0, 13)
    axes.set_xticks(range(0, len(courses[0].annual) + 1, 12))
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    return to_png(figure)
