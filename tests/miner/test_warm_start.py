"""Known pipelines: named ones first, then the record's, each once, and none that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import TOPIC, pipeline, text_of

from miner.warm_start import known_pipelines
from pipelines.module import to_module
from pipelines.spec import Call, call
from protocol.errors import ConfigError, RefusedError

SCALER = call("sklearn.preprocessing.StandardScaler")


def ridge(alpha: float) -> Call:
    return call("sklearn.linear_model.Ridge", {"alpha": alpha})


WIDE = (call("sklearn.decomposition.PCA", {"n_components": 900}), ridge(1.5))


def module(path: Path, *steps: Call) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_module(pipeline(*steps), title=path.name, facts={}))
    return path


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))
    folder = tmp_path / "state" / "record" / TOPIC.name
    module(folder / "b.py", SCALER, ridge(2.0))
    module(folder / "a.py", SCALER, ridge(3.0))
    module(folder / "c.py", *WIDE)
    module(folder.parent / "another-topic" / "d.py", SCALER, ridge(4.0))
    return folder


def found(*named: Path, record: bool = True) -> tuple[str, ...]:
    return known_pipelines(named, TOPIC, record=record, n_features=20, n_samples=500)


def test_named_ones_come_first_and_each_once(record: Path, tmp_path: Path) -> None:
    mine, twin = module(tmp_path / "mine.py", SCALER, ridge(5.0)), module(tmp_path / "twin.py", SCALER, ridge(2.0))
    assert found(mine, twin, mine) == tuple(text_of(SCALER, ridge(alpha)) for alpha in (5.0, 2.0, 3.0))
    assert found(mine, record=False) == (text_of(SCALER, ridge(5.0)),)


def test_without_a_record_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))
    assert found() == ()


def test_a_named_one_that_is_certain_to_fail_is_refused(record: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"wide\.py cannot work with 20 features and 500 training rows: PCA"):
        found(module(tmp_path / "wide.py", *WIDE))


def test_a_module_outside_the_subset_is_refused_and_never_run(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n")
    with pytest.raises(RefusedError, match=r"bad\.py"):
        found(bad)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.py cannot be read: No such file or directory; check --start-from"):
        found(tmp_path / "nothing.py")


def test_a_recorded_file_that_is_no_module_is_left_out(record: Path) -> None:
    before = found()
    (record / "0.py").write_bytes(b"import os\n")
    assert found() == before != ()
