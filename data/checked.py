"""The panel of a dataset that nobody has vouched for: checked before it is first made."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from data.checks import check
from data.dataset import Dataset
from data.panel import Panel, panel_key, panel_of
from data.rules import RULES
from protocol.errors import DataError
from protocol.topics import Topic


def checked_panel(dataset: Dataset, topic: Topic, cache: Path) -> Panel:
    """Return the panel of a topic; what ``ltdata check`` refuses is refused before the panel is first made.

    Only bare files and trees are checked: appended versions were when they were appended.

    Parameters
    ----------
    dataset : Dataset
    topic : Topic
    cache : Path
        Folder of panels; one that is there was checked when it was made.

    Raises
    ------
    DataError
        The dataset is empty or breaks the format, or the topic cannot be made of it.
    """
    if dataset.is_bare and not (cache / panel_key(dataset.known_root, topic)).is_dir():
        errors = check(dataset.uri, now=time.time_ns() // 1000).errors
        if errors:
            found = ", ".join(f"{error.code} {RULES[error.code]} ({error.count})" for error in errors[:3])
            raise DataError(
                f"dataset {dataset.uri} breaks the format: {found}; `ltdata check {shlex.quote(dataset.uri)}` shows where"
            )
    return panel_of(dataset, topic, cache)
