"""`ltvalidator init` and `ltvalidator ledger …`: make a ledger, prove it, look at it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.command import LongtailGroup

if TYPE_CHECKING:
    from infra.network import OpenLedger

AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
LEDGER = click.option("--ledger", "place", metavar="FILE|local", help="Ledger; default: the setting.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", default="longtail", show_default=True, help="What people call the ledger.")
@click.option("--chain-id", type=click.IntRange(min=1), default=31_337, show_default=True, help="EIP-712 chain id.")
@click.option("--validator", "validators", multiple=True, metavar="ADDRESS=LTFT", help="Account with a stake.")
@click.option("--account", "accounts", multiple=True, metavar="ADDRESS=LTFT", help="Account with a balance.")
@click.option("--pool", type=click.IntRange(min=0), default=1_000_000, show_default=True, help="LTFT for newcomers.")
@click.option("--param", "params", multiple=True, metavar="NAME=NUMBER", help="Parameter; see docs/spec/ledger.md.")
@AS_JSON
def init(file: Path, as_json: bool, **given: Any) -> None:
    """Make the new ledger FILE with these accounts; its parameters never change."""
    from infra.clock import network_time
    from infra.settings import load_settings
    from protocol.ledger.genesis import Genesis
    from protocol.ledger.params import LTFT
    from protocol.ledger.sqlite import SqliteLedger

    accounts: dict[str, dict[str, Any]] = {}
    for field, words in (("stake", given["validators"]), ("balance", given["accounts"])):
        for address, amount in _pairs(words):
            entry = accounts.setdefault(address, {"address": address, "name": f"account-{len(accounts) + 1}"})
            entry[field] = amount * LTFT
    raw = {
        "chain_id": given["chain_id"],
        "name": given["name"],
        "time": int(network_time(load_settings())()),
        "pool": given["pool"] * LTFT,
        "params": dict(_pairs(given["params"])),
        "accounts": list(accounts.values()),
    }
    ledger = SqliteLedger.create(file, Genesis.from_dict(raw, "init"))
    facts = {"ledger": str(file), "genesis": ledger.domain.salt, "accounts": len(accounts)}
    click.echo(json.dumps(facts, indent=1) if as_json else f"{file}  genesis {ledger.domain.salt}")


@click.group(cls=LongtailGroup)
def ledger() -> None:
    """Prove a ledger, or look at it."""


@ledger.command()
@LEDGER
@click.option(
    "--head", metavar="HASH", help="Hash of a record seen before: also finds a ledger that was cut or rewritten."
)
@AS_JSON
@click.pass_context
def verify(context: click.Context, /, place: str | None, head: str | None, as_json: bool) -> None:
    """Recompute everything from the genesis: hashes, links, signatures, rules. Exit code 5 if anything is wrong."""
    from infra.home import find_home
    from infra.network import LOCAL
    from infra.settings import load_settings
    from protocol.ledger.verification import verify_file

    named = load_settings(ledger=place).ledger
    file = find_home().ledger if named == LOCAL else Path(named).expanduser()
    found = verify_file(file, [head] if head else [])
    if as_json:
        click.echo(json.dumps({**asdict(found), "ok": found.ok}, indent=1))
    elif found.damage is None:
        click.echo(f"{found.records} records hold, head {found.head}, state {found.state_digest}")
    else:
        click.echo(f"{found.records} records hold; height {found.damage.height}: {found.damage.text}")
    context.exit(0 if found.ok else 5)


@ledger.command()
@LEDGER
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="First height.")
@AS_JSON
def show(place: str | None, start: int, as_json: bool) -> None:
    """List the records: height, time, kind, author and what it is about."""
    from datetime import UTC, datetime

    opened = _open(place)
    if as_json:
        click.echo(
            json.dumps([{**asdict(record), "event": record.event.to_dict()} for record in opened.records(start)])
        )
        return
    for record in opened.records(start):
        moment = datetime.fromtimestamp(record.time, UTC).isoformat(sep=" ")
        click.echo(
            f"{record.height:>6}  {moment}  {record.event.kind:<13} {record.event.author}  {_about(record.event.body)}"
        )


def _about(body: Any) -> str:
    """Return what an event's body is about in one short line."""
    names = ("subject", "topic", "name", "amount", "commitment")
    return "  ".join(f"{name} {str(body[name])[:80]}" for name in names if name in body)


def _pairs(words: tuple[str, ...]) -> list[tuple[str, int]]:
    from protocol.errors import UsageError

    pairs = []
    for word in words:
        name, _, number = word.partition("=")
        if not name or not number.removeprefix("-").isdecimal():
            raise UsageError(f"{word!r}: write NAME=NUMBER, a whole number")
        pairs.append((name, int(number)))
    return pairs


def _open(place: str | None) -> OpenLedger:
    from infra.network import open_network
    from infra.settings import load_settings

    return open_network(load_settings(ledger=place))
