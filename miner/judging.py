"""The embedded validator: another program, started when this home's own validator may judge, and the verdict it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.home import find_home
from infra.keystore import keystore_path, stored_key
from infra.network import LOCAL, VALIDATOR
from infra.settings import Settings
from miner.standing import Lines, standing_lines
from protocol.errors import ClusterError, ConfigError
from protocol.ledger.state import State, Submission

if TYPE_CHECKING:
    from miner.view import View

#: -P: what lies in the working folder is not the validator.
COMMAND = (sys.executable, "-P", "-m", "validator.cli", "run", "--once")
#: Between asking the validator to end and ending it.
GRACE_S = 30.0
MAX_VERDICT_BYTES = 16 << 20
#: Lines of a failed validator's log that are shown.
TAIL = 5


def can_judge(state: State) -> bool:
    """Return whether this home has the key of a validator of the ledger."""
    return stored_key(keystore_path(VALIDATOR)).address in state.validators


def judge(settings: Settings, *, data: str, view: View) -> None:
    """Let this home's validator judge whatever waits on the ledger; return when it has nothing left to do.

    An interrupt ends the validator too; what it has not judged stays open and is judged the next time.

    Parameters
    ----------
    settings : Settings
    data : str
        Dataset to judge on.
    view : View
        Shows the validator's log in passing, and the end of it if it fails.

    Raises
    ------
    ConfigError
        The validator cannot judge on this machine.
    ClusterError
        It ended otherwise than well.
    """
    tail: deque[str] = deque(maxlen=TAIL)
    environment = {**os.environ, **_environment(settings, data)}
    nowhere, pipe = subprocess.DEVNULL, subprocess.PIPE
    with (
        _terminated_as_interrupted(),
        subprocess.Popen(
            COMMAND, env=environment, stdin=nowhere, stdout=nowhere, stderr=pipe, encoding="utf-8", errors="replace"
        ) as validator,
    ):
        try:
            for line in validator.stderr or ():
                tail.append(_readable(line.rstrip("\n")))
                view.passing(tail[-1])
        except BaseException:
            _end(validator)
            raise
    if validator.returncode:
        said = tail[-1] if tail else "it said nothing"
        view.note("\n".join(tail))
        family = ConfigError if validator.returncode == ConfigError.exit_code else ClusterError
        raise family(
            f"the validator ended with exit code {validator.returncode} ({said}); the submission stays on the ledger: "
            "`ltvalidator doctor` shows what this machine lacks, `ltvalidator run --once` tries again"
        )


def gates_of(submission: Submission) -> list[dict[str, Any]]:
    """Return the gates of the verdict on a submission, each with name, passed and text, if a validator here has left one."""
    path = find_home().verdicts / f"{submission.block_hash[:16]}-{submission.verdict[:16]}.json"
    try:
        if path.stat().st_size > MAX_VERDICT_BYTES:
            return []
        gates = json.loads(path.read_bytes())["judged"]["gates"]
        return [{name: gate[name] for name in ("name", "value", "threshold", "passed", "text")} for gate in gates]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []  # the ledger has outcome and reason; this is only the long form


def full_lines(facts: dict[str, Any], state: State) -> Lines:
    """Return where a submission stands as lines for people, with the gates of its verdict and what can be done next."""
    gates = [
        ("passed" if gate["passed"] else "FAILED", f"{gate['name']}: {gate['text']}") for gate in facts.get("gates", ())
    ]
    waits = facts["phase"] == "open" and can_judge(state)
    return [*standing_lines(facts, state), *gates, *([("judge", "ltvalidator run --once")] if waits else [])]


def _environment(settings: Settings, data: str) -> dict[str, str]:
    """Return what this process was told by flags, for the validator; the keys stay apart."""
    local = settings.ledger == LOCAL
    found = {
        "LEDGER": LOCAL if local else str(Path(settings.ledger).expanduser().absolute()),
        "KEY": VALIDATOR,
        "DATA": data,
    }
    return {f"LONGTAIL_{name}": value for name, value in found.items()}


def _readable(line: str) -> str:
    """Return a line of a log for people: one of JSON as its event and facts."""
    try:
        facts = json.loads(line)
        event = facts.pop("event")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return line
    for name in ("time", "level", "logger"):
        facts.pop(name, None)
    return f"{event}" + "".join(f"  {name}={value}" for name, value in facts.items())


def _end(validator: subprocess.Popen[str]) -> None:
    """End the validator if it lives: it keeps nothing that a kill could tear."""
    if validator.poll() is None:
        validator.terminate()
        try:
            validator.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            validator.kill()
            validator.wait()


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
