"""Hypothesis strategies for pipelines over the whole catalogue, and other ways to write the same pipeline."""

from __future__ import annotations

from hypothesis import strategies as st

from pipelines.catalogue import ALIASES
from pipelines.domains import Choice, Domain, Either, Function, Items, Model, Number, Part, Real, Record, Whole
from pipelines.module import MAKERS
from pipelines.normal import normal
from pipelines.registry import BEFORE, ENTRIES, EXECUTION, MODELS
from pipelines.spec import COLUMNS, NAMED, PIPELINE, STEPS, UNION, Call, Name, Value, call
from protocol.errors import RefusedError

SHARED = {function: alias for alias, function in ALIASES.items()}


def reals(lo: float, hi: float, above: bool = False) -> st.SearchStrategy[float]:
    """Floats between the bounds; short ones more often than not."""
    full = st.floats(lo, hi, exclude_min=above, allow_subnormal=False)
    short = full.map(lambda value: float(f"{value:.2g}"))
    return (short | full).filter(lambda value: lo <= value <= hi and not (above and value == lo))


def values(domain: Domain, depth: int) -> st.SearchStrategy[Value]:
    """Values of a domain, in the form that normal form keeps."""
    match domain:
        case Whole(lo, hi):
            found: st.SearchStrategy[Value] = st.integers(lo, min(hi, lo + 30)) | st.integers(lo, hi)
        case Real(lo, hi, above):
            found = reals(lo, hi, above)
        case Number(lo, hi):
            found = reals(lo, hi).map(domain.coerce)
        case Choice(listed):
            found = st.sampled_from(listed)
        case Function(targets):
            found = st.sampled_from(targets).map(Name)
        case Part(targets) | Model(_, targets):
            found = st.sampled_from(targets).flatmap(lambda target: calls(target, depth + 1))
            if isinstance(domain, Model) and depth < 2:
                found |= st.builds(pipeline, st.lists(steps(depth + 1), max_size=2), found)
        case Items(item, least, most):
            found = st.lists(values(item, depth), min_size=least, max_size=min(most, least + 2)).map(tuple)
        case Record(places):
            found = st.tuples(*(values(place, depth) for place in places))
        case Either(options):
            found = st.one_of(*(values(option, depth) for option in options))
        case _:
            raise AssertionError(domain)
    return found


@st.composite
def calls(draw: st.DrawFn, target: str, depth: int = 0) -> Call:
    """Calls of one target with some of its parameters."""
    if target == UNION:
        return call(UNION, {"transformer_list": tuple(draw(st.lists(steps(depth + 1), min_size=1, max_size=3)))})
    known = ENTRIES[target]
    chosen = draw(st.lists(st.sampled_from(sorted(known.params)), max_size=4, unique=True)) if known.params else []
    return call(target, {name: draw(values(known.params[name][1], depth)) for name in {*chosen, *known.required}})


def steps(depth: int) -> st.SearchStrategy[Call]:
    """Scalers, selectors, transformers and, not too deep, unions of them."""
    targets = sorted(target for target, known in ENTRIES.items() if known.role in BEFORE)
    usable = [target for target in targets if depth < 2 or target != COLUMNS]
    return st.sampled_from([*usable, *([UNION] if depth < 2 else [])]).flatmap(lambda target: calls(target, depth))


def pipeline(before: list[Call], last: Value) -> Call:
    return call(PIPELINE, {"steps": (*before, last)})


MODEL_TARGETS = sorted(target for target, known in ENTRIES.items() if known.role in MODELS)


def allowed(spec: Call) -> bool:
    """Tell whether the registry takes it: no more fits than the cap, no union that drops everything."""
    try:
        normal(spec)
    except RefusedError:
        return False
    return True


def specs(targets: list[str] | None = None) -> st.SearchStrategy[Call]:
    """Whole pipelines, checked, in normal form."""
    last = st.sampled_from(targets or MODEL_TARGETS).flatmap(calls)
    return st.builds(pipeline, st.lists(steps(0), max_size=3), last).filter(allowed).map(normal)


