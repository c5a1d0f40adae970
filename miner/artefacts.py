"""What a run leaves behind: the module, two pictures and the report, each written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from miner.engine import SearchResult
from miner.plan import Plan, library_versions
from miner.report import Report, describe
from pipelines.module import to_module
from pipelines.parser import block_hash
from pipelines.spec import from_canonical
from protocol.errors import ConfigError


def write_artefacts(plan: Plan, result: SearchResult, report: Report, ends: dict[str, Any]) -> dict[str, Any]:
    """Write ``pipeline.py``, ``equity.png``, ``search.png`` and ``report.json`` into the run's folder.

    Parameters
    ----------
    ends : dict
        How the search ended; goes into the report.

    Returns
    -------
    dict
        ``pipeline`` in words, ``module``, ``block_hash`` and ``pictures``.

    Raises
    ------
    ConfigError
        The folder cannot be written.
    """
    from miner.plots import draw_equity, draw_search

    spec = from_canonical(report.member.candidate.text)
    topic, winner = plan.config.topic, report.winner
    facts = {
        "topic": f"{topic.name} ({topic.type}, {topic.horizon} bars ahead)",
        "features": f"{topic.features}: {', '.join(plan.panel.feature_names)}",
        "data root": plan.config.data_root,
        "walk-forward score": f"{winner.walk_forward:.9f} (folds: {', '.join(f'{score:.4f}' for score in winner.folds)})",
        "held-out score": f"{winner.held_out:.6f} +- {winner.held_out_se:.6f}",
        "search": f"{plan.config.space}, seed {plan.config.seed}, candidate {report.member.outcome.k} of {report.candidates}",
        "versions": ", ".join(f"{name} {number}" for name, number in library_versions().items()),
    }
    source = to_module(spec, title=topic.title or topic.name, facts=facts).encode()
    module, equity, course = (plan.folder / name for name in ("pipeline.py", "equity.png", "search.png"))
    made = {
        "pipeline": describe(spec),
        "module": str(module),
        "block_hash": block_hash(source),
        "pictures": [str(equity), str(course)],
    }
    document = json.dumps({**ends, **made, **report.to_dict()}, indent=1, allow_nan=False) + "\n"
    write_whole(module, source)
    write_whole(equity, draw_equity(report))
    write_whole(course, draw_search(result.outcomes))
    write_whole(plan.folder / "report.json", document.encode())
    return made


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by a file with this content; after a failure at any moment it holds the old content or the new.

    Raises
    ------
    ConfigError
        The disk is full or the folder not writable; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}; the journal is whole: make room, then resume the run"
        ) from error
