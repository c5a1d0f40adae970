"""The parser: what it reads, what it refuses and how it says so, and that nothing ever runs."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import numpy as np
import pytest
from fuzzer import Watch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.export import from_estimator
from pipelines.module import to_module
from pipelines.normal import normal
from pipelines.parser import block_hash, parse_module
from pipelines.source import MAX_BYTES
from pipelines.spec import PIPELINE, UNION, Call, Name, call
from protocol.errors import RefusedError

RIDGE = call("sklearn.linear_model.Ridge", {"alpha": 2.0})
SCALER = call("sklearn.preprocessing.StandardScaler")
MEDIAN = call("sklearn.cluster.FeatureAgglomeration", {"pooling_func": Name("numpy.median")})
FOREST = call("sklearn.ensemble.ExtraTreesRegressor", {"n_estimators": 5})
SPEC = call(
    PIPELINE,
    {
        "steps": (
            SCALER,
            call("sklearn.feature_selection.RFE", {"estimator": FOREST, "step": 0.5}),
            call(UNION, {"transformer_list": (MEDIAN, "passthrough")}),
            RIDGE,
        )
    },
)
MODULE = to_module(SPEC, title="Sample", facts={"topic": "sample"})

ANOTHER_STYLE = """\
# -*- another hand -*-
import numpy
import sklearn.feature_selection
from sklearn import linear_model as models
from sklearn.cluster import FeatureAgglomeration as Merge
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

trees = ExtraTreesRegressor(n_estimators=+5, n_jobs=-1, verbose=0, criterion='squared_error')
halving = .5
merge = Merge(pooling_func=numpy.median, linkage="ward")
union = FeatureUnion([("merge", merge), ("same", FunctionTransformer())], n_jobs=2)
steps = [("scale", StandardScaler(with_mean=True)), ("pick", sklearn.feature_selection.RFE(estimator=trees, step=halving)),
         ("union", union), ("model", models.Ridge(alpha=2))]
exported_pipeline = Pipeline(steps=steps, memory=None, verbose=True)
"""


def test_the_exported_text_reads_back() -> None:
    assert parse_module(MODULE) == SPEC == normal(SPEC)


@pytest.mark.parametrize("source", [ANOTHER_STYLE, ANOTHER_STYLE.replace("\n", "\r\n"), ANOTHER_STYLE.encode()])
def test_another_style_is_the_same_pipeline(source: str | bytes) -> None:
    assert parse_module(source) == SPEC


def test_the_other_style_is_python_and_means_the_same() -> None:
    namespace: dict[str, Any] = {}
    exec(compile(ANOTHER_STYLE, "other.py", "exec"), namespace)  # noqa: S102  # the text above
    assert from_estimator(namespace["exported_pipeline"]) == SPEC


def test_the_block_hash_is_that_of_the_bytes() -> None:
    assert block_hash(MODULE.encode()) == hashlib.sha256(MODULE.encode()).hexdigest()
    assert block_hash(MODULE.encode() + b"\n") != block_hash(MODULE.encode())
    assert parse_module(MODULE + "\n") == SPEC


COMBINED = """\
import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.feature_selection import RFE
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler

columns = ColumnTransformer([("a", StandardScaler(), [0, 2]), ("b", make_pipeline("passthrough"), (1,))], n_jobs=2)
members = [("x", Pipeline([("r", Ridge())])), ("y", Ridge(alpha=1)), ("z", make_pipeline(StandardScaler(), Ridge()))]
voting = VotingRegressor(members, weights=[1, 2, 3])
exported_pipeline = make_pipeline(columns, FunctionTransformer(np.abs), RFE(Ridge(), step=2), voting)
"""


def test_combinations_are_read_with_positions_names_and_aliases() -> None:
    ridge = call("sklearn.linear_model.Ridge")
    assert parse_module(COMBINED) == call(
        PIPELINE,
        {
            "steps": (
                call("sklearn.compose.ColumnTransformer", {"transformers": ((SCALER, (0, 2)), ("passthrough", (1,)))}),
                call("sklearn.preprocessing.FunctionTransformer", {"func": Name("numpy.absolute")}),
                call("sklearn.feature_selection.RFE", {"estimator": ridge, "step": 2}),
                call(
                    "sklearn.ensemble.VotingRegressor",
                    {
                        "estimators": (ridge, ridge, call(PIPELINE, {"steps": (SCALER, ridge)})),
                        "weights": (1.0, 2.0, 3.0),
                    },
                ),
            )
        },
    )


TPOT_0 = """\
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

