"""What a replay leaves: the review in words and numbers, a picture, and the journal from which it can be audited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fund.audit import audit
from fund.comparison import LossHistory, compare
from fund.journal import plain
from fund.look_text import NONE, percent, table
from fund.origins import Origin
from fund.performance import HitRate
from fund.replay import Course, Setting
from fund.replay_token import Tokens
from fund.review import Review, review
from fund.review_plots import draw_review
from fund.units import WEI
from fund.units import plain as rounded
from infra.files import atomic_write
from protocol.ledger.commitments import canonical
from protocol.topics import Topic

NETWORK, MEAN = "the network", "plain mean of the modules"


def reviewed(course: Course, tokens: Tokens, topic: Topic, names: Mapping[str, str]) -> Review:
    """Return the review of a replay of one topic; `names` says what to call each block."""
    models = sorted({name for one in course.settlements for name in one.models})
    history = LossHistory.of(
        topic.name,
        topic.horizon,
        time=[one.time for one in course.settlements],
        losses=[one.losses for one in course.settlements],
        mean=course.means,
        models=models,
    )
    return review(
        course.valuations,
        course.market,
        course.records,
        events=tokens.events,
        earnings=tokens.earnings,
        hit_rates=[HitRate.of(topic.name, topic.horizon, course.calls)],
        comparisons=[compare(history, names)],
    )


def leave(
    course: Course,
    tokens: Tokens,
    origins: Mapping[str, Origin],
    *,
    topic: Topic,
    setting: Setting,
    data: str,
    folder: Path,
) -> tuple[str, dict[str, Any]]:
    """Write ``review.json``, ``review.png`` and ``journal.jsonl`` to a folder; return the words and the numbers.

    The journal is audited against the bars first; differences are part of what is said, and so is every doubt about
    whether the search behind a module knew the past that is replayed.

    Parameters
    ----------
    course : Course
    tokens : Tokens
        Which followed it.
    origins : mapping of block hash to Origin
        Of the modules, in the order in which they are told.
    topic : Topic
    setting : Setting
    data : str
        The dataset as it was named.
    folder : Path
    """
    found = audit(course.records, course.ticks, setting.fees)
    told = reviewed(course, tokens, topic, {block: one.name for block, one in origins.items()})
    files = {name: str(folder / name) for name in ("review.json", "review.png", "journal.jsonl")}
    differences = list(found.differences[:10])
    said = f"{len(found.differences)} differences, the first: {differences[0]}" if differences else "no difference"
    weights = course.inferences[-1].shares if course.inferences else ()
    absent = course.inferences[-1].absent if course.inferences else ()
    warnings = [line for one in origins.values() for line in one.warnings(setting.start, data)]
    modules = _modules(course, tokens, origins)
    numbers = {
        **told.to_dict(),
        "token": tokens.to_dict(),
        "modules": modules,
        "warnings": warnings,
        "audit": {"records": len(course.records), "differences": len(found.differences), "first": differences},
        "last_weights": {name: round(share, 9) for name, share in weights},
        "absent": dict(absent),
        "limits_hit": len(course.hits),
        "files": files,
    }
    lines = [
        *told.verdict,
        *tokens.verdict,
        f"audit of {len(course.records):,} records against the bars: {said}",
        "",
        _table(modules),
        "",
        *(f"warning: {line}" for line in warnings),
        *files.values(),
    ]
    atomic_write(folder / "journal.jsonl", "".join(canonical(plain(one)) + "\n" for one in course.records).encode())
    atomic_write(folder / "review.png", draw_review(told, tokens.curves()))
    atomic_write(folder / "review.json", json.dumps(numbers, indent=1, allow_nan=False).encode())
    return "\n".join(lines), numbers


def _modules(course: Course, tokens: Tokens, origins: Mapping[str, Origin]) -> list[dict[str, Any]]:
    """Return what there is to say of each module, then of what is made of them; wei, losses as means of log10."""
    weights = dict(course.inferences[-1].shares) if course.inferences else {}
    earned = {one["account"]: one for one in tokens.earned()}
    losses = [one.losses for one in course.settlements]
    rows = []
    for block, origin in origins.items():
        mine = earned.pop(tokens.payees.accounts[block])
        rows.append(
            {
                **origin.to_dict(),
                "block": block,
                "weight_at_end": rounded(weights.get(block, 0.0)),
                "loss": _mean([one[block] for one in losses if block in one]),
                "earned": mine["amount"],
                "share": mine["share"],
            }
        )
    rows += [{"name": one["name"], "earned": one["amount"], "share": one["share"]} for one in earned.values()]
    rows.append({"name": MEAN, "loss": _mean(course.means)})
    rows.append({"name": NETWORK, "loss": _mean([one["network"] for one in losses if "network" in one])})
    return rows


def _table(modules: list[dict[str, Any]]) -> str:
    header = ["module", "block", "data until", "weight at end", "mean loss", "LTFT earned", "share"]
    rows = [
        [
            one["name"],
            one.get("block", NONE)[:12],
            one.get("until") or ("not known" if "block" in one else NONE),
            percent(one.get("weight_at_end")),
            NONE if one.get("loss") is None else f"{one['loss']:+.5f}",
            f"{one['earned'] / WEI:,.2f}" if "earned" in one else NONE,
            percent(one.get("share")),
        ]
        for one in modules
    ]
    return table(header, rows, left=(0, 1, 2))


def _mean(losses: ArrayLike) -> float | None:
    known = np.asarray(losses, dtype=np.float64)
    known = known[~np.isnan(known)]
    return rounded(float(known.mean())) if known.size else None
