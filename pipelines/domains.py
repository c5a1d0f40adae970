"""What values a parameter may take: the vocabulary of the registry.

A domain tells whether it contains a value, says so in words for refusals, and, where it is numeric, can draw a
neighbour of a value. Types are strict: ``True`` is no number, ``1.0`` no whole number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.spec import PIPELINE, Call, Name, Value

if TYPE_CHECKING:
    import numpy as np


class Domain:
    """A set of values. Immutable."""

    def contains(self, value: Value) -> bool:
        """Tell whether `value` belongs to the set; nested calls are checked by the registry, not here."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in words which values belong."""
        raise NotImplementedError

    def coerce(self, value: Value) -> Value:
        """Return the canonical form of `value`: a whole number becomes a float where only floats belong."""
        return value

    def neighbour(self, value: Value, rng: np.random.Generator) -> Value:
        """Return a value near `value`, or `value` itself where nearness has no meaning."""
        del rng
        return value


@dataclass(frozen=True, slots=True)
class Whole(Domain):
    """Whole numbers from `lo` to `hi`, both included."""

    lo: int
    hi: int

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        return type(value) is int and self.lo <= value <= self.hi

    def describe(self) -> str:
        """See :class:`Domain`."""
        return f"a whole number from {self.lo} to {self.hi}"

    def neighbour(self, value: Value, rng: np.random.Generator) -> Value:
        """Multiply by a log-normal factor (sigma 0.35) and move by at least one."""
        if type(value) is not int:
            return value
        moved = round(value * math.exp(0.35 * rng.standard_normal()))
        if moved == value:
            moved += 1 if rng.random() < 0.5 else -1
        return min(max(moved, self.lo), self.hi)


@dataclass(frozen=True, slots=True)
class Real(Domain):
    """Finite floats from `lo` to `hi`; `above` excludes `lo`."""

    lo: float
    hi: float
    above: bool = False

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        return type(value) is float and self.lo <= value <= self.hi and not (self.above and value == self.lo)

    def describe(self) -> str:
        """See :class:`Domain`."""
        return f"a float {'above' if self.above else 'from'} {self.lo:g} to {self.hi:g}"

    def coerce(self, value: Value) -> Value:
        """Write a whole number as a float, and minus zero as zero."""
        if type(value) is int and abs(value) < 2**53:
            return float(value)
        return value + 0.0 if type(value) is float else value

    def neighbour(self, value: Value, rng: np.random.Generator) -> Value:
        """Multiply by a log-normal factor (sigma 0.35); zero stays zero."""
        if type(value) is not float:
            return value
        moved = float(value * math.exp(0.35 * rng.standard_normal()))
        moved = min(max(moved, self.lo), self.hi)
        return value if self.above and moved == self.lo else moved


@dataclass(frozen=True, slots=True)
class Number(Domain):
    """Numbers from `lo` to `hi` where 2 and 2.0 mean the same: a whole one is written without a point."""

    lo: float
    hi: float

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return type(self.coerce(value)) is type(value) and self.lo <= value <= self.hi

    def describe(self) -> str:
        """See :class:`Domain`."""
        return f"a number from {self.lo:g} to {self.hi:g}"

    def coerce(self, value: Value) -> Value:
        """See :class:`Domain`."""
        return int(value) if type(value) is float and value.is_integer() else value


@dataclass(frozen=True, slots=True)
class Choice(Domain):
    """One of the listed values."""

    values: tuple[Value, ...]

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def describe(self) -> str:
        """See :class:`Domain`."""
        words = ", ".join(repr(known) for known in self.values)
        return words if len(self.values) == 1 else f"one of {words}"

    def neighbour(self, value: Value, rng: np.random.Generator) -> Value:
        """Draw any of the values."""
        return self.values[int(rng.integers(len(self.values)))] if self.contains(value) else value


