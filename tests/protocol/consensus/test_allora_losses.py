"""The order of loss columns."""

import numpy as np
import pytest

from protocol.consensus.allora.epoch import State, infer
from protocol.consensus.allora.losses import Losses, LossLayout
from protocol.errors import DataError


@pytest.mark.parametrize(("ni", "nf"), [(3, 2), (1, 1), (4, 0), (0, 0)])
def test_parts_come_back_as_packed(ni, nf):
    layout, rng = LossLayout(ni, nf), np.random.default_rng(0)
    shapes = {
        "network": (),
        "inferences": (ni,),
        "forecast_implied": (nf,),
        "naive": (),
        "one_out": (ni + nf,),
        "one_in": (nf,),
        "one_out_forecast_implied": (ni, nf),
    }
    parts = {name: rng.standard_normal((5, *shape)) for name, shape in shapes.items()}
    losses = layout.pack(**parts)
    assert losses.values.shape == (5, layout.size)
    for name, part in parts.items():
        np.testing.assert_array_equal(getattr(losses, name), part)
    np.testing.assert_array_equal(losses.workers, np.hstack([parts["inferences"], parts["forecast_implied"]]))
    with pytest.raises(DataError, match="one_out has shape"):
        layout.pack(**{**parts, "one_out": np.zeros((5, ni + nf + 1))})


def test_inferences_of_an_epoch_are_in_the_same_order():
    state = State.start(3, 2, [1.0])
    inferences = np.array([1.0, np.nan, 3.0])
    synthesis = infer(state, inferences, np.zeros((2, 3)))
    vector = Losses(state.layout, state.layout.inferences(inferences, synthesis))
    np.testing.assert_array_equal(vector.inferences, inferences)
    assert vector.network == synthesis.network
    np.testing.assert_array_equal(vector.one_out_forecast_implied, synthesis.one_out_forecast_implied)


def test_refuses_other_sizes():
    with pytest.raises(DataError, match="needs 20 columns for 3 inferers and 2 forecasters"):
        Losses(LossLayout(3, 2), np.zeros((4, 21)))
