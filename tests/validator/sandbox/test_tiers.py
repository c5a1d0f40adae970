"""Which tier is found on machines that lack something: the lack is real, made by the kernel for one process."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest
from confined import need, need_root, ordinary, run_as

from protocol.errors import ConfigError
from validator.sandbox import tiers
from validator.sandbox.policy import LAYERS, TIERS

ASK = """
import json
from validator.sandbox import tiers
try:
    found = [tiers.strongest(), ""]
except tiers.ConfigError as error:
    found = ["", str(error)]
print(json.dumps({"available": tiers.available(), "found": found}))
"""


def inside_namespace(ids: str, *, allowing: int) -> str:
    """Return lines that put the process into a user namespace that has `ids` and allows so many further ones."""
    return f"""
import os
from pathlib import Path
from validator.sandbox import kernel
user, group = os.getuid(), os.getgid()
maps = ({ids!r},) * 2 if user == 0 else (f"{{user}} {{user}} 1", f"{{group}} {{group}} 1")
hears, says = os.pipe()
target, mapper = os.getpid(), os.fork()
if mapper == 0:  # only a process outside can map more than the own id
    os.read(hears, 1)
    if user:
        Path(f"/proc/{{target}}/setgroups").write_text("deny")
    for kind, text in zip(("uid", "gid"), maps):
        Path(f"/proc/{{target}}/{{kind}}_map").write_text(text)
    os._exit(0)
kernel.unshare(kernel.CLONE_NEWUSER)
os.write(says, b"x")
assert os.waitpid(mapper, 0)[1] == 0
Path("/proc/sys/user/max_user_namespaces").write_text("{allowing}")
if user:
    kernel.drop_capabilities()
else:  # become root in here, who may be anybody outside
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    kernel.set_dumpable(True)
"""


EVERYBODY, ROOTLESS = "0 0 4294967295", "0 100000 65536"
WITHOUT_NAMESPACES = inside_namespace(EVERYBODY, allowing=0)


def refusing(answer: str, *numbers: int) -> str:
    """Return lines that make these system calls fail for the process and all it starts, as a container's filter does."""
    return f"""
import errno
from validator.sandbox import kernel, seccomp
code = [seccomp.instruction(0x20, 0)]
for number in {numbers}:
    code += [seccomp.instruction(0x15, number, 0, 1), seccomp.instruction(0x06, seccomp.ERRNO | errno.{answer})]
code.append(seccomp.instruction(0x06, seccomp.ALLOW))
kernel.no_new_privileges()
kernel.seccomp_filter(b"".join(code))
"""


UNSHARE = {"x86_64": 272, "aarch64": 97}.get(os.uname().machine, 0)
WITHOUT_LANDLOCK = refusing("ENOSYS", 444, 445, 446)
IN_A_CONTAINER = refusing("EPERM", UNSHARE)


def asked(before: str, user: int | None) -> dict[str, Any]:
    done = run_as(user, "-c", before + ASK)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(params=["as-we-are", "ordinary"])
def user(request: pytest.FixtureRequest) -> int | None:
    if request.param == "as-we-are":
        need(*LAYERS)
        return None
    if os.geteuid() != 0:
        pytest.skip("we are an ordinary user already")
    who = ordinary()
    need(*LAYERS, user=who)
    return who


def test_with_everything_the_tier_is_full(user: int | None) -> None:
    assert asked("", user) == {"available": dict.fromkeys(LAYERS), "found": ["full", ""]}


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (WITHOUT_NAMESPACES, "user.max_user_namespaces=0; set it to 15000"),
        (IN_A_CONTAINER, "allow them by the container's seccomp and AppArmor profiles"),
    ],
    ids=["switched-off", "container"],
)
def test_without_user_namespaces_landlock_takes_their_place(user: int | None, before: str, reason: str) -> None:
    found = asked(before, user)
    assert found["found"] == ["landlock", ""]
    assert reason in found["available"].pop("namespaces")
    assert set(found["available"].values()) == {None}


@pytest.mark.parametrize(("allowing", "tier"), [(100, "full"), (0, "landlock")])
def test_root_of_a_rootless_container_has_what_an_ordinary_user_has(allowing: int, tier: str) -> None:
    need_root()
    ordinary()  # root of the container is nobody in particular outside: the code must be readable for all
    need(*LAYERS)
    assert asked(inside_namespace(ROOTLESS, allowing=allowing), None)["found"] == [tier, ""]


def test_root_of_a_namespace_of_one_is_refused_if_it_may_be_root_outside() -> None:
    need_root()
    tier, reason = asked(inside_namespace("0 0 1", allowing=100), None)["found"]
    assert tier == ""
    assert "root of a user namespace without further ids; start it as an ordinary user" in reason


def test_without_landlock_namespaces_take_its_place(user: int | None) -> None:
    found = asked(WITHOUT_LANDLOCK, user)
    assert found["found"] == ["namespaces", ""]
    assert found["available"].pop("landlock").startswith("landlock: Function not implemented; it takes Linux 5.13")
    assert set(found["available"].values()) == {None}


def test_without_either_there_is_no_tier_but_reasons_and_remedies(user: int | None) -> None:
    found = asked(WITHOUT_NAMESPACES + WITHOUT_LANDLOCK, user)
    tier, reason = found["found"]
    assert tier == ""
    assert "nothing is run without a jail" in reason
    assert "layer namespaces: unshare: No space left on device" in reason
    assert "layer landlock: landlock: Function not implemented" in reason


def test_an_ordinary_user_is_told_what_the_uid_layer_is_worth() -> None:
    user = ordinary()
    done = run_as(user, "-m", "validator.sandbox.tiers")
    works, text = json.loads(done.stdout)["layers"]["uid"]
    assert works
    assert text.startswith(f"submissions stay user {os.getuid() if user is None else user} without capabilities")


HANG = """
import json, time
from validator.sandbox import tiers
tiers.TRIAL_S = 0.2
tiers.confine = lambda *_: time.sleep(600)
print(json.dumps(tiers._trial(frozenset(), ())))
"""


def test_a_layer_that_hangs_is_a_layer_that_does_not_work() -> None:
    done = run_as(None, "-c", HANG)
    assert json.loads(done.stdout) == "no answer within 0.2 s"


CRASH = HANG.replace("time.sleep(600)", "__import__('os').abort()")


def test_a_layer_that_crashes_is_a_layer_that_does_not_work() -> None:
    done = run_as(None, "-c", CRASH)
    assert "ended without a word (wait status" in json.loads(done.stdout)


def test_a_survey_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ConfigError, match="cannot be tried"):
        tiers.survey()


def test_the_survey_has_every_layer_and_tier() -> None:
    found = tiers.survey()
    assert tuple(found.layers) == LAYERS
    assert tuple(found.tiers) == tuple(TIERS)
    assert all(finding.text for finding in found.layers.values())
