"""New LTFT per HEAD period: so much at first, half as much after every era, never more than the cap in all."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import ConfigError
from protocol.ltft.wei import WAD, whole

#: Seconds of a HEAD period: "every ten minutes".
HEAD_PERIOD_S = 600
MAX_PERIOD = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """Emission by period, counted from 0 at the genesis. A function of the period alone: skipping periods loses nothing.

    Attributes
    ----------
    first : int
        Wei of each period of the first era.
    era : int
        Periods between halvings, at least 1.
    cap : int
        Wei that all periods together never exceed.

    Raises
    ------
    ConfigError
        A number is not whole or out of range.
    """

    first: int
    era: int
    cap: int

    def __post_init__(self) -> None:
        whole(self.first, "the first emission", error=ConfigError)
        whole(self.era, "the era of an emission", 1, MAX_PERIOD, ConfigError)
        whole(self.cap, "the cap of an emission", error=ConfigError)

    def until(self, period: int) -> int:
        """Return the wei emitted in all periods before `period`, in closed form.

        Era j emits ``era * (first >> j)``, and halves rounded down add up to ``sum over j >= 0 of x >> j = 2 x - ones(x)``
        with the number of ones in the binary digits of x (Legendre's formula). Hence, before the cap,

            era * (h(first) - h(first >> e)) + (period mod era) * (first >> e),    h(x) = 2 x - ones(x), e = period // era

        Parameters
        ----------
        period : int
            0 to 2**63 - 1.

        Raises
        ------
        RefusedError
            The period is not whole or out of range.
        """
        eras, rest = divmod(whole(period, "a period", 0, MAX_PERIOD), self.era)
        now = self.first >> eras
        halved = 2 * (self.first - now) - self.first.bit_count() + now.bit_count()
        return min(self.cap, self.era * halved + rest * now)

    def of(self, first: int, end: int | None = None) -> int:
        """Return the wei of period `first`, or of all periods from `first` to before `end`.

        Raises
        ------
        RefusedError
            A period is not whole or out of range.
        """
        end = first + 1 if end is None else end
        return self.until(whole(end, "the end of the periods", first, MAX_PERIOD)) - self.until(first)


#: 50 LTFT per period, halved every 210 000 periods (four years), 21 million in all: at ten minutes a period, Bitcoin's.
SCHEDULE = Schedule(first=50 * WAD, era=210_000, cap=21_000_000 * WAD)
