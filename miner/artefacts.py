"""What a run leaves behind: the module, two pictures and the report, each written whole or not at all."""

from __future__ import annotations

import json
from typing import Any

from infra.files import atomic_write
from miner.engine import SearchResult
from miner.plan import Plan, library_versions
from miner.report import Report
from pipelines.module import to_module
from pipelines.parser import block_hash
from pipelines.spec import describe, from_canonical
from protocol.errors import ConfigError

MODULE = "pipeline.py"
#: What a run leaves in its folder beside the journal; the report comes last.
ARTEFACTS = (MODULE, "equity.png", "search.png", "report.json")


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
    module, equity, course, text = (plan.folder / name for name in ARTEFACTS)
    made = {
        "pipeline": describe(spec),
        "module": str(module),
        "block_hash": block_hash(source),
        "pictures": [str(equity), str(course)],
    }
    document = json.dumps({**ends, **made, **report.to_dict()}, indent=1, allow_nan=False) + "\n"
    try:
        atomic_write(module, source)
        atomic_write(equity, draw_equity(report))
        atomic_write(course, draw_search(result.outcomes))
        atomic_write(text, document.encode())
    except ConfigError as error:
        raise ConfigError(f"{error}; the journal is whole, so the run can be resumed") from error
    return made
