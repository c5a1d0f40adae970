"""Figure 2 of the white paper: what context awareness does for the loss, and by how much over many seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from economy.experiments.experiment import Experiment, Progress, aligned
from economy.experiments.plots import BLACK, BLUE, GREY, SKY, STYLES, dress, make_figure, to_png
from economy.experiments.simulation import EPOCHS, SEEDS, History, simulate_seeds
from protocol.consensus.allora.variant import SIMULATOR, Variant

#: The first quarter of the epochs is left out of every mean: experience and regrets are still settling.
WARM_UP = 4


@dataclass(frozen=True, slots=True)
class Gain:
    """How much smaller one loss is than another, in dex of the actual loss, mean over the epochs after the warm-up.

    Attributes
    ----------
    network_over_naive, network_over_best, naive_over_best
        "Best" is the inferer with the smallest mean.
    network_over_implied
        Over the best forecast-implied inference.
    """

    seed: int
    network_over_naive: float
    network_over_best: float
    naive_over_best: float
    network_over_implied: float


MEASURES = {
    "network_over_naive": "network over naive",
    "network_over_best": "network over best worker",
    "naive_over_best": "naive over best worker",
    "network_over_implied": "network over best forecast-implied",
}


def gain(seed: int, history: History) -> Gain:
    """Return what a seed's network gained."""
    losses = history.actual
    first = losses.values.shape[0] // WARM_UP
    network, naive = (float(one[first:].mean()) for one in (losses.network, losses.naive))
    best = float(losses.inferences[first:].mean(axis=0).min())
    implied = float(losses.forecast_implied[first:].mean(axis=0).min())
    return Gain(seed, naive - network, best - network, best - naive, implied - network)


def summary(gains: Sequence[Gain]) -> dict[str, dict[str, float]]:
    """Return median, smallest and largest of each measure, and in how many seeds it is positive."""
    found = {}
    for measure in MEASURES:
        values = [float(getattr(one, measure)) for one in gains]
        found[measure] = {
            "median": median(values),
            "worst": min(values),
            "best": max(values),
            "positive": sum(value > 0 for value in values),
        }
    return found


def run(
    seeds: int = SEEDS, epochs: int = EPOCHS, variant: Variant = SIMULATOR, progress: Progress = lambda text: None
) -> Experiment:
    """Run the experiment for seeds 1 to `seeds`; the picture is of the seed whose gain is nearest the median.

    Raises
    ------
    UsageError
        No seed or no epoch.
    """
    histories = dict(simulate_seeds(seeds, epochs, variant, progress))
    gains = [gain(seed, history) for seed, history in histories.items()]
    found = summary(gains)
    middle = found["network_over_naive"]["median"]
    typical = min(gains, key=lambda one: abs(one.network_over_naive - middle))
    numbers: dict[str, Any] = {
        "experiment": "fig2",
        "variant": variant.name,
        "epochs": epochs,
        "epochs_left_out": epochs // WARM_UP,
        "seeds": seeds,
        "unit": "dex",
        "gains": found,
        "per_seed": [asdict(one) for one in gains],
        "seed_in_picture": typical.seed,
    }
    rows: list[tuple[str, ...]] = [
        (f"gain in dex, {seeds} seeds, variant {variant.name}", "median", "worst", "best", "seeds gaining")
    ]
    for measure, title in MEASURES.items():
        facts = found[measure]
        values = (f"{facts[key]:+.3f}" for key in ("median", "worst", "best"))
        rows.append((title, *values, f"{facts['positive']} of {seeds}"))
    return Experiment("fig2", numbers, aligned(rows), draw(histories[typical.seed], gains, typical))


def draw(history: History, gains: Sequence[Gain], typical: Gain) -> bytes:
    """Return as PNG the reported losses of one seed, like the paper's Figure 2, beside the gains of all seeds.

    Reported losses are what the network acts on: stake-weighted over reputers whose own moving averages smooth them.
    Nothing else is smoothed.
    """
    figure = make_figure(9.6, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(2.7, 1.0))
    losses, epochs = history.reported, np.arange(1, history.utility.size + 1)
    groups = (("inference", losses.inferences, BLUE), ("forecast-implied", losses.forecast_implied, SKY))
    for name, logs, colour in groups:
        for number, style in zip(range(logs.shape[1]), STYLES, strict=False):
            label = f"{name}, worker {number + 1}"
            left.plot(epochs, 10 ** logs[:, number], color=colour, linestyle=style, linewidth=1.2, label=label)
    left.plot(epochs, 10**losses.naive, color=BLACK, linestyle=":", linewidth=2.0, label="naive network")
    left.plot(epochs, 10**losses.network, color=BLACK, linewidth=2.0, label="network")
    left.set_yscale("log")
    left.set_xlim(0, epochs[-1])
    dress(left, title=f"(a) Losses reported, seed {typical.seed}", x="epoch", y="mean squared error of the target")
    left.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")

    ordered = sorted(gains, key=lambda one: one.network_over_naive)
    values, middle = [one.network_over_naive for one in ordered], median(one.network_over_naive for one in gains)
    right.axvline(0, color=GREY, linewidth=0.8)
    right.axvline(middle, color=BLACK, linewidth=1.2, linestyle="--", label=f"median {middle:.2f}")
    right.plot(values, range(1, len(values) + 1), "o", color=BLUE, markersize=3.5, label="all seeds")
    place = ordered.index(typical)
    right.plot(values[place], place + 1, "o", color=BLACK, markersize=5, label="seed in (a)")
    right.set_xlim(min(0.0, values[0]) - 0.1, max(1.4, values[-1] + 0.1))
    right.set_ylim(0, len(values) + 1)
    right.yaxis.get_major_locator().set_params(integer=True)
    dress(right, title="(b) Gain over naive", x="decrease of the loss [dex]", y="seeds, in order of gain")
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.08, 0.4), handlelength=1.2)
    return to_png(figure)
