"""The way into the jail: a freshly forked child of the zygote puts on one layer after the other and can take none off again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from validator.sandbox import kernel, landlock, namespaces, rlimits, seccomp, user
from validator.sandbox.policy import ConfinementError, Layer, Limits
from validator.sandbox.readable import Layout, layout

_NULL = "/dev/null"


def confine(layers: frozenset[Layer], limits: Limits, readable: Sequence[str]) -> None:
    """Put `layers` on this process, which has one thread, and return in the confined process.

    With `namespaces` that is process 1 of a new process namespace. The caller waits outside, holds nothing open, and ends as
    process 1 ends: by the same code or signal, its resources included. Killing either kills the other, and both end with
    the parent of the caller. Process 1 gets no signal that it does not handle, other than SIGKILL and those of its own
    faults, so that abort() ends it by SIGSEGV.

    Open files stay open, and none is added. There is no controlling terminal, and no way to one. The one folder to write to
    is the working folder `/box`, in memory; without `namespaces` there is none.

    Parameters
    ----------
    layers : the barriers to put on; all of a tier's, or fewer to show in a test what one of them is good for
    limits : what the submission may use; `wall_s` is the host's to watch
    readable : absolute paths of code, from :func:`validator.sandbox.readable.readable`

    Raises
    ------
    ConfinementError
        A layer cannot be put on. The process is then in no defined state and must end.
    """
    parent, apart = os.getppid(), "namespaces" in layers
    laid_out, trees = Layout((), {}), None
    with _blamed_on("rlimits"):
        mapped = rlimits.mapped_bytes()
    if apart:
        with _blamed_on("namespaces"):
            laid_out = layout(readable)
            with contextlib.suppress(PermissionError):  # an ordinary user's are made inside the user namespace
                trees = namespaces.detach(laid_out)
    with _blamed_on("uid"):
        if os.getsid(0) != os.getpid():
            os.setsid()
        changed = user.become_throwaway() if "uid" in layers and user.is_root() else None
        if changed and not apart:
            _check_reach(readable, changed)
    with _blamed_on("namespaces"):
        if apart:
            namespaces.leave(parent)
            namespaces.build_root(laid_out, trees or namespaces.detach(laid_out), box_mb=limits.file_mb)
        else:
            namespaces.end_with(parent)
            os.chdir("/")
    with _blamed_on("uid"):
        if changed:
            _check_reach([str(path) for path in laid_out.paths], changed)
        if layers & {"uid", "namespaces"}:
            kernel.drop_capabilities()
        kernel.no_new_privileges()
        kernel.set_dumpable(False)  # processes of the same user, such as the next submission's, may not trace this one
    with _blamed_on("rlimits"):
        if "rlimits" in layers:
            # A user namespace counts its own; a throwaway user has no others.
            others = 0 if apart or changed else rlimits.tasks_of_user()
            rlimits.restrict(limits, mapped=mapped, others=others)
    with _blamed_on("landlock"):
        if "landlock" in layers:
            landlock.restrict(readable, (_NULL, namespaces.BOX) if apart else (_NULL,))
    with _blamed_on("seccomp"):
        if "seccomp" in layers:
            kernel.seccomp_filter(seccomp.program(kernel.machine(), os.getpid()))


@contextlib.contextmanager
def _blamed_on(layer: Layer) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        raise ConfinementError(layer, f"{error.strerror or error}{place}") from error


def _check_reach(paths: Sequence[str], who: int) -> None:
    """Refuse a Python that the submission's user cannot read: it would fail later, with an error nobody understands."""
    for path in paths:
        if not os.access(path, os.R_OK) or (Path(path).is_dir() and not os.access(path, os.X_OK)):
            raise OSError(
                0,
                f"user {who}, whom root becomes for a submission, cannot read {path}; make it readable for all, "
                "install Python and longtail elsewhere (/opt), or start it as the user who owns them",
            )
