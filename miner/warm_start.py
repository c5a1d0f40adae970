"""Known pipelines for the first population: modules that the user names, and those of the public record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infra.home import find_home
from pipelines.parser import parse_module
from pipelines.spec import canonical_text
from pipelines.validity import problems
from protocol.errors import ConfigError, RefusedError
from protocol.topics import Topic


def known_pipelines(
    named: Sequence[Path], topic: Topic, *, record: bool, n_features: int, n_samples: int
) -> tuple[str, ...]:
    """Return the canonical texts that open the first population: the named modules, then the record's for the topic.

    Parameters
    ----------
    named : sequence of Path
        Modules of the user.
    topic : Topic
    record : bool
        Whether the public record takes part; what cannot work on this data, or is no module, is left out.
    n_features, n_samples : int
        Columns, and rows of the smallest training part.

    Raises
    ------
    RefusedError
        A module is outside the subset, or a named one is certain to fail on this data.
    ConfigError
        A file cannot be read.
    """
    texts: list[str] = []
    recorded = sorted((find_home().record / topic.name).glob("*.py")) if record else []
    for file in (*named, *recorded):
        try:
            source = file.read_bytes()
        except OSError as error:
            raise ConfigError(f"module {file} cannot be read: {error.strerror}; check --start-from") from error
        try:
            spec = parse_module(source, str(file))
        except RefusedError:
            if file in named:
                raise
            continue
        wrong = problems(spec, n_features=n_features, n_samples=n_samples)
        if wrong and file in named:
            raise RefusedError(
                f"module {file} cannot work with {n_features} features and {n_samples} training rows: {wrong[0]}; "
                "leave it out of --start-from"
            )
        if not wrong:
            texts.append(canonical_text(spec))
    return tuple(dict.fromkeys(texts))
