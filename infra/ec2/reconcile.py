"""What to do so that the cluster has as many working instances as are wanted: a pure rule, asked every few seconds.

Three parties each know a part of the truth: we know how many are wanted, AWS which instances live, the scheduler which of
them work. The rule reads all three and answers with actions; it never answers with more launches than would bring the
living to the number wanted, whatever the parties say. A replacement is therefore started only once AWS says that what
it replaces is going.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from infra.ec2.instance import ALIVE, GONE, Instance


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the rule waits before it calls an instance lost, all in seconds.

    Attributes
    ----------
    join_s : float
        From launch until its first worker: boot, installation, connection.
    rejoin_s : float
        Without any worker, after it had some.
    visible_s : float
        For AWS to list what it said it started.
    lifetime_s : float
        An instance ends itself after this; one that did not, after `overtime_s` more, is ended.
    overtime_s : float
    max_failures : int
        Instances in a row that never joined after which the rule gives up: a thousand more would do no better.
    """

    join_s: float = 600.0
    rejoin_s: float = 120.0
    visible_s: float = 120.0
    lifetime_s: float = 24 * 3600.0
    overtime_s: float = 300.0
    max_failures: int = 6


@dataclass(frozen=True, slots=True)
class Told:
    """What the cluster itself remembers from one round to the next.

    Attributes
    ----------
    started : mapping of str to float
        Instances that CreateFleet said it started, and when, Unix time.
    worked : mapping of str to float
        Instances of which the scheduler listed a worker, and when it last did.
    failed : frozenset of str
        Instances that never joined, since one last did.
    pause_until : float
        No launch before this: the last one met no capacity.
    """

    started: Mapping[str, float] = field(default_factory=dict)
    worked: Mapping[str, float] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    pause_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Actions:
    """What is to be done now.

    Attributes
    ----------
    launch : int
        Instances to start.
    terminate : tuple of (str, str)
        Instances to end, and why.
    failed : tuple of str
        Those among them that never joined.
    give_up : str
        Why no more are started; empty: they are.
    """

    launch: int = 0
    terminate: tuple[tuple[str, str], ...] = ()
    failed: tuple[str, ...] = ()
    give_up: str = ""


def reconcile(
    cluster: str,
    desired: int,
    instances: Iterable[Instance],
    told: Told,
    *,
    now: float,
    limits: Limits,
    dispensable: Sequence[str] = (),
) -> Actions:
    """Return what brings `cluster` to `desired` working instances.

    Parameters
    ----------
    cluster : str
        Instances of others are never counted and never ended.
    desired : int
        Instances wanted; 0 ends all.
    instances : iterable of Instance
        AWS's list, whole.
    told : Told
        With what the scheduler says now (:func:`heard`): else a round that was late would end what works.
    now : float
        Unix time, seconds.
    limits : Limits
    dispensable : sequence of str
        Instances that can best be spared, the first one first: what a scheduler has idle.

    Returns
    -------
    Actions
        ``launch`` is at most `desired` less everything alive, those to be ended and those AWS does not list yet included.
    """
    ours = {instance.id: instance for instance in instances if instance.cluster == cluster}
    living = [instance for instance in ours.values() if instance.alive]
    unlisted = [name for name, since in told.started.items() if name not in ours and now - since < limits.visible_s]
    reasons = {instance.id: reason for instance in ours.values() if (reason := _fault(instance, told, now, limits))}
    failed = tuple(name for name in reasons if name not in told.worked and ours[name].alive)
    surplus = len(living) + len(unlisted) - desired
    surplus -= sum(1 for instance in living if instance.id in reasons)
    for instance in _spared_first(living, told, dispensable):
        if surplus <= 0:
            break
        if instance.id not in reasons:
            reasons[instance.id] = "no longer wanted"
            surplus -= 1
    give_up, lost = "", len(told.failed.union(failed))
    if desired > 0 and lost >= limits.max_failures:
        give_up = (
            f"the last {lost} instances never joined within {limits.join_s:g} s; look at the console output of one "
            "(`aws ec2 get-console-output`), at its way to the scheduler and to S3"
        )
    room = max(0, desired - len(living) - len(unlisted))
    launch = 0 if give_up or now < told.pause_until else room
    return Actions(launch, tuple(sorted(reasons.items())), failed, give_up)


def heard(told: Told, workers: Iterable[str], now: float) -> Told:
    """Return what is remembered once the scheduler was asked, which is before the rule is.

    Parameters
    ----------
    told : Told
    workers : iterable of str
        Ids of instances of which the scheduler lists a worker.
    now : float
        Unix time, seconds.
    """
    working = dict.fromkeys(workers, now)
    joined = any(name not in told.worked for name in working)
    return replace(told, worked={**told.worked, **working}, failed=frozenset() if joined else told.failed)


def remember(told: Told, actions: Actions, instances: Iterable[Instance]) -> Told:
    """Return what is to be remembered after a round.

    Parameters
    ----------
    told : Told
    actions : Actions
        What was done.
    instances : iterable of Instance
        AWS's list of that round: what it says ended is forgotten.
    """
    ended = {instance.id for instance in instances if instance.state in GONE}
    return replace(
        told,
        started={name: since for name, since in told.started.items() if name not in ended},
        worked={name: since for name, since in told.worked.items() if name not in ended},
        failed=told.failed.union(actions.failed),
    )


def _fault(instance: Instance, told: Told, now: float, limits: Limits) -> str:
    """Return why an instance is to be ended, empty when it is not."""
    if instance.state in GONE:
        return ""
    if instance.state not in ALIVE:
        return f"it is {instance.state}, and we stop none"
    age = now - instance.launched
    if age > limits.lifetime_s + limits.overtime_s:
        return f"it outlived its lifetime of {limits.lifetime_s:g} s"
    last = told.worked.get(instance.id)
    if last is None:
        return f"no worker of it joined within {limits.join_s:g} s" if age > limits.join_s else ""
    return f"its workers have been gone for {limits.rejoin_s:g} s" if now - last > limits.rejoin_s else ""


def _spared_first(living: list[Instance], told: Told, dispensable: Sequence[str]) -> list[Instance]:
    """Return the living in the order in which they are ended when there are too many.

    First what the scheduler can spare, then what does not work yet, the youngest first, then the youngest.
    """
    rank = {name: place for place, name in enumerate(dispensable)}
    return sorted(
        living,
        key=lambda one: (rank.get(one.id, len(rank)), one.id in told.worked, -one.launched, one.id),
    )
