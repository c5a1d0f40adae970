"""What doctors report: one thing that was looked at, how it was found, and what they all look at."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import click

from infra.home import find_home
from infra.settings import load_settings
from protocol.errors import ConfigError, LongtailError

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    state : State
        An ``error`` keeps a command from working.
    detail : str
        What was found; if it is not as it should be, with the remedy.
    """

    name: str
    state: State
    detail: str


Look = Callable[[], Iterator[Finding]]


def examined(looks: Iterable[Look]) -> list[Finding]:
    """Return what `looks` find; one that fails on purpose is an error under its own name."""
    findings: list[Finding] = []
    for look in looks:
        try:
            findings.extend(look())
        except LongtailError as error:
            findings.append(Finding(look.__name__.strip("_"), "error", str(error)))
    return findings


def python() -> Iterator[Finding]:
    """Look at the interpreter."""
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    detail = f"{sys.version.split()[0]} at {sys.executable}"
    yield Finding("python", "ok" if fits else "error", detail if fits else f"{detail}; longtail runs on 3.11 to 3.13")


def settings() -> Iterator[Finding]:
    """Look at the settings."""
    load_settings()
    file = find_home().settings_file
    yield Finding("settings", "ok", str(file) if file.is_file() else f"defaults ({file} does not exist)")


def show(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Print findings and return the exit code: that of a wrong set-up if there is an error."""
    told = list(findings)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in told], indent=1))
    else:
        width = max(len(finding.name) for finding in told)
        for finding in told:
            click.echo(f"{finding.state:>7}  {finding.name:<{width}}  {finding.detail}")
    return ConfigError.exit_code if any(finding.state == "error" for finding in told) else 0
