"""Runs lines of code in a confined child; as a program, it is the process that forks that child.

A process of its own, because pytest has threads and keeps open files, and because some tests run as another user.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from validator.sandbox.policy import LAYERS, ConfinementError, Layer, Limits

#: An ordinary user without an account, inside the ids of most containers.
ORDINARY = 61_234
DEFAULT = Limits()


@dataclass(frozen=True)
class Ending:
    """What a child said before it ended, and how it ended: exit code, or minus the signal."""

    said: Any
    status: int
    error: str
    cpu_s: float


def confined(
    code: str,
    *layers: Layer,
    limits: Limits = DEFAULT,
    paths: Iterable[str] | None = None,
    before: str = "",
    meanwhile: str = "",
    user: int | None = None,
) -> Ending:
    """Run `code` in a child confined by `layers`; it calls `say(value)` once.

    `before` runs in its parent before the fork and leaves its names to both; `meanwhile` runs in the parent afterwards and
    has `pid`, and `heard()`, which waits for the child's first word.
    """
    task = {
        "code": textwrap.dedent(code),
        "before": textwrap.dedent(before),
        "meanwhile": textwrap.dedent(meanwhile),
        "layers": layers,
        "limits": asdict(limits),
        "paths": None if paths is None else list(paths),
    }
    done = run_as(user, str(Path(__file__).resolve()), json.dumps(task))
    assert done.returncode == 0, done.stderr
    return Ending(**json.loads(done.stdout))


def run_as(user: int | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with `arguments` as another user, or as ourselves."""
    other: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    command = [sys.executable, "-P", "-B", *arguments]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120, check=False, **other)


def ordinary() -> int | None:
    """Return an ordinary user to run as, None when we are one; skip the test if root cannot become one here."""
    if os.geteuid() != 0:
        return None
    if reason := _obstacle():
        pytest.skip(reason)
    return ORDINARY


@functools.cache
def _obstacle() -> str:
    try:
        done = run_as(ORDINARY, "-c", "import validator.sandbox.confinement")
    except OSError as error:
        return f"root cannot become user {ORDINARY}: {error}"
    return f"user {ORDINARY} cannot read this Python or checkout" if done.returncode else ""


@functools.cache
def missing(user: int | None = None) -> dict[Layer, str]:
    """Return the layers that this machine lacks, with the reasons."""
    lacking: dict[Layer, str] = {}
    for layer in LAYERS:
        ending = confined("", layer, user=user)
        if ending.error:
            lacking[layer] = ending.error
    return lacking


def need(*layers: Layer, user: int | None = None) -> None:
    """Skip the test on a machine without one of `layers`."""
    for layer in layers:
        if layer in missing(user):
            pytest.skip(missing(user)[layer])


def need_root() -> None:
    """Skip the test unless it can start as root."""
    if os.geteuid() != 0:
        pytest.skip("only root can give up being root")


def _main() -> None:
    from validator.sandbox.confinement import confine
    from validator.sandbox.readable import readable

    task = json.loads(sys.argv[1])
    paths = readable() if task["paths"] is None else task["paths"]
    names: dict[str, Any] = {"os": os}
    exec(task["before"], names)  # noqa: S102 - the test's own lines
    hears, says = os.pipe()
    fails, tells = os.pipe()
    names["pid"] = pid = os.fork()
    if pid == 0:
        os.close(hears)
        os.close(fails)
        try:
            confine(frozenset(task["layers"]), Limits(**task["limits"]), paths)
            names["say"] = lambda value: os.write(says, json.dumps(value).encode())
            exec(task["code"], names)  # noqa: S102 - the test's own lines
            os._exit(0)
        except ConfinementError as error:
            os.write(tells, str(error).encode())
        except BaseException as error:
            os.write(says, json.dumps(f"{type(error).__name__}: {error}").encode())
        finally:
            os._exit(1)
    os.close(says)
    os.close(tells)
    words: list[bytes] = []
    names["heard"] = lambda: words.append(os.read(hears, 1 << 16))
    exec(task["meanwhile"], names)  # noqa: S102 - the test's own lines
    with contextlib.suppress(OSError):
        while word := os.read(hears, 1 << 16):
            words.append(word)
    _, status, usage = os.wait4(pid, 0)
    ending = {
        "said": json.loads(b"".join(words) or b"null"),
        "status": os.waitstatus_to_exitcode(status),
        "error": os.read(fails, 4096).decode(),
        "cpu_s": usage.ru_utime + usage.ru_stime,
    }
    sys.stdout.write(json.dumps(ending))


if __name__ == "__main__":
    _main()
