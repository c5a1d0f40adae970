"""The command `ltfund verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fund.look_cli import AS_JSON, LEDGER, STORE, ledger_of, opened, reading, say
from protocol.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from fund.proving import Statement
    from fund.verifying import Proven


@click.command()
@click.argument("file", metavar="[PROOF.json]", type=click.Path(path_type=Path, dir_okay=False), required=False)
@STORE
@LEDGER
@AS_JSON
def verify(file: Path | None, store: Path | None, place: str | None, as_json: bool) -> None:
    """Check a fund whole, and against its ledger; or what PROOF.json says of a prediction.

    PROOF.json is what `ltfund predictions --proof` writes and what a fund answers to /v1/predictions; it needs no fund.
    Exit code 5 if anything is wrong.
    """
    if file is None:
        _verify_store(store, place, as_json=as_json)
    elif store is not None:
        raise UsageError("PROOF.json and --store: a proof needs no fund; give one of them")
    else:
        _verify_file(file, place, as_json=as_json)


def _verify_store(store: Path | None, place: str | None, *, as_json: bool) -> None:
    from fund.progress import counting
    from fund.verifying import check_stamps, check_store

    with reading(store) as reader, ledger_of(reader, place) as ledger:
        with counting("steps verified") as note:
            steps, digest = check_store(reader, note)
        text, stamped = f"{steps} steps hold, digest {digest or 'of none'}", None
        if ledger is None:
            text += "\nno ledger was asked: --ledger FILE"
        else:
            with counting("HEADs compared") as note:
                stamped = check_stamps(reader, ledger, note)
            text += f"\n{stamped} of their HEADs are stamped on ledger {ledger.path}, each with a quorum, and no others"
    say({"steps": steps, "digest": digest, "stamped": stamped}, text, as_json=as_json)


def _verify_file(file: Path, place: str | None, *, as_json: bool) -> None:
    from fund.proving import MAX_STATEMENT_BYTES, Statement
    from fund.verifying import check_statement

    try:
        with file.open("rb") as source:
            content = source.read(MAX_STATEMENT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"proof {file}: {error.strerror}; name the file that holds it") from error
    statement = Statement.from_json(content)
    with opened(place) as (ledger, _):
        proven = check_statement(statement, ledger)
    facts, text = _proven(statement, proven)
    say(facts, text, as_json=as_json)


def _proven(statement: Statement, proven: Proven) -> tuple[dict[str, Any], str]:
    """Return what was proven, as plain JSON values and as text."""
    from fund.look import quorum_facts
    from fund.look_text import ltft, predictions_text

    head, quorum, stamp = statement.head, proven.quorum, proven.stamp
    shown = statement.predictions if statement.predictions is not None else [one for one, _ in statement.proofs]
    facts = {
        "period": head.period,
        "head": head.hash,
        "predictions": [one.to_dict() for one in shown],
        "quorum": quorum_facts(quorum) if quorum else None,
        "stamp": {"height": stamp.height, "time": stamp.time} if stamp else None,
    }
    lines = [predictions_text(head.period, shown), f"all {proven.predictions} of them are under HEAD {head.hash}"]
    if quorum is None:
        lines.append("who signed it was not checked, for there is no ledger here: --ledger FILE")
    else:
        if quorum.reached:
            lines.append(
                f"signed by {ltft(quorum.stake)} of {ltft(quorum.total)} LTFT of stake: {', '.join(quorum.signers)}"
            )
        where = f"stamped with a quorum at height {stamp.height}" if stamp else "not stamped yet"
        lines.append(where)
    return facts, "\n".join(lines)
