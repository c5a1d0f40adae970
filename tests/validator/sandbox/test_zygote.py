"""The zygote's life: it ends with its host, its children end with it, and it forks only while it has one thread."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from protocol.errors import ConfigError, LongtailError
from validator.sandbox.host import Job, Sandbox
from validator.sandbox.policy import ConfinementError
from validator.sandbox.tiers import strongest

HERE = str(Path(__file__).parent)
HOST = """
import sys
import numpy as np
from validator.sandbox.host import Job, Sandbox
tier = sys.argv[1]
with Sandbox(program="rude_program", path=[sys.argv[2]], **({"tier": tier} if tier else {"layers": frozenset()})) as box:
    print(box.pid, flush=True)
    box.run(Job("hang", 0, np.zeros((2, 1)), np.zeros(2), np.zeros((1, 1)), [(0, 1)]))
"""


def hanging() -> Job:
    return Job("hang", 0, np.zeros((2, 1)), np.zeros(2), np.zeros((1, 1)), [(0, 1)])


def family(pid: int, *, of_at_least: int) -> list[psutil.Process]:
    """Wait for the zygote's children; the jail of the full tier is a process in a process."""
    zygote = psutil.Process(pid)
    while len(children := zygote.children(recursive=True)) < of_at_least:
        assert zygote.is_running()
    return children


@pytest.fixture(scope="module", params=["", "strongest"])
def tier(request: pytest.FixtureRequest) -> str:
    return strongest() if request.param else ""


@pytest.fixture
def host(tier: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HOST, tier, HERE], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_zygote_and_children_die_with_the_host(host: subprocess.Popen[str], tier: str, how: signal.Signals) -> None:
    assert host.stdout is not None
    zygote = int(host.stdout.readline())
    family_of_zygote = [psutil.Process(zygote), *family(zygote, of_at_least=2 if tier in ("full", "namespaces") else 1)]
    host.send_signal(how)
    _, alive = psutil.wait_procs(family_of_zygote, timeout=30)
    assert alive == []


def test_children_die_with_the_zygote(tier: str) -> None:
    failures: list[LongtailError] = []

    def run() -> None:
        try:
            box.run(hanging())
        except LongtailError as error:
            failures.append(error)

    given = {"tier": tier} if tier else {"layers": frozenset()}
    with Sandbox(program="rude_program", path=[HERE], **given) as box:  # type: ignore[arg-type]  # one of two options
        thread = threading.Thread(target=run)
        killed: set[int] = set()
        thread.start()
        while thread.is_alive():
            pid = box.pid
            if pid is None or pid in killed:
                continue
            try:
                children = family(pid, of_at_least=2 if tier in ("full", "namespaces") else 1)
            except psutil.Error:
                continue
            psutil.Process(pid).kill()
            killed.add(pid)
            _, alive = psutil.wait_procs(children, timeout=30)
            assert alive == []
        thread.join()
    assert len(killed) == 2
    assert "died 2 times" in str(failures[0])


def program(folder: Path, warm: str) -> Sandbox:
    (folder / "made_program.py").write_text(f"def warm():\n    {warm}\n\ndef run(task):\n    pass\n")
    return Sandbox(program="made_program", path=[str(folder)], layers=frozenset())


@pytest.mark.parametrize(
    ("warm", "words"),
    [
        ("import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "1 threads"),
        ("raise ValueError('no library')", "ValueError: no library"),
        ("import sys; sys.stderr.write('last words'); sys.exit(1)", "last words"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "code -9 and no word"),
    ],
)
def test_a_zygote_that_cannot_serve_says_why(tmp_path: Path, warm: str, words: str) -> None:
    box = program(tmp_path, warm)
    with pytest.raises(ConfigError, match=words):
        box.run(hanging())
    assert box.pid is None


def test_a_child_that_cannot_be_confined_is_our_fault_not_its(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No status for the submission: the host raises, and says which layer."""
    (tmp_path / "sitecustomize.py").write_text(
        "from validator.sandbox import confinement, policy\n"
        "def confine(*_): raise policy.ConfinementError('landlock', 'switched off')\n"
        "confinement.confine = confine\n"
    )
    (tmp_path / "made_program.py").write_text("def warm(): pass\ndef run(task): pass\n")
    monkeypatch.setitem(sys.modules["validator.sandbox.host"].ENVIRONMENT, "PYTHONPATH", str(tmp_path))
    with (
        Sandbox(program="made_program", layers=frozenset()) as box,
        pytest.raises(ConfigError, match="ConfinementError: layer landlock: switched off"),
    ):
        box.run(hanging())
    assert issubclass(ConfinementError, ConfigError)
