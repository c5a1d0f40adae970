"""Machines that lack something: the next tier is used and holds, or nothing starts and the operator is told why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import crippled
import pytest
from attack_bench import CONTROL_TEXT, Bench

from protocol.errors import ConfigError
from validator.finding import Finding
from validator.sandbox.host import Sandbox
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
    assert code == 0
    assert found[f"tier {tier}"].detail == "used here"
    assert found["tier full"].state == "warning"
    assert words in found["tier full"].detail
    assert found["attack: file write"].state == "ok"
    assert [one for one in found.values() if one.state == "error"] == []


@pytest.mark.parametrize("lacks", [("no-userns", "no-landlock"), pytest.param(("no-seccomp",), marks=pytest.mark.slow)])
def test_without_a_tier_nothing_starts(lacks: tuple[str, ...]) -> None:
    code, found = examined(*CRIPPLED, *lacks, "--")
    assert code == 3
    assert found["jail"].state == "error"
    assert all(found[f"tier {tier}"].state == "error" and found[f"tier {tier}"].detail for tier in TIERS)
    assert not [name for name in found if name.startswith("attack")]
    start = "from validator.sandbox.host import Sandbox; Sandbox()"
    done = subprocess.run(
        [*CRIPPLED, *lacks, "--", sys.executable, "-c", start], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "ConfigError: submissions cannot be jailed here, and nothing is run without a jail" in done.stderr


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare of util-linux")
def test_namespaces_that_the_administrator_has_switched_off() -> None:
    world = (
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
        "-",
    )
    if subprocess.run([*world, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces to begin with")
    code, found = examined(*world)
    assert "user.max_user_namespaces=0; set it to 15000" in found["layer namespaces"].detail
    if os.geteuid() == 0:  # root in there is root out here, with nobody else to become
        assert code == 3
        assert "start it as an ordinary user instead" in found["tier landlock"].detail
    else:
        assert code == 0
        assert found["tier landlock"].detail == "used here"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv of util-linux")
def test_root_that_may_not_change_its_user_is_told_to_be_somebody_else() -> None:
    code, found = examined("setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid", "--")
    assert code == 3
    assert "start it as an ordinary user instead" in found["tier full"].detail


@pytest.fixture
def private_folder() -> Iterator[Path]:
    """Return a folder of code that nobody but its owner can reach, as in a home with mode 0700."""
    with tempfile.TemporaryDirectory() as home:
        code = Path(home, "code")
        shutil.copytree(Path(__file__).parent, code, ignore=shutil.ignore_patterns("test_*", "__pycache__"))
        yield code


@pytest.mark.parametrize("tier", TIERS)
def test_code_in_a_private_home(tier: Tier, private_folder: Path) -> None:
    job = Bench.job(CONTROL_TEXT)
    with Sandbox(program="attack_program", tier=tier, path=[str(private_folder)]) as sandbox:
        if os.geteuid() != 0 or tier != "landlock":
            assert sandbox.run(job).status == "ok"
            return
        with pytest.raises(ConfigError, match=r"cannot read .*; make it readable for all, install"):
            sandbox.run(job)
