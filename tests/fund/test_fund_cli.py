"""`ltfund replay` as people call it, with the real jail, and what it says of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from data.synthetic import synthetic
from fund.cli import main

RIDGE = """from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

exported_pipeline = make_pipeline(StandardScaler(), Ridge(alpha={alpha}))
"""
TOPIC = 'name = "made-1h"\ntype = "ohlcv-1h"\nbroker = "synthetic"\nhorizon = 1\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    import pyarrow.parquet as pq

    pq.write_table(synthetic("linear", n_symbols=6, n_bars=900, strength=0.5, seed=3), tmp_path / "made.parquet")
    (tmp_path / "made.toml").write_text(TOPIC, encoding="utf-8")
    for alpha in (1, 5000):
        (tmp_path / f"ridge{alpha}.py").write_text(RIDGE.format(alpha=float(alpha)), encoding="utf-8")
    return tmp_path


def call(place: Path, *arguments: str) -> Result:
    fixed = ["--data", str(place / "made.parquet"), "--topic", str(place / "made.toml"), "--out", str(place / "out")]
    return CliRunner().invoke(main, ["replay", *arguments, *fixed])


def test_a_replay_leaves_a_review_a_picture_and_a_journal_that_is_true(place: Path) -> None:
    files = [str(place / "ridge1.py"), str(place / "ridge5000.py")]
    result = call(place, *files, "--from", "2020-02-01", "--refit", "3", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["audit"]["differences"] == 0
    assert told["comparisons"][0]["network_loss"] < 0
    assert sum(told["last_weights"].values()) == pytest.approx(1)
    assert [one["name"] for one in told["modules"][:2]] == ["ridge1.py", "ridge5000.py"]
    assert sum(one["amount"] for one in told["token"]["earned"]) == sum(one["amount"] for one in told["earned"]) > 0
    assert [line.partition(";")[0] for line in told["warnings"]] == [
        f"{name}: until when its search saw data is not known: no journal.sqlite lies beside it"
        for name in ("ridge1.py", "ridge5000.py")
    ]
    for file in told["files"].values():
        assert Path(file).stat().st_size
    assert json.loads((place / "out" / "review.json").read_text(encoding="utf-8")) == told


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Missing argument"),
        (("nothing.py",), 3, "does not exist"),
        (("ridge1.py", "ridge1.py"), 2, "given twice"),
        (("made.toml",), 5, "made.toml"),
        (("ridge1.py", "--from", "2031-01-01"), 3, "choose other days"),
        (("ridge1.py", "--from", "soon"), 2, "soon"),
        (("ridge1.py", "--hold", "0"), 2, "hold"),
        (("ridge1.py", "--pool", "1000000"), 2, "write 1000000,1000000"),
        (("ridge1.py", "--pool", "0,1.5"), 2, "write 1000000,1000000"),
        (("ridge1.py", "--root", "ab" * 32), 3, "ab" * 8),
    ],
)
def test_bad_input_is_named_and_has_its_code(place: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    given = [str(place / one) if one.endswith((".py", ".toml")) else one for one in arguments]
    result = call(place, *given)
    assert result.exit_code == code, result.output
    assert said in result.output
    assert "defect" not in result.output
