"""The specification says what the code does: fields, constants, struct, known answers."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from protocol.head.head import MAX_HEAD_BYTES, ROLES, VERSION, Head, HeadModel, HeadTopic
from protocol.head.merkle import EMPTY_ROOT, Proof
from protocol.head.prediction import Prediction
from protocol.head.quorum import FIELDS, STRUCT, HeadSignature, Quorum
from protocol.head.schedule import PERIOD_S, STALE_S
from protocol.head.standing import MAX_PROVISIONAL, prior_weight
from protocol.ledger.params import Params

PAGE = (Path(__file__).parents[3] / "docs" / "spec" / "head.md").read_text(encoding="utf-8")
VECTORS = json.loads((Path(__file__).parent / "vectors" / "head.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", [Prediction, Proof, Head, HeadTopic, HeadModel, HeadSignature])
def test_every_field_is_named(kind: type) -> None:
    for field in fields(kind):
        assert f"`{field.name}`" in PAGE or f", {field.name}" in PAGE or f"`{field.name}," in PAGE, field.name


def test_constants() -> None:
    for text in (
        f"Version {VERSION}.",
        f"A period is {PERIOD_S} s",
        f"**stale** {STALE_S:,} s",
        f"the {MAX_PROVISIONAL} with the most evidence",
        f"{prior_weight(0, Params()):,} nanos",
        f"at most {MAX_HEAD_BYTES:,} bytes",
        EMPTY_ROOT,
        *(f"`{role}`" for role in ROLES),
        *(f"`{field.name}`" for field in fields(Quorum) if field.name not in ("stake", "total", "signers")),
    ):
        assert text in PAGE, text


def test_the_struct_that_is_signed() -> None:
    assert f"\n{STRUCT}({','.join(f'{type_} {name}' for name, type_ in FIELDS)})\n" in PAGE


def test_the_known_answers_are_those_of_the_vectors() -> None:
    empty = VECTORS["heads"][1]
    first = empty["signatures"][0]
    for text in (empty["text"], empty["hash"], empty["digest"], first["validator"], first["signature"]):
        assert text in PAGE
