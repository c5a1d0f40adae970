"""The specification says what the code does: kinds, structs, parameters, refusals, fields."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from protocol.ledger.kinds import KINDS, MAX_EVENT_BYTES, MAX_SOURCE_BYTES
from protocol.ledger.params import LTFT, Params
from protocol.ledger.refusal import CODES
from protocol.ledger.reports import LIVE_FIELDS, OUTCOMES, SCREEN_FIELDS
from protocol.ledger.sqlite_file import APPLICATION_ID, FORMAT
from protocol.ledger.state import Block

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "spec" / "ledger.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_struct_and_its_row(kind: str) -> None:
    known = KINDS[kind]
    assert f"\n{known.struct}({','.join(f'{type_} {name}' for name, type_ in known.types)})\n" in PAGE
    names = ", ".join(field.name for field in known.fields)
    assert f"| `{kind}` | {f'`{names}`' if names else '–'} |" in PAGE


def test_every_refusal_is_listed_and_used() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGE[PAGE.index("## 10.") :], flags=re.MULTILINE) == list(
        CODES.items()
    )
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "protocol" / "ledger").glob("*.py"))
    assert set(re.findall(r'LedgerRefusal\(\s*"([a-z-]+)"', code)) | {"nonce"} == set(CODES)


def test_every_parameter_is_listed_with_its_default() -> None:
    rows = dict(
        re.findall(r"^\| `([a-z_]+)` \| ([−0-9.,]+(?: LTFT)?) \|", PAGE[PAGE.index("## 9.") :], flags=re.MULTILINE)
    )
    shown = {}
    for name, value in Params():
        amount = name in {"welcome", "bond", "fee", "min_stake", "report_penalty", "emission_first", "emission_cap"}
        shown[name] = f"{value / LTFT:,.12g} LTFT" if amount else f"{value:,}".replace("-", "−")
    assert rows == shown


def test_every_field_of_reports_and_blocks_is_named() -> None:
    section = PAGE[PAGE.index("## 5.") : PAGE.index("## 7.")]
    for name in (*SCREEN_FIELDS, *LIVE_FIELDS, *OUTCOMES, *(field.name for field in fields(Block))):
        assert f"`{name}`" in section, name


def test_limits_and_numbers_of_the_format() -> None:
    assert f"{MAX_EVENT_BYTES:,} bytes" in PAGE
    assert f"{MAX_SOURCE_BYTES:,} bytes" in PAGE
    assert f"`application_id` 0x{APPLICATION_ID:X}, `user_version` {FORMAT}" in PAGE
