"""`ltminer submit`, `status`, `record` and `ltminer --submit`: what people and programs see, and the exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import made_network
import pytest
from made_calls import SMALL, call_main, events, failed
from made_network import TEXT, local
from made_runs import TOPIC_FILE

from infra.home import find_home
from infra.network import find_key
from infra.settings import load_settings
from miner import judging
from protocol.keys import Key
from protocol.ledger.params import LTFT

VALIDATOR = (sys.executable, made_network.__file__, "run", "--once")


@pytest.fixture(autouse=True)
def _own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own for each test, and the made validator instead of the real one."""
    monkeypatch.setattr(judging, "COMMAND", VALIDATOR)
    monkeypatch.setenv("MADE_OUTCOME", "refused screen")


@pytest.fixture
def made(home: Path, series: str) -> tuple[str, ...]:
    """Options for a topic and data of our own, known by name."""
    (home / "config" / "topics").mkdir(parents=True)
    (home / "config" / "topics" / "made.toml").write_text(TOPIC_FILE)
    return ("--topic", "made", "--data", series)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "ridge.py"
    path.write_text(TEXT.format(alpha=1.5))
    return str(path)


def document(*words: str) -> Any:
    result = call_main(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --------------------------------------------------------------------------------------------------------------- submit


def test_submit_checks_shows_the_price_and_gives_a_receipt(file: str, made: tuple[str, ...]) -> None:
    result = call_main("submit", file, *made)
    assert result.exit_code == 0, result.output
    for words in (
        "submission 1 of made",
        "bond 1 LTFT",
        "fee 0.01 LTFT",
        "balance 1,000 LTFT",
        "committed:",
        "revealed:",
    ):
        assert words in result.stderr
    for words in ("submission 1 of made", "open  the validators judge it", "status  ltminer status "):
        assert words in result.stdout
    again = call_main("submit", file, *made)
    assert again.exit_code == 0
    assert "on the ledger already; nothing was sent" in again.stderr
    assert again.stdout == result.stdout


def test_for_programs_it_is_one_document(file: str, made: tuple[str, ...]) -> None:
    first, second = document("submit", file, *made), document("submit", file, *made)
    assert (first["new"], second["new"]) == (True, False)
    assert {**first, "new": False} == second
    assert (first["phase"], first["k"], first["topic"]) == ("open", 1, "made")


def test_judge_shows_the_verdict_at_once(file: str, made: tuple[str, ...]) -> None:
    result = call_main("submit", file, *made, "--judge")
    assert result.exit_code == 0, result.output
    assert f"judging  data={made[-1]}" in result.stderr  # the dataset that was named, in a readable line
    assert "refused  on the held-out days it is not clearly better than the record" in result.stdout
    assert "FAILED  screen: it is not clearly better" in result.stdout


def test_the_validator_signs_with_its_own_key(
    file: str, made: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the settings name the miner's."""
    monkeypatch.setenv("LONGTAIL_KEY", "miner")
    monkeypatch.setenv("MADE_OUTCOME", "accepted record")
    facts = document("submit", file, *made, "--judge")
    assert (facts["phase"], facts["block"]["number"], facts["block"]["owner"]) == ("accepted", 1, "miner")


@pytest.mark.parametrize(("code", "family"), [(3, 3), (70, 4), (78, 4)])
def test_a_validator_that_fails_is_named_and_the_submission_stays(
    file: str, made: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, code: int, family: int
) -> None:
    monkeypatch.setenv("MADE_OUTCOME", f"accepted record {code}")
    result = call_main("submit", file, *made, "--judge")
    assert result.exit_code == family
    assert f"ended with exit code {code} (plain words); the submission stays" in result.stderr
    assert document("status")[0]["phase"] == "open"


def test_without_a_validator_of_this_home_nothing_is_started(
    file: str, made: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    local().close()
    (find_home().keys / "validator.json").rename(find_home().keys / "elsewhere")
    monkeypatch.setattr(judging, "COMMAND", (sys.executable, "-c", "raise SystemExit('started')"))
    assert document("submit", file, *made, "--judge")["phase"] == "open"


def test_a_newcomer_to_another_ledger_is_registered(tmp_path: Path, file: str, made: tuple[str, ...]) -> None:
    ledger, _ = made_network.network(tmp_path / "other.sqlite", miner=Key.create())
    ledger.close()
    (tmp_path / "password").write_text("x")
    assert call_main("key", "new", "alice_1", "--password-file", str(tmp_path / "password")).exit_code == 0
    words = (
        "--ledger",
        str(tmp_path / "other.sqlite"),
        "--key",
        "alice_1",
        "--password-file",
        str(tmp_path / "password"),
    )
    result = call_main("submit", file, *made, *words)
    assert result.exit_code == 0, result.output
    assert "registered 0x" in result.stderr
    assert " as alice-1" in result.stderr
    listed = call_main("status", *words[:4])
    assert "submission 1 of made" in listed.stdout


def test_a_copy_a_hopeless_module_and_a_bad_one_are_refused_before_anything_is_paid(
    file: str, made: tuple[str, ...], tmp_path: Path
) -> None:
    assert call_main("submit", file, *made).exit_code == 0
    copy, wide, bad = (tmp_path / name for name in ("copy.py", "wide.py", "bad.py"))
    copy.write_text(TEXT.format(alpha=1.5) + "# again\n")
    wide.write_text(TEXT.format(alpha=2.5).replace("preprocessing import StandardScaler", "decomposition import PCA"))
    wide.write_text(wide.read_text().replace("StandardScaler()", "PCA(n_components=900)"))
    bad.write_text("import os\n")
    failed(call_main("submit", str(copy), *made), 5, "same pipeline as the open submission")
    failed(call_main("submit", str(wide), *made), 5, "wide.py cannot work with")
    failed(call_main("submit", str(bad), *made), 5, "bad.py")
    failed(call_main("submit", str(tmp_path / "none.py"), *made), 3, "cannot be read")
    with local() as ledger:
        assert ledger.state().height == 2


def test_data_that_is_not_here_is_said_and_no_hindrance(file: str, made: tuple[str, ...], tmp_path: Path) -> None:
    result = call_main("submit", file, *made[:2], "--data", str(tmp_path / "nowhere"))
    assert result.exit_code == 0, result.output
    assert "not checked against data: " in result.stderr


def test_a_topic_that_nobody_finds_by_name_is_refused(file: str, topic: str, series: str) -> None:
    failed(
        call_main("submit", file, "--topic", topic, "--data", series), 3, "made is not known by that name", "made.toml"
    )
    failed(call_main("--topic", topic, "--data", series, *SMALL, "--submit"), 3, "made is not known by that name")


ASKED = "from miner.cli import main; main()"


@pytest.mark.parametrize(("answer", "heights"), [("y", 2), ("n", 0)])
def test_a_terminal_is_asked_before_paying(file: str, made: tuple[str, ...], answer: str, heights: int) -> None:
    ours, terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", ASKED, "submit", file, *made], stdin=terminal, stderr=terminal, stdout=subprocess.PIPE
    )
    os.close(terminal)
    shown = b""
    while b"submit it?" not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, f"{answer}\n".encode())
    child.communicate()
    os.close(ours)
    assert child.returncode == 0
    with local() as ledger:
        assert ledger.state().height == heights


# ---------------------------------------------------------------------------------------------------- status and record


def test_before_the_first_submission_nothing_is_made() -> None:
    for words in (("status",), ("record",)):
        result = call_main(*words)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "nothing was submitted yet" in result.stderr
        assert document(*words) == []
    assert not find_home().state.exists()


def test_status_finds_anybodys_submission_by_its_first_digits(file: str, made: tuple[str, ...]) -> None:
    name = document("submit", file, *made)["block_hash"]
    (facts,) = document("status", name[:6])
    assert facts["block_hash"] == name
    assert facts["gates"] == []
    failed(call_main("status", "0" * 8), 2, "no submission begins with 00000000")
    (mine,) = document("status")
    assert mine["block_hash"] == name
    assert "ltvalidator run --once" in call_main("status").stdout
    call_main("submit", file, *made, "--judge")
    assert "FAILED  screen" in call_main("status", name[:6].upper()).stdout


def test_record_is_by_topic(file: str, made: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADE_OUTCOME", "accepted record")
    name = document("submit", file, *made, "--judge")["block_hash"]
    (found,) = document("record")
    assert (found["topic"], [model["hash"] for model in found["models"]]) == ("made", [name])
    assert f"  1  {name[:16]}  screened" in call_main("record", "--topic", "made").stdout
    (empty,) = document("record", "--topic", "us-daily")
    assert (empty["submissions"], empty["models"]) == (0, [])


# ------------------------------------------------------------------------------------------------------ ltminer --submit


def test_a_run_can_end_with_the_verdict_and_the_record_opens_the_next_run(
    made: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE_OUTCOME", "accepted record")
    words = (*made, *SMALL[:-1])  # with the record
    said = events(call_main(*words, "--out", str(tmp_path / "one"), "--submit", "--json").stdout)
    result, submission, judgement = said[-3:]
    assert [one["event"] for one in said[-3:]] == ["result", "submission", "judgement"]
    assert said[0]["resume"].endswith(" --submit")
    assert submission["block_hash"] == judgement["block_hash"] == result["block_hash"]
    assert (judgement["phase"], judgement["block"]["hash"]) == ("accepted", result["block_hash"])

    second = call_main(*words, "--out", str(tmp_path / "two"), "--submit")
    assert second.exit_code == 0, second.output
    assert "1 known pipelines first" in second.stderr  # the block of the first run
    assert "on the ledger already" not in second.stderr


def test_a_refusal_is_no_failure_of_the_run(made: tuple[str, ...], tmp_path: Path) -> None:
    result = call_main(*made, *SMALL, "--out", str(tmp_path / "run"), "--submit")
    assert result.exit_code == 0, result.output
    for words in ("submitted  ", "refused  on the held-out days", "FAILED  screen", "money  bond returned, fee paid"):
        assert words in result.stderr
    assert result.stdout == ""


def test_the_same_winner_again_is_only_shown(made: tuple[str, ...], tmp_path: Path) -> None:
    run = (*made, *SMALL, "--submit", "--json")
    first = events(call_main(*run, "--out", str(tmp_path / "one")).stdout)
    again = events(call_main(*run, "--out", str(tmp_path / "two")).stdout)
    assert (first[-2]["new"], again[-2]["new"]) == (True, False)
    assert again[-1] == first[-1]


def test_a_winner_that_stands_already_is_not_sent(
    made: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE_OUTCOME", "accepted record")
    run = (*made, *SMALL)
    assert call_main(*run, "--out", str(tmp_path / "one")).exit_code == 0
    known = tmp_path / "known.py"
    known.write_text((tmp_path / "one" / "pipeline.py").read_text() + "# by another hand\n")
    name = document("submit", str(known), *made, "--judge")["block_hash"]
    result = call_main(*run, "--out", str(tmp_path / "two"), "--submit")
    assert result.exit_code == 0, result.output
    assert f"nothing new: module {tmp_path}/two/pipeline.py is the same pipeline as model block {name}" in result.stderr
    said = events(call_main(*run, "--out", str(tmp_path / "three"), "--submit", "--json").stdout)
    assert (said[-1]["event"], said[-1]["phase"]) == ("submission", "unsent")
    with local() as ledger:
        assert list(ledger.state().submissions) == [name]


def test_what_submitting_lacks_shows_before_the_run(
    made: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGTAIL_KEY", "nobody")
    failed(call_main(*made, *SMALL, "--out", str(tmp_path / "run"), "--submit"), 3, "no keystore", "nobody.json")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_makes_no_network(made: tuple[str, ...]) -> None:
    assert call_main(*made, *SMALL, "--submit", "--dry-run").exit_code == 0
    assert not find_home().ledger.exists()


def test_without_money_the_run_is_kept_and_the_refusal_is_told(
    made: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local() as ledger:
        key = find_key(load_settings(), "miner")
        to = find_key(load_settings(), "validator").address
        made_network.send(ledger, key, "transfer", {"to": to, "amount": 1_000 * LTFT})
    result = call_main(*made, *SMALL, "--out", str(tmp_path / "run"), "--submit")
    assert result.exit_code == 5, result.output
    assert "has 0 LTFT" in result.stderr
    assert (tmp_path / "run" / "pipeline.py").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_validator_too(
    file: str, made: tuple[str, ...], number: signal.Signals, tmp_path: Path
) -> None:
    """Sent to the miner alone; on a terminal both get it."""
    # Started in the background, this process may have been told to ignore interrupts, and would pass that on.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{heard}; from miner import judging; judging.COMMAND = {VALIDATOR!r}; {ASKED}"
    child = subprocess.Popen(
        [sys.executable, "-c", script, "submit", file, *made, "--judge"],
        env={**os.environ, "MADE_OUTCOME": "wait wait"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("judging  data="):
            break
    time.sleep(0.2)  # let it be in the wait
    child.send_signal(number)
    rest = child.stderr.read()  # ends when the validator, too, has closed it
    assert child.wait() == 130, rest
    assert "interrupted" in rest
    child.stderr.close()
