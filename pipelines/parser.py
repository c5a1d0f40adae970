"""A pipeline module is parsed, never executed: from its bytes to the spec it names.

The subset: an optional docstring; imports of registered modules and operators; assignments of one new name each;
constructor calls with keyword arguments (the members of ``make_pipeline`` and ``make_union``, and the first argument
of the constructors in `FIRST`, by position too); literals. ``exported_pipeline`` is the result. Whatever is not in the
subset is refused with its line and what to do about it.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from dataclasses import dataclass, field

from pipelines.catalogue import ALIASES
from pipelines.left_out import PARAMETERS, why
from pipelines.module import VARIABLE
from pipelines.normal import normal, plain
from pipelines.registry import ENTRIES, EXECUTION, FUNCTIONS, WORDS
from pipelines.script import in_words, surplus
from pipelines.source import MAX_BYTES, decode, guard, refuse
from pipelines.spec import COLUMNS, NAMED, PIPELINE, STEPS, UNION, Call, Name, Value, call
from protocol.errors import RefusedError

MAX_STRING = 200
MAKERS = {"sklearn.pipeline.make_pipeline": PIPELINE, "sklearn.pipeline.make_union": UNION}
FIRST = {
    **STEPS,
    **NAMED,
    "sklearn.feature_selection.RFE": "estimator",
    "sklearn.feature_selection.RFECV": "estimator",
    "sklearn.feature_selection.SelectFromModel": "estimator",
    "sklearn.preprocessing.FunctionTransformer": "func",
}
"""Constructors whose first argument people write by position, and its name."""

_LEAVES = frozenset({*ENTRIES, *FUNCTIONS, *ALIASES, *MAKERS})
_MODULES = frozenset(leaf[:at] for leaf in _LEAVES for at, char in enumerate(leaf) if char == ".")
_BY_NAME = {leaf.rpartition(".")[2]: leaf for leaf in sorted(_LEAVES)}


def block_hash(source: bytes) -> str:
    """Return the sha256 of the bytes of a module in hex: what ``sha256sum pipeline.py`` shows."""
    return hashlib.sha256(source).hexdigest()


def _hint(name: str) -> str:
    last = name.rpartition(".")[2]
    if last in _BY_NAME:
        return f"write {_BY_NAME[last]}"
    reason = why(last)
    return f"delete it: {reason}" if reason else "delete it or use an operator that docs/spec/module.md lists"


@dataclass(slots=True)
class _Reader:
    """Reads one module from top to bottom; `imports` and `values` are what its names stand for so far."""

    name: str
    imports: dict[str, str] = field(default_factory=dict)
    values: dict[str, tuple[Value, int]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def refuse(self, node: ast.AST, what: str, remedy: str) -> RefusedError:
        return refuse(self.name, getattr(node, "lineno", 1), what, remedy)

    def bind(self, node: ast.AST, name: str) -> None:
        if name in self.imports or name in self.values:
            raise self.refuse(node, f"binds {name} again", "give every value a name of its own")

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Import(names):
                for alias in names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    target = alias.name if alias.asname else bound
                    if alias.name not in _MODULES:
                        raise self.refuse(node, f"imports {alias.name}", _hint(alias.name))
                    if self.imports.get(bound) != target:
                        self.bind(node, bound)
                    self.imports[bound] = target
            case ast.ImportFrom(module, names, level):
                for alias in names:
                    target = f"{'.' * level}{module or ''}.{alias.name}"
                    if target not in _LEAVES and target not in _MODULES:
                        raise self.refuse(node, f"imports {target}", _hint(target))
                    self.bind(node, alias.asname or alias.name)
                    self.imports[alias.asname or alias.name] = target
            case ast.Assign([ast.Name(name)], value):
                self.bind(node, name)
                self.values[name] = (self.value(value), node.lineno)
            case _:
                remedy = f"a module holds imports and assignments only; the pipeline is `{VARIABLE} = ...`"
                raise self.refuse(node, f"holds a statement of another kind ({type(node).__name__})", remedy)

    def dotted(self, node: ast.expr) -> str | None:
        """Return the full name that `node` refers to through an import, if it does."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id)
        if isinstance(node, ast.Attribute):
            front = self.dotted(node.value)
            return f"{front}.{node.attr}" if front else None
        return None

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(str(text)) if len(text) > MAX_STRING:
                raise self.refuse(node, f"has a string of {len(text)} characters", f"use at most {MAX_STRING}")
            case ast.Constant(None | bool() | int() | float() | str() as literal):
                return literal
            case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, ast.Constant(int() | float() as number)):
                if isinstance(number, bool):
                    raise self.refuse(node, f"puts a sign before {number}", "write a number")
                return -number if isinstance(sign, ast.USub) else number
            case ast.Tuple(items) | ast.List(items):
                return tuple(self.value(item) for item in items)
            case ast.Call():
                return self.called(node)
            case ast.Name() | ast.Attribute():
                return self.reference(node)
            case _:
                raise self.refuse(node, f"computes something ({type(node).__name__})", "write the value itself")

    def reference(self, node: ast.Name | ast.Attribute) -> Value:
        if isinstance(node, ast.Name) and node.id in self.values:
            bound, _ = self.values[node.id]
            if isinstance(bound, Call | tuple) and node.id in self.used:
                raise self.refuse(node, f"uses {node.id} twice", "write the value out where it is used")
            self.used.add(node.id)
            return bound
        target = self.dotted(node) or ""
        target = ALIASES.get(target, target)
        if target in FUNCTIONS:
            return Name(target)
        remedy = "call it" if target in _LEAVES else "import or assign it first"
        raise self.refuse(node, f"refers to {ast.unparse(node)[:60]}", remedy)

    def keywords(self, node: ast.Call) -> dict[str, Value]:
        given: dict[str, Value] = {}
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg in given:
                raise self.refuse(keyword, f"gives {keyword.arg} twice", "give every argument once, by name")
            given[keyword.arg] = self.value(keyword.value)
        return given

    def called(self, node: ast.Call) -> Call:
        target = self.dotted(node.func) or ""
        if target not in ENTRIES and target not in MAKERS:
            shown = target or ast.unparse(node.func)[:60]
            raise self.refuse(node, f"calls {shown}", _hint(shown))
        given = self.keywords(node)
        if target in FIRST and node.args:
            if len(node.args) > 1 or FIRST[target] in given:
                raise self.refuse(node, f"gives {target} too many arguments", "write name=value")
            given[FIRST[target]] = self.value(node.args[0])
        if target in MAKERS or target in STEPS:
            return self.container(node, target, given)
        if node.args and target not in FIRST:
            raise self.refuse(node, f"gives {target} an argument without its name", "write name=value")
        if target in NAMED:
            width = 3 if target == COLUMNS else 2
            given[NAMED[target]] = self.named(node, given.get(NAMED[target], ()), width)
        try:
            return plain(call(target, given))
        except RefusedError as error:
            raise RefusedError(f"{self.name}, line {node.lineno}: {error}") from error

    def container(self, node: ast.Call, target: str, given: dict[str, Value]) -> Call:
        for name in (*EXECUTION, "memory"):
            if name in given and (name in EXECUTION or given[name] is None):
                del given[name]
        if target in MAKERS:
            members = tuple(self.value(item) for item in node.args)
            target = MAKERS[target]
        else:
            members = self.named(node, given.pop(STEPS[target], ()), 2)
        if given:
            name = min(given)
            raise self.refuse(
                node, f"sets {name} of {target}", "remove it" + (f": {PARAMETERS[name]}" if name in PARAMETERS else "")
            )
        kinds = WORDS[target]
        for member in members:
            if not isinstance(member, Call) and member not in kinds:
                raise self.refuse(node, f"has the step {member!r:.60}", f"give an operator or {kinds[0]!r}")
        if not members:
            raise self.refuse(node, f"gives {target} no steps", "give at least one")
        return call(target, {STEPS[target]: members})

    def named(self, node: ast.Call, steps: Value, width: int) -> tuple[Value, ...]:
        """Return members without their names: what is left of two, or the tuple of what is left of three."""
        rows = steps if isinstance(steps, tuple) else ()
        whole = [row for row in rows if isinstance(row, tuple) and len(row) == width]
        names = [row[0] for row in whole if isinstance(row[0], str)]
        if len(names) != len(rows) or len(set(names)) != len(names) or any("__" in name for name in names):
            shape = "(name, step) pairs" if width == 2 else "(name, transformer, columns)"
            raise self.refuse(node, f"has steps that are not {shape} with distinct names", "write them so")
        return tuple(row[1] if width == 2 else row[1:] for row in whole)

    def module(self, tree: ast.Module) -> Call:
        body = tree.body
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:] if isinstance(body[0].value.value, str) else body
        for node in body:
            self.statement(node)
        result, line = self.values.get(VARIABLE, (None, 1))
        if not isinstance(result, Call):
            raise refuse(self.name, line, f"does not assign a pipeline to {VARIABLE}", f"write `{VARIABLE} = ...`")
        for name, (_, place) in self.values.items():
            if name != VARIABLE and name not in self.used:
                raise refuse(self.name, place, f"assigns {name}, which nothing uses", "delete that line")
        try:
            return normal(result)
        except RefusedError as error:
            raise RefusedError(f"{self.name}, line {line}: {error}") from error


