"""Exports of TPOT, old and new: steps load, whole scripts are refused with the lines to delete."""

from __future__ import annotations

import re
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.catalogue import FUNCTIONS
from pipelines.export import from_estimator
from pipelines.individuals import random_individual
from pipelines.parser import parse_module
from pipelines.registry import ENTRIES
from pipelines.script import in_words, surplus
from pipelines.spaces import search_space
from pipelines.spec import PIPELINE, UNION, Call, Name, call, parts
from protocol.errors import RefusedError

FOREST = (
    "RandomForestRegressor(bootstrap=True, max_features=0.6500000000000001, min_samples_leaf=3, "
    "min_samples_split=12, n_estimators=100)"
)
OLD = f"""\
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import SelectFwe, f_regression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer
from copy import copy
from tpot.export_utils import set_param_recursive

# NOTE: the outcome column (has) to be [labelled 'target'
tpot_data = pd.read_csv('PATH/TO/DATA/FILE', sep='COLUMN_SEPARATOR', dtype=np.float64)
features = tpot_data.drop('target', axis=1)
training_features, testing_features, training_target, testing_target = \\
            train_test_split(features, tpot_data['target'], random_state=42)

# Average CV score on the training set was: -1.5
exported_pipeline = make_pipeline(
    make_union(
        FunctionTransformer(copy),
        FunctionTransformer(copy)
    ),
    SelectFwe(score_func=f_regression, alpha=0.034),
    {FOREST}
)
# Fix random state for all the steps in exported pipeline
set_param_recursive(exported_pipeline.steps, 'random_state', 42)

exported_pipeline.fit(training_features, training_target)
results = exported_pipeline.predict(testing_features)
"""
MEANING = call(
    PIPELINE,
    {
        "steps": (
            call(UNION, {"transformer_list": ("passthrough", "passthrough")}),
            call(
                "sklearn.feature_selection.SelectFwe",
                {"alpha": 0.034, "score_func": Name("sklearn.feature_selection.f_regression")},
            ),
            call(
                "sklearn.ensemble.RandomForestRegressor",
                {"max_features": 0.6500000000000001, "min_samples_leaf": 3, "min_samples_split": 12},
            ),
        )
    },
)


def refusal(source: str) -> str:
    with pytest.raises(RefusedError) as caught:
        parse_module(source, "old.py")
    return str(caught.value)


def without(source: str, said: str) -> str:
    """Do what a refusal says: delete the lines it names."""
    gone: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", said[said.index("delete line") : said.index(": a module")]):
        gone.update(range(int(first), int(last or first) + 1))
    return "\n".join(line for number, line in enumerate(source.split("\n"), 1) if number not in gone)


def test_a_whole_script_is_refused_with_the_lines_to_delete_and_loads_without_them() -> None:
    said = refusal(OLD)
    assert said == (
        "old.py, line 2: holds a whole script around its pipeline; delete lines 2, 5, 9-15 and 27-30: "
        "a module holds imports of operators and `exported_pipeline = ...` only"
    )
    assert parse_module(without(OLD, said)) == MEANING


ONE_ESTIMATOR = """\
from sklearn.linear_model import LassoLarsCV
exported_pipeline = LassoLarsCV()
# Fix random state in exported estimator
if hasattr(exported_pipeline, 'random_state'):
    setattr(exported_pipeline, 'random_state', 42)
exported_pipeline.fit(training_features, training_target)
"""
EARLY = """\
import numpy as np

from sklearn.ensemble import GradientBoostingRegressor, VotingClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.model_selection import train_test_split

tpot_data = np.recfromcsv('PATH/TO/DATA/FILE', delimiter='COLUMN_SEPARATOR', dtype=np.float64)
features = np.delete(tpot_data.view(np.float64).reshape(tpot_data.size, -1),
                     tpot_data.dtype.names.index('class'), axis=1)

exported_pipeline = GradientBoostingRegressor(alpha=0.85, learning_rate=0.1, loss="huber", max_depth=10, subsample=0.75)

exported_pipeline.fit(training_features, training_target)
"""
IMPUTED = """\
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNetCV
imputer = SimpleImputer(strategy="median")
imputer.fit(training_features)
training_features = imputer.transform(training_features)
exported_pipeline = ElasticNetCV(l1_ratio=0.15000000000000002, tol=0.1)
exported_pipeline.fit(training_features, training_target)
"""


