"""What a topic may set about its Yuma consensus, as one parameter object, and the usual settings."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Params:
    """One variant of Yuma.

    The formulas are those of subtensor's `docs/consensus.md` and of its runtime. The package yuma-simulation differs,
    so its dividends do: it divides the consensus by its sum and truncates it to 1/65535 before clipping, never
    normalises moved bonds again in its "Yuma 2 (subtensor)", has no moving average in its "Yuma 1", reads its
    `bond_moving_avg` of 0.1 as an `alpha` of 0.9, and ignores the bond penalty in its "Yuma 3".

    Attributes
    ----------
    name
        What results call it.
    kappa
        Share of the active stake that must support a weight, Eq. 3; in (0, 1].
    bond_penalty
        beta of Eq. 4: 0 buys bonds with the weights as set, 1 with the weights clipped at consensus.
    alpha
        Weight of the newest value in the moving average of the bonds, Eq. 6; the runtime stores 1 - alpha.
    relative_bonds
        "Yuma 3": a bond follows the weight itself in [0, 1] whatever the stake, which enters the dividends only.
        Otherwise a bond is a share of its miner's column and the stake is inside it, Eq. 5 ("Yuma 1").
    liquid
        Let the rate of every bond follow how far weight and consensus (buying) or bond and weight (selling) are apart.
        As in the runtime it has no effect without `relative_bonds`.
    alpha_low, alpha_high
        Limits of the liquid rate.
    steepness
        Of the liquid sigmoid; the runtime stores a hundredfold of it.
    minimum_stake
        A validator with less has no say, in the unit of the stakes; 0 counts everyone, and only then are results the
        same for stakes in any unit.

    Raises
    ------
    ConfigError
        A value is outside its range.
    """

    name: str
    kappa: float = 0.5
    bond_penalty: float = 1.0
    alpha: float = 0.1
    relative_bonds: bool = False
    liquid: bool = False
    alpha_low: float = 0.7
    alpha_high: float = 0.9
    steepness: float = 10.0
    minimum_stake: float = 0.0

    def __post_init__(self) -> None:
        for field, value, fits in (
            ("kappa", self.kappa, 0 < self.kappa <= 1),
            ("bond_penalty", self.bond_penalty, 0 <= self.bond_penalty <= 1),
            ("alpha", self.alpha, 0 <= self.alpha <= 1),
            ("alpha_low", self.alpha_low, 0 <= self.alpha_low <= 1),
            ("alpha_high", self.alpha_high, self.alpha_low <= self.alpha_high <= 1),
            ("steepness", self.steepness, 0 <= self.steepness < float("inf")),
            ("minimum_stake", self.minimum_stake, 0 <= self.minimum_stake < float("inf")),
        ):
            if not fits:
                raise ConfigError(f"Yuma {self.name!r}: {field} is {value}; see Params for its range")


#: The runtime's defaults of 2026; it stores kappa as 32767/65535, so exactly half of the stake is enough.
SUBTENSOR = Params("subtensor", kappa=32767 / 65535)
#: Relative bonds bought with the weights as set.
YUMA3 = Params("yuma3", bond_penalty=0.0, relative_bonds=True)
#: The same with the runtime's default liquid rates.
LIQUID = Params("liquid", bond_penalty=0.0, relative_bonds=True, liquid=True)

VARIANTS = {params.name: params for params in (SUBTENSOR, YUMA3, LIQUID)}
