"""`ltfund`: the simulated fund that trades what the network infers. It never trades real money."""

from __future__ import annotations

import os

import click

from infra.command import LongtailGroup
from infra.home import find_home

COMMANDS = {
    # The page is above the fund: it is named here and imported only when it is asked for.
    "serve": ("dashboard.serve_cli:serve", "Show the operator's page of a fund's store."),
    "run": ("fund.run_cli:run", "Make a HEAD every ten minutes, let the fund trade on it, and stamp it."),
    "sign": ("fund.run_cli:sign", "Make a fund's HEADs again as a validator, and sign those that come out the same."),
    "step": ("fund.run_cli:step", "Make the HEAD that is due, once."),
    "head": ("fund.look_cli:head", "Show a HEAD: models, rewards, who signed it, whether it is stamped."),
    "predictions": ("fund.look_cli:predictions", "Show what a HEAD predicts; write proofs of it."),
    "nav": ("fund.look_cli:nav", "Show what the fund is worth, beside equal weights."),
    "rewards": ("fund.look_cli:rewards", "Show who earned what, why, and what was kept."),
    "verify": ("fund.verify_cli:verify", "Check a fund whole and against its ledger, or a proof of a prediction."),
    "claim": ("infra.rewards_cli:fund_claim", "Claim what the fund's account has earned."),
    "redeem": ("infra.rewards_cli:fund_redeem", "Give up LTFT for a share of the fund's treasury."),
    "chain": ("fund.chain_cli:chain", "Put a ledger on an EVM chain, look at it, check its contracts."),
    "replay": ("fund.replay_cli:replay", "Let models infer and the fund trade over the past."),
}


@click.group(cls=LongtailGroup, lazy=COMMANDS)
def main() -> None:
    """Run the simulated fund. For research: nothing here trades real money."""
    os.environ.setdefault("MPLCONFIGDIR", str(find_home().cache / "matplotlib"))


if __name__ == "__main__":
    main()
