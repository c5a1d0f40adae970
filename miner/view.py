"""How a run looks while it works: live on a terminal, one line per batch elsewhere, one JSON object per line for machines.

The three views render the same snapshots. People read stderr; stdout carries data only.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol, TextIO

from miner.engine import Snapshot
from miner.outcome import Outcome
from miner.plan import Plan
from miner.report import Report
from pipelines.spec import describe, from_canonical

FRONT_ROWS = 10
#: Plain view: outcomes per line, and the longest silence (for news of the moment, the shortest) in seconds.
BATCH = 10
BATCH_S = 15.0


class View(Protocol):
    """Shows the stages of a run."""

    def plan(self, plan: Plan) -> None:
        """Show the plan, before any work."""

    def note(self, text: str) -> None:
        """Say something in passing."""

    def passing(self, text: str) -> None:
        """Say what is being done at the moment, of which the next such text is all that is left."""

    def progress(self, snapshot: Snapshot) -> None:
        """Show where the search stands."""

    def result(self, result: dict[str, Any], report: Report | None) -> None:
        """Show how the run ended."""

    def event(self, name: str, facts: dict[str, Any], lines: Sequence[tuple[str, str]]) -> None:
        """Show what came after the run: facts for machines, (label, text) lines for people."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def open_view(as_json: bool) -> View:
    """Return the view that fits: JSON when asked for, live on a terminal, lines otherwise."""
    if as_json:
        return JsonView(sys.stdout)
    return LiveView() if sys.stderr.isatty() else LineView(sys.stderr)


def duration(seconds: float) -> str:
    """Return seconds as ``1h 02m``, ``3m 20s`` or ``12 s``; ``?`` when not known."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole} s"


def counts(snapshot: Snapshot) -> str:
    """Return the outcomes by status in words."""
    words = {"ok": "scored", "pruned": "stopped early"}
    return ", ".join(f"{number} {words.get(status, status)}" for status, number in sorted(snapshot.statuses.items()))


def cost(snapshot: Snapshot) -> str:
    """Return what the machines cost so far, empty where nothing is paid for."""
    return f", {snapshot.account.words()}" if snapshot.account else ""


class LineView:
    """Plain text: one line per batch of outcomes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = 0
        self._shown_at = 0.0
        self._passed_at = -math.inf

    def plan(self, plan: Plan) -> None:
        """See :class:`View`."""
        self.note("\n".join(f"{label:>10}  {text}" for label, text in plan.lines()))

    def note(self, text: str) -> None:
        """See :class:`View`."""
        with contextlib.suppress(BrokenPipeError):
            print(text, file=self._stream, flush=True)

    def passing(self, text: str) -> None:
        """See :class:`View`: a line now and then."""
        if time.monotonic() - self._passed_at >= BATCH_S:
            self._passed_at = time.monotonic()
            self.note(text)

    def progress(self, snapshot: Snapshot) -> None:
        """See :class:`View`."""
        for line in snapshot.news:
            self.note(line)
        due = snapshot.evaluated - self._shown >= BATCH or snapshot.elapsed_s - self._shown_at >= BATCH_S
        if not due and snapshot.in_flight:
            return
        if snapshot.evaluated == self._shown and not snapshot.in_flight:
            return
        self._shown, self._shown_at = snapshot.evaluated, snapshot.elapsed_s
        best = f"best {snapshot.best:+.4f}" if math.isfinite(snapshot.best) else "none scored yet"
        self.note(
            f"{snapshot.evaluated}/{snapshot.evaluations} ({counts(snapshot)}), {best}, "
            f"{duration(snapshot.elapsed_s)} gone, about {duration(snapshot.eta_s)} to go, {snapshot.slots} slots"
            f"{cost(snapshot)}"
        )

    def result(self, result: dict[str, Any], report: Report | None) -> None:
        """See :class:`View`."""
        if report is not None:
            self.note(score_table(report))
        self.event("result", result, result_lines(result))

    def event(self, name: str, facts: dict[str, Any], lines: Sequence[tuple[str, str]]) -> None:
        """See :class:`View`."""
        for label, text in lines:
            self.note(f"{label:>10}  {text}")

    def close(self) -> None:
        """See :class:`View`."""


