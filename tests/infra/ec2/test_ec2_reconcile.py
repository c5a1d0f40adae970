"""Properties of the rule that keeps as many instances as are wanted, over a world that dies, lags and refuses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from infra.ec2.instance import Instance
from infra.ec2.reconcile import Actions, Limits, Told, heard, reconcile, remember

LIMITS = Limits(join_s=600, rejoin_s=120, visible_s=120, lifetime_s=7200, overtime_s=300, max_failures=6)
ROUND_S = 10.0


def instance(name: str, *, state: str = "running", launched: float = 0.0, cluster: str = "made") -> Instance:
    return Instance(name, cluster, "token", state, launched, "c7i.large", "eu-central-1a", "spot", "10.0.0.1")


states = st.sampled_from(["pending", "running", "shutting-down", "stopping", "stopped", "terminated"])
names = st.integers(0, 30).map("i-{:017x}".format)
instances = st.builds(
    instance, names, state=states, launched=st.floats(0, 20_000), cluster=st.sampled_from(["made", "other", ""])
)
lists = st.lists(instances, max_size=25, unique_by=lambda one: one.id)
times = st.dictionaries(names, st.floats(0, 20_000), max_size=10)
told = st.builds(Told, times, times, st.frozensets(names, max_size=8), st.sampled_from([0.0, 30_000.0]))


@given(lists, told, st.integers(0, 30), st.floats(0, 20_000), st.lists(names, max_size=5))
def test_never_more_than_asked_and_nothing_of_others(
    listed: list[Instance], known: Told, desired: int, now: float, spare: list[str]
) -> None:
    actions = reconcile("made", desired, listed, known, now=now, limits=LIMITS, dispensable=spare)
    ours = {one.id: one for one in listed if one.cluster == "made"}
    living = {one.id for one in ours.values() if one.alive}
    ended = {name for name, _ in actions.terminate}
    assert actions.launch == 0 or len(living) + actions.launch <= desired
    assert ended <= set(ours)
    assert all(ours[name].state not in {"shutting-down", "terminated"} for name in ended)
    assert all(reason for _, reason in actions.terminate)
    unlisted = sum(1 for name, since in known.started.items() if name not in ours and now - since < LIMITS.visible_s)
    assert len(living - ended) + min(unlisted, desired) <= desired or not living - ended
    healthy = {name for name in ended if ("no longer wanted") in dict(actions.terminate)[name]}
    assert not healthy or len(living) + unlisted > desired  # nothing that is wanted is ended
    assert set(actions.failed) <= ended & living - set(known.worked)
    assert not (actions.launch and actions.give_up)


def test_what_can_be_spared_goes_first_then_what_does_not_work_yet() -> None:
    listed = [instance(f"i-{k}", launched=float(k)) for k in range(5)]
    known = Told(worked={"i-0": 50.0, "i-1": 50.0, "i-4": 50.0})
    actions = reconcile("made", 2, listed, known, now=60.0, limits=LIMITS, dispensable=["i-1"])
    assert [name for name, _ in actions.terminate] == ["i-1", "i-2", "i-3"]
    everything = reconcile("made", 0, listed, known, now=60.0, limits=LIMITS)
    assert len(everything.terminate) == 5
    assert not everything.launch


def test_faults_are_named() -> None:
    listed = [
        instance("never", launched=0.0),
        instance("young", launched=7000.0),
        instance("left", launched=500.0),
        instance("works", launched=500.0),
        instance("old", launched=-1000.0),
        instance("stopped", state="stopped"),
    ]
    known = Told(worked={"left": 6800.0, "works": 7000.0, "old": 7000.0})
    actions = reconcile("made", 6, listed, known, now=7000.0, limits=LIMITS)
    assert dict(actions.terminate) == {
        "never": "no worker of it joined within 600 s",
        "left": "its workers have been gone for 120 s",
        "old": "it outlived its lifetime of 7200 s",
        "stopped": "it is stopped, and we stop none",
    }
    assert actions.failed == ("never",)
    assert actions.launch == 1  # five live, those to be ended included


def test_what_aws_does_not_list_yet_is_not_started_again() -> None:
    known = Told(started={"i-new": 100.0})
    assert reconcile("made", 1, [], known, now=110.0, limits=LIMITS).launch == 0
    assert reconcile("made", 1, [], known, now=100.0 + LIMITS.visible_s, limits=LIMITS).launch == 1
    gone = [instance("i-new", state="terminated")]
    assert reconcile("made", 1, gone, known, now=110.0, limits=LIMITS).launch == 1


def test_no_launch_while_there_is_no_capacity() -> None:
    assert reconcile("made", 3, [], Told(pause_until=50.0), now=49.0, limits=LIMITS).launch == 0
    assert reconcile("made", 3, [], Told(pause_until=50.0), now=50.0, limits=LIMITS).launch == 3


def test_a_late_round_ends_nothing_that_works() -> None:
    listed = [instance("i-0"), instance("i-1")]
    known = heard(Told(worked={"i-0": 700.0, "i-1": 700.0}), ["i-0"], 5000.0)
    actions = reconcile("made", 2, listed, known, now=5000.0, limits=LIMITS)
    assert [name for name, _ in actions.terminate] == ["i-1"]


@dataclass
class World:
    """AWS and a scheduler: instances boot or do not, die or lose their workers; AWS's list lags behind by a round."""

    now: float = 0.0
    real: dict[str, Instance] = field(default_factory=dict)
    listed: list[Instance] = field(default_factory=list)
    lame: set[str] = field(default_factory=set)
    most: int = 0

    def start(self, number: int) -> list[str]:
        made = [f"i-{len(self.real) + k:05}" for k in range(number)]
        self.real |= {name: instance(name, state="pending", launched=self.now) for name in made}
        return made

    def end(self, name: str) -> None:
        self.real[name] = replace(self.real[name], state="terminated")

    def living(self) -> list[str]:
        return [one.id for one in self.real.values() if one.alive]

    def working(self) -> list[str]:
        return [name for name in self.living() if name not in self.lame and self.now - self.real[name].launched >= 60]


