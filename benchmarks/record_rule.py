"""Does the record rule keep luck out and let skill in? Simulated on generated panels, by the network's own functions.

    python -m benchmarks.record_rule [--submissions 600] [--worlds 40] [--hours 4] [--horizon 6] [--json]

A world is a declared panel and six undeclared ones, made into features and targets by `data`: one common factor, betas, fat
tails, volatility that changes slowly; by default bars of 4 hours and targets one day ahead, so that they overlap. A submission
without skill is a random smooth function of the panel's features; one with skill forecasts by a signal that is planted in the
returns. Printed:

- screens: submissions without skill that pass the screen, by the spending rule and by "scores more than the record", in random
  orders and in expectation over all orders; probabilities against levels;
- crowns: submissions without skill whose evidence ever reaches 20 and 100, for the rule and for a product of daily bets;
- copies: the record with 5 % noise, and what becomes of it;
- skill: days till a signal of a given IC passes the screen and is crowned.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.signal import lfilter

from data.panel import Panel, panel_from
from data.schema import interval_of, table_from
from protocol.bootstrap import block_bootstrap_test, expected_block
from protocol.evidence import CLIP, MAX_AGE_DAYS, MAX_LOSS, PRIOR_BLOCKS, crown_log_e, e_process, target_span_days
from protocol.generality import Generality, differential, generalized
from protocol.judgement import Facts, judge, outcome_of
from protocol.originality import similarity
from protocol.rounding import round_predictions
from protocol.scores import DAY_US, DayScores, day_scores
from protocol.spending import alpha_at
from protocol.topics import Topic

WARM_UP_BARS = 168
DECLARED = "declared"
GROUPS = (DECLARED, *(f"other-{number}" for number in range(6)))
SIGMA = 0.01  # of one bar's log return
SLOTS = 5

Floats = NDArray[np.float64]
Forecast = Callable[[Panel], Floats]
Scores = Mapping[str, DayScores]


@dataclass(frozen=True, slots=True)
class Market:
    """Size of a panel: length of a bar in hours, horizon in bars, symbols of each group, days."""

    hours: int = 4
    horizon: int = 6
    symbols: int = 20
    days: int = 417


@dataclass(frozen=True, slots=True)
class World:
    """Panels by group, and how many days a target reaches beyond its own."""

    panels: Mapping[str, Panel]
    span_days: int

    def scores(self, forecast: Forecast, groups: Iterable[str] = GROUPS) -> Scores:
        """Return the day scores of a forecast per group, rounded as a validator does."""
        result = {}
        for group in groups:
            panel = self.panels[group]
            result[group] = day_scores(
                round_predictions(forecast(panel), panel.time), panel.target, panel.time, panel.symbol
            )
        return result


def make_world(rng: np.random.Generator, market: Market, signals: int = 0, strength: float = 0.0) -> World:
    """Return seven panels that share a factor; each return from two bars on pays `strength` deviations of every signal."""
    a_day = 24 // market.hours
    bars, symbols = market.days * a_day + WARM_UP_BARS + market.horizon + 1, market.symbols
    factor = rng.standard_t(4, bars) * _volatility(rng, (bars,), a_day)
    topic = Topic("simulated", f"close-{market.hours}h", "made", market.horizon)
    panels = {}
    for group in GROUPS:
        own = rng.standard_t(4, (bars, symbols)) * _volatility(rng, (bars, symbols), a_day)
        returns = SIGMA / 2 * (1.2 * rng.normal(1, 0.3, symbols) * factor[:, None] + own)
        signal = _persistent(rng, (signals, bars, symbols), half_life=a_day)
        returns[2:] += strength * SIGMA * signal[:, :-2].sum(axis=0)
        columns = {f"s{number}": signal[number].T.ravel() for number in range(signals)}
        panels[group] = panel_from(_table(returns, columns, topic.type), topic)
    declared = panels[DECLARED]
    return World(panels, target_span_days(declared.time, market.horizon, declared.interval))


def smooth_function(rng: np.random.Generator, terms: int = 8) -> Forecast:
    """Return a random sum of cosines of features: a forecast without skill that remembers as long as its features do."""
    weights, phase, height = rng.normal(size=(40, terms)), rng.uniform(0, 2 * math.pi, terms), rng.normal(size=terms)
    weights *= rng.choice([0.1, 0.3, 1.0])
    leaves = rng.random() < 0.3  # as the leaves of a shallow tree: most of a cross-section is tied

    def forecast(panel: Panel) -> Floats:
        plain = [place for place, name in enumerate(panel.feature_names) if not name.startswith("x_")]  # no signals
        value = np.cos(panel.features[:, plain] @ weights[: len(plain)] + phase) @ height
        out: Floats = np.clip(np.round(value / value.std()), -1, 1) if leaves else value
        return out

    return forecast


def signal_of(number: int) -> Forecast:
    """Return the forecast that reads one planted signal."""
    return lambda panel: panel.features[:, panel.feature_names.index(f"x_s{number}")]


def probability(d: DayScores, span_days: int) -> float:
    """Return the screen's p of a differential."""
    return block_bootstrap_test(d.score, expected_block(d.day, span_days)).p


