"""Pool, buyback, sale, vault and treasury compute what the pure rules do, to the wei, and withstand who tries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evm import Reverted
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from market import CURVE, FOREVER, MAX, OTHER, TRADER, WINDOW, Market, T

from protocol.errors import RefusedError
from protocol.ltft import fixed
from protocol.ltft.bonding import Bonding
from protocol.ltft.buyback import Buyback, Terms
from protocol.ltft.curves import Sigmoid
from protocol.ltft.emission import Schedule
from protocol.ltft.pool import Pool, amount_out
from protocol.ltft.treasury import Treasury
from protocol.ltft.vault import Vault

REASONS = ("bought", "nothing left", "too early", "no average price yet", "price above the average", "dust")
AMOUNTS = st.sampled_from([0, 1, 2, 997, T, 1_000 * T, 50_000 * T, 2**112, MAX]) | st.integers(1, 3_000 * T)
VECTORS = Path(__file__).parents[1] / "protocol" / "ltft" / "vectors" / "constant_product.json"


@pytest.fixture(scope="module")
def still() -> Market:
    """Return a market that is only read."""
    return Market()


class MarketMachine(RuleBasedStateMachine):
    """Trades on the contracts and on the pure rules at once."""

    @initialize(burn=st.sampled_from([0, 250_000]))
    def begin(self, burn: int) -> None:
        market = Market(terms=(2_000, 20_000, 600, burn))
        self.market, time = market, market.chain.time
        self.pool = Pool.opened(10**6 * T, 10**6 * T, time)
        self.buyback = Buyback(terms=Terms(burn_ppm=burn))
        self.bonding = Bonding(Sigmoid(*CURVE[:3]), maximum=CURVE[3])
        self.vault, self.treasury = Vault(), Treasury({"coin": 0})
        self.product = self.pool.product
        self.value = self.worth()

    def worth(self) -> int:
        return self.pool.product

    @rule(seconds=st.sampled_from([0, 1, 12, 600, 1_800, 10_000]))
    def wait(self, seconds: int) -> None:
        self.market.wait(seconds)

    @rule(amount=AMOUNTS, side=st.sampled_from(["buy", "sell"]), minimum=st.sampled_from([0, 1, 900 * T]))
    def trade(self, amount: int, side: str, minimum: int) -> None:
        place, time = self.market.pool, self.market.chain.time
        try:
            act = self.pool.buy if side == "buy" else self.pool.sell
            after, out = act(amount, time=time, minimum_out=minimum)
        except RefusedError:
            assert place.refused(TRADER, side, amount, minimum, TRADER, FOREVER)
        else:
            assert place.send(TRADER, side, amount, minimum, TRADER, FOREVER).result == out
            self.pool = after

    @rule(amount=st.sampled_from([1, T, 5_000 * T]))
    def fund(self, amount: int) -> None:
        self.market.buyback.send(TRADER, "fund", amount)
        self.buyback = self.buyback.funded(amount)

    @rule()
    def step(self) -> None:
        deposited = self.market.core.ledger.rewards()[0]
        self.buyback, self.pool, fill = self.buyback.step(self.pool, self.market.chain.time)
        reason, spent, bought = self.market.buyback.send(OTHER, "step").result
        assert (REASONS[reason], spent, bought) == (fill.reason, fill.spent, fill.rewarded + fill.burned)
        assert self.market.core.ledger.rewards()[0] == deposited + fill.rewarded

    @rule(tokens=AMOUNTS, side=st.sampled_from(["buy", "sell"]))
    def bond(self, tokens: int, side: str) -> None:
        try:
            if side == "buy":
                after, paid = self.bonding.buy(tokens, maximum_cost=2**200, multiplier=CURVE[4])
            else:
                after, paid = self.bonding.sell(tokens)
        except RefusedError:
            assert self.market.sale.refused(TRADER, side, tokens, 2**200 if side == "buy" else 1)
        else:
            sent = self.market.sale.send(TRADER, side, tokens, 2**200 if side == "buy" else 1)
            assert sent.result == paid
            self.bonding = after

    @rule()
    def sweep(self) -> None:
        self.bonding, surplus = self.bonding.swept()
        assert self.market.sale.send(OTHER, "sweep").result == surplus
        self.treasury = self.treasury.received("coin", surplus)

    @rule(amount=AMOUNTS)
    def deposit(self, amount: int) -> None:
        has = self.market.coin.balanceOf(TRADER)
        try:
            after, shares = self.vault.deposit(amount)
        except RefusedError:
            assert self.market.vault.refused(TRADER, "deposit", amount, TRADER)
            return
        if amount > has:
            return
        assert self.market.vault.send(TRADER, "deposit", amount, TRADER).result == shares
        self.vault = after

    @rule(part=st.sampled_from([1, 2, 1_000, 10**30]))
    def withdraw(self, part: int) -> None:
        shares = self.vault.shares // part
        try:
            after, assets = self.vault.withdraw(shares)
        except RefusedError:
            assert self.market.vault.refused(TRADER, "redeem", shares, TRADER, TRADER)
        else:
            assert self.market.vault.send(TRADER, "redeem", shares, TRADER, TRADER).result == assets
            self.vault = after

    @rule(
        amount=st.sampled_from([1, T, 700 * T]), where=st.sampled_from(["vault", "treasury", "pool", "sale", "buyback"])
    )
    def give(self, amount: int, where: str) -> None:
        """Send money without asking: a gain of the vault, a gift to the treasury, nobody's elsewhere."""
        self.market.coin.send(TRADER, "transfer", getattr(self.market, where).address, amount)
        if where == "vault":
            self.vault = self.vault.marked(self.vault.assets + amount)
        elif where == "treasury":
            self.treasury = self.treasury.received("coin", amount)

    @rule(tokens=AMOUNTS)
    def redeem(self, tokens: int) -> None:
        supply = self.market.ltft.totalSupply()
        try:
            after, paid = self.treasury.redeem(tokens, supply)
        except RefusedError:
            assert self.market.treasury.refused(TRADER, "redeem", tokens, [0])
            return
        if tokens > self.market.ltft.balanceOf(TRADER):
            assert self.market.treasury.refused(TRADER, "redeem", tokens, [0])
            return
        assert self.market.treasury.refused(TRADER, "redeem", tokens, [paid["coin"] + 1]) == "TooLittle"
        assert self.market.treasury.send(TRADER, "redeem", tokens, [paid["coin"]]).result == (paid["coin"],)
        self.treasury = after

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "market"):
            return
        market = self.market
        assert market.pool.reserves()[:2] == (self.pool.ltft, self.pool.quote)
        assert (market.buyback.budget(), market.buyback.nextTime()) == (self.buyback.budget, self.buyback.next_time)
        assert (market.sale.sold(), market.sale.reserve()) == (self.bonding.supply, self.bonding.reserve)
        assert (market.vault.totalAssets(), market.vault.totalSupply()) == (self.vault.assets, self.vault.shares)
        assert market.coin.balanceOf(market.treasury.address) == self.treasury.assets["coin"]
        covered, mean = market.pool.tryMean()
        now = self.pool.at(market.chain.time)
        assert covered == (now.twap.covered >= WINDOW)
        if covered:
            assert mean == now.twap.mean().ltft_per_quote

    @invariant()
    def nothing_is_owed_that_is_not_there(self) -> None:
        if not hasattr(self, "market"):
            return
        market = self.market
        assert self.pool.product >= self.product
        self.product = self.pool.product
        assert market.sale.reserve() >= market.sale.claims()
        assert market.coin.balanceOf(market.sale.address) >= market.sale.reserve()
        assert market.ltft.balanceOf(market.sale.address) >= CURVE[3] - market.sale.sold()
        assert market.coin.balanceOf(market.buyback.address) >= market.buyback.budget()
        assert market.ltft.balanceOf(market.pool.address) >= self.pool.ltft
        assert market.coin.balanceOf(market.pool.address) >= self.pool.quote

    def teardown(self) -> None:
        """Whoever is in can get out."""
        if not hasattr(self, "market"):
            return
        shares = self.market.vault.balanceOf(TRADER)
        if shares and self.vault.assets_for(shares):
            self.market.vault.send(TRADER, "redeem", shares, TRADER, TRADER)
        sold = self.bonding.supply
        if sold and self.bonding.refund(sold) and self.market.ltft.balanceOf(TRADER) >= sold:
            self.market.sale.send(TRADER, "sell", sold, 1)


