"""`lteconomy` as its users meet it: what it prints where, what it leaves behind, how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from matplotlib.image import imread

from economy.cli import main
from economy.experiments import attacks

SMALL = ("--seeds", "2", "--epochs", "8")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    return tmp_path / "home"


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["consensus", *words])


@pytest.mark.parametrize(
    ("name", "options"),
    [("fig2", SMALL), ("fig3", (*SMALL, "--variant", "paper")), ("fig4", ("--months", "14"))],
)
def test_a_figure_for_machines_is_one_document_and_two_whole_files(
    name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = call(name, *options, "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert document["experiment"] == name
    assert document["files"] == {"numbers": str(out / f"{name}.json"), "picture": str(out / f"{name}.png")}
    assert {path.name for path in out.iterdir()} == {f"{name}.json", f"{name}.png"}
    assert json.loads((out / f"{name}.json").read_text()) == document
    height, width, _ = imread(document["files"]["picture"]).shape
    assert min(height, width) > 600


def test_the_same_options_give_the_same_files(tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        assert call("fig2", *SMALL, "--out", str(tmp_path / "out")).exit_code == 0
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    assert files() == files()


def test_people_get_a_table_and_the_names_of_the_files(home: Path) -> None:
    result = call("fig2", *SMALL)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[-5:] == ["median", "worst", "best", "seeds", "gaining"]
    assert lines[1].startswith("network over naive")
    folder = home / "state" / "experiments"
    assert lines[-2:] == [str(folder / "fig2.json"), str(folder / "fig2.png")]
    assert all(Path(line).is_file() for line in lines[-2:])


def test_attacks_can_be_chosen(tmp_path: Path) -> None:
    result = call("attacks", "cabal", "entropy-sybil", "--seeds", "2", "--out", str(tmp_path), "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert {row["attack"] for row in document["rows"]} == {"cabal", "entropy-sybil"}
    assert {row["on"] for row in document["rows"]} == {True, False}
    assert document["files"] == {"numbers": str(tmp_path / "attacks.json")}
    assert json.loads((tmp_path / "attacks.json").read_text()) == document


def test_every_attack_is_tried_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = {name: attacks.ATTACKS[name] for name in ("cabal", "pool-drain")}
    monkeypatch.setattr(attacks, "ATTACKS", some)
    result = call("attacks", "--seeds", "1", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert set(some) <= set(lines)
    assert lines[-1] == str(tmp_path / "attacks.json")


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("fig2", "--seeds", "0"), "range 1<=x"),
        (("fig2", "--seeds", "many"), "not a valid integer"),
        (("fig3", "--epochs", "3"), "range 4<=x"),
        (("fig2", "--variant", "litepaper"), "'simulator', 'paper', 'chain2026'"),
        (("fig4", "--months", "11"), "range 12<=x"),
        (("fig5",), "No such command 'fig5'"),
        (("attacks", "bribe"), "no attack 'bribe'; choose from weight-copier"),
    ],
)
def test_bad_options_are_named_with_the_remedy(words: tuple[str, ...], remedy: str, home: Path) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert remedy in result.stderr
    assert not home.exists()


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = call("fig2", "--out", str(tmp_path / "file" / "out"), "--json")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "--out" in json.loads(result.stderr)["error"]


def test_what_cannot_be_finished_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("fig4", "--out", str(tmp_path)).exit_code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("fig4.*")}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = call("fig4", "--months", "20", "--out", str(tmp_path))
    assert result.exit_code == 3
    assert "No space left on device" in result.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
