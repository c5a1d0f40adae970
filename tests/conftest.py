"""What all tests share: property tests are not judged by the clock of a busy machine and leave nothing behind."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None, database=None)
settings.load_profile("unhurried")
