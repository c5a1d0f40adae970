"""`ltminer doctor`: is this machine ready to mine? Reads only; never installs, never creates a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, version
from pathlib import Path

import psutil

from infra.finding import Finding, State, examined, python, settings
from infra.home import find_home
from infra.settings import load_settings

NEEDED_BYTES = 500_000_000


def examine() -> list[Finding]:
    """Look at interpreter, libraries, settings, folders, memory, data and topic, and say what is wrong and how to mend it."""
    return examined((python, _libraries, settings, _folders, _memory, _fork, _data, _topic))


def _libraries() -> Iterator[Finding]:
    for name in ("tpot", "scikit-learn", "lightgbm", "distributed", "pyarrow"):
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            yield Finding(name, "error", "not installed; run scripts/setup")
    builds = [name for name in ("xgboost-cpu", "xgboost") if any(Distribution.discover(name=name))]
    detail = ", ".join(f"{name} {version(name)}" for name in builds)
    yield Finding("xgboost", "ok" if builds else "error", detail or "not installed; run scripts/setup")


def _folders() -> Iterator[Finding]:
    home = find_home()
    for name, folder in (("state", home.state), ("cache", home.cache)):
        present = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(present).free
        if not present.is_dir() or not os.access(present, os.W_OK):
            yield Finding(name, "error", f"{folder}: {present} is not a writable folder; set LONGTAIL_HOME")
        elif free < NEEDED_BYTES:
            yield Finding(name, "error", f"{folder}: {free / 1e6:.0f} MB free; {NEEDED_BYTES / 1e6:.0f} MB are needed")
        else:
            yield Finding(name, "ok", f"{folder}, {free / 1e9:.0f} GB free")


def _memory() -> Iterator[Finding]:
    chosen = load_settings()
    wanted = chosen.workers * chosen.memory_limit_mb << 20
    free = psutil.virtual_memory().available
    detail = f"{free / 1e9:.1f} GB available, {chosen.workers} evaluations may take {wanted / 1e9:.1f} GB"
    yield Finding("memory", "ok" if wanted <= free else "warning", detail)
    cores = len(os.sched_getaffinity(0))
    state: State = "ok" if chosen.workers <= cores else "warning"
    yield Finding("cores", state, f"{cores} usable, {chosen.workers} workers in the settings")


def _fork() -> Iterator[Finding]:
    limits = Path("/proc/self/limits").exists()
    detail = "evaluations run in forked children with CPU and memory limits"
    yield Finding("limits", "ok" if limits else "error", detail if limits else "needs Linux with /proc mounted")


def _data() -> Iterator[Finding]:
    from data.dataset import Dataset
    from data.sample import dataset_uri

    uri = dataset_uri(load_settings().data)
    series = Dataset.open(uri).series()
    yield Finding("data", "ok" if series else "error", f"{uri}: {len(series)} series")


def _topic() -> Iterator[Finding]:
    from infra.topics import find_topic

    topic = find_topic(load_settings().topic)
    yield Finding("topic", "ok", f"{topic.name}: {topic.type} at {topic.broker}, {topic.horizon} bars ahead")
