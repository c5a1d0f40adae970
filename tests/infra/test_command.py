from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from infra.command import LongtailGroup
from protocol.errors import ClusterError, DataError, RefusedError


def raising(error: BaseException) -> LongtailGroup:
    """Return a program whose only command raises `error`."""

    @click.group(cls=LongtailGroup)
    def program() -> None:
        pass

    @program.command()
    @click.option("--json", "as_json", is_flag=True)
    def go(as_json: bool) -> None:
        raise error

    return program


def run(program: LongtailGroup, *words: str) -> Result:
    return CliRunner().invoke(program, list(words))


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("file x is torn; fetch it again"), 3, "file x is torn; fetch it again"),
        (ClusterError("nobody answers"), 4, "nobody answers"),
        (RefusedError("no"), 5, "no"),
        (click.UsageError("which one?"), 2, "which one?"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (
            ZeroDivisionError("1 / 0\nagain"),
            70,
            "ZeroDivisionError: 1 / 0 again (this is a defect in longtail; LONGTAIL_DEBUG=1",
        ),
    ],
)
def test_errors_become_one_line_and_a_code(error: BaseException, code: int, text: str) -> None:
    plain = run(raising(error), "go")
    assert (plain.exit_code, plain.stdout.strip()) == (code, "")
    assert text in plain.stderr
    assert "Traceback" not in plain.stderr
    told = run(raising(error), "go", "--json")
    assert told.exit_code == code
    document = json.loads(told.stderr)
    assert document["code"] == code
    assert text in document["error"]


def test_the_traceback_of_a_defect_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_DEBUG", "1")
    assert "Traceback" in run(raising(ZeroDivisionError()), "go").stderr
    assert "Traceback" not in run(raising(DataError("x")), "go").stderr


def test_json_after_two_dashes_is_an_argument() -> None:
    assert run(raising(DataError("x")), "--", "--json").stderr.startswith("Usage")


def test_exit_codes_of_commands() -> None:
    @click.group(cls=LongtailGroup)
    def program() -> None:
        pass

    @program.command()
    @click.argument("code", type=int)
    @click.pass_context
    def leave(context: click.Context, code: int) -> None:
        context.exit(code)

    assert [run(program, "leave", code).exit_code for code in ("0", "3")] == [0, 3]
    assert run(program, "leave").exit_code == 2
    assert run(program, "--help").exit_code == 0


def test_lazy_commands_are_listed_without_being_imported() -> None:
    lazy = {"later": ("no_such_module:command", "Something for later."), "show": ("data.cli:show", "Show.")}
    program = LongtailGroup("program", lazy=lazy)
    listed = run(program, "--help")
    assert listed.exit_code == 0
    assert "later  Something for later." in listed.stdout
    assert "Show the series" in run(program, "show", "--help").stdout
    assert run(program, "later").exit_code == 70
    assert run(program, "unknown").exit_code == 2
    assert run(LongtailGroup("p", lazy={"x": ("json:dumps", "")}), "x").exit_code == 70


def test_a_reader_that_leaves_early_is_no_error() -> None:
    program = (
        "import click\nfrom infra.command import LongtailGroup\n"
        "@click.group(cls=LongtailGroup)\ndef main(): pass\n"
        "@main.command()\ndef go():\n    for _ in range(100_000): click.echo('x' * 100)\n"
        "main(['go'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0
