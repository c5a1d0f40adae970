"""What follows a run that was to submit: its winner goes to the ledger, and this home's validator judges it."""

from __future__ import annotations

from miner.plan import Plan
from miner.precheck import CopyError, read_module
from miner.preparation import command_name, smallest_fit
from miner.submitting import Sender
from miner.view import View


def submit_run(sender: Sender, plan: Plan, view: View) -> None:
    """Submit the winner of a finished run, let this home's validator judge it, and show what came of it.

    That it is not better than the record, or a copy of what is there, is an answer and no failure.

    Raises
    ------
    RefusedError
        The module would be invalid for another reason, or the balance does not suffice.
    ConfigError, DataError, ClusterError
        Ledger or validator fail; ``ltminer submit`` goes on.
    """
    module, topic = read_module(plan.folder / "pipeline.py"), plan.config.topic.name
    try:
        lines = sender.check(module, topic, lambda: (len(plan.panel.feature_names), smallest_fit(plan)))
    except CopyError as copy:
        view.event("submission", {"phase": "unsent", "why": str(copy)}, [("not sent", f"nothing new: {copy}")])
        return
    if lines:
        view.note("\n".join(f"{label:>10}  {text}" for label, text in lines))
    facts = sender.send(module, topic, view.note)
    view.event("submission", facts, [("submitted", f"{module.block_hash}, submission {facts['k']} of {topic}")])
    facts = sender.judge(module.block_hash, plan.config.data_uri, view)
    follow = [] if facts["phase"] != "open" else [("follow", f"{command_name()} status {module.block_hash[:16]}")]
    view.event("judgement", facts, [*sender.lines(facts), *follow])
