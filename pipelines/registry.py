"""The allow-list: which constructors a pipeline may call, with which parameters and within which bounds.

Nothing outside it is ever imported, called or written. The bounds are wider than what the search spaces produce and
narrow enough that no single number can make an evaluation explode; the engine's CPU and memory caps do the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipelines import catalogue
from pipelines.caps import MAX_FITS, MEMBERS, check_fits
from pipelines.domains import Domain
from pipelines.left_out import PARAMETERS, why
from pipelines.parameter_rules import REQUIRED, Required
from pipelines.spec import MAX_DEPTH, PIPELINE, STEPS, UNION, Call, Name, Value
from protocol.errors import RefusedError

EXECUTION = frozenset({"n_jobs", "nthread", "verbose", "verbosity"})
"""Parameters that say how to run, not what to compute: dropped on reading, pinned by :func:`pipelines.build.build`."""

MAX_STEPS = MEMBERS
"""Most members of one pipeline or union."""

MAX_CALLS = 64
"""Most calls in one pipeline."""

BEFORE = ("scaler", "selector", "transformer")
"""Roles of the steps before the last one."""

MODELS = ("regressor", "classifier")
"""Roles of the last step."""

PASSTHROUGH = "passthrough"
DROP = "drop"
WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType({PIPELINE: (PASSTHROUGH,), UNION: (PASSTHROUGH, DROP)})
"""Members of a container that are words, not operators."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered constructor.

    Attributes
    ----------
    target : str
        Public dotted name; its last part is the class, the rest the module to import.
    role : str
        ``scaler``, ``selector``, ``transformer``, ``regressor``, ``classifier``, ``splitter`` or ``container``.
    params : mapping of str to (default, domain)
        Allowed keyword arguments; the default is the library's own and is left out of a canonical spec.
    pinned : mapping of str to value
        Execution parameters to pass always, where the library's default is not single-threaded and silent.
    """

    target: str
    role: str
    params: Mapping[str, tuple[Value, Domain]]
    pinned: Mapping[str, Value]
    required: frozenset[str]


def _entries() -> Mapping[str, Entry]:
    table = {}
    for role, targets in catalogue.TARGETS.items():
        for target, params in targets.items():
            required = frozenset(name for name, (default, _) in params.items() if default is REQUIRED)
            known = {
                name: (None if isinstance(default, Required) else default, domain)
                for name, (default, domain) in params.items()
            }
            table[target] = Entry(target, role, known, catalogue.PINNED.get(target, {}), required)
    return MappingProxyType(table)


ENTRIES: Mapping[str, Entry] = _entries()
FUNCTIONS: frozenset[str] = frozenset(catalogue.FUNCTIONS)
VERSION = "2"


def fingerprint() -> str:
    """Return the sha256 of everything the registry allows, so that a verdict can name the rules it was given under."""
    lines = [f"version {VERSION}"]
    for target, known in sorted(ENTRIES.items()):
        lines.append(f"{target} {known.role} {sorted(known.pinned.items())} {sorted(known.required)}")
        lines += [f"  {name} = {rule!r}" for name, rule in sorted(known.params.items())]
    lines += [*sorted(FUNCTIONS), f"{MAX_STEPS} {MAX_CALLS} {MAX_DEPTH} {MAX_FITS}"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def entry(target: str) -> Entry:
    """Return the entry of `target`.

    Raises
    ------
    RefusedError
        `target` is not registered.
    """
    found = ENTRIES.get(target)
    if found is None:
        name = target.rpartition(".")[2]
        near = sorted(known for known in ENTRIES if known.rpartition(".")[2] == name)
        hint = f"write {near[0]}" if near else why(name) or "docs/spec/module.md lists what a pipeline may use"
        raise RefusedError(f"{target} is not a registered operator; {hint}")
    return found


def _check_steps(spec: Call, depth: int, count: list[int], ends: bool) -> None:
    """Check a container; `ends` tells whether a pipeline may end in a model here."""
    name = STEPS[spec.target]
    members = spec.get(name)
    if not isinstance(members, tuple) or not 1 <= len(members) <= MAX_STEPS or len(spec.params) != 1:
        raise RefusedError(f"{spec.target} needs {name} with 1 to {MAX_STEPS} members and nothing else")
    for place, member in enumerate(members):
        last = ends and spec.target == PIPELINE and place == len(members) - 1
        if isinstance(member, Call):
            roles = (*BEFORE, *MODELS) if last else BEFORE
            role = entry(member.target).role
            if role not in roles and member.target not in STEPS:
                raise RefusedError(f"{member.target} is a {role}; here only a {', '.join(roles)} can stand")
            _check(member, depth + 1, count, last)
        elif member not in WORDS[spec.target]:
            raise RefusedError(f"{spec.target} has the member {member!r}; give an operator or 'passthrough'")


def _check_value(value: Value, depth: int, count: list[int]) -> None:
    if isinstance(value, Call):
        _check(value, depth + 1, count, True)  # the domain knows what it ends in
    elif isinstance(value, tuple):
        for inner in value:
            _check_value(inner, depth + 1, count)
    elif isinstance(value, Name) and value.target not in FUNCTIONS:
        raise RefusedError(f"{value.target} is not a registered function; known: {', '.join(sorted(FUNCTIONS))}")


def _check(spec: Call, depth: int, count: list[int], ends: bool) -> None:
    count[0] += 1
    if depth > MAX_DEPTH or count[0] > MAX_CALLS:
        raise RefusedError(f"the pipeline has more than {MAX_CALLS} operators or {MAX_DEPTH} levels; make it smaller")
    found = entry(spec.target)
    if spec.target in STEPS:
        return _check_steps(spec, depth, count, ends)
    given = {name for name, _ in spec.params}
    for missing in sorted(found.required - given):
        raise RefusedError(f"{spec.target} needs {missing}: {found.params[missing][1].describe()}")
    for name, value in spec.params:
        if name not in found.params:
            reason = f": {PARAMETERS[name]}" if name in PARAMETERS else ""
            known = ", ".join(sorted(found.params)) or "none"
            raise RefusedError(f"{spec.target} may not set {name}; remove it{reason} (allowed: {known})")
        if not found.params[name][1].contains(value):
            shown = repr(value)[:80]
            raise RefusedError(f"{spec.target}: {name} is {shown}; give {found.params[name][1].describe()}")
        _check_value(value, depth, count)
    return None


def check(spec: Call) -> None:
    """Make sure that every call, parameter, value and function inside `spec` is allowed.

    Raises
    ------
    RefusedError
        Naming the operator, the parameter, its value and what is allowed.
    """
    _check(spec, 0, [0], True)
    check_fits(spec)
