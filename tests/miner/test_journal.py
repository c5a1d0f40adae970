"""The journal: made whole, kept whole, refused when it is not what it claims to be."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import TOPIC, config_of

from miner.candidate import Candidate
from miner.config import RunConfig
from miner.journal import Journal
from miner.outcome import STATUSES, Outcome
from protocol.errors import ConfigError

CANDIDATE = Candidate(0, '{"a.b":{}}', "random", 2.5, 20.0, (0.1, 0.2), False)
OUTCOME = Outcome(0, "ok", (0.1, 1 / 3), (0.2, 0.3), (20, 21), 1.25)
ROOT = Path(__file__).parents[2]


def made(folder: Path, config: RunConfig | None = None) -> Journal:
    folder.mkdir(parents=True, exist_ok=True)
    return Journal.create(folder, config or config_of(), {"numpy": "2.0", "tpot": "1.1"})


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    topic = replace(TOPIC, sectors=("a",), symbols=("b", "c"), title="A title: ü")
    config = replace(config_of(start_from=("x", "y")), topic=topic)
    with closing(made(tmp_path, config)) as journal:
        assert names(tmp_path) >= {"journal.sqlite"}
        journal.start_session("2026-01-01T00:00:00+00:00", "pool")
        journal.record_candidates([CANDIDATE])
        journal.record_candidates([CANDIDATE])
        journal.record_outcomes([OUTCOME], 1.0)
        journal.record_outcomes([replace(OUTCOME, cpu_s=9.0)], 2.0)  # a second reply changes nothing
    with closing(Journal.open(tmp_path)) as journal:
        assert journal.config == config
        assert journal.outcomes() == {0: OUTCOME}
        summary = journal.summary()
        assert summary["best"] == OUTCOME.score
        assert (summary["evaluated"], summary["evaluations"], summary["started"]) == (
            1,
            40,
            "2026-01-01T00:00:00+00:00",
        )
        journal.check_versions({"numpy": "2.0", "tpot": "1.1"})
        with pytest.raises(ConfigError, match=r"started with numpy 2\.0, here is 3\.0; install that version"):
            journal.check_versions({"numpy": "3.0", "tpot": "1.1"})
    assert names(tmp_path) == {"journal.sqlite"}


@given(
    st.sampled_from(STATUSES),
    st.lists(st.floats(-1, 1), max_size=5),
    st.floats(0, 1e6),
    st.text(max_size=50),
)
def test_outcomes_survive_json_bit_for_bit(status: str, scores: list[float], cpu_s: float, reason: str) -> None:
    outcome = Outcome(7, status, tuple(scores), tuple(scores), (3,) * len(scores), cpu_s, reason)  # type: ignore[arg-type]  # one of the literals
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


@pytest.mark.parametrize(
    "changed",
    [
        replace(CANDIDATE, text='{"a.c":{}}'),
        replace(CANDIDATE, cap_s=21.0),
        replace(CANDIDATE, complexity=3.0),
        replace(CANDIDATE, origin="mutation"),
    ],
)
def test_another_candidate_under_the_same_number_is_refused(tmp_path: Path, changed: Candidate) -> None:
    with closing(made(tmp_path)) as journal:
        journal.record_candidates([CANDIDATE])
        with pytest.raises(ConfigError, match="candidate 0 comes out different"):
            journal.record_candidates([changed])


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    made(tmp_path).close()
    before = (tmp_path / "journal.sqlite").read_bytes()
    with pytest.raises(ConfigError, match="already holds a run; resume it with"):
        made(tmp_path, config_of(seed=2))
    assert (tmp_path / "journal.sqlite").read_bytes() == before
    assert names(tmp_path) == {"journal.sqlite"}


def test_a_race_for_the_folder_has_one_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process creates its journal after we have looked."""
    from miner import journal as module

    looked = module.refuse_present
    calls: list[Path] = []

    def late(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 1:
            monkeypatch.setattr(module, "refuse_present", lambda _: None)
            made(folder, config_of(seed=99)).close()
            monkeypatch.setattr(module, "refuse_present", late)
            return
        looked(folder)

    monkeypatch.setattr(module, "refuse_present", late)
    with pytest.raises(ConfigError, match="already holds a run"):
        made(tmp_path, config_of(seed=1))
    with closing(Journal.open(tmp_path)) as journal:
        assert journal.config.seed == 99
    assert names(tmp_path) == {"journal.sqlite"}


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zero_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)


