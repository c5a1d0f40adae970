"""Machines that lack something: the next tier is used and holds, or nothing starts and the operator is told why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import crippled
import pytest

from infra.finding import Finding
from validator.sandbox.policy import TIERS, Tier

DOCTOR = "from validator.doctor_cli import doctor; doctor(['--json'])"
CRIPPLED = [sys.executable, crippled.__file__]


def examined(*before: str) -> tuple[int, dict[str, Finding]]:
    """Run the doctor in a world made by the words `before` it."""
    done = subprocess.run([*before, sys.executable, "-c", DOCTOR], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, {found["name"]: Finding(**found) for found in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("lacks", "tier", "words"),
    [
        ("no-userns", "landlock", "user namespaces are refused, as containers do"),
        ("no-landlock", "namespaces", "it takes Linux 5.13"),
        pytest.param("switched-off-landlock", "namespaces", "lsm=", marks=pytest.mark.slow),
    ],
)
def test_the_next_tier_is_used_and_holds(lacks: str, tier: Tier, words: str) -> None:
    code, found = examined(*CRIPPLED, lacks, "--")
    if "cannot read" in found[f"tier {tier}"].detail:
        pytest.skip(f"this Python lies in somebody's home: {found[f'tier {tier}'].detail}")
    assert [one for one in found.values() if one.state == "error"] == []
    assert code == 0
    assert found[f"tier {tier}"].detail == "used here"
    assert found["tier full"].state == "warning"
    assert words in found["tier full"].detail
    assert found["attack: file write"].state == "ok"


@pytest.mark.parametrize("lacks", [("no-userns", "no-landlock"), pytest.param(("no-seccomp",), marks=pytest.mark.slow)])
def test_without_a_tier_nothing_starts(lacks: tuple[str, ...], tmp_path: Path) -> None:
    code, found = examined(*CRIPPLED, *lacks, "--")
    assert code == 3
    assert found["jail"].state == "error"
    assert all(found[f"tier {tier}"].state == "error" and found[f"tier {tier}"].detail for tier in TIERS)
    assert not [name for name in found if name.startswith("attack")]
    environment = {**os.environ, "LONGTAIL_HOME": str(tmp_path)}
    start = [*CRIPPLED, *lacks, "--", sys.executable, "-m", "validator.cli", "run", "--once"]
    done = subprocess.run(start, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith(
        "error: submissions cannot be jailed here, and nothing is run without a jail"
    )
