"""From options to a plan: reads the data, checks what was asked for, and fixes the configuration of a run."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from data.checked import checked_panel
from data.dataset import Dataset
from data.panel import load_panel
from data.panel_store import panels_folder
from data.sample import dataset_uri
from data.splits import MAX_TRAIN_ROWS, thin, walk_forward
from infra.cluster import parse_cluster
from infra.home import find_home
from infra.settings import Settings
from infra.topics import find_topic
from miner.config import RunConfig, default_cap, default_window
from miner.journal import refuse_present
from miner.plan import Plan, parse_duration
from miner.record import recorded_modules
from miner.runs import new_run_name
from miner.warm_start import known_pipelines
from pipelines.spaces import SPACES
from protocol.errors import UsageError


@dataclass(frozen=True, slots=True)
class Options:
    """What a command line adds to the settings."""

    seed: int = 1
    window: int | None = None
    start_from: tuple[Path, ...] = ()
    record: bool = True
    prune: bool = True
    prefix_cache: bool = True
    out: Path | None = None
    cluster: str | None = None
    dry_run: bool = False


def prepare_run(settings: Settings, options: Options) -> Plan:
    """Read the data, fix the configuration, and return the plan; writes nothing but caches.

    Raises
    ------
    LongtailError
        Data, topic, space, folder or a module to start from cannot be used.
    """
    kind = parse_cluster(options.cluster, settings)
    time_budget_s = parse_duration(settings.time_budget)
    if settings.space not in SPACES:
        raise UsageError(f"no search space {settings.space!r}; known: {', '.join(SPACES)}")
    topic = find_topic(settings.topic)
    uri = dataset_uri(settings.data)
    dataset = Dataset.open(uri)
    root = dataset.known_root
    folder = options.out.absolute() if options.out else find_home().runs / new_run_name()
    refuse_present(folder)
    panel = checked_panel(dataset, topic, panels_folder())
    config = RunConfig(
        topic=topic,
        data_uri=uri,
        data_root=root,
        space=settings.space,
        seed=options.seed,
        evaluations=settings.evaluations,
        population=settings.population,
        window=options.window or default_window(settings.workers, settings.evaluations),
        prune=options.prune,
        prefix_cache=options.prefix_cache and settings.cache_limit_mb > 0,
        memory_mb=settings.memory_limit_mb,
        cache_mb=settings.cache_limit_mb,
        cap_start_s=default_cap(min(len(panel.time), MAX_TRAIN_ROWS), len(panel.feature_names)),
    )
    plan = plan_of(config, kind, settings, time_budget_s, folder)
    known = known_pipelines(
        options.start_from,
        recorded_modules(settings, topic.name) if options.record else {},
        n_features=len(panel.feature_names),
        n_samples=smallest_fit(plan),
    )
    config = dataclasses.replace(config, start_from=known)
    return dataclasses.replace(plan, config=config, adapt_window=options.window is None)


def command_name() -> str:
    """Return how the user can call this program again: by name where it is on the PATH, else by the path it was called by."""
    if shutil.which("ltminer"):
        return "ltminer"
    called = Path(sys.argv[0])
    return shlex.quote(str(called)) if called.name == "ltminer" else "ltminer"


def plan_of(config: RunConfig, kind: str, settings: Settings, time_budget_s: float | None, folder: Path) -> Plan:
    """Return the plan of a configuration: opens the panel and makes the folds.

    Raises
    ------
    DataError
        The dataset is not what the configuration names, or too small for the folds.
    ConfigError, ClusterError
        Settings or credentials for EC2 do not do, or AWS does not tell its prices.
    """
    panel = load_panel(config.data_uri, config.data_root, config.topic, cache=panels_folder())
    split = walk_forward(panel.time, horizon=config.topic.horizon, n_folds=config.folds, holdout=config.holdout)
    name = folder.name if folder.parent == find_home().runs else str(folder)
    resume = f"{command_name()} resume {shlex.quote(name)}" + (f" --cluster {kind}" if kind != "pool" else "")
    offer = None
    if kind == "ec2":
        from infra.ec2.offer import ask_offer  # an extra

        offer = ask_offer(settings, time_budget_s)
    return Plan(config, panel, split, kind, settings.workers, time_budget_s, folder, resume, offer=offer)


def smallest_fit(plan: Plan) -> int:
    """Return the rows of the smallest training part."""
    return min(len(thin(plan.panel.time, fold.train, plan.config.max_train_rows)) for fold in plan.split.folds)
