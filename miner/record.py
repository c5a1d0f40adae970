"""The public model record: what stands on the ledger per topic, and what a newcomer must beat."""

from __future__ import annotations

from typing import Any

from infra.network import find_network
from infra.settings import Settings
from infra.topics import find_topic
from miner.standing import block_facts, evidence_in_words
from miner.words import micro, span
from pipelines.parser import parse_module
from pipelines.spec import describe
from protocol.errors import ConfigError, LongtailError
from protocol.judgement import MAX_CORRELATION
from protocol.ledger.ledger import Ledger
from protocol.ledger.state import State
from protocol.spending import ALPHA, alpha_at


def recorded_modules(settings: Settings, topic: str) -> dict[str, bytes]:
    """Return the standing models of a topic, by block hash, the best generalized score first.

    Raises
    ------
    ConfigError, DataError
        The ledger cannot be read or is damaged.
    """
    ledger = find_network(settings)
    if ledger is None:
        return {}
    with ledger:
        blocks = sorted(ledger.state().standing_blocks(topic), key=lambda block: (-block.generalized, block.number))
        return {block.hash: ledger.source(block.hash).encode() for block in blocks}


def screen_of(topic: str) -> float | None:
    """Return how strict the screen of a topic is; None where its file is not here, since the ledger has its name only."""
    try:
        return find_topic(topic).screen
    except ConfigError:
        return None


def record_of_topic(ledger: Ledger, state: State, topic: str, screen: float | None = None) -> dict[str, Any]:
    """Return the record of one topic.

    Parameters
    ----------
    ledger : Ledger
    state : State
        Advanced to now.
    topic : str
        Name.
    screen : float, optional
        How strict the topic's screen is, as :func:`screen_of` says; where it is not known, as strict as usual.
    """
    level = ALPHA if screen is None else screen
    blocks = [block for block in state.blocks.values() if block.topic == topic]
    standing = [block for block in blocks if block.status != "dropped"]
    best = max(standing, key=lambda block: (block.generalized, -block.number), default=None)
    count = state.counts.get(topic, 0)
    models = [{**block_facts(state, block), "pipeline": _words(ledger, block.hash)} for block in blocks]
    return {
        "topic": topic,
        "submissions": count,
        "models": sorted(
            models, key=lambda model: (model["status"] == "dropped", -model["generalized"], model["number"])
        ),
        "to_beat": {
            "block": best.hash if best else None,
            "generalized": best.generalized if best else 0,
            "specific": best.specific if best else None,
            "next_k": count + 1,
            "screen": screen,
            "p_at_most": alpha_at(count + 1, level),
            "correlation_at_most": MAX_CORRELATION,
            "slots": state.params.slots,
            "slots_taken": sum(block.status == "crowned" for block in standing),
        },
    }


def record_lines(record: dict[str, Any], state: State) -> list[str]:
    """Return the record of a topic as lines for people."""
    models, beat = record["models"], record["to_beat"]
    lines = [f"{record['topic']}: {len(models)} model blocks of {record['submissions']} submissions"]
    for model in models:
        lines += [
            f"  {model['number']:>4}  {model['hash'][:16]}  {model['status']:<8}  generalized {micro(model['generalized'])}  "
            f"specific {micro(model['specific'])}  {span(model['age_s']):>6}  {model['owner']}  {model['pipeline']}",
            f"        {evidence_in_words(model, state)}",
        ]
    if beat["block"]:
        bar = f"generalized {micro(beat['generalized'])} (specific {micro(beat['specific'])}) of {beat['block'][:16]}"
    else:
        bar = "the strongest of the baselines ridge, reversal and zero: its generalized score and its days"
    unsure = (
        "" if beat["screen"] is not None else f" (if its screen is the usual {ALPHA:g}: the topic's file is not here)"
    )
    lines += [
        f"  to beat: {bar}",
        f"           day by day, with p <= {beat['p_at_most']:.3g} for submission {beat['next_k']}, and less for each after"
        f"{unsure}",
        f"           not a copy: predictions correlate by at most {beat['correlation_at_most']} with any model",
        f"  crown:   {beat['slots_taken']} of {beat['slots']} slots taken; a block earns one on days after its own",
    ]
    return lines


def _words(ledger: Ledger, block_hash: str) -> str:
    try:
        return describe(parse_module(ledger.source(block_hash), block_hash[:12]))
    except LongtailError:
        return "(of another version of the registry)"
