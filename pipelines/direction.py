"""A classifier as last step of a pipeline: it learns the direction of the label and answers with a number.

Imported when a pipeline is built, since it needs scikit-learn.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone


class Direction(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A regressor made of a classifier of up and down.

    It is fitted on the sign of the label: 1 for a positive one, 0 for a negative one. Rows with label 0 have no
    direction and are left out. The prediction is P(up) - P(down), in [-1, 1]; a classifier without probabilities
    answers with its decision function, one without either with its class as -1 or 1. If all labels have one sign, there
    is nothing to tell apart: the prediction is that sign everywhere, and 0 if every label is 0.

    Parameters
    ----------
    classifier : estimator
        Unfitted; it is cloned before fitting.

    Attributes
    ----------
    classifier_ : estimator or None
        The fitted clone; None where the labels have one sign.
    constant_ : float
        The prediction where there is no classifier.
    """

    def __init__(self, classifier: Any = None) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Fit on the rows whose label is not 0.

        Parameters
        ----------
        X : (n, f) array or sparse matrix
            Features.
        y : (n,) array
            Finite labels of both signs.

        Raises
        ------
        ValueError
            A label is not finite, or the classifier cannot be fitted.
        """
        label = np.asarray(y, dtype=np.float64)
        if not np.isfinite(label).all():
            raise ValueError("a label is not finite")
        directed = label != 0.0
        up = (label[directed] > 0.0).astype(np.int64)
        self.n_features_in_ = X.shape[1]
        self.classifier_ = None
        self.constant_ = 0.0
        if up.size and up.min() == up.max():
            self.constant_ = float(2 * up[0] - 1)
        elif up.size:
            rows = X if directed.all() else X[np.flatnonzero(directed)]
            self.classifier_ = clone(self.classifier).fit(rows, up)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return P(up) - P(down), the decision function or the class as (n,) float64; a row depends on itself alone."""
        fitted = self.classifier_
        if fitted is None:
            return np.full(X.shape[0], self.constant_)
        if hasattr(fitted, "predict_proba"):
            shares = np.asarray(fitted.predict_proba(X), dtype=np.float64)
            return shares[:, 1] - shares[:, 0]
        if hasattr(fitted, "decision_function"):
            return np.asarray(fitted.decision_function(X), dtype=np.float64).ravel()
        return 2.0 * np.asarray(fitted.predict(X), dtype=np.float64).ravel() - 1.0
