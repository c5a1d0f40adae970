"""`ltminer submit`, `ltminer status`, `ltminer record`: a miner's dealings with the ledger."""

from __future__ import annotations

import json
import sys
from contextlib import closing

import click

from infra.command import say, tell
from infra.rewards_cli import FUND, LEDGER

KEY = click.option("--key", metavar="NAME|FILE", help="Keystore of the miner; default: the setting, else `miner`.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; asks nothing.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--topic", metavar="NAME|FILE", help="What it predicts; see `ltminer topics`.")
@click.option("--data", metavar="URI", help="Dataset to check and judge it on; default: the setting.")
@LEDGER
@KEY
@click.option("--password-file", metavar="FILE", help="File with the password of the keystore.")
@click.option("--judge", is_flag=True, help="Let this home's own validator judge it at once.")
@click.option("--yes", is_flag=True, help="Do not ask before paying.")
@AS_JSON
def submit(file: str, judge: bool, yes: bool, as_json: bool, **given: str | None) -> None:
    """Submit the module FILE, or s3://BUCKET/PATH/modules/SHA256.py: check it as validators do, commit to it, reveal it.

    Every step happens once: after an interruption the same command goes on where it stopped, and what is on the ledger
    already is only shown.
    """
    from data.sample import dataset_uri
    from infra.settings import load_settings
    from infra.topics import find_topic
    from miner.precheck import read_module
    from miner.submitting import Sender, refuse_unnamed, shape_on
    from miner.view import open_view

    settings = load_settings(**given)
    topic, module = find_topic(settings.topic), read_module(file)
    refuse_unnamed(topic)
    with Sender.of(settings, ask=not as_json) as sender:
        plan = sender.check(module, topic.name, lambda: shape_on(topic, settings.data, say))
        if plan:
            tell(plan, err=True)
            if sys.stdin.isatty() and not (yes or as_json) and not click.confirm("submit it?", err=True):
                say("nothing was submitted")
                return
        facts = sender.send(module, topic.name, say)
        if judge:
            with closing(open_view(as_json)) as view:
                judged = sender.judge(module.block_hash, dataset_uri(settings.data), view)
            facts = {**judged, "new": facts["new"]}
        if as_json:
            click.echo(json.dumps(facts, indent=1))
            return
        if not facts["new"]:
            say("this module is on the ledger already; nothing was sent")
        tell([*sender.lines(facts), ("status", f"ltminer status {module.block_hash[:16]}")])


@click.command()
@click.argument("hash", required=False, default="")
@LEDGER
@KEY
@FUND
@AS_JSON
def status(hash: str, as_json: bool, **given: str | None) -> None:  # the argument's name in the help
    """Tell where submissions stand and why: yours, or the one whose block hash begins with HASH.

    Of a model block also whether the newest HEAD has it, and, where a fund is named, what it has earned.
    """
    from infra.network import MINER, find_address, find_network
    from infra.settings import load_settings
    from miner.judging import full_lines, gates_of
    from miner.sealing import Sealings
    from miner.standing import account_lines, asked, own_standings, standing, with_head
    from protocol.errors import UsageError

    settings = load_settings(**given)
    ledger = find_network(settings)
    if ledger is None:
        _nothing(as_json, "nothing was submitted yet; `ltminer submit FILE` does it")
        return
    with ledger:
        state = ledger.now()
        if hash:
            found = [one for one in state.submissions.values() if one.block_hash.startswith(hash.lower())]
            if len(found) > 1:
                raise UsageError(f"{hash} begins {len(found)} block hashes; give more digits")
            standings = [{**standing(state, one), "gates": gates_of(one)} for one in found]
        else:
            standings = []
        if not standings:
            sealings = Sealings.of(ledger.domain, find_address(settings, MINER))
            mine = own_standings(state, sealings)
            standings = [facts for facts in mine if facts["block_hash"].startswith(hash.lower())]
        if hash and not standings:
            raise UsageError(f"no submission begins with {hash}; `ltminer status` lists yours")
        earned = asked(settings.fund, standings, state, say)
        standings = with_head(standings, ledger, state, earned)
    if as_json:
        click.echo(json.dumps(standings, indent=1))
        return
    if not standings:
        say("this key has submitted nothing; `ltminer submit FILE` does it")
    for number, facts in enumerate(standings):
        click.echo("\n" if number else "", nl=False)
        tell(full_lines(facts, state))
    if standings and state.stamp is not None:
        click.echo()
        tell(account_lines(standings[0]["miner"], state, earned))


@click.command()
@click.option("--topic", metavar="NAME", help="One topic; default: all that were ever submitted to.")
@LEDGER
@AS_JSON
def record(topic: str | None, as_json: bool, **given: str | None) -> None:
    """Show the public model record: models, scores, evidence, owners, age, and what a newcomer must beat."""
    from infra.network import find_network
    from infra.settings import load_settings
    from miner.record import record_lines, record_of_topic, screen_of

    ledger = find_network(load_settings(**given))
    if ledger is None:
        _nothing(as_json, "the record is empty: nothing was submitted yet")
        return
    with ledger:
        state = ledger.now()
        topics = [topic] if topic else sorted(state.counts)
        found = [record_of_topic(ledger, state, name, screen_of(name)) for name in topics]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    if not found:
        say("the record is empty: nothing was submitted yet")
    click.echo("\n\n".join("\n".join(record_lines(one, state)) for one in found), nl=bool(found))


def _nothing(as_json: bool, text: str) -> None:
    if as_json:
        click.echo(json.dumps([]))
    else:
        say(text)