def _parsed(source: bytes, name: str) -> Call:
    text = decode(source, name)
    guard(text, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line = error.lineno if isinstance(error, SyntaxError) and error.lineno else 1
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise refuse(name, line, f"is not Python ({reason})", "correct it") from error
    return _Reader(name).module(tree)


def parse_module(source: bytes | str, name: str = "<module>") -> Call:
    """Read a pipeline module without executing anything of it.

    Parameters
    ----------
    source : bytes or str
        The file; its block hash is that of the bytes.
    name : str
        What to call it in refusals.

    Returns
    -------
    Call
        The pipeline in normal form: the same for every formatting, naming and order of the same pipeline.

    Raises
    ------
    RefusedError
        The module leaves the subset; the message names the line, the construct and the remedy, for a whole script of
        TPOT all lines to delete. No other exception leaves this function, whatever the bytes.
    """
    try:
        content = source.encode("utf-8") if isinstance(source, str) else source
    except UnicodeEncodeError as error:
        raise refuse(name, 1, "holds a lone surrogate", "save as UTF-8") from error
    try:
        return _parsed(content, name)
    except RefusedError as error:
        around = surplus(content[:MAX_BYTES].decode("utf-8", "replace"), _LEAVES | _MODULES, _BY_NAME.keys())
        if not around:
            raise
        remedy = f"delete {in_words(around)}: a module holds imports of operators and `{VARIABLE} = ...` only"
        raise refuse(name, around[0][0], "holds a whole script around its pipeline", remedy) from error
