"""The self-attack: a validator sends hostile programs into its own jail before it lets a stranger's in.

For the doctor and for the start of the daemon. It finds what no inspection finds: a kernel that has a layer and does not
enforce it, a container that gives more than it should, a defect of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from infra.finding import Finding
from infra.home import find_home
from protocol.errors import LongtailError
from validator.sandbox.host import ENVIRONMENT, NUMERICS, Job, Replay, Sandbox
from validator.sandbox.policy import Layer, Limits, Tier
from validator.sandbox.probe_program import BOMBS, PROBES

PROGRAM = "validator.sandbox.probe_program"
#: Small, so that the bombs end soon; the memory is above what the probes need, the time above what a busy machine needs.
LIMITS = Limits(cpu_s=1, wall_s=60, memory_mb=256)
#: For the one that only sleeps.
SHORT_WALL_S = 1.0
#: Predictions a probe may use as letters.
_LETTERS = 4096
#: Set by every Python where no locale is.
_PYTHONS_OWN = ("LC_CTYPE",)
#: Stopped by what the zygote and the host do, whatever the layers.
_WITHOUT_LAYERS = frozenset({"environment", "look-ahead"})
_SHARED = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - where everybody may write, so where one would try first


def attack(tier: Tier) -> list[Finding]:
    """Attack the jail of a tier and say for every attack whether it was stopped.

    Returns
    -------
    list of Finding
        An ``error`` for each attack that succeeded. Takes about two seconds of CPU.

    Raises
    ------
    ConfigError
        The tier does not work here.
    """
    findings = []
    with _decoys() as given, Sandbox(program=PROGRAM, tier=tier) as sandbox:
        given["zygote"] = sandbox.pid
        for probe in PROBES:
            replay = _send(sandbox, probe, given)
            achieved = [*_achieved(replay), *_left(given)]
            ended = "" if replay.status == "ok" else f"it ended as {replay.status}: {replay.reason}"
            findings.append(_finding(probe, "; ".join(achieved) or ended))
        for bomb, (status, _) in BOMBS.items():
            replay = _send(sandbox, bomb, given)
            findings.append(
                _finding(bomb, "" if replay.status == status else f"it ended as {replay.status}, not {status}")
            )
    return findings


def stopped_by(layer: Layer) -> list[str]:
    """Return the names of the probes (bombs are not tried) that come to nothing with this layer and the resource limits alone.

    Raises
    ------
    ConfigError
        The layer does not work here.
    """
    with _decoys() as given, Sandbox(program=PROGRAM, layers=frozenset({layer, "rlimits"})) as sandbox:
        given["zygote"] = sandbox.pid
        tried = {probe: _send(sandbox, probe, given) for probe in PROBES if probe not in _WITHOUT_LAYERS}
    return [probe for probe, replay in tried.items() if replay.status == "ok" and not _achieved(replay)]


def usable(tier: Tier) -> list[Finding]:
    """Return the errors of an attack on the tier, an exception that kept it from being made among them; empty if it held."""
    try:
        return [finding for finding in attack(tier) if finding.state == "error"]
    except LongtailError as error:
        return [Finding(tier, "error", str(error))]


def _finding(probe: str, trouble: str) -> Finding:
    remedy = "do not validate on this machine, and report this"
    return Finding(f"attack: {probe}", "error" if trouble else "ok", f"{trouble}; {remedy}" if trouble else "stopped")


def _send(sandbox: Sandbox, probe: str, given: dict[str, Any]) -> Replay:
    limits = LIMITS if probe != "sleep" else Limits(cpu_s=1, wall_s=SHORT_WALL_S)
    table = np.zeros((_LETTERS, 1))
    halves = [(0, _LETTERS // 2), (_LETTERS // 2, _LETTERS)]
    return sandbox.run(Job(json.dumps({"probe": probe, **given}), 0, table, table[:, 0], table, halves, limits))


def _achieved(replay: Replay) -> list[str]:
    if replay.predictions is None:
        return []
    found: list[str] = json.loads(bytes(int(letter) for letter in replay.predictions).strip(b"\0"))
    return found


@contextlib.contextmanager
def _decoys() -> Iterator[dict[str, Any]]:
    """Lay out what is worth attacking: a folder and a file open to everybody, three services, the names of our variables."""
    mark = f"longtail-{secrets.token_hex(8)}"
    with (
        tempfile.TemporaryDirectory(prefix="longtail-decoy-") as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        file = Path(folder, "key")
        file.write_text("valuable")
        file.chmod(0o666)
        Path(folder).chmod(0o777)
        udp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0{mark}")
        abstract.listen()
        given: dict[str, Any] = {
            "mark": mark,
            "file": str(file),
            "folders": [folder, *_SHARED, str(Path.home())],
            "home": str(find_home().state),
            "variables": sorted(os.environ.keys() - {*ENVIRONMENT, *NUMERICS, *_PYTHONS_OWN}),
            "host": os.getpid(),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "abstract": mark,
        }
        try:
            yield given
        finally:
            _left(given)


def _left(given: dict[str, Any]) -> list[str]:
    """Return, and remove, what a probe has left on the host."""
    found = [f"changed {given['file']}"] if Path(given["file"]).read_text(encoding="ascii") != "valuable" else []
    for folder in given["folders"]:
        with contextlib.suppress(FileNotFoundError):
            Path(folder, given["mark"]).unlink()
            found.append(f"left a file in {folder}")
    return found
