"""The command `ltvalidator doctor`."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(as_json: bool) -> None:
    """Check the machine and attack the jail as a stranger would. Exit code 3 when validating here would not be safe."""
    from infra.finding import show
    from validator.doctor import examine

    sys.exit(show(examine(), as_json=as_json))
