"""Known answers of the token's rules, to the tolerance their files state."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from protocol.ltft.bonding import Bonding
from protocol.ltft.curves import Sigmoid
from protocol.ltft.emission import Schedule
from protocol.ltft.momentum import damped, momentum
from protocol.ltft.pool import Pool, amount_in, amount_out
from protocol.ltft.success import success_multiplier
from protocol.ltft.wei import PPM, WAD
from protocol.ltft.weighted import fund_cost, purchase_return, sale_return, weighted_out

VECTORS = Path(__file__).parent / "vectors"
SEEN = set()


def cases(name, *kinds):
    content = json.loads((VECTORS / f"{name}.json").read_text())
    chosen = [case for case in content["cases"] if not kinds or case["kind"] in kinds]
    assert chosen
    SEEN.update((name, content["cases"].index(case)) for case in chosen)
    return [pytest.param(case, Fraction(str(content["rtol"])), id=f"{name}-{n}") for n, case in enumerate(chosen)]


def scaled(text, unit=WAD):
    value = Fraction(text) * unit
    assert value.denominator == 1
    return int(value)


def check(value, expected, rtol, unit=WAD):
    assert abs(Fraction(value, unit) - Fraction(expected)) <= rtol * abs(Fraction(expected))


@pytest.mark.parametrize(("case", "rtol"), cases("sigmoid_curve", "price"))
def test_sigmoid_price(case, rtol):
    curve = Sigmoid(scaled(case["P0"]), scaled(case["alpha"]), scaled(case["s0"]))
    unit = 10**400  # e**-800 is there too
    check(curve.price_at(scaled(case["s"]), unit) * Fraction(case["M"]), case["expect"], rtol, unit)


def sigmoid_at(case):
    curve, supply = Sigmoid(scaled(case["P0"]), scaled(case["alpha"]), scaled(case["s0"])), scaled(case["s1"])
    return Bonding(curve, supply, curve.area(supply))


@pytest.mark.parametrize(("case", "rtol"), cases("sigmoid_curve", "cost"))
def test_sigmoid_cost(case, rtol):
    tokens = scaled(case["s2"]) - scaled(case["s1"])
    check(sigmoid_at(case).cost(tokens, scaled(case["M"])), case["expect"], rtol)


@pytest.mark.parametrize(("case", "rtol"), cases("sigmoid_curve", "tokens_for_cost"))
def test_sigmoid_tokens_for_cost(case, rtol):
    check(sigmoid_at(case).tokens_for(scaled(case["cost"]), scaled(case["M"])), case["expect"], rtol)


@pytest.mark.parametrize(("case", "rtol"), cases("success_multiplier"))
def test_success_multiplier(case, rtol):
    found = success_multiplier([scaled(w) for w in case["weights"]], [scaled(m) for m in case["metrics"]])
    check(found, case["expect"], rtol)


@pytest.mark.parametrize(("case", "rtol"), cases("momentum"))
def test_momentum(case, rtol):
    prices, beta = [scaled(price) for price in case["prices"]], scaled(case["beta"])
    check(momentum(prices, beta=beta, window=case["T"], step=int(case["dt"])), case["expect_mu"], rtol)
    check(damped(prices, beta=beta, window=case["T"]), case["expect_damped_price_P_minus_mu_dt"], rtol)


@pytest.mark.parametrize(("case", "rtol"), cases("constant_product", "int_out", "int_in"))
def test_constant_product_in_integers(case, rtol):
    reserves, fee = (int(case["reserve_in"]), int(case["reserve_out"])), int(Fraction(case["fee"]) * PPM)
    if case["kind"] == "int_out":
        assert amount_out(int(case["amount_in"]), *reserves, fee) == int(case["expect"])
    else:
        paid = amount_in(int(case["amount_out"]), *reserves, fee)
        assert paid == int(case["expect"])
        assert amount_out(paid, *reserves, fee) >= int(case["round_trip_out_ge"])


@pytest.mark.parametrize(("case", "rtol"), cases("constant_product", "real_out"))
def test_constant_product_in_reals(case, rtol):
    paid, quote, ltft = (scaled(case[name]) for name in ("amount_in", "reserve_in", "reserve_out"))
    fee = int(Fraction(case["fee"]) * PPM)
    before = Pool.opened(ltft, quote, 0, fee_ppm=fee)
    after, got = before.buy(paid, time=0)
    check(got, case["expect"], rtol)
    check(after.product, case["k_after_over_k_before"], rtol, before.product)
    check(paid, case["avg_price"], rtol, got)
    check(before.quote, case["spot_before"], rtol, before.ltft)
    impact = 1 - Fraction(got * quote, ltft * paid) / (1 - Fraction(fee, PPM))
    check(impact, case["price_impact_nofee"], rtol, 1)


def in_wei(case, *names):
    unit = WAD if max(Fraction(case[name]) for name in names) < 10**20 else 1  # amounts that are wei already
    return unit, [scaled(case[name], unit) for name in names]


@pytest.mark.parametrize(("case", "rtol"), cases("bancor", "purchase_return"))
def test_bancor_purchase(case, rtol):
    unit, (supply, reserve, deposit) = in_wei(case, "supply", "reserve", "deposit")
    weight = Fraction(case["weight"])
    got = purchase_return(supply, reserve, int(weight * PPM), deposit)
    check(got, case["expect"], rtol, unit)
    check(reserve / weight, case["spot_price_before"], rtol, supply)
    check((reserve + deposit) / weight, case["spot_after"], rtol, supply + got)


@pytest.mark.parametrize(("case", "rtol"), cases("bancor", "sale_return", "fund_cost"))
def test_bancor_sale_and_cost(case, rtol):
    amount = "sell" if case["kind"] == "sale_return" else "tokens"
    unit, (supply, reserve, tokens) = in_wei(case, "supply", "reserve", amount)
    rule = sale_return if case["kind"] == "sale_return" else fund_cost
    check(rule(supply, reserve, int(Fraction(case["weight"]) * PPM), tokens), case["expect"], rtol, unit)


@pytest.mark.parametrize(("case", "rtol"), cases("bancor", "abc_mint"))
def test_commons_stack_mint(case, rtol):
    supply, reserve, deposit = (scaled(case[name]) for name in ("supply", "reserve", "deposit"))
    kappa = int(Fraction(case["kappa"]))
    got = purchase_return(supply, reserve, PPM // kappa, deposit)
    check(got, case["expect"], rtol)
    check(kappa * reserve, case["spot"], rtol, supply)
    for s, r in ((supply, reserve), (supply + got, reserve + deposit)):
        check(Fraction(s, WAD) ** kappa / Fraction(r, WAD), case["invariant_V0"], rtol, 1)


@pytest.mark.parametrize(("case", "rtol"), cases("launch_emission_sandwich", "weighted_out_given_in"))
def test_launch_pool(case, rtol):
    balance_in, balance_out, paid = (scaled(case[name]) for name in ("balance_in", "balance_out", "amount_in"))
    weights = [int(Fraction(case[name]) * PPM) for name in ("weight_in", "weight_out")]
    fee = int(Fraction(case["fee"]) * PPM)
    check(weighted_out(balance_in, weights[0], balance_out, weights[1], paid, fee_ppm=fee), case["expect"], rtol)
    check(Fraction(balance_in, weights[0]) / Fraction(balance_out, weights[1]), case["spot"], rtol, 1)


@pytest.mark.parametrize(("case", "rtol"), cases("launch_emission_sandwich", "virtual_reserve_buy"))
def test_virtual_reserves(case, rtol):
    quote, token, paid = (scaled(case[name]) for name in ("virtual_quote", "virtual_token", "amount_in"))
    got = amount_out(paid, quote, token, 0)
    check(got, case["expect"], rtol)
    check(quote + paid, case["price_after"], rtol, token - got)


@pytest.mark.parametrize(("case", "rtol"), cases("launch_emission_sandwich", "emission_total"))
def test_emission_total(case, rtol):
    initial = scaled(case["initial"])
    schedule = Schedule(scaled(case["monthly"]), case["halving_every"], scaled(case["max_supply"]) - initial)
    assert initial + schedule.until(case["months"]) == scaled(case["expect"])


@pytest.mark.parametrize(("case", "rtol"), cases("launch_emission_sandwich", "sandwich"))
def test_sandwich(case, rtol):
    pool = Pool.opened(
        scaled(case["reserve_token"]), scaled(case["reserve_quote"]), 0, fee_ppm=int(Fraction(case["fee"]) * PPM)
    )
    attack, buyback = scaled(case["attack"]), scaled(case["buyback"])
    check(pool.buy(buyback, time=0)[1], case["victim_out_clean"], rtol)
    pushed, loot = pool.buy(attack, time=0)
    bought, victim = pushed.buy(buyback, time=0)
    check(victim, case["victim_out_sandwiched"], rtol)
    check(bought.sell(loot, time=0)[1] - attack, case["attacker_profit_quote"], rtol)


def test_every_vector_is_checked():
    every = {
        (path.stem, place)
        for path in VECTORS.glob("*.json")
        for place in range(len(json.loads(path.read_text())["cases"]))
    }
    assert every == SEEN
