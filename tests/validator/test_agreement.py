"""Validators on different processors, in the real jail, come to the same verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess
from made_market import TOPIC, module, ridge

from protocol.errors import ConfigError
from validator.judging import score_module
from validator.sandbox.host import Sandbox
from validator.sandbox.tiers import strongest

PROGRAM = Path(__file__).with_name("coretype_program.py")
#: OpenBLAS core types, and the instructions that they need.
CORES = {"Nehalem": "sse4_2", "Haswell": "avx2", "SkylakeX": "avx512f"}


@pytest.fixture(scope="module", autouse=True)
def _a_jail() -> None:
    try:
        strongest()
    except ConfigError as error:
        pytest.skip(str(error))


def test_the_jail_and_the_stand_in_agree(market_uri: str) -> None:
    source = module(ridge(3.0))
    with Sandbox() as sandbox:
        jailed = score_module(source, "m.py", topic=TOPIC, uri=market_uri, sandbox=sandbox)
    free = score_module(source, "m.py", topic=TOPIC, uri=market_uri, sandbox=InProcess())
    assert jailed.judged == free.judged
    assert jailed.run["tier"] == sandbox.tier


@pytest.mark.slow
def test_processors_agree_to_the_last_digit(market_uri: str, tmp_path: Path) -> None:
    known = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    cores = [core for core, flag in CORES.items() if flag in known]
    assert cores
    found: dict[str, Any] = {}
    for core in cores:
        environment = {**os.environ, "OPENBLAS_CORETYPE": core, "LONGTAIL_HOME": str(tmp_path / core)}
        done = subprocess.run(
            [sys.executable, PROGRAM, market_uri], env=environment, capture_output=True, text=True, check=True
        )
        found[core] = json.loads(done.stdout)
    assert all(verdicts == found[cores[0]] for verdicts in found.values()), found
    assert "accepted" in {outcome for _, outcome, _ in found[cores[0]]}
