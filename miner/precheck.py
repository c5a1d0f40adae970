"""What a validator would find at once, found before a bond is at stake: by the very code that validators use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.objects import read_named
from pipelines.identity import near_id, pipeline_id
from pipelines.parser import block_hash, parse_module
from pipelines.spec import Call, describe
from pipelines.validity import problems
from protocol.errors import ConfigError, LongtailError, RefusedError
from protocol.ledger.kinds import MAX_SOURCE_BYTES
from protocol.ledger.ledger import Ledger
from protocol.ledger.state import State


class CopyError(RefusedError):
    """The module is a copy of what is there already."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module that parses.

    Attributes
    ----------
    name : str
        Its file, for messages.
    source : bytes
    block_hash : str
        sha256 of `source`.
    spec : Call
    """

    name: str
    source: bytes
    block_hash: str
    spec: Call

    @property
    def words(self) -> str:
        """The pipeline in a few words."""
        return describe(self.spec)


def read_module(path: Path | str) -> Module:
    """Read and parse a module, a file or ``s3://…/SHA256.py``; nothing of it is executed.

    Raises
    ------
    ConfigError, ClusterError, DataError
        It cannot be read, or is not what its name in the bucket says.
    RefusedError
        It is too large or outside the subset; the message names line, construct and remedy.
    """
    name = str(path)
    if name.startswith("s3://"):
        return module_of(read_named(name, ".py", MAX_SOURCE_BYTES), name)
    try:
        with Path(path).open("rb") as file:
            source = file.read(MAX_SOURCE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"module {path} cannot be read: {error.strerror}") from error
    return module_of(source, name)


def module_of(source: bytes, name: str) -> Module:
    """Parse a module.

    Raises
    ------
    RefusedError
        It is too large or outside the subset.
    """
    return Module(name, source, block_hash(source), parse_module(source, name))


def check_fit(module: Module, *, n_features: int, n_samples: int) -> None:
    """Refuse a pipeline that is certain to fail on the topic's data.

    Parameters
    ----------
    module : Module
    n_features, n_samples : int
        Columns, and rows of the smallest training part.

    Raises
    ------
    RefusedError
        Validators would call it invalid, and its bond would be lost.
    """
    wrong = problems(module.spec, n_features=n_features, n_samples=n_samples)
    if wrong:
        raise RefusedError(
            f"module {module.name} cannot work with {n_features} features and {n_samples} training rows: {wrong[0]}; "
            "choose another"
        )


def check_original(module: Module, topic: str, ledger: Ledger, state: State) -> None:
    """Refuse a copy of a standing model block, and a near-copy of one of the topic or of its submissions that are still open.

    Raises
    ------
    CopyError
        Validators would call it a copy, and its bond would be lost.
    """
    same, near = pipeline_id(module.spec), near_id(module.spec)
    for kind, name, in_topic in _others(topic, state):
        if name == module.block_hash:
            continue
        try:
            other = parse_module(ledger.source(name), name[:12])
            copied = pipeline_id(other) == same, in_topic and near_id(other) == near
        except LongtailError:
            continue  # of a registry that this version does not know: validators will tell
        if any(copied):
            how = "is the same pipeline as" if copied[0] else "equals, to two digits of its numbers,"
            raise CopyError(
                f"module {module.name} {how} {kind} {name}; validators would call it a copy and its bond would be lost"
            )


def _others(topic: str, state: State) -> Iterator[tuple[str, str, bool]]:
    """Yield what must not be copied: its kind, its block hash, and whether it is of the topic."""
    for name, hashes in state.standing.items():
        yield from (("model block", one, name == topic) for one in hashes)
    for submission in state.submissions.values():
        if submission.topic == topic and submission.status == "open":
            yield "the open submission", submission.block_hash, True
