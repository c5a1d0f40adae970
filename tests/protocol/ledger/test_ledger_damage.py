"""Verification finds what was done to a file, however carefully it was done."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_ledgers import ADDRESS, KEYS, START, Clock, Network, made_genesis

from protocol.errors import ConfigError, DataError
from protocol.ledger.commitments import canonical
from protocol.ledger.event import SignedEvent, domain_of, genesis_record, record_at, sign
from protocol.ledger.genesis import Genesis
from protocol.ledger.params import LTFT
from protocol.ledger.sqlite import SqliteLedger
from protocol.ledger.verification import verify_file

HEIGHT = 12
DOMAIN = domain_of(made_genesis())
Rows = list[list[Any]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a ledger with a block and evidence in it, closed, and its head."""
    path = tmp_path_factory.mktemp("sound") / "ledger.sqlite"
    clock = Clock()
    with SqliteLedger.create(path, made_genesis(), clock) as ledger:
        network = Network(ledger, clock)
        network.accept(1)
        for amount in (1, 2, 3):
            clock.now += 10
            network.send("alice", "transfer", to=ADDRESS["bob"], amount=amount)
        network.send("val1", "unstake", amount=LTFT)
        assert ledger.tip().height == HEIGHT
        assert ledger.verify().ok
        head = ledger.tip().hash
    assert [one.name for one in path.parent.iterdir()] == ["ledger.sqlite"], "one file when nobody uses it"
    return path, head


