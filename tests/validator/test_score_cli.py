"""`ltvalidator score`, `explain` and `replay`: what they print, how they end, and what bad input gets."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from in_process import InProcess
from made_market import TOPIC, module, ridge, tree, write_market

from infra.objects import Objects
from protocol.errors import ConfigError
from validator.cli import main
from validator.sandbox import host

TOPIC_FILE = 'name = "made"\ntype = "close-1d"\nbroker = "north"\nsector = "equity-a"\nhorizon = 1\n'


@pytest.fixture(autouse=True)
def jail(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    stand_in = InProcess()
    monkeypatch.setattr(host, "Sandbox", lambda: stand_in)
    return stand_in


@pytest.fixture
def place(tmp_path: Path, market_uri: str) -> Path:
    """A folder with a topic and two modules."""
    (tmp_path / "made.toml").write_text(TOPIC_FILE)
    (tmp_path / "good.py").write_bytes(module(tree()))
    (tmp_path / "poor.py").write_bytes(module(ridge(10.0)))
    return tmp_path


def call_main(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def score(place: Path, uri: str, name: str, *words: object) -> Result:
    return call_main(
        "score", place / name, "--topic", place / "made.toml", "--data", uri, "--out", place / "out", "--no-ledger", *words
    )  # fmt: skip


def failed(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert all(re.search(word, result.stderr) for word in words), result.stderr
    assert "Traceback" not in result.stderr
    assert "defect" not in result.stderr


def test_a_verdict_is_printed_kept_explained_and_replayed(place: Path, market_uri: str) -> None:
    result = score(place, market_uri, "good.py")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("accepted")
    (path,) = (place / "out").glob("*.json")
    assert f"written to {path}" in result.stderr
    assert call_main("explain", path).stdout == result.stdout
    again = call_main("replay", path)
    assert again.exit_code == 0, again.output
    assert again.stdout.startswith("identical: accepted (record)")


def test_json_is_one_document_and_the_same_twice(place: Path, market_uri: str) -> None:
    documents: list[Any] = [json.loads(score(place, market_uri, "poor.py", "--json").stdout) for _ in range(2)]
    assert documents[0]["judged"] == documents[1]["judged"]
    assert documents[0]["hash"] == documents[1]["hash"]
    assert (documents[0]["judged"]["outcome"], documents[0]["judged"]["reason"]) == ("refused", "screen")
    path = documents[0]["file"]
    explained = json.loads(call_main("explain", path, "--json").stdout)
    assert explained["text"].startswith("refused")
    replayed = json.loads(call_main("replay", path, "--json").stdout)
    assert replayed == {"identical": True, "hash": explained["hash"], "replayed": explained["hash"], "differences": []}


def test_verdicts_in_the_home_are_found_by_their_digits(
    place: Path, market_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    done = call_main(
        "score", place / "poor.py", "--topic", place / "made.toml", "--data", market_uri, "--no-ledger", "--json"
    )
    document = json.loads(done.stdout)
    assert Path(document["file"]).parent == tmp_path / "home" / "state" / "verdicts"
    assert call_main("explain", document["hash"][:8]).stdout.startswith("refused")
    assert call_main("replay", document["judged"]["block_hash"]).exit_code == 0


def test_a_replay_that_differs_exits_with_5_and_says_where(place: Path, market_uri: str) -> None:
    score(place, market_uri, "good.py")
    (path,) = (place / "out").glob("*.json")
    result = call_main("replay", path, "--module", place / "poor.py")
    assert result.exit_code == 5
    assert 'outcome: "accepted" -> "refused"' in result.stdout
    assert re.search(r"gives [0-9a-f]{16}: \d+ differences", result.stderr)


def test_a_module_that_does_not_parse_gets_its_verdict_and_exit_code_5(place: Path, market_uri: str) -> None:
    (place / "bad.py").write_text("import os\n")
    result = score(place, market_uri, "bad.py", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["judged"]["reason"] == "parse"
    assert "imports os" in score(place, market_uri, "bad.py").stdout
    (place / "binary.py").write_bytes(os.urandom(5000))
    assert score(place, market_uri, "binary.py").exit_code == 5


def test_modules_in_a_bucket_are_what_their_names_say(place: Path, market_uri: str, bucket: str) -> None:
    source, modules = (place / "good.py").read_bytes(), Objects(f"{bucket}/mine/modules")
    name = hashlib.sha256(source).hexdigest()
    modules.create(f"{name}.py", source)
    modules.create(f"{'0' * 64}.py", source)
    words = ("--topic", place / "made.toml", "--data", market_uri, "--out", place / "out", "--no-ledger", "--json")
    result = call_main("score", modules.address(f"{name}.py"), *words)
    assert json.loads(result.stdout)["judged"]["block_hash"] == name
    failed(call_main("score", modules.address(f"{'0' * 64}.py"), *words), 3, "is damaged")
    failed(call_main("score", modules.address(f"{'1' * 64}.py"), *words), 3, "does not exist")
    failed(call_main("score", f"{bucket}/good.py", *words), 3, "must be the sha256")


def test_files_that_cannot_be_modules(place: Path, market_uri: str) -> None:
    failed(score(place, market_uri, "absent.py"), 3, "absent.py does not exist")
    (place / "folder.py").mkdir()
    failed(score(place, market_uri, "folder.py"), 3, "is no file")
    os.mkfifo(place / "pipe.py")
    failed(score(place, market_uri, "pipe.py"), 3, "is no file")
    with (place / "huge.py").open("wb") as file:
        file.truncate(100_000_000)
    failed(score(place, market_uri, "huge.py"), 5, "100,000,000 bytes; a pipeline module has at most 65,536")
    assert not (place / "out").exists(), "nothing was judged"


def test_data_and_topics_that_cannot_be_used(place: Path, market_uri: str) -> None:
    good = place / "good.py"
    common = ("--no-ledger", "--out", place / "out")
    failed(call_main("score", good, "--topic", "nowhere", *common), 3, "no topic 'nowhere'")
    (place / "wrong.toml").write_text("name = 1\n")
    failed(call_main("score", good, "--topic", place / "wrong.toml", *common), 3, "wrong.toml")
    failed(score(place, str(place / "nothing"), "good.py"), 3, "no dataset there")
    (place / "empty").mkdir()
    failed(score(place, str(place / "empty"), "good.py"), 3, "no dataset there")
    failed(score(place, market_uri, "good.py", "--root", "0" * 64), 3, "has root [0-9a-f]{64}, not 0000")
    failed(score(place, write_market(place / "short.parquet", bars=150), "good.py"), 3, "usable")
    assert not (place / "out").exists()


def test_a_machine_without_a_jail_judges_nothing(place: Path, market_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ConfigError("no tier works here")

    monkeypatch.setattr(host, "Sandbox", refuse)
    failed(score(place, market_uri, "good.py"), 3, "no tier works here")


def test_verdicts_that_cannot_be_read(place: Path) -> None:
    for command in ("explain", "replay"):
        failed(call_main(command, "abcdef"), 3, "no verdict abcdef")
        failed(call_main(command, place / "good.py"), 3, "no JSON")
        failed(call_main(command, place), 3, "no verdict")
    result = call_main("explain", "abcdef", "--json")
    assert json.loads(result.stderr)["code"] == 3


def test_the_number_of_the_submission_can_be_given(place: Path, market_uri: str) -> None:
    document = json.loads(score(place, market_uri, "poor.py", "--number", 7, "--json").stdout)
    assert document["judged"]["k"] == 7
    assert call_main("score", place / "poor.py", "--number", 0).exit_code == 2


def test_a_home_without_a_ledger_has_an_empty_record(
    place: Path, market_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    result = call_main("score", place / "poor.py", "--topic", place / "made.toml", "--data", market_uri, "--json")
    judged = json.loads(result.stdout)["judged"]
    assert (judged["record"], judged["k"]) == ({"height": 0, "models": [], "earlier": []}, 1)
    assert not (tmp_path / "home" / "state" / "ledger.sqlite").exists(), "scoring makes no ledger"


def test_the_topic_file_is_the_topic_of_the_other_tests(place: Path) -> None:
    from protocol.topics import load_topic

    assert load_topic(place / "made.toml") == TOPIC
