"""The filter, run by an interpreter of BPF written here, on both machines; what it does to a process is in test_confinement."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.sandbox.seccomp import (
    AARCH64,
    ALLOW,
    ANSWERS,
    ERRNO,
    KILL_PROCESS,
    OWN_PID,
    RULES,
    TABLES,
    X86_64,
    program,
)

PID = 4242
EPERM, ENOSYS, ENOTTY = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS, ERRNO | errno.ENOTTY
#: What a submission must not do, by the names of x86-64; the numbers are the kernel's.
FORBIDDEN = {
    **{"fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62, "tkill": 200, "rt_sigqueueinfo": 129},
    **{"rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438, "ptrace": 101},
    **{"process_vm_readv": 310, "process_vm_writev": 311, "socket": 41, "connect": 42, "socketpair": 53, "bind": 49},
    **{"sendto": 44, "sendmsg": 46, "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "shmat": 30, "semget": 64},
    **{"msgget": 68, "mq_open": 240, "io_uring_setup": 425, "io_setup": 206, "bpf": 321, "perf_event_open": 298},
    **{
        "userfaultfd": 323,
        "keyctl": 250,
        "add_key": 248,
        "mount": 165,
        "umount2": 166,
        "pivot_root": 155,
        "chroot": 161,
    },
    **{"open_tree": 428, "move_mount": 429, "fsopen": 430, "setns": 308, "unshare": 272, "name_to_handle_at": 303},
    **{
        "open_by_handle_at": 304,
        "fanotify_init": 300,
        "inotify_init1": 294,
        "inotify_add_watch": 254,
        "setrlimit": 160,
    },
    **{"sched_setaffinity": 203, "sched_setscheduler": 144, "setpriority": 141, "ioprio_set": 251, "truncate": 76},
    **{
        "chmod": 90,
        "fchmod": 91,
        "chown": 92,
        "setxattr": 188,
        "utimensat": 280,
        "link": 86,
        "symlink": 88,
        "mknod": 133,
    },
    **{"creat": 85, "openat2": 437, "setuid": 105, "setresuid": 117, "capset": 126, "personality": 135, "seccomp": 317},
    **{"pkey_mprotect": 329, "remap_file_pages": 216, "arch_prctl": 158, "modify_ldt": 154, "mlock": 149, "flock": 73},
    **{
        "acct": 163,
        "reboot": 169,
        "init_module": 175,
        "kexec_load": 246,
        "syslog": 103,
        "settimeofday": 164,
        "vmsplice": 278,
    },
    **{"setitimer": 38, "timer_create": 222, "signalfd4": 289, "eventfd2": 290, "splice": 275, "migrate_pages": 256},
}


def answer(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """Return what the program says to a call: the six instructions of BPF that it may use, and no other."""
    data = struct.pack("<iIQ6Q", number if number < 2**31 else number - 2**32, arch, 0, *(*arguments, *[0] * 6)[:6])
    at, register = 0, 0
    while True:
        kind, if_true, if_false, value = struct.unpack_from("HBBI", code, 8 * at)
        at += 1
        match kind:
            case 0x20:
                (register,) = struct.unpack_from("<I", data, value)
            case 0x54:
                register &= value
            case 0x15:
                at += if_true if register == value else if_false
            case 0x35:
                at += if_true if register >= value else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"instruction {kind:#x}")


@pytest.fixture(params=sorted(TABLES), scope="module")
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_number_has_its_answer(machine: str) -> None:
    arch, numbers = TABLES[machine]
    names = {number: name for name, number in numbers.items()}
    assert len(names) == len(numbers)
    code = program(machine, PID)
    assert len(code) % 8 == 0
    assert len(code) // 8 <= 4096  # BPF_MAXINSNS
    for number in range(1024):
        name = names.get(number, "")
        if name not in RULES:
            expected = EPERM if not name else ENOSYS if name == "clone3" else ALLOW
            assert answer(code, arch, number) == expected, (number, name)


def test_foreign_instruction_sets_end_the_process(machine: str) -> None:
    code, (arch, _) = program(machine, PID), TABLES[machine]
    for foreign in {X86_64, AARCH64, 0x40000003, 0x40000028, 0} - {arch}:  # 32-bit x86 and ARM among them
        assert answer(code, foreign, 0) == KILL_PROCESS
    assert answer(code, arch, 0x40000000 | 1) == KILL_PROCESS  # write() of x32
    assert answer(code, arch, 0xFFFFFFFF) == KILL_PROCESS


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_calls_are_refused_whatever_their_arguments(name: str) -> None:
    assert not any(name in numbers for _, numbers in TABLES.values())
    code = program("x86_64", PID)
    assert answer(code, X86_64, FORBIDDEN[name]) == EPERM
    assert answer(code, X86_64, FORBIDDEN[name], *[2**64 - 1] * 6) == EPERM


O_WRONLY, O_RDWR, O_CREAT, O_TRUNC = 1, 2, 0o100, 0o1000
READ, WRITE, EXEC, ANONYMOUS, PRIVATE = 1, 2, 4, 0x20, 2
CASES = [
    ("clone", [0x3D0F00], ALLOW),  # pthread_create of glibc
    ("clone", [0x7D0F00], ALLOW),  # and of musl
    ("clone", [17], EPERM),  # fork: SIGCHLD
    ("clone", [0x4111], EPERM),  # vfork
    ("clone", [0x10000000 | 0x3D0F00], EPERM),  # a user namespace
    ("clone3", [1, 88], ENOSYS),
    ("ioctl", [0, 0x5401], ALLOW),
    ("ioctl", [0, 0x5412], ENOTTY),  # TIOCSTI
    ("fcntl", [0, 3], ALLOW),
    ("fcntl", [0, 8, 1], EPERM),  # F_SETOWN: signals to others by way of a file
    ("fcntl", [0, 10, 9], EPERM),  # F_SETSIG
    ("fcntl", [0, 1031, 1 << 20], EPERM),  # F_SETPIPE_SZ
    ("tgkill", [PID, 1, 6], ALLOW),
    ("tgkill", [PID + 1, 1, 6], EPERM),
    ("prlimit64", [0, 7, 0, 1], ALLOW),
    ("prlimit64", [0, 7, 1], EPERM),
    ("prlimit64", [0, 7, 1 << 32], EPERM),  # a pointer whose lower half is zero
    ("prlimit64", [1, 7, 0, 1], EPERM),
    ("prctl", [15], ALLOW),
    ("prctl", [4, 1], EPERM),
    ("sched_getaffinity", [0], ALLOW),
    ("sched_getaffinity", [PID - 1], EPERM),
    ("madvise", [0, 0, 4], ALLOW),
    ("madvise", [0, 0, 12], EPERM),  # MADV_MERGEABLE
    ("mmap", [0, 4096, READ | WRITE, PRIVATE | ANONYMOUS], ALLOW),
    ("mmap", [0, 4096, READ | EXEC, PRIVATE], ALLOW),  # a shared library
    ("mmap", [0, 4096, READ | EXEC, PRIVATE | ANONYMOUS], EPERM),
    ("mmap", [0, 4096, READ | WRITE | EXEC, PRIVATE], EPERM),
    ("mprotect", [0, 4096, READ | WRITE], ALLOW),
    ("mprotect", [0, 4096, READ | EXEC], EPERM),
    ("openat", [0, 0, 0], ALLOW),
    ("openat", [0, 0, O_WRONLY | O_CREAT | O_TRUNC], ALLOW),
    ("openat", [0, 0, O_RDWR | O_TRUNC], ALLOW),
    ("openat", [0, 0, O_TRUNC], EPERM),  # truncates what may only be read
    ("openat", [0, 0, 3 | O_TRUNC], EPERM),
    ("open", [0, O_TRUNC], EPERM),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), CASES)
def test_arguments_decide(machine: str, name: str, arguments: list[int], expected: int) -> None:
    arch, numbers = TABLES[machine]
    if name in numbers:
        assert answer(program(machine, PID), arch, numbers[name], *arguments) == expected


WORDS = st.one_of(st.integers(0, 64), st.sampled_from([PID, 0x5401, 0x3D0F00, 1030]), st.integers(0, 2**64 - 1))


@given(st.sampled_from(sorted(TABLES)), st.sampled_from(sorted(RULES)), st.lists(WORDS, min_size=6, max_size=6))
def test_the_program_is_its_rules(machine: str, name: str, arguments: list[int]) -> None:
    arch, numbers = TABLES[machine]
    if name not in numbers:
        return
    fits = any(
        all(
            (arguments[one.argument] >> 32 * one.upper) & one.mask & 0xFFFFFFFF
            == (PID if one.value == OWN_PID else one.value)
            for one in alternative
        )
        for alternative in RULES[name]
    )
    expected = ALLOW if fits else ERRNO | ANSWERS.get(name, errno.EPERM)
    assert answer(program(machine, PID), arch, numbers[name], *arguments) == expected


@pytest.mark.parametrize(
    ("name", "header"),
    [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")],
)
def test_numbers_are_those_of_the_kernels_headers(name: str, header: str) -> None:
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    text = path.read_text(encoding="utf-8")
    known = {match[1]: int(match[2]) for match in re.finditer(r"#define __NR(?:3264)?_(\w+) (\d+)", text)}
    known.setdefault("newfstatat", known.get("fstatat", -1))
    assert {call: known[call] for call in TABLES[name][1]} == TABLES[name][1]
    if name == "x86_64":
        assert {call: known.get(call, number) for call, number in FORBIDDEN.items()} == FORBIDDEN
