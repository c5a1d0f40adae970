"""Keys at rest: whole, for their owner only, and with a clear word for everything that can be wrong."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from infra.keystore import keystore_path, load_key, password_for, save_key, stored_key, stored_keys
from protocol.errors import ConfigError, UsageError
from protocol.keys import Key


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "alice.json"
    save_key(path, Key.from_secret(bytes(31) + b"\x01"), "secret", iterations=2)
    return path


def test_a_saved_key_is_for_its_owner_only_and_comes_back(stored: Path) -> None:
    assert stored.stat().st_mode & 0o777 == 0o600
    assert load_key(stored, "secret").address == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
    assert stored_key(stored).address == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


def test_a_key_is_never_overwritten_also_not_by_a_race(tmp_path: Path) -> None:
    path, refused = tmp_path / "keys" / "race.json", []

    def save() -> None:
        try:
            save_key(path, Key.create(), "x", iterations=2)
        except ConfigError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=save) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 5
    assert all("exists; choose another name" in words for words in refused)
    assert load_key(path, "x").address == stored_key(path).address


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not empty"):
        save_key(tmp_path / "x.json", Key.create(), "")
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is damaged: it is no JSON;"),
        (b"\xff", "is damaged: it is no JSON;"),
        (b"[" * 60_000, "is damaged: it is no JSON;"),
        (b"[]", "it is no JSON object"),
        (b"{}", "no V3 keystore"),
        (b" " * 100_000, "larger than 65536 bytes"),
    ],
)
def test_what_is_no_keystore_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as refusal:
        load_key(path, "x")
    assert str(path) in str(refusal.value)


def test_wrong_password_missing_file_and_folder_are_named(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"alice\.json: wrong password"):
        load_key(stored, "Secret")
    with pytest.raises(ConfigError, match=r"no keystore .*bob\.json; `key list`"):
        load_key(tmp_path / "bob.json", "x")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_key(tmp_path, "x")
    truncated = json.loads(stored.read_text())
    truncated["crypto"]["ciphertext"] = truncated["crypto"]["ciphertext"][:-2]
    stored.write_text(json.dumps(truncated))
    with pytest.raises(ConfigError, match="altered"):
        load_key(stored, "secret")


def test_names_are_slugs_and_files_are_files(tmp_path: Path) -> None:
    assert keystore_path("alice") == tmp_path / "state" / "keys" / "alice.json"
    assert keystore_path("./alice.json") == Path("alice.json")
    for name in ("", "Alice", "..", "a b", "x" * 64, "é"):
        with pytest.raises(UsageError, match="no slug"):
            keystore_path(name)


def test_keys_are_listed_with_what_is_wrong_with_them(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "keys"
    assert list(stored_keys()) == []
    save_key(folder / "b.json", Key.create(), "x", iterations=2)
    (folder / "a.json").write_text("{")
    (folder / "c.json").write_text('{"address": 5}')
    (folder / "d.json").write_text("{}")
    found = {key.name: key for key in stored_keys()}
    assert list(found) == ["a", "b", "c", "d"]
    assert found["b"].address
    assert not found["b"].problem
    assert "damaged" in found["a"].problem
    assert found["c"].problem
    assert found["d"].address == ""


def test_the_file_beside_a_key_comes_before_the_setting(stored: Path, tmp_path: Path) -> None:
    named = tmp_path / "password"
    named.write_bytes("pä ss \r\n".encode())
    assert password_for(stored, str(named)) == "pä ss "
    stored.with_suffix(".password").write_text("beside\n")
    assert password_for(stored, str(named)) == "beside"
    assert password_for(stored, str(named), new=True) == "pä ss "


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "is not UTF-8")])
def test_a_password_file_that_holds_none_is_named(stored: Path, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        password_for(stored, str(tmp_path / "password"))


def test_a_password_file_that_is_missing_is_named(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no password file .*nothing; check the setting"):
        password_for(stored, str(tmp_path / "nothing"))


def test_without_file_and_terminal_nobody_is_asked(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret\n"))
    with pytest.raises(ConfigError, match="or use a terminal"):
        password_for(stored)


ASKED = """
import sys
from pathlib import Path
from infra.keystore import load_key, password_for
path = Path(sys.argv[1])
print(load_key(path, password_for(path)).address)
"""


def test_a_terminal_is_asked_and_shows_nothing(stored: Path) -> None:
    ours, terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", ASKED, stored],
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b"Password for alice" not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, b"secret\n")
    output, _ = child.communicate()
    with suppress(OSError):  # the other end is closed
        while more := os.read(ours, 1000):
            shown += more
    os.close(ours)
    assert output == b"0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf\n", shown
    assert b"secret" not in shown
