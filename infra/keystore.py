"""Keystores: keys at rest, as V3 files that only their owner can read, and where their passwords come from.

A password comes from the file beside the keystore (a local network makes one with its own keys), from the file that the setting
``password_file`` names, or from a prompt on a terminal; never from an argument or the environment, where others can read it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.files import atomic_write
from infra.home import find_home
from infra.lock import exclusive
from protocol.addresses import checksum_address
from protocol.errors import ConfigError, RefusedError, UsageError
from protocol.keys import Key

SUFFIX = ".json"
PASSWORD_SUFFIX = ".password"  # noqa: S105  # the ending of a file's name
#: A keystore has half a kilobyte, a password less.
MAX_BYTES = 65_536

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What a keystore says without its password.

    Attributes
    ----------
    name : str
    file : Path
    address : str
        EIP-55; empty when the keystore names none.
    problem : str
        Why it cannot be used; empty when it can.
    """

    name: str
    file: Path
    address: str = ""
    problem: str = ""


def keystore_path(name: str) -> Path:
    """Return the file of a key: a path as it is, a name in the home's folder of keys.

    Raises
    ------
    UsageError
        The name is no slug.
    """
    if "/" in name or name.endswith(SUFFIX):
        return Path(name).expanduser()
    if not _NAME.match(name):
        raise UsageError(f"key name {name!r:.80} is no slug; use a-z, 0-9, - and _, at most 63, or give a file")
    return find_home().keys / f"{name}{SUFFIX}"


def save_key(path: Path, key: Key, password: str, *, iterations: int | None = None) -> None:
    """Write a keystore that only its owner can read; one that is there stays.

    Parameters
    ----------
    path : Path
    key : Key
    password : str
        Not empty.
    iterations : int, optional
        scrypt's work factor, see :meth:`protocol.keys.Key.to_keystore`.

    Raises
    ------
    ConfigError
        There is a file of this name, the password is empty, or the folder cannot be written.
    """
    if not password:
        raise ConfigError(f"keystore {path} needs a password that is not empty")
    content = json.dumps(key.to_keystore(password, iterations=iterations), indent=1).encode() + b"\n"
    with exclusive(path.parent / ".lock"):
        if path.exists():
            raise ConfigError(f"keystore {path} exists; choose another name")
        atomic_write(path, content, mode=0o600)


def load_key(path: Path, password: str) -> Key:
    """Return the key of a keystore.

    Raises
    ------
    ConfigError
        The file is missing, unreadable, damaged or no V3 keystore, or the password is wrong.
    """
    try:
        return Key.from_keystore(_document(path), password)
    except ConfigError as error:
        raise ConfigError(_named(path, error)) from error.__cause__


def stored_key(path: Path) -> StoredKey:
    """Return what a keystore says without its password; what is wrong with it is part of that."""
    name = path.name.removesuffix(SUFFIX)
    try:
        address = _document(path).get("address", "")
        known = checksum_address("0x" + address.removeprefix("0x")) if address else ""
    except (ConfigError, RefusedError, AttributeError) as error:
        return StoredKey(name, path, problem=str(error))
    return StoredKey(name, path, known)


def stored_keys() -> Iterator[StoredKey]:
    """Yield the keystores of this home by name."""
    for path in sorted(find_home().keys.glob(f"*{SUFFIX}")):
        yield stored_key(path)


def password_for(path: Path, password_file: str = "", *, new: bool = False, ask: bool = True) -> str:
    """Return the password of the keystore `path`: from the file beside it, from `password_file`, or from a prompt.

    Parameters
    ----------
    path : Path
    password_file : str
        Empty when there is none. Of both files only the line end at the end is dropped.
    new : bool
        The keystore is about to be made: the file beside it does not count, and the prompt asks twice.
    ask : bool
        Whether there may be a prompt.

    Raises
    ------
    ConfigError
        A file cannot be read or is empty, or there is neither a file nor a terminal to ask on.
    """
    if not new:
        with suppress(FileNotFoundError):
            return _password(path.with_suffix(PASSWORD_SUFFIX))
    if password_file:
        file = Path(password_file).expanduser()
        try:
            return _password(file)
        except FileNotFoundError:
            raise ConfigError(f"no password file {file}; check the setting `password_file`") from None
    if not (ask and sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(f"no password for keystore {path}; name a file with it by `password_file`, or use a terminal")
    import click

    question = f"{'New password' if new else 'Password'} for {path.name.removesuffix(SUFFIX)}"
    return str(click.prompt(question, hide_input=True, confirmation_prompt=new, err=True))


def _password(path: Path) -> str:
    try:
        text = _read(path, "password file").decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"password file {path} is not UTF-8 text; write the password as one line") from error
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise ConfigError(f"password file {path} is empty; write the password as one line")
    return password


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read(path, "keystore"))
    except FileNotFoundError:
        raise ConfigError(f"no keystore {path}; `key list` shows the keys there are, `key new` makes one") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"keystore {path} is damaged: it is no JSON; restore it from a copy") from error
    if not isinstance(document, dict):
        raise ConfigError(f"keystore {path} is damaged: it is no JSON object; restore it from a copy")
    return document


def _read(path: Path, what: str) -> bytes:
    """Return a small file whole; that it is missing is for the caller to explain."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{what} {path} is larger than {MAX_BYTES} bytes; give the right file")
    return content


def _named(path: Path, error: ConfigError) -> str:
    """Return the message of an error with the file it is about."""
    return str(error) if str(path) in str(error) else f"keystore {path}: {error}"
