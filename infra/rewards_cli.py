"""The commands `rewards`, `claim` and `redeem` of miner, validator and fund, which differ in the key they take by default."""

from __future__ import annotations

import json
from typing import Any

import click

from infra.command import say, tell

LEDGER = click.option("--ledger", metavar="FILE|local", help="Ledger; default: the setting.")
FUND = click.option(
    "--fund", metavar="URL", help="Where a fund answers, such as http://127.0.0.1:8611; default: the setting."
)
NO_HEAD = "no HEAD is stamped on this ledger yet, so nobody has earned anything"


def _commands(program: str, role: str) -> tuple[click.Command, click.Command, click.Command]:
    """Return `rewards`, `claim` and `redeem` for a program whose key has a role."""
    key = click.option("--key", metavar="NAME|FILE", help=f"Keystore; default: the setting, else `{role}`.")
    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; asks nothing.")

    @click.command(name="rewards")
    @FUND
    @LEDGER
    @key
    @as_json
    def rewards(as_json: bool, **given: Any) -> None:
        """Tell what this key has earned and why, what was claimed and what can be claimed.

        The total is proven against the newest HEAD on the ledger; what it was earned for is the fund's word.
        """
        _rewards(f"{program} claim", role, as_json, given)

    @click.command(name="claim")
    @FUND
    @LEDGER
    @key
    @click.option("--password-file", metavar="FILE", help="File with the password of the keystore.")
    @as_json
    def claim(as_json: bool, **given: Any) -> None:
        """Claim what this key has earned under the newest HEAD; claiming twice pays once."""
        _claim(role, as_json, given)

    @click.command(name="redeem")
    @click.argument("amount", metavar="LTFT", type=click.IntRange(min=1))
    @LEDGER
    @key
    @click.option("--password-file", metavar="FILE", help="File with the password of the keystore.")
    @as_json
    def redeem(amount: int, as_json: bool, **given: Any) -> None:
        """Give up whole LTFT of this key's balance for their share of the fund's treasury.

        The LTFT are gone at once; the share, in the fund's quote currency, is paid with the fund's next HEAD.
        """
        _redeem(amount, role, as_json, given)

    return rewards, claim, redeem


def _rewards(claim_command: str, role: str, as_json: bool, given: dict[str, Any]) -> None:
    from infra.amounts import ltft
    from infra.network import find_address, find_network
    from infra.rewards import ask
    from infra.settings import load_settings

    settings = load_settings(**given)
    ledger, account, earned = find_network(settings), None, None
    facts: dict[str, Any] = dict.fromkeys(
        ("account", "period", "claimed", "earned", "claimable", "unexplained", "parts", "last")
    )
    if ledger is not None:
        with ledger:
            state = ledger.state()
        facts["account"] = account = find_address(settings, role)
        facts["claimed"] = str(state.claimed.get(account, 0))
        if state.stamp is not None:
            facts["period"] = state.stamp.period
            earned = ask(settings.fund, account, state) if settings.fund else None
            facts |= earned.to_dict() if earned else {}
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    if facts["period"] is None:
        say(NO_HEAD)
    elif earned is None:
        say("what was earned, a fund knows: name one by --fund or the setting `fund`")
    if account is not None:
        lines = earned.lines(claim_command) if earned else []
        tell([("account", account), *lines, ("claimed", ltft(int(facts["claimed"])))])


def _redeem(amount: int, role: str, as_json: bool, given: dict[str, Any]) -> None:
    from infra.amounts import ltft
    from infra.network import find_key, open_network, send
    from infra.settings import load_settings
    from protocol.ledger.params import LTFT

    settings = load_settings(**given)
    with open_network(settings) as ledger:
        key = find_key(settings, role, ask=not as_json)
        receipt = send(ledger, key, "redeem", {"amount": amount * LTFT})
        state = ledger.state()
    balance, supply = state.accounts[key.address].balance, state.supply.total
    facts = {"account": key.address, "height": receipt.height, "balance": str(balance), "supply": str(supply)}
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    share = f"{amount * LTFT / (supply + amount * LTFT):.3%} of the treasury, paid with the fund's next HEAD"
    tell([("redeemed", f"{amount} LTFT at height {receipt.height}; balance {ltft(balance)}"), ("for", share)])


def _claim(role: str, as_json: bool, given: dict[str, Any]) -> None:
    from infra.amounts import ltft
    from infra.network import account_name, find_key, find_network, key_path
    from infra.rewards import claim_rewards
    from infra.settings import load_settings

    settings = load_settings(**given)
    ledger, payment, balance = find_network(settings), None, 0
    facts: dict[str, Any] = {"account": None, "period": None, "paid": "0", "height": None, "balance": None}
    if ledger is not None:
        with ledger:
            key = find_key(settings, role, ask=not as_json)
            name = account_name(key_path(settings, role).stem)
            payment = claim_rewards(ledger, key, settings.fund, name=name, say=say)
            account = ledger.state().accounts.get(key.address)
        balance = account.balance if account else 0
        facts |= {"account": key.address, "balance": str(balance)}
    if payment is not None:
        facts |= {"period": payment.earned.period, "paid": str(payment.paid), "height": payment.height}
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    elif payment is None:
        say(NO_HEAD)
    elif not payment.paid:
        total = payment.earned.total
        say(
            f"nothing to claim: {ltft(total)} were earned and paid" if total else "nothing to claim: nothing was earned"
        )
    else:
        tell([("claimed", f"{ltft(payment.paid)} at height {payment.height}; balance {ltft(balance)}")])


miner_rewards, miner_claim, miner_redeem = _commands("ltminer", "miner")
validator_rewards, validator_claim, validator_redeem = _commands("ltvalidator", "validator")
_, fund_claim, fund_redeem = _commands("ltfund", "fund")