@dataclass(frozen=True, slots=True)
class Function(Domain):
    """A reference to one of the listed functions."""

    targets: tuple[str, ...]

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        return isinstance(value, Name) and value.target in self.targets

    def describe(self) -> str:
        """See :class:`Domain`."""
        return "the function " + " or ".join(self.targets)

    def neighbour(self, value: Value, rng: np.random.Generator) -> Value:
        """Draw any of the functions."""
        return Name(self.targets[int(rng.integers(len(self.targets)))]) if self.contains(value) else value


@dataclass(frozen=True, slots=True)
class Part(Domain):
    """A call of one of the listed targets; its parameters are checked by the registry."""

    targets: tuple[str, ...]

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        return isinstance(value, Call) and value.target in self.targets

    def describe(self) -> str:
        """See :class:`Domain`."""
        return "a call of " + ", ".join(self.targets)


@dataclass(frozen=True, slots=True)
class Model(Domain):
    """A call of one of the listed targets, or a pipeline that ends in one."""

    kind: str
    targets: tuple[str, ...]

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        while isinstance(value, Call) and value.target == PIPELINE:
            steps = value.get("steps")
            value = steps[-1] if isinstance(steps, tuple) and steps else None
        return isinstance(value, Call) and value.target in self.targets

    def describe(self) -> str:
        """See :class:`Domain`."""
        return f"a {self.kind} or a pipeline that ends in one, not itself made of models"


@dataclass(frozen=True, slots=True)
class Record(Domain):
    """A tuple with one domain per place."""

    places: tuple[Domain, ...]

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        if not isinstance(value, tuple) or len(value) != len(self.places):
            return False
        return all(place.contains(inner) for place, inner in zip(self.places, value, strict=True))

    def describe(self) -> str:
        """See :class:`Domain`."""
        return "(" + ", ".join(place.describe() for place in self.places) + ")"

    def coerce(self, value: Value) -> Value:
        """See :class:`Domain`."""
        if not isinstance(value, tuple) or len(value) != len(self.places):
            return value
        return tuple(place.coerce(inner) for place, inner in zip(self.places, value, strict=True))


@dataclass(frozen=True, slots=True)
class Items(Domain):
    """A tuple of `least` to `most` values of one domain; with `single`, one value alone stands for a tuple of one."""

    item: Domain
    least: int
    most: int
    single: bool = False

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        if not isinstance(value, tuple):
            return self.single and self.item.contains(value)
        return self.least <= len(value) <= self.most and all(self.item.contains(inner) for inner in value)

    def describe(self) -> str:
        """See :class:`Domain`."""
        return f"{self.least} to {self.most} values, each {self.item.describe()}"

    def coerce(self, value: Value) -> Value:
        """See :class:`Domain`."""
        if isinstance(value, tuple):
            return tuple(self.item.coerce(inner) for inner in value)
        return (value,) if self.single and self.item.contains(value) else value

    def neighbour(self, value: Value, rng: np.random.Generator) -> Value:
        """Move every value."""
        return tuple(self.item.neighbour(inner, rng) for inner in value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class Either(Domain):
    """The union of domains."""

    options: tuple[Domain, ...]

    def contains(self, value: Value) -> bool:
        """See :class:`Domain`."""
        return any(option.contains(value) for option in self.options)

    def describe(self) -> str:
        """See :class:`Domain`."""
        return " or ".join(option.describe() for option in self.options)

    def coerce(self, value: Value) -> Value:
        """Let the first option that holds a value coerce it, else take the first coercion that belongs."""
        holder = next((option for option in self.options if option.contains(value)), None)
        if holder is not None:
            return holder.coerce(value)
        forms = (option.coerce(value) for option in self.options)
        return next((form for form in forms if self.contains(form)), value)

    def neighbour(self, value: Value, rng: np.random.Generator) -> Value:
        """Move within the first option that holds the value."""
        return next((option.neighbour(value, rng) for option in self.options if option.contains(value)), value)
