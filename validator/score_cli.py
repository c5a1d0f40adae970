"""The commands `ltvalidator score`, `explain` and `replay`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import RefusedError

if TYPE_CHECKING:
    from infra.settings import Settings
    from validator.record import Record

MODULE = click.Path()
FOLDER = click.Path(path_type=Path, file_okay=False)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.command()
@click.argument("file", type=MODULE)
@click.option("--topic", metavar="NAME|FILE", help="What it predicts; see `ltminer topics`.")
@click.option(
    "--data",
    metavar="URI",
    help="Dataset: `sample`, a folder, a Parquet file or s3://bucket/path; ?until=DATE behind it: as known then.",
)
@click.option("--root", metavar="HEX", help="Content root the dataset must have; default: its newest version.")
@click.option(
    "--ledger/--no-ledger",
    "use_ledger",
    default=True,
    show_default=True,
    help="Compare with the ledger's record, or with the baselines only.",
)
@click.option("--number", type=click.IntRange(min=1), help="Number of the submission; default: the topic's next.")
@click.option("--out", type=FOLDER, help="Folder for the verdict and the modules it speaks of; default: in the home.")
@AS_JSON
@click.pass_context
def score(
    context: click.Context,
    /,
    file: str,
    *,
    root: str | None,
    use_ledger: bool,
    number: int | None,
    out: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Judge the module FILE, or s3://BUCKET/PATH/modules/SHA256.py, in the sandbox: would it enter the record, and if not, why.

    Exit code 0 whatever the verdict, 5 if FILE is no pipeline module.
    """
    from data.sample import dataset_uri
    from infra.home import find_home
    from infra.logs import sparing
    from infra.settings import load_settings
    from infra.topics import find_topic
    from validator.evaluation import limits_of, replays_folder
    from validator.explain import explain as explained
    from validator.judging import score_module
    from validator.sandbox.host import Sandbox
    from validator.submitted import read_module

    settings = load_settings(**given)
    source = read_module(file)
    found = find_topic(settings.topic)
    note = sparing(_say)
    record, following = _record(settings, found.name, use_ledger)
    with Sandbox() as sandbox:
        verdict = score_module(
            source,
            file.rpartition("/")[2],
            topic=found,
            uri=dataset_uri(settings.data),
            root=root,
            record=record,
            k=number or following,
            sandbox=sandbox,
            limits=limits_of(settings),
            cache=replays_folder(),
            note=note,
        )
    sources = {known.block_hash: known.source for known in record.all}
    path = verdict.save(out or find_home().verdicts, {**sources, verdict.block_hash: source})
    if as_json:
        click.echo(json.dumps({**verdict.to_dict(), "file": str(path)}, indent=1))
    else:
        click.echo(explained(verdict), nl=False)
        click.echo(f"written to {path}", err=True)
    if verdict.reason == "parse":
        context.exit(RefusedError.exit_code)


@click.command()
@click.argument("verdict")
@AS_JSON
def explain(verdict: str, as_json: bool) -> None:
    """Tell in words what VERDICT says: a file, or the first digits of its hash or of its module's."""
    from validator.explain import explain as explained
    from validator.verdict import find_verdict, load_verdict

    path = find_verdict(verdict)
    read = load_verdict(path)
    if as_json:
        click.echo(json.dumps({**read.to_dict(), "file": str(path), "text": explained(read)}, indent=1))
    else:
        click.echo(explained(read), nl=False)


@click.command()
@click.argument("verdict")
@click.option("--module", type=MODULE, metavar="FILE", help="The module; default: the copy beside the verdict.")
@click.option("--data", metavar="URI", help="Where its dataset is now; default: where it was.")
@AS_JSON
@click.pass_context
def replay(context: click.Context, /, verdict: str, module: str | None, data: str | None, as_json: bool) -> None:
    """Compute VERDICT anew and compare: a file, or the first digits of its hash or of its module's.

    Exit code 0 if everything comes out the same, 5 if not.
    """
    from data.sample import dataset_uri
    from infra.logs import sparing
    from validator.replaying import differences, replay_verdict
    from validator.sandbox.host import Sandbox
    from validator.submitted import read_module
    from validator.verdict import find_verdict, load_verdict

    path = find_verdict(verdict)
    was = load_verdict(path)
    source = read_module(module) if module else None
    uri = dataset_uri(data) if data else None
    with Sandbox() as sandbox:
        now = replay_verdict(was, path.parent, source=source, uri=uri, sandbox=sandbox, note=sparing(_say))
    found = list(differences(was.judged, now.judged))
    if as_json:
        same = {"identical": not found, "hash": was.hash, "replayed": now.hash}
        click.echo(json.dumps({**same, "differences": [asdict(one) for one in found]}, indent=1))
    elif found:
        for one in found:
            click.echo(f"{one.where}: {_short(one.was)} -> {_short(one.now)}")
    else:
        click.echo(f"identical: {now.outcome} ({now.reason}), {now.hash}")
    if found:
        message = f"the replay of {was.hash[:16]} gives {now.hash[:16]}: {len(found)} differences"
        click.echo(message, err=True)
        context.exit(RefusedError.exit_code)


def _say(text: str) -> None:
    click.echo(f"{text} …", err=True)


def _record(settings: Settings, topic: str, use_ledger: bool) -> tuple[Record, int]:
    """Return the record of a topic and the number of its next submission; an empty one and 1 without a ledger."""
    from contextlib import closing

    from infra.network import find_network
    from validator.record import Record, record_of

    ledger = find_network(settings) if use_ledger else None
    if ledger is None:
        return Record(), 1
    with closing(ledger):
        return record_of(ledger, topic), ledger.state().counts.get(topic, 0) + 1


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"
