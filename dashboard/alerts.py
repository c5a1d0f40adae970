"""Alerts that follow from what is on the page: a HEAD that is overdue, a quorum that is missing, a fleet too small."""

from __future__ import annotations

from dashboard.view import Alert, Snapshot
from dashboard.words import moment, percent, short
from protocol.head.schedule import PERIOD_S

GRACE_S = 60  # fitting, asking and signing take a while
LATE_SIGNATURES = 8  # HEADs in a row that may be pending however young: the clock of a simulation stands after that
_RANK = {"critical": 0, "warning": 1, "info": 2}


def due(snapshot: Snapshot) -> int | None:
    """Return when the HEAD after the newest one is due, unix seconds; None before the first."""
    return None if snapshot.newest is None else (snapshot.newest + 1) * PERIOD_S


def all_alerts(snapshot: Snapshot, now: float, *, live: bool) -> tuple[Alert, ...]:
    """Return what the fund reports and what follows from the snapshot, the gravest first.

    Parameters
    ----------
    now : float
        Unix seconds on the network's clock.
    live : bool
        Whether the newest HEAD is looked at; the past is not stale, it is past.
    """
    found = [*snapshot.alerts, *_of_time(snapshot, now, live=live), *_of_head(snapshot, now)]
    return tuple(sorted(found, key=lambda one: _RANK[one.level]))


def _of_time(snapshot: Snapshot, now: float, *, live: bool) -> list[Alert]:
    expected = due(snapshot)
    if not live:
        return []
    if expected is None:
        text = "Models are heard once a validator has screened them; the first HEAD follows within ten minutes."
        return [Alert("info", "No HEAD yet", text)]
    if now < expected - PERIOD_S - GRACE_S:
        made = moment(expected - PERIOD_S)
        text = f"The newest HEAD is of {made}, which this clock has not reached. Check the time of this machine."
        return [Alert("critical", "Clock behind the network", text)]
    if now <= expected + GRACE_S:
        return []
    text = (
        f"The next one was due at {moment(expected)}. What is shown below was said for a time that has passed. "
        "Look at the log of the fund and of its validators."
    )
    return [Alert("critical", "The HEAD is stale", text)]


def _of_head(snapshot: Snapshot, now: float) -> list[Alert]:
    head = snapshot.head
    if head is None:
        return []
    found = []
    if head.state == "pending" and (now - head.made_at >= GRACE_S or _unsigned(snapshot) > LATE_SIGNATURES):
        part = head.stake_signed / head.stake_total if head.stake_total else 0.0
        missing = ", ".join(map(short, head.unsigned[:4])) + (" and others" if len(head.unsigned) > 4 else "")
        text = (
            f"Validators with {percent(part)} of the voting stake have signed; more than "
            f"two thirds are needed. Missing: {missing or 'nobody is registered'}."
        )
        found.append(Alert("critical", "Quorum missing", text, head.made_at))
    heard = [model for model in snapshot.models if model.role != "absent"]
    if not heard:
        text = "No model block answered, so nothing is predicted. The HEAD is valid; without evidence the fund goes to cash."
        found.append(Alert("warning", "No model speaks", text, head.made_at))
    elif len(heard) == 1:
        text = f"Block {short(heard[0].block)} is the whole network inference: there is nothing to combine it with."
        found.append(Alert("warning", "Only one model speaks", text, head.made_at))
    absent = [model for model in snapshot.models if model.role == "absent"]
    if absent:
        names = ", ".join(f"{short(model.block)} ({model.note or 'no answer'})" for model in absent[:3])
        rest = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        found.append(
            Alert("info", f"{len(absent)} model{'s' * (len(absent) > 1)} absent", f"{names}{rest}.", head.made_at)
        )
    return found


def _unsigned(snapshot: Snapshot) -> int:
    """Return how many of the newest HEADs in a row wait for their quorum."""
    made = [one.state for one in snapshot.past if one.block]
    return next((n for n, state in enumerate(made) if state != "pending"), len(made))