def sql(*statements: str) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "start a new run"),
        (lambda path: path.write_bytes(b"not sqlite at all " * 300), "not a database; start a new run"),
        (truncate, "start a new run"),
        (zero_page, "start a new run"),
        (
            sql("UPDATE meta SET value = 'longtail-journal-9' WHERE key = 'format'"),
            "'longtail-journal-9', this version reads",
        ),
        (sql("DELETE FROM meta WHERE key = 'format'"), "has format None"),
        (sql("DELETE FROM meta WHERE key = 'config'"), "start a new run"),
        (sql("UPDATE meta SET value = '{' WHERE key = 'config'"), "start a new run"),
        (sql("UPDATE meta SET value = '[1]' WHERE key = 'config'"), "start a new run"),
        (
            sql("UPDATE meta SET value = json_set(value, '$.colour', 1) WHERE key = 'config'"),
            "does not fit this version",
        ),
        (sql("UPDATE meta SET value = json_remove(value, '$.seed', '$.data_root') WHERE key = 'config'"), "data_root"),
        (sql("UPDATE meta SET value = json_set(value, '$.topic.horizon', -1) WHERE key = 'config'"), "horizon is -1"),
        (sql("DROP TABLE outcomes"), "no such table: outcomes"),
        (sql("UPDATE outcomes SET outcome = '{\"k\": 0}'"), "start a new run"),
        (sql("UPDATE outcomes SET outcome = 'nonsense'"), "start a new run"),
    ],
)
def test_what_is_not_a_whole_journal_of_ours_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    with closing(made(tmp_path)) as journal:
        for k in range(60):
            journal.record_candidates([replace(CANDIDATE, k=k, text="x" * 500)])
            journal.record_outcomes([replace(OUTCOME, k=k)], 1.0)
    damage(tmp_path / "journal.sqlite")
    with pytest.raises(ConfigError, match=message) as caught, closing(Journal.open(tmp_path)) as journal:
        journal.outcomes()
    assert caught.value.exit_code == 3
    assert str(tmp_path) in str(caught.value) or "journal" in str(caught.value)


def test_a_folder_without_a_run_is_refused_and_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run; see `ltminer runs`"):
        Journal.open(tmp_path)
    assert not names(tmp_path)


def _hold(folder: Path, ready: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    with closing(Journal.open(folder)) as journal, journal.locked():
        ready.set()
        done.wait(30)


def test_a_second_coordinator_is_kept_away(tmp_path: Path) -> None:
    made(tmp_path).close()
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, ready, done))
    other.start()
    assert ready.wait(60)
    with closing(Journal.open(tmp_path)) as journal:
        with pytest.raises(ConfigError, match="in use by another ltminer"), journal.locked():
            pass
        assert journal.summary()["evaluated"] == 0, "looking is allowed"
        done.set()
        other.join()
        with journal.locked():
            pass


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    with closing(made(tmp_path)) as journal:
        journal.start_session("2026-01-01T00:00:00+00:00", "pool")
        journal.record_candidates([CANDIDATE])
        journal.record_outcomes([OUTCOME], 1.0)
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(ConfigError, match="is full; it is whole: free some space, then resume the run"):
            journal.record_outcomes([replace(OUTCOME, k=1, reason="x" * 50_000)], 2.0)
        journal._db.execute("PRAGMA max_page_count = 1000000")
        journal.record_outcomes([replace(OUTCOME, k=2)], 3.0)  # no transaction was left open
    with closing(Journal.open(tmp_path)) as journal:
        assert set(journal.outcomes()) == {0, 2}


def test_no_room_for_a_journal_leaves_nothing(tmp_path: Path) -> None:
    """The kernel refuses to let files grow, as a full disk would."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from test_journal import made\n"
        "from protocol.errors import ConfigError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "try: made(Path(sys.argv[1]))\n"
        "except ConfigError as error: print(error)"
    )
    done = run_python(code, tmp_path)
    assert "cannot be created" in done.stdout, done.stderr
    assert "free some space or choose another --out" in done.stdout
    assert not names(tmp_path)


def test_writing_beyond_the_room_there_is_keeps_what_was_committed(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from dataclasses import replace; from pathlib import Path\n"
        "from test_journal import CANDIDATE, OUTCOME, made; from protocol.errors import ConfigError\n"
        "journal = made(Path(sys.argv[1])); journal.start_session('2026', 'pool')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (150000, 150000))\n"
        "try:\n"
        "    for k in range(1000):\n"
        "        journal.record_candidates([replace(CANDIDATE, k=k)]); journal.record_outcomes([replace(OUTCOME, k=k)], 1.0)\n"
        "        print(k, flush=True)\n"
        "except ConfigError as error: print(error, file=sys.stderr)"
    )
    done = run_python(code, tmp_path)
    assert "it is whole: free some space, then resume the run" in done.stderr
    committed = [int(line) for line in done.stdout.split()]
    assert len(committed) > 3
    with closing(Journal.open(tmp_path)) as journal:
        assert list(journal.outcomes())[: len(committed)] == committed


def test_an_outcome_that_was_written_outlives_kill_9(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from dataclasses import replace; from pathlib import Path\n"
        "from test_journal import CANDIDATE, OUTCOME, made\n"
        "journal = made(Path(sys.argv[1])); journal.start_session('2026', 'pool')\n"
        "for k in range(10):\n"
        "    journal.record_candidates([replace(CANDIDATE, k=k)]); journal.record_outcomes([replace(OUTCOME, k=k)], 1.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run_python(code, tmp_path).returncode == -signal.SIGKILL
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in names(tmp_path) - {"copy"}:
        shutil.copy(tmp_path / name, copy / name)
    with closing(Journal.open(copy)) as journal:
        assert journal.outcomes() == {k: replace(OUTCOME, k=k) for k in range(10)}


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{ROOT}"}
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
