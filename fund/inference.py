"""From models' answers on one bar to the network inference, and from its truth to losses, regrets and scores.

One epoch of :mod:`protocol.consensus.allora.epoch` is one bar of one topic. Inferers are models, whose inference is a
vector with one entry per symbol, forecasters are those of :mod:`fund.forecasters`, reputers are validators, and the loss is
:class:`~protocol.consensus.allora.loss.MarketLoss` of the bar's cross-section::

    state, inference  = ask(state, answers)                                   # at the close of bar t
    state, settlement = settle(state, t, truth, asof=now)                     # at the close of bar t + horizon + 1

**Vectors.** The weights of Eq. 3-12 depend on regrets, forecasts and who is present, never on the value of an inference,
so all symbols share them, and every inference of Eq. 12 is the same linear function of the models' for each symbol. The
coefficients of that function are what the protocol's own synthesis answers to unit vectors (model i says 1, the others
0): one synthesis per model present whatever the number of symbols, no equation written twice. The row of the network
holds each model's share in it, what it has through the forecasters included.

**Standing.** A model that is not crowned yet speaks with a prior weight in (0, 1]. The paper has no such weight. Here it
multiplies the model's coefficient in every inference that combines, before coefficients are brought back to sum 1; equal
weights therefore change nothing. The model's own inference, and so its own loss and regret, are what they are.

**No look-ahead.** A bar is asked with regrets, forecasts and weights made of bars settled before; bars are settled in order,
each once, and not before the close of the last bar their truth depends on. What forecasters saw is kept with the bar.

Cost for N models, S symbols and two forecasters: N syntheses to ask (0.3 ms each up to some 30 models),
8 + 4 N losses to settle (Eq. 13; 70 µs each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fund.topic_state import ALONE, Answers, Inference, Pending, Settlement, TopicState
from protocol.consensus.allora import epoch
from protocol.consensus.allora.confidence import interval as quantiles_of
from protocol.consensus.allora.loss import MarketLoss
from protocol.consensus.allora.losses import Losses, LossLayout
from protocol.consensus.allora.potential import present
from protocol.consensus.allora.synthesis import Synthesis
from protocol.consensus.allora.variant import Variant
from protocol.errors import DataError
from protocol.rounding import PREDICTION_DECIMALS
from protocol.scores import PANEL_MIN, gaussian_rank

QUANTILES = (0.1587, 0.8413)  # one standard deviation of a Gaussian to either side
EMISSION = 1.0  # so that an outcome's rewards are shares of whatever is paid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def ask(state: TopicState, answers: Answers) -> tuple[TopicState, Inference]:
    """Return the network inference of a bar, and the state that waits for its truth.

    Asking a bar again returns what was said and the state as it is: a topic speaks once per bar, whoever joins before the
    next one. (A bar at which nobody spoke may be asked again.)

    Parameters
    ----------
    state : TopicState
    answers : Answers
        Of a bar after all those asked before.

    Raises
    ------
    DataError
        A later bar was asked before: the clock went back.
    """
    for old in state.pending:
        if old.time == answers.time:
            return state, old.inference
    if answers.time < state.asked or answers.time <= state.settled:
        raise DataError(
            f"bar {answers.time} is asked after bar {max(state.asked, state.settled)}; bars are asked in order of time: "
            "check the clock and the data"
        )
    state = replace(_seated(state, answers.standing), asked=answers.time)
    n, absent = len(state.models), dict(answers.failed)
    values = np.full((n, len(answers.symbols)), np.nan)
    prior = np.zeros(n)
    for position, name in enumerate(state.models):
        if answers.standing.get(name, 0.0) <= 0:
            absent.setdefault(name, "it has no standing")
        elif name in absent or name not in answers.values:
            absent.setdefault(name, "it was not asked")
        elif not present(answers.values[name]).all():
            absent[name] = "its answer is not finite"
        else:
            values[position], prior[position] = answers.values[name], answers.standing[name]
    gone = tuple(sorted((name, why) for name, why in absent.items() if name in state.models))
    if not prior.any():
        nothing = np.empty(0)
        return state, Inference(answers.time, (), nothing, nothing, nothing, nothing, (), gone)
    seen = state.track.seen(answers.regime)
    forecasts = np.array([one.forecast(seen) for one in state.forecasters]).reshape(-1, n)
    coefficients, weights, synthesis = _synthesised(state, prior, forecasts)
    made = _rounded(coefficients @ np.where(prior[:, None] > 0, values, 0.0))
    shares = dict(zip(state.models, coefficients[0].tolist(), strict=True))
    inference = _inference(answers, made, shares, weights, absent=gone, variant=state.variant)
    pending = Pending(state.models, inference, made, synthesis.weights, synthesis.naive_weights, seen)
    return replace(state, pending=(*state.pending, pending)), inference


def losses_of(state: TopicState, time: int, truth: ArrayLike) -> Losses:
    """Return what a reputer reports of a pending bar, Eq. 13: log10 losses, NaN where nothing was inferred.

    Parameters
    ----------
    state : TopicState
    time : int
        Open of a pending bar, microseconds since 1970 UTC.
    truth : (S,) float
        u of :mod:`data.target` for the symbols of the bar's inference; NaN where it will never be known.

    Returns
    -------
    Losses
        In the layout of `state.epoch`, which models that joined since the bar was asked are part of; dex, minus CORR over the
        symbols whose truth is known; rounded to nine decimals. All NaN with fewer than five such symbols.

    Raises
    ------
    DataError
        The bar is not pending, or there is not one truth per symbol.
    """
    pending = next((one for one in state.pending if one.time == time), None)
    if pending is None:
        raise DataError(f"bar {time} is not pending; {_waiting(state)}")
    u = np.asarray(truth, dtype=np.float64)
    if u.shape != (len(pending.inference.symbols),):
        raise DataError(f"the truth has shape {u.shape}; bar {time} has {len(pending.inference.symbols)} symbols")
    known = present(u)
    made, layout = _laid_out(pending, state), state.epoch.layout
    if np.count_nonzero(known) < PANEL_MIN:
        return Losses(layout, np.full(layout.size, np.nan))
    rows = np.flatnonzero(known)
    loss = MarketLoss(np.full(rows.size, time, dtype=np.int64), rows.astype(np.int64))
    return Losses(layout, _rounded(loss.log10(made[:, known], u[known])))


def settle(
    state: TopicState,
    time: int,
    truth: ArrayLike,
    *,
    asof: int,
    stakes: Mapping[str, float] = ALONE,
    reports: Mapping[str, ArrayLike] | None = None,
) -> tuple[TopicState, Settlement | None]:
    """Return the state after the truth of a bar, and what everyone's inference was worth.

    Settling a bar at or before the last settled one does nothing. With fewer than five known symbols the bar is closed
    without an outcome, and nobody's standing moves.

    Parameters
    ----------
    state : TopicState
    time : int
        Open of the oldest pending bar, microseconds since 1970 UTC.
    truth : (S,) float
        See :func:`losses_of`.
    asof : int
        Now, microseconds since 1970 UTC.
    stakes : mapping of reputer to float
        Of everybody who may report, any unit.
    reports : mapping of reputer to (size,) float, optional
        What each reported (:func:`losses_of`); who is not named is silent. By default everybody reports what we find.

    Returns
    -------
    TopicState
    Settlement or None
        None where there was nothing to do.

    Raises
    ------
    DataError
        The bar is not the oldest pending one, its truth cannot be known yet, or shapes differ.
    """
    if time <= state.settled:
        return state, None
    if not state.pending or state.pending[0].time != time:
        raise DataError(f"bar {time} is not the next to settle; {_waiting(state)}")
    if asof < state.known_at(time):
        raise DataError(f"the truth of bar {time} is known from {state.known_at(time)} on; it is {asof}: wait")
    if not stakes or not set(reports or {}) <= set(stakes):
        raise DataError(
            f"reports come from {sorted(reports or {})}, stakes are known of {sorted(stakes)}; give each a stake"
        )
    own = losses_of(state, time, truth).values
    names, pending = tuple(sorted(stakes)), state.pending[0]
    rows = int(np.count_nonzero(present(truth)))
    after = replace(state, settled=time, pending=state.pending[1:])
    forecasters = tuple(one.name for one in state.forecasters)
    if np.isnan(own).all():
        return after, Settlement(time, state.models, forecasters, names, rows, None)
    said = [own if reports is None else np.asarray(reports.get(name, np.full(own.size, np.nan))) for name in names]
    layout = state.epoch.layout
    places = [state.reputers.index(name) if name in state.reputers else -1 for name in names]
    before = state.epoch.with_reputers(places, [stakes[name] for name in names])
    settled, outcome = epoch.settle(
        before, _synthesis_of(pending, state), Losses(layout, np.array(said)), EMISSION, state.variant
    )
    place = _place(pending.models, state.models)
    losses, seen = outcome.losses.inferences, pending.seen.seated(place)
    # Eq. 4 compares forecasts with the network's last loss. One bar's is mostly noise and the same for every model: it would
    # make weights steep or flat by chance, so it is averaged as regrets are.
    smooth = state.variant.alpha * settled.log_loss + (1 - state.variant.alpha) * before.log_loss
    after = replace(
        after,
        reputers=names,
        epoch=replace(settled, log_loss=smooth),
        track=state.track.learnt(losses),
        forecasters=tuple(one.learnt(seen, losses) for one in state.forecasters),
    )
    return after, Settlement(time, state.models, forecasters, names, rows, outcome)


def _seated(state: TopicState, standing: Mapping[str, float]) -> TopicState:
    """Return the state with newcomers at the end, without those who are gone and of whom no pending bar speaks.

    Who comes back after that is a newcomer.
    """
    needed = set(standing).union(*(one.present for one in state.pending))
    stay = [name for name in state.models if name in needed]
    models = (*stay, *sorted(set(standing) - set(state.models)))
    if models == state.models:
        return state
    place = _place(state.models, models)
    return replace(
        state,
        models=models,
        epoch=state.epoch.with_workers(place, np.arange(len(state.forecasters)), state.variant),
        track=state.track.seated(place),
        forecasters=tuple(one.seated(place) for one in state.forecasters),
    )


def _synthesised(state: TopicState, prior: Floats, forecasts: Floats) -> tuple[Floats, Floats, Synthesis]:
    """Return the coefficients of Eq. 12, (size, Ni), the network's weights with standing, (Ni + Nf,), and a synthesis.

    Rows of coefficients sum to 1 and are NaN for what is not inferred. The synthesis holds what is the same for all symbols:
    weights, and where it is NaN.
    """
    layout, here = state.epoch.layout, prior > 0
    coefficients = np.zeros((layout.size, prior.size))
    for i in np.flatnonzero(here):
        unit = np.where(here, 0.0, np.nan)
        unit[i] = 1.0
        synthesis = epoch.infer(state.epoch, unit, forecasts, state.variant)
        coefficients[:, i] = layout.inferences(unit, synthesis)
    coefficients *= prior
    mass = coefficients.sum(axis=1)
    implied = np.nan_to_num(mass[1 + prior.size : 1 + layout.workers])
    return coefficients / mass[:, None], synthesis.weights * np.concatenate([prior, implied]), synthesis


def _inference(
    answers: Answers,
    made: Floats,
    shares: Mapping[str, float],
    weights: Floats,
    *,
    absent: tuple[tuple[str, str], ...],
    variant: Variant,
) -> Inference:
    network = made[0]
    value = _rounded(gaussian_rank(network, np.zeros(network.size, dtype=np.int64)))
    workers = made[1 : 1 + weights.size].T
    band = np.array(
        [quantiles_of(one, weights, centre, variant, QUANTILES) for one, centre in zip(workers, network, strict=True)]
    ).T
    levels, first = np.unique(network, return_index=True)
    low, high = (_rounded(np.interp(edge, levels, value[first])) for edge in band)
    ordered = sorted(
        ((name, share) for name, share in shares.items() if share > 0), key=lambda pair: (-pair[1], pair[0])
    )
    return Inference(answers.time, answers.symbols, network, value, low, high, tuple(ordered), absent)


def _rounded(values: Floats) -> Floats:
    """Return values as validators agree on them; NaN stays, no -0.0."""
    out: Floats = np.round(values, PREDICTION_DECIMALS) + 0.0
    return out


def _place(old: Sequence[str], new: Sequence[str]) -> Ints:
    """Return the old position of each new one, -1 for who was not there."""
    where = {name: position for position, name in enumerate(old)}
    return np.array([where.get(name, -1) for name in new], dtype=np.int64)


def _laid_out(pending: Pending, state: TopicState) -> Floats:
    """Return a pending bar's inferences (size, S) in the layout of today: of newcomers nothing was inferred."""
    if pending.models == state.models:
        return pending.made
    f = len(state.forecasters)
    old = LossLayout(len(pending.models), f)
    columns = Losses(old, np.arange(old.size, dtype=np.float64))
    place = _place(pending.models, state.models)
    there, workers = place >= 0, np.concatenate([place, len(pending.models) + np.arange(f)])

    def taken(values: Floats, where: Ints) -> Floats:
        return np.array([values[at] if at >= 0 else np.nan for at in where.tolist()])

    recomputed = np.full((place.size, f), np.nan)
    recomputed[there] = columns.one_out_forecast_implied[place[there]]
    source = state.epoch.layout.pack(
        network=columns.network,
        inferences=taken(columns.inferences, place),
        forecast_implied=columns.forecast_implied,
        naive=columns.naive,
        one_out=taken(columns.one_out, workers),
        one_in=columns.one_in,
        one_out_forecast_implied=recomputed,
    ).values
    made = np.full((source.size, pending.made.shape[1]), np.nan)
    known = ~np.isnan(source)
    made[known] = pending.made[source[known].astype(np.int64)]
    return made


def _synthesis_of(pending: Pending, state: TopicState) -> Synthesis:
    """Return the synthesis of a pending bar in the layout of today; it tells what was made, values are of one symbol."""
    made = Losses(state.epoch.layout, _laid_out(pending, state)[:, 0])
    place, f = _place(pending.models, state.models), len(state.forecasters)
    own = np.where(place >= 0, np.append(pending.weights, 0.0)[place], 0.0)
    return Synthesis(
        forecast_implied=made.forecast_implied,
        network=float(made.network),
        weights=np.concatenate([own, pending.weights[pending.weights.size - f :]]),
        naive=float(made.naive),
        naive_weights=np.where(place >= 0, np.append(pending.naive_weights, 0.0)[place], 0.0),
        one_out=made.one_out,
        one_out_forecast_implied=made.one_out_forecast_implied,
        one_in=made.one_in,
    )


def _waiting(state: TopicState) -> str:
    if not state.pending:
        return "no bar is pending"
    return f"pending are {len(state.pending)} bars, the oldest {state.pending[0].time}"
