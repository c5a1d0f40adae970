"""The layer `uid`: a user of its own for every submission that root starts, out of a range that nobody uses.

An ordinary user has nobody else to become: a submission then stays the same user, without capabilities, and what keeps it
from that user's files and processes are the other layers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from validator.sandbox import kernel

#: First of the throwaway ids, one per process id: below 2**31, above what distributions, directories and containers give out.
FIRST: Final = 2_000_000_000
_MAX_PID = 1 << 22  # kernel.pid_max of 64-bit machines
_NOBODY = 65534  # and the id that stands for every id a namespace does not have
_FEW = 1000  # ranges smaller than this have no ids to throw away

Ranges = Sequence[tuple[int, int, int]]


def ranges(text: str) -> Ranges:
    """Return the lines of a uid_map or gid_map: first id here, first id outside, how many."""
    lines = (line.split() for line in text.splitlines())
    return [(int(first), int(outside), int(count)) for first, outside, count in lines]


def throwaway(known: Ranges, pid: int) -> int | None:
    """Return an id for process `pid` that exists in this user namespace and that nobody else is likely to have, or None."""
    if any(first <= FIRST and first + count >= FIRST + _MAX_PID for first, _, count in known):
        return FIRST + pid % _MAX_PID
    first, _, count = max(known, key=lambda one: one[2])
    if count < _FEW:
        return None
    chosen = first + count - 1 - pid % (count // 2)  # a container's upper half; its own users lie at the lower end
    return chosen - 1 if chosen == _NOBODY else chosen


def is_root() -> bool:
    """Tell root, of the machine or of a container, from an ordinary user: also one who is called root in a namespace of one."""
    first, outside, count = _known("uid")[0]
    return os.geteuid() == 0 and not (first == 0 and outside != 0 and count == 1 and len(_known("uid")) == 1)


def become_throwaway() -> int:
    """Change root, for good, to an id of its own without groups or capabilities; return it.

    Raises
    ------
    OSError
        There is no such id here, or root lacks the capabilities to change.
    """
    pid = os.getpid()
    user, group = throwaway(_known("uid"), pid), throwaway(_known("gid"), pid)
    if user is None or group is None:
        raise OSError(0, "root of a user namespace without further ids; start it as an ordinary user instead")
    try:
        kernel.drop_capabilities(keep_effective=True)
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    except PermissionError as error:
        reason = (
            f"root may not change to user {user} here (CAP_SETUID, CAP_SETGID); start it as an ordinary user instead"
        )
        raise PermissionError(error.errno, reason) from None
    return user


def _known(kind: str) -> Ranges:
    return ranges(Path(f"/proc/self/{kind}_map").read_text(encoding="ascii"))
