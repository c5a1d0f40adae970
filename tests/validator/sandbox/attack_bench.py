"""What the attack suite works with: a scene, a sandbox per set of layers, and the control pipeline."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attack_program
import numpy as np
import pytest
from attack_scene import WORDS, Scene

from protocol.errors import ConfigError
from validator.sandbox.host import Job, Replay, Sandbox
from validator.sandbox.policy import TIERS, Layer, Limits
from validator.sandbox.tiers import survey

SCALER, RIDGE = "sklearn.preprocessing.StandardScaler", "sklearn.linear_model.Ridge"
CONTROL_TEXT = json.dumps({"sklearn.pipeline.Pipeline": {"steps": [{SCALER: {}}, {RIDGE: {}}]}}, separators=(",", ":"))
#: Where the layers make no tier: needs no scikit-learn, which takes a second of CPU to import.
SIMPLER_CONTROL = '{"attack":"attack_streams.transductive"}'
CONTROLS = dict.fromkeys(TIERS.values(), CONTROL_TEXT)
ROWS, COLUMNS, BATCH = 300, 5, 2000  # a batch is larger than a pipe
LIMITS = Limits(cpu_s=20, wall_s=60, memory_mb=1024)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack reports, and what the host sees of it."""

    replay: Replay
    damage: list[str]

    @property
    def successes(self) -> list[str]:
        """What an attack that reports has reported."""
        return [] if self.replay.predictions is None else attack_program.reported(self.replay.predictions)


class Bench:
    """A context with everything; what it opens it closes."""

    def __enter__(self) -> Self:
        self._sandboxes: dict[frozenset[Layer], Sandbox] = {}
        seen = survey()
        self.missing = {layer: finding.text for layer, finding in seen.layers.items() if not finding.works}
        self.tiers = [tier for tier in TIERS if seen.tiers[tier] is None]
        self.controls: dict[str, bytes] = {}
        self._open = contextlib.ExitStack()
        self.scene = self._open.enter_context(Scene())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def need(self, layers: frozenset[Layer]) -> None:
        """Skip the test on a machine that lacks one of the layers, or where they cannot reach this Python together."""
        for layer in sorted(layers & set(self.missing)):
            pytest.skip(f"no {layer} here: {self.missing[layer]}")
        try:
            self.sandbox(layers)
        except ConfigError as error:
            if "cannot read" not in str(error):
                raise
            pytest.skip(f"this Python lies in somebody's home: {error}")

    def sandbox(self, layers: frozenset[Layer]) -> Sandbox:
        """Return the sandbox with these layers; it is started once."""
        if layers not in self._sandboxes:
            with contextlib.ExitStack() as opened:
                sandbox = opened.enter_context(self.another(layers))
                self.check(CONTROLS.get(layers, SIMPLER_CONTROL), sandbox)  # before anybody attacks it
                self._open.push(opened.pop_all())
            self._sandboxes[layers] = sandbox
        return self._sandboxes[layers]

    @staticmethod
    def another(layers: frozenset[Layer]) -> Sandbox:
        """Return one more sandbox, for the caller to start and end."""
        program = "attack_and_replay" if layers in CONTROLS else "attack_program"
        return Sandbox(program=program, layers=layers, path=[str(Path(__file__).parent)])

    def open_sandboxes(self) -> list[Sandbox]:
        """Return the sandboxes that have been started."""
        return list(self._sandboxes.values())

    @staticmethod
    def job(text: str, limits: Limits = LIMITS) -> Job:
        """Return a job with the marked numbers in the training data, and in test rows that are not released at once."""
        table = np.random.default_rng(7).normal(size=(ROWS + 2 * BATCH, COLUMNS))
        label = table[:ROWS, 0] + 0.1 * table[:ROWS, 1]
        table[0, -1] = _word("train")
        table[ROWS + BATCH :, -1] = _word("later rows")
        return Job(text, 0, table[:ROWS], label, table[ROWS:], [(0, BATCH), (BATCH, 2 * BATCH)], limits)

    def attack(
        self, name: str, layers: frozenset[Layer], *, unconfined: bool = False, given: dict[str, Any] | None = None,
        look: bool = True, limits: Limits = LIMITS, **more: Any,
    ) -> Outcome:  # fmt: skip
        """Run one attack in the jail of these layers and look at the host afterwards."""
        given = given or self.scene.given(unconfined=unconfined)
        sandbox = self.sandbox(layers)
        replay = sandbox.run(self.job(json.dumps({"attack": name, **given, **more}), limits))
        return Outcome(replay, self.scene.damage(sandbox.pid) if look else [])

    def check_control(self, layers: frozenset[Layer]) -> None:
        """Assert that the sandbox works as it did before anybody attacked it, to the last bit."""
        self.check(CONTROLS.get(layers, SIMPLER_CONTROL), self.sandbox(layers))

    def check(self, text: str, sandbox: Sandbox) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Assert that a text is answered as when it was first answered on this bench, whatever the sandbox, to the last bit."""
        replay = sandbox.run(self.job(text))
        assert replay.predictions is not None, f"{replay.status}: {replay.reason}"
        assert replay.predictions.tobytes() == self.controls.setdefault(text, replay.predictions.tobytes())
        return replay.predictions


def _word(name: str) -> float:
    return float(np.frombuffer(bytes([WORDS[name]] * 8), dtype="<f8")[0])