tpot_data = pd.read_csv('PATH/TO/DATA/FILE', sep='COLUMN_SEPARATOR', dtype=np.float64)
exported_pipeline = Ridge()
"""
START = "from sklearn.linear_model import Ridge\nfrom sklearn.pipeline import make_pipeline, make_union, Pipeline\n"
ENSEMBLES = """\
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer
import numpy
"""
REFUSED = [
    (TPOT_0, 2, "holds a whole script", "delete lines 2 and 4-6"),
    ("import pandas as pd\n", 1, "imports pandas", "delete it"),
    ("from os import system\n", 1, "imports os.system", "delete it"),
    ("import os\n", 1, "imports os", "delete it"),
    ("import sklearn.linear_model._ridge\n", 1, "imports sklearn.linear_model._ridge", ""),
    ("from sklearn.linear_model._ridge import Ridge\n", 1, "imports", "write sklearn.linear_model.Ridge"),
    ("from . import Ridge\n", 1, "imports", "write sklearn.linear_model.Ridge"),
    ("from sklearn.svm import SVR\n", 1, "imports sklearn.svm.SVR", "delete it"),
    ("from sklearn.datasets import fetch_openml\n", 1, "imports", ""),
    ("from numpy import load\n", 1, "imports numpy.load", ""),
    ("from sklearn.linear_model import *\n", 1, "uses `*`", ""),
    ("\n\ndef build():\n    return 1\n", 3, "uses `def`", "delete that line"),
    ("if True:\n    pass\n", 1, "uses `if`", ""),
    ("x = lambda: 0\n", 1, "uses `lambda`", ""),
    ("x = [i for i in ()]\n", 1, "uses `for`", ""),
    ("x = 1; y = 2\n", 1, "uses `;`", ""),
    ("x: int = 1\n", 1, "uses `:`", ""),
    ("x = {1}\n", 1, "uses `{`", ""),
    ("x = 1 + 1\n", 1, "computes with `+`", "one number"),
    ("x = --1\n", 1, "computes with `-`", ""),
    ("x = 2 ** 9\n", 1, "uses `**`", ""),
    ("x = 'a' 'b'\n" + START + "exported_pipeline = Ridge(solver=x)\n", 4, "solver is 'ab'", ""),
    ("x = f'{1}'\n", 1, "", ""),
    ("x = b'1'\n", 1, "has the string", ""),
    ("x = 1_000\n", 1, "has the number", ""),
    ("x = 0x10\n", 1, "has the number", ""),
    ("x = 1j\n", 1, "has the number", ""),
    ("x = 1" + "0" * 60 + "\n", 1, "has the number", ""),
    ("x = ...\n", 1, "", ""),
    ("x = (1)[0]\n", 1, "takes an item", ""),
    ("x = 'a'.join\n", 1, "takes an attribute", ""),
    ("x = make_pipeline()()\n", 1, "calls the result of a call", ""),
    ("x = __import__('os')\n", 1, "names __import__", ""),
    ("x = eval('1')\n", 1, "calls eval", ""),
    ("x = open\n", 1, "refers to open", ""),
    ("x, y = 1, 2\n", 1, "statement of another kind", "exported_pipeline"),
    ("x = y = 1\n", 1, "statement of another kind", ""),
    ("x.y = 1\n", 1, "statement of another kind", ""),
    ("1\n", 1, "statement of another kind", ""),
    ("'doc'\n'again'\n", 2, "statement of another kind", ""),
    ("é = 1\n", 1, "names", "ASCII"),
    ("x = 1\nx = 2\n", 2, "binds x again", ""),
    (START + "Ridge = 1\n", 3, "binds Ridge again", ""),
    ("import numpy as np\nimport sklearn as np\n", 2, "binds np again", ""),
    ("exported_pipeline = Ridge()\n", 1, "calls Ridge", "write sklearn.linear_model.Ridge"),
    (START, 1, "does not assign a pipeline to exported_pipeline", "exported_pipeline = ..."),
    (START + "exported_pipeline = 1\n", 3, "does not assign", ""),
    (START + "unused = 1\nexported_pipeline = Ridge()\n", 3, "assigns unused", "delete that line"),
    (START + "exported_pipeline = Ridge(1.0)\n", 3, "without its name", "write name=value"),
    (START + "exported_pipeline = Ridge(alpha=1.0, alpha=2.0)\n", 3, "twice", ""),
    (START + "exported_pipeline = Ridge(copy_X=False)\n", 3, "may not set copy_X", "remove it"),
    (START + "exported_pipeline = Ridge(\n    alpha=-1)\n", 3, "alpha is -1", "a float from 0"),
    (START + "exported_pipeline = Ridge\n", 3, "refers to Ridge", "call it"),
    (START + "exported_pipeline = make_pipeline()\n", 3, "no steps", ""),
    (START + "exported_pipeline = make_pipeline(None, Ridge())\n", 3, "has the step None", "'passthrough'"),
    (START + "exported_pipeline = make_pipeline(Ridge(), memory='/tmp')\n", 3, "sets memory", "remove it"),
    (START + "exported_pipeline = make_pipeline(steps=[Ridge()])\n", 3, "sets steps", ""),
    (START + "exported_pipeline = Pipeline([Ridge()])\n", 3, "(name, step) pairs", ""),
    (START + "exported_pipeline = Pipeline([('a', Ridge()), ('a', Ridge())])\n", 3, "distinct names", ""),
    (START + "exported_pipeline = Pipeline([('a', Ridge())], steps=[])\n", 3, "too many arguments", "name=value"),
    (START + "exported_pipeline = Pipeline([('a', Ridge())], None)\n", 3, "too many arguments", "name=value"),
    (START + "exported_pipeline = Pipeline([('a__b', Ridge())])\n", 3, "distinct names", ""),
    (START + "r = Ridge()\nexported_pipeline = make_pipeline(r, r)\n", 4, "uses r twice", ""),
    (START + "exported_pipeline = make_pipeline(make_union('drop'), Ridge())\n", 3, "drops every feature", ""),
    (START + "exported_pipeline = make_pipeline(Ridge(), Ridge())\n", 3, "regressor", ""),
    (START + "exported_pipeline = Ridge(alpha=1e999)\n", 3, "alpha is inf", ""),
    (START + "exported_pipeline = Ridge(solver='" + "x" * 300 + "')\n", 3, "string of 300 characters", ""),
    (START + "exported_pipeline = Ridge(alpha=-True)\n", 3, "sign", ""),
    (ENSEMBLES + "exported_pipeline = VotingRegressor([Ridge()])\n", 7, "(name, step) pairs", "write them so"),
    (ENSEMBLES + "exported_pipeline = VotingRegressor([('a', 'drop')])\n", 7, "estimators is", "a regressor or a"),
    (ENSEMBLES + "exported_pipeline = VotingRegressor(estimators=[])\n", 7, "estimators is ()", "1 to 16"),
    (ENSEMBLES + "exported_pipeline = StackingRegressor([('a', PCA())])\n", 7, "estimators is", "a regressor or a"),
    (
        ENSEMBLES + "exported_pipeline = StackingRegressor([('a', Ridge())], cv='prefit')\n",
        7,
        "cv is 'prefit'",
        "whole",
    ),
    (
        ENSEMBLES + "exported_pipeline = StackingRegressor([('a', VotingRegressor([('b', Ridge())]))])\n",
        7,
        "estimators is",
        "not itself made of models",
    ),
    (ENSEMBLES + "exported_pipeline = ColumnTransformer([('a', PCA())])\n", 7, "(name, transformer, columns)", ""),
    (ENSEMBLES + "exported_pipeline = ColumnTransformer([('a', PCA(), 'x')])\n", 7, "transformers is", "whole number"),
    (ENSEMBLES + "exported_pipeline = ColumnTransformer([('a', PCA(), [-1])])\n", 7, "transformers is", "whole number"),
    (ENSEMBLES + "exported_pipeline = ColumnTransformer([('a', Ridge(), [0])])\n", 7, "transformers is", "transformer"),
    (ENSEMBLES + "c = ColumnTransformer([('a', PCA(), slice(0, 2))])\n", 7, "calls slice", "delete it"),
    (ENSEMBLES + "c = ColumnTransformer([('a', PCA(), lambda x: x)])\n", 7, "uses `lambda`", "delete that line"),
    (ENSEMBLES + "exported_pipeline = FunctionTransformer(Ridge)\n", 7, "refers to", "call it"),
    (ENSEMBLES + "f = FunctionTransformer(func=numpy.cumsum)\n", 7, "refers to numpy.cumsum", "import or assign"),
    ("from numpy import cumsum\n", 1, "imports numpy.cumsum", "delete it"),
    ("x = (\n", None, "is not Python", "close brackets"),
    ("x = '\n", 1, "", ""),
    ("x = = 1\n", 1, "is not Python", ""),
    ("  x = 1\n", 1, "indented", "margin"),
    ("x = 1\n  y = 2\n", 2, "indented", "margin"),
    ("x = " + "(" * 300 + ")" * 300, 1, "nests too deeply", ""),
    ("x = a" + ".a" * 300, 1, "nests too deeply", ""),
    ("x = (" + "1," * 15_000 + ")", 1, "tokens", "smaller"),
    ("#" * (MAX_BYTES + 1), None, "bytes", "at most"),
    ("x = 1\n\x00", 2, "U+0000", "delete it"),
    ("x = 1 # \u202e\n", 1, "U+202E", "delete it"),
    ("x = '\\n'\n", 1, "U+005C", "delete it"),
    ("\x0cx = 1\n", 1, "U+000C", ""),
    ("#!/usr/bin/python\n", 1, "starts with #!", "delete"),
    ("\n# coding: latin-1\n", 2, "coding cookie", "delete"),
    ("\ufeffx = 1\n", 1, "byte-order mark", ""),
    ("x = '\ud800'\n", 1, "surrogate", "UTF-8"),
]


@pytest.mark.parametrize(("source", "line", "what", "remedy"), REFUSED)
def test_anything_else_is_refused_with_line_and_remedy(source: str, line: int | None, what: str, remedy: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_module(source, "their.py")
    said = str(caught.value)
    assert what in said and remedy in said
    assert said.startswith("their.py" if line is None else f"their.py, line {line}: ")
    assert len(said) < 700


@pytest.mark.parametrize("source", [b"\xff\xfe", b"x = '\xe9'\n", b"\x80", "é".encode("utf-16")])
def test_bytes_that_are_not_utf_8_are_refused(source: bytes) -> None:
    with pytest.raises(RefusedError):
        parse_module(source)


WATCH = Watch()


def survives(source: bytes | str) -> Call | None:
    """Parse under watch: a pipeline or a refusal, and nothing was run."""
    with contextlib.suppress(RefusedError):
        spec: Call = WATCH.around(lambda: parse_module(source))
        return spec
    return None


LINES = [
    *MODULE.splitlines(),
    *ANOTHER_STYLE.splitlines(),
    *(line for text, *_ in REFUSED for line in text.splitlines()[:3]),
]
TOKENS = [
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
    ".",
    "-",
    "'",
    '"',
    '"""',
    "\n",
    " ",
    "#",
    "1",
    "1e9",
    "Ridge",
    "np",
    "import",
    "os",
]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_random_input_is_refused(source: bytes | str) -> None:
    assert survives(source) is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=60).map("".join))
