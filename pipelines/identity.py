"""Who is who among pipelines: the seed a block hash gives, the identity that finds copies, the text that finds near-copies.

docs/decisions/0004-pipeline-identity.md gives the reasons. A validator fits every submission with the seed of its block
hash, whatever the module says, so ``random_state`` is not part of what a pipeline is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

from pipelines.normal import normal
from pipelines.registry import ENTRIES, fingerprint
from pipelines.spec import Call, Value, canonical_text
from protocol.errors import ConfigError, RefusedError

RANDOM_STATE = "random_state"
DIGITS = 2
"""Significant digits that a near-copy shares."""

DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "scikit-learn": ("scikit-learn",),
        "numpy": ("numpy",),
        "scipy": ("scipy",),
        "lightgbm": ("lightgbm",),
        "xgboost": ("xgboost", "xgboost-cpu"),
    }
)
"""Libraries that decide what a pipeline computes, and the distributions that may hold each."""

_HASH = re.compile(r"[0-9a-f]{64}\Z")


def _version(names: tuple[str, ...]) -> str:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    raise ConfigError(f"{names[0]} is not installed; run scripts/setup")


@cache
def _versions() -> Mapping[str, str]:
    return MappingProxyType({library: _version(names) for library, names in DISTRIBUTIONS.items()})


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that decide what a pipeline computes; imports none of them.

    Raises
    ------
    ConfigError
        One of them is not installed.
    """
    return dict(_versions())


def seed_of(block_hash: str) -> int:
    """Return the ``random_state`` for a block: 31 bits of the sha256 of ``longtail seed`` and the block hash's bytes.

    Parameters
    ----------
    block_hash : str
        64 lower-case hex digits, as :func:`pipelines.parser.block_hash` gives.

    Raises
    ------
    RefusedError
        It is no block hash.
    """
    if not _HASH.match(block_hash):
        raise RefusedError(f"block hash {block_hash[:80]!r} is not 64 lower-case hex digits; give the module's sha256")
    digest = hashlib.sha256(b"longtail seed" + bytes.fromhex(block_hash)).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF


def _mapped(value: Value, change: Callable[[Call], Call]) -> Value:
    """Return `value` with every call inside it changed, innermost first."""
    if isinstance(value, Call):
        return change(Call(value.target, tuple((name, _mapped(inner, change)) for name, inner in value.params)))
    return tuple(_mapped(inner, change) for inner in value) if isinstance(value, tuple) else value


def _everywhere(spec: Call, change: Callable[[Call], Call]) -> Call:
    return change(Call(spec.target, tuple((name, _mapped(inner, change)) for name, inner in spec.params)))


def _without_seed(part: Call) -> Call:
    return Call(part.target, tuple(pair for pair in part.params if pair[0] != RANDOM_STATE))


def unseeded(spec: Call) -> Call:
    """Return the normal form of `spec` without any ``random_state``.

    Raises
    ------
    RefusedError
        The registry does not allow the spec.
    """
    return _everywhere(normal(spec), _without_seed)


def reseeded(spec: Call, seed: int) -> Call:
    """Return the normal form of `spec` with `seed` in every operator that takes one, set by the module or not.

    Raises
    ------
    RefusedError
        The registry does not allow the spec or the seed.
    """

    def change(part: Call) -> Call:
        return part.replace(random_state=seed) if RANDOM_STATE in ENTRIES[part.target].params else part

    return normal(_everywhere(normal(spec), change))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def pipeline_id(spec: Call) -> str:
    """Return what a pipeline is, as 64 hex digits: equal for equal behaviour as far as a text can tell.

    The sha256 of the canonical JSON of ``spec`` (canonical text of the unseeded normal form), ``registry``
    (fingerprint) and ``versions`` of the libraries: what the defaults and the algorithms are is up to these.

    Raises
    ------
    RefusedError
        The registry does not allow the spec.
    """
    meaning = {"spec": canonical_text(unseeded(spec)), "registry": fingerprint(), "versions": library_versions()}
    return _sha256(json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False))


def _rounded_call(spec: Call) -> Call:
    return Call(spec.target, tuple((name, _rounded(inner)) for name, inner in spec.params))


def _rounded(value: Value) -> Value:
    match value:
        case Call():
            return _rounded_call(value)
        case tuple():
            return tuple(map(_rounded, value))
        case bool():
            return value
        case int() | float():
            near = float(f"{value:.{DIGITS - 1}e}")
            return round(near) if isinstance(value, int) else near
        case _:
            return value


def near_text(spec: Call) -> str:
    """Return the canonical text of the unseeded normal form with every number rounded to two significant digits.

    It is for comparison only: a rounded number may lie outside the registry's bounds.

    Raises
    ------
    RefusedError
        The registry does not allow the spec.
    """
    return canonical_text(_rounded_call(unseeded(spec)))


def near_id(spec: Call) -> str:
    """Return the sha256 of :func:`near_text`: equal for pipelines that differ in the third digit of numbers.

    Raises
    ------
    RefusedError
        The registry does not allow the spec.
    """
    return _sha256(near_text(spec))
