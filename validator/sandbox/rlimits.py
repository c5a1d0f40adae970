"""The layer `rlimits`: what one process may use. It is complete because the filter of system calls allows no second one."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from validator.sandbox.policy import Limits

MIB: Final = 1 << 20
#: Threads, and room for the process that waits outside of the process namespace.
TASKS: Final = 64
#: The host ends a child at its limit, by its CPU clock. The kernel's own limit is for a host that is late: it counts ticks,
#: which on a virtual machine that gets less than its share came to the end at 0.7 of the time really used.
CPU_SLACK: Final = 1.5
_STACK_BYTES = 8 * MIB
_SIGNALS = 64


def mapped_bytes() -> int:
    """Return the size of this process's address space, bytes; needs /proc."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


def tasks_of_user() -> int:
    """Return how many threads the user of this process runs on this machine: the kernel counts them all; needs /proc."""
    user, count = os.getuid(), 0
    for process in Path("/proc").glob("[0-9]*/task"):
        try:
            status = process.stat()
        except OSError:  # ended meanwhile
            continue
        count += (status.st_nlink - 2) * (status.st_uid == user)
    return count


def restrict(limits: Limits, *, mapped: int, others: int) -> None:
    """Set every limit, soft and hard alike, to `limits` or what was allowed before if that is less.

    At the kernel's limit of CPU time the process ends by SIGKILL: equal limits leave no SIGXCPU to catch or ignore, and none
    that the first process of a namespace would never get.

    Parameters
    ----------
    mapped : bytes of address space taken before the submission
    others : threads of the same user that are none of the submission's
    """
    wanted: Mapping[int, int] = {
        resource.RLIMIT_CPU: math.ceil(CPU_SLACK * limits.cpu_s) + 1,
        resource.RLIMIT_AS: mapped + limits.memory_mb * MIB,
        resource.RLIMIT_FSIZE: limits.file_mb * MIB,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: others + TASKS,
        resource.RLIMIT_STACK: _STACK_BYTES,
        resource.RLIMIT_SIGPENDING: _SIGNALS,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))
