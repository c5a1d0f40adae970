"""Command ``ltdata``: look at, check and bring in standard series."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from infra.command import LongtailGroup
from protocol.errors import DataError

if TYPE_CHECKING:
    from data.checks import Report
    from data.dataset import Dataset, SeriesSummary

as_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group(
    cls=LongtailGroup,
    lazy={
        "fetch": ("data.fetch_cli:fetch", "Fetch closed bars from an exchange and append them to a dataset."),
        "import": ("data.import_cli:import_", "Bring CSV, feather or Parquet files into a dataset."),
    },
)
@click.version_option(package_name="longtail")
def main() -> None:
    """Standard series (ltds-1): check them, look at them, bring them in.

    A dataset is a folder or s3://bucket/path with versions named by their content root; a bare tree
    type=…/broker=…/*.parquet or a single Parquet file can be read and checked too, and so can the bundled `sample`.
    Behind any of them ?until=2018-01-01 means: as it was known then, only the bars that had closed.
    """


@main.command()
@click.argument("path")
@click.option("--held-out", metavar="DATE", help="No row may open at or after this time, UTC.")
@click.option("--now", metavar="DATE", help="Bars must have closed by then, UTC; default: the clock.")
@as_json_option
@click.pass_context
def check(context: click.Context, path: str, held_out: str | None, now: str | None, as_json: bool) -> None:
    """Check every file, row and series; exit 3 on errors, 0 on warnings only.

    Codes are explained in docs/data.md; the first offending rows of each are shown, rows counted from 0.
    """
    from data.checks import check as run
    from data.manifest import parse_time, to_micros
    from data.sample import dataset_uri

    report = run(dataset_uri(path), now=_moment(now), held_out=to_micros(parse_time(held_out)) if held_out else None)
    click.echo(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) if as_json else _told(report))
    if report.errors:
        context.exit(DataError.exit_code)


@main.command()
@click.argument("path")
@as_json_option
def root(path: str, as_json: bool) -> None:
    """Print the content root: one sha256 for the rows, whatever files hold them."""
    from data.dataset import Dataset
    from data.sample import dataset_uri

    dataset = Dataset.open(dataset_uri(path))
    click.echo(json.dumps({"uri": dataset.uri, "root": dataset.known_root}) if as_json else dataset.known_root)


@main.command()
@click.argument("path")
@click.option("--root", "version", metavar="ROOT", help="Another version than the newest.")
@as_json_option
def show(path: str, version: str | None, as_json: bool) -> None:
    """Show the series of a dataset: spans, rows, gaps and a picture of their coverage.

    In the picture the darkest character means that all expected bars are there, a blank that none is.
    """
    from data.dataset import Dataset
    from data.sample import dataset_uri

    dataset = Dataset.open(dataset_uri(path), version)
    click.echo(json.dumps(_summary(dataset), indent=1, ensure_ascii=False) if as_json else _shown(dataset))


@main.command()
@click.option("--out", metavar="URI", help="Write a copy there, as a dataset with manifest.")
@as_json_option
def sample(out: str | None, as_json: bool) -> None:
    """Print where the bundled sample is: daily closes of 20 US names, usable offline."""
    from data.dataset import Dataset
    from data.sample import sample_uri

    dataset = Dataset.open(sample_uri())
    if out:
        dataset = Dataset.create(out).append(dataset.read(), source="bundled sample")
    click.echo(json.dumps({"uri": dataset.uri, "root": dataset.root}) if as_json else dataset.uri)


def _moment(text: str | None) -> int:
    """Return microseconds since 1970 of `text`, or of the clock."""
    from data.manifest import parse_time, to_micros

    return to_micros(parse_time(text)) if text else time.time_ns() // 1000


def _told(report: Report) -> str:
    """Return a check's report for people."""
    from data.rules import RULES

    lines = [f"{report.uri}: {report.rows:,} rows, {report.series} series, {report.files} files"]
    for finding in (*report.findings.errors(), *report.findings.warnings()):
        lines.append(f"{finding.code}  {RULES[finding.code]}: {finding.count:,}")
        for example in finding.examples:
            place = example.file + (f" row {example.row}" if example.row is not None else "")
            lines.append("      " + "  ".join(part for part in (place, example.series, example.value) if part))
    errors, warnings = len(report.errors), len(report.findings.warnings())
    lines.append(f"root  {report.root}" if report.root else "root  none while there are errors")
    lines.append(f"{errors} kinds of errors, {warnings} kinds of warnings" if errors or warnings else "no complaints")
    return "\n".join(lines)


def _plain(series: SeriesSummary) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(series), "first": series.first.isoformat(), "last": series.last.isoformat()}


def _summary(dataset: Dataset) -> dict[str, Any]:
    """Return what ``show --json`` prints."""
    series = [_plain(one) for one in dataset.series()]
    known = dataset.manifest
    history = {"parent": known.parent, "source": known.source, "created": known.created} if known else {}
    if known and dataset.until is not None:
        history["version"] = known.root
    size = {"files": len(dataset.entries), "rows": sum(one["rows"] for one in series)}
    cuts = dict(known.cuts) if known else {}
    return {"uri": dataset.uri, "root": dataset.known_root, **size, "cuts": cuts, **history, "series": series}


def _shown(dataset: Dataset) -> str:
    """Return a table of the series with a picture per row."""
    from data.coverage import calendars_of, picture, summaries, times_of

    keys = dataset.read_keys()
    times, series = times_of(keys), summaries(keys)
    calendars = calendars_of(times)
    first = min((int(known[0]) for known in times.values()), default=0)
    last = max((int(known[-1]) for known in times.values()), default=0)
    rows = [("type", "broker", "symbol", "sector", "rows", "first", "last", "gaps", "missing", "coverage")]
    for one in series:
        key = (one.type, one.broker, one.symbol)
        shades = picture(times[key], calendars[key[:2]], first, last)
        span = (f"{one.first:%Y-%m-%d}", f"{one.last:%Y-%m-%d}")
        rows.append((*key, one.sector, f"{one.rows}", *span, f"{one.gaps}", f"{one.missing}", shades))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    right = {4, 7, 8}
    lines = [
        "  ".join(
            cell.rjust(w) if at in right else cell.ljust(w)
            for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    total = sum(one.rows for one in series)
    head = (
        f"{dataset.uri}\n{total:,} rows, {len(series)} series, {len(dataset.entries)} files\nroot {dataset.known_root}"
    )
    known = dataset.manifest
    if known:
        if dataset.until is not None:
            head += f"\nseen in version {known.root}"
        head += f"\nparent {known.parent}\nwritten {known.created} from {known.source or 'an unnamed source'}"
        head += "".join(f"\nheld out: {pattern} from {moment}" for pattern, moment in known.cuts.items())
    return "\n".join([head, "", *(line.rstrip() for line in lines)])
