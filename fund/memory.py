"""The state of a topic's inference as bytes: what a fund keeps between bars, so that being killed loses nothing.

A state is written whole and atomically after each step, and each step done again is no step (:func:`fund.inference.ask` of
a pending bar, :func:`fund.inference.settle` of a settled one): whoever is killed anywhere starts from the last file and
repeats at most one. Equal states have equal bytes: floats are kept bit by bit and nothing depends on the clock.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fund.forecasters import FORECASTERS, Seen, Track
from fund.topic_state import Inference, Pending, TopicState
from infra.files import atomic_write
from protocol.consensus.allora.epoch import State
from protocol.consensus.allora.synthesis import Regrets
from protocol.consensus.allora.variant import Variant
from protocol.errors import DataError
from protocol.ledger.commitments import canonical

FORMAT = 1
FACTS = "facts"
_EPOCH = tuple(field.name for field in fields(State) if field.name not in {"regrets", "log_loss", "tau"})
_REGRETS = tuple(field.name for field in fields(Regrets))
_TRACK = tuple(field.name for field in fields(Track))
_SAID = ("network", "value", "low", "high")
_PENDING = ("made", "weights", "naive_weights")
_SEEN = tuple(field.name for field in fields(Seen))

Arrays = dict[str, NDArray[Any]]


def dump(state: TopicState) -> bytes:
    """Return a state as an uncompressed ``.npz``: its arrays, and ``facts``, canonical JSON, as bytes.

    The first line of the facts is the sha256 over everything else.
    """
    arrays: Arrays = {f"epoch.{name}": getattr(state.epoch, name) for name in _EPOCH}
    arrays |= {"epoch.log_loss": np.asarray(state.epoch.log_loss), "epoch.tau": np.asarray(state.epoch.tau)}
    arrays |= {f"regrets.{name}": np.asarray(getattr(state.epoch.regrets, name)) for name in _REGRETS}
    arrays |= {f"track.{name}": getattr(state.track, name) for name in _TRACK}
    for one in state.forecasters:
        arrays |= {f"forecaster.{one.name}.{name}": values for name, values in one.arrays().items()}
    for number, bar in enumerate(state.pending):
        arrays |= {f"pending.{number}.{name}": getattr(bar.inference, name) for name in _SAID}
        arrays |= {f"pending.{number}.{name}": getattr(bar, name) for name in _PENDING}
        arrays |= {f"pending.{number}.{name}": getattr(bar.seen, name) for name in _SEEN}
    facts = {
        "format": FORMAT,
        "interval": state.interval,
        "horizon": state.horizon,
        "variant": asdict(state.variant),
        "models": state.models,
        "reputers": state.reputers,
        "forecasters": [one.name for one in state.forecasters],
        "asked": state.asked,
        "settled": state.settled,
        "pending": [
            {
                "time": bar.time,
                "models": bar.models,
                "symbols": bar.inference.symbols,
                "shares": bar.inference.shares,
                "absent": bar.inference.absent,
            }
            for bar in state.pending
        ],
    }
    body = canonical(facts).encode()
    text = _digest(body, arrays).encode() + b"\n" + body
    file = io.BytesIO()
    np.savez(file, **{FACTS: np.frombuffer(text, np.uint8)}, **arrays)  # type: ignore[arg-type]  # the stubs take the names for allow_pickle
    return file.getvalue()


def load(content: bytes, source: str = "the state") -> TopicState:
    """Return the state that :func:`dump` wrote.

    Parameters
    ----------
    content : bytes
    source : str
        What to call it in an error.

    Raises
    ------
    DataError
        It is damaged, or of another format.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        digest, _, body = arrays.pop(FACTS).tobytes().partition(b"\n")
        if digest.decode() != _digest(body, arrays):
            raise ValueError("its digest does not fit")  # noqa: TRY301 - one remedy for every kind of damage
        facts = json.loads(body)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{source} is damaged ({error}); restore a copy, or remove it to begin with no memory"
        ) from error
    if facts["format"] != FORMAT:
        raise DataError(
            f"{source} has format {facts['format']}, this version reads {FORMAT}; use the version that wrote it"
        )
    variant = Variant(**{**facts["variant"], "quantiles": tuple(facts["variant"]["quantiles"])})
    return TopicState(
        interval=facts["interval"],
        horizon=facts["horizon"],
        variant=variant,
        models=tuple(facts["models"]),
        reputers=tuple(facts["reputers"]),
        epoch=State(
            regrets=Regrets(**{name: arrays[f"regrets.{name}"] for name in _REGRETS}),
            log_loss=float(arrays["epoch.log_loss"]),
            tau=float(arrays["epoch.tau"]),
            **{name: arrays[f"epoch.{name}"] for name in _EPOCH},
        ),
        track=Track(**{name: arrays[f"track.{name}"] for name in _TRACK}),
        forecasters=tuple(
            FORECASTERS[name](
                **{
                    key.rpartition(".")[2]: values
                    for key, values in arrays.items()
                    if key.startswith(f"forecaster.{name}.")
                }
            )
            for name in facts["forecasters"]
        ),
        asked=facts["asked"],
        settled=facts["settled"],
        pending=tuple(_pending(arrays, number, bar) for number, bar in enumerate(facts["pending"])),
    )


def digest(state: TopicState) -> str:
    """Return 64 hex digits that are equal for equal states."""
    return hashlib.sha256(dump(state)).hexdigest()


def save(path: Path, state: TopicState) -> None:
    """Write a state so that the file holds either the old one or all of this one.

    Raises
    ------
    ConfigError
        The folder cannot be written or the disk is full.
    """
    atomic_write(path, dump(state))


def restore(path: Path) -> TopicState | None:
    """Return the state of a file, None if there is none.

    Raises
    ------
    DataError
        It cannot be read, is damaged, or of another format.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; make it readable") from error
    return load(content, str(path))


def _pending(arrays: Arrays, number: int, facts: dict[str, Any]) -> Pending:
    def part(names: tuple[str, ...]) -> Arrays:
        return {name: arrays[f"pending.{number}.{name}"] for name in names}

    inference = Inference(
        time=facts["time"],
        symbols=tuple(facts["symbols"]),
        **part(_SAID),
        shares=tuple((name, share) for name, share in facts["shares"]),
        absent=tuple((name, why) for name, why in facts["absent"]),
    )
    return Pending(models=tuple(facts["models"]), inference=inference, **part(_PENDING), seen=Seen(**part(_SEEN)))


def _digest(body: bytes, arrays: Arrays) -> str:
    """Return the sha256 over facts and arrays, names, types and shapes included."""
    whole = hashlib.sha256(body)
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        whole.update(f"\n{name} {values.dtype.str} {values.shape}\n".encode() + values.tobytes())
    return whole.hexdigest()
