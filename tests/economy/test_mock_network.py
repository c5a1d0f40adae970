"""The mock network of section 3.3: drawn as the paper says, the same for the same seed."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from economy.experiments.network import MockNetwork, context_sensitivity, draw_network, experience
from protocol.errors import UsageError


def arrays(network: MockNetwork) -> dict[str, np.ndarray]:
    return {field.name: getattr(network, field.name) for field in fields(network)}


def test_a_network_has_the_papers_size() -> None:
    network = draw_network(1, 7)
    shapes = {name: array.shape for name, array in arrays(network).items()}
    size = network.layout.size
    assert shapes == {
        "truth": (7,),
        "favoured": (7,),
        "inferences": (7, 3),
        "log_forecasts": (7, 3, 3),
        "report_errors": (7, 5, size),
        "memories": (5,),
        "stakes": (5,),
        "emissions": (7,),
    }
    assert network.epochs == 7
    assert size == 1 + 3 + 3 + 1 + 6 + 3 + 9


@given(seed=st.integers(0, 2**40), epochs=st.integers(1, 30))
def test_a_longer_network_begins_with_the_shorter_one_of_its_seed(seed: int, epochs: int) -> None:
    short, long = arrays(draw_network(seed, epochs)), arrays(draw_network(seed, epochs + 5))
    for name, array in short.items():
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, long[name][: len(array)])


def test_another_seed_is_another_network() -> None:
    first, second = arrays(draw_network(1, 5)), arrays(draw_network(2, 5))
    assert not [name for name in first if np.array_equal(first[name], second[name])]


def test_experience_halves_errors() -> None:
    factor = experience(400)
    assert factor[0] == 1.0
    assert factor[100] == pytest.approx(0.5 * (1 + np.exp(-3)))
    assert np.all(np.diff(factor) < 0)
    assert factor[-1] == pytest.approx(0.5, abs=1e-5)


def test_context_sensitivity_drives_towards_its_ends() -> None:
    drawn = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    assert context_sensitivity(drawn) == pytest.approx([0.00669, 0.07586, 0.5, 0.92414, 0.99331], abs=1e-5)


def test_the_favoured_worker_outperforms_by_the_papers_factor() -> None:
    network = draw_network(3, 20_000)
    losses = (network.inferences - network.truth[:, np.newaxis])[1000:] ** 2
    favoured = network.favoured[1000:, np.newaxis] == np.arange(3)
    for worker in range(3):
        in_favour, otherwise = (losses[favoured[:, worker] == state, worker].mean() for state in (True, False))
        assert in_favour / otherwise == pytest.approx(0.3**2, rel=0.1)


def test_forecasts_are_the_actual_loss_seen_more_or_less_clearly() -> None:
    clear = 0
    for seed in range(40):
        network = draw_network(seed, 600)
        actual = 2 * np.log10(np.abs(network.inferences - network.truth[:, np.newaxis]))
        off = (network.log_forecasts - actual[:, np.newaxis])[300:]
        favoured = network.favoured[300:, np.newaxis] == np.arange(3)
        surprise = off.mean(axis=0, where=favoured[:, np.newaxis]) - off.mean(axis=0, where=~favoured[:, np.newaxis])
        blind = surprise.mean(axis=1) / -np.log10(0.3**2)  # 1 - sensitivity, with the noise of 100 epochs
        assert np.all((blind > -0.2) & (blind < 1.2))
        clear += int(np.count_nonzero(blind < 0.5))
    assert 40 < clear < 80  # half of 120


def test_characters_have_the_papers_distributions() -> None:
    networks = [draw_network(seed, 300) for seed in range(400)]
    memories = np.log10([network.memories for network in networks])
    assert memories.mean() == pytest.approx(-1.523, abs=0.03)
    assert memories.std() == pytest.approx(0.301, rel=0.1)
    reports = np.array([network.report_errors.std(axis=(0, 2)) for network in networks])
    assert np.log10(reports).mean() == pytest.approx(-1.0, abs=0.02)
    assert np.log10(reports).std() == pytest.approx(0.097, rel=0.1)
    leans = np.array([network.report_errors.mean(axis=(0, 2)) for network in networks])
    assert leans.std() == pytest.approx(0.05, rel=0.1)
    tokens = np.log10([network.emissions for network in networks])
    assert tokens.std() == pytest.approx(0.05, rel=0.1)
    assert 10 ** tokens.mean() == pytest.approx(7500, rel=0.02)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"epochs": 0}, {"workers": 0}, {"reputers": 0}])
def test_a_number_that_is_too_small_is_named(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(UsageError, match=f"{name} = {wrong[name]}; give at least"):
        draw_network(**{"seed": 1, "epochs": 5, **wrong})