def expected_false_screens(p: Sequence[float]) -> float:
    """Return the mean number of submissions that pass by the spending rule, over all orders of them."""
    levels = np.array([alpha_at(k) for k in range(1, len(p) + 1)])
    return float((np.asarray(p)[:, None] <= levels).mean(axis=1).sum())


def daily_bets(d: Floats) -> Floats:
    """Return the log capital of betting on every day anew, as if days did not overlap: the comparison."""
    x = np.clip(d, -CLIP, CLIP)
    total, square = (np.concatenate(([0.0], np.cumsum(values)[:-1])) for values in (x, x * x))
    stake = np.clip(total / (PRIOR_BLOCKS * (CLIP / 2) ** 2 + square), 0, MAX_LOSS / CLIP)
    log_capital: Floats = np.cumsum(np.log1p(stake * x))
    return log_capital


def false_screens(
    scores: Sequence[float], p: Sequence[float], orders: int, rng: np.random.Generator
) -> dict[str, float]:
    """Count passes per order of all submissions: by the spending rule, and by a higher score than the record's."""
    spent, naive, levels = [], [], np.array([alpha_at(k) for k in range(1, len(p) + 1)])
    for _ in range(orders):
        order = rng.permutation(len(p))
        spent.append(int((np.asarray(p)[order] <= levels).sum()))
        best = np.maximum.accumulate(np.concatenate(([0.0], np.asarray(scores)[order])))
        naive.append(sum(high < higher for high, higher in pairwise(best.tolist())))
    return {
        "submissions": len(p),
        "orders": orders,
        "expected": expected_false_screens(p),
        "mean": float(np.mean(spent)),
        "most": max(spent),
        "naive": float(np.mean(naive)),
        **{f"share_p_below_{level}": float(np.mean(np.asarray(p) <= level)) for level in (0.05, 0.01, 0.001)},
    }


def false_crowns(differentials: Mapping[str, Sequence[tuple[DayScores, int]]]) -> dict[str, dict[str, float]]:
    """Return, per kind of differential, the share whose evidence ever reaches 20 and 100, by the rule and by daily bets."""
    result = {}
    for kind, series in differentials.items():
        ours = [e_process(d.day, d.score, span_days=span).log_e.max() for d, span in series]
        naive = [daily_bets(d.score).max() for d, _ in series]
        result[kind] = {
            f"{name}_{e}": float(np.mean(np.array(peaks) >= math.log(e)))
            for name, peaks in (("rule", ours), ("daily", naive))
            for e in (20, 20 * SLOTS)
        }
    return result


def judged_copy(world: World, forecast: Forecast, record: Scores, rng: np.random.Generator) -> tuple[str, float, bool]:
    """Judge a copy of the record with 5 % noise as the first submission; return outcome, similarity, screen passed."""
    seed = rng.integers(2**32)

    def copied(panel: Panel) -> Floats:
        p = forecast(panel)
        noisy: Floats = p + 0.05 * p.std() * np.random.default_rng(seed).normal(size=p.size)
        return noisy

    declared = world.panels[DECLARED]
    similar = similarity(copied(declared), forecast(declared), declared.time)
    ours = world.scores(copied)
    d = differential(ours, record)
    gates = judge(
        Facts(
            k=1,
            rows=1,
            finite=1,
            correlations={"record": similar},
            screen=block_bootstrap_test(d.score, expected_block(d.day, world.span_days)),
            generality=_generality(ours),
            record_generality=_generality(record),
        )
    )
    return outcome_of(gates)[0], similar, gates[2].passed


def power(world: World, signals: int, record: Scores, k: int) -> list[dict[str, float]]:
    """Return for every planted signal its IC, and after how many days it passes the screen as number k and is crowned."""
    result = []
    for number in range(signals):
        scores = world.scores(signal_of(number))
        line = {"ic": scores[DECLARED].mean}
        for kind, groups in (("declared", (DECLARED,)), ("all", GROUPS)):
            d = differential({g: scores[g] for g in groups}, {g: record[g] for g in groups})
            path = e_process(d.day, d.score, span_days=world.span_days)
            won = np.flatnonzero(path.log_e >= crown_log_e(SLOTS))
            line[f"crowned_{kind}"] = float(path.day[won[0]] - d.day[0] + 1 if won.size else math.inf)
            shown = range(20, d.day.size + 1, 5)
            first = (n for n in shown if probability(DayScores(d.day[:n], d.score[:n]), world.span_days) <= alpha_at(k))
            line[f"screened_{kind}"] = float(next(first, math.inf))
            line[f"deviation_{kind}"] = float(d.score.std())
        result.append(line)
    return result


