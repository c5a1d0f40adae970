"""What a replay leaves: the review in words and numbers, a picture, and the journal from which it can be audited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fund.audit import audit
from fund.comparison import LossHistory, compare
from fund.journal import plain
from fund.performance import HitRate
from fund.replay import Course, Setting
from fund.review import Review, review
from fund.review_plots import draw_review
from infra.files import atomic_write
from protocol.ledger.commitments import canonical
from protocol.topics import Topic


def reviewed(course: Course, topic: Topic) -> Review:
    """Return the review of a replay of one topic."""
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
        hit_rates=[HitRate.of(topic.name, topic.horizon, course.calls)],
        comparisons=[compare(history)],
    )


def leave(course: Course, topic: Topic, setting: Setting, folder: Path) -> tuple[str, dict[str, Any]]:
    """Write ``review.json``, ``review.png`` and ``journal.jsonl`` to a folder; return the words and the numbers.

    The journal is audited against the bars first; differences are part of what is said.
    """
    found = audit(course.records, course.ticks, setting.fees)
    told = reviewed(course, topic)
    files = {name: str(folder / name) for name in ("review.json", "review.png", "journal.jsonl")}
    differences = list(found.differences[:10])
    said = f"{len(found.differences)} differences, the first: {differences[0]}" if differences else "no difference"
    lines = [*told.verdict, f"audit of {len(course.records):,} records against the bars: {said}"]
    weights = course.inferences[-1].shares if course.inferences else ()
    absent = course.inferences[-1].absent if course.inferences else ()
    numbers = {
        **told.to_dict(),
        "audit": {"records": len(course.records), "differences": len(found.differences), "first": differences},
        "last_weights": {name: round(share, 9) for name, share in weights},
        "absent": dict(absent),
        "limits_hit": len(course.hits),
        "files": files,
    }
    atomic_write(folder / "journal.jsonl", "".join(canonical(plain(one)) + "\n" for one in course.records).encode())
    atomic_write(folder / "review.png", draw_review(told))
    atomic_write(folder / "review.json", json.dumps(numbers, indent=1, allow_nan=False).encode())
    return "\n".join([*lines, *files.values()]), numbers
