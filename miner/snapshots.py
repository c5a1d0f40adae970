"""Copies of runs in a bucket: made while a run goes on, fetched to go on elsewhere.

``BUCKET/PATH/runs/RUN/`` holds a run's journal and, when it has ended, its artefacts; ``BUCKET/PATH/modules/SHA256.py`` its
winner. A copy is written only over the one that this coordinator wrote before, or that holds nothing which this run lacks:
of two coordinators of one run one goes on copying, the other says so and stops. The search never waits for S3.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from infra.files import atomic_write
from infra.home import find_home, make_folder
from infra.objects import Objects
from infra.settings import Settings
from miner.artefacts import ARTEFACTS, MODULE
from miner.journal import FILE_NAME, Journal, copy_of
from miner.runs import find_run, name_of_run
from miner.view import View
from pipelines.parser import block_hash
from protocol.errors import ConfigError, LongtailError

#: A running journal is copied so often, if it changed.
PERIOD_S = 60.0
COPY_NAME = f"{FILE_NAME}.gz"
_RUN = re.compile(r"[A-Za-z0-9][\w.-]*\Z", re.ASCII)


@contextmanager
def snapshots(bucket: str, view: View) -> Iterator[Callable[[Path], None]]:
    """Yield what is told the folder of a run, which is copied from then on, and at the end once more with its artefacts.

    A copy that fails is told once and tried again; it never ends the run. Whoever leaves in haste (KeyboardInterrupt) is not
    kept waiting for the last copy.

    Parameters
    ----------
    bucket : str
        ``s3://BUCKET/PATH``; empty: nothing is copied.
    view : View
        Told of failures and of the end, also by another thread.

    Raises
    ------
    ConfigError
        `bucket` is no such address, or boto3 is missing.
    """
    followed: list[_Copier] = []
    place = Objects(bucket) if bucket else None
    if place is not None:
        place.connect()

    def follow(folder: Path) -> None:
        if place is not None:
            followed.append(_Copier(place, folder, view))

    try:
        yield follow
    finally:
        for copier in followed:
            copier.stop(wait=not isinstance(sys.exc_info()[1], KeyboardInterrupt))


class _Copier:
    """Copies one run, first and now and then on a thread of its own, at last when it is stopped."""

    def __init__(self, place: Objects, folder: Path, view: View) -> None:
        self._place, self._folder, self._view = place, folder, view
        self._path = f"runs/{name_of_run(folder)}"
        self._uri = place.address(self._path)
        self._tag: str | None = None
        self._began = self._failing = self._gave_way = False
        self._copied = b""
        self._sent: set[bytes] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="snapshots", daemon=True)
        self._thread.start()

    def stop(self, *, wait: bool) -> None:
        """Make the last copy, unless there is no time for it."""
        self._end.set()
        if not wait:
            return
        self._thread.join()
        if not self._gave_way and self._copy(last=True):
            facts = {"uri": self._uri, "problem": None}
            self._view.event("copy", facts, [("copy", f"`ltminer resume {self._uri}` goes on from any machine")])

    def _work(self) -> None:
        while not self._gave_way:
            self._copy()
            if self._end.wait(PERIOD_S):
                return

    def _copy(self, *, last: bool = False) -> bool:
        """Copy what changed; return whether all is there."""
        try:
            done = self._copy_journal()
            if done and last:
                self._copy_artefacts()
        except (LongtailError, OSError) as error:
            if last or not self._failing:
                then = "it is in this home only" if last else "the run goes on, and it is tried again"
                self._tell(f"this run is not copied: {error}; {then}")
            self._failing = True
            return False
        self._failing = False
        return done

    def _copy_journal(self) -> bool:
        content = copy_of(self._folder)
        digest = hashlib.sha256(content).digest()
        if digest == self._copied:
            return True
        if not self._began and not self._begin():
            return False
        if not self._put(gzip.compress(content, 6, mtime=0)):
            self._give_way(
                "another coordinator of this run writes the copy at {}, so this one no longer does; stop one of them"
            )
            return False
        self._copied = digest
        return True

    def _begin(self) -> bool:
        """Look at what is there; return whether it may be replaced."""
        there = self._place.get(f"{self._path}/{COPY_NAME}")
        if there is not None:
            with unpacked(there[0], self._uri) as copy, closing(Journal.open(self._folder)) as own:
                if not own.covers(copy):
                    self._give_way(
                        "the copy at {0} has what this run lacks and stays; `ltminer resume {0}` goes on from it"
                    )
                    return False
            self._tag = there[1]
        self._began = True
        return True

    def _put(self, packed: bytes) -> bool:
        """Replace the copy; return whether it was this coordinator's."""
        path = f"{self._path}/{COPY_NAME}"
        self._sent.add(hashlib.sha256(packed).digest())
        tag = self._place.swap(path, packed, self._tag)
        if tag is None:  # an earlier put may have been carried out although it seemed to fail
            there = self._place.get(path)
            if there is not None and hashlib.sha256(there[0]).digest() in self._sent:
                tag = self._place.swap(path, packed, there[1])
        if tag is None:
            return False
        self._tag, self._sent = tag, set()
        return True

    def _copy_artefacts(self) -> None:
        for name in ARTEFACTS:
            file = self._folder / name
            if not file.is_file():
                continue
            content, path = file.read_bytes(), f"{self._path}/{name}"
            there = self._place.get(path)
            if there is None or there[0] != content:
                self._place.swap(path, content, there[1] if there else None)
            if name == MODULE:
                self._place.create(f"modules/{block_hash(content)}.py", content)

    def _give_way(self, words: str) -> None:
        self._gave_way = True
        self._tell(words.format(self._uri))

    def _tell(self, problem: str) -> None:
        self._view.event("copy", {"uri": self._uri, "problem": problem}, [("copy", problem)])


