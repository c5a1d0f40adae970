"""From options to artefacts: prepares a run, drives the search, writes what it leaves behind."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.sample import sample_uri

from data.dataset import Dataset
from data.panel import load_panel
from data.splits import thin, walk_forward
from infra.cluster import open_executor, parse_cluster
from infra.executor import Executor
from infra.home import find_home, make_folder
from infra.settings import Settings
from miner.config import RunConfig, default_window
from miner.engine import SearchResult, run_search
from miner.journal import Journal
from miner.outcome import MACHINE_DEPENDENT
from miner.plan import Plan, library_versions, parse_duration
from miner.report import Report, describe, final_report
from miner.search import Search
from miner.view import View
from pipelines.module import to_module
from pipelines.parser import block_hash, parse_module
from pipelines.spaces import SPACES, search_space
from pipelines.spec import canonical_text, from_canonical
from protocol.errors import EXIT_INTERRUPTED, BudgetReachedError, ConfigError, DataError, UsageError
from protocol.topics import Topic, builtin_topics, load_topic

PROGRAM = "miner.program"
RUN_BYTES = 50_000_000  # a journal of thousands of candidates, pictures, module
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
        start_from=known_pipelines(topic, options),
    )
    folder = options.out.absolute() if options.out else find_home().runs / _run_name()
    return plan_of(config, kind, settings, time_budget_s, folder)


def plan_of(config: RunConfig, kind: str, settings: Settings, time_budget_s: float | None, folder: Path) -> Plan:
    """Return the plan of a configuration: opens the panel and makes the folds.

    Raises
    ------
    DataError
        The dataset is not what the configuration names, or too small for the folds.
    """
    panel = load_panel(config.data_uri, config.data_root, config.topic, cache=panels_folder())
    split = walk_forward(panel.time, horizon=config.topic.horizon, n_folds=config.folds, holdout=config.holdout)
    home = find_home()
    name = folder.name if folder.parent == home.runs else str(folder)
    return Plan(config, panel, split, kind, settings.workers, time_budget_s, folder, f"ltminer resume {name}")


def panels_folder() -> Path:
    """Return the panel cache that this process and the local pool share."""
    return make_folder(find_home().cache / "evaluations" / "panels", free_bytes=CACHE_BYTES)


def known_pipelines(topic: Topic, options: Options) -> tuple[str, ...]:
    """Return the canonical texts of the modules that open the first population: named ones, then the record's.

    Raises
    ------
    RefusedError
        A module is outside the subset.
    ConfigError
        A file cannot be read.
    """
    files = list(options.start_from)
    if options.record:
        files += sorted((find_home().record / topic.name).glob("*.py"))
    texts = []
    for file in files:
        try:
            source = file.read_bytes()
        except OSError as error:
            raise ConfigError(f"module {file} cannot be read: {error.strerror}; check --start-from") from error
        texts.append(canonical_text(parse_module(source, str(file))))
    return tuple(dict.fromkeys(texts))


def mine(plan: Plan, settings: Settings, view: View) -> int:
    """Run a new plan to its end and return the exit code.

    Raises
    ------
    LongtailError
        See :func:`continue_run`.
    """
    make_folder(plan.folder, free_bytes=RUN_BYTES)
    journal = Journal.create(plan.folder, plan.config, library_versions())
    _link(plan.folder)
    return continue_run(plan, journal, settings, view)


def continue_run(plan: Plan, journal: Journal, settings: Settings, view: View) -> int:
    """Drive the search of an open journal to its end, then score the winner and write the artefacts.

    Returns
    -------
    int
        Exit code: 0, or 130 when interrupted (the journal is whole, the front shown).

    Raises
    ------
    BudgetReachedError
        Nothing ended well within the budget.
    ClusterError, DataError, ConfigError
        The cluster, the data on the workers, or the journal fails. The journal is whole.
    """
    view.note("loading TPOT's search space")
    smallest = min(len(thin(plan.panel.time, fold.train, plan.config.max_train_rows)) for fold in plan.split.folds)
    space = search_space(plan.config.space, n_features=len(plan.panel.feature_names), n_samples=smallest)
    search = Search(plan.config, space, len(plan.panel.feature_names), smallest)
    cache = make_folder(find_home().cache / "evaluations", free_bytes=CACHE_BYTES)
    with journal.locked(), _interruptible() as interrupted:
        journal.start_session(datetime.now(UTC).isoformat(timespec="seconds"), plan.cluster)
        view.note("starting the cluster")
        with open_executor(plan.cluster, PROGRAM, cache, settings, plan.folder / "evaluations.log") as executor:
            view.note(f"searching on {executor.description}")
            result = run_search(
                search,
                journal,
                executor,
                interrupted=lambda: bool(interrupted),
                watch=view.progress,
                time_budget_s=plan.time_budget_s,
            )
            return _finish(plan, result, executor, view)


def _finish(plan: Plan, result: SearchResult, executor: Executor, view: View) -> int:
    ends: dict[str, Any] = {
        "ended": _ended(result, plan),
        "reason": result.reason,
        "evaluated": len(result.outcomes),
        "machine_dependent": [k for k, outcome in result.outcomes.items() if outcome.status in MACHINE_DEPENDENT],
        "pruning": _pruning_words(result),
        "front": [
            {
                "k": member.outcome.k,
                "score": member.outcome.score,
                "complexity": member.candidate.complexity,
                "pipeline": describe(from_canonical(member.candidate.text)),
                "text": member.candidate.text,
            }
            for member in result.front
        ],
    }
    if result.reason == "interrupted":
        view.result({**ends, "next": plan.resume}, None)
        return EXIT_INTERRUPTED
    if not result.front:
        reasons = sorted({f"{outcome.status} ({outcome.reason})" for outcome in result.outcomes.values()})
        raise BudgetReachedError(
            f"none of {len(result.outcomes)} candidates was scored in full: {'; '.join(reasons[:3]) or 'no time'}; "
            f"give more: {plan.resume} --time-budget 10m"
        )
    view.note("scoring the winner and the baselines on the untouched last slice")
    report = final_report(result, plan.config, plan.panel, executor)
    ends.update(write_artefacts(plan, result, report))
    _write_text(plan.folder / "report.json", json.dumps({**ends, **report.to_dict()}, indent=1) + "\n")
    more = plan.resume if result.reason == "time" else ""
    view.result({**ends, "verdict": report.verdict, "next": more}, report)
    return 0


def _ended(result: SearchResult, plan: Plan) -> str:
    words = {
        "done": "all candidates tried",
        "exhausted": "the space has no further valid pipeline",
        "time": "time budget reached",
        "interrupted": "interrupted; everything so far is in the journal",
    }
    return f"{words[result.reason]}: {len(result.outcomes)} of {plan.config.evaluations} in {result.elapsed_s:.0f} s"


def _pruning_words(result: SearchResult) -> str:
    count = result.pruning
    if not count.pruned and not count.sampled:
        return ""
    sample = (
        f"; of {count.sampled} such candidates evaluated in full as a sample, {count.false_kills} would have stayed"
    )
    return f"{count.pruned} stopped early" + (sample if count.sampled else "; none in the control sample yet")


def write_artefacts(plan: Plan, result: SearchResult, report: Report) -> dict[str, Any]:
    """Write the module and the pictures, and return where they are.

    Returns
    -------
    dict
        ``module``, ``block_hash``, ``pipeline`` and ``pictures``.
    """
    from miner.plots import draw_equity, draw_search

    spec = from_canonical(report.member.candidate.text)
    winner = report.winner
    facts = {
        "topic": f"{plan.config.topic.name} ({plan.config.topic.type}, {plan.config.topic.horizon} bars ahead)",
        "features": f"{plan.config.topic.features}: {', '.join(plan.panel.feature_names)}",
        "data root": plan.config.data_root,
        "walk-forward score": f"{winner.walk_forward:.9f} (folds: {', '.join(f'{score:.4f}' for score in winner.folds)})",
        "held-out score": f"{winner.held_out:.6f} +- {winner.held_out_se:.6f}",
        "search": f"{plan.config.space}, seed {plan.config.seed}, candidate {report.member.outcome.k} of {report.candidates}",
        "versions": ", ".join(f"{name} {number}" for name, number in library_versions().items()),
    }
    source = to_module(spec, title=plan.config.topic.title or plan.config.topic.name, facts=facts)
    module = plan.folder / "pipeline.py"
    _write_text(module, source)
    equity, course = plan.folder / "equity.png", plan.folder / "search.png"
    draw_equity(report, equity)
    draw_search(result.outcomes, course)
    return {
        "pipeline": describe(spec),
        "module": str(module),
        "block_hash": block_hash(module.read_bytes()),
        "pictures": [str(equity), str(course)],
    }


def find_run(name: str) -> Path:
    """Return the folder of a run by its name in the home or by its path.

    Raises
    ------
    ConfigError
        There is no such run.
    """
    for folder in (find_home().runs / name, Path(name).absolute()):
        if (folder / "journal.sqlite").is_file():
            return folder
    raise ConfigError(f"no run {name!r}; `ltminer runs` lists them, or give the folder of one")


def list_runs() -> list[dict[str, Any]]:
    """Return a summary of every run of the home, oldest first; unreadable journals say why."""
    found: list[dict[str, Any]] = []
    folders: Sequence[Path] = sorted(find_home().runs.glob("*")) if find_home().runs.is_dir() else []
    for folder in folders:
        try:
            journal = Journal.open(folder)
            found.append({"run": folder.name, "folder": str(folder.resolve()), **journal.summary()})
            journal.close()
        except ConfigError as error:
            found.append({"run": folder.name, "folder": str(folder.resolve()), "error": str(error)})
    return found


def _run_name() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def dataset_uri(name: str) -> str:
    """Return where a dataset is: `sample`, a path made absolute, or an URI as it is."""
    if name == "sample":
        return str(sample_uri())
    return name if "://" in name else str(Path(name).expanduser().absolute())


def _link(folder: Path) -> None:
    """Let `ltminer runs` find a run whose folder the user chose."""
    runs = find_home().runs
    if folder.parent != runs:
        (make_folder(runs) / _run_name()).symlink_to(folder, target_is_directory=True)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Turn the first Ctrl-C or TERM into a wish to stop; the second one stops at once."""
    wishes: list[int] = []

    def wish(number: int, _frame: object) -> None:
        if wishes:
            raise KeyboardInterrupt
        wishes.append(number)

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wishes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
