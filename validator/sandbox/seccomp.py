"""The system call filter: an allow-list as data, and the BPF program made of it. Nothing is called here.

What is not listed fails with EPERM. What is listed may be bound to values of its arguments: a rule is a set of alternatives,
an alternative a set of tests that must all hold. A call from a foreign instruction set (32-bit, x32) ends the process,
because its numbers mean other calls.

So a submission is one process: no fork, no program, no socket, no signal to anybody else, no shared memory, no new machine
code. What follows from it: the resource limits of one process are complete, and no control group is needed.

Sources: Linux ``<asm/unistd_64.h>``, ``<asm-generic/unistd.h>``, ``<linux/seccomp.h>``, ``<linux/bpf_common.h>``.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

X86_64, AARCH64 = 0xC000003E, 0xC00000B7  # AUDIT_ARCH_*, <linux/audit.h>
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000  # SECCOMP_RET_*
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = (
    0x20,
    0x54,
    0x15,
    0x35,
    0x06,
)  # BPF_LD|W|ABS, ALU|AND|K, JMP|JEQ|K, JMP|JGE|K, RET|K
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_WORD = 0xFFFFFFFF

OWN_PID: Final = -1  # stands for the process's own id, known only when the program is made


class Match(NamedTuple):
    """`argument & mask == value` over one 32-bit half of an argument; the kernel itself ignores the upper half of an int."""

    argument: int
    mask: int
    value: int
    upper: bool = False


Rule = tuple[tuple[Match, ...], ...]


def _is(argument: int, *values: int) -> Rule:
    return tuple((Match(argument, _WORD, value),) for value in values)


def _open_flags(argument: int) -> Rule:
    # Linux truncates a file opened with O_RDONLY|O_TRUNC, which Landlock counts as reading before its version 3.
    o_accmode, o_trunc = 3, 0o1000
    return (
        (Match(argument, o_trunc, 0),),
        (Match(argument, o_accmode, 1),),
        (Match(argument, o_accmode, 2),),
    )


_WRITE, _EXEC, _ANONYMOUS = 2, 4, 0x20  # PROT_WRITE, PROT_EXEC, MAP_ANONYMOUS
# CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID: what pthread_create asks for; musl adds DETACHED
_THREAD, _MUSL_THREAD = 0x3D0F00, 0x7D0F00
#: MADV_NORMAL..WILLNEED, DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, DONTDUMP; merging equal pages would tell who has which
_ADVICE = (0, 1, 2, 3, 4, 8, 14, 15, 16)

#: Calls that depend on their arguments.
RULES: Final[Mapping[str, Rule]] = {
    "clone": _is(0, _THREAD, _MUSL_THREAD),
    # DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC, GET_SEALS; a file's owner (SETOWN) would be sent signals
    "fcntl": _is(1, 0, 1, 2, 3, 4, 1030, 1034),
    "ioctl": _is(1, 0x5401),  # TCGETS: isatty()
    "madvise": _is(2, *_ADVICE),
    # Machine code comes from files only, which are read-only, or noexec where they are writable.
    "mmap": ((Match(2, _EXEC, 0),), (Match(2, _WRITE | _EXEC, _EXEC), Match(3, _ANONYMOUS, 0))),
    "mprotect": ((Match(2, _EXEC, 0),),),
    "open": _open_flags(1),
    "openat": _open_flags(2),
    "prctl": _is(0, 15, 16),  # SET_NAME, GET_NAME
    "prlimit64": ((Match(0, _WORD, 0), Match(2, _WORD, 0), Match(2, _WORD, 0, upper=True)),),  # read one's own
    "sched_getaffinity": _is(0, 0, OWN_PID),
    "tgkill": _is(0, OWN_PID),  # abort(), pthread_kill()
}

#: Answers other than EPERM, for callers that then take another way.
ANSWERS: Final[Mapping[str, int]] = {
    "clone3": errno.ENOSYS,  # its flags lie in memory, where no filter can look; the C library falls back to clone
    "ioctl": errno.ENOTTY,
}

#: Allowed calls of x86-64 by name; `clone3` is listed for its answer only.
_X86_64_NUMBERS: Final[Mapping[str, int]] = {
    **{"read": 0, "write": 1, "readv": 19, "writev": 20, "pread64": 17, "pwrite64": 18, "lseek": 8, "close": 3},
    **{"dup": 32, "dup2": 33, "dup3": 292, "pipe": 22, "pipe2": 293, "fcntl": 72, "ioctl": 16},
    **{"poll": 7, "ppoll": 271, "select": 23, "pselect6": 270},
    **{"open": 2, "openat": 257, "stat": 4, "fstat": 5, "lstat": 6, "newfstatat": 262, "statx": 332, "access": 21},
    **{"faccessat": 269, "faccessat2": 439, "readlink": 89, "readlinkat": 267, "getdents64": 217, "getcwd": 79},
    **{"mkdir": 83, "mkdirat": 258, "unlink": 87, "unlinkat": 263, "rmdir": 84, "rename": 82, "renameat": 264},
    **{"renameat2": 316, "ftruncate": 77},
    **{"mmap": 9, "mprotect": 10, "munmap": 11, "mremap": 25, "brk": 12, "madvise": 28},
    **{"clone": 56, "clone3": 435, "futex": 202, "set_robust_list": 273, "rseq": 334, "gettid": 186, "getpid": 39},
    **{"getppid": 110, "exit": 60, "exit_group": 231, "sched_yield": 24, "sched_getaffinity": 204, "getcpu": 309},
    **{"rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sigaltstack": 131, "tgkill": 234},
    **{"restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "nanosleep": 35},
    **{"gettimeofday": 96, "time": 201, "times": 100},
    **{"getuid": 102, "geteuid": 107, "getgid": 104, "getegid": 108, "uname": 63, "sysinfo": 99, "getrusage": 98},
    **{"getrlimit": 97, "prlimit64": 302, "getrandom": 318, "prctl": 157},
}
_AARCH64_NUMBERS: Final[Mapping[str, int]] = {
    **{"read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "lseek": 62, "close": 57},
    **{"dup": 23, "dup3": 24, "pipe2": 59, "fcntl": 25, "ioctl": 29, "ppoll": 73, "pselect6": 72},
    **{"openat": 56, "fstat": 80, "newfstatat": 79, "statx": 291, "faccessat": 48, "faccessat2": 439},
    **{"readlinkat": 78, "getdents64": 61, "getcwd": 17, "mkdirat": 34, "unlinkat": 35, "renameat": 38},
    **{"renameat2": 276, "ftruncate": 46},
    **{"mmap": 222, "mprotect": 226, "munmap": 215, "mremap": 216, "brk": 214, "madvise": 233},
    **{"clone": 220, "clone3": 435, "futex": 98, "set_robust_list": 99, "rseq": 293, "gettid": 178, "getpid": 172},
    **{"getppid": 173, "exit": 93, "exit_group": 94, "sched_yield": 124, "sched_getaffinity": 123, "getcpu": 168},
    **{"rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "sigaltstack": 132, "tgkill": 131},
    **{"restart_syscall": 128, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "nanosleep": 101},
    **{"gettimeofday": 169, "times": 153},
    **{"getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177, "uname": 160, "sysinfo": 179, "getrusage": 165},
    **{"getrlimit": 163, "prlimit64": 261, "getrandom": 278, "prctl": 167},
}
#: machine -> (identifier in struct seccomp_data, number of every listed call)
TABLES: Final[Mapping[str, tuple[int, Mapping[str, int]]]] = {
    "x86_64": (X86_64, _X86_64_NUMBERS),
    "aarch64": (AARCH64, _AARCH64_NUMBERS),
}


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one `struct sock_filter`; the jumps count instructions to skip."""
    return struct.pack("HBBI", code, if_true, if_false, value)


