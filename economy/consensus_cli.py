"""The commands `lteconomy consensus fig2`, `fig3`, `fig4` and `attacks`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.command import LongtailGroup
from protocol.consensus.allora.variant import VARIANTS
from protocol.errors import UsageError

if TYPE_CHECKING:
    from economy.experiments.experiment import Experiment, Progress

FOLDER = click.Path(path_type=Path, file_okay=False)
OUT = click.option(
    "--out", type=FOLDER, help="Folder for picture and numbers; default: experiments/ in the home's state."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
SEEDS = click.option(
    "--seeds",
    type=click.IntRange(1, 10_000),
    default=30,
    show_default=True,
    help="Mock networks to draw, of seeds 1 to this.",
)
EPOCHS = click.option(
    "--epochs", type=click.IntRange(4, 100_000), default=400, show_default=True, help="Epochs of each network."
)
VARIANT = click.option(
    "--variant",
    type=click.Choice(list(VARIANTS)),
    default="simulator",
    show_default=True,
    help="Whose version of the equations; see docs/spec/consensus.md.",
)


@click.group(cls=LongtailGroup)
def consensus() -> None:
    """Repeat the white paper's numerical experiments, and try what attackers gain.

    Every number comes from the protocol's own functions and is the same for the same options. A picture (PNG) and the
    numbers behind it (JSON) are left in a folder; a short table is printed.
    """


@consensus.command()
@SEEDS
@EPOCHS
@VARIANT
@OUT
@AS_JSON
def fig2(seeds: int, epochs: int, variant: str, out: Path | None, as_json: bool) -> None:
    """What context awareness does for the loss, and by how much."""
    from economy.experiments.fig2 import run

    folder = _folder(out)
    with _progress("fig2") as progress:
        experiment = run(seeds, epochs, VARIANTS[variant], progress)
    _leave(experiment, folder, as_json=as_json)


@consensus.command()
@SEEDS
@EPOCHS
@VARIANT
@OUT
@AS_JSON
def fig3(seeds: int, epochs: int, variant: str, out: Path | None, as_json: bool) -> None:
    """Rewards of tasks and participants over time."""
    from economy.experiments.fig3 import run

    folder = _folder(out)
    with _progress("fig3") as progress:
        experiment = run(seeds, epochs, VARIANTS[variant], progress)
    _leave(experiment, folder, as_json=as_json)


@consensus.command()
@click.option("--months", type=click.IntRange(12, 1200), default=96, show_default=True, help="Months after launch.")
@OUT
@AS_JSON
def fig4(months: int, out: Path | None, as_json: bool) -> None:
    """Yield of stakers around a token unlock.

    Without smoothing of the emission, with it, and with fees as well; nothing in it is random.
    """
    from economy.experiments.fig4 import run

    folder = _folder(out)
    _leave(run(months), folder, as_json=as_json)


@consensus.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--seeds",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="Simulations of each, of seeds 1 to this.",
)
@OUT
@AS_JSON
def attacks(names: tuple[str, ...], seeds: int, out: Path | None, as_json: bool) -> None:
    """What attackers gain with each defence on and off.

    Tries the attacks NAME, or all of them.
    """
    from dataclasses import asdict

    from economy.experiments.attacks import ATTACKS, as_text, run, table
    from economy.experiments.experiment import Experiment

    unknown = [name for name in names if name not in ATTACKS]
    if unknown:
        raise UsageError(f"no attack {unknown[0]!r}; choose from {', '.join(ATTACKS)}")
    folder = _folder(out)
    with _progress("attacks") as progress:
        rows = [row for name in names for row in run(name, seeds)] if names else table(seeds, progress)
    numbers = {"experiment": "attacks", "seeds": seeds, "rows": [_plain(asdict(row)) for row in rows]}
    _leave(Experiment("attacks", numbers, as_text(rows)), folder, as_json=as_json)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return JSON values: None for a number that is not finite."""
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in row.items()}


def _folder(out: Path | None) -> Path:
    """Return the folder for results, made and found writable before any work."""
    from infra.home import find_home, make_folder

    return make_folder((out or find_home().state / "experiments").absolute())


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """Yield whom to tell of progress: one line that is rewritten on a terminal, elsewhere a line now and then."""
    from infra.logs import sparing

    if not sys.stderr.isatty():
        yield sparing(lambda text: click.echo(f"{name}: {text}", err=True))
        return
    from rich.console import Console

    with Console(stderr=True).status(name) as status:
        yield lambda text: status.update(f"{name}: {text}")


def _leave(experiment: Experiment, folder: Path, *, as_json: bool) -> None:
    """Write picture and numbers, and print the numbers or the table."""
    from infra.files import atomic_write

    files = {"numbers": folder / f"{experiment.name}.json"}
    if experiment.picture is not None:
        files["picture"] = folder / f"{experiment.name}.png"
        atomic_write(files["picture"], experiment.picture)
    numbers: dict[str, Any] = {**experiment.numbers, "files": {kind: str(path) for kind, path in files.items()}}
    document = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    atomic_write(files["numbers"], document.encode())
    if as_json:
        click.echo(document)
        return
    click.echo(experiment.table)
    for path in files.values():
        click.echo(path)
