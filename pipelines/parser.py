"""A pipeline module is parsed, never executed: from its bytes to the spec it names.

The subset: an optional docstring; imports of registered modules and operators; assignments of one new name each;
constructor calls with keyword arguments (``make_pipeline``, ``make_union`` and the steps of ``Pipeline`` and
``FeatureUnion`` by position too); literals. ``exported_pipeline`` is the result. Whatever is not in the subset is
refused with its line and what to do about it.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from dataclasses import dataclass, field

from pipelines.module import VARIABLE
from pipelines.normal import normal, plain
from pipelines.registry import ENTRIES, EXECUTION, FUNCTIONS, WORDS
from pipelines.source import decode, guard, refuse
from pipelines.spec import PIPELINE, STEPS, UNION, Call, Name, Value, call
from protocol.errors import RefusedError

MAX_STRING = 200
MAKERS = {"sklearn.pipeline.make_pipeline": PIPELINE, "sklearn.pipeline.make_union": UNION}
_LEAVES = frozenset({*ENTRIES, *FUNCTIONS, *MAKERS})
_MODULES = frozenset(leaf[:at] for leaf in _LEAVES for at, char in enumerate(leaf) if char == ".")
_BY_NAME = {leaf.rpartition(".")[2]: leaf for leaf in sorted(_LEAVES)}


def block_hash(source: bytes) -> str:
    """Return the sha256 of the bytes of a module in hex: what ``sha256sum pipeline.py`` shows."""
    return hashlib.sha256(source).hexdigest()


def _hint(name: str) -> str:
    known = _BY_NAME.get(name.rpartition(".")[2])
    return f"write {known}" if known else "delete it or use an operator that docs/spec/module.md lists"


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
        if target in MAKERS or target in STEPS:
            return self.container(node, target, given)
        if node.args:
            raise self.refuse(node, f"gives {target} an argument without its name", "write name=value")
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
            if len(node.args) > 1 or (node.args and STEPS[target] in given):
                raise self.refuse(node, f"gives {target} too many arguments", f"write {STEPS[target]}=[(name, step)]")
            steps = self.value(node.args[0]) if node.args else given.pop(STEPS[target], ())
            members = self.named(node, steps)
        if given:
            raise self.refuse(node, f"sets {sorted(given)[0]} of {target}", "remove it")
        kinds = WORDS[target]
        for member in members:
            if not isinstance(member, Call) and member not in kinds:
                raise self.refuse(node, f"has the step {member!r:.60}", f"give an operator or {kinds[0]!r}")
        if not members:
            raise self.refuse(node, f"gives {target} no steps", "give at least one")
        return call(target, {STEPS[target]: members})

    def named(self, node: ast.Call, steps: Value) -> tuple[Value, ...]:
        pairs = steps if isinstance(steps, tuple) else ()
        names = [pair[0] for pair in pairs if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)]
        if len(names) != len(pairs) or len(set(names)) != len(names) or any("__" in name for name in names):
            raise self.refuse(node, "has steps that are not (name, step) pairs with distinct names", "write them so")
        return tuple(pair[1] for pair in pairs if isinstance(pair, tuple))

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
        The module leaves the subset; the message names the line, the construct and the remedy. No other exception
        leaves this function, whatever the bytes.
    """
    try:
        text = decode(source.encode("utf-8") if isinstance(source, str) else source, name)
    except UnicodeEncodeError as error:
        raise refuse(name, 1, "holds a lone surrogate", "save as UTF-8") from error
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
