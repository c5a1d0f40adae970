"""Command ``ltdata import``: foreign files into a dataset."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from protocol.errors import UsageError


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "uri", required=True, metavar="URI", help="Dataset to append to: a folder or s3://bucket/path.")
@click.option("--type", "type_", required=True, metavar="TYPE", help="Series type: ohlcv-1h, close-1d, funding-8h, ….")
@click.option("--broker", required=True, metavar="SLUG", help="ccxt exchange id or a slug.")
@click.option("--symbol", default="", metavar="SYMBOL", help="ccxt symbol or ticker, unless a column has it.")
@click.option("--sector", default="", metavar="SLUG", help="Sector of the symbol, unless a column has it.")
@click.option(
    "--columns", multiple=True, metavar="NAME=SOURCE,…", help="Our column = theirs; volume= says there is none."
)
@click.option("--no-header", is_flag=True, help="The CSV has no header; its columns are called 1, 2, ….")
@click.option(
    "--unit", type=click.Choice(["auto", "s", "ms", "us", "ns"]), default="auto", show_default=True, help="Of epochs."
)
@click.option("--timezone", default="UTC", show_default=True, help="Clock of the file: America/New_York, UTC-05:00.")
@click.option("--datetime-format", metavar="PATTERN", help="strftime pattern of the times; default: ISO 8601 or epoch.")
@click.option(
    "--stamp",
    type=click.Choice(["open", "close"]),
    default="open",
    show_default=True,
    help="End of bar the time names.",
)
@click.option(
    "--conflicts",
    type=click.Choice(["refuse", "first", "last", "drop"]),
    default="refuse",
    show_default=True,
    help="Which of several values for one bar holds.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out bad rows instead of stopping at them.")
@click.option(
    "--now", metavar="DATE", help="When the files were made, UTC: later bars had not closed. Default: the clock."
)
@click.option("--cut", "cuts", multiple=True, metavar="SECTORS=DATE", help="Held-out cut to note: crypto-*=2025-02-01.")
@click.option("--revise", is_flag=True, help="Let new values replace stored ones, in the new version.")
@click.option("--dry-run", is_flag=True, help="Show what would happen; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def import_(
    *,
    files: tuple[Path, ...],
    uri: str,
    type_: str,
    columns: tuple[str, ...],
    revise: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Bring CSV, feather or Parquet files into a dataset.

    Equal repeated rows and bars that have not closed are dropped and counted; bad rows and contradictions stop the
    import with their line numbers, and nothing is written.
    """
    from data.appending import preview  # keeps `--help` light
    from data.checks import warnings_of  # as above
    from data.clock import parse_zone  # as above
    from data.dataset import Dataset  # as above
    from data.importer import Plan, import_files  # as above
    from data.manifest import parse_cuts, parse_time, to_micros  # as above

    as_json, cuts = options.pop("as_json"), parse_cuts(options.pop("cuts"))
    now = options.pop("now")
    plan = Plan(
        type=type_,
        columns=_column_map(columns),
        now=to_micros(parse_time(now) if now else datetime.now(UTC)),
        zone=parse_zone(options.pop("timezone")),
        pattern=options.pop("datetime_format"),
        header=not options.pop("no_header"),
        **options,
    )
    before = Dataset.create(uri)
    table, report = import_files(files, plan)
    warnings = [finding.to_dict() for finding in warnings_of(table).warnings()]
    if dry_run:
        after = preview(before, table, revise=revise, cuts=cuts) or before.manifest
    else:
        source = ", ".join(path.name for path in files)
        after = before.append(table, source=source, revise=revise, cuts=cuts).manifest
    old, new = (sum(entry.rows for entry in known.files) if known else 0 for known in (before.manifest, after))
    result = {
        "uri": before.uri,
        "dry_run": dry_run,
        "read": report.read,
        "kept": report.kept,
        "dropped": dict(report.dropped),
        "bad": report.bad,
        "notes": report.notes,
        "first": table.column("datetime")[0].as_py().isoformat(),
        "last": max(table.column("datetime").to_pylist()).isoformat(),
        "new": new - old,
        "rows": new,
        "root": after.root if after else None,
        "warnings": warnings,
    }
    click.echo(json.dumps(result, indent=1, ensure_ascii=False) if as_json else _told(result))


def _column_map(texts: tuple[str, ...]) -> dict[str, str]:
    """Return target to source from texts such as ``datetime=unix,open=Open``."""
    columns = {}
    for pair in (pair for text in texts for pair in text.split(",")):
        target, found, source = pair.partition("=")
        if not found or not target.strip():
            raise UsageError(f"--columns {pair!r} is not NAME=SOURCE; write for example datetime=unix,open=Open")
        columns[target.strip()] = source.strip()
    return columns


def _told(result: dict[str, Any]) -> str:
    """Return what an import did, for people."""
    lines = [f"{result['read']:,} rows read, {result['kept']:,} kept, {result['first']} to {result['last']}"]
    lines += [f"  dropped {count:,}: {reason}" for reason, count in result["dropped"].items()]
    lines += [f"    {bad['file']} line {bad['line']}: {bad['problem']}" for bad in result["bad"]]
    lines += [f"  {note}" for note in result["notes"]]
    for warning in result["warnings"]:
        lines.append(f"  {warning['code']} {warning['rule']}")
        lines += [f"    {example['series']}  {example['value']}" for example in warning["examples"]]
    would = "would be" if result["dry_run"] else "are"
    lines.append(f"{result['new']:,} of them {would} new in {result['uri']}, which then has {result['rows']:,} rows")
    lines.append(f"root {result['root']}" + (" (nothing written)" if result["dry_run"] else ""))
    return "\n".join(lines)
