"""Known pipelines: named ones first, then the record's, each once, and none that cannot work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from made_runs import pipeline, text_of

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


#: What a ledger could hold.
RECORD = {
    "a": to_module(pipeline(SCALER, ridge(3.0)), title="a", facts={}).encode(),
    "b": to_module(pipeline(SCALER, ridge(2.0)), title="b", facts={}).encode(),
    "c": to_module(pipeline(*WIDE), title="c", facts={}).encode(),
    "d": b"import os\n",
}


def found(*named: Path, record: Mapping[str, bytes] = MappingProxyType(RECORD)) -> tuple[str, ...]:
    return known_pipelines(named, record, n_features=20, n_samples=500)


def test_named_ones_come_first_and_each_once(tmp_path: Path) -> None:
    mine, twin = module(tmp_path / "mine.py", SCALER, ridge(5.0)), module(tmp_path / "twin.py", SCALER, ridge(2.0))
    assert found(mine, twin, mine) == tuple(text_of(SCALER, ridge(alpha)) for alpha in (5.0, 2.0, 3.0))
    assert found(mine, record={}) == (text_of(SCALER, ridge(5.0)),)


def test_of_the_record_only_what_can_work_here_takes_part() -> None:
    assert found() == (text_of(SCALER, ridge(3.0)), text_of(SCALER, ridge(2.0)))
    assert found(record={}) == ()


def test_a_named_one_that_is_certain_to_fail_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"wide\.py cannot work with 20 features and 500 training rows: PCA"):
        found(module(tmp_path / "wide.py", *WIDE))


def test_a_module_outside_the_subset_is_refused_and_never_run(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n")
    with pytest.raises(RefusedError, match=r"bad\.py"):
        found(bad)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.py cannot be read: No such file or directory"):
        found(tmp_path / "nothing.py")
