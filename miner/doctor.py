"""`ltminer doctor`: is this machine ready to mine? Reads only; never installs, never creates a folder."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil

from infra.home import find_home
from infra.settings import load_settings
from protocol.errors import LongtailError

State = Literal["ok", "warning", "error"]
NEEDED_BYTES = 500_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    detail: str


def examine() -> list[Finding]:
    """Look at interpreter, libraries, settings, folders, memory, data and topic, and say what is wrong and how to mend it."""
    findings: list[Finding] = []
    for look in (_python, _libraries, _settings, _folders, _memory, _fork, _data, _topic):
        try:
            findings.extend(look())
        except LongtailError as error:
            findings.append(Finding(look.__name__.strip("_"), "error", str(error)))
    return findings


def _python() -> Iterator[Finding]:
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    detail = f"{sys.version.split()[0]} at {sys.executable}"
    yield Finding("python", "ok" if fits else "error", detail if fits else f"{detail}; longtail runs on 3.11 to 3.13")


def _libraries() -> Iterator[Finding]:
    for name in ("tpot", "scikit-learn", "lightgbm", "distributed", "pyarrow"):
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            yield Finding(name, "error", "not installed; run scripts/setup")
    builds = [name for name in ("xgboost-cpu", "xgboost") if any(Distribution.discover(name=name))]
    detail = ", ".join(f"{name} {version(name)}" for name in builds)
    yield Finding("xgboost", "ok" if builds else "error", detail or "not installed; run scripts/setup")


def _settings() -> Iterator[Finding]:
    load_settings()
    file = find_home().settings_file
    yield Finding("settings", "ok", str(file) if file.is_file() else f"defaults ({file} does not exist)")


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
    settings = load_settings()
    wanted = settings.workers * settings.memory_limit_mb << 20
    free = psutil.virtual_memory().available
    detail = f"{free / 1e9:.1f} GB available, {settings.workers} evaluations may take {wanted / 1e9:.1f} GB"
    yield Finding("memory", "ok" if wanted <= free else "warning", detail)
    cores = len(os.sched_getaffinity(0))
    state: State = "ok" if settings.workers <= cores else "warning"
    yield Finding("cores", state, f"{cores} usable, {settings.workers} workers in the settings")


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
