"""Workers of an Allora topic: clones, outlying and missing inferences, and a forecast that favours its own inference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from economy.experiments.attacks.row import Row, middle
from economy.experiments.attacks.topic import WORKERS, Course, draw_topic, run_topic
from economy.experiments.network import MockNetwork
from protocol.consensus.allora.loss import SQUARED
from protocol.consensus.allora.potential import slope
from protocol.consensus.allora.scores import remembered, reward_fractions
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR

Floats = NDArray[np.float64]

SETTLED = 40  # epochs before which nothing is measured
STRUCK = 60  # epoch of a single outlier
ABSURD = 1e9


def ranked(course: Course) -> tuple[int, int]:
    """Return which inferer lost least and which most, by mean log loss."""
    mean = course.losses.inferences.mean(axis=0)
    return int(mean.argmin()), int(mean.argmax())


def network_loss(course: Course) -> float:
    """Return the network's mean log10 loss once settled."""
    return float(course.losses.network[SETTLED:].mean())


def paid_by_own_loss(course: Course) -> Floats:
    """Return reward fractions (T, Ni) if inferers were scored by their own losses against the network's."""
    history: Floats | None = None
    paid = []
    for network, own in zip(course.losses.network, course.losses.inferences, strict=True):
        scores = network - own
        paid.append(reward_fractions(scores, history, SIMULATOR))
        history = remembered(history, scores, SIMULATOR)
    return np.stack(paid)


