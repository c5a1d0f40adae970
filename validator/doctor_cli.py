"""The command `ltvalidator doctor`."""

from __future__ import annotations

import json
import sys

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(as_json: bool) -> None:
    """Check the machine and attack the jail as a stranger would. Exit code 3 when validating here would not be safe."""
    from dataclasses import asdict

    from validator.doctor import examine

    findings = examine()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            click.echo(f"{finding.state:>7}  {finding.name:<28} {finding.detail}")
    sys.exit(3 if any(finding.state == "error" for finding in findings) else 0)
