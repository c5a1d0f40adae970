"""Everything that decides the course of a run: two runs with equal configurations find the same front."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from data.splits import MAX_TRAIN_ROWS
from protocol.errors import ConfigError
from protocol.topics import Topic, topic_from_dict

#: The window up to this many slots; beyond, it grows with the cluster.
DEFAULT_WINDOW, SMALL_CLUSTER = 16, 8
#: What keeps slots busy although some evaluations take ten times the median (docs/benchmarks.md), and the least: one runs and
#: one waits.
WINDOW_PER_SLOT, LEAST_PER_SLOT = 8, 2
#: A run should see the outcomes of this many windows: more would breed blindly for too large a part of it.
WINDOWS_PER_RUN = 16


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Configuration of one run, as journaled.

    Attributes
    ----------
    topic : Topic
    data_uri, data_root : str
        Where the dataset is and its content root: what the scores refer to.
    space : str
        Search space.
    seed : int
    evaluations : int
        Candidates to try.
    population : int
        Individuals that breed.
    window : int
        Candidate k may use the results of candidates up to k - window and no others.
    folds, holdout, max_train_rows
        Walk-forward folds, share of the timestamps in the untouched last slice, training rows per fit (thinned by whole
        timestamps).
    prune, prefix_cache : bool
        Early stopping of hopeless candidates; sharing of fitted prefixes.
    cap_start_s, cap_ceiling_s, cap_multiple : float
        CPU cap of an evaluation, seconds: `cap_start_s` until some are known to end well, then a multiple of their median
        cost, never below half the start nor above the ceiling.
    memory_mb, cache_mb : int
        Memory of one evaluation, space for fitted prefixes per worker.
    start_from : tuple of str
        Canonical texts that open the first population.
    """

    topic: Topic
    data_uri: str
    data_root: str
    space: str = "linear-light"
    seed: int = 1
    evaluations: int = 100
    population: int = 20
    window: int = DEFAULT_WINDOW
    folds: int = 5
    holdout: float = 0.2
    max_train_rows: int = MAX_TRAIN_ROWS
    prune: bool = True
    prefix_cache: bool = True
    cap_start_s: float = 20.0
    cap_ceiling_s: float = 300.0
    cap_multiple: float = 32.0
    memory_mb: int = 2048
    cache_mb: int = 1024
    start_from: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        raw = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**raw, "topic": self.topic.to_dict(), "start_from": list(self.start_from)}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> RunConfig:
        """Rebuild a configuration from a journal.

        Raises
        ------
        ConfigError
            A field is missing or unknown.
        """
        try:
            topic = topic_from_dict(raw["topic"], "journal")
            return cls(**{**raw, "topic": topic, "start_from": tuple(raw["start_from"])})
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"the journal's configuration does not fit this version: {error}; start a new run"
            ) from error


def default_cap(rows: int, features: int) -> float:
    """Return the starting CPU cap, seconds, for training parts of that size: most pipelines take a hundredth of it."""
    return float(round(min(60.0, max(5.0, 20.0 * rows * features / 300_000))))


def default_window(slots: int, evaluations: int) -> int:
    """Return the window for a cluster of `slots`: the same up to 8 slots, so that small runs agree wherever they run."""
    if slots <= SMALL_CLUSTER:
        return DEFAULT_WINDOW
    return max(LEAST_PER_SLOT * slots, min(WINDOW_PER_SLOT * slots, evaluations // WINDOWS_PER_RUN))
