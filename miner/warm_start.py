"""Known pipelines for the first population: modules that the user names, and those of the public record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from miner.precheck import check_fit, module_of, read_module
from pipelines.spec import canonical_text
from protocol.errors import RefusedError


def known_pipelines(
    named: Sequence[Path], recorded: Mapping[str, bytes], *, n_features: int, n_samples: int
) -> tuple[str, ...]:
    """Return the canonical texts that open the first population: the named modules, then the recorded ones.

    Parameters
    ----------
    named : sequence of Path
        Modules of the user.
    recorded : mapping of str to bytes
        Modules of the public record by block hash; what cannot work on this data, or is no module here, is left out.
    n_features, n_samples : int
        Columns, and rows of the smallest training part.

    Raises
    ------
    RefusedError
        A module is outside the subset, or a named one is certain to fail on this data.
    ConfigError
        A file cannot be read.
    """
    texts = []
    for file in named:
        module = read_module(file)
        check_fit(module, n_features=n_features, n_samples=n_samples)
        texts.append(canonical_text(module.spec))
    for name, source in recorded.items():
        with suppress(RefusedError):
            module = module_of(source, name)
            check_fit(module, n_features=n_features, n_samples=n_samples)
            texts.append(canonical_text(module.spec))
    return tuple(dict.fromkeys(texts))
