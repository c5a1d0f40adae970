"""A fake EC2 that boots: moto decides what exists, and here each instance runs its real user-data.

An instance is a network namespace on a bridge, with the private address that moto gave it, its own PID, mount and UTS
namespaces, its own /opt, /run and /tmp, and a `shutdown` that ends it and nothing else. A metadata service (IMDSv2) answers at
169.254.169.254 and knows who asks by address. All of it lives in one private network, mount and PID namespace, entered by
:func:`run_inside`: with its first process everything in it ends, whatever happened.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3

BRIDGE = "lt-bridge"
#: Where instances reach the coordinator, and AWS.
HOST = "172.31.255.254"
METADATA = "169.254.169.254"
KEYS = {
    "Code": "Success",
    "Type": "AWS-HMAC",
    "LastUpdated": "2026-01-01T00:00:00Z",
    "AccessKeyId": "AKIAROLE",
    "SecretAccessKey": "of-the-role",
    "Token": "session-of-the-role",
    "Expiration": "2100-01-01T00:00:00Z",
}
#: Is said by the scene when it is over, before its result.
RESULT = "result of the scene: "
#: Ends with its instance: the first process of the instance's own PID namespace.
_INIT = r"""
set -e
mount -t tmpfs tmpfs /run
mount --bind "$LT_DISK" /opt
hostname "$LT_ID"
for name in shutdown poweroff halt reboot; do
  for folder in /sbin /usr/sbin /bin /usr/bin; do
    if [ -e "$folder/$name" ]; then mount --bind "$LT_SHUTDOWN" "$folder/$name"; fi
  done
done
mount --bind /opt/tmp /tmp
set +e
trap 'exit 0' TERM
bash /opt/user-data &
wait $!
echo "user-data ended with code $?"
while :; do sleep 1 & wait $!; done
"""
_SHUTDOWN = r"""#!/bin/bash
echo "shutdown $*"
case "$*" in
  "-h now") kill -TERM 1 ;;
  "-h +"*) minutes=${2#+}; (sleep $((minutes * 60)); kill -TERM 1) > /dev/null 2>&1 & ;;
  *) echo "shutdown: unexpected $*"; exit 1 ;;
