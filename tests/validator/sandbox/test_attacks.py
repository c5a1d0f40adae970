"""The attack suite: what a submission could do to the host if it could run any code, with the layers off and on.

Static checks play no part here: the program in the jail is `attack_program`, which does what it is told. Every attack is
shown to succeed where nothing but resource limits is on, as far as that is safe; to fail in every tier; and to fail where only
one layer that claims to stop it is on. After each of them the host is looked at, and a control pipeline must predict as ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace

import attack_memory
import attack_scene
import numpy as np
import pytest
from attack_bench import CONTROL_TEXT, LIMITS, Bench

from validator.sandbox.policy import TIERS, Layer, Limits, Tier

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the attacks make system calls by x86-64 numbers"
)

OPEN: frozenset[Layer] = frozenset({"rlimits"})
NOTHING: frozenset[Layer] = frozenset()
NAMESPACES: frozenset[Layer] = frozenset({"uid", "rlimits", "namespaces"})
LANDLOCK: frozenset[Layer] = frozenset({"rlimits", "landlock"})
SECCOMP: frozenset[Layer] = frozenset({"rlimits", "seccomp"})
FILES, PROCESSES = (NAMESPACES, LANDLOCK), (NAMESPACES, SECCOMP)


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack and what is known about it.

    Attributes
    ----------
    name : module and function
    enough : sets of layers that must stop it though the others are off
    succeeds : layers with which it succeeds, None where trying that would not be safe or nothing is there to be opened
    status : how it ends when it succeeds, if not by a report
    may_die : whether the jail may end it instead of refusing
    """

    name: str
    enough: tuple[frozenset[Layer], ...] = (SECCOMP,)
    succeeds: frozenset[Layer] | None = OPEN
    status: str = "ok"
    may_die: bool = False


ATTACKS = (
    Attack("attack_files.write", FILES),
    Attack("attack_files.hidden_write", FILES),
    Attack("attack_files.change", FILES),
    Attack("attack_files.metadata", PROCESSES),
    Attack("attack_files.lock"),
    Attack("attack_files.secrets", FILES),
    Attack("attack_files.fresh_extension", FILES),
    Attack("attack_files.links", FILES),
    Attack("attack_files.devices", FILES),
    Attack("attack_files.fill", FILES, None),
    Attack("attack_files.unusual_handles"),
    Attack("attack_network.create"),
    Attack("attack_network.tcp", (*PROCESSES, LANDLOCK)),
    Attack("attack_network.udp", PROCESSES),
    Attack("attack_network.local", PROCESSES),
    Attack("attack_network.rings"),
    Attack("attack_network.inherited", (OPEN,), None),
    Attack("attack_network.pass_handles", (OPEN,), None),
    Attack("attack_network.watch", (OPEN,), None),
    Attack("attack_processes.start"),
    Attack("attack_processes.replace", status="short"),
    Attack("attack_processes.signals", (*PROCESSES, LANDLOCK)),
    Attack("attack_processes.everybody"),
    Attack("attack_processes.signal_by_file", (*PROCESSES, LANDLOCK)),
    Attack("attack_processes.trace"),
    Attack("attack_processes.trace_me", succeeds=None),
    Attack("attack_processes.adjust", PROCESSES),
    Attack("attack_processes.raise_limits", (frozenset({"uid", "rlimits"}),), NOTHING),
    Attack("attack_processes.threads", (frozenset({"uid", "rlimits"}),), NOTHING),
    Attack("attack_processes.tasks", (frozenset({"uid", "rlimits"}),), NOTHING),
    Attack("attack_processes.forks"),
    Attack("attack_processes.outlive"),
    Attack("attack_kernel.identity", (SECCOMP | {"uid"},)),
    Attack("attack_kernel.namespaces"),
    Attack("attack_kernel.mounts"),
    Attack("attack_kernel.clocks", succeeds=None),
    Attack("attack_kernel.shared_objects"),
    Attack("attack_kernel.surface"),
    Attack("attack_kernel.legacy", may_die=True),
    Attack("attack_kernel.other_numbers", succeeds=None, may_die=True),
    Attack("attack_memory.handles", (OPEN,), None),
    Attack("attack_memory.spoil", (OPEN,), None),
    Attack("attack_memory.new_code"),
    Attack("attack_memory.mapped_code", FILES),
    Attack("attack_memory.borrow", (OPEN,), NOTHING),
    Attack("attack_memory.hoard"),
    Attack("attack_memory.scan", (OPEN,), None),
    Attack("attack_streams.look_ahead", (OPEN,), None),
)


#: Landlock leaves names, sizes, owners and times of files visible: docs/security.md tells operators, and this tells the docs.
ORACLE = Attack("attack_files.metadata_oracle", (NAMESPACES,))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as bench:
        yield bench


def contained(bench: Bench, attack: Attack, layers: frozenset[Layer]) -> None:
    """Assert that the attack comes to nothing, the host is whole, and the sandbox works on."""
    outcome = bench.attack(attack.name, layers)
    assert outcome.damage == []
    assert outcome.replay.status in ({"ok", "killed"} if attack.may_die else {"ok"}), outcome.replay.reason
    assert outcome.successes == []
    bench.check_control(layers)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_stops_it(bench: Bench, tier: Tier, attack: Attack) -> None:
    bench.need(TIERS[tier])
    contained(bench, attack, TIERS[tier])


