"""A small coverage-guided fuzzer: mutations of modules that reach new lines of the parser are kept and mutated further.

Everything is drawn from one seeded generator, so that a run can be repeated.
"""

from __future__ import annotations

import random
import re
import sys
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pipelines

WATCHED = frozenset({*map(str, Path(pipelines.__file__).parent.rglob("*.py")), tokenize.__file__})
"""Source files whose lines count."""

HARMLESS = frozenset({"object.__getattr__", "sys._getframe", "builtins.id", "code.__new__"})
"""Audit events of plain Python at work: nothing is opened, imported, run or started by them."""


class Watch:
    """Notes what the interpreter opens, imports, runs or starts while it is on; audit hooks cannot be taken off again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, details: tuple[object, ...]) -> None:
        if not self.on or event in HARMLESS:
            return
        if event == "compile" and details[1] == "<unknown>":
            return  # ast.parse, which stops at the tree: running it would be the event "exec"
        if event == "open" and details[0] in ("<unknown>", "<string>"):
            return  # CPython looks for a file of the parsed text's made-up name to quote a wrong line
        self.seen.append(f"{event} {details[0] if details else ''}"[:200])

    def around(self, task: Callable[[], Any]) -> Any:
        """Do `task` while watching."""
        self.on = True
        try:
            return task()
        finally:
            self.on = False


class Trace:
    """Counts the lines that a call runs and notes which steps from line to line it takes."""

    def __init__(self) -> None:
        self.steps: set[tuple[str, int, int]] = set()
        self.lines = 0

    def _call(self, frame: FrameType, event: str, details: object) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        name, before = frame.f_code.co_filename, 0

        def line(frame: FrameType, event: str, details: object) -> Any:
            nonlocal before
            if event == "line":
                self.lines += 1
                self.steps.add((name, before, frame.f_lineno))
                before = frame.f_lineno
            return line

        return line

    def around(self, task: Callable[[], Any]) -> Any:
        """Do `task` under the trace."""
        former = sys.gettrace()
        sys.settrace(self._call)
        try:
            return task()
        finally:
            sys.settrace(former)


PIECES = re.compile(rb"\w+|\s+|.", re.DOTALL)


def mutated(source: bytes, others: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> bytes:
    """Return `source` after one to four mutations of bytes, pieces and lines."""
    result = bytearray(source)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(result))
        match rng.randrange(8):
            case 0:
                result[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del result[at : at + rng.randint(1, 30)]
            case 2:
                result[at:at] = result[at : at + rng.randint(1, 200)]
            case 3:
                result[at:at] = rng.choice(words)
            case 4:
                pieces = PIECES.findall(bytes(result)) or [b""]
                pieces[rng.randrange(len(pieces))] = rng.choice(words)
                result = bytearray(b"".join(pieces))
            case 5:
                pieces = PIECES.findall(bytes(result)) or [b""]
                one, other = rng.randrange(len(pieces)), rng.randrange(len(pieces))
                pieces[one], pieces[other] = pieces[other], pieces[one]
                result = bytearray(b"".join(pieces))
            case 6:
                lines = result.split(b"\n")
                lines.insert(rng.randint(0, len(lines)), bytearray(rng.choice(rng.choice(others).split(b"\n"))))
                result = bytearray(b"\n".join(lines))
            case _:
                other_source = rng.choice(others)
                result = result[:at] + other_source[rng.randint(0, len(other_source)) :]
    return bytes(result)


@dataclass(slots=True)
class Found:
    """What a run of the fuzzer reached."""

    executions: int
    steps: int
    kept: int
    most_lines_per_byte: float


def fuzz(
    target: Callable[[bytes], object], seeds: Sequence[bytes], words: Sequence[bytes], *, seed: int, executions: int
) -> Found:
    """Run `target` on mutations of `seeds`; whatever it raises ends the run with the input in a note."""
    rng = random.Random(seed)
    corpus = list(seeds)
    known: set[tuple[str, int, int]] = set()
    worst = 0.0
    for source in _inputs(corpus, words, rng, executions):
        trace = Trace()
        try:
            trace.around(lambda source=source: target(source))  # type: ignore[misc]  # bound in its own round
        except BaseException as error:
            error.add_note(f"input of the fuzzer: {source!r}")
            raise
        worst = max(worst, trace.lines / (len(source) + 100))
        if trace.steps - known:
            known |= trace.steps
            corpus.append(source)
    return Found(executions, len(known), len(corpus) - len(seeds), worst)


def _inputs(corpus: list[bytes], words: Sequence[bytes], rng: random.Random, count: int) -> Iterator[bytes]:
    yield from corpus[:count]
    for _ in range(count - len(corpus)):
        yield mutated(rng.choice(corpus[-200:] if rng.random() < 0.5 else corpus), corpus, words, rng)