class JsonView:
    """One JSON object per line on stdout."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def plan(self, plan: Plan) -> None:
        """See :class:`View`."""
        self._write("plan", plan.to_dict())

    def note(self, text: str) -> None:
        """See :class:`View`: machines need no small talk."""

    def passing(self, text: str) -> None:
        """See :class:`View`: nor any news of the moment."""

    def progress(self, snapshot: Snapshot) -> None:
        """See :class:`View`."""
        if not snapshot.latest and snapshot.in_flight and not snapshot.news:
            return
        account = snapshot.account
        self._write(
            "progress",
            {
                "evaluated": snapshot.evaluated,
                "evaluations": snapshot.evaluations,
                "statuses": snapshot.statuses,
                "elapsed_s": round(snapshot.elapsed_s, 2),
                "cpu_s": round(snapshot.cpu_s, 2),
                "slots": snapshot.slots,
                "in_flight": snapshot.in_flight,
                "best": snapshot.best if math.isfinite(snapshot.best) else None,
                "outcomes": [_short(outcome) for outcome in snapshot.latest],
                "cost": {"spent": account.spent, "rate": account.rate, "budget": account.budget} if account else None,
                "news": list(snapshot.news),
            },
        )

    def result(self, result: dict[str, Any], report: Report | None) -> None:
        """See :class:`View`."""
        self._write("result", {**result, "report": report.to_dict() if report else None})

    def event(self, name: str, facts: dict[str, Any], lines: Sequence[tuple[str, str]]) -> None:
        """See :class:`View`."""
        self._write(name, facts)

    def close(self) -> None:
        """See :class:`View`."""

    def _write(self, event: str, value: dict[str, Any]) -> None:
        self._stream.write(json.dumps({"event": event, **value}) + "\n")  # at once: copies are told by a thread
        self._stream.flush()


def _short(outcome: Outcome) -> dict[str, Any]:
    score = outcome.score if outcome.status == "ok" else None
    return {"k": outcome.k, "status": outcome.status, "score": score, "cpu_s": outcome.cpu_s, "reason": outcome.reason}


class LiveView(LineView):
    """One live region on the terminal: progress, reasons of failures, Pareto front."""

    def __init__(self) -> None:
        from rich.console import Console

        super().__init__(sys.stderr)
        self._console = Console(stderr=True)
        self._live: Any = None
        self._status: Any = None

    def note(self, text: str) -> None:
        """See :class:`View`."""
        self._end_status()
        super().note(text)

    def passing(self, text: str) -> None:
        """See :class:`View`: a line that is rewritten."""
        from rich.text import Text

        words = Text(text, overflow="ellipsis", no_wrap=True)
        if self._status is None:
            self._status = self._console.status(words)
            self._status.start()
        self._status.update(words)

    def plan(self, plan: Plan) -> None:
        """See :class:`View`."""
        from rich.markup import escape
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for label, text in plan.lines():
            table.add_row(f"[bold]{label}[/bold]", escape(text))
        self._console.print(table)

    def progress(self, snapshot: Snapshot) -> None:
        """See :class:`View`."""
        from rich.live import Live

        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        for line in snapshot.news:
            self._console.print(line, markup=False, highlight=False)
        self._live.update(self._picture(snapshot))

    def result(self, result: dict[str, Any], report: Report | None) -> None:
        """See :class:`View`."""
        self.close()
        super().result(result, report)

    def close(self) -> None:
        """See :class:`View`."""
        self._end_status()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _end_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _picture(self, snapshot: Snapshot) -> Any:
        from rich.console import Group
        from rich.markup import escape
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=snapshot.evaluations, completed=snapshot.evaluated, width=30),
            f"{snapshot.evaluated}/{snapshot.evaluations}",
            f"{duration(snapshot.elapsed_s)} gone, {duration(snapshot.eta_s)} to go",
            f"{snapshot.slots} slots, {snapshot.in_flight} in flight, {snapshot.resubmitted} restarted{cost(snapshot)}",
        )
        front = Table(title="Pareto front", title_justify="left", box=None, padding=(0, 2))
        for title, justify in (("#", "right"), ("score", "right"), ("complexity", "right"), ("pipeline", "left")):
            front.add_column(title, justify=justify)  # type: ignore[arg-type]  # the literals of rich, spelled out above
        for member in snapshot.front[:FRONT_ROWS]:
            words = describe(from_canonical(member.candidate.text))
            weight = f"{member.candidate.complexity:.1f}"
            front.add_row(str(member.outcome.k), f"{member.outcome.score:+.4f}", weight, words)
        reasons = [f"[dim]{number} × {escape(reason)}[/dim]" for reason, number in snapshot.reasons.items()]
        return Group(head, counts(snapshot), *reasons[:3], front)


def score_table(report: Report) -> str:
    """Return the scores of the winner and its baselines as a text table."""
    folds = "".join(f"{'fold ' + str(number):>9}" for number in range(1, len(report.winner.folds) + 1))
    rows = [f"{'mean day score':<20}{folds}{'folds':>9}{'held out':>20}"]
    for line in (report.winner, *report.baselines):
        values = "".join(f"{value:>+9.4f}" for value in line.folds)
        held = f"{line.held_out:+.4f} ± {line.held_out_se:.4f}"
        rows.append(f"{line.name:<20}{values}{line.walk_forward:>+9.4f}{held:>20}")
    return "\n".join(rows)


def result_lines(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return how a run ended as (label, text) lines."""
    labels = {
        "ended": "ended",
        "verdict": "verdict",
        "pipeline": "pipeline",
        "module": "module",
        "block_hash": "sha256",
        "pictures": "pictures",
        "machine_dependent": "capped",
        "pruning": "pruning",
        "next": "next",
    }
    lines = []
    for key, label in labels.items():
        value = result.get(key)
        if value:
            lines.append((label, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return lines
