"""Inference synthesis written as the paper writes it: loops over workers, one worker left out by leaving them out."""

from math import exp, fsum, isnan, log1p, nan, sqrt


def literal_scale(regrets, variant, previous=None):
    """Eq. 8, 11; `previous` are the weights of the same workers."""
    if variant.scale == "mad":
        previous = previous or [1.0] * len(regrets)
        known = [r for r, w in zip(regrets, previous, strict=True) if w > variant.negligible_weight]
        known = known if len(known) > 1 else regrets
        centre = literal_median(known)
        return 1.4826 * literal_median([abs(r - centre) for r in known]) + variant.epsilon
    if len(regrets) == 1:
        return variant.epsilon
    mean = fsum(regrets) / len(regrets)
    return sqrt(fsum((r - mean) ** 2 for r in regrets) / (len(regrets) - 1)) + variant.epsilon


def literal_median(values):
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def literal_weights(regrets, variant, previous=None):
    """Eq. 5-7, 10, of workers who are all present; sum 1."""
    p, c = variant.p, variant.c
    scale = literal_scale(regrets, variant, previous)
    x = [r / scale for r in regrets]
    top = max(x)
    if variant.clip:
        weights = []
        for normalised in x:
            y = min(normalised, c + 6.75 / p)
            if top < c - 8.25 / p:
                y = y - top + (c - 8.25 / p)
            weights.append(0.0 if y < c - 17.25 / p else p / (exp(-p * (y - c)) + 1))
    else:

        def log_slope(y):
            t = p * (y - c)
            return -log1p(exp(-t)) if t > 0 else t - log1p(exp(t))

        weights = [exp(log_slope(y) - log_slope(top)) for y in x]
    total = fsum(weights)
    return [w / total for w in weights]


def literal_mean(inferences, regrets, variant, previous=None, without=()):
    """Eq. 3 and 9 over those who are present and not withheld: the mean, and weights with 0 for the others."""
    who = [i for i, r in enumerate(regrets) if i not in without and not isnan(r) and not isnan(inferences[i])]
    weights = [0.0] * len(regrets)
    if not who:
        return nan, weights
    shares = literal_weights([regrets[i] for i in who], variant, previous and [previous[i] for i in who])
    for i, w in zip(who, shares, strict=True):
        weights[i] = w
    return fsum(weights[i] * inferences[i] for i in who), weights


def literal_synthesis(inferences, log_forecasts, previous_log_loss, regrets, variant, *, previous=None):
    """Every inference of Eq. 12 as a dictionary; `regrets` are (network, naive, one_out, one_in), NaN is absent."""
    v, (network, naive, one_out, one_in) = list(inferences), regrets
    ni, nf = len(v), len(log_forecasts)
    first = previous and previous[:ni]

    def implied(without=()):
        rows = [[previous_log_loss - f for f in row] for row in log_forecasts]
        return [literal_mean(v, row, variant, first, without)[0] for row in rows]

    forecast_implied = implied()
    without = [[nan] * nf if isnan(v[j]) else implied([j]) for j in range(ni)]
    everyone = v + forecast_implied
    out = {"forecast_implied": forecast_implied, "one_out_forecast_implied": without}
    out["network"], out["weights"] = literal_mean(everyone, network, variant, previous)
    out["naive"], out["naive_weights"] = literal_mean(v, naive, variant, first)
    out["one_out"] = [
        nan
        if isnan(everyone[i])
        else literal_mean(v + (without[i] if i < ni else forecast_implied), one_out[i], variant, previous, [i])[0]
        for i in range(ni + nf)
    ]
    out["one_in"] = [
        nan if isnan(said) else literal_mean([*v, said], one_in[k], variant, previous and [*first, previous[ni + k]])[0]
        for k, said in enumerate(forecast_implied)
    ]
    return out
