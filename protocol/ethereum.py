"""eth-account, imported at its first use (it takes half a second) and without its side effect.

It imports py_ecc, which raises the recursion limit of the interpreter to 100,000. There a deeply nested text of a stranger
overflows the C stack of ``json`` or ``ast`` and kills the process, where it should end in a RecursionError; so the limit is
put back.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from protocol.errors import ConfigError


def eth_account(module: str = "eth_account") -> Any:
    """Return eth-account or one of its modules."""
    limit = sys.getrecursionlimit()
    try:
        return importlib.import_module(module)
    finally:
        sys.setrecursionlimit(limit)


def web3_of(url: str, timeout_s: float) -> Any:
    """Return a connection to a node by HTTP; nothing is asked yet.

    Raises
    ------
    ConfigError
        web3 is not installed.
    """
    limit = sys.getrecursionlimit()
    try:
        web3 = importlib.import_module("web3")
    except ImportError as error:
        raise ConfigError(f"a ledger on a chain needs web3 ({error}); install longtail[evm]") from error
    finally:
        sys.setrecursionlimit(limit)
    return web3.Web3(web3.HTTPProvider(url, request_kwargs={"timeout": timeout_s}))
