"""What each version of Landlock can deny; that the rules hold is in test_confinement."""

from __future__ import annotations

import pytest
from confined import confined, need

from validator.sandbox import landlock
from validator.sandbox.policy import Limits


@pytest.mark.parametrize(
    ("abi", "files", "network", "scopes"),
    [
        (1, 13, 0, 0),
        (2, 14, 0, 0),  # REFER
        (3, 15, 0, 0),  # TRUNCATE
        (4, 15, 3, 0),  # BIND_TCP, CONNECT_TCP
        (5, 16, 3, 0),  # IOCTL_DEV
        (6, 16, 3, 3),  # abstract UNIX sockets, signals
        (7, 16, 3, 3),  # logging
        (9, 16, 3, 3),  # a later one is used as far as it is known
    ],
)
def test_every_version_denies_all_it_can(abi: int, files: int, network: int, scopes: int) -> None:
    assert landlock.handled(abi) == (2**files - 1, network, scopes)


@pytest.mark.parametrize("abi", range(1, 8))
def test_older_versions_are_put_on_too(abi: int) -> None:
    need("landlock")
    before = f"""
        from validator.sandbox import kernel
        known = kernel.landlock_abi()
        kernel.landlock_abi = lambda: min({abi}, known)
    """
    code = """
        try:
            os.listdir("/etc")
        except PermissionError:
            import colorsys
            say("code only")
    """
    assert confined(code, "landlock", before=before).said == "code only"


def test_nothing_readable_is_writable_or_runnable() -> None:
    assert not landlock.READ & (landlock.WRITE_FILE | landlock.TRUNCATE | landlock.MAKE_REG | 1)
    assert not landlock.WRITE & 1  # EXECUTE


def test_paths_that_are_not_there_are_left_out() -> None:
    need("landlock")
    assert confined("say(1)", "landlock", paths=["/usr", "/no/such/folder"], limits=Limits()).said == 1