MarketMachine.TestCase.settings = settings(max_examples=4, stateful_step_count=30, deadline=None)
TestMarketMachine = MarketMachine.TestCase


@pytest.mark.slow
def test_the_markets_agree_for_long() -> None:
    class Long(MarketMachine):
        pass

    Long.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
    Long.TestCase("runTest").runTest()


# --------------------------------------------------------------------------------------------------------------- digits


@given(st.integers(0, 2**112 - 1))
@settings(max_examples=40)
def test_areas_are_the_pure_ones(still: Market, supply: int) -> None:
    assert still.sale.area(supply) == Sigmoid(*CURVE[:3]).area(supply)


@pytest.mark.parametrize("supply", [0, 1, CURVE[2] - 1, CURVE[2], CURVE[2] + 1, 2**112 - 1])
def test_areas_at_the_edges(still: Market, supply: int) -> None:
    assert still.sale.area(supply) == Sigmoid(*CURVE[:3]).area(supply)


@given(st.integers(0, 4096 * fixed.ONE))
@settings(max_examples=40)
def test_exponentials_and_logarithms_have_the_pure_digits(still: Market, x: int) -> None:
    harness = still.deploy("Harness")
    mantissa, k = fixed.exp(-x)
    assert harness.expNegative(x) == (mantissa, -k)
    assert harness.softplus(True, x) == fixed.softplus(-x)
    assert harness.softplus(False, x) == fixed.softplus(x)
    above = fixed.ONE + x % fixed.ONE
    assert harness.ln(above) == fixed.ln(above, fixed.ONE)


