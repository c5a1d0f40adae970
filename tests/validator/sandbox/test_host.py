"""Nothing a child does blocks or confuses the host or the zygote: every ending has its status, and the next job is as good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from protocol.errors import ClusterError, ConfigError, DataError
from validator.sandbox.host import Job, Replay, Sandbox
from validator.sandbox.policy import Limits

HERE = str(Path(__file__).parent)
OPEN: frozenset[Any] = frozenset()  # no layer: these tests are about the talk, not the walls


def job(text: str, *, limits: Limits | None = None, batches: int = 10, rows: int = 40) -> Job:
    rng = np.random.default_rng(7)
    edges = np.linspace(0, rows, batches + 1).astype(int).tolist()
    return Job(
        text,
        3,
        rng.standard_normal((50, 4)),
        rng.standard_normal(50),
        rng.standard_normal((rows, 4)),
        list(pairwise(edges)),
        limits or Limits(wall_s=30),
    )


def expected(asked: Job) -> np.ndarray[Any, Any]:
    weight = asked.train.T @ asked.label + asked.seed + len(asked.text)
    return np.concatenate([asked.test[start:end] @ weight for start, end in asked.batches])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(program="rude_program", path=[HERE], layers=OPEN) as box:
        yield box


def open_files(sandbox: Sandbox) -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), len(list(Path(f"/proc/{sandbox.pid}/fd").iterdir()))


@pytest.mark.parametrize(("rows", "batches"), [(40, 40), (40, 1), (1, 1), (50_000, 3)])
def test_a_job_comes_through_whole(sandbox: Sandbox, rows: int, batches: int) -> None:
    asked = job("control", rows=rows, batches=batches)
    replay = sandbox.run(asked)
    assert (replay.status, replay.reason) == ("ok", "")
    assert replay.predictions is not None
    np.testing.assert_allclose(replay.predictions, expected(asked), rtol=1e-12, atol=1e-12)
    assert 0 < replay.cpu_s < 10
    assert replay.wall_s > 0
    assert replay.peak_mb > 5


SHORT_WALL = Limits(wall_s=0.5)
ENDINGS = [
    ("early", "flood", "more than it was asked for", None),
    ("one_more", "flood", "more than it was asked for", None),
    ("one_more_in_the_end", "flood", "more than it was asked for", None),
    ("endless_answers", "flood", "more than it was asked for", None),
    ("endless_words", "flood", "more than it was asked for", None),
    ("first_only", "short", "32 of 320 bytes", None),
    ("torn", "short", "3 of 320 bytes", None),
    ("silent", "short", "0 of 320 bytes", None),
    ("deaf", "wall", "not done after 0.5 s", SHORT_WALL),
    ("hang", "wall", "not done after 0.5 s", SHORT_WALL),
    ("hang_after_the_last_answer", "wall", "not done after 0.5 s", SHORT_WALL),
    ("no_number", "not-finite", "40 predictions are not finite", None),
    ("too_big", "not-finite", "40 predictions are not finite", None),
    ("error", "failed", "ValueError: first line ?[31mred ?? long", None),
    ("no_such_function", "failed", "KeyError: 'no_such_function'", None),
    ("leave", "failed", "SystemExit: 3", None),
    ("write_the_data", "failed", "ValueError: cannot set WRITEABLE flag", None),
    ("more_memory_than_there_is", "memory", "the limit is 2048 MB", None),
    ("memory_in_a_library", "memory", "std::bad_alloc", None),
    ("abort_for_memory", "memory", "signal 6 (Aborted)", None),
    ("kill_itself", "killed", "signal 9 (Killed)", None),
    ("crash", "killed", "signal 11 (Segmentation fault)", None),
    ("spin", "cpu", "used 0.3 CPU seconds", Limits(cpu_s=0.3)),
    ("spin_in_a_grandchild", "cpu", "used 0.3 CPU seconds", Limits(cpu_s=0.3)),
    ("spin_up_to_the_soft_limit", "cpu", "stopped by the kernel after", Limits(cpu_s=1.3)),
    ("spin_up_to_the_hard_limit", "cpu", "stopped by the kernel after", Limits(cpu_s=1.3)),
]


@pytest.mark.parametrize(("text", "status", "words", "limits"), ENDINGS, ids=[case[0] for case in ENDINGS])
def test_every_ending_has_its_status_and_harms_nobody(
    sandbox: Sandbox, text: str, status: str, words: str, limits: Limits | None
) -> None:
    before = sandbox.run(job("control"))
    zygote, files = sandbox.pid, open_files(sandbox)
    replay = sandbox.run(job(text, limits=limits))
    assert replay.status == status, replay
    assert words in replay.reason
    assert len(replay.reason) <= 300
    assert replay.reason.isascii()
    assert replay.reason.isprintable()
    assert replay.predictions is None
    after = sandbox.run(job("control"))
    assert before.predictions is not None
    assert after.predictions is not None
    assert before.predictions.tobytes() == after.predictions.tobytes()
    assert sandbox.pid == zygote
    assert open_files(sandbox) == files
    assert psutil.Process(zygote).children(recursive=True) == []


def test_rows_wait_in_the_host_until_they_are_due(sandbox: Sandbox) -> None:
    replay = sandbox.run(job("look_ahead", batches=5))
    assert replay.predictions is not None
    assert not replay.predictions.any()


def test_a_child_that_never_reads_a_large_batch(sandbox: Sandbox) -> None:
    replay = sandbox.run(job("never_reads", rows=100_000, batches=1, limits=SHORT_WALL))
    assert replay.status == "wall"


def test_what_a_child_leaves_behind_ends_with_it(sandbox: Sandbox) -> None:
    replay = sandbox.run(job("leave_somebody_behind"))
    assert replay.status == "ok"
    assert psutil.Process(sandbox.pid).children(recursive=True) == []


def test_cpu_and_memory_of_grandchildren_count(sandbox: Sandbox) -> None:
    alone, together = sandbox.run(job("control")), sandbox.run(job("use_cpu_in_a_grandchild"))
    assert together.cpu_s > alone.cpu_s + 0.2
    assert together.peak_mb > alone.peak_mb + 50


def test_fifty_jobs_leave_no_descriptor(sandbox: Sandbox) -> None:
    texts = ["control", "one_more", "crash", "first_only", "error"]
    sandbox.run(job("control"))
    files = open_files(sandbox)
    for number in range(50):
        sandbox.run(job(texts[number % len(texts)]))
    assert open_files(sandbox) == files


def test_a_child_inherits_its_job_and_nothing_else(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_SECRET", "1")
    assert sandbox.run(job("tell_descriptors")).reason == "RuntimeError: 0 1 2 4 5"
    names = set(sandbox.run(job("tell_environment")).reason.removeprefix("RuntimeError: ").split())
    assert {"OMP_NUM_THREADS", "PYTHONHASHSEED", "TMPDIR"} <= names
    assert names <= {
        *("HOME", "TMPDIR", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS", "JOBLIB_MULTIPROCESSING"),
        *(
            "MALLOC_ARENA_MAX",
            "GLIBC_TUNABLES",
            "PYTHONHASHSEED",
            "OPENBLAS_CORETYPE",
            "NPY_DISABLE_CPU_FEATURES",
            "LC_CTYPE",
        ),
    }


def test_a_dead_zygote_is_replaced(sandbox: Sandbox, tmp_path: Path) -> None:
    before, files = sandbox.run(job("control")), open_files(sandbox)
    first = sandbox.pid
    psutil.Process(first).kill()
    after = sandbox.run(job("control"))
    assert sandbox.pid != first
    assert before.predictions is not None
    assert after.predictions is not None
    assert before.predictions.tobytes() == after.predictions.tobytes()
    second = sandbox.pid
    assert sandbox.run(job(f"kill_the_zygote_once {tmp_path / 'done'}")).status == "ok"
    assert sandbox.pid not in (first, second)
    assert open_files(sandbox) == files


def test_one_kill_may_be_the_machines(sandbox: Sandbox, tmp_path: Path) -> None:
    zygote = sandbox.pid
    assert sandbox.run(job(f"get_killed_once {tmp_path / 'done'}")).status == "ok"
    assert sandbox.pid == zygote


def test_no_job_is_judged_when_the_zygote_keeps_dying(sandbox: Sandbox) -> None:
    with pytest.raises(ClusterError, match="died 2 times"):
        sandbox.run(job("kill_the_zygote"))
    assert sandbox.run(job("control")).status == "ok"


def test_threads_take_turns(sandbox: Sandbox) -> None:
    replays: list[Replay] = []
    threads = [threading.Thread(target=lambda: replays.append(sandbox.run(job("control")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [replay.status for replay in replays] == ["ok"] * 8


def test_a_program_that_cannot_be_imported() -> None:
    with pytest.raises(ConfigError, match="No module named 'no_such_program'"):
        Sandbox(program="no_such_program", layers=OPEN).__enter__()


WRONG = {
    "columns": {"test": np.zeros((4, 3))},
    "labels": {"label": np.zeros(9)},
    "no rows": {"test": np.zeros((0, 2)), "batches": []},
    "gap": {"batches": [(0, 1), (2, 4)]},
    "overlap": {"batches": [(0, 3), (2, 4)]},
    "empty batch": {"batches": [(0, 0), (0, 4)]},
    "too few": {"batches": [(0, 3)]},
    "too many": {"batches": [(0, 5)]},
    "text": {"text": "x" * (1 << 20 | 1)},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_job_that_does_not_fit_together(change: dict[str, Any]) -> None:
    good = {"text": "", "seed": 0, "train": np.zeros((10, 2)), "label": np.zeros(10)}
    good |= {"test": np.zeros((4, 2)), "batches": [(0, 4)]}
    Job(**good)
    with pytest.raises(DataError):
        Job(**{**good, **change})
