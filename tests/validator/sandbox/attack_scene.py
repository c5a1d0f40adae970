"""The host as an attack sees it: things worth reading, spoiling or killing, and whether any of them was touched."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import resource
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from attack_native import call, successes

ROOT = Path(__file__).parents[3]
#: Bytes that, eight in a row, are a number in the training data, in test rows not yet released, in the host's environment and
#: in its memory.
WORDS = {"train": 0x3E, "later rows": 0xBE, "environment": ord("Q"), "host": 0xD7}
WRITABLE = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/var/crash")  # noqa: S108  # an attack leaves notes where anybody can
GUARDED = ("/", "/run", "/etc", "/usr", "/usr/lib", "/var", "/home", "/mnt", "/root", "/sys/fs/cgroup")


class Scene:
    """A context that lays the scene out and clears it away.

    Attributes
    ----------
    folder : Path
        Everybody may do everything here, so that only the jail protects it.
    """

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="lt-scene-"))
        self.folder.chmod(0o777)
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.key = secrets.randbits(30) + 1
        self._secret = bytearray([WORDS["host"]] * 64)
        self._listen()
        self._lay_out()
        self.victim = subprocess.Popen(["sleep", "600"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.victim.kill()
        self.victim.wait()
        self._cleanup.close()

    def given(self, *, unconfined: bool = False) -> dict[str, Any]:
        """Return what an attack is told; unconfined, only of places where it can do no harm."""
        self.mark = f"lt-{secrets.token_hex(6)}"
        folders = [str(self.playground), *WRITABLE]
        if not unconfined:
            folders += [*GUARDED, str(Path.home()), str(ROOT), str(ROOT / "validator"), sys.prefix, os.__file__[:-6]]
        return {
            "open": unconfined,
            "mark": self.mark,
            "folders": [folder for folder in folders if Path(folder).is_dir()],
            "playground": str(self.playground),
            **{name: str(self.playground / name) for name in ("file", "spare", "spare2", "spare_folder", "unix")},
            "secrets": [f"{self.playground}/home/password", f"{self.playground}/home/keys/validator.json"],
            "library": _libc_path(),
            "devices": []
            if unconfined
            else [path.name for path in Path("/dev").iterdir() if "watchdog" not in path.name],
            "host": os.getpid(),
            "victim": self.victim.pid,
            "tcp": self.tcp,
            "udp": self.udp,
            "abstract": self.abstract,
            "key": self.key,
            "object": self.abstract,
            "file_mb": 16,
            "words": WORDS,
            "threads": 600 if unconfined else 3000,
            "allowed_threads": 512,
            "forks": 5 if unconfined else 3000,
        }

    def damage(self, zygote: int | None = None) -> list[str]:
        """Return what has been done to the host since the last call, and mend it."""
        return sorted({*self._files(), *self._victim(), *self._heard(), *self._kernel_objects(), *_strays(zygote)})

    def _lay_out(self) -> None:
        self.playground = self.folder / "playground"
        shutil.rmtree(self.playground, ignore_errors=True)
        (self.playground / "home" / "keys").mkdir(parents=True)
        (self.playground / "spare_folder").mkdir()
        for name in ("file", "spare", "spare2"):
            (self.playground / name).write_bytes(b"valuable " * 500)
        (self.playground / "home" / "keys" / "validator.json").write_text('{"crypto": "everybody may read this"}')
        (self.playground / "home" / "password").write_text("only the owner may read this")
        for path in _below(self.playground):
            path.chmod(0o777 if path.is_dir() else 0o666)
        self.playground.chmod(0o777)
        (self.playground / "home" / "password").chmod(0o600)
        for server, name in ((self._unix, "unix"), (self._unix_datagrams, "unixd")):
            server.close()
            server.__init__(socket.AF_UNIX, server.type)  # type: ignore[misc]  # the same object, a new socket
            server.bind(str(self.playground / name))
            (self.playground / name).chmod(0o777)
        self._unix.listen()
        self._seen = self._state()

    def _state(self) -> dict[str, object]:
        state: dict[str, object] = {}
        for path in _below(self.playground):
            status = path.lstat()
            plain = stat.S_ISREG(status.st_mode)  # and no link: it may lead anywhere
            content = hashlib.sha256(path.read_bytes()).hexdigest() if plain else ""
            with contextlib.suppress(OSError):
                content += repr([os.getxattr(path, name) for name in os.listxattr(path)] if plain else None)
            times = (status.st_size, status.st_mtime_ns) if plain else None
            state[str(path.relative_to(self.playground))] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                content,
                times,
            )
        return state

    def _files(self) -> Iterator[str]:
        for folder in (*WRITABLE, *GUARDED, Path.home(), ROOT, ROOT / "validator", sys.prefix):
            for found in Path(folder).glob(f"*{self.mark}*"):
                yield f"left {found}"
                found.unlink()
        now = self._state()
        if now != self._seen:
            yield from (f"changed {name}" for name in {*now, *self._seen} if now.get(name) != self._seen.get(name))
            self._lay_out()

    def _victim(self) -> Iterator[str]:
        victim = psutil.Process(self.victim.pid)
        if self.victim.poll() is not None:
            yield f"victim ended with {self.victim.returncode}"
        elif (
            resource.prlimit(self.victim.pid, resource.RLIMIT_NOFILE) != resource.getrlimit(resource.RLIMIT_NOFILE)
            or victim.nice() != psutil.Process().nice()
            or victim.cpu_affinity() != psutil.Process().cpu_affinity()
            or os.sched_getscheduler(self.victim.pid) != os.sched_getscheduler(0)
        ):
            yield "victim has other limits or priorities"
        else:
            return
        self.victim.kill()
        self.victim.wait()
        self.victim = subprocess.Popen(["sleep", "600"])

    def _listen(self) -> None:
        self.abstract = f"lt-{secrets.token_hex(6)}"
        self._streams = [socket.create_server(("127.0.0.1", 0))]
        self.tcp = self._streams[0].getsockname()[1]
        with contextlib.suppress(OSError):  # no IPv6 here
            self._streams.append(socket.create_server(("::1", self.tcp), family=socket.AF_INET6))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        self.udp = datagrams.getsockname()[1]
        stream, datagram = (socket.socket(socket.AF_UNIX, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        stream.bind("\0" + self.abstract)
        stream.listen()
        datagram.bind("\0" + self.abstract + "d")
        self._unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._unix_datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._streams += [stream, self._unix]
        self._datagrams = [datagrams, datagram, self._unix_datagrams]
        for server in (*self._streams, *self._datagrams):
            self._cleanup.callback(server.close)

    def _heard(self) -> Iterator[str]:
        for server in self._streams:
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    server.accept()[0].close()
                    yield f"a connection from inside ({server.family.name})"
        for server in self._datagrams:
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while server.recv(100):
                    yield f"a datagram from inside ({server.family.name})"

    def _kernel_objects(self) -> Iterator[str]:
        """Name, and remove, what has been left in the kernel under the names the attacks use."""
        for name, get, control, arguments in (
            ("shared memory", "shmget", "shmctl", (0, 0)),
            ("semaphore", "semget", "semctl", (0, 0)),
            ("message queue", "msgget", "msgctl", (0,)),
        ):
            with contextlib.suppress(OSError):
                found = call(get, self.key, *arguments)
                yield f"left a {name}"
                call(control, found, *((0, 0) if get == "semget" else (0,)), None)
        unlink = partial(call, "mq_unlink", ctypes.c_char_p(self.abstract.encode()))
        yield from (f"left a {name}" for name in successes(("posix queue", unlink)))


def _below(folder: Path) -> list[Path]:
    """Return what lies below a folder, following no link: an attack may have left it."""
    return sorted(Path(here, name) for here, folders, files in os.walk(folder) for name in (*folders, *files))


def _strays(zygote: int | None) -> Iterator[str]:
    """Name, and end, what still runs below the zygote after its job is done."""
    for process in psutil.Process(zygote).children(recursive=True) if zygote else ():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield "left a process"
                process.kill()


def _libc_path() -> str:
    with open("/proc/self/maps", encoding="ascii") as lines:  # noqa: PTH123  # a file of the kernel
        return next(line.split()[-1] for line in lines if "/libc.so" in line or "/libc-" in line)
