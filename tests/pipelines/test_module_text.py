"""The text of a module: layout, imports, docstring."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.build import build
from pipelines.individuals import random_individual, spec_of
from pipelines.module import WIDTH, to_module
from pipelines.parser import parse_module
from pipelines.spaces import SPACES, search_space
from pipelines.spec import PIPELINE, UNION, Name, call

PCA = call("sklearn.decomposition.PCA", {"n_components": 2})
ICA = call("sklearn.decomposition.FastICA", {"random_state": 1})
PICK = call("sklearn.feature_selection.SelectFwe", {"score_func": Name("sklearn.feature_selection.f_regression")})
POOL = call("sklearn.cluster.FeatureAgglomeration", {"pooling_func": Name("numpy.max")})
NET = call("sklearn.neural_network.MLPRegressor", {"hidden_layer_sizes": (8,), "solver": "lbfgs"})
SPEC = call(PIPELINE, {"steps": (PICK, call(UNION, {"transformer_list": (PCA, ICA, POOL, "passthrough")}), NET)})

EXPECTED = '''\
"""Layer one, a day ahead

Fit it on rows sorted by time, then symbol: inner folds are cut in row order. Columns are those of the feature set, in
its order.

topic: layer1-24h
features: standard-1
"""

import numpy as np
from sklearn.cluster import FeatureAgglomeration
from sklearn.decomposition import PCA, FastICA
from sklearn.feature_selection import SelectFwe, f_regression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline, make_union

exported_pipeline = make_pipeline(
    SelectFwe(score_func=f_regression),
    make_union(
        PCA(n_components=2), FastICA(random_state=1), FeatureAgglomeration(pooling_func=np.max), "passthrough"
    ),
    MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs"),
)
'''


def test_a_module_reads_like_python() -> None:
    found = to_module(SPEC, title="Layer one, a day ahead", facts={"topic": "layer1-24h", "features": "standard-1"})
    one_line = EXPECTED.index("    make_union(\n"), EXPECTED.index("    MLP")
    flat = " ".join(EXPECTED[slice(*one_line)].split()).replace("( ", "(").replace(" )", ")")
    assert found == EXPECTED[: one_line[0]] + "    " + flat + "\n" + EXPECTED[one_line[1] :]


MARGIN = call("sklearn.svm.LinearSVR", {"C": 0.5, "random_state": 1})
COMBINED = call(
    PIPELINE,
    {
        "steps": (
            call(
                "sklearn.compose.ColumnTransformer",
                {"transformers": ((PCA, (0, 1, 2)), ("passthrough", (3,))), "remainder": PICK},
            ),
            call("sklearn.preprocessing.FunctionTransformer", {"func": Name("numpy.tanh")}),
            call(
                "sklearn.ensemble.StackingRegressor",
                {
                    "estimators": (call(PIPELINE, {"steps": (ICA, MARGIN)}), call("lightgbm.LGBMRegressor")),
                    "final_estimator": call("sklearn.linear_model.Ridge", {"alpha": 2.0}),
                },
            ),
        )
    },
)
EXPECTED_BODY = """\
exported_pipeline = make_pipeline(
    ColumnTransformer(
        remainder=SelectFwe(score_func=f_regression),
        transformers=[("part0", PCA(n_components=2), [0, 1, 2]), ("part1", "passthrough", [3])],
    ),
    FunctionTransformer(func=np.tanh),
    StackingRegressor(
        estimators=[
            ("part0", make_pipeline(FastICA(random_state=1), LinearSVR(C=0.5, random_state=1))),
            ("part1", LGBMRegressor(n_jobs=1, verbose=-1)),
        ],
        final_estimator=Ridge(alpha=2.0),
    ),
)
"""


def test_members_of_combinations_get_names_and_lists() -> None:
    module = to_module(COMBINED, title="T", facts={})
    assert module[module.index("exported_pipeline") :] == EXPECTED_BODY
    assert parse_module(module) == COMBINED
    namespace: dict[str, Any] = {}
    exec(compile(module, "pipeline.py", "exec"), namespace)  # noqa: S102  # the text above
    x = np.random.default_rng(0).standard_normal((60, 6))
    y = x.sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FastICA and the margin may not converge
        found = namespace["exported_pipeline"].fit(x, y).predict(x)
        assert np.array_equal(found, build(COMBINED).fit(x, y).predict(x))


def formatted(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(WIDTH), "-"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_layout_is_that_of_the_formatter() -> None:
    alphas = tuple(float(alpha) for alpha in np.geomspace(1e-3, 1e5, 30))
    specs = [SPEC, call("sklearn.linear_model.RidgeCV", {"alphas": alphas}), COMBINED]
    for space in SPACES:
        rng = np.random.default_rng(5)
        found = search_space(space, n_features=20, n_samples=5000)
        specs += [spec_of(random_individual(found, rng)) for _ in range(25)]
    for spec in specs[:3]:
        module = to_module(spec, title="T", facts={})
        assert formatted(module) == module
    modules = [to_module(spec, title="T", facts={}) for spec in specs]
    joined = "\n\n".join(module[module.index("exported_pipeline") :].rstrip() for module in modules).replace(
        "\n\n", "\n"
    )
    assert formatted(joined + "\n") == joined + "\n"
    imports = "\n".join(
        module[module.index('"""\n\n') + 5 : module.index("exported_pipeline")] for module in modules[:20]
    )
    for block in imports.split("\n\n"):
        checked = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "I", "--line-length", str(WIDTH), "-"],
            input=block.strip() + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.dictionaries(st.text(max_size=20), st.text(max_size=300), max_size=4))
def test_no_title_or_fact_breaks_the_module(title: str, facts: dict[str, str]) -> None:
    module = to_module(SPEC, title=title, facts=facts)
    assert parse_module(module.encode()) == parse_module(EXPECTED)
    assert to_module(parse_module(module), title=title, facts=facts) == module
    assert ast.get_docstring(ast.parse(module))
    assert all(len(line) <= WIDTH for line in module.splitlines())
