"""Which layers this machine has and which tier of the jail that makes: found by trying, in processes that are thrown away."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn, cast

from protocol.errors import ConfigError
from validator.sandbox import kernel, user
from validator.sandbox.confinement import confine
from validator.sandbox.policy import LAYERS, TIERS, ConfinementError, Layer, Limits, Tier
from validator.sandbox.readable import readable

#: A layer that is not on by then hangs; measured: 10 ms.
TRIAL_S: Final = 10.0
_START_S: Final = 60.0


class Finding(NamedTuple):
    """Whether a layer works here, and what it gives, or why it does not and what helps."""

    works: bool
    text: str


class Survey(NamedTuple):
    """What every layer does alone, and why a tier does not work: None if it does."""

    layers: Mapping[Layer, Finding]
    tiers: Mapping[Tier, str | None]


def survey() -> Survey:
    """Try every layer alone and every tier, in another process: the caller may have threads, and then should not fork.

    Raises
    ------
    ConfigError
        The process cannot be started.
    """
    command = [sys.executable, "-P", "-B", "-m", "validator.sandbox.tiers"]
    most_s = _START_S + TRIAL_S * (len(LAYERS) + len(TIERS))
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=most_s, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = str(getattr(error, "stderr", None) or error)
        raise ConfigError(f"the layers of the sandbox cannot be tried: {said[-1000:]}") from error
    layers = {layer: Finding(*found["layers"][layer]) for layer in LAYERS}
    tiers = {tier: cast(str | None, found["tiers"][tier]) for tier in TIERS}
    return Survey(MappingProxyType(layers), MappingProxyType(tiers))


def available() -> Mapping[Layer, str | None]:
    """Return for every layer None if it works alone, else the reason and the remedy; errors as :func:`survey`."""
    return {layer: None if finding.works else finding.text for layer, finding in survey().layers.items()}


def strongest() -> Tier:
    """Return the strongest tier that works here as a whole.

    Raises
    ------
    ConfigError
        None does: what is missing for each of them, and the remedy.
    """
    reasons = survey().tiers
    for tier, reason in reasons.items():
        if reason is None:
            return tier
    told = "; ".join(dict.fromkeys(reason for reason in reasons.values() if reason))
    raise ConfigError(f"submissions cannot be jailed here, and nothing is run without a jail: {told}")


def _trial(layers: frozenset[Layer], paths: Sequence[str]) -> str | None:
    """Return why a child cannot be confined, None if it can."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        _try(layers, paths, theirs)
    os.close(theirs)
    if select.select([ours], [], [], TRIAL_S)[0]:
        said = os.read(ours, 4096).decode(errors="replace")
    else:
        said = f"no answer within {TRIAL_S:g} s"
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(ours)
    return None if said == "on" else said or f"the child ended without a word (wait status {status})"


def _try(layers: frozenset[Layer], paths: Sequence[str], pipe: int) -> NoReturn:
    said = "on"
    try:
        confine(layers, Limits(), paths)
    except ConfinementError as error:
        said = str(error)
    except BaseException as error:  # a defect is one more reason not to use the layer
        said = f"{type(error).__name__}: {error}"
    finally:
        os.write(pipe, said[:4096].encode())
        os._exit(0)


def _gives() -> Mapping[Layer, str]:
    own = f"submissions stay user {os.getuid()} without capabilities; other layers keep them from that user's files"
    try:
        version = kernel.landlock_abi()
    except OSError:  # which the trial reports
        version = 0
    return {
        "uid": "every submission runs as a user of its own" if user.is_root() else own,
        "namespaces": "a root of code only, no network, no other process",
        "rlimits": "CPU time, memory, file size, open files, threads",
        "landlock": f"no file but code, no TCP; version {version} of the kernel's interface",
        "seccomp": "the system calls of one process that computes: no second one, no socket, no signal to others",
    }


def _main() -> None:
    paths, gives = readable(), _gives()
    alone = {layer: _trial(frozenset({layer}), paths if layer != "uid" else ()) for layer in LAYERS}
    layers = {
        layer: (reason is None, gives[layer] if reason is None else reason.removeprefix(f"layer {layer}: "))
        for layer, reason in alone.items()
    }
    tiers = {tier: _trial(wanted, paths) for tier, wanted in TIERS.items()}
    print(json.dumps({"layers": layers, "tiers": tiers}))  # noqa: T201 - the answer to the process that asks


if __name__ == "__main__":
    _main()
