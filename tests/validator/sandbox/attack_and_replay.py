"""The attack program and the replay in one zygote, so that an attack and the control pipeline after it meet in one place."""

from __future__ import annotations

import sys
from importlib import import_module

import attack_program

from validator.sandbox import replay
from validator.sandbox.task import Task

#: What the control pipeline is made of; importing it in every child would cost seconds.
CONTROL = ("sklearn.pipeline", "sklearn.preprocessing", "sklearn.linear_model")


def warm() -> None:
    """Import for the control pipeline."""
    attack_program.warm()
    sys.meta_path.insert(0, replay._Without())
    for name in CONTROL:
        import_module(name)


def run(task: Task) -> None:
    """Attack if the text asks for it, else replay it as a pipeline."""
    (attack_program if task.text.startswith('{"attack":') else replay).run(task)
