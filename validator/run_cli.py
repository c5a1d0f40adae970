"""`ltvalidator run`: the daemon, and the same once for a local ledger. Also stake and its way back."""

from __future__ import annotations

import json
from typing import Any

import click

AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; logs as JSON on stderr.")
LEDGER = click.option("--ledger", metavar="FILE|local", help="Ledger; default: the setting.")
KEY = click.option("--key", metavar="NAME|FILE", help="Keystore to sign with; default: `validator`.")
PASSWORD_FILE = click.option("--password-file", metavar="FILE", help="File with its password.")


@click.command()
@click.option("--once", is_flag=True, help="Judge what waits, then end.")
@LEDGER
@KEY
@PASSWORD_FILE
@click.option(
    "--data", metavar="URI", help="Dataset to judge on: `sample`, a folder, a Parquet file or s3://bucket/path."
)
@click.option("--listen", metavar="HOST:PORT", help="Where to answer /healthz, /readyz and /metrics.")
@AS_JSON
@click.pass_context
def run(context: click.Context, /, once: bool, as_json: bool, **given: Any) -> None:
    """Judge submissions and report to the ledger, until stopped.

    Exit code 78 says that the key is in use elsewhere: whoever restarts services must not restart this one.
    """
    from contextlib import closing

    from data.dataset import Dataset
    from data.sample import dataset_uri
    from infra.home import find_home, make_folder
    from infra.logs import sparing, start_logging
    from infra.network import VALIDATOR, find_key, open_network
    from infra.settings import load_settings
    from validator.daemon import EVIDENCE_PERIOD_S, QUICK_EVIDENCE_S, Daemon
    from validator.duties import LocalJudge
    from validator.evaluation import limits_of, replays_folder
    from validator.guard import Guard
    from validator.metrics import Metrics
    from validator.sandbox.proven import proven_sandbox
    from validator.service import serve
    from validator.voting import Voter

    settings, home, log = load_settings(**given), find_home(), start_logging("longtail.validator", as_json=as_json)
    uri = dataset_uri(settings.data)
    Dataset.open(uri)  # told now rather than with the first submission
    with closing(open_network(settings)) as ledger, closing(open_network(settings)) as judged:
        key = find_key(settings, VALIDATOR, ask=not as_json)
        metrics = Metrics()
        with Guard(home.guards, key.address, ledger.domain.salt) as guard, proven_sandbox(log) as sandbox:
            judge = LocalJudge(
                judged,
                uri,
                sandbox,
                limits_of(settings),
                verdicts=make_folder(home.verdicts),
                cache=make_folder(replays_folder()),
                note=sparing(log.info),
                simulated=bool(settings.clock),
            )
            pause_s = QUICK_EVIDENCE_S if settings.clock else EVIDENCE_PERIOD_S
            voter = Voter(ledger, key, guard)
            daemon = Daemon(ledger, voter, judge, metrics=metrics, log=log, evidence_period_s=pause_s)
            if not once:
                serve(daemon, ledger, metrics, log, settings.listen)
                return
            given_now = daemon.run_once()
    if as_json:
        click.echo(json.dumps({"judged": given_now, "cannot_judge": daemon.failed}))
    context.exit(3 if daemon.failed else 0)


@click.command()
@click.argument("ltft", type=click.IntRange(min=1))
@LEDGER
@KEY
@PASSWORD_FILE
@AS_JSON
def stake(ltft: int, as_json: bool, **given: Any) -> None:
    """Stake whole LTFT of this key's balance; from the ledger's minimum on it is a validator."""
    _move("stake", ltft, as_json, given)


@click.command()
@click.argument("ltft", type=click.IntRange(min=1))
@LEDGER
@KEY
@PASSWORD_FILE
@AS_JSON
def unstake(ltft: int, as_json: bool, **given: Any) -> None:
    """Take whole LTFT of this key's stake back; they arrive after the ledger's delay."""
    _move("unstake", ltft, as_json, given)


def _move(kind: str, ltft: int, as_json: bool, given: dict[str, Any]) -> None:
    from contextlib import closing

    from infra.network import VALIDATOR, find_key, open_network, send
    from infra.settings import load_settings
    from protocol.ledger.params import LTFT

    settings = load_settings(**given)
    with closing(open_network(settings)) as ledger:
        key = find_key(settings, VALIDATOR, ask=not as_json)
        receipt = send(ledger, key, kind, {"amount": ltft * LTFT})
        account = ledger.state().accounts[key.address]
    facts = {"height": receipt.height, "stake": account.stake / LTFT, "balance": account.balance / LTFT}
    text = f"height {receipt.height}: stake {account.stake / LTFT:g} LTFT, balance {account.balance / LTFT:g} LTFT"
    click.echo(json.dumps(facts) if as_json else text)
