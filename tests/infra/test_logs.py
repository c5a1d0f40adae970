"""What is said sparingly: nothing to the impatient, and then only every so often."""

from __future__ import annotations

import pytest

from infra import logs


def test_progress_is_for_the_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [0.0], list[str]()
    monkeypatch.setattr("infra.logs.time.monotonic", lambda: now[0])
    note = logs.sparing(said.append, 2.0)
    for moment, text in ((1.0, "one"), (2.5, "two"), (3.0, "three"), (4.6, "four")):
        now[0] = moment
        note(text)
    assert said == ["two", "four"]