def locate_run(run: str, settings: Settings) -> tuple[Path, Settings]:
    """Return the folder of a run, fetched into this home if need be, and the settings to go on with.

    Parameters
    ----------
    run : str
        Name or folder of a run here, ``s3://BUCKET/PATH/runs/RUN``, or the name of one in the bucket of the settings.
    settings : Settings
        Copies of a run that came from a bucket go back to that bucket.

    Raises
    ------
    ConfigError
        There is no such run, its copy is damaged, or it and the run of that name here went different ways.
    ClusterError
        S3 does not answer.
    """
    if run.startswith("s3://"):
        bucket, _, name = run.rstrip("/").rpartition("/runs/")
        if not bucket or not _RUN.match(name):
            raise ConfigError(f"{run} is no address of a run; write s3://BUCKET/PATH/runs/RUN")
        return _fetched(Objects(bucket), name), settings.model_copy(update={"bucket": bucket})
    try:
        return find_run(run), settings
    except ConfigError:
        if not settings.bucket or not _RUN.match(run):
            raise
        return _fetched(Objects(settings.bucket), run), settings


def _fetched(place: Objects, name: str) -> Path:
    path, folder = f"runs/{name}", find_home().runs / name
    there = place.get(f"{path}/{COPY_NAME}")
    if there is None:
        raise ConfigError(f"no run at {place.address(path)}; check bucket, path and name")
    with unpacked(there[0], place.address(path)) as copy:
        if not (folder / FILE_NAME).is_file():
            make_folder(folder.parent)
            atomic_write(folder / FILE_NAME, copy_of(copy.path.parent))
            return folder
        with closing(Journal.open(folder)) as own, own.locked():
            if own.covers(copy):
                return folder
            if not copy.covers(own):
                raise ConfigError(
                    f"run {folder} and its copy {place.address(path)} went different ways; `ltminer resume {folder}` goes on "
                    "with the run here; to go on with the copy, name another LONGTAIL_HOME"
                )
            own.adopt(copy)
    return folder


@contextmanager
def unpacked(packed: bytes, uri: str) -> Iterator[Journal]:
    """Open the journal in a copy.

    Raises
    ------
    ConfigError
        It is damaged.
    """
    try:
        content = gzip.decompress(packed)
    except (OSError, EOFError, ValueError) as error:
        raise _damaged(uri, error) from error
    with tempfile.TemporaryDirectory(prefix="longtail-") as folder:
        (Path(folder) / FILE_NAME).write_bytes(content)
        try:
            journal = Journal.open(Path(folder))
        except ConfigError as error:
            raise _damaged(uri, error) from error
        with closing(journal):
            yield journal


def _damaged(uri: str, error: Exception) -> ConfigError:
    return ConfigError(f"the copy at {uri} is damaged: {error}; resume the run where it ran, or remove the copy")
