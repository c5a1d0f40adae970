"""The doctor: says what is wrong and how to mend it, and touches nothing."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path

import pytest

from infra import finding
from infra.finding import Finding
from miner import doctor
from miner.doctor import examine


def states() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine()}


def test_a_sound_machine_is_sound_and_stays_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    found = states()
    assert not [finding for finding in found.values() if finding.state == "error"]
    assert {
        "python",
        "tpot",
        "scikit-learn",
        "xgboost",
        "settings",
        "state",
        "cache",
        "memory",
        "cores",
        "data",
        "topic",
    } <= set(found)
    assert found["data"].detail.endswith("20 series")
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    found = states()
    for name in ("state", "cache"):
        assert found[name].state == "error"
        assert "is not a writable folder; set LONGTAIL_HOME" in found[name].detail


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 12_000_000))
    assert states()["cache"].detail.endswith("12 MB free; 500 MB are needed")


def test_too_many_workers_for_the_machine_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_WORKERS", str(10 * (os.cpu_count() or 1) + 1000))
    found = states()
    assert found["cores"].state == found["memory"].state == "warning"


@pytest.mark.parametrize(
    ("variable", "value", "name", "words"),
    [
        ("LONGTAIL_DATA", "/no/such/place", "data", "no dataset there"),
        ("LONGTAIL_TOPIC", "atlantis", "topic", "no topic 'atlantis'"),
        ("LONGTAIL_WORKERS", "many", "settings", "workers = 'many'"),
        ("LONGTAIL_COLOUR", "red", "settings", "LONGTAIL_COLOUR is no setting"),
    ],
)
def test_what_is_set_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    found = states()
    assert found[name].state == "error"
    assert words in found[name].detail


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor.Distribution, "discover", lambda **_: [])
    found = states()
    for name in ("tpot", "distributed", "xgboost"):
        assert found[name] == Finding(name, "error", "not installed; run scripts/setup")


def test_an_unfit_interpreter_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding.sys, "version_info", (3, 10, 4))
    assert states()["python"].state == "error"
