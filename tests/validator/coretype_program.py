"""Score modules through the real jail and print the hashes of the verdicts: for processes that believe in another CPU."""

from __future__ import annotations

import json
import sys

from made_market import TOPIC, module, ridge, tree

from pipelines.spec import call
from validator.judging import score_module
from validator.sandbox.host import Sandbox

MODULES = (
    module(call("sklearn.preprocessing.StandardScaler"), ridge(3.0)),
    module(call("sklearn.decomposition.PCA", {"n_components": 5}), call("sklearn.linear_model.RidgeCV")),
    module(tree()),
    module(call("sklearn.preprocessing.RobustScaler"), call("sklearn.svm.LinearSVR", {"C": 0.1})),
)


def main(uri: str) -> None:
    """Print one hash per module."""
    with Sandbox() as sandbox:
        found = [score_module(source, "m.py", topic=TOPIC, uri=uri, sandbox=sandbox) for source in MODULES]
    sys.stdout.write(json.dumps([[verdict.hash, verdict.outcome, verdict.reason] for verdict in found]))


if __name__ == "__main__":
    main(sys.argv[1])
