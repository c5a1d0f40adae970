"""`ltfund serve`, as its own process and in this one."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from made_fund import FIRST, GENESIS

from dashboard.serve_cli import serve
from fund.store import Store
from protocol.errors import ConfigError
from protocol.ledger.sqlite import SqliteLedger


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A ledger, and a fund on it that has not begun."""
    place, fund = tmp_path / "ledger.sqlite", tmp_path / "fund.sqlite"
    with SqliteLedger.create(place, GENESIS) as ledger, Store.create(fund, ledger.domain.salt, {}):
        return place, fund


def refused(*args: str | Path) -> BaseException | None:
    return CliRunner().invoke(serve, [str(one) for one in args]).exception


def test_it_prints_its_address_answers_and_ends_with_0(places: tuple[Path, Path]) -> None:
    place, fund = places
    program = "import sys; from dashboard.serve_cli import serve; serve(sys.argv[1:])"
    command = [sys.executable, "-c", program, "--store", fund, "--ledger", place, "--port", "0", "--json"]
    command += ["--allow-host", "fund.example"]
    environment = {**os.environ, "LONGTAIL_HOME": str(place.parent / "home")}
    before = fund.read_bytes()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        url = urlsplit(json.loads(process.stdout.readline())["url"])
        assert url.hostname == "127.0.0.1"
        statuses = {}
        for path, host in (("/", "fund.example"), ("/", "evil.example"), (f"/?head={FIRST}", "localhost")):
            connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=30)
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            statuses[path, host] = answer.status, b"The fund has not begun" in answer.read()
            connection.close()
        assert list(statuses.values()) == [(200, True), (421, False), (404, False)]
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
    assert fund.read_bytes() == before


def test_what_cannot_be_served_is_said(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    place, fund = places
    monkeypatch.setenv("LONGTAIL_HOME", str(place.parent / "home"))
    other = place.with_name("other.sqlite")
    SqliteLedger.create(other, GENESIS.model_copy(update={"name": "another"})).close()
    for wrong, words in (
        (refused("--store", fund.with_name("none"), "--ledger", place), "none"),
        (refused("--store", place, "--ledger", place), "no fund"),
        (refused("--store", fund, "--ledger", other), "belongs to ledger"),
        (refused("--store", fund), "there is no local ledger"),
    ):
        assert isinstance(wrong, ConfigError)
        assert words in str(wrong)
