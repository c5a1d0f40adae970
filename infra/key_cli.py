"""The `key` commands of miner and validator."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from infra.command import LongtailGroup

PASSWORD_FILE = click.option(
    "--password-file", metavar="FILE", help="File with the password; without it a terminal is asked."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group(cls=LongtailGroup)
def key() -> None:
    """Make, show and list keys: V3 keystores in the home's folder of keys."""


@key.command()
@click.argument("name")
@PASSWORD_FILE
@AS_JSON
def new(name: str, password_file: str | None, as_json: bool) -> None:
    """Make the key NAME, a name or a file; what exists is never overwritten."""
    from infra.keystore import keystore_path, password_for, save_key
    from infra.settings import load_settings
    from protocol.errors import ConfigError
    from protocol.keys import Key

    settings, path = load_settings(password_file=password_file), keystore_path(name)
    if path.exists():
        raise ConfigError(f"keystore {path} exists; choose another name")
    made = Key.create()
    save_key(path, made, password_for(path, settings.password_file, new=True, ask=not as_json))
    _show({**_public(made), "file": str(path)}, as_json)


@key.command()
@click.argument("name")
@PASSWORD_FILE
@AS_JSON
def show(name: str, password_file: str | None, as_json: bool) -> None:
    """Open the key NAME, a name or a file, and show its addresses; never its secret."""
    from infra.network import find_key, key_path
    from infra.settings import load_settings

    settings = load_settings(key=name, password_file=password_file)
    found = find_key(settings, name, ask=not as_json)
    _show({**_public(found), "file": str(key_path(settings, name))}, as_json)


@key.command(name="list")
@AS_JSON
def list_keys(as_json: bool) -> None:
    """List the keys of this home; needs no password."""
    from infra.keystore import stored_keys

    found = [{**asdict(stored), "file": str(stored.file)} for stored in stored_keys()]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    if not found:
        click.echo(
            "no keys yet; `key new NAME` makes one, and the first submission to a local ledger makes two", err=True
        )
    for stored in found:
        click.echo(f"{stored['name']}  {stored['problem'] or stored['address'] or 'no address inside'}")


def _public(found: Any) -> dict[str, str]:
    return {"address": found.address, "cosmos_address": found.cosmos_address, "public_key": found.public_key}


def _show(facts: dict[str, str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):>14}  {value}")
