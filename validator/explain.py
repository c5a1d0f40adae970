"""A verdict in words: what happened, gate by gate, and what would have to be different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scipy.special import stdtrit

from protocol.bootstrap import degrees_of_freedom
from protocol.errors import DataError
from protocol.generality import SHARE_NOT_NEGATIVE
from protocol.judgement import MAX_CORRELATION, OPEN
from protocol.spending import ALPHA
from validator.verdict import Verdict

#: Words for what sets a group apart.
KINDS: Mapping[str, str] = {
    "sector": "another sector",
    "asset": "another asset class",
    "broker": "another broker",
    "type": "another type of series",
    "declared": "declared names, an earlier era",
}
SHOWN = ("net_sharpe", "gross_sharpe", "turnover", "max_drawdown", "deflated_sharpe", "mmc")
OUTCOMES: Mapping[str, str] = {
    "accepted": "accepted: better than what it had to beat, and more general",
    "refused": "refused: honest work, and not shown to be better",
    "invalid": "invalid: not to be had as a submission, and its bond is lost",
}


def explain(verdict: Verdict) -> str:
    """Return the whole story of a verdict, for people; what a terminal would obey is replaced by a question mark.

    Raises
    ------
    DataError
        Something is missing from the verdict: it was not written by this program.
    """
    try:
        lines = list(_lines(verdict))
    except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
        raise DataError(
            f"the verdict lacks what it should say ({type(error).__name__}: {error}); score the module again"
        ) from error
    return "".join(f"{''.join(char if char.isprintable() else '?' for char in line)}\n" for line in lines)


def _lines(verdict: Verdict) -> Iterator[str]:
    judged, run = verdict.judged, verdict.run
    topic, pipeline = judged["topic"], judged.get("pipeline")
    yield f"{OUTCOMES[verdict.outcome]}  (reason: {verdict.reason})"
    yield ""
    yield f"   verdict  {verdict.hash}"
    yield f"    module  {verdict.block_hash}, {judged['bytes']:,} bytes"
    if pipeline:
        yield f"  pipeline  {pipeline['words']}, id {pipeline['id'][:16]}…, seed {pipeline['seed']}"
    task = f"{topic['type']} at {topic['broker']}, {topic['horizon']} bars ahead"
    yield f"     topic  {topic['name']}: {task}{_strictness(topic)}"
    yield f"      data  {run.get('uri', '')}  root {judged['data_root'][:16]}…"
    yield f"    record  {_record(judged)}"
    fits = run.get("fits", [])
    yield (
        f"    replay  tier {run.get('tier')}, {len(fits)} fits, {run.get('cpu_s', 0):.1f} CPU seconds of "
        f"{run.get('elapsed_s', 0):.1f}, at most {run.get('peak_mb', 0):.0f} MB"
    )
    if "scores" in judged:
        yield ""
        yield from _scores(judged)
    yield ""
    yield "gates"
    for gate in judged["gates"]:
        yield f"  {'passed' if gate['passed'] else 'FAILED'}  {gate['name']:<12}{gate['text']}"
    if run.get("said"):
        yield f"          it said     {run['said']}"
    if verdict.outcome != "accepted":
        yield ""
        yield "what would have to be different"
        for gate in judged["gates"]:
            if not gate["passed"]:
                yield f"  {gate['name']:<12}{_remedy(gate, judged, run)}"
    if "feedback" in judged:
        told = judged["feedback"]
        yield ""
        yield (
            f"told to the miner, to one standard error: specific {told['specific']:+.6f}, "
            f"generalized {told['generalized']:+.6f}"
        )


def _strictness(topic: Mapping[str, Any]) -> str:
    """Return how strict a topic's screen is, nothing for the usual one."""
    level = topic.get("screen", ALPHA)
    if level >= OPEN:
        return "; it is open: whatever is valid and original is accepted"
    return f"; its screen lets luck pass with {level:g} in all, not {ALPHA:g}" if level != ALPHA else ""


