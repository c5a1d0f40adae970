"""Telling people on stderr how far something long has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from infra.logs import sparing


@contextmanager
def progress(what: str, every_s: float = 5.0) -> Iterator[Callable[[str], None]]:
    """Yield whom to tell: one line that is rewritten on a terminal, elsewhere a line every `every_s` seconds."""
    if not sys.stderr.isatty():
        yield sparing(lambda text: click.echo(text, err=True), every_s=every_s)
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield status.update


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield whom to tell how many are done, and of how many; nothing is said of what takes less than two seconds."""
    with progress(what, every_s=2.0) as say:
        yield lambda done, of: say(f"{what}: {done} of {of}")
