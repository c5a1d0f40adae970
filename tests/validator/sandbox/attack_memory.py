"""Attacks on memory and open files: look for what is nobody's business, spoil what others will read, leave notes behind."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import mmap
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attack_native import LIBC, call, successes

from validator.sandbox.task import ANSWERS, ROWS, Task

Given = dict[str, Any]
PAGE = mmap.PAGESIZE
BLOCK = 16 * PAGE
FLAGS = os.O_NONBLOCK | os.O_APPEND
ODD = 0x9E3779B97F4A7C15


def handles(_given: Given) -> Iterator[str]:
    """Look at everything that is open: nothing, and three pipes."""
    for handle in range(4096):
        try:
            status = os.fstat(handle)
        except OSError:
            continue
        kind, mode = stat.S_IFMT(status.st_mode), fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE
        allowed = {
            0: kind == stat.S_IFCHR and status.st_rdev == os.makedev(1, 3),
            1: kind in {stat.S_IFCHR, stat.S_IFIFO},
            2: kind in {stat.S_IFCHR, stat.S_IFIFO},
            ROWS: kind == stat.S_IFIFO and mode == os.O_RDONLY,
            ANSWERS: kind == stat.S_IFIFO and mode == os.O_WRONLY,
        }
        if not allowed.get(handle):
            yield f"{handle}: {stat.filemode(status.st_mode)} mode {mode}"


def spoil(task: Task, _given: Given) -> Iterator[str]:
    """Change the training data where others might read it: by the mapping, and by every handle on it there may be."""
    first = task.train.ctypes.data & -PAGE
    length = task.train.ctypes.data + task.train.nbytes - first
    if LIBC.mprotect(ctypes.c_void_p(first), ctypes.c_size_t(length), 3) == 0:
        ctypes.memset(task.train.ctypes.data, 0, task.train.nbytes)
    for handle in range(3, 64):
        yield from change(handle)


def change(handle: int) -> Iterator[str]:
    """Try to change the content of an open file in every way."""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return
    except OSError:
        return
    shared = mmap.PROT_READ | mmap.PROT_WRITE
    yield from successes(
        ("write", lambda: os.write(handle, b"spoiled!")),
        ("write at", lambda: os.pwrite(handle, b"spoiled!", 0)),
        ("shrink", lambda: os.ftruncate(handle, 8)),
        ("grow", lambda: os.ftruncate(handle, 1 << 20)),
        ("allocate", lambda: os.posix_fallocate(handle, 0, 1 << 20)),
        ("punch a hole", lambda: _checked(LIBC.fallocate(handle, 3, ctypes.c_long(0), ctypes.c_long(PAGE)))),
        ("map writable", lambda: mmap.mmap(handle, 8, flags=mmap.MAP_SHARED, prot=shared)),
        ("seal", lambda: fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)),
    )


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "refused")


def new_code(_given: Given) -> Iterator[str]:
    """Make machine code of one's own in memory that is, or becomes, executable."""
    read_write, execute = mmap.PROT_READ | mmap.PROT_WRITE, mmap.PROT_READ | mmap.PROT_EXEC
    page = mmap.mmap(-1, PAGE, prot=read_write)
    address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    yield from successes(
        ("map", lambda: mmap.mmap(-1, PAGE, prot=read_write | execute)),
        ("map privately", lambda: mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=execute)),
        ("make executable", lambda: _checked(LIBC.mprotect(address, ctypes.c_size_t(PAGE), execute))),
    )


def mapped_code(_given: Given) -> Iterator[str]:
    """Write machine code to a file and map it as if it were a library."""
    execute = mmap.PROT_READ | mmap.PROT_EXEC
    yield from successes(("map a file", lambda: mmap.mmap(_file(), PAGE, flags=mmap.MAP_PRIVATE, prot=execute)))


def _file() -> int:
    handle = os.open("code", os.O_CREAT | os.O_RDWR, 0o700)
    os.write(handle, bytes(PAGE))
    return handle


def borrow(_given: Given) -> Iterator[str]:
    """Abuse the pipes: turn them round, make them huge, use up every descriptor."""
    yield from successes(
        ("read answers", lambda: os.read(ANSWERS, 1)),
        ("write rows", lambda: os.write(ROWS, b"x")),
        ("read errors", lambda: _not_empty(os.read(2, 1))),
        ("read output", lambda: _not_empty(os.read(1, 1))),
    )
    opened: list[int] = []
    try:
        while len(opened) < 10_000:
            opened.append(os.dup(0))
    except OSError:
        pass
    if len(opened) > 1024:
        yield f"{len(opened)} descriptors"
    for handle in opened:
        os.close(handle)


def _not_empty(got: bytes) -> None:
    if not got:
        raise OSError("nothing")


