"""A submission that may do anything: the program the attack suite puts in the place of the replay.

A task whose text is a JSON object asks for an attack: ``{"attack": "attack_files.write", ...}``, the rest describes the scene
on the host. What an attack yields are its successes; they come back as the predictions, one character each. An attack that
takes the task itself does its own talking.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterable
from contextlib import suppress

import attack_files
import attack_kernel
import attack_limits
import attack_memory
import attack_native
import attack_network
import attack_processes
import attack_streams
import numpy as np

from validator.sandbox.task import Task

PARTS = (attack_files, attack_kernel, attack_limits, attack_memory, attack_network, attack_processes, attack_streams)


def warm() -> None:
    """Map a page for machine code, which the jail does not let anybody map."""
    attack_native.bring_code_page()


def run(task: Task) -> None:
    """Do what the text says."""
    given = json.loads(task.text)
    with suppress(OSError, KeyError):
        os.chdir(given["playground"])  # unconfined, the working folder is /
    module, _, name = given["attack"].partition(".")
    attack = getattr(next(part for part in PARTS if part.__name__ == module), name)
    successes = attack(task, given) if len(inspect.signature(attack).parameters) == 2 else attack(given)
    if successes is not None:
        report(task, successes)


def report(task: Task, successes: Iterable[str]) -> None:
    """Send the successes home as predictions: the only way out that is left open."""
    text = json.dumps(list(successes)).encode()
    for rows in task.batches():
        answer = np.zeros(len(rows))
        answer[: len(text)] = list(text[: len(rows)])
        task.answer(answer)
        text = text[len(rows) :]


def reported(predictions: Iterable[float]) -> list[str]:
    """Read, on the host, what `report` has sent."""
    found: list[str] = json.loads(bytes(int(one) for one in predictions).strip(b"\0"))
    return found
