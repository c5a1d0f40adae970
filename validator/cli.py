"""`ltvalidator`: parses, jails, scores and records strangers' modules."""

from __future__ import annotations

import click

from infra.command import LongtailGroup


@click.group(cls=LongtailGroup, lazy={})
def main() -> None:
    """Validate: score pipelines of others in a sandbox and report to the ledger."""
