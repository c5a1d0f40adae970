"""The rules of the house: layers, size of modules, documentation that is true, a light `--help`, a complete wheel."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOOLS = PROJECT["tool"]
PACKAGES: list[str] = TOOLS["importlinter"]["root_packages"]
BIN = Path(sys.executable).parent
MAX_LINES = 400
#: What `--help` must not import: seconds of CPU and hundreds of MB for a few lines of text.
HEAVY = (
    "tpot",
    "sklearn",
    "pandas",
    "distributed",
    "dask",
    "ccxt",
    "pyarrow",
    "matplotlib",
    "lightgbm",
    "xgboost",
    "boto3",
    "eth_account",
    "prometheus_client",
    "starlette",
    "uvicorn",
    "web3",
)
#: Folders that are not part of the project.
OUTSIDE = {".git", ".venv", "__pycache__", "dist", "runs", "node_modules"}


def project_files(suffix: str = "") -> Iterator[Path]:
    """Yield every file of the checkout except environments, caches and results."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in OUTSIDE and not name.endswith(("_cache", ".egg-info"))]
        if ".hypothesis" in folders:
            folders.remove(".hypothesis")
        yield from (Path(folder) / name for name in sorted(files) if name.endswith(suffix))


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


SHIPPED = modules(*PACKAGES)
PAGES = [
    path for path in project_files(".md") if ROOT in (path.parent, *path.parents[1:]) and "tests" not in path.parts
]
SCRIPTS = [
    path for path in (*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run") if path.suffix != ".py" and path.is_file()
]


# ------------------------------------------------------------------------------------------------------------ structure


def test_imports_point_down_the_layers() -> None:
    done = subprocess.run([BIN / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_list_of_packages_is_the_layers_list() -> None:
    (contract,) = TOOLS["importlinter"]["contracts"]
    assert [package.strip() for layer in contract["layers"] for package in layer.split("|")] == PACKAGES
    assert sorted(TOOLS["mypy"]["packages"]) == sorted(PACKAGES)
    assert sorted(TOOLS["hatch"]["build"]["targets"]["wheel"]["packages"]) == sorted(PACKAGES)
    assert sorted(path.parent.name for path in ROOT.glob("*/__init__.py")) == sorted([*PACKAGES, "benchmarks"])
    for package in PACKAGES:
        assert f"`{package}/`" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), package


@pytest.mark.parametrize("path", [*SHIPPED, *modules("benchmarks", "scripts")], ids=shown)
def test_no_module_is_longer_than_a_reader_can_hold(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def public_definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield public functions and classes of a module, and public methods of public classes."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        for node in getattr(waiting.pop(), "body", []):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                yield node
                if isinstance(node, ast.ClassDef):
                    waiting.append(node)


@pytest.mark.parametrize("path", SHIPPED, ids=shown)
def test_public_names_are_documented_and_annotated(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{shown(path)} has no docstring"
    for node in public_definitions(tree):
        where = f"{shown(path)}:{node.lineno} {node.name}"
        overloaded = any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
        assert overloaded or ast.get_docstring(node), f"{where} has no docstring"
        if not isinstance(node, ast.ClassDef):
            assert node.returns is not None, f"{where} does not say what it returns"
            arguments = [
                *node.args.posonlyargs,
                *node.args.args,
                *node.args.kwonlyargs,
                node.args.vararg,
                node.args.kwarg,
            ]
            bare = [argument.arg for argument in arguments if argument and argument.annotation is None]
            assert set(bare) <= {"self", "cls"}, f"{where}: no type for {bare}"


def test_checkers_stay_strict() -> None:
    assert TOOLS["mypy"]["strict"] is True
    assert {"D1", "S", "B", "F"} <= set(TOOLS["ruff"]["lint"]["select"])
    assert not {"D100", "D101", "D102", "D103"} & set(TOOLS["ruff"]["lint"]["ignore"])
    assert TOOLS["pytest"]["ini_options"]["filterwarnings"][0] == "error"


# -------------------------------------------------------------------------------------------------------- documentation


def test_every_command_and_option_is_documented() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "commands_page.py"))["page"]()
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == written, "run scripts/docs"


def test_every_option_says_what_it_does() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "commands_page.py"))
    for name, command in page["commands"]().items():
        for context in page["contexts"](command, name):
            assert context.command.help, context.command_path
            silent = [one.name for one in context.command.params if isinstance(one, click.Option) and not one.help]
            assert not silent, f"{context.command_path}: no help for {silent}"


