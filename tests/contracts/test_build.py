"""The committed artifacts are what the sources compile to, and nobody needs a compiler to use them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from protocol.ledger.artifacts import CORE, artifact, code_of, refusals
from protocol.ledger.refusal import CODES

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
NAMES = sorted(path.stem for path in (ROOT / "protocol" / "ledger" / "contracts").glob("*.json"))
#: What no contract refuses: no ABI can carry it, or validators see to it before they sign (decision 8).
ELSEWHERE = {"unknown-kind", "fields", "no-block"}


def test_the_artifacts_are_of_these_sources() -> None:
    lines = (CONTRACTS / "sources.sha256").read_text(encoding="utf-8").splitlines()
    stated = {name: digest for digest, name in (line.split("  ") for line in lines)}
    sources = [*(CONTRACTS / "src").glob("*.sol"), *(CONTRACTS / "test").glob("*.sol")]
    found = {str(path.relative_to(CONTRACTS)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}
    assert found == stated, "run `npm run build` in contracts"


@pytest.mark.slow
def test_the_sources_compile_to_the_artifacts() -> None:
    node = shutil.which("node")
    if node is None or not (CONTRACTS / "node_modules" / "solc").exists():
        pytest.skip("needs node and `npm ci` in contracts")
    done = subprocess.run([node, CONTRACTS / "build.mjs", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", NAMES)
def test_an_artifact_is_complete_and_small_enough(name: str) -> None:
    made = artifact(name)
    assert made.name == name
    assert made.compiler.startswith("0.8.37+")
    assert "__" not in made.bytecode  # nothing left to link
    assert len(made.bytecode) < 2 * (24_576 + 8_192)


def test_refusals_of_the_contracts_are_those_of_the_ledger() -> None:
    codes = set(refusals().values())
    assert codes == set(CODES) - ELSEWHERE
    names = {one["name"] for contract in CORE for one in artifact(contract).abi if one["type"] == "error"}
    strange = {name for name in names if code_of(name) not in CODES}
    assert strange - {"Behind", "NotAllowed", "Misdeployed"} <= {
        name for name in strange if name.startswith(("ERC", "ECDSA", "SafeERC", "Safe", "Invalid", "Strings", "String"))
    }


def test_packages_are_pinned_and_name_no_place() -> None:
    package = json.loads((CONTRACTS / "package.json").read_text(encoding="utf-8"))
    pins = package["dependencies"] | package["optionalDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pins.values())
    lock = (CONTRACTS / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert all("integrity" in one for name, one in json.loads(lock)["packages"].items() if name)
