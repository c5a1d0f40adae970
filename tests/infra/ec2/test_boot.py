"""Instances that really boot: moto says what exists, a fake EC2 runs its user-data in network namespaces, workers join by TLS.

Each scene runs in namespaces of its own and leaves nothing behind.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from fake_ec2 import missing, run_inside

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
SCENES = Path(__file__).parent / "boot_scene.py"


def play(name: str, folder: Path, within_s: float, scene: Path = SCENES) -> dict[str, Any]:
    before = links()
    result = run_inside(scene, name, str(folder / "world"), within_s=within_s, log=folder / "log")
    assert links() == before
    assert result["errors"] == []
    return result


def links() -> str:
    return subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout


def test_whatever_happens_to_instances_every_task_ends(tmp_path: Path) -> None:
    seen = play("faults", tmp_path, within_s=900)
    assert seen["answers"] == list(range(40))
    assert (seen["noticed"], seen["taken"]) == ("shut itself down", "reclaimed")
    assert (seen["cut"], seen["frozen"]) == ("back", "back")  # the network heals, the instance thaws
    assert seen["late"] == [1000]
    (event,) = [one for one in seen["events"] if one["what"] == "leaving"]
    assert event["instance"] == seen["noticed_id"]
    assert f"longtail: {event['why']}\nlongtail: shutting down" in seen["noticed_console"]
    assert seen["modes"] == "0o600"
    assert "PRIVATE KEY" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_instances_end_themselves(tmp_path: Path) -> None:
    seen = play("ends", tmp_path, within_s=900)
    consoles = seen["consoles"]
    assert "longtail: idle for 5 s" in consoles["idle"]
    assert "longtail: lifetime of 90 s is over" in consoles["old"]
    assert "longtail: no scheduler for 60 s" in consoles["lost"]
    assert "must be 000000" in consoles["lied"]
    assert "shutting down: certificate or bundle could not be fetched" in consoles["lied"]
    assert all(console.rstrip().endswith("shutdown -h now") for console in consoles.values())
    assert set(seen["states"]) == {"terminated"}


def test_the_whole_environment_boots(tmp_path: Path) -> None:
    seen = play("whole", tmp_path, within_s=900)
    versions = seen["versions"]
    assert all(versions[name].startswith("/opt/longtail/site/") for name in ("sklearn", "miner", "pa"))
