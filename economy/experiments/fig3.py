"""Figure 3 of the white paper: what each task and each participant earns over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from economy.experiments.experiment import Experiment, Progress, aligned
from economy.experiments.plots import BLACK, BLUE, SKY, STYLES, VERMILION, dress, make_figure, shades, to_png
from economy.experiments.simulation import EPOCHS, SEEDS, History, simulate_seeds
from protocol.consensus.allora.variant import SIMULATOR, Variant

Floats = NDArray[np.float64]

TASKS = ("inference", "forecasting", "reputers")
COLOURS = (BLUE, SKY, VERMILION)
MEMORY = 10


@dataclass(frozen=True, slots=True)
class Shares:
    """How a seed's emission was divided.

    Attributes
    ----------
    inference, forecasting, reputers
        Part of everything paid from the first epoch to the last.
    utility_early, utility_last
        chi of Eq. 45, mean over the first ten epochs, the memory of its moving average, and over the last ten.
    """

    seed: int
    inference: float
    forecasting: float
    reputers: float
    utility_early: float
    utility_last: float


def shares(seed: int, history: History) -> Shares:
    """Return how a seed's emission was divided."""
    paid = history.class_rewards.sum(axis=0)
    inference, forecasting, reputers = (float(part) for part in paid / paid.sum())
    return Shares(
        seed,
        inference,
        forecasting,
        reputers,
        float(history.utility[:MEMORY].mean()),
        float(history.utility[-MEMORY:].mean()),
    )


def run(
    seeds: int = SEEDS, epochs: int = EPOCHS, variant: Variant = SIMULATOR, progress: Progress = lambda text: None
) -> Experiment:
    """Run the experiment for seeds 1 to `seeds`; the picture is of the seed with the most typical shares.

    Raises
    ------
    UsageError
        No seed or no epoch.
    """
    histories = dict(simulate_seeds(seeds, epochs, variant, progress))
    found = [shares(seed, history) for seed, history in histories.items()]
    keys = (*TASKS, "utility_early", "utility_last")
    columns = {key: [float(getattr(one, key)) for one in found] for key in keys}
    middle = {key: median(values) for key, values in columns.items()}
    typical = min(found, key=lambda one: sum((getattr(one, task) - middle[task]) ** 2 for task in TASKS))
    numbers: dict[str, Any] = {
        "experiment": "fig3",
        "variant": variant.name,
        "epochs": epochs,
        "seeds": seeds,
        "unit": "part of the emission; utility chi",
        "median": middle,
        "smallest": {key: min(values) for key, values in columns.items()},
        "largest": {key: max(values) for key, values in columns.items()},
        "per_seed": [asdict(one) for one in found],
        "seed_in_picture": typical.seed,
    }
    titles = (
        *(f"share of {task}" for task in TASKS),
        f"forecasting utility, first {MEMORY} epochs",
        f"forecasting utility, last {MEMORY} epochs",
    )
    rows: list[tuple[str, ...]] = [(f"{seeds} seeds, variant {variant.name}", "median", "smallest", "largest")]
    for key, title in zip(keys, titles, strict=True):
        rows.append((title, *(f"{numbers[which][key]:.3f}" for which in ("median", "smallest", "largest"))))
    return Experiment("fig3", numbers, aligned(rows), draw(histories[typical.seed], typical.seed))


def draw(history: History, seed: int) -> bytes:
    """Return as PNG rewards per epoch above their sums over time: by task, then by participant, like the paper's Figure 3."""
    figure = make_figure(12.0, 5.6)
    grid = figure.subplots(2, 4, sharex=True)
    figure.suptitle(f"Rewards per epoch (above) and accumulated (below), seed {seed}", x=0.01, ha="left", fontsize=11)
    total = history.class_rewards.sum(axis=1, keepdims=True)
    _column(grid[:, 0], np.hstack([history.class_rewards, total]), [*TASKS, "total"], [*COLOURS, BLACK], ["-"] * 4)
    parts = (
        ("worker", history.inference_rewards),
        ("worker", history.forecast_rewards),
        ("reputer", history.reputer_rewards),
    )
    for axes, (noun, rewards), colour in zip(grid.T[1:], parts, COLOURS, strict=True):
        labels = [f"{noun} {number + 1}" for number in range(rewards.shape[1])]
        _column(axes, rewards, labels, shades(colour, len(labels)), STYLES)
    titles = ("(a) All tasks", "(b) Inference", "(c) Forecasting", "(d) Reputers")
    for upper, lower, title in zip(*grid, titles, strict=True):
        dress(upper, title=title, y="thousand tokens per epoch" if upper is grid[0, 0] else "")
        dress(lower, x="epoch", y="thousand tokens, accumulated" if lower is grid[1, 0] else "")
    return to_png(figure)


def _column(axes: Any, rewards: Floats, labels: Sequence[str], colours: Sequence[Any], styles: Sequence[Any]) -> None:
    """Draw rewards (T, n) in the upper and their sums in the lower axes; styles would be lost in the noise above."""
    epochs = np.arange(1, len(rewards) + 1)
    thousands, sums = rewards / 1e3, rewards.cumsum(axis=0) / 1e3
    for number, (label, colour, style) in enumerate(zip(labels, colours, styles, strict=False)):
        axes[0].plot(epochs, thousands[:, number], color=colour, linewidth=0.8)
        axes[1].plot(epochs, sums[:, number], color=colour, linestyle=style, linewidth=1.6, label=label)
    axes[1].set_xlim(0, epochs[-1])
    for each in axes:
        each.set_ylim(bottom=0)
    axes[1].legend(frameon=False, fontsize=8, loc="upper left")
