"""What every pipeline is shown beside: a plain ridge and the opposite of the last return."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.panel import Panel
from pipelines.spec import PIPELINE, STEPS, Call, call


def ridge_spec() -> Call:
    """Return a ridge on standardised features, its penalty chosen by leave-one-out."""
    steps = (call("sklearn.preprocessing.StandardScaler"), call("sklearn.linear_model.RidgeCV"))
    return call(PIPELINE, {STEPS[PIPELINE]: steps})


def reversal(panel: Panel) -> NDArray[np.float64]:
    """Return the opposite of every row's last one-bar return: (n,) float64, known when the bar closes."""
    return -np.asarray(panel.features[:, panel.feature_names.index("ret_1")])
