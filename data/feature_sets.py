"""Feature sets: frozen lists of definitions, each under a versioned name that topics refer to.

A published set never changes; a new idea is a new set. `docs/spec/features.md` gives the formulas.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from protocol.errors import ConfigError

FORMULAS = 1  # raised when the meaning of a kind changes
Kind = Literal["return", "mean", "deviation", "zscore", "range", "position", "volume", "rank", "calendar"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of a feature set.

    Attributes
    ----------
    name : str
        Column name, unique in its set.
    kind : str
        The formula, see :mod:`data.features`.
    bars : int
        Window, or lag of a return.
    of : str
        For a rank: another feature of the set, or ``sigma``. For the calendar: ``hour_sin``, ``hour_cos``, ``weekday``.
    """

    name: str
    kind: Kind
    bars: int = 0
    of: str = ""


_STANDARD_1 = (
    Feature("ret_1", "return", 0),
    Feature("ret_1_lag1", "return", 1),
    Feature("ret_1_lag2", "return", 2),
    Feature("mean_6", "mean", 6),
    Feature("mean_24", "mean", 24),
    Feature("mean_72", "mean", 72),
    Feature("mean_168", "mean", 168),
    Feature("vol_24", "deviation", 24),
    Feature("z_24", "zscore", 24),
    Feature("z_168", "zscore", 168),
    Feature("range", "range", 168),
    Feature("position", "position"),
    Feature("volume_z", "volume", 168),
    Feature("rank_ret_1", "rank", of="ret_1"),
    Feature("rank_mean_24", "rank", of="mean_24"),
    Feature("rank_mean_168", "rank", of="mean_168"),
    Feature("rank_sigma", "rank", of="sigma"),
    Feature("hour_sin", "calendar", of="hour_sin"),
    Feature("hour_cos", "calendar", of="hour_cos"),
    Feature("weekday", "calendar", of="weekday"),
)

FEATURE_SETS: dict[str, tuple[Feature, ...]] = {"standard-1": _STANDARD_1}


def feature_set(name: str) -> tuple[Feature, ...]:
    """Return the definitions of a feature set.

    Raises
    ------
    ConfigError
        No set has this name.
    """
    try:
        return FEATURE_SETS[name]
    except KeyError:
        near = difflib.get_close_matches(name, FEATURE_SETS, 1, 0) or list(FEATURE_SETS)
        raise ConfigError(f"feature set {name!r} is unknown; did you mean {near[0]!r}?") from None


def _version() -> str:
    sets = {name: [asdict(feature) for feature in features] for name, features in FEATURE_SETS.items()}
    return hashlib.sha256(json.dumps([FORMULAS, sets], sort_keys=True).encode()).hexdigest()


FEATURES_VERSION = _version()  # changes whenever any definition or formula does
