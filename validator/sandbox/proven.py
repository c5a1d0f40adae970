"""A jail that has withstood its own attacks: what daemons let strangers' modules into."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from protocol.errors import ConfigError
from validator.sandbox.host import Sandbox
from validator.sandbox.probes import attack


@contextmanager
def proven_sandbox(log: logging.Logger) -> Iterator[Sandbox]:
    """Yield the jail after it was attacked.

    Raises
    ------
    ConfigError
        It leaks, or cannot be had on this machine.
    """
    with Sandbox() as sandbox:
        log.info("the jail attacks itself", extra={"tier": sandbox.tier})
        leaks = [f"{one.name}: {one.detail}" for one in attack(sandbox.tier) if one.state == "error"]
        if leaks:
            raise ConfigError(f"the jail leaks, so nothing runs in it: {'; '.join(leaks)}; see `ltvalidator doctor`")
        yield sandbox
