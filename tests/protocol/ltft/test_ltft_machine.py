"""All rules of the token together, in any order: LTFT and the quote currency are conserved to the wei at every step."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from token_amounts import amounts

from protocol.errors import RefusedError
from protocol.ltft.accounts import Accounts, burn, mint, redeem, transfer
from protocol.ltft.bonding import Bonding
from protocol.ltft.buyback import Buyback, Terms
from protocol.ltft.curves import Sigmoid
from protocol.ltft.emission import Schedule
from protocol.ltft.pool import Pool
from protocol.ltft.supply import Supply
from protocol.ltft.treasury import Treasury
from protocol.ltft.vesting import Grant
from protocol.ltft.wei import WAD

PEOPLE = st.sampled_from(["alice", "bob", "fund"])
AMOUNT = amounts(72)
DEEP = 10_000 * WAD
QUOTE = 100_000 * WAD


class Token(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        balances = {"alice": 1_000 * WAD, "pool": DEEP, "vesting": 500 * WAD}
        self.accounts = Accounts(Supply(sum(balances.values())), balances)
        self.quote = dict.fromkeys(("alice", "bob", "fund"), QUOTE)
        self.pool = Pool.opened(DEEP, DEEP, 0, window=600)
        self.curve = Bonding(Sigmoid(10 * WAD, 10**15, 5_000 * WAD))
        self.treasury = Treasury({"quote": 0})
        self.buyback = Buyback(terms=Terms(interval=60, burn_ppm=250_000))
        self.grant = Grant("bob", 500 * WAD, start=300, duration=5_000, cliff=600)
        self.schedule = Schedule(first=50 * WAD + 7, era=4, cap=310 * WAD)
        self.period = self.time = 0
        self.counted = {"minted": 0, "burned": 0, "redeemed": 0}

    def post(self, *entries):
        self.accounts = self.accounts.post(*entries)
        for entry in entries:
            for name in self.counted:
                self.counted[name] += getattr(entry, name)

    def pay(self, who, amount):
        if self.quote[who] < amount:
            raise RefusedError("not enough of the quote currency")
        self.quote[who] -= amount

    def attempt(self, action):
        """Run an action; if it is refused, all is as before."""
        before = {name: getattr(self, name) for name in ("accounts", "pool", "curve", "treasury", "buyback", "grant")}
        counted, quote = dict(self.counted), dict(self.quote)
        try:
            action()
        except RefusedError:
            for name, value in before.items():
                setattr(self, name, value)
            self.counted, self.quote = counted, quote

    @rule(seconds=st.integers(0, 900))
    def wait(self, seconds):
        self.time += seconds

    @rule(periods=st.integers(1, 3))
    def emit(self, periods):
        self.post(mint({"rewards": self.schedule.of(self.period, self.period + periods)}))
        self.period += periods

    @rule(who=PEOPLE, to=PEOPLE, amount=AMOUNT)
    def transfer(self, who, to, amount):
        self.attempt(lambda: self.post(transfer(who, to, amount)))

    @rule(who=PEOPLE, amount=AMOUNT)
    def burn(self, who, amount):
        self.attempt(lambda: self.post(burn(who, amount)))

    @rule(who=PEOPLE, amount=AMOUNT)
    def buy(self, who, amount):
        def action():
            self.pay(who, amount)
            self.pool, got = self.pool.buy(amount, time=self.time)
            self.post(transfer("pool", who, got))

        self.attempt(action)

    @rule(who=PEOPLE, amount=AMOUNT)
    def sell(self, who, amount):
        def action():
            self.post(transfer(who, "pool", amount))
            self.pool, got = self.pool.sell(amount, time=self.time)
            self.quote[who] += got

        self.attempt(action)

    @rule(who=PEOPLE, amount=AMOUNT, multiplier=st.integers(WAD, 2 * WAD))
    def buy_from_curve(self, who, amount, multiplier):
        def action():
            self.curve, cost = self.curve.buy(amount, maximum_cost=self.quote[who], multiplier=multiplier)
            self.pay(who, cost)
            self.post(mint({who: amount}))

        self.attempt(action)

    @rule(who=PEOPLE, amount=AMOUNT)
    def sell_to_curve(self, who, amount):
        def action():
            self.curve, paid = self.curve.sell(amount)
            self.post(burn(who, amount))
            self.quote[who] += paid

        self.attempt(action)

    @rule()
    def sweep(self):
        self.curve, surplus = self.curve.swept()
        self.treasury = self.treasury.received("quote", surplus)

    @rule(amount=AMOUNT)
    def gain(self, amount):
        def action():
            self.pay("fund", amount)
            self.treasury = self.treasury.received("quote", amount // 2)
            self.buyback = self.buyback.funded(amount - amount // 2)

        self.attempt(action)

    @rule()
    def buy_back(self):
        self.buyback, self.pool, fill = self.buyback.step(self.pool, self.time)
        if fill.rewarded:
            self.post(transfer("pool", "rewards", fill.rewarded))
        if fill.burned:
            self.post(burn("pool", fill.burned))

    @rule(who=PEOPLE, amount=AMOUNT)
    def redeem(self, who, amount):
        def action():
            self.treasury, paid = self.treasury.redeem(amount, self.accounts.supply.total)
            self.post(redeem(who, amount))
            self.quote[who] += paid["quote"]

        self.attempt(action)

    @rule()
    def vest(self):
        def action():
            self.grant, amount = self.grant.release(self.time)
            self.post(transfer("vesting", "bob", amount))

        self.attempt(action)

    @rule(who=PEOPLE, amount=AMOUNT)
    def pay_out_rewards(self, who, amount):
        self.attempt(lambda: self.post(transfer("rewards", who, amount)))

    @invariant()
    def supply_is_initial_plus_minted_less_burned_and_redeemed(self):
        supply, counted = self.accounts.supply, self.counted
        assert supply == Supply(1_500 * WAD + DEEP, **counted)
        assert supply.total == sum(self.accounts.balances.values())
        assert min(self.accounts.balances.values()) >= 0

    @invariant()
    def every_store_holds_what_its_rules_say(self):
        assert self.accounts.balance("pool") == self.pool.ltft
        assert self.accounts.balance("vesting") == self.grant.amount - self.grant.released
        assert self.curve.reserve >= self.curve.claims
        assert self.schedule.until(self.period) <= self.schedule.cap

    @invariant()
    def the_quote_currency_is_conserved(self):
        held = self.pool.quote + self.curve.reserve + self.treasury.assets["quote"] + self.buyback.budget
        assert held + sum(self.quote.values()) == DEEP + 3 * QUOTE

    @invariant()
    def the_product_never_falls(self):
        self.largest = max(getattr(self, "largest", 0), self.pool.product)
        assert self.pool.product == self.largest


Token.TestCase.settings = settings(stateful_step_count=40)
TestToken = Token.TestCase
