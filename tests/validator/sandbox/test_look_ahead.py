"""No registered operator says anything else about a timestamp because of rows that come after it.

What scikit-learn is asked about at once it may look at at once. So rows are released one timestamp at a time, and this holds by
construction, whatever the operator: here it is looked at, operator by operator, by changing the later rows. A second sandbox
gets the same job, because validators must agree.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pipelines.registry import ENTRIES, MODELS, Entry
from pipelines.spec import PIPELINE, Call, Name, Value, call, canonical_text
from validator.sandbox.host import Job, Sandbox
from validator.sandbox.policy import Limits

RIDGE = call("sklearn.linear_model.Ridge")
LOGISTIC = call("sklearn.linear_model.LogisticRegression")
SCALER = call("sklearn.preprocessing.StandardScaler")
BATCH, BATCHES, COLUMNS = 12, 3, 5
KINDS = {"regressor": RIDGE, "classifier": LOGISTIC}
#: What an operator needs to be told.
NEEDS = {
    "estimator": lambda entry: call("sklearn.linear_model.Lasso", {"alpha": 0.001}),
    "estimators": lambda entry: (KINDS[entry.role], KINDS[entry.role]),
    "transformers": lambda entry: ((SCALER, (0, 1)), ("passthrough", (2,))),
}
#: Of the models, those that are asked in every run of the tests; of everything else, all.
QUICK_MODELS = {
    "Ridge",
    "SGDRegressor",
    "KNeighborsRegressor",
    "DecisionTreeRegressor",
    "LGBMRegressor",
    "XGBRegressor",
    "GaussianNB",
}


def cases() -> Iterator[object]:
    for target, entry in ENTRIES.items():
        if entry.role in {"splitter", "container"}:
            continue
        name = target.rpartition(".")[2]
        slow = entry.role in MODELS and name not in QUICK_MODELS
        yield pytest.param(entry, id=name, marks=[pytest.mark.slow] if slow else [])


def pipeline(entry: Entry) -> Call:
    needed: dict[str, Value] = {name: NEEDS[name](entry) for name in entry.required}
    if entry.target.startswith("sklearn.feature_selection.Select") and "score_func" in entry.params:
        needed["score_func"] = Name("sklearn.feature_selection.f_regression")  # the default is for classes
    if entry.target.startswith("sklearn.random_projection."):
        needed["n_components"] = 3  # the default asks for thousands
    operator = call(entry.target, needed)
    steps = (operator,) if entry.role in MODELS else (operator, RIDGE)
    return call(PIPELINE, {"steps": steps})


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[tuple[Sandbox, Sandbox]]:
    with Sandbox() as one, Sandbox() as other:
        yield one, other


def jobs(text: str) -> Iterator[Job]:
    """Yield a job, and the same one with other rows after the first timestamp."""
    random = np.random.default_rng(11)
    train = random.uniform(0.05, 0.95, size=(150, COLUMNS))  # positive, for operators that want that
    label = np.where(train[:, 0] > 0.5, 0.3, -0.2) + 0.2 * train[:, 1] + random.normal(0, 0.1, 150)
    test = random.uniform(0.05, 0.95, size=(BATCH * BATCHES, COLUMNS))
    batches = [(start, start + BATCH) for start in range(0, len(test), BATCH)]
    limits = Limits(cpu_s=60, wall_s=300)
    yield Job(text, 3, train, label, test, batches, limits)
    later = test.copy()
    later[BATCH:] = later[BATCH:][::-1] * 40 - 7
    yield Job(text, 3, train, label, later, batches, limits)


@pytest.mark.parametrize("entry", list(cases()))
def test_the_past_does_not_know_the_future(entry: Entry, sandboxes: tuple[Sandbox, Sandbox]) -> None:
    here, there = sandboxes
    text = canonical_text(pipeline(entry))
    plain, changed = jobs(text)
    first, second, elsewhere = here.run(plain), here.run(changed), there.run(plain)
    for replay in (first, second, elsewhere):
        assert replay.status == "ok", replay.reason
    assert first.predictions is not None
    assert second.predictions is not None
    assert elsewhere.predictions is not None
    assert first.predictions[:BATCH].tobytes() == second.predictions[:BATCH].tobytes()
    assert first.predictions.tobytes() == elsewhere.predictions.tobytes()
