"""`key new`, `key show`, `key list`: as miner and validator offer them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra import keystore
from infra.key_cli import key
from protocol.keys import Key

ONE = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


@pytest.fixture
def password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    (tmp_path / "password").write_text("correct horse\n")
    return str(tmp_path / "password")


@pytest.fixture
def one(password: str) -> str:
    """A key in the home whose keystore opens at once."""
    path = keystore.keystore_path("one")
    keystore.save_key(path, Key.from_secret(bytes(31) + b"\x01"), "correct horse", iterations=2)
    return path.name


def call(*words: str) -> Result:
    return CliRunner().invoke(key, list(words))


def test_a_new_key_opens_and_shows_itself(password: str) -> None:
    made = call("new", "alice", "--password-file", password, "--json")
    shown = call("show", "alice", "--password-file", password, "--json")
    assert made.exit_code == shown.exit_code == 0, made.output
    assert json.loads(made.stdout) == json.loads(shown.stdout)
    facts = json.loads(made.stdout)
    assert set(facts) == {"address", "cosmos_address", "public_key", "file"}
    document = json.loads(Path(facts["file"]).read_text())
    assert document["crypto"]["kdfparams"]["n"] == 262_144  # what other wallets use
    again = call("new", "alice", "--password-file", password)
    assert again.exit_code == 3
    assert "exists; choose another name" in again.stderr


def test_keys_are_listed_without_a_password(one: str) -> None:
    assert call("list").stdout == f"one  {ONE}\n"
    (listed,) = json.loads(call("list", "--json").stdout)
    assert (listed["name"], listed["address"], listed["problem"]) == ("one", ONE, "")


def test_for_people_the_addresses_are_lines(one: str, password: str) -> None:
    shown = call("show", "one", "--password-file", password)
    assert f"address  {ONE}\n" in shown.stdout
    assert "cosmos1w508d6qejxtdg4y5r3zarvary0c5xw7k6ah60c" in shown.stdout


def test_without_keys_the_list_says_how_to_make_one(password: str) -> None:
    assert call("list").stdout == ""
    assert "key new NAME" in call("list").stderr
    assert json.loads(call("list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("show", "nobody"), 3, "no keystore"),
        (("show", "nobody", "--password-file", "PASSWORD"), 3, "no keystore"),
        (("show", "one", "--password-file", "PASSWORD.wrong"), 3, "wrong password"),
        (("show", "one"), 3, "or use a terminal"),
        (("show", "No Name"), 2, "no slug"),
        (("new", "x"), 3, "or use a terminal"),
        (("new", "x", "--password-file", "nothing"), 3, "no password file nothing"),
        (("new",), 2, "Missing argument"),
        (("forget", "one"), 2, "No such command"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(
    one: str, password: str, words: tuple[str, ...], code: int, text: str
) -> None:
    Path(f"{password}.wrong").write_text("battery staple")
    failed = call(*(word.replace("PASSWORD", password) for word in words))
    assert failed.exit_code == code, failed.output
    assert text in failed.stderr
    assert failed.stdout == ""
    assert "Traceback" not in failed.stderr
