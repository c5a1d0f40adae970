"""The normal form: one spec for all ways to write the same pipeline.

The rules change no prediction. Execution parameters and values equal to the library's default are left out, whole
numbers become floats where only floats belong, step names are erased, and containers are simplified: an identity step
disappears, nested pipelines and unions are flattened, a union drops what it drops and vanishes when one member is
left. The root is always a pipeline that ends in a regressor or classifier.
"""

from __future__ import annotations

from pipelines.registry import DROP, ENTRIES, EXECUTION, MODELS, PASSTHROUGH, check, entry
from pipelines.spec import PIPELINE, STEPS, UNION, Call, Name, Value, call
from protocol.errors import RefusedError

IDENTITY = (
    Call("sklearn.preprocessing.FunctionTransformer"),
    Call("sklearn.preprocessing.FunctionTransformer", (("func", Name("copy.copy")),)),
)


def _operator(spec: Call) -> Call:
    found = entry(spec.target)
    kept: dict[str, Value] = {}
    for name, value in spec.params:
        if name in EXECUTION and (value is None or isinstance(value, bool | int)):
            continue
        if name not in found.params:
            kept[name] = value  # check() refuses it with what is allowed
            continue
        default, domain = found.params[name]
        plain = domain.coerce(_parts(value))
        if name in found.required or type(plain) is not type(default) or plain != default:
            kept[name] = plain
    return call(spec.target, kept)


def _parts(value: Value) -> Value:
    if isinstance(value, Call):
        return _member(value)
    return tuple(_parts(inner) for inner in value) if isinstance(value, tuple) else value


def _member(member: Value) -> Value:
    if not isinstance(member, Call):
        return member
    if member.target not in STEPS:
        plain = _operator(member)
        return PASSTHROUGH if plain in IDENTITY else plain
    members = _members(member)
    if member.target == PIPELINE:
        if not members:
            return PASSTHROUGH
        return members[0] if len(members) == 1 else call(PIPELINE, {"steps": members})
    if not members:
        return DROP
    return members[0] if len(members) == 1 else call(UNION, {"transformer_list": members})


def _members(spec: Call) -> tuple[Value, ...]:
    raw = spec.get(STEPS[spec.target])
    if not isinstance(raw, tuple) or not raw:
        raise RefusedError(f"{spec.target} has no {STEPS[spec.target]}; give at least one")
    if len(spec.params) != 1:
        extra = next(name for name, _ in spec.params if name != STEPS[spec.target])
        raise RefusedError(f"{spec.target} may not set {extra}; remove it")
    flat: list[Value] = []
    for member in map(_member, raw):
        if isinstance(member, Call) and member.target == spec.target:
            flat.extend(_members(member))
        elif member != (PASSTHROUGH if spec.target == PIPELINE else DROP):
            flat.append(member)
    return tuple(flat)


def plain(spec: Call) -> Call:
    """Return one operator, checked and without defaults and execution parameters.

    Raises
    ------
    RefusedError
        It is not registered, or a parameter is not allowed.
    """
    operator = _operator(spec)
    check(operator)
    return operator


def normal(spec: Call) -> Call:
    """Return the normal form of a pipeline, checked against the registry; applying it twice changes nothing.

    Raises
    ------
    RefusedError
        Something in it is not registered or out of bounds, no feature is left, or it does not end in a model.
    """
    root = spec if spec.target == PIPELINE else call(PIPELINE, {"steps": (spec,)})
    steps = _members(root)
    last = steps[-1] if steps else None
    if not isinstance(last, Call) or last.target in STEPS or ENTRIES[last.target].role not in MODELS:
        name = last.target if isinstance(last, Call) else repr(last)
        raise RefusedError(f"the pipeline ends in {name}; its last step must be a regressor or classifier")
    if DROP in steps:
        raise RefusedError("a union of the pipeline drops every feature; keep at least one branch")
    root = call(PIPELINE, {"steps": steps})
    check(root)
    return root
