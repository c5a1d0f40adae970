"""A whole script around a pipeline, as TPOT 0.x exports it: which of its lines have to go.

It only gives advice on a module that was refused; nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

_AROUND = re.compile(r"^[ \t]*(?:exported_pipeline\s*\.\s*\w+\s*\(|tpot_data\b|set_param_recursive\b)", re.MULTILINE)
_QUIET = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|#.*")
_IMPORT = re.compile(r"(?:from\s+([\w.]+)\s+)?import\s+(.*)", re.DOTALL)
_KEPT = re.compile(r"(?:exported_pipeline\s*=(?!=)|[A-Za-z_]\w*\s*=\s*(?:[\w.]*\.)?([A-Za-z_]\w*)\s*\()")
_DOCSTRING = '"""'


def _statements(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (first line, last line, text) of what looks like statements; blank lines, comments and docstrings not."""
    depth, first, quoted, found = 0, 0, False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if quoted or line.count(_DOCSTRING) % 2:
            quoted ^= line.count(_DOCSTRING) % 2 == 1
            continue
        bare = _QUIET.sub("''", line)
        if not first and not bare.replace("'", "").strip():
            continue
        first = first or number
        found += line + "\n"
        depth += sum(bare.count(sign) for sign in "([{") - sum(bare.count(sign) for sign in ")]}")
        if depth <= 0 and not bare.rstrip().endswith("\\"):
            yield first, number, found
            depth, first, found = 0, 0, ""
    if first:
        yield first, text.count("\n") + 1, found


def _belongs(statement: str, targets: Set[str], operators: Set[str]) -> bool:
    imported = _IMPORT.match(statement)
    if imported is None:
        kept = _KEPT.match(statement)
        return kept is not None and (kept[1] is None or kept[1] in operators)
    module, names = imported[1], re.findall(r"[\w.]+(?=\s*(?:as\s+\w+\s*)?[,)\n])", imported[2])
    return any((f"{module}.{name}" if module else name) in targets for name in names)


def surplus(text: str, targets: Set[str], operators: Set[str]) -> list[tuple[int, int]]:
    """Return the ranges of lines to delete from a script around a pipeline; empty if `text` is no such script.

    Parameters
    ----------
    text : str
        Anything, of bounded length.
    targets : set of str
        Dotted names that a module may import.
    operators : set of str
        Last names of what it may call.
    """
    if not _AROUND.search(text):
        return []
    ranges: list[tuple[int, int]] = []
    open_range = False
    for first, last, statement in _statements(text):
        belongs = _belongs(statement, targets, operators)
        if not belongs and open_range:
            ranges[-1] = (ranges[-1][0], last)
        elif not belongs:
            ranges.append((first, last))
        open_range = not belongs
    return ranges


def in_words(ranges: list[tuple[int, int]]) -> str:
    """Return ranges of lines as people write them: ``lines 2, 5 and 8-12``."""
    words = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    listed = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    return ("line " if len(words) == 1 and "-" not in listed else "lines ") + listed
