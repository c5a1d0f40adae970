"""`ltfund step`, `run` and `sign` as people call them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from data.synthetic import synthetic
from fund.cli import main
from fund.metrics import Metrics
from fund.store_reader import Reader
from infra.fetching import get_json
from protocol.errors import ClusterError

sys.path.insert(0, str(Path(__file__).parents[1] / "validator"))

from in_process import InProcess  # the validator's stand-in for the jail

TOPIC = 'name = "made-1h"\ntype = "ohlcv-1h"\nbroker = "synthetic"\nhorizon = 1\n'
SIMULATE = ("--simulate", "--from", "2020-01-12")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import pyarrow.parquet as pq

    pq.write_table(synthetic("linear", n_symbols=6, n_bars=400, strength=0.5, seed=3), tmp_path / "made.parquet")
    topics = tmp_path / "home" / "config" / "topics"
    topics.mkdir(parents=True)
    (topics / "made-1h.toml").write_text(TOPIC)
    for name, value in (("HOME", "home"), ("DATA", "made.parquet")):
        monkeypatch.setenv(f"LONGTAIL_{name}", str(tmp_path / value))
    monkeypatch.setenv("LONGTAIL_TOPIC", "made-1h")
    return tmp_path / "home"


@pytest.fixture
def jailless(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def sandbox(_log: object) -> Iterator[InProcess]:
        yield InProcess()

    monkeypatch.setattr("fund.opening.proven_sandbox", sandbox)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.usefixtures("jailless")
def test_steps_begin_a_fund_and_go_on_with_it(home: Path) -> None:
    first = call("step", *SIMULATE, "--count", "3", "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["made"] == 3
    assert json.loads(first.stdout)["waiting"] == 0
    again = call("step", *SIMULATE, "--count", "2")
    assert again.stdout.startswith("2 made; the newest is of period")
    with Reader.open(home / "state" / "fund.sqlite") as fund:
        entries, market = fund.entries(), fund.market()
        assert fund.config["simulated"] is True
    assert [one.carried for one in entries] == [0, 5, 5, 5, 5]
    assert market is not None
    verified = call("verify")
    assert verified.exit_code == 0, verified.output


@pytest.mark.usefixtures("home", "jailless")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--from", "2020-01-12"), 2, "add --simulate"),
        ((*SIMULATE, "--to", "2020-01-01"), 3, "no bar"),
        ((*SIMULATE, "--ledger", "none.sqlite"), 3, "none.sqlite"),
        ((*SIMULATE, "--key", "nobody"), 3, "nobody"),
        ((*SIMULATE, "--data", "none.parquet"), 3, "none.parquet"),
        ((*SIMULATE, "--charter", "none.toml"), 3, "none.toml"),
        ((*SIMULATE, "--topic", "unknown"), 3, "unknown"),
    ],
)
def test_bad_input_is_named(arguments: tuple[str, ...], code: int, said: str) -> None:
    result = call("step", *arguments)
    assert result.exit_code == code, result.output
    assert said in result.output


@pytest.mark.usefixtures("jailless")
def test_a_fund_keeps_its_charter_and_its_clock(home: Path, tmp_path: Path) -> None:
    assert call("step", *SIMULATE).exit_code == 0
    live = call("step")
    assert (live.exit_code, "on a simulated clock" in live.output) == (3, True)
    (tmp_path / "other.toml").write_text('topics = ["made-1h"]\nmoney = 7\n')
    other = call("step", *SIMULATE, "--charter", str(tmp_path / "other.toml"))
    assert (other.exit_code, "another charter" in other.output) == (3, True)
    poor = ["--store", str(tmp_path / "poor.sqlite"), "--charter", str(tmp_path / "poor.toml")]
    (tmp_path / "poor.toml").write_text('topics = ["made-1h"]\n[pool]\nltft = 2_000_000\nquote = 1\n')
    assert "the pool opens with" in call("step", *SIMULATE, *poor).output
    assert not (tmp_path / "poor.sqlite").exists()


def test_every_metric_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()
    documented = {name.removesuffix("_total") for name in re.findall(r"`(longtail_fund_[a-z_]+)`", text)}
    assert documented == set(Metrics().names())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def daemon(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "fund.cli", *arguments, "--json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(port: int, path: str, **query: str) -> dict[str, object]:
    deadline = time.monotonic() + 120
    while True:
        try:
            return get_json(f"http://127.0.0.1:{port}", path, query, limit_bytes=1 << 20, timeout_s=5)
        except ClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.mark.usefixtures("jailless")
def test_the_daemon_answers_and_ends_on_a_signal(home: Path) -> None:
    port, told = free_port(), dict[str, dict[str, object]]()

    def visit() -> None:
        try:
            while len(ask(port, "/v1/signatures")["signatures"]) < 3:  # type: ignore[arg-type]  # a list
                time.sleep(0.1)
            for page in ("/v1/fund", "/v1/heads", "/readyz"):
                told[page] = ask(port, page)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    visitor.start()
    result = call("run", *SIMULATE, "--listen", f"127.0.0.1:{port}")
    visitor.join()
    assert result.exit_code == 0, result.output
    assert told["/readyz"]["ready"] is True
    with Reader.open(home / "state" / "fund.sqlite") as kept:
        assert told["/v1/fund"]["ledger"] == kept.ledger
        assert kept.verify() >= 3


@pytest.mark.slow
def test_the_daemon_in_its_own_jail_and_a_key_that_signs_nowhere_else(home: Path, tmp_path: Path) -> None:
    port = free_port()
    with daemon("run", *SIMULATE, "--pace", "0.2", "--listen", f"127.0.0.1:{port}") as fund:
        assert ask(port, "/v1/heads")["heads"] is not None
        while len(ask(port, "/v1/signatures")["signatures"]) < 2:  # type: ignore[arg-type]  # a list
            time.sleep(0.2)
        assert ask(port, "/readyz")["ready"] is True
        thief = tmp_path / "thief"
        shutil.copytree(home, thief, ignore=shutil.ignore_patterns("guards", "fund.sqlite*"))
        environment = {
            **os.environ,
            "LONGTAIL_HOME": str(thief),
            "LONGTAIL_LEDGER": str(home / "state" / "ledger.sqlite"),
        }
        command = [sys.executable, "-m", "fund.cli", "sign", "--fund", f"http://127.0.0.1:{port}"]
        other = subprocess.run(
            [*command, "--listen", f"127.0.0.1:{free_port()}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (other.returncode, "in use elsewhere" in other.stderr) == (78, True), other.stderr
        fund.send_signal(signal.SIGTERM)
        assert fund.stderr is not None
        log = fund.stderr.read()
        assert fund.wait(60) == 0, log
    assert "fund stopped" in log
    with Reader.open(home / "state" / "fund.sqlite") as kept:
        assert kept.verify() >= 2
