"""A dataset: one immutable version of a set of series, read lazily and grown by appending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pyarrow as pa

from data.asof import begun, cut_month, known, parse_uri, view_uri, without_unheard
from data.filesystem import Storage, head_of, storage_at
from data.manifest import (
    FileEntry,
    Manifest,
    entry_of_path,
    is_versioned,
    leaves_path,
    manifest_path,
    parse_manifest,
    parse_time,
    to_micros,
)
from data.root import Leaves, leaves_of, parse_leaves, root_of
from data.scan import columns_of, describe, expression, moment_filter, scan
from data.schema import KEYS
from protocol.errors import DataError


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """One series.

    ``first`` and ``last`` are bar opens, UTC. ``gaps`` counts runs of missing bars and ``missing`` the bars in them,
    against the calendar of the panel (``data.coverage``).
    """

    type: str
    broker: str
    symbol: str
    sector: str
    rows: int
    first: datetime
    last: datetime
    gaps: int
    missing: int


class Dataset:
    """One version: what it holds never changes, so any number of threads and processes may read it.

    It may be a view, a version as it was known at a moment (``?until=…``, see :mod:`data.asof`): all it says, its root
    too, is what a dataset that ended there would say. A view cannot be appended to.

    Obtain one with :meth:`open` or :meth:`create`. :meth:`append` leaves this object as it is and returns the new
    version; several processes may append to one place at the same time, and no version is lost.

    Attributes
    ----------
    uri : str
        Local path or ``s3://`` address, of a view with its ``?until=…``.
    manifest : Manifest or None
        Of the version, also where this is a view of it; None for a bare Parquet file or hive tree, and for a dataset
        that is still empty.
    until : int or None
        Moment of a view, microseconds since 1970 UTC.
    """

    def __init__(
        self, storage: Storage, manifest: Manifest | None, bare: Sequence[FileEntry] = (), until: int | None = None
    ) -> None:
        self.uri = storage.uri if until is None else view_uri(storage.uri, until)
        self.until = until
        self.storage = storage
        self.manifest = manifest
        self._bare = tuple(bare)

    @classmethod
    def open(cls, uri: str, root: str | None = None) -> Dataset:
        """Open the version that ``HEAD`` names, or `root`.

        Behind `uri`, ``?until=MOMENT`` asks for the newest version as it was known then; the `root` is the view's.
        `uri` may also name a single Parquet file or a tree ``[data/]type=…/broker=…/*.parquet`` without manifests;
        opening one does not read its rows, unless a `root` is given that they must have.

        Raises
        ------
        DataError
            Nothing there, nothing in it, a damaged manifest, no moment behind ``?until=``, or another root than asked
            for.
        """
        place, until = parse_uri(uri)
        storage = storage_at(place)
        wanted = root if root is not None and until is None else head_of(storage)[0]
        content = None if wanted is None else storage.read(manifest_path(wanted))
        if wanted is not None and content is not None:
            where = f"{storage.uri}/{manifest_path(wanted)}"
            manifest = parse_manifest(content, where)
            if manifest.root != wanted:
                raise DataError(f"{where} says root {manifest.root}; fetch the dataset again")
            return cls(storage, manifest, until=until)._with_root(root)
        files = storage.files()
        if "HEAD" in files:
            raise DataError(f"{storage.uri} has no version {wanted}; see manifests/ there for those it has")
        names = [path for path in files if storage.single or (path.endswith(".parquet") and not is_versioned(path))]
        bare = [entry_of_path(path) for path in names]
        if not bare:
            found = (
                "data files but no HEAD: its first append did not finish; repeat it" if files else "no dataset there"
            )
            raise DataError(f"{storage.uri}: {found}; see `ltdata import` and `ltdata sample`")
        return cls(storage, None, bare, until)._with_root(root)

    @classmethod
    def create(cls, uri: str) -> Dataset:
        """Open the dataset at `uri`, or return an empty one that comes into being with its first append.

        Raises
        ------
        DataError
            `uri` holds Parquet files without manifests, or is a file or a view.
        """
        place, until = parse_uri(uri)
        if until is not None:
            raise DataError(f"{uri} is a view, which nothing can be added to; append to {place}")
        storage = storage_at(place)
        if storage.single:
            raise DataError(f"{storage.uri} is a file; name a folder or s3://bucket/path to append to")
        if head_of(storage)[0] is not None:
            return cls.open(place)
        if any(path.endswith(".parquet") and not is_versioned(path) for path in storage.files()):
            raise DataError(f"{storage.uri} holds Parquet files without manifests; append to a new place instead")
        return cls(storage, None)

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """The files of this version; of a view those that may hold rows of it."""
        files = self.manifest.files if self.manifest else self._bare
        return files if self.until is None else begun(files, self.until)

    @property
    def is_bare(self) -> bool:
        """Whether this is a file or tree without manifests, which can be read but not appended to."""
        return self.manifest is None and bool(self._bare)

    @cached_property
    def leaves(self) -> Leaves:
        """The hash of every series-month; read from the dataset, or computed from the rows of a bare one.

        A view computes those of the months that its moment cuts through.
        """
        if self.manifest is None:
            return leaves_of(self.read())
        content = self.storage.read(leaves_path(self.manifest.root))
        if content is None or root_of(leaves := parse_leaves(content)) != self.manifest.root:
            raise DataError(
                f"{self.storage.uri}/{leaves_path(self.manifest.root)} is missing or damaged; fetch the dataset again"
            )
        if self.until is None:
            return leaves
        if not self.entries:
            return {}
        month = cut_month({key.partition("\t")[0] for key in leaves}, self.until)
        whole = {key: digest for key, digest in leaves.items() if key.rpartition("\t")[2] < month}
        return whole | leaves_of(self.read(start=parse_time(f"{month}-01")))

    @property
    def root(self) -> str | None:
        """Content root, 64 hex digits; None for an empty dataset. A bare one or a view computes it at the first use."""
        if self.until is not None:
            return root_of(self.leaves) if self.leaves else None
        if self.manifest is not None:
            return self.manifest.root
        return root_of(self.leaves) if self._bare else None

    @property
    def known_root(self) -> str:
        """Content root of a dataset that has rows.

        Raises
        ------
        DataError
            It has none.
        """
        root = self.root
        if root is None and self.until is not None:
            raise DataError(f"dataset {self.uri} is empty: no bar had closed by then; name a later moment")
        if root is None:
            raise DataError(f"dataset {self.uri} is empty; bring data with `ltdata import` or `ltdata fetch`")
        return root

    def _with_root(self, root: str | None) -> Dataset:
        """Return this; DataError when a `root` is given that is not its own."""
        if root is not None and self.root != root:
            raise DataError(f"{self.uri} has root {self.root}, not {root}; fetch the version you need")
        return self

    def read(
        self,
        *,
        type: str | None = None,
        broker: str | None = None,
        sectors: Sequence[str] = (),
        symbols: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] = (),
    ) -> pa.Table:
        """Return rows sorted by (type, broker, symbol, datetime).

        Parameters
        ----------
        type, broker, sectors, symbols
            Keep only these; omitted or empty means all. What matches nothing gives an empty table.
        start, end : datetime, aware
            Keep bars whose open lies in [start, end).
        columns : sequence of str
            Data columns to return; empty means all. The five keys always come first.

        Returns
        -------
        pyarrow.Table
            Only files, row groups and columns that can matter are read.

        Raises
        ------
        DataError
            An unknown column, a naive `start` or `end`, or a file that cannot be read.
        """
        first, stop = (None if moment is None else to_micros(moment) for moment in (start, end))
        if self.until is not None:
            stop = self.until if stop is None else min(stop, self.until)
        entries = [
            entry
            for entry in self.entries
            if (type is None or entry.type in {None, type})
            and (broker is None or entry.broker in {None, broker})
            and (first is None or entry.last is None or entry.last >= first)
            and (stop is None or entry.first is None or entry.first < stop)
        ]
        if self.is_bare:
            entries = [describe(self.storage, entry) for entry in entries]
        names = columns_of(entries)
        wanted = [name for name in columns if name not in KEYS]
        unknown = [name for name in wanted if name not in names]
        if unknown and entries:
            raise DataError(f"{self.uri} has no column {unknown[0]!r}; it has {', '.join(names)}")
        condition = moment_filter(first, stop)
        for column, values in (
            ("type", [type] if type and any(entry.type is None for entry in entries) else []),
            ("broker", [broker] if broker and any(entry.broker is None for entry in entries) else []),
            ("sector", sectors),
            ("symbol", symbols),
        ):
            if values:
                part = expression(column, values)
                condition = part if condition is None else condition & part
        table = scan(
            self.storage,
            entries,
            wanted if columns else names,
            condition,
            trusted=not self.is_bare,
            symbols=tuple(symbols),
        )
        if self.until is None:
            return table
        table = known(table, self.until)
        return table if columns else without_unheard(table)

    def append(
        self,
        table: pa.Table,
        *,
        source: str = "",
        revise: bool = False,
        cuts: Mapping[str, str] | None = None,
    ) -> Dataset:
        """Add rows to the newest version at this place and return the version that holds them.

        Parameters
        ----------
        table : pyarrow.Table
            The five keys and data columns, of one or more types, in any order. Rows that are there already with
            equal values are passed over.
        source : str
            Where the rows came from; kept in the manifest.
        revise : bool
            Let a different value for an existing key replace it, in the new version only.
        cuts : mapping of str to str
            Sector pattern to ISO time from which rows are held out and refused; added to those of the dataset.

        Raises
        ------
        DataError
            A row that breaks the format or lies behind a cut, a series that changes its sector, a different value
            for an existing key, or a bare dataset or a view. Nothing has been changed then.
        """
        from data.appending import append_rows  # the writer builds on this class

        return append_rows(self, table, source=source, revise=revise, cuts=dict(cuts or {}))

    def series(self) -> list[SeriesSummary]:
        """Return a summary of every series, sorted by (type, broker, symbol)."""
        from data.coverage import summaries  # builds on this module

        return summaries(self.read_keys())

    def read_keys(self) -> pa.Table:
        """Return only the five key columns of all rows, sorted."""
        entries = [describe(self.storage, entry) for entry in self.entries] if self.is_bare else list(self.entries)
        table = scan(self.storage, entries, [], moment_filter(None, self.until), trusted=not self.is_bare)
        return table if self.until is None else known(table, self.until)
