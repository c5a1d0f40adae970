"""`lteconomy`: experiments with the rules of the network."""

from __future__ import annotations

import os

import click

from infra.command import LongtailGroup
from infra.home import find_home

COMMANDS = {
    "consensus": ("economy.consensus_cli:consensus", "Experiments with consensus and rewards, as figures and tables."),
}


@click.group(cls=LongtailGroup, lazy=COMMANDS)
def main() -> None:
    """Simulate: what the rules of the network do to those who follow them and those who do not."""
    os.environ.setdefault("MPLCONFIGDIR", str(find_home().cache / "matplotlib"))


if __name__ == "__main__":
    main()