@pytest.mark.parametrize(
    ("script", "lines", "target"),
    [
        (ONE_ESTIMATOR, "delete lines 4-6:", "sklearn.linear_model.LassoLarsCV"),
        (EARLY, "delete lines 5-9 and 13:", "sklearn.ensemble.GradientBoostingRegressor"),
        (IMPUTED, "delete lines 4-5 and 7:", ""),
    ],
)
def test_other_scripts_name_their_lines_too(script: str, lines: str, target: str) -> None:
    said = refusal(script)
    assert lines in said
    if target:
        steps = parse_module(without(script, said)).get("steps")
        assert isinstance(steps, tuple) and isinstance(steps[0], Call) and steps[0].target == target
    else:
        assert "assigns imputer, which nothing uses; delete that line" in refusal(without(script, said))


@pytest.mark.parametrize(
    ("line", "call_text", "said"),
    [
        (
            "from tpot.builtins import StackingEstimator",
            "StackingEstimator(estimator=Ridge())",
            "use StackingRegressor",
        ),
        ("from tpot.builtins import ZeroCount", "ZeroCount()", "features have no zeros"),
        ("from tpot.builtins import OneHotEncoder", "OneHotEncoder(sparse=False)", "use KBinsDiscretizer"),
        ("from tpot.builtin_modules import Passthrough", "Passthrough()", "write 'passthrough'"),
        ("from sklearn.svm import LinearSVC", "LinearSVC(C=1.0)", "LinearSVC is a classifier; here only a scaler"),
        ("from sklearn.preprocessing import scale", "scale(1)", "it computes a row from the other rows"),
        ("from numpy import float64", "float64(0.5)", "numbers are written plainly"),
    ],
)
def test_what_a_module_cannot_hold_comes_with_its_remedy(line: str, call_text: str, said: str) -> None:
    start = f"{line}\nfrom sklearn.linear_model import Ridge\nfrom sklearn.pipeline import make_pipeline\n"
    found = refusal(start + f"exported_pipeline = make_pipeline({call_text}, Ridge())\n")
    assert said in found and re.match(r"old\.py, line [14]: ", found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ridge(normalize=True)", "may not set normalize; remove it: scikit-learn 1.2 removed it"),
        ("Ridge(copy_X=True)", "may not set copy_X; remove it: it changes nothing here"),
        ("SGDRegressor(warm_start=True)", "may not set warm_start; remove it: a pipeline is fitted once"),
        ("RidgeCV(scoring='r2')", "may not set scoring; remove it: it may run a function"),
        ("make_pipeline(Ridge(), memory='/tmp/x')", "sets memory of sklearn.pipeline.Pipeline; remove it: it writes"),
        ("LGBMRegressor(callbacks=[])", "may not set callbacks; remove it: it may run a function"),
        ("XGBRegressor(early_stopping_rounds=5)", "may not set early_stopping_rounds; remove it: it needs rows"),
        ("XGBRegressor(device='cuda')", "may not set device; remove it: every validator computes on one CPU thread"),
        ("LogisticRegression(C=0.5, penalty='l2')", "may not set penalty; remove it: l1_ratio says it"),
        ("GradientBoostingRegressor(loss='ls')", "loss is 'ls'; give one of 'squared_error'"),
        ("RandomForestRegressor(n_estimators=501)", "n_estimators is 501; give a whole number from 1 to 500"),
    ],
)
def test_parameters_that_are_refused_say_why(text: str, said: str) -> None:
    targets = sorted({*ENTRIES, "sklearn.pipeline.make_pipeline"})
    names = set(re.findall(r"(\w+)\(", text))
    imports = [
        f"from {target.rpartition('.')[0]} import {target.rpartition('.')[2]}\n"
        for target in targets
        if target.rpartition(".")[2] in names
    ]
    assert said in refusal("".join(imports) + f"exported_pipeline = {text}\n")


