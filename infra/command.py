"""How every command of the project starts, speaks to people, fails and ends.

Errors raised on purpose become one line on stderr (one JSON document under ``--json``) and the exit code of their
family; anything else is a defect: exit 70 and one line, with ``LONGTAIL_DEBUG=1`` for the traceback. Commands may be
named by ``module:attribute`` and are imported only when they run, so that ``--help`` stays light.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import click

from protocol.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_OK, LongtailError

DEBUG_VARIABLE = "LONGTAIL_DEBUG"


class LongtailGroup(click.Group):
    """A click group that turns exceptions into messages and exit codes, with commands imported at their first use.

    Parameters
    ----------
    lazy : mapping of str to (str, str)
        Command name to (``module:attribute``, one line for the list of commands).
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted, without importing any."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, importing its module when it is a lazy one."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; lazy ones are described by the text they were registered with."""
        rows = []
        for name in self.list_commands(ctx):
            command = None if name in self._lazy else self.get_command(ctx, name)
            rows.append((name, command.get_short_help_str(100) if command else self._lazy[name][1]))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of stdout who left early (``| head``) is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  # a device, not a path
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            ctx.exit(EXIT_OK)
        return result

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run and leave the process with the right exit code, which a command sets by ``ctx.exit(code)``."""
        words = list(sys.argv[1:] if args is None else args)
        if not standalone_mode:
            return super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
        as_json = "--json" in (words[: words.index("--")] if "--" in words else words)
        try:
            outcome = super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
        except Exception as error:  # the last line of defence for every kind of failure
            sys.exit(_failure(error, as_json))
        except KeyboardInterrupt:
            sys.exit(_tell("interrupted", EXIT_INTERRUPTED, as_json))
        sys.exit(outcome if type(outcome) is int else EXIT_OK)


def say(text: str) -> None:
    """Say something to people."""
    click.echo(text, err=True)


def tell(lines: Sequence[tuple[str, str]], *, err: bool = False) -> None:
    """Print (label, text) lines."""
    for label, text in lines:
        click.echo(f"{label:>10}  {text}", err=err)


def _failure(error: Exception, as_json: bool) -> int:
    """Tell the user what went wrong and return the exit code for it."""
    match error:
        case LongtailError():
            return _tell(str(error), error.exit_code, as_json)
        case click.Abort():
            return _tell("interrupted", EXIT_INTERRUPTED, as_json)
        case click.ClickException() if not as_json:
            error.show()
            return error.exit_code
        case click.ClickException():
            return _tell(error.format_message(), error.exit_code, as_json)
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    hint = f"this is a defect in longtail; {DEBUG_VARIABLE}=1 shows the traceback"
    return _tell(f"{text} ({hint})", EXIT_INTERNAL, as_json)


def _tell(message: str, code: int, as_json: bool) -> int:
    text = json.dumps({"error": message, "code": code}, ensure_ascii=False) if as_json else f"error: {message}"
    click.echo(text, err=True)
    return code
