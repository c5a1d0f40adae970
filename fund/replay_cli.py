"""The command `ltfund replay`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import ConfigError, RefusedError, UsageError

if TYPE_CHECKING:
    from validator.record import Known

MODULE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)
DAY = click.DateTime(["%Y-%m-%d"])
DAY_US = 86_400_000_000
#: Whole units of either side of the pool, as in a charter.
MAX_RESERVE = 10**15


@click.command()
@click.argument("modules", metavar="FILE...", type=MODULE, nargs=-1, required=True)
@click.option("--topic", metavar="NAME|FILE", help="What they predict; see `ltminer topics`.")
@click.option(
    "--data",
    metavar="URI",
    help="Dataset: `sample`, a folder, a Parquet file or s3://bucket/path; ?until=DATE behind it: as known then.",
)
@click.option("--root", metavar="HEX", help="Content root the dataset must have; default: its newest version.")
@click.option("--from", "start", type=DAY, help="First day (UTC) that is traded; default: five years before the end.")
@click.option("--to", "end", type=DAY, help="First day that is not; default: the end of the data.")
@click.option("--refit", type=click.IntRange(1, 366), default=30, show_default=True, help="Days between fits.")
@click.option("--hold", type=click.IntRange(1), help="Bars between decisions; default: the topic's horizon.")
@click.option("--money", type=click.IntRange(1), default=1_000_000, show_default=True, help="What the owners put in.")
@click.option(
    "--pool",
    metavar="LTFT,QUOTE",
    default="1000000,1000000",
    show_default=True,
    help="What the pool opens with in which gains buy LTFT; whole units.",
)
@click.option("--out", type=FOLDER, help="Folder for pictures, numbers and journal; default: in the home.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def replay(
    modules: tuple[Path, ...],
    *,
    root: str | None,
    start: datetime | None,
    end: datetime | None,
    refit: int,
    hold: int | None,
    money: int,
    pool: str,
    out: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Let the modules FILE infer together and the fund trade on it, bar by bar over the past.

    All modules speak from the first bar on, fitted on what was known then: mine them on earlier data, or the past is
    known to whoever chose them; the report warns where the runs they lie in do not say so. The fund's gains buy LTFT, and
    what is emitted and bought pays the modules. What comes out is told as it is.
    """
    from data.dataset import Dataset
    from data.panel import panel_key
    from data.panel_store import panels_folder
    from data.sample import dataset_uri
    from fund.models import Model, Questions
    from fund.origins import called, origin_of
    from fund.progress import progress
    from fund.quotes import Quotes
    from fund.replay import Setting
    from fund.replay import replay as played
    from fund.replay_report import leave
    from fund.replay_token import Tokens
    from fund.rows import rows_of
    from fund.units import WEI
    from infra.home import find_home, make_folder
    from infra.settings import load_settings
    from infra.topics import find_topic
    from validator.evaluation import Replays, limits_of, replays_folder
    from validator.sandbox.host import Sandbox

    settings = load_settings(**given)
    topic = find_topic(settings.topic)
    reserves = _reserves(pool)
    known = _known(modules)
    models = [Model(one.block_hash, one.contender.text, one.contender.seed) for one in known]
    found = zip(modules, called(modules), known, strict=True)
    origins = {one.block_hash: origin_of(path, name, one.spec) for path, name, one in found}
    folder = make_folder((out or find_home().state / "replays" / topic.name).absolute())
    dataset = Dataset.open(dataset_uri(settings.data), root)
    rows = rows_of(dataset, topic, panels_folder())
    quotes = Quotes.of(dataset.read(type=topic.type, broker=topic.broker, sectors=topic.sectors, symbols=topic.symbols))
    setting = Setting(
        *_span(int(quotes.grid[-1]) + quotes.interval, start, end), money=money * WEI, hold=hold or topic.horizon
    )
    with Sandbox() as sandbox, progress("replay") as say:
        questions = Questions(
            rows,
            panel_key(dataset.known_root, topic),
            Replays(sandbox, limits_of(settings), replays_folder()),
            refit_us=refit * DAY_US,
        )
        tokens = Tokens.of(topic.name, {block: one.name for block, one in origins.items()}, reserves)
        for course in played(quotes, questions, lambda _: models, setting):
            tokens.follow(course)
            day = datetime.fromtimestamp(course.book.time / 1e6, UTC).date()
            say(f"{day}: {course.book.per_share() / WEI:.4f} per share, {len(course.settlements)} bars settled")
    text, numbers = leave(course, tokens, origins, topic=topic, setting=setting, data=settings.data, folder=folder)
    click.echo(json.dumps(numbers, indent=1, allow_nan=False) if as_json else text)


def _known(paths: tuple[Path, ...]) -> list[Known]:
    """Return the modules; one given twice is refused."""
    from validator.record import Known
    from validator.submitted import read_module

    found: dict[str, Known] = {}
    for path in paths:
        try:
            known = Known(read_module(path))
        except RefusedError as error:
            raise RefusedError(f"{path}: {error}") from error
        if known.block_hash in found:
            raise UsageError(f"module {path} is given twice (block {known.block_hash[:12]}); name each once")
        found[known.block_hash] = known
    return list(found.values())


def _reserves(text: str) -> tuple[int, int]:
    """Return wei of LTFT and of quote."""
    from fund.units import WEI

    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() and 0 < int(part) <= MAX_RESERVE for part in parts):
        raise UsageError(
            f"--pool {text!r:.60} is not LTFT,QUOTE, two whole numbers up to 10**15; write 1000000,1000000"
        )
    return int(parts[0]) * WEI, int(parts[1]) * WEI


def _span(last: int, start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """Return first and one past the last moment, microseconds since 1970 UTC."""
    stop = min(last, _micros(end)) if end else last
    first = _micros(start) if start else stop - 5 * 365 * DAY_US
    if first >= stop:
        raise ConfigError(f"a replay from {start} to {end}, of data that end at {last}, has no day; choose other days")
    return first, stop


def _micros(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp()) * 1_000_000