def simulate(
    *,
    market: Market,
    submissions: int,
    worlds: int,
    orders: int,
    copied: int,
    planted: int,
    signals: int,
    strength: float,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Run all four parts and return what came out, as plain JSON values.

    Parameters
    ----------
    market : Market
    submissions, worlds : int
        Submissions without skill, spread over the worlds. Those of one world share the record's luck: many worlds with
        few each tell more than few with many.
    copied : int
        Copies with noise per world.
    planted, signals, strength : int, int, float
        Worlds with signals, signals in each, and what each of them pays in deviations of a return.
    """
    rng = np.random.default_rng(seed)
    means: list[float] = []
    p: list[float] = []
    series: dict[str, list[tuple[DayScores, int]]] = {"declared": [], "all": []}
    tried: list[tuple[str, float, bool]] = []
    for _ in range(worlds):
        world, record_forecast = make_world(rng, market), smooth_function(rng)
        record = world.scores(record_forecast)
        for _ in range(submissions // worlds):
            scores = world.scores(smooth_function(rng))
            d = differential(scores, record)
            series["all"].append((d, world.span_days))
            series["declared"].append((differential(_one(scores), _one(record)), world.span_days))
            p.append(probability(d, world.span_days))
            means.append(d.mean)
        tried += [judged_copy(world, record_forecast, record, rng) for _ in range(copied)]
    lines: list[dict[str, float]] = []
    for _ in range(planted):
        world = make_world(rng, market, signals, strength)
        lines += power(world, signals, world.scores(smooth_function(rng)), k=20)
    return {
        "screens": false_screens(means, p, orders, rng) if p else {},
        "crowns": false_crowns(series) if p else {},
        "copies": {
            "tried": len(tried),
            "accepted": sum(outcome == "accepted" for outcome, _, _ in tried),
            "least_similarity": min((similar for _, similar, _ in tried), default=None),
            "pass_screen_alone": sum(screened for _, _, screened in tried),
        },
        "skill": _summary(lines),
    }


def main() -> None:
    """Simulate and print one JSON document, or a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=600)
    parser.add_argument("--worlds", type=int, default=40)
    for name, value in asdict(Market()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--copied", type=int, default=2, help="copies of the record per world")
    parser.add_argument("--planted", type=int, default=6, help="worlds with signals")
    parser.add_argument("--signals", type=int, default=8, help="per such world")
    parser.add_argument("--strength", type=float, default=0.0135, help="of a signal; gives an IC of about 0.03")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    market = Market(**{name: options.pop(name) for name in asdict(Market())})
    result = simulate(market=market, **options)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    for part, figures in result.items():
        print(f"{part}: {figures}")


def _table(returns: Floats, columns: Mapping[str, Floats], type_: str) -> pa.Table:
    bars, symbols = returns.shape
    interval = interval_of(type_)
    assert interval is not None
    close = 100 * np.exp(np.cumsum(returns, axis=0))
    rows = {
        "datetime": np.tile(20 * 365 * DAY_US + interval * np.arange(bars), symbols),
        "sector": "made",
        "broker": "made",
        "symbol": np.repeat([f"S{number:03d}" for number in range(symbols)], bars),
        "close": close.T.ravel(),
        **columns,
    }
    return table_from(rows, type_)


def _persistent(rng: np.random.Generator, shape: tuple[int, ...], half_life: float) -> Floats:
    """Return first-order autoregressive series of deviation 1 along the axis before the last (or the only one)."""
    keep = 0.5 ** (1 / half_life)
    axis = max(len(shape) - 2, 0)
    noise = rng.normal(size=shape) * math.sqrt(1 - keep**2)
    series: Floats = lfilter([1.0], [1.0, -keep], noise, axis=axis)
    return series


def _volatility(rng: np.random.Generator, shape: tuple[int, ...], a_day: int) -> Floats:
    volatility: Floats = np.exp(0.4 * _persistent(rng, shape, half_life=10 * a_day))
    return volatility


def _one(scores: Scores) -> Scores:
    return {DECLARED: scores[DECLARED]}


def _generality(scores: Scores) -> Generality:
    return generalized([days.mean for group, days in scores.items() if group != DECLARED])


def _summary(lines: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    if not lines:
        return {}
    result: dict[str, float | None] = {"signals": len(lines)}
    for name in lines[0]:
        if name == "ic" or name.startswith("deviation"):
            result[name] = float(np.mean([line[name] for line in lines]))
            continue
        days = np.array([line[name] for line in lines])
        middle = float(np.median(days))
        result[f"{name}_median_days"] = middle if math.isfinite(middle) else None
        result[f"{name}_within_{MAX_AGE_DAYS}_days"] = float(np.mean(days <= MAX_AGE_DAYS))
    return result


if __name__ == "__main__":
    main()
