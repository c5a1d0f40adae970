"""The tiers and limits are what the design says, and refuse nonsense."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from protocol.errors import ConfigError
from validator.sandbox.policy import LAYERS, TIERS, ConfinementError, Limits


def test_only_namespaces_and_landlock_can_stand_in_for_each_other() -> None:
    everything = set(LAYERS)
    assert TIERS["full"] == everything
    assert TIERS["landlock"] == everything - {"namespaces"}
    assert TIERS["namespaces"] == everything - {"landlock"}


def test_the_ladder_starts_at_the_strongest_tier() -> None:
    for stronger, weaker in pairwise(TIERS.values()):
        assert len(stronger) >= len(weaker)


@pytest.mark.parametrize("name", ["cpu_s", "wall_s", "memory_mb", "file_mb", "open_files"])
@pytest.mark.parametrize("value", [0, -1, 2**31, math.nan, math.inf])
def test_a_limit_that_limits_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"limit {name}="):
        Limits(**{name: value})  # type: ignore[arg-type]  # nonsense on purpose


def test_an_error_of_confinement_names_its_layer() -> None:
    error = ConfinementError("landlock", "this kernel has none")
    assert (error.layer, error.reason, str(error)) == (
        "landlock",
        "this kernel has none",
        "layer landlock: this kernel has none",
    )
