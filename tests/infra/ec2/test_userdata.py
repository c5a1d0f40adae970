"""User-data: bash that says no secret, fits, quotes what it is given, and always ends in a shutdown."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.dask_settings import FAR_CLUSTER
from infra.ec2.certificates import make_certificates
from infra.ec2.userdata import MAX_BYTES, Boot, render
from protocol.errors import ConfigError

BOOT = Boot(
    scheduler="tls://10.0.0.1:8786",
    endpoint="https://s3.eu-central-1.amazonaws.com",
    bucket="bucket",
    region="eu-central-1",
    objects="longtail/objects/",
    certificates="longtail/runs/one/worker/",
    manifest="0" * 64,
    ca_sha256="1" * 64,
    python="3.11",
)


def test_it_is_bash_and_leaves_room() -> None:
    script = render(BOOT)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert script.startswith("#!/bin/bash\n")
    assert len(script.encode()) < MAX_BYTES - 4096
    assert not re.search(r"@[A-Z]+@", script)
    with pytest.raises(ConfigError, match="EC2 takes 16384"):
        render(dataclasses.replace(BOOT, dask={"some.setting": "x" * 9000}))


def test_no_secret_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "LONGTAIL_PASSWORD_FILE"):
        monkeypatch.setenv(name, f"marked-{name}")
    made = make_certificates("one", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.timedelta(days=1))
    script = render(dataclasses.replace(BOOT, ca_sha256=made.ca_sha256, dask=FAR_CLUSTER))
    assert "marked-" not in script
    assert "-----BEGIN" not in script
    for pem in (made.scheduler_key, made.worker_key, made.worker):
        for line in pem.decode().splitlines():
            assert line.startswith("-----") or line not in script
    assert made.ca_sha256 in script


@pytest.mark.parametrize(
    "unkind", ["'; touch harmed; '", "$(touch harmed)", "`touch harmed`", "\nlongtail-end\ntouch harmed\n"]
)
def test_what_it_is_given_is_never_run(unkind: str, tmp_path: Path) -> None:
    boot = dataclasses.replace(BOOT, bucket=unkind, objects=unkind, dask={unkind: unkind})
    done = run_stubbed(render(boot), tmp_path)
    assert not (tmp_path / "harmed").exists()
    config = json.loads((tmp_path / "root" / "config.json").read_text())
    assert (config["bucket"], config["dask"]) == (unkind, {unkind: unkind})
    assert done.stdout.splitlines()[-1] == "shutdown -h now"


def run_stubbed(script: str, folder: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run the script below `folder`, with every program that does something replaced by an echo."""
    stubs = folder / "stubs"
    stubs.mkdir()
    stubbed = {
        "shutdown": 'echo "shutdown $*"',
        "python3": "exit 0",
        "python3.11": "exit 0",
        "sync": "exit 0",
        **programs,
    }
    for name, body in stubbed.items():
        (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
        (stubs / name).chmod(0o755)
    assert script.count("/opt/longtail") == 1
    (stubs / "user-data").write_text(script.replace("/opt/longtail", str(folder / "root")))
    tools = [str(Path(found).parent) for found in (shutil.which("bash"), shutil.which("timeout")) if found]
    path = os.pathsep.join([str(stubs), *tools])
    return subprocess.run(
        ["bash", stubs / "user-data"],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({}, "the supervisor ended with code 0"),
        ({"python3.11": "exit 7"}, "the supervisor ended with code 7"),
        ({"python3.11": "kill -9 $$"}, "the supervisor ended with code 137"),
        ({"python3": "exit 1"}, "certificate or bundle could not be fetched"),
        ({"python3": "kill -TERM $PPID; sleep 1"}, "certificate or bundle could not be fetched"),
        ({"python3.11": "kill -TERM $PPID; sleep 1"}, "user-data was ended"),
    ],
)
def test_whatever_happens_it_ends_in_a_shutdown(programs: dict[str, str], why: str, tmp_path: Path) -> None:
    lines = run_stubbed(render(BOOT), tmp_path, **programs).stdout.splitlines()
    assert lines[0] == "shutdown -h +1450"  # a day, and ten minutes for the script to do it itself
    assert lines[-2:] == [f"longtail: shutting down: {why}", "shutdown -h now"]
    assert lines.count("shutdown -h now") == 1


def test_an_interpreter_that_cannot_be_installed_ends_it(tmp_path: Path) -> None:
    script = render(dataclasses.replace(BOOT, python="3.99"))
    lines = run_stubbed(script, tmp_path, dnf='echo "dnf $*"').stdout.splitlines()
    assert "dnf -q -y install python3.99" in lines
    assert lines[-2:] == [
        "longtail: shutting down: there is no python3.99 and none can be installed",
        "shutdown -h now",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scheduler", "tcp://10.0.0.1:8786"),
        ("scheduler", "tls://10.0.0.1:8786 --no-tls"),
        ("manifest", "latest"),
        ("python", "3"),
        ("workers", -1),
        ("idle_s", float("nan")),
        ("lifetime_s", float("inf")),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"an instance's {name} cannot be"):
        dataclasses.replace(BOOT, **{name: value})  # type: ignore[arg-type]  # what is wrong is the point