def rewritten(path: Path, change: Callable[[Rows], Rows | None]) -> None:
    """Change the rows as somebody with the file and without keys can, and leave the triggers as they were."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        rows = [list(row) for row in db.execute("SELECT * FROM records ORDER BY height")]
        rows = change(rows) or rows
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DELETE FROM records")
        db.executemany("INSERT INTO records VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?)", rows)
        for _, sql in triggers:
            db.execute(sql)


def relinked(rows: Rows, genesis: Genesis | None = None) -> Rows:
    """Recompute every hash that needs no key."""
    first = genesis_record(genesis or Genesis.from_dict(json.loads(rows[0][3])["body"]))
    linked: Rows = [[0, first.previous, first.time, first.event.text, first.event.hash, first.hash]]
    for height, row in enumerate(rows[1:], start=1):
        event = SignedEvent(**json.loads(row[3]))
        record = record_at(height, linked[-1][5], row[2], event)
        linked.append([height, record.previous, record.time, event.text, event.hash, record.hash])
    return linked


def edited(row: list[Any], **changes: Any) -> str:
    """Return the event of a row with another body."""
    event = json.loads(row[3])
    return canonical(event | {"body": event["body"] | changes})


def change_amount(rows: Rows) -> None:
    rows[9][3] = edited(rows[9], amount=3 * LTFT)


def change_amount_and_hashes(rows: Rows) -> Rows:
    change_amount(rows)
    return relinked(rows)


def change_genesis(rows: Rows) -> Rows:
    genesis = Genesis.from_dict(json.loads(rows[0][3])["body"])
    return relinked(rows, genesis.model_copy(update={"pool": genesis.pool + 1}))


def spoil_genesis(rows: Rows) -> None:
    rows[0][3] = rows[0][3].replace('"pool":', '"pond":')


def sign_as_somebody_else(rows: Rows) -> Rows:
    event = SignedEvent(**json.loads(rows[9][3]))
    body = {**event.body, "amount": 7}
    forged = replace(sign(KEYS["bob"], DOMAIN, event.kind, event.nonce, body), author=event.author)
    rows[9][3] = forged.text
    return relinked(rows)


def break_a_rule_with_a_right_signature(rows: Rows) -> Rows:
    event = SignedEvent(**json.loads(rows[9][3]))
    rows[9][3] = sign(KEYS["alice"], DOMAIN, "transfer", event.nonce, {"to": ADDRESS["bob"], "amount": 90 * LTFT}).text
    return relinked(rows)


def invent_a_kind(rows: Rows) -> Rows:
    rows[9][3] = rows[9][3].replace("transfer", "mint")
    return relinked(rows)


def set_cell(height: int, column: int, value: Any) -> Callable[[Rows], Rows | None]:
    def change(rows: Rows) -> None:
        rows[height][column] = value(rows[height][column]) if callable(value) else value

    return change


def swap(rows: Rows) -> None:
    rows[9][1:], rows[10][1:] = rows[10][1:], rows[9][1:]


def swap_and_relink(rows: Rows) -> Rows:
    rows[9][3], rows[10][3] = rows[10][3], rows[9][3]
    return relinked(rows)


def repeat(rows: Rows) -> Rows:
    rows.insert(10, [10, *rows[9][1:4], "f" * 64, rows[9][5]])
    for height, row in enumerate(rows):
        row[0] = height
    return rows


def cut_middle(rows: Rows) -> Rows:
    return [*rows[:6], *rows[7:]]


def drop_and_relink(rows: Rows) -> Rows:
    return relinked([*rows[:9], *rows[10:]])


def go_back_in_time(rows: Rows) -> Rows:
    rows[10][2] = START - 1
    return relinked(rows)


TAMPERED: dict[str, tuple[int, str, Callable[[Rows], Rows | None]]] = {
    "an amount": (9, "hash", change_amount),
    "an amount and all hashes": (9, "signed by", change_amount_and_hashes),
    "signed by another key": (9, "signed by", sign_as_somebody_else),
    "a rule broken by a key's owner": (9, "less than", break_a_rule_with_a_right_signature),
    "the genesis": (1, "signed by", change_genesis),
    "the hash of the genesis": (0, "not the genesis", set_cell(0, 5, "0" * 64)),
    "the time of the genesis": (0, "not the genesis", set_cell(0, 2, START + 1)),
    "no genesis": (0, "record 0", spoil_genesis),
    "nothing at all": (0, "missing", lambda rows: rows.clear()),
    "a time": (9, "hash", set_cell(9, 2, START + 999)),
    "a time and all hashes": (10, "time", go_back_in_time),
    "a link": (9, "linked", set_cell(9, 1, "0" * 64)),
    "a hash": (9, "hash", set_cell(9, 5, "0" * 64)),
    "an event hash": (9, "hash", set_cell(9, 4, "0" * 64)),
    "spaces in the text": (9, "canonical", set_cell(9, 3, lambda text: text.replace(",", ", "))),
    "half a text": (9, "cannot be read", set_cell(9, 3, lambda text: text[:40])),
    "bytes that are no UTF-8": (9, "cannot be read", set_cell(9, 3, b"\xff\xfe")),
    "an unknown kind": (9, "unknown", invent_a_kind),
    "two records swapped": (9, "", swap),
    "two records swapped and linked": (9, "next one", swap_and_relink),
    "a record twice": (10, "", repeat),
    "a record left out": (6, "follow", cut_middle),
    "a record left out and linked": (9, "next one", drop_and_relink),
}


@pytest.mark.parametrize(("height", "said", "change"), TAMPERED.values(), ids=TAMPERED)
def test_every_kind_of_tampering_is_found_where_it_is(
    sound: tuple[Path, str], tmp_path: Path, height: int, said: str, change: Callable[[Rows], Rows | None]
) -> None:
    path = Path(shutil.copy(sound[0], tmp_path))
    rewritten(path, change)
    found = verify_file(path)
    assert found.damage is not None
    assert (found.damage.height, found.records) == (height, height)
    assert said in found.damage.text
    with pytest.raises(DataError, match=f"damaged at height {height}: "):
        SqliteLedger.open(path)


def test_an_honest_rewriting_is_no_damage(sound: tuple[Path, str], tmp_path: Path) -> None:
    path = Path(shutil.copy(sound[0], tmp_path))
    rewritten(path, relinked)
    assert verify_file(path, [sound[1]]).ok


@pytest.mark.parametrize("length", [1, HEIGHT - 3, HEIGHT])
def test_a_cut_ledger_is_found_by_those_who_know_a_later_head(
    sound: tuple[Path, str], tmp_path: Path, length: int
) -> None:
    path = Path(shutil.copy(sound[0], tmp_path))
    rewritten(path, lambda rows: rows[:length])
    assert verify_file(path).ok, "the shorter ledger is consistent"
    found = verify_file(path, [sound[1]])
    assert found.damage is not None
    assert (found.damage.height, found.records) == (length, length)
    assert sound[1] in found.damage.text


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER records_keep",
        "DROP TRIGGER records_stay",
        "DROP TRIGGER records_grow",
        "CREATE TRIGGER more AFTER INSERT ON records BEGIN SELECT 1; END",
        "CREATE TABLE more (x)",
        "CREATE VIEW more AS SELECT 1",
    ],
)
def test_a_changed_schema_is_found(sound: tuple[Path, str], tmp_path: Path, statement: str) -> None:
    path = Path(shutil.copy(sound[0], tmp_path))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)
    found = verify_file(path)
    assert found.damage is not None
    assert "altered" in found.damage.text


def test_any_flipped_byte_is_found_or_harmless(sound: tuple[Path, str], tmp_path: Path) -> None:
    """A flip changes what is stored (found), or space that holds nothing (the same head and state)."""
    whole = verify_file(sound[0])
    content = sound[0].read_bytes()
    path = tmp_path / "ledger.sqlite"
    chosen = random.Random(0)
    found_some = 0
    for _ in range(150):
        place = chosen.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << chosen.randrange(8)]) + content[place + 1 :])
        try:
            found = verify_file(path, [sound[1]])
        except (ConfigError, DataError):
            found_some += 1
        else:
            assert found.damage or found == whole, f"byte {place}"
            found_some += found.damage is not None
        for rest in tmp_path.iterdir():
            rest.unlink()
    assert found_some > 50


@pytest.mark.parametrize("left", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_found(sound: tuple[Path, str], tmp_path: Path, left: float) -> None:
    path = tmp_path / "ledger.sqlite"
    content = sound[0].read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    with pytest.raises((DataError, ConfigError), match=r"damaged|no ledger"):
        SqliteLedger.open(path)
