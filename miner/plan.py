"""The plan of a run: what will be done with what, where it goes, and how to continue; shown before any work starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.panel import Panel
from data.splits import Split
from miner.config import RunConfig, default_window
from protocol.errors import UsageError

if TYPE_CHECKING:
    from infra.ec2.offer import Offer

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)\Z", re.ASCII)
#: Libraries whose version can change what a search finds.
DECIDING_LIBRARIES = ("longtail", "tpot", "ConfigSpace", "scikit-learn", "numpy", "scipy", "lightgbm")


def parse_duration(text: str) -> float | None:
    """Return the seconds of ``90s``, ``4m``, ``2h`` or ``1d``; None for ``none``.

    Raises
    ------
    UsageError
        The text is none of these, or zero.
    """
    if text == "none":
        return None
    match = _DURATION.match(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"time budget {text!r} is no duration above zero; write 90s, 4m, 2h, 1d or none")
    return seconds


def library_versions() -> dict[str, str]:
    """Return the versions that a run is tied to."""
    return {name: version(name) for name in DECIDING_LIBRARIES}


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the plan block says.

    Attributes
    ----------
    config : RunConfig
    panel : Panel
    split : Split
    cluster : str
        ``pool``, a kind or an address.
    workers : int
        Slots of a local pool or cluster.
    time_budget_s : float, optional
    folder : Path
        Where journal, module, pictures and report go.
    resume : str
        Command that continues the run.
    adapt_window : bool
        The window may still grow with the slots of the cluster: the user chose none.
    offer : Offer, optional
        What machines on EC2 will cost.
    """

    config: RunConfig
    panel: Panel
    split: Split
    cluster: str
    workers: int
    time_budget_s: float | None
    folder: Path
    resume: str
    adapt_window: bool = False
    offer: Offer | None = None

    def widened(self, slots: int) -> Plan:
        """Return the plan with a window that keeps a cluster of so many slots busy, unless the user chose one."""
        window = default_window(slots, self.config.evaluations)
        if not self.adapt_window or window <= self.config.window:
            return self
        return replace(self, config=replace(self.config, window=window))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        config, panel = self.config, self.panel
        held = self.split.holdout.test
        return {
            "data": config.data_uri,
            "root": config.data_root,
            "span": [self._moment(0), self._moment(len(panel.time) - 1)],
            "rows": len(panel.time),
            "symbols": list(panel.symbols),
            "topic": config.topic.to_dict(),
            "features": list(panel.feature_names),
            "folds": [[self._moment(fold.test[0]), self._moment(fold.test[1] - 1)] for fold in self.split.folds],
            "held_out": [self._moment(held[0]), self._moment(held[1] - 1)],
            "space": config.space,
            "seed": config.seed,
            "evaluations": config.evaluations,
            "population": config.population,
            "window": config.window,
            "known_pipelines": len(config.start_from),
            "time_budget_s": self.time_budget_s,
            "cluster": self.cluster,
            "workers": self.workers if self.cluster in {"pool", "local"} else None,
            "cpu_cap_s": config.cap_start_s,
            "memory_mb": config.memory_mb,
            "folder": str(self.folder),
            "resume": self.resume,
            "offer": self.offer.to_dict() if self.offer else None,
        }

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan as (label, text) lines for people."""
        plan = self.to_dict()
        names = plan["symbols"]
        shown = ", ".join(names[:6]) + (f", … ({len(names)} symbols)" if len(names) > 6 else "")
        budget = "no time limit" if self.time_budget_s is None else f"at most {self.time_budget_s:g} s"
        where = {"pool": f"this machine, {self.workers} slots", "local": f"local Dask cluster, {self.workers} workers"}
        known = f", {plan['known_pipelines']} known pipelines first" if plan["known_pipelines"] else ""
        return [
            ("data", f"{plan['data']}  root {plan['root'][:16]}…"),
            ("series", f"{shown}: {plan['rows']:,} rows, {plan['span'][0]} to {plan['span'][1]}"),
            ("topic", f"{self.config.topic.name}: {self.config.topic.type}, {self.config.topic.horizon} bars ahead"),
            ("features", f"{self.config.topic.features}, {len(plan['features'])} columns"),
            ("scored on", f"{len(plan['folds'])} walk-forward folds from {plan['folds'][0][0]}"),
            ("untouched", f"{plan['held_out'][0]} to {plan['held_out'][1]}, scored once at the end"),
            (
                "search",
                f"{plan['space']}, population {plan['population']}, window {plan['window']}, seed {plan['seed']}{known}",
            ),
            ("budget", f"{plan['evaluations']} evaluations, {budget}"),
            ("limits", f"{plan['cpu_cap_s']:g} CPU seconds to begin with and {plan['memory_mb']} MB per evaluation"),
            ("cluster", where.get(self.cluster, self.cluster)),
            *(self.offer.lines() if self.offer else ()),
            ("results", plan["folder"]),
            ("resume", plan["resume"]),
        ]

    def _moment(self, row: int) -> str:
        unit = "D" if self.panel.interval % 86_400_000_000 == 0 else "m"
        return str(np.datetime64(int(self.panel.time[row]), "us").astype(f"datetime64[{unit}]"))