@pytest.mark.parametrize("text", ["n_jobs=-1", "n_jobs=1, verbose=2", "verbose=True"])
def test_how_to_run_is_dropped(text: str) -> None:
    start = "from sklearn.linear_model import LassoCV\nexported_pipeline = LassoCV("
    assert parse_module(f"{start}{text})\n") == parse_module(f"{start})\n")


REPAIRS = [
    (r"np\.str_\(('\w+')\)", r"\1", "words are written plainly"),
    (r"<function (\w+) at 0x[0-9a-f]+>", r"\1", "import what it is and write its name"),
    (r"Passthrough\(\)", "'passthrough'", "write 'passthrough'"),
    (r"SkipTransformer\(\)", "'drop'", "write 'drop'"),
]


def test_what_tpot_1_prints_loads_after_the_remedies() -> None:
    """TPOT 1 has no export; people print ``fitted_pipeline_`` and put imports in front."""
    rng = np.random.default_rng(8)
    space = search_space("linear-light", n_features=9, n_samples=300)
    where = {target.rpartition(".")[2]: target.rpartition(".")[0] for target in (*ENTRIES, *FUNCTIONS)}
    told = set()
    for _ in range(40):
        estimator = random_individual(space, rng).export_pipeline()
        text = repr(estimator)
        names = sorted(set(re.findall(r"\w+", text)) & set(where))
        imports = "".join(f"from {where[name]} import {name}\n" for name in names) + "import numpy as np\n"
        for _ in range(30):
            try:
                parsed = parse_module(f"{imports}exported_pipeline = {text}\n")
                break
            except RefusedError as error:
                wrong, right, said = next(repair for repair in REPAIRS if repair[2] in str(error))
                text = re.sub(wrong, right, text, count=1)
                told.add(said)
        assert [part.target for part in parts(parsed)] == [part.target for part in parts(from_estimator(estimator))]
    assert told == {said for *_, said in REPAIRS}


TARGETS = frozenset({*ENTRIES, *FUNCTIONS, "numpy", "sklearn", "sklearn.ensemble"})
OPERATORS = frozenset(target.rpartition(".")[2] for target in ENTRIES)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("exported_pipeline = 1\n", []),
        ("exported_pipeline.fit(x)", [(1, 1)]),
        ("import numpy as np\nimport os, numpy\nimport os\ntpot_data", [(3, 4)]),
        ('"""Some\n(words\n"""\nexported_pipeline = Ridge(\n)\nexported_pipeline.fit()\n', [(6, 6)]),
        ("from sklearn.linear_model import (\n    Ridge,\n    Other,\n)\ntpot_data = (\n1\n", [(5, 7)]),
        ("tpot_data = 1\n# a comment (\n\nresults = 2\n", [(1, 4)]),
        ("tpot_data = '('\nmodel = Ridge()\n", [(1, 1)]),
    ],
)
def test_surplus_lines(source: str, lines: list[tuple[int, int]]) -> None:
    assert surplus(source, TARGETS, OPERATORS) == lines


@pytest.mark.parametrize(
    ("ranges", "words"),
    [([(2, 2)], "line 2"), ([(2, 4)], "lines 2-4"), ([(1, 1), (3, 3)], "lines 1 and 3"), ([(1, 2)] * 3, None)],
)
def test_ranges_in_words(ranges: list[tuple[int, int]], words: str | None) -> None:
    assert in_words(ranges) == (words or "lines 1-2, 1-2 and 1-2")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*textwrap.wrap(OLD, 17), "tpot_data", "(", '"""', "\\", "\n"]), max_size=60).map(
        "\n".join
    )
)
def test_advice_never_fails_and_stays_within_the_text(source: str) -> None:
    for first, last in surplus(source, TARGETS, OPERATORS):
        assert 1 <= first <= last <= source.count("\n") + 2