def hoard(_given: Given) -> Iterator[str]:
    """Hold memory of the kernel in pipes, which no limit on address space counts."""
    held, block, pipes = 0, b"x" * (1 << 20), []
    try:
        while held < 64 << 20:
            pipes.append(os.pipe())
            fcntl.fcntl(pipes[-1][1], fcntl.F_SETPIPE_SZ, 1 << 20)
            os.set_blocking(pipes[-1][1], False)
            held += os.write(pipes[-1][1], block)
    except OSError:
        pass
    for pair in pipes:
        for handle in pair:
            os.close(handle)
    if held > 40 << 20:
        yield f"{held >> 20} MiB in {len(pipes)} pipes"


def readable(known: set[int]) -> Iterator[bytes]:
    """Yield the content of all memory around known addresses. A pipe refuses what cannot be read instead of dying of it."""
    source, sink = os.pipe()
    done: set[int] = set()

    def block(start: int) -> bytes:
        content = b""
        for address in range(start, start + BLOCK, PAGE):
            count = LIBC.write(sink, ctypes.c_void_p(address), ctypes.c_size_t(PAGE))
            content += os.read(source, count) if count > 0 else b""
        return content

    for address in sorted(known):
        for step in (BLOCK, -BLOCK):
            start = address & -BLOCK
            while start not in done and (content := block(start)):
                done.add(start)
                yield content
                start += step
            done.discard(address & -BLOCK)
        done.add(address & -BLOCK)
    os.close(source)
    os.close(sink)


def scan(task: Task, given: Given) -> Iterator[str]:
    """Search memory for eight-byte words, each of one byte repeated, which the host holds and the jail must not.

    The words themselves never exist here: what is compared are products with an odd number, modulo 2**64.
    """
    task.answer(np.zeros(len(next(task.batches()))))
    everything = gc.get_objects()
    known = {id(one) for one in everything} | {id(module) for module in sys.modules.values()}
    known |= {one.ctypes.data for one in everything if isinstance(one, np.ndarray)}
    known |= {
        address for address in (LIBC.sbrk(0) - PAGE, ctypes.c_void_p.in_dll(LIBC, "__libc_stack_end").value) if address
    }
    del everything
    wanted = {name: np.uint64(0x0101010101010101 * byte * ODD % 2**64) for name, byte in given["words"].items()}
    found = set()
    for content in readable(known):
        words = np.frombuffer(content, dtype="<u8") * np.uint64(ODD)
        found |= {name for name, word in wanted.items() if (words == word).any()}
    if "train" not in found:
        yield "nothing: the search does not even find the training data"
    yield from sorted(found - {"train"})


NOTES: list[str] = []


def leave(given: Given) -> Iterator[str]:
    """Leave notes for the next submission wherever something may outlive this one."""
    mark: str = given["mark"]
    NOTES.append(mark)
    os.environ["NOTE"] = mark
    with suppress(OSError):
        os.umask(0o123)
    key, queue = given["key"], ctypes.c_char_p(given["object"].encode())
    list(
        successes(
            *((folder, partial(Path(folder, mark).write_text, mark)) for folder in (".", *given["folders"])),
            ("shared memory", lambda: call("shmget", key, PAGE, 0o1666)),
            ("semaphore", lambda: call("semget", key, 1, 0o1666)),
            ("queue", lambda: call("msgget", key, 0o1666)),
            ("posix queue", lambda: call("mq_open", queue, os.O_CREAT | os.O_RDWR, 0o666, None)),
            ("key", lambda: call("add_key", ctypes.c_char_p(b"user"), queue, mark.encode(), len(mark), -4)),
            ("output", lambda: os.write(1, mark.encode())),
            ("errors", lambda: os.write(2, mark.encode())),
            *((f"flags of {one}", partial(fcntl.fcntl, one, fcntl.F_SETFL, FLAGS)) for one in (0, 1, 2)),
        )
    )
    yield from ()


def find(given: Given) -> Iterator[str]:
    """Look for the notes of an earlier submission."""
    mark: str = given["mark"]
    if mark in NOTES or os.environ.get("NOTE") == mark:
        yield "this very process"
    with suppress(OSError):
        if os.umask(0o022) == 0o123:
            yield "mask"
    key, queue = given["key"], ctypes.c_char_p(given["object"].encode())
    yield from successes(
        *((folder, partial(Path(folder, mark).read_text)) for folder in (".", *given["folders"])),
        ("shared memory", lambda: call("shmget", key, PAGE, 0o666)),
        ("semaphore", lambda: call("semget", key, 1, 0o666)),
        ("queue", lambda: call("msgget", key, 0o666)),
        ("posix queue", lambda: call("mq_open", queue, os.O_RDWR, 0, None)),
        ("key", lambda: call("keyctl", 10, -4, ctypes.c_char_p(b"user"), queue, 0)),
        ("output", lambda: _not_empty(os.read(1, 1))),
        ("errors", lambda: _not_empty(os.read(2, 1))),
    )
    for handle in (0, 1, 2):
        if fcntl.fcntl(handle, fcntl.F_GETFL) & FLAGS:
            yield f"flags of {handle}"