def play(world: World, desired: int, known: Told, rounds: int, limit: int) -> tuple[Told, Actions]:
    actions = Actions()
    for _ in range(rounds):
        seen = world.listed
        world.listed = list(world.real.values())
        known = heard(known, world.working(), world.now)
        actions = reconcile("made", desired, seen, known, now=world.now, limits=LIMITS)
        for name, _ in actions.terminate:
            world.end(name)
        started = world.start(actions.launch)
        world.most = max(world.most, len(world.living()))
        assert len(world.living()) <= limit
        known = replace(known, started={**known.started, **dict.fromkeys(started, world.now)})
        known = remember(known, actions, seen)
        world.now += ROUND_S
    return known, actions


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.lists(st.integers(0, 11), max_size=4), st.booleans()), min_size=1, max_size=4
    )
)
def test_it_converges_and_replaces_what_died_or_never_joined(phases: list[tuple[int, list[int], bool]]) -> None:
    world, known = World(), Told()
    before = 0
    for desired, blows, kills in phases:
        known, _ = play(world, desired, known, 30, max(desired, before))
        assert len(world.working()) == desired
        for blow in blows:  # instances die, or go on without any worker
            if blow < len(world.living()):
                name = world.living()[blow]
                if kills:
                    world.end(name)
                else:
                    world.lame.add(name)
        before = desired
        known, _ = play(world, desired, known, 40, desired)
        assert len(world.working()) == desired


def test_it_gives_up_when_none_ever_joins() -> None:
    world, known = World(), Told()

    class Lame(set[str]):
        def __contains__(self, _: object) -> bool:
            return True

    world.lame = Lame()
    known, actions = play(world, 3, known, 400, 3)
    assert "the last 6 instances never joined within 600 s" in actions.give_up
    assert world.living() == []
    assert len(world.real) == LIMITS.max_failures
