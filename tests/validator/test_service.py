"""Loops under supervision, and what the daemon answers over HTTP."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from judged_network import FixedJudge, Network
from test_daemon import daemon

from infra.health import HealthServer, json_answer
from infra.logs import JsonFormatter, LineFormatter
from infra.loops import MAX_FAILURES, Loop, Supervisor
from infra.notify import notify
from protocol.errors import ConfigError, EquivocationError
from validator.metrics import Metrics
from validator.service import serve

LOG = logging.getLogger("test")
DOCS = Path(__file__).parents[2] / "docs"


def ask(address: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_server_reads_only_and_knows_its_pages() -> None:
    server = HealthServer("127.0.0.1:0", {"/healthz": lambda _: json_answer(200, {"healthy": True})})
    try:
        assert ask(server.address, "/healthz") == (200, b'{"healthy": true}\n')
        assert ask(server.address, "/healthz", "HEAD") == (200, b"")
        assert ask(server.address, "/healthz", "POST")[0] == 405
        assert ask(server.address, "/../etc/passwd")[0] == 404
        with pytest.raises(ConfigError, match="choose another address"):
            HealthServer(server.address, {})
    finally:
        server.close()


@pytest.mark.parametrize("listen", ["", "here", "127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:99999", "127.0.0.1:-1"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        HealthServer(listen, {})


def test_a_failing_loop_is_repeated_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.loops.MAX_PAUSE_S", 0.0)
    calls: list[int] = []

    def work() -> float:
        calls.append(1)
        if len(calls) == 2:
            return 0.0
        raise ConfigError("no disk")

    metrics = Metrics()
    supervisor = Supervisor([Loop("one", work, 60.0)], metrics, LOG)
    supervisor.start()
    with pytest.raises(ConfigError, match="no disk"):
        supervisor.join()
    assert len(calls) == 2 + MAX_FAILURES
    assert supervisor.stopping


def test_an_equivocation_stops_every_loop_at_once() -> None:
    def work() -> float:
        raise EquivocationError("elsewhere")

    supervisor = Supervisor([Loop("one", work, 60.0), Loop("two", lambda: 100.0, 60.0)], Metrics(), LOG)
    supervisor.start()
    with pytest.raises(EquivocationError):
        supervisor.join()


def test_a_silent_loop_is_noticed() -> None:
    hold = threading.Event()
    loop = Loop("one", lambda: float(hold.wait(30)), 0.05)
    supervisor = Supervisor([loop], Metrics(), LOG)
    supervisor.start()
    time.sleep(0.2)
    assert not loop.lives()
    supervisor.stop()
    hold.set()
    supervisor.join()


def test_the_service_judges_answers_and_ends_on_a_signal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = Network(tmp_path, validators=1)
    name = network.submit("first = 1\n")
    answers: dict[str, tuple[int, bytes]] = {}
    metrics = Metrics()
    address = f"127.0.0.1:{_free_port()}"

    def visit() -> None:
        try:
            deadline = time.monotonic() + 30
            with network.open() as ledger:
                while ledger.state().submissions[name].status == "open" and time.monotonic() < deadline:
                    time.sleep(0.05)
            for path in ("/healthz", "/readyz", "/metrics"):
                answers[path] = ask(address, path)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    with daemon(network, network.validators[0], tmp_path, FixedJudge()) as one, caplog.at_level(logging.INFO, "test"):
        one._metrics = metrics
        visitor.start()
        serve(one, network.ledger, metrics, LOG, address)
    visitor.join()
    assert answers["/healthz"] == (200, b'{"healthy": true, "silent": []}\n')
    ready = json.loads(answers["/readyz"][1])
    assert (answers["/readyz"][0], ready["ready"], ready["reasons"]) == (200, True, [])
    assert b'longtail_validator_verdicts_total{outcome="accepted",reason="record"} 1.0' in answers["/metrics"][1]
    assert b"longtail_validator_stake_ltft 100.0" in answers["/metrics"][1]
    assert "stopping after the present step" in caplog.text


def test_without_stake_the_service_is_alive_but_not_ready(tmp_path: Path) -> None:
    network = Network(tmp_path, validators=1)
    address = f"127.0.0.1:{_free_port()}"
    found: list[tuple[int, bytes]] = []

    def visit() -> None:
        try:
            deadline = time.monotonic() + 60
            while not found and time.monotonic() < deadline:
                try:
                    found.append(ask(address, "/readyz"))
                except OSError:
                    time.sleep(0.05)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    visitor = threading.Thread(target=visit)
    with daemon(network, network.miner, tmp_path) as one:
        visitor.start()
        serve(one, network.ledger, Metrics(), LOG, address)
    visitor.join()
    assert found[0][0] == 503
    assert json.loads(found[0][1])["reasons"] == ["this key has no stake on the ledger"]


def test_systemd_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
    notify("WATCHDOG=1")  # nobody listens any more
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")


def test_logs_are_json_for_machines_and_lines_for_people() -> None:
    record = logging.LogRecord("longtail", logging.INFO, __file__, 1, "judged", None, None)
    record.block = "ab"
    line = json.loads(JsonFormatter().format(record))
    assert (line["event"], line["block"], line["level"]) == ("judged", "ab", "info")
    assert line["time"].endswith("+00:00")
    assert LineFormatter().format(record).endswith("judged  block=ab")


def test_every_metric_is_documented() -> None:
    page = (DOCS / "validator.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(longtail_validator_[a-z_]+)`", page))
    assert documented == set(Metrics().names())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
