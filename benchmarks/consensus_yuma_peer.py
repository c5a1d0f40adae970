"""The other side of ``consensus_yuma.py``: runs in the peer's own interpreter, which has torch and yuma-simulation.

Reads one JSON line per request, {"kind", "file", "simulation", "params"} to load a case or {} to run an epoch on it, and
answers with one: the largest difference of its consensus from the one in the file, or CPU seconds. Nothing of longtail
is used here. Its liquid alpha cannot be called in the last commit seen, of June 2025 (arguments do not fit), so its
Yuma 3 with a fixed rate, which does less, stands in.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial

import numpy as np
import torch
from yuma_simulation._internal import yumas

KINDS = {"yuma1": yumas.Yuma, "yuma3": yumas.Yuma3, "liquid": yumas.Yuma3}


def main() -> None:
    """Answer until the input ends."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        if "kind" in request:
            case = np.load(request["file"])
            weights, stakes, bonds = (torch.from_numpy(case[name]) for name in ("weights", "stakes", "bonds"))
            validators, miners = weights.shape
            arguments = {
                "num_validators": validators,
                "num_servers": miners,
                "use_full_matrices": False,
                "B_old": bonds,
                "config": yumas.YumaConfig(
                    yumas.SimulationHyperparameters(**request["simulation"]), yumas.YumaParams(**request["params"])
                ),
            }

            run = partial(KINDS[request["kind"]], weights, stakes, **arguments)
            theirs, ours = run()["server_consensus_weight"].numpy(), case["consensus"]
            answer = {"difference": float(np.abs(theirs - ours / ours.sum()).max())}
        else:
            start = time.process_time()
            run()
            answer = {"seconds": time.process_time() - start}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
