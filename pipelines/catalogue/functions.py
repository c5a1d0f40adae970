"""The functions that a pipeline may name, by what they are for. Nothing else callable can be written in a module."""

from __future__ import annotations

POOLING = ("numpy.mean", "numpy.median", "numpy.max", "numpy.min")
"""How an agglomeration joins columns of one row."""

SCORES = ("sklearn.feature_selection.f_regression", "sklearn.feature_selection.f_classif")
"""How a selector scores columns against the label. ``mutual_info_regression`` cannot be repeated."""

ELEMENTWISE = (
    "numpy.absolute",
    "numpy.arcsinh",
    "numpy.arctan",
    "numpy.cbrt",
    "numpy.cos",
    "numpy.log1p",
    "numpy.sign",
    "numpy.sin",
    "numpy.sqrt",
    "numpy.square",
    "numpy.tanh",
)
"""What ``FunctionTransformer`` may do to every number by itself: no row sees another one."""

IDENTITY = ("copy.copy",)
"""What old exports of TPOT give ``FunctionTransformer`` to leave the columns alone."""

FUNCTIONS = (*POOLING, *SCORES, *ELEMENTWISE, *IDENTITY)

ALIASES = {
    "numpy.abs": "numpy.absolute",
    "numpy.asinh": "numpy.arcsinh",
    "numpy.atan": "numpy.arctan",
}
"""Other names of the same function objects."""
