"""`--cluster`: what it may be, and every way in which an address can be wrong."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed.security import Security
from executor_conformance import PROGRAM, collect, hostile_environment, task

from infra import scheduler
from infra.cluster import Job, open_executor, parse_cluster
from infra.executor import Executor
from infra.settings import Settings
from protocol.errors import ClusterError, ConfigError, LongtailError, UsageError

SETTINGS = Settings(connect_timeout_s=2.0)


@pytest.fixture(autouse=True)
def _homes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile_environment(monkeypatch, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "pool"),
        ("default", "local"),
        ("local", "local"),
        ("pool", "pool"),
        ("tcp://10.0.0.1:8786", "tcp://10.0.0.1:8786"),
        ("tls://sched-1.example:1", "tls://sched-1.example:1"),
        ("tcp://[::1]:65535", "tcp://[::1]:65535"),
    ],
)
def test_kinds_and_addresses(value: str | None, kind: str) -> None:
    assert parse_cluster(value, SETTINGS) == kind


def test_the_setting_names_the_default() -> None:
    settings = Settings(cluster="tls://host:8786")
    assert parse_cluster("default", settings) == "tls://host:8786"
    assert parse_cluster(None, settings) == "pool"
    with pytest.raises(UsageError, match="setting cluster = 'nowhere'"):
        parse_cluster("default", Settings(cluster="nowhere"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("doctor", r"neither a kind \(local, ec2\) nor an address .*a command goes before its options: `doctor "),
        ("", "--cluster ''"),
        ("host:8786", "such as tcp://host:8786"),
        ("tcp://host", "tcp://host"),
        ("tcp://host:0", "tcp://host:0"),
        ("tcp://host:65536", "65536"),
        ("tcp://host:123456", "123456"),
        ("tcp://host:8786/", "8786/"),
        ("tcp://ho st:8786", "ho st"),
        ("tcp://::1:8786", "::1"),
        ("tcp://host:8786\n", "8786"),
        ("http://host:8786", "http://"),
        ("ucx://host:8786", "ucx://"),
    ],
)
def test_what_is_neither(value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_cluster(value, SETTINGS)


# ---- listeners that are no scheduler -----------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(answer: Callable[[socket.socket], None], family: int = socket.AF_INET) -> Iterator[int]:
    """Accept connections on a loopback port until the end and give each to `answer`."""
    kept: list[socket.socket] = []
    with socket.socket(family) as listener:
        listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    kept.append(connection)
                    answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    for connection in kept:
        connection.close()


def refused(address: str, settings: Settings = SETTINGS) -> str:
    """Return the message of the ClusterError; the attempt is bounded and leaves no thread, no socket and no words on stderr."""
    threads = set(threading.enumerate())
    began = time.monotonic()
    with pytest.raises(ClusterError) as caught, open_executor(address, Job(PROGRAM, Path(), settings)):
        pass
    assert time.monotonic() - began < 30  # nothing waits for Dask's own, longer limits
    assert [thread for thread in threading.enumerate() if thread not in threads and "Callback" not in thread.name] == []
    assert caught.value.exit_code == 4
    return str(caught.value)


@pytest.fixture(autouse=True)
def _silence(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr().err == ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nothing_listens() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    assert re.search(
        f"no scheduler answers at {address}: .*refused; is `dask scheduler` running there", refused(address)
    )
    assert "no scheduler answers" in refused("tcp://no-such-host.invalid:8786")


def test_a_listener_that_never_greets() -> None:
    with listening(lambda connection: None) as port:
        assert refused(f"tcp://127.0.0.1:{port}").endswith(
            f"does not greet as a Dask scheduler; if it speaks TLS write tls://127.0.0.1:{port}"
        )


def test_ipv6() -> None:
    with listening(lambda connection: None, socket.AF_INET6) as port:
        assert f"write tls://[::1]:{port}" in refused(f"tcp://[::1]:{port}")


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"220", b""])
def test_a_listener_of_another_kind(greeting: bytes) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(greeting)
        connection.shutdown(socket.SHUT_WR)

    with listening(greet) as port:
        assert "is no Dask scheduler" in refused(f"tcp://127.0.0.1:{port}")


def test_one_byte_at_a_time_is_bounded() -> None:
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(0.5):
                connection.sendall(b"\0")

    with listening(drip) as port:
        assert "does not greet" in refused(f"tcp://127.0.0.1:{port}", Settings(connect_timeout_s=1.0))
        ended.set()


def test_a_listener_that_greets_like_dask_and_says_no_more() -> None:
    with listening(lambda connection: connection.sendall((100).to_bytes(8, "little"))) as port:
        assert "did not accept us within 2 s" in refused(f"tcp://127.0.0.1:{port}")


def test_a_listener_that_greets_like_dask_and_hangs_up() -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall((100).to_bytes(8, "little"))
        connection.shutdown(socket.SHUT_RDWR)

    with listening(greet) as port:
        assert re.search("did not accept us|broke", refused(f"tcp://127.0.0.1:{port}"))


def test_a_web_server() -> None:
    class Page(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            assert "does not greet as a Dask scheduler" in refused(f"tcp://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


# ---- versions ----------------------------------------------------------------------------------------------------------


class Versions:
    """A client that knows what versions there are."""

    def __init__(self, python: str = "3.11.2", distributed: str = "2026.8.0", error: Exception | None = None) -> None:
        self.other = {"host": {"python": python}, "packages": {"distributed": distributed}}
        self.error = error

    def sync(self, function: Any, *, callback_timeout: float) -> dict[str, Any]:
        assert callback_timeout == 2.0
        if self.error:
            raise self.error
        ours = {"host": {"python": "3.11.9.final.0"}, "packages": {"distributed": "2026.8.0"}}
        return {"client": ours, "scheduler": ours, "workers": {"tcp://w:1": self.other}}

    _get_versions = None


def test_the_same_versions_are_accepted() -> None:
    scheduler._check_versions(Versions(), "tcp://there:1", 2.0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Versions(distributed="2026.3.0"),
            "worker tcp://w:1 at tcp://there:1 runs Python 3.11 with distributed 2026.3.0",
        ),
        (Versions(python="3.12.1"), "runs Python 3.12 with distributed 2026.8.0, this is Python 3.11"),
        (Versions(error=TimeoutError("timed out")), "did not tell its versions within 2 s"),
    ],
)
def test_other_versions_are_refused(other: Versions, message: str) -> None:
    with pytest.raises(ClusterError, match=re.escape(message)):
        scheduler._check_versions(other, "tcp://there:1", 2.0)


# ---- real schedulers ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def dask_process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        yield process
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()


def start_scheduler(opened: contextlib.ExitStack, *arguments: str) -> tuple[int, subprocess.Popen[bytes]]:
    port = free_port()
    host = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    process = opened.enter_context(dask_process("scheduler", *host, *arguments))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return port, process
        time.sleep(0.1)
    raise AssertionError("the scheduler did not start")


def start_worker(opened: contextlib.ExitStack, address: str, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    return opened.enter_context(dask_process("worker", address, *options, *arguments))


def test_a_scheduler_without_workers_then_with_one_then_killed(tmp_path: Path) -> None:
    with contextlib.ExitStack() as opened:
        port, process = start_scheduler(opened)
        address = f"tcp://127.0.0.1:{port}"
        assert f"no workers after 2 s; start some: `dask worker {address} --nthreads 1`" in refused(address)
        wrong = Settings(connect_timeout_s=2.0, **certificate_files(tmp_path))
        assert f"if it does not speak TLS write tcp://127.0.0.1:{port}" in refused(f"tls://127.0.0.1:{port}", wrong)

        start_worker(opened, address, tmp_path)
        with open_executor(address, Job(PROGRAM, tmp_path, Settings(connect_timeout_s=60))) as executor:
            assert (executor.description, executor.slots) == (address, 1)
            executor.submit(0, task(echo="here"))
            assert collect(executor, 1)[0]["messages"][0]["echo"] == "here"
            executor.submit(1, task(sleep_s=0.5))
            executor.submit(2, task())
            process.kill()
            with pytest.raises(ClusterError, match=f"the scheduler \\({address}\\) is gone"):
                until_gone(executor)
            began = time.monotonic()
        assert time.monotonic() - began < 20


def until_gone(executor: Executor) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        executor.collect(0.2)


def certificate_files(folder: Path) -> dict[str, str]:
    """Write temporary credentials, good for scheduler, worker and client, as the settings of a client."""
    security = Security.temporary()
    files = {}
    for setting, text in (
        ("tls_ca", security.tls_ca_file),
        ("tls_cert", security.tls_client_cert),
        ("tls_key", security.tls_client_key),
    ):
        files[setting] = str(folder / f"{setting}.pem")
        Path(files[setting]).write_text(text, encoding="ascii")
    return files


def test_tls(tmp_path: Path) -> None:
    files = certificate_files(tmp_path)
    options = ["--tls-ca-file", files["tls_ca"], "--tls-cert", files["tls_cert"], "--tls-key", files["tls_key"]]
    with contextlib.ExitStack() as opened:
        port, process = start_scheduler(opened, "--protocol", "tls", *options)
        address = f"tls://127.0.0.1:{port}"
        assert f"if it speaks TLS write {address}" in refused(f"tcp://127.0.0.1:{port}")
        (tmp_path / "other").mkdir()
        stranger = Settings(connect_timeout_s=5.0, **certificate_files(tmp_path / "other"))
        assert "CERTIFICATE_VERIFY_FAILED" in refused(address, stranger)
        unknown = Settings(
            connect_timeout_s=5.0, **{**certificate_files(tmp_path / "other"), "tls_ca": files["tls_ca"]}
        )
        assert "no TLS with" in refused(address, unknown)

        start_worker(opened, address, tmp_path, *options)
        with open_executor(address, Job(PROGRAM, tmp_path, Settings(connect_timeout_s=60, **files))) as executor:
            executor.submit(0, task(echo="here"))
            assert collect(executor, 1)[0]["messages"][0]["echo"] == "here"
            process.send_signal(signal.SIGSTOP)  # a frozen scheduler must not keep anyone from leaving
            executor.submit(1, task())
            assert executor.collect(0.5) == []
            assert executor.slots == 1
            began = time.monotonic()
        assert time.monotonic() - began < 20


def test_tls_needs_certificates(tmp_path: Path) -> None:
    def refusal(**files: str) -> str:
        settings = Settings(connect_timeout_s=2.0, **files)
        with pytest.raises(ConfigError) as caught, open_executor("tls://127.0.0.1:1", Job(PROGRAM, tmp_path, settings)):
            pass
        return str(caught.value)

    files = certificate_files(tmp_path)
    assert "not a file: tls_ca = '', tls_cert = '', tls_key = ''" in refusal()
    assert "not a file: tls_key = '/missing/key'" in refusal(**{**files, "tls_key": "/missing/key"})
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate", encoding="ascii")
    for name in files:
        assert f"{name} = '{broken}'" in refusal(**{**files, name: str(broken)})


# ---- the local cluster -------------------------------------------------------------------------------------------------


def test_a_local_cluster_is_quiet_even_when_a_worker_dies(tmp_path: Path) -> None:
    levels = logging.getLogger("distributed").level
    before = psutil.Process().children(recursive=True)
    with open_executor("local", Job(PROGRAM, tmp_path, Settings(workers=2))) as executor:
        assert executor.description == "local Dask cluster, 2 workers"
        for k in range(5):
            executor.submit(k, task(echo=k, sleep_s=0.5))
        replies = dict(executor.collect(60))
        (reply, *_) = replies.values()
        worker = psutil.Process(reply["messages"][0]["server"]).parent()
        assert worker is not None
        worker.kill()
        replies |= collect(executor, 5 - len(replies))
        assert set(replies) == set(range(5))
    assert logging.getLogger("distributed").level == levels
    psutil.wait_procs(left := leftover(before), timeout=10)
    assert not [process for process in left if process.is_running()]


def leftover(before: list[psutil.Process]) -> list[psutil.Process]:
    """Our descendants that were not there before, but for the tracker that Python keeps for spawned processes."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if process not in before and not any("resource_tracker" in word for word in process.cmdline())
    ]


def test_a_local_cluster_that_cannot_start_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.LocalCluster", fail)
    monkeypatch.setattr("dask.distributed.LocalCluster", fail)
    with (
        pytest.raises(LongtailError, match=r"does not start: Nanny failed to start\.; run without --cluster"),
        open_executor("local", Job(PROGRAM, tmp_path, SETTINGS)),
    ):
        pass


def test_the_pool_needs_no_dask(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from infra.cluster import Job, open_executor, parse_cluster\n"
        "from infra.settings import Settings\n"
        "with open_executor(parse_cluster(None, Settings()), Job('hostile_program', Path(sys.argv[1]), Settings())) as pool:\n"
        "    pool.submit(0, {'memory_mb': 64})\n"
        "    assert pool.collect(30)[0][1]['end'] == 'exit'\n"
        "assert not {'dask', 'distributed', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=dict(os.environ))
