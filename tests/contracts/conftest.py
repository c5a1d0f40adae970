"""Where the other makers of test data are; and nothing here runs without an EVM."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

for folder in ("ledger", "head"):
    sys.path.insert(0, str(Path(__file__).parents[1] / "protocol" / folder))
#: The EVM comes with the development tools; an installation for miners has none.
collect_ignore_glob = [] if importlib.util.find_spec("eth") else ["test_*.py"]
