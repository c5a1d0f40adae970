"""`ltfund chain …`: put a ledger on an EVM chain, look at it, check its contracts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.command import LongtailGroup

if TYPE_CHECKING:
    from protocol.ledger.evm import EvmLedger
    from protocol.ledger.evm_node import Node

AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
URL = click.argument("url")
LEDGER = click.argument("address")


@click.group(cls=LongtailGroup)
def chain() -> None:
    """Put a ledger on an EVM chain, look at it, check its contracts."""


@chain.command()
@URL
@click.option("--genesis", type=click.Path(path_type=Path, dir_okay=False), required=True, help="JSON of the genesis.")
@click.option("--key", default="fund", show_default=True, help="Keystore that pays: a name or a file.")
@click.option("--password-file", default="", help="File with the password of the keystore.")
@click.option("--outside", multiple=True, metavar="ADDRESS=LTFT", help="Who has LTFT outside of the ledger at first.")
@click.option("--fee-gwei", type=click.IntRange(min=1), default=200, show_default=True, help="Most paid per gas.")
@AS_JSON
def deploy(url: str, genesis: Path, as_json: bool, **given: Any) -> None:
    """Put a new ledger on the chain of the node at URL; the genesis has its chain id, parameters and accounts."""
    from infra.keystore import keystore_path, load_key, password_for
    from protocol.errors import ConfigError
    from protocol.ledger.evm_deploy import deploy as put
    from protocol.ledger.genesis import Genesis
    from protocol.ledger.params import LTFT

    try:
        raw = json.loads(genesis.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"genesis {genesis} cannot be read: {error}") from error
    holders = {}
    for pair in given["outside"]:
        address, mark, amount = pair.partition("=")
        if not mark or not amount.isdecimal():
            raise ConfigError(f"--outside {pair} is no ADDRESS=LTFT with a whole number")
        holders[address] = int(amount) * LTFT
    path = keystore_path(given["key"])
    key = load_key(path, password_for(path, given["password_file"]))
    found = put(_node(url, given["fee_gwei"]), key, Genesis.from_dict(raw, str(genesis)), holders)
    facts = asdict(found)
    click.echo(json.dumps(facts, indent=1) if as_json else "\n".join(f"{name}  {at}" for name, at in facts.items()))


@chain.command()
@URL
@LEDGER
@AS_JSON
def status(url: str, address: str, as_json: bool) -> None:
    """Show the ledger at ADDRESS on the chain of the node at URL, and of which HEADs it has the values of predictions."""
    from protocol.head.schedule import PERIOD_S
    from protocol.ledger.evm import EvmLedger

    node = _node(url)
    with EvmLedger(node, address) as ledger:
        state, newest = ledger.state(), node.block()
        facts: dict[str, Any] = {
            "chain": ledger.genesis.chain_id,
            "ledger": address,
            "genesis": ledger.domain.salt,
            "block": newest.number,
            "height": state.height,
            "time": state.time,
            "accounts": len(state.accounts),
            "validators": len(state.validators),
            "blocks": len(state.blocks),
            "supply": state.supply.total,
            "head": state.stamp.hash if state.stamp else "",
            "head_period": state.stamp.period if state.stamp else None,
        }
        for where, period in _values(node, ledger).items():
            facts[f"values_{where}"] = period or None
            facts[f"values_{where}_age_s"] = newest.time - period * PERIOD_S if period else None
    click.echo(json.dumps(facts, indent=1) if as_json else "\n".join(f"{name}  {fact}" for name, fact in facts.items()))


@chain.command()
@URL
@LEDGER
@AS_JSON
@click.pass_context
def verify(context: click.Context, /, url: str, address: str, as_json: bool) -> None:
    """Check contracts and events of the ledger at ADDRESS. Exit code 5 if anything is wrong."""
    from protocol.errors import RefusedError
    from protocol.ledger.evm import EvmLedger
    from protocol.ledger.evm_deploy import check_deployment

    node = _node(url)
    with EvmLedger(node, address) as ledger:
        problems = check_deployment(node, ledger)
        found = ledger.verify()
    if found.damage:
        problems.append(f"height {found.damage.height}: {found.damage.text}")
    facts = {"records": found.records, "head": found.head, "state_digest": found.state_digest, "problems": problems}
    words = [f"{found.records} records, state {found.state_digest}", *problems]
    click.echo(json.dumps(facts, indent=1) if as_json else "\n".join(words))
    if problems:
        context.exit(RefusedError.exit_code)


def _values(node: Node, ledger: EvmLedger) -> dict[str, int]:
    """Return the period of the newest HEAD whose values are in the log, and of the newest whose are stored; 0: none."""
    from protocol.head.head import Head
    from protocol.ledger.abi import selector

    bodies = [one.event.body for one in ledger.records() if one.event.kind == "stamp" and "values" in one.event.body]
    stored = int.from_bytes(node.call(ledger.place("Heads"), selector("Heads", "valuesPeriod")))
    return {"logged": Head.from_json(bodies[-1]["head"]).period if bodies else 0, "stored": stored}


def _node(url: str, fee_gwei: int = 200) -> Node:
    from protocol.ethereum import web3_of
    from protocol.ledger.evm_node import Node, Spending

    return Node(web3_of(url, 30.0), spending=Spending(gas=10_000_000, fee_gwei=fee_gwei))
