"""A classifier at the end of a pipeline answers as a regressor."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.validation import check_is_fitted

from pipelines.build import build
from pipelines.direction import Direction
from pipelines.export import from_estimator
from pipelines.module import to_module
from pipelines.normal import normal
from pipelines.parser import parse_module
from pipelines.registry import ENTRIES
from pipelines.spec import PIPELINE, Call, call

SCALER = call("sklearn.preprocessing.StandardScaler")
LOGISTIC = call("sklearn.linear_model.LogisticRegression", {"C": 0.5})


def panel(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((rows, 4))
    return x, x[:, 0] + rng.standard_normal(rows)


def ended(*steps: Call) -> Call:
    return normal(call(PIPELINE, {"steps": steps}))


def test_it_is_the_difference_of_the_two_probabilities() -> None:
    x, y = panel()
    model = build(ended(SCALER, LOGISTIC)).fit(x[:150], y[:150])
    scaled = (x - x[:150].mean(0)) / x[:150].std(0)
    plain = LogisticRegression(C=0.5).fit(scaled[:150], np.sign(y[:150]))
    shares = plain.predict_proba(scaled[150:])
    np.testing.assert_allclose(model.predict(x[150:]), shares[:, 1] - shares[:, 0], rtol=1e-12)
    assert np.corrcoef(model.predict(x[150:]), y[150:])[0, 1] > 0.3


def test_without_probabilities_it_is_the_decision_function() -> None:
    x, y = panel()
    plain = RidgeClassifier().fit(x, np.sign(y))
    assert np.array_equal(Direction(RidgeClassifier()).fit(x, y).predict(x), plain.decision_function(x))


def test_without_either_it_is_the_class() -> None:
    x, y = panel()
    voters = (call("sklearn.naive_bayes.GaussianNB"), LOGISTIC, call("sklearn.linear_model.RidgeClassifier"))
    answer = build(ended(call("sklearn.ensemble.VotingClassifier", {"estimators": voters}))).fit(x, y).predict(x)
    assert set(answer) == {-1.0, 1.0}
    assert (answer == np.sign(y)).mean() > 0.6


def test_rows_without_a_direction_are_left_out() -> None:
    x, y = panel()
    y[::3] = 0.0
    whole, part = (Direction(GaussianNB()).fit(x[rows], y[rows]) for rows in (slice(None), y != 0.0))
    assert np.array_equal(whole.predict(x), part.predict(x))
    columns = Direction(LogisticRegression()).fit(sparse.csr_matrix(x), y)
    np.testing.assert_allclose(columns.predict(x), Direction(LogisticRegression()).fit(x, y).predict(x), atol=1e-3)


@pytest.mark.parametrize(("label", "expected"), [(2.5, 1.0), (-0.1, -1.0), (0.0, 0.0)])
def test_labels_of_one_sign_give_a_constant(label: float, expected: float) -> None:
    x, _ = panel(20)
    model = Direction(GaussianNB()).fit(x, np.full(20, label))
    assert np.array_equal(model.predict(x[:7]), np.full(7, expected))
    mixed = np.where(np.arange(20) % 2, label, 0.0)
    assert np.array_equal(Direction(GaussianNB()).fit(x, mixed).predict(x[:3]), np.full(3, expected))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_label_that_is_not_finite_is_an_error(wrong: float) -> None:
    x, y = panel(20)
    y[3] = wrong
    with pytest.raises(ValueError, match="a label is not finite"):
        Direction(GaussianNB()).fit(x, y)


def test_it_is_cloned_and_leaves_its_classifier_alone() -> None:
    x, y = panel()
    made = Direction(LogisticRegression(C=3.0))
    model = clone(made).set_params(classifier__C=2.0).fit(x, y)
    assert made.classifier.C == 3.0 and model.classifier_.C == 2.0
    with pytest.raises(NotFittedError):
        check_is_fitted(made.classifier)
    assert is_regressor(made) and model.n_features_in_ == 4
    assert 0.0 < model.score(x, y) < 1.0


@pytest.mark.parametrize("target", sorted(name for name, known in ENTRIES.items() if known.role == "classifier"))
def test_every_classifier_tells_up_from_down(target: str) -> None:
    member = {"estimators": (LOGISTIC,)} if ENTRIES[target].required else {}
    x, y = panel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rows
        model: Any = build(ended(call(target, dict(member)))).fit(x, 5.0 * x[:, 0] + 0.1 * y)
        answer = model.predict(x)
    assert answer.dtype == np.float64 and np.corrcoef(np.sign(answer), np.sign(x[:, 0]))[0, 1] > 0.4


def test_only_the_last_step_is_wrapped_and_the_module_says_what_it_means() -> None:
    spec = ended(SCALER, LOGISTIC)
    assert [type(step).__name__ for _, step in build(spec).steps] == ["StandardScaler", "Direction"]
    assert type(build(LOGISTIC)).__name__ == "Direction"
    assert type(build(call(PIPELINE, {"steps": (SCALER, spec)})).steps[-1][1].steps[-1][1]).__name__ == "Direction"
    stacked = call("sklearn.ensemble.StackingClassifier", {"estimators": (LOGISTIC,)})
    assert type(build(stacked).classifier.estimators[0][1]).__name__ == "LogisticRegression"
    assert from_estimator(build(spec, seed=None)) == spec
    module = to_module(spec, title="Up or down", facts={})
    assert parse_module(module) == spec
    assert "fit it on the sign of the label" in module and "Direction" not in module
    regression = to_module(call("sklearn.linear_model.Ridge"), title="x", facts={})
    assert "classifier" not in regression