esac
"""


@functools.cache
def missing() -> str | None:
    """Return why instances cannot boot here, None if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "instances are namespaces, which need Linux and root"
    for tool in ("unshare", "ip", "nsenter", "mount", "bash"):
        if shutil.which(tool) is None:
            return f"instances are namespaces, which need the program {tool}"
    script = (
        "mount -t tmpfs tmpfs /run && ip link set lo up && ip link add lt0 type bridge && ip netns add x"
        " && ip link add v0 type veth peer name eth0 netns x"
    )
    done = subprocess.run([*_UNSHARE, "sh", "-c", script], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no namespaces to be had here: {done.stderr.strip()[-200:]}"


_UNSHARE = [
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
]


def run_inside(scene: Path, *arguments: str, within_s: float, log: Path) -> dict[str, Any]:
    """Run a script in namespaces of its own and return the result it printed by :func:`say`; nothing of it survives.

    Raises
    ------
    AssertionError
        It did not end in time, or not well.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with log.open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*_UNSHARE, sys.executable, str(scene), *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            code: object = process.wait(within_s)
        except subprocess.TimeoutExpired:
            code = f"none within {within_s:g} s"
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        lines = output.read().splitlines()
    results = [line.removeprefix(RESULT) for line in lines if line.startswith(RESULT)]
    assert code == 0 and len(results) == 1, f"the scene ended with {code}:\n" + "\n".join(lines[-120:])
    return dict(json.loads(results[0]))


def say(result: dict[str, Any]) -> None:
    """Print the result of a scene."""
    sys.stdout.write(f"\n{RESULT}{json.dumps(result)}\n")


def _run(*command: str, check: bool = True) -> None:
    subprocess.run(command, check=check, capture_output=True, text=True)


@dataclass
class Instance:
    """One instance that was booted."""

    id: str
    address: str
    disk: Path
    process: subprocess.Popen[bytes]
    booted: float = field(default_factory=time.monotonic)
    ended: str = ""

    @property
    def veth(self) -> str:
        return f"v{self.id[-12:]}"

    @property
    def console(self) -> str:
        return (self.disk / "console").read_text(encoding="utf-8", errors="replace")


class FakeEC2:
    """Boots what moto says is there, in the private network of :func:`run_inside`; a context manager.

    Parameters
    ----------
    endpoint : str
        Of moto, on loopback.
    folder : Path
        Disks and consoles of instances.
    region : str
    """

    def __init__(self, endpoint: str, folder: Path, region: str = "us-east-1") -> None:
        self.ec2 = boto3.client(
            "ec2",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id="watcher",
            aws_secret_access_key="watcher",  # noqa: S106 - moto's
        )
        self.folder = folder
        self.instances: dict[str, Instance] = {}
        self.answers: dict[str, dict[str, str]] = {}
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self.errors: list[str] = []
        self.watch: Callable[[], None] = lambda: None

    def __enter__(self) -> FakeEC2:
        assert not Path("/sys/class/net/lt-bridge").exists()
        _run("mount", "-t", "tmpfs", "tmpfs", "/run")
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        for address in (HOST, METADATA):
            _run("ip", "address", "add", f"{address}/32", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shutdown = self.folder / "shutdown"
        self.shutdown.write_text(_SHUTDOWN)
        self.shutdown.chmod(0o755)
        self.metadata = ThreadingHTTPServer((METADATA, 80), _metadata_of(self.answers))
        self.metadata.daemon_threads = True
        threading.Thread(target=self.metadata.serve_forever, daemon=True).start()
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.watcher.join(30)
        for instance in self.instances.values():
            self._end(instance, "the test is over")
        self.metadata.shutdown()
        self.metadata.server_close()
        _run("ip", "link", "delete", BRIDGE)

    @property
    def running(self) -> list[Instance]:
        return [instance for instance in self.instances.values() if not instance.ended]

    def notify(self, instance: str, within_s: float = 120.0) -> None:
        """Give notice that the instance is taken; it is not taken by itself."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + within_s))
        notice = json.dumps({"action": "terminate", "time": at})
        self.answers[self.instances[instance].address]["meta-data/spot/instance-action"] = notice

    def recommend_rebalance(self, instance: str) -> None:
        """Say that the instance is at risk."""
        path = "meta-data/events/recommendations/rebalance"
        self.answers[self.instances[instance].address][path] = json.dumps({"noticeTime": "2026-01-01T00:00:00Z"})

    def reclaim(self, instance: str) -> None:
        """Take the instance at once: no packet says goodbye."""
        self._end(self.instances[instance], "reclaimed")
        self.ec2.terminate_instances(InstanceIds=[instance])

    def partition(self, instance: str, cut: bool = True) -> None:
        """Pull the instance's cable, or plug it in again."""
        _run("ip", "link", "set", self.instances[instance].veth, "down" if cut else "up")

    def freeze(self, instance: str, frozen: bool = True) -> None:
        """Stop every process of the instance, or let them go on."""
        for pid in self._processes(self.instances[instance]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def _processes(self, instance: Instance) -> list[int]:
        """Return the processes of the instance's PID namespace, its first excepted."""
        network = Path(f"net:[{Path(f'/run/netns/{instance.id}').stat().st_ino}]")
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, StopIteration):
                    lines = (entry / "status").read_text().splitlines()
                    pids = next(line for line in lines if line.startswith("NSpid:")).split()[1:]
                    if len(pids) >= 2 and pids[-1] != "1" and (entry / "ns" / "net").readlink() == network:
                        found.append(int(entry.name))
        return found

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            try:
                self._look()
                self.watch()
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error} {getattr(error, 'stderr', '')}")

    def _look(self) -> None:
        pages = self.ec2.get_paginator("describe_instances").paginate()
        for instance in [one for page in pages for group in page["Reservations"] for one in group["Instances"]]:
            state, known = instance["State"]["Name"], self.instances.get(instance["InstanceId"])
            if state in {"pending", "running"} and known is None:
                self._boot(instance)
            elif state in {"shutting-down", "terminated"} and known is not None:
                self._end(known, "terminated")
        for known in self.running:
            if known.process.poll() is not None:  # InstanceInitiatedShutdownBehavior is terminate
                self._end(known, "shut itself down")
                self.ec2.terminate_instances(InstanceIds=[known.id])

    def _boot(self, described: dict[str, Any]) -> None:
        name, address = described["InstanceId"], described["PrivateIpAddress"]
        attribute = self.ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")
        disk = self.folder / name
        for part in ("bin", "tmp"):
            (disk / part).mkdir(parents=True)
        shutil.copy(self.shutdown, disk / "bin")
        (disk / "user-data").write_bytes(base64.b64decode(attribute["UserData"].get("Value", "")))
        self.answers[address] = {
            "meta-data/instance-id": name,
            "meta-data/local-ipv4": address,
            "meta-data/iam/security-credentials/": "longtail-role",
            "meta-data/iam/security-credentials/longtail-role": json.dumps(KEYS),
        }
        self.instances[name] = Instance(name, address, disk, _start(name, address, disk, self.shutdown))

    def _end(self, instance: Instance, why: str) -> None:
        with self._lock:
            if instance.ended:
                return
            instance.ended = why
        _run("ip", "link", "delete", instance.veth, check=False)
        instance.process.kill()
        instance.process.wait()
        _run("ip", "netns", "delete", instance.id, check=False)
        self.answers.pop(instance.address, None)