def test_random_tokens_are_refused(source: str) -> None:
    assert survives(source) is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([line[:300] for line in LINES]), max_size=25).map("\n".join))
def test_mixed_lines_parse_or_are_refused(source: str) -> None:
    survives(source)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_mutated_modules_parse_or_are_refused(data: st.DataObject) -> None:
    source = bytearray((MODULE if data.draw(st.booleans()) else ANOTHER_STYLE).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(source)))
        match data.draw(st.sampled_from(["cut", "put", "swap", "twice"])):
            case "cut":
                del source[at : at + data.draw(st.integers(1, 40))]
            case "put":
                source[at:at] = data.draw(st.sampled_from(TOKENS)).encode()
            case "swap":
                source[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
            case "twice":
                source[at:at] = source[at : at + data.draw(st.integers(1, 200))]
    parsed = survives(bytes(source))
    if parsed is not None:
        assert parse_module(to_module(parsed, title="x", facts={})) == parsed == normal(parsed)


def test_nothing_ran() -> None:
    assert survives(MODULE) == SPEC
    for text, *_ in REFUSED:
        assert survives(text) is None
    assert WATCH.seen == []


def test_numbers_survive_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    for value in np.exp(rng.uniform(-30, 27, 200)):
        spec = normal(call("sklearn.linear_model.Ridge", {"alpha": float(value)}))
        assert parse_module(to_module(spec, title="x", facts={})) == spec