def test_the_known_answers_of_the_pool() -> None:
    market = Market(depth=0)
    cases = [one for one in json.loads(VECTORS.read_text(encoding="utf-8"))["cases"] if one["kind"] == "int_out"]
    assert cases
    for case in cases:
        amount, given, taken = (int(case[name]) for name in ("amount_in", "reserve_in", "reserve_out"))
        if case["fee"] == "3/1000" and 0 < max(amount, given, taken) < 2**112:
            wanted = int(case["expect"])
            assert amount_out(amount, given, taken) == wanted == market.pool.amountOut(amount, given, taken)


@given(st.integers(0, 2**40) | st.sampled_from([0, 1, 209_999, 210_000, 210_001, 2**63 - 1]))
@settings(max_examples=60)
def test_emission_is_the_pure_schedule(still: Market, periods: int) -> None:
    token = still.ltft
    assert token.until(periods) == Schedule(token.first(), token.era(), token.cap()).until(periods)


# -------------------------------------------------------------------------------------------------------------- attacks


def test_a_round_trip_through_the_pool_never_profits(still: Market) -> None:
    market = Market(depth=1_000 * T)
    before = market.money(TRADER)
    for amount in (1, 10**6, T, 300 * T):
        bought = market.pool.send(TRADER, "buy", amount, 0, TRADER, FOREVER).result if amount > 1 else 0
        if bought:
            market.pool.send(TRADER, "sell", bought, 0, TRADER, FOREVER)
    after = market.money(TRADER)
    assert after[0] <= before[0]
    assert after[1] < before[1]


@pytest.mark.parametrize("attack", [1_000 * T, 6_000 * T, 200_000 * T])
def test_a_sandwich_around_the_buyback_loses(attack: int) -> None:
    market = Market()
    market.wait(WINDOW)
    market.buyback.send(TRADER, "fund", 100_000 * T)
    before = market.money(TRADER)
    bought = market.pool.send(TRADER, "buy", attack, 0, TRADER, FOREVER).result
    reason, spent, _ = market.buyback.send(OTHER, "step").result
    market.pool.send(TRADER, "sell", bought, 0, TRADER, FOREVER)
    after = market.money(TRADER)
    assert after[0] == before[0]
    assert after[1] < before[1]
    assert spent <= 2_001 * T
    assert reason == (4 if attack > 6_000 * T else 0)