def _record(judged: Mapping[str, Any]) -> str:
    record = judged["record"]
    if not record["models"] and not record["earlier"]:
        return "empty: the strongest baseline is to be beaten"
    return (
        f"{len(record['models'])} standing models, {len(record['earlier'])} undecided submissions before this one, at "
        f"height {record['height']}"
    )


def _scores(judged: Mapping[str, Any]) -> Iterator[str]:
    own, bar = judged["scores"], judged["bar"]
    others = {one["name"]: one for one in (*judged["models"], *judged["baselines"])}
    columns = [own, *(one for name, one in others.items() if name == bar or name in ("ridge", "reversal"))]
    heads = ["this module", *(f"{one['name'][:9]}{' (bar)' * (one['name'] == bar)}" for one in columns[1:])]
    slices = judged["course"]
    yield f"{'mean day score':<70}" + "".join(f"{head:>15}" for head in heads)
    declared = slices["declared"]
    text = f"specific: {declared['names']} names, {declared['from']} to {declared['to']}"
    yield f"{text:<70}" + "".join(f"{one['specific']:>+15.6f}" for one in columns)
    for number, group in enumerate(slices["groups"]):
        yield f"  {group['name'][:68]:<68}" + "".join(f"{one['groups'][number]:>+15.6f}" for one in columns)
        yield f"    {KINDS[group['kind']]}: {group['names']} names, {group['from']} to {group['to']}"
    yield f"{'generalized: mean - 0.5 deviations':<70}" + "".join(f"{one['generalized']:>+15.6f}" for one in columns)
    relevant = own["relevant"]
    yield f"{'relevant: days after its block':<70}" + (f"{'n/a':>15}" if relevant is None else f"{relevant:>+15.6f}")
    shown = ", ".join(f"{name.replace('_', ' ')} {_number(judged['shown'].get(name))}" for name in SHOWN)
    yield f"shown, not ranked: {shown}"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


#: What would have to be different, by reason; the others depend on the numbers.
REMEDIES: Mapping[str, str] = {
    "parse": "the module must stay within docs/spec/module.md; correct the line above and score it again",
    "fails": "the pipeline must fit and answer on every group, also on those with fewer rows than the declared one",
    "not-finite": "every prediction must be a finite number",
}


def _remedy(gate: Mapping[str, Any], judged: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    match gate["name"]:
        case "identity":
            text = "a submission must be another pipeline, not the same one written or seeded differently"
        case "original":
            text = f"its predictions may correlate by at most {MAX_CORRELATION} with those of any earlier pipeline"
        case "complete" if judged["reason"] == "limits":
            limits = run.get("limits", {})
            text = (
                f"every fit must end within {limits.get('cpu_s'):g} CPU seconds, {limits.get('wall_s'):g} seconds and "
                f"{limits.get('memory_mb')} MB: fewer trees, features or iterations"
            )
        case "screen":
            text = _advantage(judged, gate)
        case "generalized":
            names = [group["name"] for group in judged["course"]["groups"]]
            scores = judged["scores"]["groups"]
            negative = [f"{name} ({score:+.6f})" for name, score in zip(names, scores, strict=True) if score < 0]
            part, whole = SHARE_NOT_NEGATIVE
            needed = -(-len(names) * part // whole)
            text = f"{needed} of {len(names)} groups must not be negative; these are: {', '.join(negative)}"
        case "record":
            text = (
                f"its generalized score must rise by {gate['threshold'] - gate['value']:.6f}, to "
                f"{gate['threshold']:+.6f}: a higher mean over the groups, or a smaller deviation between them"
            )
        case _:
            text = REMEDIES[judged["reason"]]
    return text


def _advantage(judged: Mapping[str, Any], gate: Mapping[str, Any]) -> str:
    test = judged["screen"]
    if test["days"] < 1 or not test["se"]:
        return f"it must differ from {judged['bar'][:12]} on enough days to tell the two apart"
    freedom = degrees_of_freedom(test["days"], test["block"])
    needed = -float(stdtrit(freedom, gate["threshold"])) * test["se"]
    return (
        f"with the same scatter it would need an advantage of {needed:+.6f} a day over {judged['bar'][:12]}; it has "
        f"{test['mean']:+.6f}. The level falls with every submission of the topic"
    )