HELP_OF_ALL = """
import json, runpy, sys
page = runpy.run_path(sys.argv[1])
pages = page["page"]()
print(json.dumps({"pages": pages.count("```text"), "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def test_help_of_every_command_is_light() -> None:
    script = str(ROOT / "scripts" / "commands_page.py")
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_ALL, script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout)
    assert seen["pages"] > len(PROJECT["project"]["scripts"])
    assert not set(HEAVY) & set(seen["loaded"])


@pytest.mark.parametrize("command", sorted(PROJECT["project"]["scripts"]))
def test_installed_commands_print_their_help(command: str) -> None:
    done = subprocess.run([BIN / command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Usage: {command}")
    assert not done.stderr


def test_changelog_and_installation_have_this_version() -> None:
    version = PROJECT["project"]["version"]
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert importlib.metadata.version("longtail") == version


def anchors(page: Path) -> set[str]:
    """Return the fragments that the headings of a page can be reached by."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(<?([^)>\s]+)>?\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, fragment = unquote(link).partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{shown(page)} links to {link}"
        if fragment and found.suffix == ".md":
            assert fragment in anchors(found), f"{shown(page)} links to {link}, which has no such heading"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs"))
        assert name == "README.md" or f"({name})" in index, f"docs/README.md does not list {name}"


#: Absolute paths of somebody's machine, package registries, names that only resolve inside somebody's network.
FOREIGN = re.compile(
    r"(?<![\w.~}$)])/(?:home|root|work|Users|mnt)/\w"
    r"|https?://[^\s\"'<>]*(?:pypi|pythonhosted|artifact|registry|/simple\b)"
    r"|--(?:extra-)?index-url\s|--find-links\s"
    r"|\b[a-z0-9-]+\.(?:internal|corp|lan)\b"
)


def test_no_file_names_somebodys_machine() -> None:
    for path in project_files():
        if path == Path(__file__) or path.suffix in {".parquet", ".png"}:
            continue
        found = FOREIGN.search(path.read_text(encoding="utf-8"))
        assert not found, f"{shown(path)} contains {found[0]!r}"


# ------------------------------------------------------------------------------------------------ scripts and packaging


@pytest.mark.parametrize("script", SCRIPTS, ids=shown)
def test_scripts_run_on_any_posix_shell(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_setup_names_the_interpreter_that_does_not_fit(tmp_path: Path) -> None:
    for name in ("scripts", "pyproject.toml", "requirements.lock"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    environment = {**os.environ, "PYTHON": str(tmp_path / "python9")}
    done = subprocess.run(
        [tmp_path / "scripts" / "mine", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "python9 is no Python 3.11" in done.stderr
    assert not done.stdout
    assert not (tmp_path / ".venv").exists()


def locked() -> dict[str, list[Requirement]]:
    """Return the pinned requirements of the lock by name; a name may be pinned once per Python version."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    pins: dict[str, list[Requirement]] = {}
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            assert "--hash=sha256:" in line, f"no hash: {line[:80]}"
            pin = Requirement(line.partition(" --hash")[0])
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def test_the_lock_satisfies_the_project() -> None:
    pins, project = locked(), PROJECT["project"]
    for text in (
        *project["dependencies"],
        *(one for group in project["optional-dependencies"].values() for one in group),
    ):
        wanted = Requirement(text)
        for pin in pins[canonicalize_name(wanted.name)]:
            (exact,) = pin.specifier
            assert wanted.specifier.contains(exact.version), f"{pin} does not satisfy {wanted}; run scripts/lock"


def test_the_lock_leaves_out_what_nothing_here_uses() -> None:
    assert not {
        name for name in locked() if name.startswith("nvidia") or name in {"xgboost", "optuna", "seaborn", "torch"}
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the names in a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file).namelist()


def test_the_wheel_is_complete(wheel: list[str]) -> None:
    data = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix in {".py", ".toml", ".parquet", ".txt", ".md", ".html", ".css", ".js", ".svg"}
    ]
    assert {".parquet", ".toml", ".html", ".js"} <= {path.suffix for path in data}
    assert {shown(path) for path in data} <= set(wheel)
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_the_wheel_holds_nothing_else(wheel: list[str]) -> None:
    assert {name.partition("/")[0] for name in wheel} == {
        *PACKAGES,
        f"longtail-{PROJECT['project']['version']}.dist-info",
    }
