"""The digits that every implementation must get: those of the specification's last section."""

from protocol.ltft import fixed
from protocol.ltft.bonding import Bonding
from protocol.ltft.buyback import Buyback, Fill
from protocol.ltft.curves import Exponential, Linear, Sigmoid
from protocol.ltft.emission import SCHEDULE
from protocol.ltft.fixed import ONE
from protocol.ltft.pool import Pool
from protocol.ltft.wei import WAD
from protocol.ltft.weighted import fund_cost, purchase_return, sale_return, weighted_out


def test_powers_and_logarithms():
    assert fixed.exp(ONE) == (462491687273110168575455517921668397529, 1)
    assert fixed.exp(-ONE) == (500731547933482128469002905192603313193, -2)
    assert fixed.ln(10, 1) == 783529105480883066805338482703447369877
    assert fixed.softplus(0) == 235865763225513294137944142764154484399
    assert fixed.softplus(-5 * ONE) == 2285114678576044361334105250590544542


def test_curves():
    curve = Sigmoid(10 * WAD, WAD // 1000, 5000 * WAD)
    assert [curve.area(tokens * WAD) for tokens in (1_000, 5_000, 10_000)] == [
        114345794286916717385,
        6864318320708272408008,
        50000 * WAD,
    ]
    assert curve.price_at(0) == 66928509242848555
    exponential = Exponential(WAD // 100, 2 * 10**14)
    assert exponential.area(1_000 * WAD) == 11070137908008491696
    assert exponential.area(10**5 * WAD) == 24258259720489513898455341527
    assert Linear(WAD // 100, 3 * 10**12).area(1234567890123456789012) == 14631915714220393402
    market = Bonding(curve, 1_000 * WAD, curve.area(1_000 * WAD))
    assert (market.cost(WAD, 15 * WAD // 10), market.cost(1), market.refund(WAD)) == (
        269925662306183855,
        2,
        179773814462163922,
    )
    assert market.tokens_for(5 * WAD, 15 * WAD // 10) == 18366111498356454855


def test_emission_and_weighted_reserves():
    assert SCHEDULE.until(10**6) == 20_187_500 * WAD
    assert purchase_return(1_000 * WAD, 250 * WAD, 500_000, 10 * WAD) == 19803902718556966005
    assert sale_return(10**6 * WAD, 10**4 * WAD, 100_000, 1_000 * WAD) == 99551197902517901199
    assert fund_cost(1_000 * WAD, 250 * WAD, 333_333, 10 * WAD) == 7575257688884674908
    launch = weighted_out(1_000 * WAD, 900_000, 1_000 * WAD, 100_000, 10 * WAD, fee_ppm=3_000)
    assert launch == 85415711977255276270


def test_pool_and_buyback():
    pool, bought = Pool.opened(10**6 * WAD, 2 * 10**6 * WAD, 1_000).buy(1_000 * WAD, time=1_600)
    assert bought == 498251621566649025460
    pool, fund = pool.at(2_800), Buyback(10**5 * WAD)
    assert pool.twap.mean() == (10391508120527307277318152540116757, 2594421553119258622088028796504848)
    assert fund.minimum_out(pool, fund.limit(pool)) == 1959349495215319171561
    assert fund.step(pool, 2_800)[2] == Fill(4001334000537253313372, 1988709988994215184534, 0, "bought")
