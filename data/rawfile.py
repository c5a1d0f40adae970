"""Foreign files as columns of text or values, with the line each row came from."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from data.runs import Ints
from protocol.errors import DataError

CHUNK = 50_000  # rows converted at a time
HEADER_LINES = 100  # among so many lines the header must be
DELIMITERS = ",;\t|"

Resolve = Callable[[list[str]], Mapping[str, str]]  # column names -> target to source; DataError when one is absent


@dataclass
class RawFile:
    """The columns that were asked for, by target name, as they stand in the file.

    Attributes
    ----------
    columns : dict of str to pyarrow.ChunkedArray
    lines : (rows,) int64
        Line of each row in a text file counted from 1, else its number counted from 1.
    bad : dict of int to str
        Line to why it is no row at all.
    notes : list of str
        What a person should know about how the file was read.
    """

    columns: dict[str, pa.ChunkedArray]
    lines: Ints
    bad: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_raw(path: Path, resolve: Resolve, *, header: bool = True) -> RawFile:
    """Read a CSV (also gzipped), feather or Parquet file.

    Parameters
    ----------
    resolve : callable
        Chooses the columns; a CSV header is the first line it accepts, so lines above it may hold anything.
    header : bool
        A CSV without header has columns called ``1``, ``2``, …

    Raises
    ------
    DataError
        The file is missing, unreadable, empty, or lacks a column.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; check the path") from error
    try:
        if content[:4] == b"PAR1":
            return _from_table(pq.read_table(pa.BufferReader(content)), resolve)
        if content[:6] == b"ARROW1":
            return _from_table(feather.read_table(pa.BufferReader(content)), resolve)
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    except (OSError, EOFError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged or no CSV, feather or Parquet file: {error}") from error
    try:
        return _from_csv(text, resolve, header=header)
    except (DataError, csv.Error) as error:
        raise DataError(f"{path}: {error}") from error


def _from_table(table: pa.Table, resolve: Resolve) -> RawFile:
    chosen = resolve(table.column_names)
    return RawFile(
        {target: table.column(source) for target, source in chosen.items()},
        np.arange(1, table.num_rows + 1),
        notes=_ignored(table.column_names, chosen),
    )


def _from_csv(text: str, resolve: Resolve, *, header: bool) -> RawFile:
    above, delimiter, names, chosen = _find_header(text, resolve, header=header)
    body = io.StringIO(text)
    for _ in range(above + header):
        body.readline()
    places = {target: names.index(source) for target, source in chosen.items()}
    pieces: dict[str, list[pa.Array]] = {target: [] for target in places}
    result = RawFile({}, np.empty(0, dtype=np.int64), notes=_ignored(names, chosen))
    if above:
        result.notes.insert(0, f"{above} lines above the header left out")
    lines: list[int] = []
    reader = csv.reader(body, delimiter=delimiter)
    rows: list[list[str]] = []

    def convert() -> None:
        for target, at in places.items():
            pieces[target].append(pa.array([row[at] for row in rows], pa.string()))
        rows.clear()

    for row in reader:
        if not row or row[0].startswith("#"):
            continue
        line = above + header + reader.line_num
        if len(row) < len(names) or any(row[len(names) :]):
            result.bad[line] = f"{len(row)} fields instead of {len(names)}"
            continue
        rows.append(row)
        lines.append(line)
        if len(rows) == CHUNK:
            convert()
    convert()
    result.columns = {target: pa.chunked_array(arrays, pa.string()) for target, arrays in pieces.items()}
    result.lines = np.array(lines, dtype=np.int64)
    return result


def _find_header(text: str, resolve: Resolve, *, header: bool) -> tuple[int, str, list[str], Mapping[str, str]]:
    """Return lines above the header, delimiter, column names and the chosen columns."""
    complaint: tuple[int, DataError] = (0, DataError("the file is empty"))
    for above, line in enumerate(io.StringIO(text)):
        if above == HEADER_LINES:
            break
        if not line.strip() or line.startswith("#"):
            continue
        delimiter = max(DELIMITERS, key=line.count)
        words = [word.strip() for word in next(csv.reader([line], delimiter=delimiter))]
        names = words if header else [str(number) for number in range(1, len(words) + 1)]
        try:
            return above, delimiter, names, resolve(names)
        except DataError as error:
            if len(words) > complaint[0]:  # the first of the widest lines is the likeliest header
                complaint = (len(words), error)
    raise complaint[1]


def _ignored(names: list[str], chosen: Mapping[str, str]) -> list[str]:
    left = [name for name in names if name not in chosen.values()]
    return [f"columns not used: {', '.join(left)}"] if left else []
