"""What keeps the workers of an instance running, and decides when the instance ends: user-data shuts it down after this.

It starts ``dask worker`` with one process per slot and starts it again when it ends without a reason, as it does when its
scheduler was unreachable for a while. It returns, and with it the instance, when EC2 takes the instance, when the scheduler has
been gone for too long, when nothing ran for too long, or at the end of the instance's life.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.dask_settings import FAR_CLUSTER, as_environment
from infra.ec2.certificates import CA, CERTIFICATE, KEY
from infra.ec2.state import BUSY, CONNECTED, State
from infra.forkclient import SINGLE_THREADED
from infra.home import HOME_VARIABLE

#: Starts in a row of workers that never reached the scheduler though they ended by themselves, before they are given up.
MAX_STARTS = 20
RESTART_S = 2.0
POLL_S = 1.0
#: How long workers may take to leave when the instance ends for a reason of ours, seconds.
DRAIN_S = 60.0
#: A worker that is still starting gives up on its scheduler after this, and is started again.
DEATH_TIMEOUT_S = 120
#: Where S3 answers by itself, in whatever region.
AMAZON = re.compile(r"\.amazonaws\.com(\.cn)?\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """When an instance ends itself, seconds.

    Attributes
    ----------
    lost_s : float
        Without the scheduler.
    idle_s : float
        Without an evaluation, since it joined.
    lifetime_s : float
        Since the supervisor started.
    """

    lost_s: float
    idle_s: float
    lifetime_s: float


def reason_to_end(
    limits: Limits, *, now: float, started: float, joined: float | None, connected: float | None, busy: float | None
) -> str | None:
    """Return why the instance must end now, None if it need not.

    Parameters
    ----------
    limits : Limits
    now, started : float
        Monotonic seconds.
    joined, connected, busy : float or None
        When a worker first had its scheduler, last had it, and last ran something; None if never.
    """
    if now - started >= limits.lifetime_s:
        return f"lifetime of {limits.lifetime_s:g} s is over"
    if now - (started if connected is None else connected) >= limits.lost_s:
        return f"no scheduler for {limits.lost_s:g} s"
    if joined is not None and now - max(joined, busy or joined) >= limits.idle_s:
        return f"idle for {limits.idle_s:g} s"
    return None


def supervise(
    start: Callable[[], subprocess.Popen[bytes]], state: State, limits: Limits, drain_s: float = DRAIN_S
) -> str:
    """Keep workers running until there is a reason to end; return the reason.

    Parameters
    ----------
    start : callable
        Starts the workers as the leader of a process group of their own, which none survives.
    state : State
    limits : Limits
    drain_s : float
        How long the workers may take to leave.
    """
    started = time.monotonic()
    process = start()
    starts = 1
    joined = None
    try:
        while True:
            connected = state.marked(CONNECTED)
            joined = connected if joined is None else joined
            why = reason_to_end(
                limits,
                now=time.monotonic(),
                started=started,
                joined=joined,
                connected=connected,
                busy=state.marked(BUSY),
            )
            if why is not None:
                state.ask_to_drain(why, drain_s)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(drain_s if connected is not None else 1.0)
                return why
            if process.poll() is not None:
                why = state.why_ended()
                if why is not None:
                    return why
                starts += 1
                if connected is None and starts > MAX_STARTS:
                    return f"workers ended {MAX_STARTS} times and never reached the scheduler"
                _say(f"the workers ended with code {process.returncode}; starting them again")
                end(process)
                time.sleep(RESTART_S)
                process = start()
            time.sleep(POLL_S)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process group and reap its leader."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def worker_command(config: dict[str, Any], root: Path, instance: str) -> list[str]:
    """Return the command line of all workers of the instance."""
    tls = root / "tls"
    options = {
        "--tls-ca-file": tls / CA,
        "--tls-cert": tls / CERTIFICATE,
        "--tls-key": tls / KEY,
        "--nthreads": 1,
        "--nworkers": config["workers"] or os.cpu_count() or 1,
        "--name": instance,
        "--death-timeout": DEATH_TIMEOUT_S,
        "--local-directory": root / "scratch",
        "--preload": "infra.ec2.preload",
    }
    command = [sys.executable, "-P", "-m", "distributed.cli.dask_worker", config["scheduler"], "--no-dashboard"]
    return command + [str(word) for option in options.items() for word in option]


def worker_environment(config: dict[str, Any], root: Path) -> dict[str, str]:
    """Return the environment of the workers: one thread per evaluation, Dask's settings, a home of their own."""
    # Dask's pages of a worker are not behind TLS, so there are none.
    ours = {"longtail.state": root / "state", "distributed.worker.http.routes": []}
    settings = {**FAR_CLUSTER, **config["dask"], **ours}
    return {
        **os.environ,
        **SINGLE_THREADED,
        **as_environment(settings),
        HOME_VARIABLE: str(root / "home"),
        "AWS_DEFAULT_REGION": config["region"],
        # By default boto3 asks for the role's keys once, for a second.
        "AWS_METADATA_SERVICE_TIMEOUT": "5",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5",
        **({} if AMAZON.search(config["endpoint"]) else {"AWS_ENDPOINT_URL_S3": config["endpoint"]}),
    }


def main(config: dict[str, Any], root: Path) -> None:
    """Supervise the workers of this instance to its end."""
    instance = (root / "instance-id").read_text(encoding="ascii").strip()
    command, environment = worker_command(config, root, instance), worker_environment(config, root)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment, cwd=root, start_new_session=True)

    limits = Limits(config["lost_s"], config["idle_s"], config["lifetime_s"])
    _say(supervise(start, State(root / "state"), limits))


def _say(what: str) -> None:
    sys.stdout.write(f"longtail: {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
