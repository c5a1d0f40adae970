"""What a confined process can do with a layer off, and cannot with it on; how it ends; what it inherits."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from confined import confined, need, need_root, ordinary

from validator.sandbox.policy import LAYERS, TIERS, Layer, Limits, Tier


@pytest.fixture(params=["as-we-are", "ordinary"])
def user(request: pytest.FixtureRequest) -> int | None:
    """Return the user a test runs as: ourselves, then an ordinary one if we are root."""
    if request.param == "as-we-are":
        return None
    if os.geteuid() != 0:
        pytest.skip("we are an ordinary user already")
    return ordinary()


@pytest.fixture(params=sorted(TIERS))
def tier(request: pytest.FixtureRequest, user: int | None) -> Tier:
    need(*TIERS[request.param], user=user)
    name: Tier = request.param
    return name


# ------------------------------------------------------------------------------------------------ one layer, off and on

LISTENER = """
import socket
listener = socket.create_server(("127.0.0.1", 0)); port = listener.getsockname()[1]
abstract = socket.socket(socket.AF_UNIX); abstract.bind(f"\\0longtail-{os.getpid()}"); abstract.listen()
name = abstract.getsockname()
parent = os.getpid()
import ctypes, mmap, resource, threading
def tried(action):
    try:
        action()
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        return type(error).__name__
    return "done"
