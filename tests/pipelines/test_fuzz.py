"""Whatever bytes a stranger sends: a pipeline or a refusal, nothing run, opened or imported, and bounded work."""

from __future__ import annotations

import importlib
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_specs import specs, written
from fuzzer import Found, Watch, fuzz, mutated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_parser import ANOTHER_STYLE, MODULE, REFUSED
from test_script import EARLY, IMPUTED, OLD, ONE_ESTIMATOR

from pipelines.identity import near_text, pipeline_id, reseeded
from pipelines.module import to_module
from pipelines.normal import normal
from pipelines.parser import parse_module
from pipelines.registry import ENTRIES, FUNCTIONS
from pipelines.spec import Call
from protocol.errors import RefusedError

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
LINES_PER_BYTE = 400
"""Lines of Python that a byte of a module may cost: work grows with the size and nothing else."""

WATCH = Watch()
WORDS = [
    word.encode()
    for word in (
        *("import", "from", "as", "None", "True", "False", "lambda", "def", "exec", "open", "__import__", "os", "np"),
        *("(", ")", "[", "]", ",", "=", ".", "-", "+", "'", '"', '"""', "#", "\n", " ", "\\", "{", "}", ":", ";", "@"),
        *("0", "1", "1.5", "1e9", "1e999", "-0.0", "9" * 41, "'passthrough'", "'drop'", "exported_pipeline", "steps"),
        *(
            "\u202e",
            "\ufeff",
            "é",
            "\x00",
            "\x0c",
            "n_jobs=-1",
            "memory=None",
            "random_state=1",
            "tpot_data",
            "*",
            "**",
        ),
        *(target for target in ENTRIES),
        *(target.rpartition(".")[2] for target in (*ENTRIES, *FUNCTIONS)),
        *sorted({name for known in ENTRIES.values() for name in known.params}),
    )
]
SEEDS = [
    text.encode("utf-8", "replace")
    for text in (MODULE, ANOTHER_STYLE, OLD, ONE_ESTIMATOR, EARLY, IMPUTED, *(source for source, *_ in REFUSED))
    if len(text) < 5000
]


def survives(source: bytes) -> Call | None:
    """Parse under watch; a pipeline that comes out is one in every respect."""
    loaded = set(sys.modules)
    try:
        spec: Call = WATCH.around(lambda: parse_module(source, "their.py"))
    except RefusedError as error:
        said = str(error)
        assert said.startswith("their.py") and len(said) < 3000
        return None
    finally:
        assert WATCH.seen == []
        assert set(sys.modules) == loaded
    assert normal(spec) == spec == parse_module(to_module(spec, title="x", facts={}))
    assert len(pipeline_id(reseeded(spec, 1))) == 64 and near_text(spec)
    return spec


def guided(seed: int, executions: int) -> Found:
    survives(MODULE.encode())  # what is imported once is imported
    return fuzz(survives, SEEDS, WORDS, seed=seed, executions=executions)


def test_guided_mutations_are_survived() -> None:
    found = guided(1, 1500)
    assert found.kept > 20, "coverage guides nothing"
    assert found.most_lines_per_byte < LINES_PER_BYTE


@pytest.mark.slow
def test_many_guided_mutations_are_survived() -> None:
    for seed in range(2, 8):
        found = guided(seed, 10_000)
        assert found.kept > 50
        assert found.most_lines_per_byte < LINES_PER_BYTE


def test_the_longest_modules_cost_no_more_per_byte() -> None:
    names = "".join(f"a{number} = ({'1, ' * 30})\n" for number in range(280))
    steps = "\n".join(f"import sklearn.pipeline as p{number}" for number in range(1500))
    deep = "x = " + "(" * 40 + "1," + ")" * 40 + "\n"
    script = "tpot_data = ('" + "(" * 60_000
    for source in (names, steps, deep, script, "#" * 65_000, "'" * 65_000, "x" * 65_000, "\n" * 65_000, "(" * 65_000):
        found = fuzz(survives, [source.encode()], WORDS, seed=0, executions=1)
        assert found.most_lines_per_byte < LINES_PER_BYTE


# -------------------------------------------------------------------------------------------------------- hypothesis


@settings(RELAXED, max_examples=100)
@given(st.data())
def test_near_valid_modules_are_survived(data: st.DataObject) -> None:
    """Grammar first: a valid module of random layout, then a few pieces removed, doubled, exchanged or replaced."""
    source = data.draw(written(data.draw(specs())))
    assert survives(source.encode()) is not None
    pieces = re.findall(r"\w+|\s+|.", source, flags=re.DOTALL)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(pieces) - 1))
        match data.draw(st.sampled_from(["remove", "double", "exchange", "replace"])):
            case "remove":
                pieces[at] = ""
            case "double":
                pieces[at] *= 2
            case "exchange":
                other = data.draw(st.integers(0, len(pieces) - 1))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case _:
                pieces[at] = data.draw(st.sampled_from(WORDS)).decode()
    survives("".join(pieces).encode())


@settings(RELAXED, max_examples=200)
@given(st.lists(st.sampled_from(WORDS), max_size=80).map(b" ".join) | st.binary(max_size=400))
def test_word_soup_and_bytes_are_survived(source: bytes) -> None:
    survives(source)


@settings(RELAXED, max_examples=200)
@given(st.randoms(use_true_random=False), st.sampled_from(SEEDS))
def test_mutations_of_bytes_are_survived(rng: object, source: bytes) -> None:
    survives(mutated(source, SEEDS, WORDS, rng))  # type: ignore[arg-type]  # a random.Random by hypothesis


# --------------------------------------------------------------------------------------- the tests above can fail


def test_the_fuzzer_finds_a_planted_hole() -> None:
    def holed(source: bytes) -> None:
        if b"lambda" in source and b"exported_pipeline" in source:
            raise ValueError("planted")
        survives(source)

    with pytest.raises(ValueError, match="planted") as caught:
        fuzz(holed, [MODULE.encode()], WORDS, seed=3, executions=20_000)
    assert "lambda" in caught.value.__notes__[0]


ACTS: list[Callable[[], object]] = [
    lambda: eval("1"),  # noqa: S307  # a constant
    lambda: Path("/dev/null").read_bytes(),
    lambda: importlib.import_module("colorsys"),
    lambda: compile("1", "other", "exec"),
    lambda: socket.socket().close(),
]


@pytest.mark.parametrize("act", ACTS)
def test_the_watch_sees_what_runs(act: Callable[[], object]) -> None:
    watch = Watch()
    sys.modules.pop("colorsys", None)
    watch.around(act)
    assert watch.seen
