"""Runs a command on a kernel that lacks something: `crippled.py no-userns no-landlock -- COMMAND…`.

A filter of system calls answers as such a machine does: a container's default profile forbids namespaces, an older kernel or
one that was built without Landlock does not know its calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06  # <linux/bpf_common.h>
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_*
NAMESPACES = 0x7E020000  # all CLONE_NEW* but time
NUMBERS = {
    "x86_64": {"clone": 56, "unshare": 272, "mount": 165, "setns": 308, "seccomp": 317, "prctl": 157},
    "aarch64": {"clone": 220, "unshare": 97, "mount": 40, "setns": 268, "seccomp": 277, "prctl": 167},
}
PR_SET_SECCOMP = 22


def refused(number: int, error: int) -> list[tuple[int, int, int, int]]:
    return [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | error)]


def no_userns(numbers: dict[str, int]) -> list[tuple[int, int, int, int]]:
    """As Docker's default profile: the calls that need CAP_SYS_ADMIN, and clone with a flag for a namespace."""
    clone = [(EQUAL, 0, 4, numbers["clone"]), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, NAMESPACES)]
    clone += [(RETURN, 0, 0, ERRNO | errno.EPERM), (LOAD, 0, 0, 0)]
    others = [step for name in ("unshare", "mount", "setns") for step in refused(numbers[name], errno.EPERM)]
    new = [
        step for number in (428, 429, 430, 442) for step in refused(number, errno.EPERM)
    ]  # the new interface to mounts
    return [*clone, *others, *new, *refused(435, errno.ENOSYS)]


def no_landlock(_numbers: dict[str, int]) -> list[tuple[int, int, int, int]]:
    return refused(444, errno.ENOSYS)


def switched_off_landlock(_numbers: dict[str, int]) -> list[tuple[int, int, int, int]]:
    return refused(444, errno.EOPNOTSUPP)


def no_seccomp(numbers: dict[str, int]) -> list[tuple[int, int, int, int]]:
    """As a kernel without CONFIG_SECCOMP_FILTER, once this filter itself is on."""
    filtered = [(EQUAL, 0, 4, numbers["prctl"]), (LOAD, 0, 0, 16), (EQUAL, 0, 1, PR_SET_SECCOMP)]
    filtered += [(RETURN, 0, 0, ERRNO | errno.EINVAL), (LOAD, 0, 0, 0)]
    return [*filtered, *refused(numbers["seccomp"], errno.ENOSYS)]


def cripple(*lacks: str) -> None:
    """Put the filters on this process and all that come after it."""
    numbers = NUMBERS[platform.machine()]
    steps = [(LOAD, 0, 0, 0)]
    for lack in lacks:
        steps += globals()[lack.replace("-", "_")](numbers)
    code = b"".join(
        struct.pack("HBBI", kind, yes, no, value) for kind, yes, no, value in [*steps, (RETURN, 0, 0, ALLOW)]
    )
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    libc.prctl(38, *map(ctypes.c_ulong, (1, 0, 0, 0)))  # NO_NEW_PRIVS
    if libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), program, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    border = sys.argv.index("--")
    cripple(*sys.argv[1:border])
    os.execvp(sys.argv[border + 1], sys.argv[border + 1 :])  # noqa: S606  # what it is for
