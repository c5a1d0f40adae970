"""What the jail consists of and how much a submission may use: names and numbers, no system calls.

A *layer* is one independent barrier; a *tier* is a set of layers that leaks nothing the self-attack tries. The ladder
goes down only when the machine lacks a layer, never in silence, and every verdict names its tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final, Literal, get_args

from protocol.errors import ConfigError

Layer = Literal["uid", "namespaces", "rlimits", "landlock", "seccomp"]
Tier = Literal["full", "landlock", "namespaces"]

#: Every layer, in the order in which a child puts them on.
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)

#: From the strongest tier to the weakest that is still used; anything less refuses to start.
TIERS: Final[Mapping[Tier, frozenset[Layer]]] = MappingProxyType(
    {
        "full": frozenset(LAYERS),
        "landlock": frozenset(LAYERS) - {"namespaces"},
        "namespaces": frozenset(LAYERS) - {"landlock"},
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one submission may use.

    Attributes
    ----------
    cpu_s : float, CPU seconds of all its threads, by the clock that the host reads
    wall_s : float, seconds from the fork to the last answer; the host's clock decides
    memory_mb : int, MiB of address space above what the zygote has mapped at the fork
    file_mb : int, MiB of the largest file, and of all files together where the box is a file system of its own
    open_files : int, file descriptors, the data and the pipes included
    """

    cpu_s: float = 60.0
    wall_s: float = 180.0
    memory_mb: int = 2048
    file_mb: int = 16
    open_files: int = 64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < 2**31:  # also refuses NaN
                raise ConfigError(f"limit {field.name}={value} must lie above 0 and below 2**31")


class ConfinementError(ConfigError):
    """A layer could not be put on; the child must end before it has touched a submission."""

    def __init__(self, layer: Layer, reason: str) -> None:
        super().__init__(f"layer {layer}: {reason}")
        self.layer: Layer = layer
        self.reason: str = reason
