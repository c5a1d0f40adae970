"""The attack suite once more as an ordinary user, where root runs the tests: no uid to become, every file of the user in reach.

An ordinary user who runs the tests has it in `test_attacks` already.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SUITES = [
    str(Path(__file__).with_name(f"{name}.py")) for name in ("test_attacks", "test_attack_limits", "test_degraded")
]
USER = 64_321  # nobody's

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="runs as an ordinary user as it is")


@pytest.fixture
def home() -> Iterator[Path]:
    """Return the home folder of a user; skip where that user cannot reach this Python."""
    with tempfile.TemporaryDirectory(prefix="lt-user-") as folder:
        os.chown(folder, USER, USER)
        try:
            reached = as_user([sys.executable, "-c", "import numpy, validator"], Path(folder)).returncode == 0
        except PermissionError:
            reached = False
        if not reached:
            pytest.skip(f"{sys.executable} cannot be reached by an ordinary user; it lies in somebody's home")
        yield Path(folder)


def as_user(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=home, env=environment, user=USER, group=USER, extra_groups=[], capture_output=True, text=True, check=False
    )  # fmt: skip


def passes(home: Path, *chosen: str) -> None:
    config = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "--basetemp", str(home / "pytest"), "-v"]
    done = as_user([sys.executable, "-m", "pytest", *config, *chosen], home)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_an_ordinary_user_is_as_safe(home: Path) -> None:
    passes(home, SUITES[0], "-k", "every_tier or each_other or quiet")


@pytest.mark.slow
def test_everything_as_an_ordinary_user(home: Path) -> None:
    passes(home, *SUITES)