def _alternative(tests: Sequence[Match], own_pid: int) -> list[bytes]:
    """Return the instructions that allow the call when every test holds, and else run on behind the last of them."""
    steps: list[tuple[int, int]] = []
    for test in tests:
        steps.append((_LOAD, _ARGUMENTS_AT + 8 * test.argument + 4 * test.upper))
        if test.mask != _WORD:
            steps.append((_AND, test.mask))
        steps.append((_EQUAL, own_pid if test.value == OWN_PID else test.value))
    rest = range(len(steps), 0, -1)  # instructions to skip: the later steps and the return
    code = [
        instruction(step, value, 0, left if step == _EQUAL else 0)
        for (step, value), left in zip(steps, rest, strict=True)
    ]
    return [*code, instruction(_RETURN, ALLOW)]


def program(machine: str, own_pid: int) -> bytes:
    """Return the filter as BPF, 8 bytes an instruction.

    Parameters
    ----------
    machine : a key of TABLES
    own_pid : the id of the process that will be filtered, in its own process namespace
    """
    arch, numbers = TABLES[machine]
    code = [
        instruction(_LOAD, _ARCH_AT),
        instruction(_EQUAL, arch, 1, 0),
        instruction(_RETURN, KILL_PROCESS),
        instruction(_LOAD, _NUMBER_AT),
        instruction(_AT_LEAST, _X32, 0, 1),
        instruction(_RETURN, KILL_PROCESS),
    ]
    for name, number in numbers.items():
        if name in RULES:
            block = [one for tests in RULES[name] for one in _alternative(tests, own_pid)]
            block.append(instruction(_RETURN, ERRNO | ANSWERS.get(name, errno.EPERM)))
        else:
            block = [instruction(_RETURN, ERRNO | ANSWERS[name] if name in ANSWERS else ALLOW)]
        code += [instruction(_EQUAL, number, 0, len(block)), *block]
    code.append(instruction(_RETURN, ERRNO | errno.EPERM))
    return b"".join(code)