def clone(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what the best worker gains by sending its inference under two names."""
    marginal: list[float] = []
    own: list[float] = []
    cost: list[float] = []
    for seed in seeds:
        network = draw_topic(seed)
        before = run_topic(network)
        best, _ = ranked(before)
        names = [*range(WORKERS), best]
        after = run_topic(
            replace(network, inferences=network.inferences[:, names], log_forecasts=network.log_forecasts[:, :, names])
        )
        cost.append(network_loss(after) - network_loss(before))
        for ratios, single, double in (
            (marginal, before.inference_fractions, after.inference_fractions),
            (own, paid_by_own_loss(before), paid_by_own_loss(after)),
        ):
            ratios.append(float(double[SETTLED:, [best, WORKERS]].sum(axis=1).mean() / single[SETTLED:, best].mean()))
    row = partial(Row.over, attack="clone", setting=f"the best of {WORKERS} workers infers twice")
    for on, ratios in ((True, marginal), (False, own)):
        yield row(
            ratios,
            defence="scores by what the network loses without a worker (Eq. 22)",
            on=on,
            measure="reward of both names over that of one",
            unit="ratio",
            verdict="cloning costs reward" if middle(ratios) < 1 else "cloning pays",
        )
    yield row(
        cost,
        defence="scores by what the network loses without a worker (Eq. 22)",
        on=True,
        measure="network loss above that without the clone",
        unit="dex",
        verdict="the network gets worse" if middle(cost) > 0.02 else "the network hardly minds",
    )


def struck(network: MockNetwork, worker: int, value: float) -> MockNetwork:
    """Return the network in which `worker` infers `value` in one epoch."""
    inferences = network.inferences.copy()
    inferences[STRUCK, worker] = value
    return replace(network, inferences=inferences)


def single_outlier(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what one absurd inference of the best worker does, in its epoch and in the five that follow."""
    networks = [draw_topic(seed) for seed in seeds]
    best = [ranked(run_topic(network))[0] for network in networks]
    for told, value in ((f"{ABSURD:.0e}", ABSURD), ("NaN", np.nan)):
        for on, variant in ((True, CHAIN2026), (False, PAPER)):
            if np.isnan(value) and not on:
                continue
            excess = [
                run_topic(struck(network, worker, value), variant).losses.network
                - run_topic(network, variant).losses.network
                for network, worker in zip(networks, best, strict=True)
            ]
            row = partial(
                Row.over,
                attack="single-outlier",
                setting=f"the best of {WORKERS} workers infers {told} once",
                defence="absent inferences are left out"
                if np.isnan(value)
                else "scale by median deviation (chain2026)",
                on=on,
                unit="dex",
            )
            for measure, values in (
                ("network loss above normal, that epoch", [float(each[STRUCK]) for each in excess]),
                (
                    "network loss above normal, mean of the 5 epochs after",
                    [float(each[STRUCK + 1 : STRUCK + 6].mean()) for each in excess],
                ),
            ):
                harm = middle(values)
                yield row(
                    values,
                    measure=measure,
                    verdict="little harm"
                    if harm < 0.5
                    else "the epoch is lost"
                    if harm > 5
                    else "context is lost for a while",
                )


def literal_epochs_lost(network: MockNetwork) -> int:
    """Return in how many epochs the naive network as printed (Eq. 9-11, 15) is no number."""
    regrets, lost = np.zeros(network.inferences.shape[1]), 0
    for truth, inferences in zip(network.truth, network.inferences, strict=True):
        weights = slope(regrets / (regrets.std(ddof=1) + PAPER.epsilon), PAPER.p, PAPER.c)
        combined = weights @ inferences / weights.sum()
        lost += bool(np.isnan(combined))
        now = SQUARED.log10(np.append(combined, inferences), truth)
        regrets = PAPER.alpha * (now[0] - now[1:]) + (1 - PAPER.alpha) * regrets
    return lost


def missing_inference(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield for how long the network is silent after one NaN."""
    networks = [struck(draw_topic(seed), 0, np.nan) for seed in seeds]
    guarded = [int(np.isnan(run_topic(network).losses.network).sum()) for network in networks]
    for on, lost in ((True, guarded), (False, [literal_epochs_lost(network) for network in networks])):
        yield Row.over(
            lost,
            attack="missing-inference",
            setting=f"one of {WORKERS} workers infers NaN once, with {networks[0].epochs - STRUCK} epochs to go",
            defence="absent inferences are left out",
            on=on,
            measure="epochs without a network inference",
            unit="epochs",
            verdict="none is lost" if max(lost) == 0 else "one NaN silences the network for good",
        )


def lasting_outlier(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what a worker does that is absurd in every epoch, and known to be."""
    for on, variant in ((True, CHAIN2026), (False, PAPER)):
        excess, weights = [], []
        for seed in seeds:
            network = draw_topic(seed)
            _, worst = ranked(run_topic(network))
            inferences, forecasts, gone = (
                array.copy() for array in (network.inferences, network.log_forecasts, network.inferences)
            )
            inferences[:, worst] = ABSURD
            forecasts[:, :, worst] = 2 * np.log10(ABSURD)
            gone[:, worst] = np.nan
            course = run_topic(replace(network, inferences=inferences, log_forecasts=forecasts), variant)
            excess.append(network_loss(course) - network_loss(run_topic(replace(network, inferences=gone), variant)))
            weights.append(float(course.weights[SETTLED:, worst].mean()))
        row = partial(
            Row.over,
            attack="lasting-outlier",
            setting=f"1 of {WORKERS} workers infers {ABSURD:.0e} in every epoch, as forecasters expect",
            defence="scale by median deviation (chain2026)",
            on=on,
        )
        harm = middle(excess)
        yield row(
            excess,
            measure="network loss above that without it",
            unit="dex",
            verdict="it is shut out"
            if harm < 0.5
            else "it ruins the network: it inflates the deviation that it is measured in",
        )
        yield row(
            weights,
            measure="its weight",
            unit="share",
            verdict="none" if middle(weights) < 1e-12 else "little, and enough",
        )


def selfish_forecast(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what the worst worker gains by forecasting that its own inference will be perfect and all others bad."""
    shares, weights = [], []
    harm: dict[bool, list[float]] = {True: [], False: []}
    for seed in seeds:
        network = draw_topic(seed)
        honest = run_topic(network)
        _, worst = ranked(honest)
        forecasts = network.log_forecasts.copy()
        forecasts[:, worst] = 2.0
        forecasts[:, worst, worst] = -10.0
        lying = replace(network, log_forecasts=forecasts)
        course = run_topic(lying)
        weights.append(float(course.weights[SETTLED:, WORKERS + worst].mean()))
        share = course.forecast_fractions[SETTLED:, worst].mean() / honest.forecast_fractions[SETTLED:, worst].mean()
        shares.append(float(share))
        harm[True].append(network_loss(course) - network_loss(honest))
        blind = replace(SIMULATOR, alpha=0.0)
        harm[False].append(network_loss(run_topic(lying, blind)) - network_loss(run_topic(network, blind)))
    row = partial(
        Row.over,
        attack="selfish-forecast",
        setting=f"the worst of {WORKERS} workers forecasts itself 1e-10, everybody else 100",
    )
    for on, values in harm.items():
        yield row(
            values,
            defence="regrets of forecasters (Eq. 10, 15)",
            on=on,
            measure="network loss above that with its honest forecasts",
            unit="dex",
            verdict="the network loses a forecaster" if middle(values) < 0.15 else "it drags the network along",
        )
    yield row(
        weights,
        defence="regrets of forecasters (Eq. 10, 15)",
        on=True,
        measure="weight of its forecast-implied inference",
        unit="share",
        verdict="it is not followed" if middle(weights) < 0.02 else "it is followed",
    )
    yield row(
        shares,
        defence="scores of Eq. 23",
        on=True,
        measure="its forecasting reward over that of honest forecasts",
        unit="ratio",
        verdict="lying costs reward" if middle(shares) < 1 else "lying pays",
    )
