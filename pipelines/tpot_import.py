"""The one place that imports TPOT, so that the import never reaches the network.

TPOT asks PyPI for a newer version of itself while it is imported (``update_checker``). Here that module is replaced for
the duration of the import by one that does nothing.
"""

from __future__ import annotations

import sys
import threading
import warnings
from types import ModuleType

_LOCK = threading.Lock()


def _no_check(*_args: object, **_kwargs: object) -> None:
    """Do not look for updates."""


def load_tpot() -> ModuleType:
    """Import TPOT once (about 6 CPU seconds) without its request to PyPI, and return the module."""
    with _LOCK:
        if "tpot" not in sys.modules:
            stub = ModuleType("update_checker")
            stub.update_check = _no_check  # type: ignore[attr-defined]  # the one function TPOT takes from it
            before = sys.modules.get("update_checker")
            sys.modules["update_checker"] = stub
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # its dependency stopit
                    import tpot  # noqa: F401  # heavy, and only while the stub is in place
            finally:
                if before is None:
                    del sys.modules["update_checker"]
                else:
                    sys.modules["update_checker"] = before
        return sys.modules["tpot"]