@pytest.mark.parametrize("tier", TIERS)
def test_names_of_files_are_hidden_where_there_are_namespaces(bench: Bench, tier: Tier) -> None:
    bench.need(TIERS[tier])
    outcome = bench.attack(ORACLE.name, TIERS[tier])
    assert outcome.replay.status == "ok"
    assert bool(outcome.successes) is ("namespaces" not in TIERS[tier])
    bench.check_control(TIERS[tier])


@pytest.mark.parametrize(
    ("attack", "layers"),
    [(attack, layers) for attack in ATTACKS for layers in attack.enough],
    ids=lambda one: one.name if isinstance(one, Attack) else "+".join(sorted(one)),
)
def test_one_layer_stops_it(bench: Bench, attack: Attack, layers: frozenset[Layer]) -> None:
    bench.need(layers)
    contained(bench, attack, layers)


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if attack.succeeds is not None], ids=lambda attack: attack.name
)
def test_without_the_layers_it_succeeds(bench: Bench, attack: Attack) -> None:
    assert attack.succeeds is not None
    outcome = bench.attack(attack.name, attack.succeeds, unconfined=True, limits=replace(LIMITS, open_files=1024))
    assert outcome.replay.status == attack.status
    assert outcome.successes or outcome.damage or attack.status != "ok"
    bench.check_control(attack.succeeds)


@pytest.mark.parametrize("tier", TIERS)
def test_no_call_is_allowed_but_those_of_one_quiet_process(bench: Bench, tier: Tier) -> None:
    bench.need(TIERS[tier])
    outcome = bench.attack("attack_kernel.sweep", TIERS[tier])
    assert outcome.replay.status == "ok"
    allowed = {int(number) for number in outcome.successes}
    # Nothing that starts, ends, signals, traces, names or connects; files by name only where Landlock or a mount decides.
    assert allowed <= QUIET, sorted(allowed - QUIET)
    assert {0, 1, 262} <= allowed  # the sweep sees something
    bench.check_control(TIERS[tier])


#: On x86-64: reading, writing and waiting on what is open; opening and naming files; memory; a thread's own affairs; clocks;
#: questions about oneself.
QUIET = frozenset(
    {
        *range(9),
        *range(11, 15),
        *range(16, 26),
        28,
        32,
        33,
        35,
        39,
        63,
        77,
        79,
        82,
        83,
        84,
        87,
        89,
        96,
        97,
        98,
        99,
        100,
        102,
    }
    | {
        104,
        107,
        108,
        110,
        131,
        186,
        201,
        202,
        204,
        217,
        228,
        229,
        258,
        262,
        263,
        264,
        267,
        269,
        270,
        271,
        273,
        292,
        293,
    }
    | {309, 316, 318, 332, 334, 439}
)


@pytest.mark.parametrize("layers", [*TIERS.values(), NOTHING], ids=[*TIERS, "nothing"])
def test_submissions_leave_each_other_nothing(bench: Bench, layers: frozenset[Layer]) -> None:
    bench.need(layers)
    given = bench.scene.given(unconfined=not layers)
    left = bench.attack("attack_memory.leave", layers, given=given, look=False)
    found = bench.attack("attack_memory.find", layers, given=given)
    assert left.replay.status == found.replay.status == "ok"
    if layers:
        assert found.successes == []
        assert found.damage == []
    else:
        assert {"/dev/shm", "shared memory", "semaphore", "queue"} <= set(found.successes)  # noqa: S108  # where the note was
    bench.check_control(layers)


def test_sealed_memory_cannot_be_changed_by_anybody() -> None:
    job = Bench.job("anything")
    descriptor = job.sealed()
    try:
        before = os.pread(descriptor, 1 << 20, 0)
        assert job.train.tobytes() in before
        assert list(attack_memory.change(descriptor)) == []
        assert os.pread(descriptor, 1 << 20, 0) == before
    finally:
        os.close(descriptor)
    plain = os.memfd_create("plain")
    with contextlib.closing(os.fdopen(plain, "wb")) as file:
        file.write(before)
        file.flush()
        assert {"write", "shrink", "map writable"} <= set(attack_memory.change(plain))


def test_the_zygote_shares_no_writable_memory_with_its_children(bench: Bench) -> None:
    sandbox = bench.sandbox(TIERS[bench.tiers[0]])
    with open(f"/proc/{sandbox.pid}/maps", encoding="ascii") as lines:  # noqa: PTH123  # a file of the kernel
        shared = [line for line in lines if line.split()[1][1] == "w" and line.split()[1][3] == "s"]
    assert shared == []


def test_the_control_pipeline_is_replayed_not_made_up(bench: Bench) -> None:
    """It predicts what the same pipeline predicts in this process, up to the last bits."""
    from pipelines.build import build
    from pipelines.spec import from_canonical

    job = Bench.job(CONTROL_TEXT)
    expected = build(from_canonical(CONTROL_TEXT), 0).fit(job.train, job.label).predict(job.test)
    found = bench.check(CONTROL_TEXT, bench.sandbox(TIERS[bench.tiers[0]]))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_words_are_numbers_that_could_be_data() -> None:
    words = [np.frombuffer(bytes([byte] * 8), dtype="<f8")[0] for byte in attack_scene.WORDS.values()]
    assert np.isfinite(words).all()
    assert json.dumps(attack_scene.WORDS)
    assert Limits().memory_mb
