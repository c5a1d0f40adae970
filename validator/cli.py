"""`ltvalidator`: parses, jails, scores and records strangers' modules."""

from __future__ import annotations

import click

from infra.command import LongtailGroup

COMMANDS = {
    "claim": ("infra.rewards_cli:validator_claim", "Claim what this key has earned."),
    "doctor": ("validator.doctor_cli:doctor", "Attack the sandbox and report per layer."),
    "explain": ("validator.score_cli:explain", "Tell in words what a verdict says."),
    "init": ("validator.ledger_cli:init", "Make a new ledger."),
    "key": ("infra.key_cli:key", "Make, show and list keys."),
    "ledger": ("validator.ledger_cli:ledger", "Prove a ledger, or look at it."),
    "replay": ("validator.score_cli:replay", "Compute a verdict anew and compare."),
    "redeem": ("infra.rewards_cli:validator_redeem", "Give up LTFT for a share of the fund's treasury."),
    "rewards": ("infra.rewards_cli:validator_rewards", "Tell what this key has earned and why."),
    "run": ("validator.run_cli:run", "Judge submissions and report to the ledger."),
    "score": ("validator.score_cli:score", "Judge a module in the sandbox."),
    "stake": ("validator.run_cli:stake", "Stake LTFT, to become a validator."),
    "unstake": ("validator.run_cli:unstake", "Take stake back."),
}


@click.group(cls=LongtailGroup, lazy=COMMANDS)
def main() -> None:
    """Validate: score pipelines of others in a sandbox and report to the ledger."""


if __name__ == "__main__":
    main()
