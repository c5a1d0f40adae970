"""`python -m dashboard.example`: the page over the example network, on loopback, until Ctrl-C."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import click

from dashboard.sample import STATES, SampleView, State
from dashboard.server import PageServer


@click.command()
@click.option(
    "--state", type=click.Choice(STATES), default="ordinary", show_default=True, help="What the network looks like."
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8610, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--rate", type=click.FloatRange(0, 3600), default=1.0, show_default=True, help="Seconds of the network per second."
)
def main(state: State, port: int, rate: float) -> None:
    """Show the operator's page over an example network."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with PageServer(SampleView(state, rate=rate), port=port) as server, suppress(KeyboardInterrupt):
        click.echo(server.url)
        while server.alive:  # in slices: a signal that another thread receives does not wake this one
            time.sleep(0.2)


if __name__ == "__main__":
    main()
