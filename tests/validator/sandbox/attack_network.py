"""Attacks on the network: every family a kernel may have, and the ways around `socket`."""

from __future__ import annotations

import ctypes
import os
import select
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

from attack_native import call, successes

Given = dict[str, Any]
LOCALHOST = "127.0.0.1"

#: Family, kind and protocol of every socket somebody might have a use for.
KINDS = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM, 0),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM, 0),
    "icmp": (socket.AF_INET, socket.SOCK_DGRAM, 1),
    "raw": (socket.AF_INET, socket.SOCK_RAW, 1),
    "mptcp": (socket.AF_INET, socket.SOCK_STREAM, 262),
    "sctp": (socket.AF_INET, socket.SOCK_STREAM, 132),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM, 0),
    "udp6": (socket.AF_INET6, socket.SOCK_DGRAM, 0),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM, 0),
    "netlink": (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "uevent": (socket.AF_NETLINK, socket.SOCK_RAW, 15),
    "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0x300),
    "vsock": (40, socket.SOCK_STREAM, 0),
    "bluetooth": (31, socket.SOCK_RAW, 1),
    "can": (29, socket.SOCK_RAW, 1),
    "crypto": (38, socket.SOCK_SEQPACKET, 0),
    "tipc": (30, socket.SOCK_SEQPACKET, 0),
    "rds": (21, socket.SOCK_SEQPACKET, 0),
    "kcm": (41, socket.SOCK_SEQPACKET, 0),
    "xdp": (44, socket.SOCK_RAW, 0),
    "smc": (43, socket.SOCK_STREAM, 0),
    "qipcrtr": (42, socket.SOCK_DGRAM, 0),
}


def create(given: Given) -> Iterator[str]:
    """Make a socket of every family, and pairs of them."""
    yield from successes(*((name, partial(socket.socket, *kind)) for name, kind in KINDS.items()))
    yield from successes(
        ("pair", socket.socketpair),
        ("listen", lambda: socket.create_server((LOCALHOST, 0))),
        ("abstract name", lambda: socket.socket(socket.AF_UNIX).bind("\0" + given["mark"])),
    )


def tcp(given: Given) -> Iterator[str]:
    """Speak to a service of the host, and become one."""
    yield from successes(
        ("connect", lambda: socket.create_connection((LOCALHOST, given["tcp"]), 1).sendall(b"tcp")),
        ("connect by IPv6", lambda: socket.create_connection(("::1", given["tcp"]), 1).sendall(b"tcp6")),
    )


def udp(given: Given) -> Iterator[str]:
    """Send a datagram without a connection."""
    yield from successes(
        ("send", lambda: socket.socket(*KINDS["udp"]).sendto(b"udp", (LOCALHOST, given["udp"]))),
        ("send to a name server", lambda: socket.socket(*KINDS["udp"]).sendto(b"\0", ("192.0.2.1", 53))),
    )


def local(given: Given) -> Iterator[str]:
    """Speak to services of the host by path and by abstract name."""
    for name, address in (("path", given["unix"]), ("abstract", "\0" + given["abstract"])):
        yield from successes((f"stream by {name}", partial(_connect, address, socket.SOCK_STREAM)))
        yield from successes((f"datagram by {name}", partial(_send, address + "d")))


def _connect(address: str, kind: int) -> None:
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.connect(address)
        client.sendall(b"unix")


def _send(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"unix", address)


def rings(_given: Given) -> Iterator[str]:
    """Let the kernel do the system calls: io_uring makes sockets, and asynchronous I/O queues."""
    context = ctypes.c_ulong(0)
    yield from successes(
        ("io_uring", lambda: call("io_uring_setup", 4, ctypes.create_string_buffer(120))),
        ("aio", lambda: call("io_setup", 1, ctypes.byref(context))),
    )


def inherited(_given: Given) -> Iterator[str]:
    """Use sockets that were open already."""
    for handle in range(1024):
        try:
            with socket.socket(fileno=os.dup(handle)) as found:
                yield f"{handle} is a socket of family {found.family}"
        except OSError:
            continue


def pass_handles(_given: Given) -> Iterator[str]:
    """Send what is open to somebody else through whatever is open."""
    for handle in (0, 1, 2, 3, 4, 5):
        try:
            other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=handle)
        except OSError:
            continue
        yield from successes((f"pass through {handle}", partial(socket.send_fds, other, [b"x"], [3])))
        other.detach()


def watch(_given: Given) -> Iterator[str]:
    """Waiting is allowed only on what is open; a poll of it must not show more than that."""
    waiting = select.poll()
    for handle in range(6, 64):
        waiting.register(handle)
    seen = [handle for handle, event in waiting.poll(0) if not event & select.POLLNVAL]
    if seen:
        yield f"open: {seen}"
