"""The command `ltfund serve`."""

from __future__ import annotations

import json
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from protocol.errors import ConfigError

SLICE_S = 0.2


@click.command()
@click.option(
    "--store", type=click.Path(path_type=Path), metavar="FILE", help="The fund; default: that of the home. Only read."
)
@click.option("--ledger", "place", metavar="FILE|local", help="Ledger its HEADs are stamped on; default: the setting.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8610, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="Host name that a proxy passes on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def serve(store: Path | None, place: str | None, port: int, names: tuple[str, ...], as_json: bool) -> None:
    """Show the operator's page of a fund on 127.0.0.1 until Ctrl-C. Nothing is written."""
    try:
        from dashboard.server import PageServer
    except ModuleNotFoundError as error:
        raise ConfigError(f"the page needs {error.name}: pip install 'longtail[dash]'") from error
    from dashboard.fund_view import FundView
    from dashboard.view import Clock
    from fund.store_reader import Reader
    from infra.clock import network_time
    from infra.home import find_home
    from infra.network import find_network
    from infra.settings import load_settings

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), ExitStack() as opened:
        settings = load_settings(ledger=place)
        now, ledger = network_time(settings), find_network(settings)
        if ledger is None:
            raise ConfigError("there is no local ledger; name the one that the fund belongs to: --ledger FILE")
        opened.enter_context(ledger)
        reader = opened.enter_context(Reader.open(store or find_home().fund, ledger.domain.salt))
        clock = None if reader.config.get("simulated") else lambda: Clock(now())
        server = opened.enter_context(PageServer(FundView(reader, ledger.state, clock), port=port, names=names))
        click.echo(json.dumps({"url": server.url}) if as_json else server.url)
        while server.alive:  # in slices: a signal that another thread receives does not wake this one
            time.sleep(SLICE_S)
        raise ConfigError("the page has stopped answering; start it again")
