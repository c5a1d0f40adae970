"""The validator's doctor: every layer and every attack by name, and what is wrong with the remedy."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from click.testing import CliRunner

from infra.finding import Finding
from protocol.errors import ConfigError
from validator import doctor
from validator.doctor_cli import doctor as command
from validator.sandbox import probes
from validator.sandbox.policy import LAYERS, TIERS, Layer, Tier
from validator.sandbox.probe_program import BOMBS, PROBES
from validator.sandbox.tiers import Finding as Found
from validator.sandbox.tiers import Survey, survey

SHARED = (Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm"), Path.home())  # noqa: S108  # where probes write


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the attacks out."""
    monkeypatch.setattr(probes, "attack", lambda tier: [Finding("attack: file write", "ok", "stopped")])
    monkeypatch.setattr(probes, "stopped_by", lambda layer: ["tcp"])


def surveyed(monkeypatch: pytest.MonkeyPatch, missing: Mapping[Layer, str]) -> None:
    layers = {layer: Found(layer not in missing, missing.get(layer, "there")) for layer in LAYERS}
    tiers = {tier: next((missing[one] for one in LAYERS if one in TIERS[tier] & set(missing)), None) for tier in TIERS}
    monkeypatch.setattr(doctor, "survey", lambda: Survey(MappingProxyType(layers), MappingProxyType(tiers)))


def states() -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor.examine()}


def test_this_machine_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks the jail of this machine, for real, and leaves nothing where the single layers let something through."""
    mark = f"test-{os.getpid()}"
    monkeypatch.setattr(probes.secrets, "token_hex", lambda count: mark)
    seen, found = survey(), states()
    assert [folder for folder in SHARED if (folder / f"longtail-{mark}").exists()] == []
    assert {f"attack: {probe}" for probe in (*PROBES, *BOMBS)} <= set(found)
    assert {"python", "scikit-learn", "xgboost", "settings", *(f"layer {layer}" for layer in LAYERS)} <= set(found)
    assert [finding for finding in found.values() if finding.state == "error"] == []
    if seen.layers["seccomp"].works:
        assert "alone it stops: tcp, udp" in found["layer seccomp"].detail


def test_without_layers_the_attacks_succeed() -> None:
    """Or else they would prove nothing where they fail."""
    stopped = set(probes.stopped_by("rlimits"))
    assert stopped <= {
        "threads",
        "privileges",
        "other sockets",
    }  # as far as the user and the kernel have no more to give


@pytest.mark.parametrize(
    ("missing", "used", "error"),
    [
        ({"namespaces": "no"}, "landlock", False),
        ({"landlock": "no"}, "namespaces", False),
        ({"seccomp": "no"}, None, True),
    ],
)
@pytest.mark.usefixtures("quick")
def test_the_ladder(
    monkeypatch: pytest.MonkeyPatch, missing: Mapping[Layer, str], used: Tier | None, error: bool
) -> None:
    surveyed(monkeypatch, missing)
    found = states()
    assert [tier for tier in TIERS if found[f"tier {tier}"].detail == "used here"] == ([used] if used else [])
    assert ("jail" in found) is error
    assert all(found[f"layer {layer}"] == Finding(f"layer {layer}", "warning", "no") for layer in missing)
    outcome = CliRunner().invoke(command, ["--json"])
    assert outcome.exit_code == (3 if error else 0)
    assert {one["name"] for one in json.loads(outcome.stdout)} == set(found)


@pytest.mark.usefixtures("quick")
def test_one_attack_that_succeeds_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    surveyed(monkeypatch, {})
    monkeypatch.setattr(probes, "attack", lambda tier: [Finding("attack: tcp", "error", "connected")])
    outcome = CliRunner().invoke(command, [])
    assert outcome.exit_code == 3
    assert "  error  attack: tcp" in outcome.stdout


@pytest.mark.usefixtures("quick")
def test_an_attack_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tier: object) -> list[Finding]:
        raise ConfigError("the sandbox does not start")

    surveyed(monkeypatch, {})
    monkeypatch.setattr(probes, "attack", broken)
    monkeypatch.setattr(probes, "stopped_by", broken)
    found = states()
    assert found["attack"] == Finding("attack", "error", "the sandbox does not start")
    assert found["layer uid"].state == "warning"


def test_usable_tells_of_a_tier_that_holds_and_of_one_that_cannot_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "attack", lambda tier: [Finding("a", "ok", ""), Finding("b", "error", "no")])
    assert probes.usable("full") == [Finding("b", "error", "no")]


@pytest.mark.usefixtures("quick")
def test_what_is_set_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    surveyed(monkeypatch, {})
    monkeypatch.setenv("LONGTAIL_COLOUR", "red")
    assert "LONGTAIL_COLOUR is no setting" in states()["settings"].detail


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", version)
    assert list(doctor._libraries())[-1] == Finding("coincurve", "error", "not installed; run scripts/setup")
