"""`ltminer`: evolves pipelines on standard series and leaves the best one as a module."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.command import LongtailGroup
from infra.home import find_home
from protocol.errors import EXIT_OK

if TYPE_CHECKING:
    from infra.settings import Settings
    from miner.plan import Plan
    from miner.view import View
    from protocol.topics import Topic

FOLDER = click.Path(path_type=Path, file_okay=False)
MODULE = click.Path(path_type=Path, dir_okay=False)
#: Commands that are imported when they run.
LAZY = {
    "claim": ("infra.rewards_cli:miner_claim", "Claim what this key has earned."),
    "cluster": ("miner.cluster_cli:cluster", "List and end EC2 clusters."),
    "key": ("infra.key_cli:key", "Make, show and list keys."),
    "record": ("miner.submit_cli:record", "Show the public model record and what a newcomer must beat."),
    "redeem": ("infra.rewards_cli:miner_redeem", "Give up LTFT for a share of the fund's treasury."),
    "rewards": ("infra.rewards_cli:miner_rewards", "Tell what this key has earned and why."),
    "status": ("miner.submit_cli:status", "Tell where submissions stand and why."),
    "submit": ("miner.submit_cli:submit", "Submit a module to the ledger."),
}
SUBMIT = click.option(
    "--submit", is_flag=True, help="Submit the winner, and let this home's own validator judge it if there is one."
)


BUDGET = click.option(
    "--budget", type=click.FloatRange(min=0, min_open=True), help="Most an EC2 cluster may cost in this run, dollars."
)
MAX_PRICE = click.option(
    "--max-price", type=click.FloatRange(min=0), help="Most an EC2 instance may cost per hour, dollars."
)


@click.group(cls=LongtailGroup, invoke_without_command=True, lazy=LAZY)
@click.option(
    "--cluster",
    is_flag=False,
    flag_value="default",
    metavar="[KIND|ADDRESS]",
    help="Where to evaluate: alone, a local Dask cluster (or the one of the settings); ec2, instances of its own; "
    "tcp://HOST:PORT or tls://HOST:PORT, an existing scheduler. Without it: a pool in this process.",
)
@click.option(
    "--data",
    metavar="URI",
    help="Dataset: `sample`, a folder, a Parquet file or s3://bucket/path; ?until=DATE behind it: as known then.",
)
@click.option("--topic", metavar="NAME|FILE", help="What to predict; see `ltminer topics`.")
@click.option("--space", metavar="NAME", help="Search space: linear-light, linear, ridge or trees.")
@click.option("--evaluations", type=click.IntRange(min=1), help="Candidates to try.")
@click.option(
    "--time-budget", metavar="DURATION", help="Stop asking for candidates after 90s, 4m, 2h, 1d; none for no limit."
)
@click.option("--population", type=click.IntRange(min=4), help="Individuals that breed.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same front.")
@click.option("--workers", type=click.IntRange(min=1), help="Evaluations at once on a local pool or cluster.")
@click.option(
    "--window", type=click.IntRange(min=1), help="Candidates in flight at most; part of what makes a run repeatable."
)
@click.option(
    "--start-from", type=MODULE, multiple=True, metavar="FILE.py", help="Known pipeline for the first population."
)
@click.option(
    "--record/--no-record", default=True, show_default=True, help="Start from the public record's pipelines as well."
)
@click.option("--prune/--no-prune", default=True, show_default=True, help="Stop hopeless candidates early.")
@click.option("--prefix-cache/--no-prefix-cache", default=True, show_default=True, help="Share fitted prefixes.")
@BUDGET
@MAX_PRICE
@click.option("--out", type=FOLDER, help="Folder for journal, module, pictures and report.")
@SUBMIT
@click.option("--dry-run", is_flag=True, help="Show the plan and leave.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")
@click.pass_context
def main(context: click.Context, /, as_json: bool, submit: bool, **given: Any) -> None:
    """Mine: evolve prediction pipelines over a pool or a Dask cluster and keep the best as a Python module.

    Without a command it starts a run. Everything a run does is journaled: Ctrl-C stops it, `ltminer resume` continues it.
    """
    _quiet_libraries()
    if context.invoked_subcommand is not None:
        return
    from infra.settings import load_settings
    from miner.preparation import Options, prepare_run
    from miner.run import mine
    from miner.view import open_view

    names = ("data", "topic", "space", "evaluations", "time_budget", "population", "workers", "budget", "max_price")
    settings = load_settings(**{name: given[name] for name in names})
    options = Options(**{name: value for name, value in given.items() if name not in names})
    view = open_view(as_json)
    try:
        view.note("reading the data")
        plan = prepare_run(settings, options)
        if submit:
            plan = replace(plan, resume=f"{plan.resume} --submit")
        view.plan(plan)
        if not options.dry_run:
            context.exit(
                _run(partial(mine, plan, settings, view), plan, settings, view, submit=submit, ask=not as_json)
            )
    finally:
        view.close()


def _run(search: Callable[[], int], plan: Plan, settings: Settings, view: View, *, submit: bool, ask: bool) -> int:
    """Return the exit code of a run, whose winner is submitted if that was asked for."""
    if not submit:
        return search()
    from miner.handing_in import submit_run
    from miner.submitting import Sender, refuse_unnamed

    refuse_unnamed(plan.config.topic)
    with Sender.of(settings, ask=ask) as sender:  # before the work: something may be missing
        code = search()
        if code == EXIT_OK:
            submit_run(sender, plan, view)
    return code


def _quiet_libraries() -> None:
    """Keep what matplotlib caches inside the home, and joblib from probing shared memory that nothing here uses."""
    os.environ.setdefault("MPLCONFIGDIR", str(find_home().cache / "matplotlib"))
    os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")


@main.command()
@click.argument("run")
@click.option("--cluster", is_flag=False, flag_value="default", metavar="[KIND|ADDRESS]", help="As for a new run.")
@click.option("--workers", type=click.IntRange(min=1), help="Evaluations at once on a local pool or cluster.")
@click.option("--time-budget", metavar="DURATION", help="For this session.")
@BUDGET
@MAX_PRICE
@click.option("--data", metavar="URI", help="Where its dataset is now; default: where it was.")
@SUBMIT
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")
@click.pass_context
def resume(
    context: click.Context,
    /,
    run: str,
    *,
    cluster: str | None,
    data: str | None,
    submit: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Continue RUN as if it had never stopped: a name of `ltminer runs`, a folder, or a copy s3://BUCKET/PATH/runs/RUN."""
    from contextlib import closing

    from data.sample import dataset_uri
    from infra.cluster import parse_cluster
    from infra.settings import load_settings
    from miner.journal import Journal
    from miner.plan import parse_duration
    from miner.preparation import plan_of
    from miner.run import continue_run
    from miner.snapshots import locate_run
    from miner.view import open_view

    folder, settings = locate_run(run, load_settings(**given))
    view = open_view(as_json)
    try:
        with closing(Journal.open(folder)) as journal:
            kind = parse_cluster(cluster, settings)
            config = replace(journal.config, data_uri=dataset_uri(data)) if data else journal.config
            plan = plan_of(config, kind, settings, parse_duration(settings.time_budget), folder)
            if data:
                plan = replace(plan, resume=f"{plan.resume} --data {shlex.quote(data)}")
            if submit:
                plan = replace(plan, resume=f"{plan.resume} --submit")
            view.plan(plan)
            search = partial(continue_run, plan, journal, settings, view)
            context.exit(_run(search, plan, settings, view, submit=submit, ask=not as_json))
    finally:
        view.close()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def runs(as_json: bool) -> None:
    """List the runs of this home, oldest first."""
    from miner.runs import list_runs

    found = list_runs()
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    if not found:
        click.echo("no runs yet; start one with `ltminer`", err=True)
    for run in found:
        if "error" in run:
            click.echo(f"{run['run']}  {run['error']}")
            continue
        best = "nothing scored" if run["best"] is None else f"best {run['best']:+.4f}"
        done = f"{run['evaluated']}/{run['evaluations']}"
        click.echo(f"{run['run']}  {run['topic']}  {run['space']}  seed {run['seed']}  {done}  {best}  {run['folder']}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def topics(as_json: bool) -> None:
    """List the topics that can be mined: built in, and the files in the home's topics folder."""
    from protocol.topics import builtin_topics, load_topic

    found = dict(builtin_topics())
    for file in sorted(find_home().topics.glob("*.toml")):
        topic = load_topic(file)
        found[topic.name] = topic
    if as_json:
        click.echo(json.dumps([topic.to_dict() for topic in found.values()], indent=1))
        return
    for topic in found.values():
        click.echo(
            f"{topic.name}  {topic.type}  {topic.broker}  {topic.horizon} bars  {topic.title}{_strictness(topic)}"
        )


def _strictness(topic: Topic) -> str:
    """Return how strict a topic's screen is, nothing for the usual one."""
    from protocol.spending import ALPHA

    return "" if topic.screen == ALPHA else f"  (screen {topic.screen:g})"


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(as_json: bool) -> None:
    """Check the set-up. Reads only: installs nothing, creates nothing."""
    from infra.finding import show
    from miner.doctor import examine

    sys.exit(show(examine(), as_json=as_json))


if __name__ == "__main__":
    main()
