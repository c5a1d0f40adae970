"""The text of a pipeline module: plain Python that runs with scikit-learn alone, laid out as black would.

The text is a function of the spec, the title and the facts, so that writing a parsed module again gives the same bytes.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pipelines.normal import normal
from pipelines.registry import ENTRIES
from pipelines.spec import COLUMNS, NAMED, PIPELINE, UNION, Call, Name, Value

WIDTH = 120
VARIABLE = "exported_pipeline"
"""The name under which TPOT's users expect the estimator."""

MAKERS: Mapping[str, str] = {PIPELINE: "sklearn.pipeline.make_pipeline", UNION: "sklearn.pipeline.make_union"}
NOTE = (
    "Fit it on rows sorted by time, then symbol: inner folds are cut in row order. Columns are those of the feature "
    "set, in its order."
)
DIRECTION = (
    "Its last step is a classifier: fit it on the sign of the label, without the rows where that is 0, and ask it for "
    "P(up) - P(down) or its decision function."
)


@dataclass(frozen=True, slots=True)
class _Listed:
    """What scikit-learn wants as a list."""

    items: tuple[Item, ...]


Item: TypeAlias = "Value | _Listed | tuple[Item, ...]"


def _clean(text: str) -> str:
    """Return `text` on one line, without what a docstring cannot hold or a reader cannot see."""
    words = " ".join(text.replace('"""', "'''").replace("\\", "/").split())
    return "".join(char for char in words if not unicodedata.category(char).startswith("C"))


def _docstring(title: str, facts: Mapping[str, str], classifies: bool) -> str:
    lines = textwrap.wrap(_clean(title) or "A pipeline", WIDTH - 3)
    lines += ["", *textwrap.wrap(NOTE, WIDTH), *(textwrap.wrap(DIRECTION, WIDTH) if classifies else ())]
    if facts:
        lines.append("")
    for key, value in facts.items():
        lines += textwrap.wrap(f"{_clean(key)}: {_clean(value)}", WIDTH, subsequent_indent="    ")
    return '"""' + "\n".join(lines) + '\n"""\n'


def _targets(value: Value) -> Iterable[str]:
    match value:
        case Call(target, params):
            yield MAKERS.get(target, target)
            for _, inner in params:
                yield from _targets(inner)
        case Name(target):
            yield target
        case tuple():
            for inner in value:
                yield from _targets(inner)


def _kind(name: str) -> tuple[int, str]:
    """Sort constants, classes, functions, each by name, as isort does within one import."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _imports(spec: Call) -> str:
    names: dict[str, set[str]] = {}
    for target in _targets(spec):
        module, _, name = target.rpartition(".")
        names.setdefault(module, set()).add(name)
    lines = ["import numpy as np"] if names.pop("numpy", None) else []
    for module in sorted(names):
        ordered = sorted(names[module], key=_kind)
        line = f"from {module} import {', '.join(ordered)}"
        if len(line) > WIDTH:
            line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _named(target: str, members: Value) -> _Listed:
    """Return members with the names that scikit-learn wants; columns of a transformer as a list."""
    named: list[Item] = []
    for place, member in enumerate(members if isinstance(members, tuple) else ()):
        if target == COLUMNS and isinstance(member, tuple):
            part, columns = member
            named.append((f"part{place}", part, _Listed(columns if isinstance(columns, tuple) else ())))
        else:
            named.append((f"part{place}", member))
    return _Listed(tuple(named))


def _brackets(value: Item) -> tuple[str, list[tuple[str, Item]], str] | None:
    """Return the opening, the labelled contents and the closing of what can be broken over lines."""
    match value:
        case Call(target, ((_, members),)) if target in MAKERS and isinstance(members, tuple):
            return MAKERS[target].rpartition(".")[2] + "(", [("", member) for member in members], ")"
        case Call(target, params):
            given: dict[str, Item] = {**dict(params), **ENTRIES[target].pinned}
            if target in NAMED:
                given[NAMED[target]] = _named(target, value.get(NAMED[target]))
            arguments = sorted(given.items(), key=lambda pair: pair[0])
            return target.rpartition(".")[2] + "(", [(f"{name}=", inner) for name, inner in arguments], ")"
        case _Listed(items):
            return "[", [("", inner) for inner in items], "]"
        case tuple():
            return "(", [("", inner) for inner in value], ",)" if len(value) == 1 else ")"
        case _:
            return None


def _flat(value: Item) -> str:
    brackets = _brackets(value)
    if brackets is not None:
        opening, contents, closing = brackets
        return opening + ", ".join(label + _flat(inner) for label, inner in contents) + closing
    if isinstance(value, Name):
        module, _, name = value.target.rpartition(".")
        return f"np.{name}" if module == "numpy" else name
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _laid_out(value: Item, column: int, indent: int, spread: bool = False) -> str:
    """Return the source of `value`, which starts at `column` of a line indented by `indent`; a comma may follow."""
    flat = _flat(value)
    brackets = _brackets(value)
    if brackets is None or not brackets[1] or (not spread and column + len(flat) < WIDTH):
        return flat
    opening, contents, closing = brackets
    inner = indent + 4
    lines = [" " * inner + label + _laid_out(item, inner + len(label), inner) + "," for label, item in contents]
    return "\n".join([opening, *lines, " " * indent + closing.lstrip(",")])


def to_module(spec: Call, *, title: str, facts: Mapping[str, str]) -> str:
    """Return the source of a module that assigns the unfitted pipeline to ``exported_pipeline``.

    Parameters
    ----------
    spec : Call
        Brought to normal form first.
    title : str
        First line of the docstring.
    facts : mapping of str to str
        ``name: value`` lines of the docstring, in order: topic, feature set, scores, versions.

    Returns
    -------
    str
        ASCII apart from the docstring, lines of at most 120 columns, imports sorted, ends in a newline. Parsing it
        gives the normal form of `spec` back.

    Raises
    ------
    RefusedError
        The registry does not allow the spec.
    """
    plain = normal(spec)
    body = _laid_out(plain, 0, 0, spread=True)
    steps = plain.get("steps")
    last = steps[-1] if isinstance(steps, tuple) else None
    classifies = isinstance(last, Call) and ENTRIES[last.target].role == "classifier"
    return f"{_docstring(title, facts, classifies)}\n{_imports(plain)}\n{VARIABLE} = {body}\n"