def test_the_first_depositors_inflation_costs_the_attacker(still: Market) -> None:
    market = Market(depth=0)
    market.coin.send(TRADER, "make", OTHER, 1_000 * T)
    market.vault.send(OTHER, "deposit", 1, OTHER)
    market.coin.send(OTHER, "transfer", market.vault.address, 100 * T)
    shares = market.vault.send(TRADER, "deposit", 10 * T, TRADER).result
    lost = 10 * T - market.vault.previewRedeem(shares)
    gained = market.vault.previewRedeem(market.vault.balanceOf(OTHER)) - 100 * T - 1
    assert lost < T // 10_000
    assert gained < -49 * T


def test_a_gift_changes_no_price() -> None:
    market = Market()
    market.wait(WINDOW)
    market.buyback.send(TRADER, "fund", 1_000 * T)
    before = (market.pool.reserves(), market.pool.mean(), market.sale.cost(T), market.buyback.budget())
    for place in (market.pool, market.sale, market.buyback):
        market.ltft.send(TRADER, "transfer", place.address, 5_000 * T)
        market.coin.send(TRADER, "transfer", place.address, 5_000 * T)
    assert before == (market.pool.reserves(), market.pool.mean(), market.sale.cost(T), market.buyback.budget())


def test_trading_within_a_second_has_no_weight_in_the_average() -> None:
    market = Market()
    market.wait(WINDOW)
    mean = market.pool.mean()
    market.pool.send(TRADER, "buy", 500_000 * T, 0, TRADER, FOREVER)
    assert market.pool.mean() == mean
    market.wait(18)
    assert market.pool.mean() >= mean * 99 // 100


@pytest.mark.parametrize("place", ["pool", "sale", "treasury", "vault", "buyback"])
def test_a_hostile_token_cannot_come_back_in(place: str) -> None:
    market = Market()
    market.wait(WINDOW)
    market.sale.send(TRADER, "buy", 10 * T, MAX)
    market.coin.send(TRADER, "transfer", market.treasury.address, 100 * T)
    contract = getattr(market, place)
    again = {
        "pool": ("sell", T, 0, market.coin.address, FOREVER),
        "sale": ("sell", T, 0),
        "treasury": ("redeem", T, [0]),
        "vault": ("deposit", T, market.coin.address),
        "buyback": ("fund", T),
    }[place]
    first = again if place != "vault" else ("deposit", T, TRADER)
    if place in {"pool", "sale", "treasury"}:  # whoever comes back has what it takes
        market.ltft.send(TRADER, "transfer", market.coin.address, 100 * T)
    before = market.ltft.totalSupply(), market.pool.reserves(), market.sale.sold()
    market.coin.send(TRADER, "arm", contract.address, contract.data(*again))
    contract.send(TRADER, *first)
    assert market.coin.read("refused")
    assert market.ltft.totalSupply() in (before[0], before[0] - T)


def test_limits_of_traders_hold() -> None:
    market = Market()
    assert market.pool.refused(TRADER, "buy", T, T, TRADER, FOREVER) == "TooLittle"
    assert market.pool.refused(TRADER, "buy", T, 0, TRADER, market.chain.time - 1) == "Expired"
    assert market.pool.refused(TRADER, "open", T, T) == "Opened"
    assert market.sale.refused(TRADER, "buy", T, 1) == "TooDear"
    assert market.sale.refused(TRADER, "sell", T, 0) == "OutOfRange"
    assert market.buyback.refused(TRADER, "fund", MAX)
    market.wait(1)
    assert market.buyback.send(OTHER, "step").result[0] == 1


def test_the_token_mints_for_its_ledger_only_and_within_the_schedule() -> None:
    market = Market()
    assert market.ltft.refused(TRADER, "mint", market.ltft.firstPeriod(), 1) == "NotAllowed"
    ledger = market.core.ledger.address
    first = market.ltft.firstPeriod()
    assert market.ltft.refused(ledger, "mint", first, market.ltft.first() + 1) == "WrongRewards"
    market.ltft.send(ledger, "mint", first, market.ltft.first())
    assert market.ltft.refused(ledger, "mint", first, 1) == "WrongRewards"
    with pytest.raises(Reverted):
        market.ltft.send(ledger, "mint", first - 2, 1)