class Writer:
    """Writes one pipeline as Python in one of many ways: names, order, layout, defaults, aliases, makers or classes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.imports: dict[str, str] = {}
        self.lines: list[str] = []

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def reach(self, target: str) -> str:
        """Import a target in one of three ways and return how to refer to it."""
        if target in SHARED and self.flag():
            target = SHARED[target]
        module, _, name = target.rpartition(".")
        match self.draw(st.integers(0, 2)):
            case 0:
                self.imports.setdefault(f"from {module} import {name} as {name}_", name)
                return f"{name}_"
            case 1:
                alias = "m_" + module.replace(".", "_")
                self.imports.setdefault(f"import {module} as {alias}", name)
                return f"{alias}.{name}"
            case _:
                self.imports.setdefault(f"import {module}", name)
                return target

    def space(self) -> str:
        return self.draw(st.sampled_from(["", " ", "\n    ", "  # a word\n"]))

    def joined(self, opening: str, items: list[str], closing: str) -> str:
        comma = "," if items and (self.flag() or (opening == "(" and len(items) == 1)) else ""
        return opening + self.space() + ("," + self.space()).join(items) + comma + self.space() + closing

    def sequence(self, items: list[str]) -> str:
        return self.joined("[", items, "]") if self.flag() else self.joined("(", items, ")")

    def bound(self, text: str) -> str:
        """Give a value a name of its own, or not."""
        if self.draw(st.integers(0, 3)):
            return text
        name = f"value_{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name

    def number(self, value: float) -> str:
        text = repr(value)
        if text == "0.0" and self.flag():
            return "-0.0"
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 and self.flag():
            return f"{value:.1f}0"
        return f"+{text}" if value >= 0 and not text.startswith("-") and self.flag() else text

    def value(self, value: Value) -> str:
        match value:
            case Call():
                return self.bound(self.called(value))
            case Name(target):
                return self.reach(target)
            case tuple():
                return self.bound(self.sequence([self.value(inner) for inner in value]))
            case str():
                return repr(value) if self.flag() else f'"{value}"'
            case bool() | None:
                return repr(value)
            case _:
                return self.number(value)

    def member(self, value: Value) -> str:
        return self.value(value) if isinstance(value, Call) else repr(value)

    def called(self, spec: Call) -> str:
        target = spec.target
        extra = [f"{name}=None" for name in EXECUTION if self.draw(st.integers(0, 9)) == 0]
        if target in STEPS:
            members = spec.get(STEPS[target])
            assert isinstance(members, tuple)
            written = [self.member(member) for member in members]
            if self.flag():
                return self.reach(MAKERS[target]) + self.joined("(", written, ")")
            rows = [self.joined("(", [f"'n{at}'", part], ")") for at, part in enumerate(written)]
            given = self.sequence(rows)
            return self.reach(target) + self.joined("(", [given if self.flag() else f"{STEPS[target]}={given}"], ")")
        params = dict(spec.params)
        known = ENTRIES[target]
        for name, (default, _) in known.params.items():
            if name not in params and name not in known.required and self.draw(st.integers(0, 9)) == 0:
                params[name] = default
        arguments = [f"{name}={self.argument(target, name, value)}" for name, value in params.items()]
        return self.reach(target) + self.joined("(", list(self.draw(st.permutations([*arguments, *extra]))), ")")

    def argument(self, target: str, name: str, value: Value) -> str:
        if NAMED.get(target) != name:
            return self.whole(target, name, value)
        assert isinstance(value, tuple)
        rows = []
        for at, member in enumerate(value):
            parts = [self.value(part) for part in member] if isinstance(member, tuple) else [self.member(member)]
            rows.append(self.joined("(", [f"'n{at}'", *parts], ")"))
        return self.sequence(rows)

    def whole(self, target: str, name: str, value: Value) -> str:
        """Write a float as a whole number, where only floats belong."""
        domain = ENTRIES[target].params[name][1]
        if isinstance(value, float) and value.is_integer() and domain.coerce(int(value)) == value and self.flag():
            again = domain.coerce(int(value))
            if type(again) is float:
                return repr(int(value))
        return self.value(value)

    def module(self, spec: Call) -> str:
        body = self.called(spec)
        imports = self.draw(st.permutations(sorted(self.imports)))
        head = '"""Any words."""\n' if self.flag() else "# any words\n"
        return head + "\n".join([*imports, *self.lines, f"exported_pipeline = {body}"]) + "\n"


@st.composite
def written(draw: st.DrawFn, spec: Call) -> str:
    """One of the many ways to write `spec` as a module."""
    return Writer(draw).module(spec)
