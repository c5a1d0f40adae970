"""From options to a plan: reads the data, checks what was asked for, and fixes the configuration of a run."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from data.checks import check
from data.dataset import Dataset
from data.panel import Panel, load_panel, panel_key
from data.rules import RULES
from data.sample import sample_uri
from data.splits import thin, walk_forward
from infra.cluster import parse_cluster
from infra.home import find_home, make_folder
from infra.settings import Settings
from miner.config import MAX_TRAIN_ROWS, RunConfig, default_cap, default_window
from miner.journal import refuse_present
from miner.plan import Plan, parse_duration
from miner.runs import new_run_name
from miner.warm_start import known_pipelines
from pipelines.spaces import SPACES
from protocol.errors import ConfigError, DataError, UsageError
from protocol.topics import Topic, builtin_topics, load_topic

CACHE_BYTES = 200_000_000


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


def find_topic(name: str) -> Topic:
    """Return a topic by file, by name among the user's topics, or by name among the built-in ones.

    Raises
    ------
    ConfigError
        There is none, or its file is wrong.
    """
    if name.endswith(".toml") or "/" in name:
        return load_topic(Path(name))
    own = find_home().topics / f"{name}.toml"
    if own.is_file():
        return load_topic(own)
    known = builtin_topics()
    if name not in known:
        raise ConfigError(f"no topic {name!r}; `ltminer topics` lists them, or give a TOML file: --topic my-topic.toml")
    return known[name]


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
    root = Dataset.open(uri).root
    if root is None:
        raise DataError(f"dataset {uri} is empty; bring data with `ltdata import` or `ltdata fetch`")
    folder = options.out.absolute() if options.out else find_home().runs / new_run_name()
    refuse_present(folder)
    panel = _checked_panel(uri, root, topic)
    config = RunConfig(
        topic=topic,
        data_uri=uri,
        data_root=root,
        space=settings.space,
        seed=options.seed,
        evaluations=settings.evaluations,
        population=settings.population,
        window=options.window or default_window(settings.workers),
        prune=options.prune,
        prefix_cache=options.prefix_cache and settings.cache_limit_mb > 0,
        memory_mb=settings.memory_limit_mb,
        cache_mb=settings.cache_limit_mb,
        cap_start_s=default_cap(min(len(panel.time), MAX_TRAIN_ROWS), len(panel.feature_names)),
    )
    plan = plan_of(config, kind, settings, time_budget_s, folder)
    known = known_pipelines(
        options.start_from,
        topic,
        record=options.record,
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
    """
    panel = load_panel(config.data_uri, config.data_root, config.topic, cache=panels_folder())
    split = walk_forward(panel.time, horizon=config.topic.horizon, n_folds=config.folds, holdout=config.holdout)
    name = folder.name if folder.parent == find_home().runs else str(folder)
    resume = f"{command_name()} resume {shlex.quote(name)}" + (f" --cluster {kind}" if kind != "pool" else "")
    return Plan(config, panel, split, kind, settings.workers, time_budget_s, folder, resume)


def _checked_panel(uri: str, root: str, topic: Topic) -> Panel:
    """Return the panel; what `ltdata check` refuses is refused before it is first made (appended versions are checked)."""
    folder, dataset = panels_folder(), Dataset.open(uri)
    if dataset.is_bare and not (folder / panel_key(root, topic)).is_dir():
        errors = check(uri, now=time.time_ns() // 1000).errors
        if errors:
            found = ", ".join(f"{error.code} {RULES[error.code]} ({error.count})" for error in errors[:3])
            raise DataError(f"dataset {uri} breaks the format: {found}; `ltdata check {uri}` shows where")
    return load_panel(uri, root, topic, cache=folder)


def smallest_fit(plan: Plan) -> int:
    """Return the rows of the smallest training part."""
    return min(len(thin(plan.panel.time, fold.train, plan.config.max_train_rows)) for fold in plan.split.folds)


def panels_folder() -> Path:
    """Return the panel cache that this process and the local pool share."""
    return make_folder(find_home().cache / "evaluations" / "panels", free_bytes=CACHE_BYTES)


def dataset_uri(name: str) -> str:
    """Return where a dataset is: `sample`, a path made absolute, or an URI as it is."""
    if name == "sample":
        return str(sample_uri())
    return name if "://" in name else str(Path(name).expanduser().absolute())
