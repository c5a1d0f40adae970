"""The commands of `ltfund` that read a fund: `head`, `predictions`, `nav` and `rewards`. They work while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import UsageError
from protocol.head.schedule import MAX_PERIOD

if TYPE_CHECKING:
    from fund.store_reader import Reader
    from infra.network import OpenLedger

STORE = click.option(
    "--store", type=click.Path(path_type=Path), metavar="FILE", help="The fund; default: that of the home. Only read."
)
LEDGER = click.option(
    "--ledger", "place", metavar="FILE|local", help="Ledger its HEADs are stamped on; default: the setting."
)
PERIOD = click.option(
    "--period",
    type=click.IntRange(0, MAX_PERIOD),
    metavar="N",
    help="Period, Unix time // 600; default: the newest HEAD's.",
)
TOPIC = click.option("--topic", metavar="NAME", help="Only of this topic.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.command()
@STORE
@LEDGER
@PERIOD
@click.option("--list", "most", type=click.IntRange(1), metavar="K", help="The last K HEADs instead, a line each.")
@AS_JSON
def head(store: Path | None, place: str | None, period: int | None, most: int | None, as_json: bool) -> None:
    """Show a HEAD: its models, predictions, rewards, who signed it and whether it is stamped."""
    from fund.look import chosen, head_facts, listed
    from fund.look_text import head_text, list_text
    from infra.clock import network_time
    from infra.settings import load_settings

    now = network_time(load_settings())
    with reading(store) as reader, ledger_of(reader, place) as ledger:
        step = chosen(reader, period)
        if most:
            rows = listed(reader, step, most)
            say({"heads": rows}, list_text(rows), as_json=as_json)
        else:
            facts = head_facts(reader, step, ledger, now())
            say(facts, head_text(facts), as_json=as_json)


@click.command()
@STORE
@PERIOD
@TOPIC
@click.option("--symbol", metavar="NAME", help="Only of this symbol.")
@click.option("--broker", metavar="NAME", help="Only of this broker.")
@click.option(
    "--proof", is_flag=True, help="With --symbol: a JSON document for `ltfund verify`, whatever else is given."
)
@AS_JSON
def predictions(
    store: Path | None,
    period: int | None,
    *,
    topic: str | None,
    symbol: str | None,
    broker: str | None,
    proof: bool,
    as_json: bool,
) -> None:
    """Show what a HEAD predicts, with intervals and the shares of the models."""
    from fund.look import chosen
    from fund.look_text import predictions_text
    from fund.proving import Statement, Which
    from fund.store_reader import AbsentError

    if proof and symbol is None:
        raise UsageError("--proof without --symbol; name the symbol whose prediction is to be proven")
    with reading(store) as reader:
        period = chosen(reader, period).period
        every = reader.predictions(period)
        which = Which(symbol, topic, broker)
        some = which.of(every)
        if not some and which != Which():
            raise AbsentError(f"HEAD {period} has no prediction of {which}; see `ltfund predictions --period {period}`")
        if proof:
            statement = Statement.proving(reader.head(period), reader.signatures(period), every, some)
            click.echo(json.dumps(statement.to_dict(), indent=1))
            return
        facts = {"period": period, "head": reader.head(period).hash, "predictions": [one.to_dict() for one in some]}
        say(facts, predictions_text(period, some), as_json=as_json)


@click.command()
@STORE
@PERIOD
@click.option("--series", is_flag=True, help="The value per share at every valuation too.")
@AS_JSON
def nav(store: Path | None, period: int | None, series: bool, as_json: bool) -> None:
    """Show what the fund is worth, each book and all together, beside equal weights."""
    from fund.look import chosen, nav_facts
    from fund.look_text import nav_text
    from fund.progress import counting

    with reading(store) as reader, counting("steps read") as note:
        facts = nav_facts(reader, chosen(reader, period), series=series, note=note)
    say(facts, nav_text(facts), as_json=as_json)


@click.command()
@STORE
@PERIOD
@click.option("--account", metavar="ADDRESS", help="What this account has earned, for what, and the proof to claim it.")
@AS_JSON
def rewards(store: Path | None, period: int | None, account: str | None, as_json: bool) -> None:
    """Show who earned what for a HEAD and in all, why, and what was kept."""
    from fund.earned import Earned, paid
    from fund.look import chosen, reward_facts
    from fund.look_text import account_text, rewards_text
    from fund.progress import counting
    from protocol.ledger.kinds import is_address

    if account is not None and not is_address(account):
        raise UsageError(f"--account {account!r:.80}; give an EIP-55 address, 0x and 40 hex digits in mixed case")
    with reading(store) as reader, counting("steps read") as note:
        step = chosen(reader, period)
        if account is None:
            facts = reward_facts(reader, step)
        else:
            at = step.period
            facts = paid(Earned(reader), reader.claims(at), reader.earnings(at), account=account, period=at, note=note)
    say(facts, account_text(facts) if account else rewards_text(facts), as_json=as_json)


def say(facts: Any, text: str, *, as_json: bool) -> None:
    """Print facts as JSON or as text."""
    click.echo(json.dumps(facts, indent=1, allow_nan=False) if as_json else text)


@contextmanager
def reading(store: Path | None) -> Iterator[Reader]:
    """Open a fund to read, by default that of the home."""
    from fund.store_reader import Reader
    from infra.home import find_home

    with Reader.open(store or find_home().fund) as reader:
        yield reader


@contextmanager
def ledger_of(reader: Reader, place: str | None) -> Iterator[OpenLedger | None]:
    """Open the ledger of a fund; None where none was named and the local one is not it.

    Raises
    ------
    ConfigError
        The one that is named is not that of the fund, or not there.
    """
    from protocol.errors import ConfigError

    with opened(place) as (ledger, named):
        fits = ledger is not None and ledger.domain.salt == reader.ledger
        if ledger is not None and named and not fits:
            raise ConfigError(
                f"fund {reader.path} belongs to ledger {reader.ledger}, not to {ledger.domain.salt}; "
                "name its own: --ledger FILE"
            )
        yield ledger if fits else None


@contextmanager
def opened(place: str | None) -> Iterator[tuple[OpenLedger | None, bool]]:
    """Open a ledger, and say whether somebody named it; one that nobody named need not be there.

    Raises
    ------
    ConfigError
        The one that is named is not there, or cannot be opened.
    """
    from contextlib import ExitStack

    from infra.network import LOCAL, find_network
    from infra.settings import load_settings
    from protocol.errors import ConfigError

    settings = load_settings(ledger=place)
    named = place is not None or settings.ledger != LOCAL
    with ExitStack() as stack:
        ledger = find_network(settings)
        if ledger is not None:
            stack.enter_context(ledger)
        elif named:
            raise ConfigError("there is no local ledger; name the one that the fund belongs to: --ledger FILE")
        yield ledger, named
