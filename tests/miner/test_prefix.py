"""The folder of fitted prefixes: exact, bounded, and never worse than nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miner import prefix
from miner.prefix import PrefixCache

TRAIN, TEST = np.arange(12.0).reshape(4, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))


def cache_in(folder: Path, limit: int = 1 << 20) -> PrefixCache:
    return PrefixCache(folder / "prefixes", limit)


def test_the_longest_kept_prefix_is_found(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    assert cache.longest("s", ["a", "b"]) is None
    cache.keep("s", ["a"], TRAIN, TEST, 1.0)
    cache.keep("s", ["a", "b", "c"], TRAIN + 1, TEST + 1, 1.0)
    length, train, test = cache.longest("s", ["a", "b", "c", "d"]) or (0, None, None)
    assert length == 3
    np.testing.assert_array_equal(train, TRAIN + 1)
    np.testing.assert_array_equal(test, TEST + 1)
    assert (cache.longest("s", ["a", "b"]) or (0,))[0] == 1
    assert cache.longest("other", ["a", "b"]) is None
    assert cache.longest("s", ["b"]) is None


@settings(deadline=None)
@given(
    order=st.sampled_from("CF"), kind=st.sampled_from(["f4", "f8"]), rows=st.integers(0, 5), columns=st.integers(1, 5)
)
def test_bits_type_and_layout_come_back(order: str, kind: str, rows: int, columns: int) -> None:
    values = np.random.default_rng(rows * 7 + columns).normal(size=(rows, columns)).astype(kind)
    kept = np.array(values, order=order)  # type: ignore[call-overload]  # a literal
    with tempfile.TemporaryDirectory() as folder:
        cache = cache_in(Path(folder))
        cache.keep("s", ["a"], kept, kept, 1.0)
        _, train, test = cache.longest("s", ["a"]) or (0, None, None)
    for back in (train, test):
        assert back.tobytes() == kept.tobytes()
        assert back.dtype == kept.dtype
        assert (back.flags.c_contiguous, back.flags.f_contiguous) == (kept.flags.c_contiguous, kept.flags.f_contiguous)


@pytest.mark.parametrize("part", [TRAIN[:, ::2], TRAIN.astype(int), TRAIN.tolist(), TRAIN.astype(object)])
def test_what_would_not_come_back_exactly_is_not_kept(tmp_path: Path, part: object) -> None:
    cache = cache_in(tmp_path)
    cache.keep("s", ["a"], part, TEST, 1.0)
    assert cache.longest("s", ["a"]) is None


def test_cheap_and_huge_prefixes_and_a_closed_cache_are_passed_over(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, limit=8 * (TRAIN.nbytes + TEST.nbytes) - 1)
    cache.keep("s", ["huge"], TRAIN, TEST, 1.0)
    cache.keep("s", ["cheap"], TRAIN[:1], TEST[:1], prefix.WORTH_KEEPING_S / 2)
    closed = cache_in(tmp_path, 0)
    closed.keep("s", ["a"], TRAIN, TEST, 1.0)
    assert not (tmp_path / "prefixes").exists()
    assert closed.longest("s", ["a"]) is None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_entry_is_a_miss_or_exact(data: st.DataObject) -> None:
    """Bytes flipped anywhere, or the file cut: never an exception, never other numbers."""
    with tempfile.TemporaryDirectory() as folder:
        cache = cache_in(Path(folder))
        cache.keep("s", ["a"], TRAIN, TEST, 1.0)
        (entry,) = cache.folder.iterdir()
        content = bytearray(entry.read_bytes())
        for _ in range(data.draw(st.integers(0, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        entry.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
        found = cache.longest("s", ["a"])
    if found is not None:
        np.testing.assert_array_equal(found[1], TRAIN)
        np.testing.assert_array_equal(found[2], TEST)


def test_a_full_disk_is_no_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prefix.np, "savez", full)
    cache = cache_in(tmp_path)
    cache.keep("s", ["a"], TRAIN, TEST, 1.0)
    assert list(cache.folder.iterdir()) == []


def test_the_folder_may_be_impossible(tmp_path: Path) -> None:
    (tmp_path / "prefixes").write_text("a file in its place")
    cache = cache_in(tmp_path)
    cache.keep("s", ["a"], TRAIN, TEST, 1.0)
    assert cache.longest("s", ["a"]) is None
    cache.sweep()


def test_sweeping_drops_the_least_recently_used_and_what_killed_writers_left(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    for age, name in enumerate("abc"):
        cache.keep("s", [name], TRAIN, TEST, 1.0)
        os.utime(cache._path("s", [name]), (1000 + age, 1000 + age))
    assert cache.longest("s", ["a"]) is not None  # used just now
    size = cache._path("s", ["a"]).stat().st_size
    old, young = cache.folder / "old.tmp", cache.folder / "young.tmp"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (0, 0))
    PrefixCache(cache.folder, 2 * size).sweep()
    left = {entry.name for entry in cache.folder.iterdir()}
    assert left == {cache._path("s", ["a"]).name, cache._path("s", ["c"]).name, "young.tmp"}
