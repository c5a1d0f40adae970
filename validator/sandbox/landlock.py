"""The Landlock rules: which files may be read, where one may write, and no network; versions 1 to 7 of the interface.

Source: Linux ``<linux/landlock.h>`` and ``Documentation/userspace-api/landlock.rst``.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence

from validator.sandbox import kernel

WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG, TRUNCATE = 1 << 7, 1 << 8, 1 << 14
READ = READ_FILE | READ_DIR  # and never EXECUTE: no program is started here
WRITE = READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG  # no link, socket, pipe or device
_OF_A_FILE = WRITE_FILE | READ_FILE | TRUNCATE
_LOG_SAME_EXEC_OFF = 1


def handled(abi: int) -> tuple[int, int, int]:
    """Return the rights on files, on the network and the scopes that version `abi` can deny: all it knows of."""
    files = 1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    return files - 1, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0  # bind, connect; abstract sockets, signals


def restrict(readable: Sequence[str], writable: Sequence[str]) -> None:
    """Deny this process and its descendants every file but those at and below the paths given, TCP, and signals to others.

    Parameters
    ----------
    readable : paths; one that does not exist is left out
    writable : paths that may be written too: folders, in which only files and folders can be made, or files

    Raises
    ------
    OSError
        The kernel has no Landlock, has it switched off, or `no_new_privileges` was not called.
    """
    try:
        abi = kernel.landlock_abi()
    except OSError as error:
        remedy = (
            "it takes Linux 5.13 with `landlock` among the lsm= of its command line, and no container that filters it"
        )
        raise OSError(error.errno, f"{error.strerror}; {remedy}") from error
    files, network, scopes = handled(abi)
    # A kernel that does not know the later fields takes them as long as they are zero.
    ruleset = kernel.landlock_ruleset(struct.pack("QQQ", files, network, scopes))
    try:
        for paths, rights in ((readable, READ), (writable, WRITE)):
            for path in paths:
                try:
                    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
                except FileNotFoundError:
                    continue
                folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
                kernel.landlock_allow(ruleset, descriptor, rights & files & (-1 if folder else _OF_A_FILE))
                os.close(descriptor)
        # Silent since version 7: a submission could otherwise fill the audit log of the machine with refusals.
        kernel.landlock_restrict(ruleset, _LOG_SAME_EXEC_OFF if abi >= 7 else 0)
    finally:
        os.close(ruleset)