def _start(name: str, address: str, disk: Path, shutdown: Path) -> subprocess.Popen[bytes]:
    veth = f"v{name[-12:]}"
    _run("ip", "netns", "add", name)
    _run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name)
    _run("ip", "link", "set", veth, "master", BRIDGE, "up")
    _run("ip", "route", "add", f"{address}/32", "dev", BRIDGE, "src", HOST)
    inside = (
        f"ip link set lo up; ip address add {address}/32 dev eth0; ip link set eth0 up; ip route add default dev eth0"
    )
    _run("ip", "netns", "exec", name, "sh", "-ec", inside)
    # The interpreter of this machine without any library: those come from the bundle.
    path = f"/opt/bin:{sys.base_prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, "HOME": "/root", "LT_DISK": str(disk), "LT_ID": name, "LT_SHUTDOWN": str(shutdown)}
    namespaces = [
        "unshare",
        "--mount",
        "--pid",
        "--uts",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
    ]
    with (disk / "console").open("wb") as console:
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{name}", *namespaces, "bash", "-c", _INIT],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _metadata_of(answers: dict[str, dict[str, str]]) -> type[BaseHTTPRequestHandler]:
    tokens: set[str] = set()

    class Metadata(BaseHTTPRequestHandler):
        """IMDSv2: a token by PUT with a life, and nothing without one."""

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def do_PUT(self) -> None:
            if (
                self.path != "/latest/api/token"
                or not self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit()
            ):
                return self._answer(400)
            tokens.add(token := f"token-{len(tokens)}-{time.monotonic_ns()}")
            return self._answer(200, token)

        def do_GET(self) -> None:
            if self.headers.get("X-aws-ec2-metadata-token") not in tokens:
                return self._answer(401)
            text = answers.get(self.client_address[0], {}).get(self.path.removeprefix("/latest/"))
            return self._answer(404 if text is None else 200, text or "")

        def _answer(self, code: int, text: str = "") -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    return Metadata
