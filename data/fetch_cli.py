"""Command ``ltdata fetch``: bars of an exchange into a dataset."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from data.intake import Intake, Series

Say = Callable[[str], None]


@click.command()
@click.option("--exchange", "name", required=True, metavar="ID", help="ccxt exchange id, such as binance or kraken.")
@click.option("--symbols", required=True, metavar="A,B,…", help="Symbols in ccxt's spelling: BTC/USDT, BTC/USDT:USDT.")
@click.option("--timeframe", default="1h", show_default=True, help="Length of a bar: 1m, 15m, 1h, 4h, 1d, …")
@click.option("--since", metavar="DATE", help="First bar wanted, UTC; not needed for series that are stored.")
@click.option("--until", metavar="DATE", help="Only bars that open before this, UTC; default: now.")
@click.option(
    "--to", "uri", metavar="URI", help="Dataset, a folder or s3://…; default: `fetched` in the longtail home."
)
@click.option(
    "--sector", "sectors", multiple=True, metavar="[SYMBOL=]SLUG", help="Sector of one or all unknown symbols."
)
@click.option(
    "--base-url", metavar="URL", envvar="LONGTAIL_EXCHANGE_URL", show_envvar=True, help="Mirror to ask instead."
)
@click.option(
    "--max-wait", type=click.FloatRange(0), default=300, show_default=True, help="Seconds to wait per answer."
)
@click.option("--flush-every", type=click.IntRange(1), default=50, show_default=True, help="Pages per appended batch.")
@click.option("--dry-run", is_flag=True, help="Show what is lacking; fetch and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def fetch(context: click.Context, /, name: str, base_url: str | None, max_wait: float, **options: Any) -> None:
    """Fetch closed bars from an exchange and append them to a dataset.

    A series that is stored is continued from its last bar: running the same command again fetches only what is new.
    """
    from data.exchange import Exchange  # ccxt and pyarrow stay out of --help
    from data.intake import Intake, Wish

    dry_run, as_json = options.pop("dry_run"), options.pop("as_json")
    wish = Wish(to=options.pop("uri"), **options)
    intake = Intake(wish, Exchange(name, base_url=base_url or None, max_wait=max_wait, say=_to_stderr))
    if dry_run:
        _print({**intake.result(), "dry_run": True}, as_json=as_json)
        return
    interrupted, failure = False, None
    with _progress(intake) as (say, advance):
        intake.exchange.say = say
        try:
            failure = intake.run(say, advance)
        except KeyboardInterrupt:
            interrupted = True
    notes = [] if interrupted or failure else intake.notes()
    _print({**intake.result(), "notes": notes, "interrupted": interrupted}, as_json=as_json)
    for note in notes:
        _to_stderr(note)
    if interrupted:
        _to_stderr("interrupted: what was fetched is kept; run the same command again to continue")
        context.exit(EXIT_INTERRUPTED)
    if failure:
        raise failure


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


@contextmanager
def _progress(intake: Intake) -> Iterator[tuple[Say, Callable[[Series], None]]]:
    """Yield where lines go and who is told of progress: a bar per series on a terminal, else a line per batch."""
    if not sys.stderr.isatty():
        yield _to_stderr, lambda series: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {
            series.symbol: progress.add_task(series.symbol, total=series.lacking(intake.grid.step))
            for series in intake.series
        }
        yield (
            lambda line: progress.console.print(line, markup=False, highlight=False),
            lambda series: progress.update(tasks[series.symbol], completed=series.received),
        )


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result, indent=1, ensure_ascii=False))
        return
    for series in result["series"]:
        span = f"{series['first']} .. {series['last']}" if series["rows"] else "nothing yet"
        gaps = f", {len(series['gaps'])} gaps of {sum(gap['bars'] for gap in series['gaps'])} bars" * bool(
            series["gaps"]
        )
        lacking = f", {series['lacking']} to fetch" if result.get("dry_run") else f", {series['new']} new"
        click.echo(
            f"{series['symbol']} {result['type']} {result['exchange']} {series['sector']}: "
            f"{series['rows']} bars {span}{lacking}{gaps}" + f", {series['retries']} retries" * bool(series["retries"])
        )
    click.echo(f"{result['dataset']} root {result['root'] or 'none yet'}")
