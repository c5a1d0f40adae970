"""Write docs/commands.md: the help text of every command, as it is printed."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "commands.md"
WIDTH = 100
HEAD = """# Commands

What `--help` prints, for every command; written by `scripts/docs`. In a checkout the commands are in `.venv/bin/`.
Exit codes and environment variables are explained in [miner.md](miner.md#exit-codes), settings in [settings.md](settings.md).
"""


def commands() -> dict[str, click.Command]:
    """Return the console scripts of pyproject.toml by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {}
    for name, target in sorted(project["scripts"].items()):
        module, _, attribute = target.partition(":")
        found[name] = getattr(importlib.import_module(module), attribute)
    return found


def contexts(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context per command, parents first, in the order of their names."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH)
    yield context
    if isinstance(command, click.Group):
        for child in sorted(command.list_commands(context)):
            found = command.get_command(context, child)
            if found is not None:
                yield from contexts(found, child, context)


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for name, command in commands().items():
        for context in contexts(command, name):
            level = "##" if context.parent is None else "###"
            text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
            parts.append(f"{level} `{context.command_path}`\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
