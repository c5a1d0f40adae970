"""Token, pool, buyback, sale, vault and treasury on one chain, with somebody who has money."""

from __future__ import annotations

from typing import Any

from evm import Contract, Evm, person
from made_ledgers import START, made_genesis
from twin import DEPLOYER, Core

from protocol.ledger.params import LTFT

TRADER, OTHER = person("trader"), person("other")
T = LTFT
MAX = 2**256 - 1
FOREVER = 2**64
CURVE = (10 * T, T // 1000, 5_000 * T, 10_000 * T, 3 * T // 2)
WINDOW, FEE = 1_800, 3_000


class Market:
    """Contracts around the token. ``trader`` has a million of each currency and lets everybody take of it."""

    def __init__(
        self, depth: int = 1_000_000 * T, terms: tuple[int, int, int, int] = (2_000, 20_000, 600, 0), ring: int = 2_048
    ) -> None:
        self.chain = Evm(31_337, START)
        self.core = Core(self.chain, made_genesis(), {TRADER: 12_000_000 * T})
        self.ltft = self.core.token
        self.coin = self.deploy("Coin")
        self.coin.send(TRADER, "make", TRADER, 12_000_000 * T)
        self.pool = self.deploy("Pool", self.ltft.address, self.coin.address, FEE, WINDOW, ring)
        self.buyback = self.deploy("Buyback", self.core.ledger.address, self.pool.address, *terms)
        self.vault = self.deploy("Vault", self.coin.address)
        self.treasury = self.deploy("Treasury", self.ltft.address, [self.coin.address])
        self.sale = self.deploy("Sale", self.ltft.address, self.coin.address, self.treasury.address, CURVE)
        for token in (self.ltft, self.coin):
            for place in (self.pool, self.buyback, self.vault, self.treasury, self.sale, self.core.ledger):
                token.send(TRADER, "approve", place.address, MAX)
                token.send(OTHER, "approve", place.address, MAX)
        self.ltft.send(TRADER, "transfer", self.sale.address, CURVE[3])
        if depth:
            self.pool.send(TRADER, "open", depth, depth)

    def deploy(self, name: str, *arguments: Any) -> Contract:
        return self.chain.deploy(DEPLOYER, name, *arguments)

    def wait(self, seconds: int) -> None:
        self.chain.at(self.chain.time + seconds)

    def money(self, who: str) -> tuple[int, int]:
        return self.ltft.balanceOf(who), self.coin.balanceOf(who)
