"""What became of one candidate: the small answer a worker sends back and the journal keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Status = Literal[
    "ok",  # every fold scored
    "pruned",  # stopped early as hopeless
    "failed",  # raised an exception
    "not-finite",  # predicted NaN or infinity
    "cap",  # reached its CPU cap, or a fold showed that it would
    "memory",  # reached its memory limit
    "hung",  # alive without using CPU
    "crashed",  # died of a signal
]
STATUSES: tuple[str, ...] = get_args(Status)
#: Statuses whose outcome depends on the machine: runs can differ only by these.
MACHINE_DEPENDENT = frozenset({"cap", "memory", "hung", "crashed"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of evaluating candidate `k`.

    Attributes
    ----------
    k : int
        Submission number.
    status : Status
    scores : tuple of float
        Mean day score of each fold that was finished, in fold order, rounded to 9 decimals (bits differ between CPU types).
    deviations : tuple of float
        Standard deviation of the day scores of each fold (ddof = 1).
    days : tuple of int
        Scored days (or weeks, for small panels) of each fold.
    cpu_s : float
        CPU seconds of the evaluation's process, user and system.
    reason : str
        Why it did not end well, for people.
    would_prune : int
        Folds after which it would have been stopped had it not been spared for the sample; 0 if never.
    """

    k: int
    status: Status
    scores: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    days: tuple[int, ...] = ()
    cpu_s: float = 0.0
    reason: str = ""
    would_prune: int = 0

    @property
    def score(self) -> float:
        """Walk-forward score: mean of the fold means; NaN unless every fold was scored."""
        return sum(self.scores) / len(self.scores) if self.status == "ok" and self.scores else float("nan")

    @property
    def daily_sharpe(self) -> float:
        """Mean over deviation of the day scores, pooled over folds; NaN unless every fold was scored."""
        total = sum(self.days)
        if self.status != "ok" or total < 2:
            return float("nan")
        pairs = list(zip(self.days, self.scores, self.deviations, strict=True))
        mean = sum(n * m for n, m, _ in pairs) / total
        square = sum((n - 1) * d * d + n * (m - mean) ** 2 for n, m, d in pairs) / (total - 1)
        return mean / square**0.5 if square > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Outcome:
        """Rebuild an outcome from :meth:`to_dict` after a trip through JSON."""
        return cls(**{**raw, **{key: tuple(raw[key]) for key in ("scores", "deviations", "days")}})
