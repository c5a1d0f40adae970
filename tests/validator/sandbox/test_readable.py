"""Which paths a jailed Python gets to see, and how links lead to them."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest
from confined import confined

import protocol
from validator.sandbox.readable import layout, outermost, readable


def test_code_is_in_and_what_lies_beside_it_is_not() -> None:
    paths = [Path(path) for path in readable()]

    def covered(path: str | Path) -> bool:
        return any(Path(path).is_relative_to(one) for one in paths)

    for needed in (os.__file__, pytest.__file__, protocol.__file__, sysconfig.get_path("purelib"), "/dev/null"):
        assert covered(needed), needed
    checkout = Path(protocol.__file__).parents[1]
    system = ("/", "/etc/passwd", "/home", "/root", "/tmp", "/proc", "/dev/shm", "/var", "/usr/bin")  # noqa: S108 - not written
    unneeded: list[str | Path] = [*system, sys.prefix]
    for path in [*unneeded, Path.home(), Path.cwd(), checkout, checkout / ".git", checkout / ".env"]:
        assert not covered(path), path
    assert list(outermost(paths)) == paths


def test_a_working_folder_on_the_import_path_stays_outside(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret", encoding="ascii")
    before = f"import sys; sys.path[:0] = ['', {str(tmp_path)!r}]; os.chdir({str(tmp_path)!r})"
    ending = confined(f"open({str(tmp_path / 'key')!r})", "namespaces", before=before)
    assert ending.error or ending.said.startswith("FileNotFoundError")


def test_outermost_drops_what_is_below_and_what_is_not_there(tmp_path: Path) -> None:
    for name in ("a/b", "a-c", "d"):  # "a-c" sorts between "a" and "a/b" as text
        (tmp_path / name).mkdir(parents=True)
    wanted = [tmp_path / "a/b", tmp_path / "a-c", tmp_path / "a", tmp_path / "none", tmp_path / "d", tmp_path / "d"]
    assert outermost(wanted) == (tmp_path / "a", tmp_path / "a-c", tmp_path / "d")


def test_layout_follows_every_link_on_the_way(tmp_path: Path) -> None:
    base = tmp_path.resolve()
    (base / "real/env/lib").mkdir(parents=True)
    (base / "home").symlink_to("real")
    (base / "python").symlink_to(base / "home/env")
    (base / "real/env/back").symlink_to("../env/./lib")
    (base / "file").touch()
    found = layout([str(base / "python/back"), str(base / "file"), str(base / "python/missing")])
    assert found.paths == (base / "file", base / "real/env/lib")
    assert found.links == {
        base / "python": str(base / "home/env"),
        base / "home": "real",
        base / "real/env/back": "../env/lib",
    }


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="too many symbolic links"):
        layout([str(tmp_path / "a")])


def test_the_parts_above_the_root_are_the_root() -> None:
    assert layout(["/../usr/../usr/lib"]).paths == ((Path("/usr/lib")),)


def test_a_child_finds_code_by_its_links(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1/brought.py").write_text("value = 42\n", encoding="ascii")
    (tmp_path / "current").symlink_to("v1")
    before = f"import sys; sys.path.append({str(tmp_path / 'current')!r})"
    ending = confined(
        "import brought; say(brought.value)", "namespaces", paths=[str(tmp_path / "current")], before=before
    )
    assert ending.error or ending.said == 42