"""
SECRET = f"open({str(Path(__file__).resolve())!r}).close()"
REFUSALS = {"PermissionError", "FileNotFoundError", "ProcessLookupError", "ConnectionRefusedError", "OSError"} | {
    "MemoryError",
    "RuntimeError",  # threads
    "ValueError",  # setrlimit
}
LEAKS: list[tuple[Layer, str]] = [
    ("namespaces", SECRET),
    ("namespaces", "os.listdir('/proc')"),
    ("namespaces", "os.listdir('/dev/shm')"),
    ("namespaces", "os.kill(parent, 0)"),
    ("namespaces", "socket.create_connection(('127.0.0.1', port), 5)"),
    ("namespaces", "socket.socket(socket.AF_UNIX).connect(name)"),
    ("namespaces", "os.stat('/etc/passwd')"),
    ("landlock", SECRET),
    ("landlock", "open('/etc/passwd').close()"),
    ("landlock", "os.listdir('/proc')"),
    ("landlock", "socket.create_connection(('127.0.0.1', port), 5)"),
    ("landlock", "socket.socket(socket.AF_UNIX).connect(name)"),
    ("landlock", "os.kill(parent, 0)"),
    ("landlock", "os.mkdir(f'/tmp/longtail-{os.getpid()}'), os.rmdir(f'/tmp/longtail-{os.getpid()}')"),
    ("seccomp", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
    ("seccomp", "os.kill(os.getpid(), 0)"),
    ("seccomp", "os.memfd_create('x')"),
    ("seccomp", "os.fork() or os._exit(0)"),
    ("seccomp", "os.sched_setaffinity(0, os.sched_getaffinity(0))"),
    ("seccomp", "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"),
    ("seccomp", "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"),
    ("rlimits", "bytearray(96 << 20)"),
    ("rlimits", "[os.pipe() for _ in range(50)]"),
    ("rlimits", "[threading.Thread(target=threading.Event().wait, daemon=True).start() for _ in range(100)]"),
]


@pytest.mark.parametrize(("layer", "action"), LEAKS)
def test_a_layer_alone_stops_what_is_possible_without(layer: Layer, action: str) -> None:
    who = ordinary()  # as root much is possible whatever the limits
    need(layer, user=who)
    small = Limits(memory_mb=64, open_files=64)
    code = f"say(tried(lambda: ({action})))"
    assert confined(code, before=LISTENER, limits=small, user=who).said == "done"
    ending = confined(code, layer, before=LISTENER, limits=small, user=who)
    assert ending.said in REFUSALS, ending


def test_seccomp_starts_no_program() -> None:
    code = "os.execv('/bin/sh', ['sh', '-c', 'exit 5'])"
    assert confined(code).status == 5
    need("seccomp")
    assert confined(code, "seccomp").said.startswith("PermissionError")


def test_uid_takes_the_power_of_root_away(tmp_path: Path) -> None:
    need_root()
    need("uid")
    (tmp_path / "secret").write_text("s", encoding="ascii")
    (tmp_path / "secret").chmod(0o600)
    code = f"""
        say([os.getuid(), os.getgid(), os.getgroups(), os.access({str(tmp_path / "secret")!r}, os.R_OK),
             tried(lambda: os.kill(parent, 0)), tried(lambda: os.setuid(0)), tried(lambda: os.chroot("/"))])
    """
    off = confined(code, before=LISTENER, paths=()).said
    assert off[0] == 0
    assert off[3:] == [True, "done", "done", "done"]
    on = [confined(code, "uid", before=LISTENER, paths=()).said for _ in range(2)]
    assert all(one[0] > 0 and one[1] > 0 for one in on)
    assert on[0][0] != on[1][0]
    assert all(one[2:] == [[], False, *["PermissionError"] * 3] for one in on)


def test_capabilities_are_gone_even_inside_the_user_namespace(user: int | None) -> None:
    need("namespaces", user=user)
    code = """
        import ctypes
        libc = ctypes.CDLL(None)
        sets = (ctypes.c_uint32 * 6)()
        assert libc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), sets) == 0
        bounding = [n for n in range(41) if libc.prctl(23, n) == 1]
        say([list(sets), bounding, libc.prctl(39, 0, 0, 0, 0), libc.prctl(3), libc.unshare(0x20000)])
    """
    assert confined(code, "uid", "namespaces", user=user, before="import ctypes.util").said == [[0] * 6, [], 1, 0, -1]


# ------------------------------------------------------------------------------------------------------------ every tier


def test_a_tier_leaves_nothing_to_do(tier: Tier, user: int | None) -> None:
    actions = [action for layer, action in LEAKS if layer not in {"rlimits"} and "os.stat" not in action]
    code = "say({action: tried(lambda: eval(action)) for action in " + repr(actions) + "})"
    said = confined(code, *TIERS[tier], before=LISTENER, user=user).said
    assert [action for action, result in said.items() if result == "done"] == []


def test_open_files_are_the_same_before_and_after(tier: Tier, user: int | None) -> None:
    before = """
        def opened():
            found = []
            for number in range(64):
                try:
                    status = os.fstat(number)
                except OSError:
                    continue
                found.append([number, status.st_ino])
            return found
        known = opened()
        os.set_inheritable(os.dup(1), True)
    """
    said = confined("say([opened(), known])", *TIERS[tier], before=before, user=user).said
    inherited, known = said
    added = [one for one in inherited if one not in known]
    assert all(one in inherited for one in known)
    assert len(added) == 1 + 2  # the copy of 1, and the two pipes of this test


def test_there_is_no_way_to_a_terminal(tier: Tier, user: int | None) -> None:
    before = """
        import fcntl, pty, termios
        os.setsid()
        controller, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        os.close(os.open("/dev/tty", os.O_RDWR))
        def look():
            try:
                return os.open("/dev/tty", os.O_RDWR)
            except OSError as error:
                return error.errno
    """
    assert confined("say(look())", *TIERS[tier], before=before, user=user).said in {2, 6, 13}  # ENOENT, ENXIO, EACCES
    assert confined("say(look())", before=before, user=user).said == 6  # already without any layer: it left the session


def test_the_box_is_the_only_place_to_write_and_runs_nothing(user: int | None) -> None:
    need(*TIERS["full"], user=user)
    code = """
        import mmap, tempfile
        found = {"cwd": os.getcwd(), "pid": os.getpid(), "host": os.uname().nodename, "user": os.getuid()}
        with tempfile.TemporaryDirectory(dir=".") as folder:
            with open(folder + "/x", "w+b") as file:
                file.write(bytes(4096)); file.flush()
                try:
                    mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)
                except PermissionError:
                    found["mapped"] = False
        for place in ("/", "/tmp", os.path.dirname(os.__file__), "/dev"):  # every one refused
            try:
                os.mkdir(place + "/new")
            except OSError as error:
                found[place] = type(error).__name__
        try:
            with open("full", "wb") as file:
                while True: file.write(bytes(1 << 20))
        except OSError as error:
            found["full"] = os.path.getsize("full") <= 2 << 20
        open("/dev/null", "w").write("x")
        found["random"] = len(open("/dev/urandom", "rb").read(8))
        say(found)
    """
    said = confined(code, *TIERS["full"], limits=Limits(file_mb=2), user=user, before="import tempfile, random").said
    refused = {said.pop(place) for place in list(said) if place.startswith("/")}
    assert refused <= {"PermissionError", "FileNotFoundError", "OSError"}
    wanted = {"cwd": "/box", "pid": 1, "host": "box", "user": 65534, "mapped": False, "full": True, "random": 8}
    assert said == wanted


def test_what_one_submission_writes_the_next_does_not_see(user: int | None) -> None:
    need("namespaces", user=user)
    for _ in range(2):
        said = confined("say(os.listdir('/box')); open('/box/mark', 'w').close()", "namespaces", user=user).said
        assert said == []


def test_code_of_the_libraries_is_imported_late(tier: Tier, user: int | None) -> None:
    code = """
        import sqlite3, zoneinfo, scipy.special, pipelines.spec
        import threading
        thread = threading.Thread(target=scipy.special.erf, args=(1.0,)); thread.start(); thread.join()
        say(float(scipy.special.erf(0.0)))
    """
    assert confined(code, *TIERS[tier], before="import pipelines, threading", user=user).said == 0.0


# ---------------------------------------------------------------------------------------------------------------- ending

ENDINGS = [
    ("os._exit(0)", 0),
    ("os._exit(7)", 7),
    ("os._exit(255)", 255),
    ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
    ("import ctypes; ctypes.CDLL(None).syscall(0x40000001, 1, 0, 0)", -signal.SIGSYS),  # write() of x32
    ("signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", -signal.SIGKILL),  # CPU time
]


@pytest.mark.parametrize(("code", "status"), ENDINGS)
def test_the_ending_is_passed_on_exactly(tier: Tier, user: int | None, code: str, status: int) -> None:
    if status == -signal.SIGSYS and os.uname().machine != "x86_64":
        pytest.skip("only x86-64 has a second instruction set in the same process")
    ending = confined(code, *TIERS[tier], limits=Limits(cpu_s=1), before="import ctypes, signal", user=user)
    assert (ending.status, ending.error) == (status, "")


def test_processor_time_reaches_whoever_waits(tier: Tier, user: int | None) -> None:
    code = "while time.process_time() < 0.3: pass"
    assert confined(code, *TIERS[tier], before="import time", user=user).cpu_s >= 0.3


CHILD_OF_CHILD = "int(open(f'/proc/{pid}/task/{pid}/children').read())"


@pytest.mark.parametrize("victim", ["pid", CHILD_OF_CHILD])
def test_killing_either_process_of_a_namespace_kills_the_other(user: int | None, victim: str) -> None:
    need("namespaces", user=user)
    meanwhile = f"""
        import signal
        heard()
        target = {victim}
        os.kill(target, signal.SIGKILL)
    """
    ending = confined(
        "say('here')\nwhile True: time.sleep(1)",
        "uid",
        "namespaces",
        before="import time",
        meanwhile=meanwhile,
        user=user,
    )
    assert (ending.said, ending.status) == ("here", -signal.SIGKILL)  # the pipe ended: no process held it any more


def test_the_jail_ends_with_the_process_that_forked_it(tier: Tier, user: int | None) -> None:
    before = """
        import signal, time
        hears, says = os.pipe()
        middle = os.fork()
        if middle:
            os.close(says)
            os.read(hears, 5)
            os.kill(middle, signal.SIGKILL)
            os.waitpid(middle, 0)
            left = os.read(hears, 5)
            os.write(1, b'{"said": "%d bytes left", "status": 0, "error": "", "cpu_s": 0}' % len(left))
            os._exit(0)
        os.close(hears)
    """
    code = "os.write(says, b'alive')\nwhile True: time.sleep(1)"
    assert confined(code, *TIERS[tier], before=before, user=user).said == "0 bytes left"


# ------------------------------------------------------------------------------------------------------- who reads whose


def test_a_python_in_a_closed_home_works_where_its_mounts_can_be_kept(tmp_path: Path) -> None:
    need_root()
    home = tmp_path / "home"
    code = home / "python"
    code.mkdir(parents=True)
    (code / "brought.py").write_text("value = 42\n", encoding="ascii")
    (code / "brought.py").chmod(0o644)
    code.chmod(0o755)
    home.chmod(0o700)
    before = f"import sys; from validator.sandbox.readable import readable; sys.path.append({str(code)!r})"
    late = "import brought; say(brought.value)"
    paths = [str(code)]
    for tier in ("full", "namespaces"):
        need(*TIERS[tier])
        assert confined(late, *TIERS[tier], paths=paths, before=before).said == 42
    need(*TIERS["landlock"])
    ending = confined(late, *TIERS["landlock"], paths=paths, before=before)
    assert ending.status == 1
    assert f"cannot read {code}; make it readable for all" in ending.error


def test_code_only_root_may_read_is_refused_in_every_tier(tier: Tier, tmp_path: Path) -> None:
    need_root()
    tmp_path.chmod(0o700)
    ending = confined("", *TIERS[tier], paths=[str(tmp_path)])
    assert ending.error.startswith("layer uid: user ")
    assert f"cannot read {tmp_path}" in ending.error


def test_an_ordinary_users_own_closed_home_works_in_every_tier(tier: Tier) -> None:
    user = ordinary()
    need(*TIERS[tier], user=user)
    with tempfile.TemporaryDirectory() as home:  # mode 0700, and unlike tmp_path in a folder that everybody can reach
        (Path(home) / "brought.py").write_text("value = 42\n", encoding="ascii")
        if user is not None:
            for path in (home, f"{home}/brought.py"):
                os.chown(path, user, user)
        before = f"import sys; sys.path.append({home!r})"
        ending = confined("import brought; say(brought.value)", *TIERS[tier], paths=[home], before=before, user=user)
        assert ending.said == 42, ending


def test_every_layer_is_put_on_alone(user: int | None) -> None:
    for layer in LAYERS:
        need(layer, user=user)
        assert confined("say(1)", layer, user=user).said == 1
