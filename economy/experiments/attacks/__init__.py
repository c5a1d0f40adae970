"""What attackers gain: every attack is a small simulation over the protocol's own functions, with a defence on and off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from economy.experiments.attacks import edges, entropy, fees, pools, reputers, reveals, validators, workers
from economy.experiments.attacks.row import Row
from economy.experiments.experiment import Progress
from protocol.errors import UsageError

#: Yields the rows of one attack from seeds, which are at least 1; the same seeds give the same rows.
Attack = Callable[[Sequence[int]], Iterator[Row]]

SEEDS = 10

ATTACKS: dict[str, Attack] = {
    "weight-copier": validators.weight_copier,
    "late-validator": validators.late_validator,
    "cabal": validators.cabal,
    "commit-replay": reveals.commit_replay,
    "no-reveal": reveals.no_reveal,
    "id-reuse": reveals.id_reuse,
    "reputer-lies": reputers.reputer_lies,
    "hidden-lies": reputers.hidden_lies,
    "stake-split": reputers.stake_split,
    "dust-stake": reputers.dust_stake,
    "missing-reports": reputers.missing_reports,
    "entropy-sybil": entropy.entropy_sybil,
    "clone": workers.clone,
    "single-outlier": workers.single_outlier,
    "lasting-outlier": workers.lasting_outlier,
    "missing-inference": workers.missing_inference,
    "selfish-forecast": workers.selfish_forecast,
    "regrets-underflow": edges.regrets_underflow,
    "equal-scores": edges.equal_scores,
    "one-participant": edges.one_participant,
    "zero-fee-topic": fees.zero_fee_topic,
    "fee-cartel": fees.fee_cartel,
    "pool-drain": pools.pool_drain,
}


def run(name: str, seeds: int = SEEDS) -> list[Row]:
    """Return the rows of one attack for seeds 1 to `seeds`.

    Raises
    ------
    UsageError
        No such attack, or no seed.
    """
    if name not in ATTACKS:
        raise UsageError(f"no attack {name!r}; choose from {', '.join(ATTACKS)}")
    if seeds < 1:
        raise UsageError(f"{seeds} seeds; give at least 1")
    return list(ATTACKS[name](range(1, seeds + 1)))


def table(seeds: int = SEEDS, progress: Progress | None = None) -> list[Row]:
    """Return the rows of every attack for seeds 1 to `seeds`, telling `progress` of each attack that begins."""
    rows: list[Row] = []
    for place, name in enumerate(ATTACKS, start=1):
        if progress is not None:
            progress(f"{name}, {place} of {len(ATTACKS)} attacks")
        rows += run(name, seeds)
    return rows


def as_text(rows: Iterable[Row]) -> str:
    """Return the rows as text: attack, setting, then a line each with defence on or off, value, range and verdict."""
    lines: list[str] = []
    for attack, of_attack in groupby(rows, key=lambda row: row.attack):
        lines += ["", attack] if lines else [attack]
        for setting, of_setting in groupby(of_attack, key=lambda row: row.setting):
            lines.append(f"  {setting}")
            measured: dict[str, list[Row]] = {}
            for row in of_setting:
                measured.setdefault(f"{row.measure}; {row.defence}", []).append(row)
            for told, pair in measured.items():
                lines.append(f"    {told}")
                lines += [
                    f"      {'on ' if row.on else 'off'}  {row.shown()} {row.unit}: {row.verdict}" for row in pair
                ]
    return "\n".join(lines)
