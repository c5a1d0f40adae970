"""What all tests share: property tests are not judged by the clock of a busy machine, leave nothing behind, and try the
same cases in every run."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None, database=None, derandomize=True)
settings.load_profile("unhurried")
