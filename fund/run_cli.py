"""`ltfund run`, the cycle as a daemon; `ltfund step`, the same once; `ltfund sign`, a validator's part in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fund.opening import Replaying

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(path_type=Path, dir_okay=False)
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])
#: Seconds between rounds of questions to validators.
GATHER_S, QUICK_GATHER_S = 2.0, 0.2
#: Silence after which a loop is taken for dead: fitting many models takes long, asking for signatures does not.
HEAD_PATIENCE_S, GATHER_PATIENCE_S = 3_600.0, 300.0

STORE = click.option("--store", type=FILE, metavar="FILE", help="The fund; default: in the home.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; logs as JSON on stderr.")
_COMMON = (
    click.option("--ledger", metavar="FILE|local", help="Ledger; default: the setting."),
    click.option("--password-file", metavar="FILE", help="File with the password of the key."),
    click.option("--data", metavar="URI", help="Dataset: `sample`, a folder, a Parquet file or s3://bucket/path."),
)
_MAKING = (
    click.option("--key", metavar="NAME|FILE", help="Keystore of the fund's account; default: `fund`."),
    click.option("--topic", metavar="NAME|FILE", help="Of a fund that begins without a charter; default: the setting."),
    click.option("--charter", type=FILE, metavar="FILE", help="Terms of a fund that begins; see docs/operator.md."),
    click.option("--simulate", is_flag=True, help="Jump from bar to bar of the data instead of waiting for the clock."),
    click.option("--from", "start", type=MOMENT, help="First moment of a simulation, UTC; default: with the data."),
    click.option("--to", "end", type=MOMENT, help="Last moment of a simulation, UTC; default: with the data."),
)
LISTEN = click.option("--listen", "fund_listen", metavar="HOST:PORT", help="Where to answer; default: the setting.")


def _with(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command()
@STORE
@_with(*_COMMON, *_MAKING)
@click.option("--pace", type=click.FloatRange(0, 3_600), default=0.0, help="Seconds between bars of a simulation.")
@click.option("--peer", "peers", multiple=True, metavar="URL", help="A validator that signs: where it answers.")
@LISTEN
@AS_JSON
def run(store: Path | None, *, peers: tuple[str, ...], as_json: bool, charter: Path | None, **given: Any) -> None:
    """Make a HEAD every ten minutes, trade on it, gather signatures and stamp it, until stopped.

    If this home has a validator of the ledger, it signs too. The first call begins a fund.
    """
    from fund.api import pages
    from fund.opening import asking, open_maker
    from fund.peers import Gathering
    from fund.store_reader import Reader
    from infra.home import find_home
    from infra.logs import start_logging
    from infra.loops import Loop
    from infra.service import Service, serve
    from infra.settings import load_settings

    replaying = _replaying(given)
    settings, log = load_settings(**given), start_logging("longtail.fund", as_json=as_json)
    asked = [(address, asking(address)) for address in peers]
    place = (store or find_home().fund).absolute()
    with open_maker(settings, log, store=place, charter=charter, replaying=replaying, ask=not as_json) as maker:
        pause_s = QUICK_GATHER_S if maker.charter.simulated else GATHER_S
        gathering = Gathering(maker.store, maker.ledger, asked, log, pause_s, maker.metrics)
        loops = [Loop("head", maker.work, HEAD_PATIENCE_S)]
        loops += [Loop("signatures", gathering.work, GATHER_PATIENCE_S)] if asked else []

        def facts() -> dict[str, Any]:
            latest = maker.store.latest()
            return {"head": latest.period if latest else None, "over": maker.over, "silent": gathering.silent}

        with Reader.open(place) as shown:
            service = Service("fund", loops, maker.reasons, facts, pages(shown, facts))
            serve(service, maker.metrics, log, settings.fund_listen)


@click.command()
@STORE
@_with(*_COMMON, *_MAKING)
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="HEADs of a simulation to make.")
@AS_JSON
def step(store: Path | None, *, count: int, as_json: bool, charter: Path | None, **given: Any) -> None:
    """Make the HEAD that is due, sign it if this home has a validator, and stamp what has a quorum."""
    from fund.opening import open_maker
    from infra.home import find_home
    from infra.logs import start_logging
    from infra.settings import load_settings

    replaying = _replaying(given)
    settings, log = load_settings(**given), start_logging("longtail.fund", as_json=as_json)
    place = (store or find_home().fund).absolute()
    with open_maker(settings, log, store=place, charter=charter, replaying=replaying, ask=not as_json) as maker:
        while maker.made < count and not maker.over and maker.turn() == 0.0:
            pass
        waiting, latest = maker.settle(), maker.store.latest()
        facts = {"made": maker.made, "head": latest.period if latest else None, "waiting": waiting}
    if as_json:
        click.echo(json.dumps(facts))
        return
    made = f"{maker.made} made" if maker.made else "no HEAD is due"
    unstamped = f"; {waiting} wait for a quorum" if waiting else ""
    click.echo(f"{made}; the newest is of period {facts['head']}{unstamped}")


@click.command()
@click.option("--store", type=FILE, metavar="FILE", help="The copy of the fund; default: in the home.")
@click.option("--fund", metavar="URL", help="Where the fund answers; default: the setting.")
@_with(*_COMMON)
@click.option("--key", metavar="NAME|FILE", help="Keystore of the validator; default: `validator`.")
@LISTEN
@AS_JSON
def sign(store: Path | None, *, as_json: bool, **given: Any) -> None:
    """Follow a fund as a validator: make each of its HEADs again, and sign those that come out the same, until stopped.

    Exit code 78 says that the key is in use elsewhere: whoever restarts services must not restart this one.
    """
    from fund.api import pages
    from fund.opening import open_replica
    from fund.store_reader import Reader
    from infra.home import find_home
    from infra.logs import start_logging
    from infra.loops import Loop
    from infra.service import Service, serve
    from infra.settings import load_settings

    settings, log = load_settings(**given), start_logging("longtail.fund", as_json=as_json)
    place = (store or find_home().state / "replica.sqlite").absolute()
    with open_replica(settings, log, store=place, ask=not as_json) as replica:

        def facts() -> dict[str, Any]:
            latest = replica.store.latest()
            return {"head": latest.period if latest else None}

        loops = [Loop("head", replica.work, HEAD_PATIENCE_S)]
        with Reader.open(place) as shown:
            service = Service("signer", loops, replica.reasons, facts, pages(shown, facts))
            serve(service, replica.metrics, log, settings.fund_listen)


def _replaying(given: dict[str, Any]) -> Replaying | None:
    """Take the options of a simulation out of those given."""
    from fund.opening import Replaying
    from protocol.errors import UsageError

    simulate, pace = given.pop("simulate"), given.pop("pace", 0.0)
    start, end = (one.replace(tzinfo=UTC) if one else None for one in (given.pop("start"), given.pop("end")))
    if not simulate:
        if start or end or pace:
            raise UsageError("--from, --to and --pace are of a simulation; add --simulate")
        return None
    return Replaying(start, end, pace)
