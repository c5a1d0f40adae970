"""`ltfund`: the simulated fund that trades what the network infers. It never trades real money."""

from __future__ import annotations

import os

import click

from infra.command import LongtailGroup
from infra.home import find_home

COMMANDS = {
    # The page is above the fund: it is named here and imported only when it is asked for.
    "serve": ("dashboard.serve_cli:serve", "Show the operator's page of a fund's store."),
    "run": ("fund.run_cli:run", "Make a HEAD every ten minutes, let the fund trade on it, and stamp it."),
    "sign": ("fund.run_cli:sign", "Make a fund's HEADs again as a validator, and sign those that come out the same."),
    "step": ("fund.run_cli:step", "Make the HEAD that is due, once."),
    "replay": ("fund.replay_cli:replay", "Let models infer and the fund trade over the past."),
}


@click.group(cls=LongtailGroup, lazy=COMMANDS)
def main() -> None:
    """Run the simulated fund. For research: nothing here trades real money."""
    os.environ.setdefault("MPLCONFIGDIR", str(find_home().cache / "matplotlib"))


if __name__ == "__main__":
    main()
