"""Copies of local datasets for machines that cannot read the original."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.dataset import Dataset
from data.sample import sample_uri
from data.shelf import shelve
from data.synthetic import synthetic
from protocol.errors import DataError

pytestmark = pytest.mark.usefixtures("bucket")
SHELF = "s3://made-bucket/lt/datasets"


def test_a_dataset_is_copied_once_and_is_the_same(tmp_path: Path) -> None:
    local = Dataset.create(str(tmp_path / "series")).append(synthetic("noise", n_symbols=3, n_bars=300))
    root = local.known_root
    place = shelve(local.uri, root, SHELF)
    assert place == f"{SHELF}/{root}"
    assert Dataset.open(place, root).read(type="ohlcv-1h") == local.read(type="ohlcv-1h")
    assert shelve(local.uri, root, SHELF) == place
    assert shelve("/gone/by/now", root, SHELF) == place  # it is there: the original is not asked for


def test_a_view_and_a_bare_file_become_datasets_of_their_own(tmp_path: Path) -> None:
    local = Dataset.create(str(tmp_path / "series")).append(synthetic("noise", n_symbols=2, n_bars=300))
    middle = local.read(type="ohlcv-1h")["datetime"][150].as_py()
    view = Dataset.open(f"{local.uri}?until={middle.date()}")
    assert view.known_root != local.known_root
    copy = Dataset.open(shelve(view.uri, view.known_root, SHELF))
    assert copy.known_root == view.known_root
    sample = Dataset.open(sample_uri())
    assert Dataset.open(shelve(sample.uri, sample.known_root, SHELF)).known_root == sample.known_root


def test_what_lies_on_s3_stays_there_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    assert shelve("s3://other/series?until=2020-01-01", "0" * 64, SHELF) == "s3://other/series?until=2020-01-01"
    with pytest.raises(DataError, match="no dataset there"):
        shelve(str(tmp_path / "nothing"), "0" * 64, SHELF)


def test_a_copy_that_was_cut_off_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = synthetic("noise", n_symbols=2, n_bars=300)
    local = Dataset.create(str(tmp_path / "series")).append(table)
    place = f"{SHELF}/{local.known_root}"
    Dataset.create(place).append(table.slice(0, 100))  # a part, as an interrupted copy of several types leaves it
    assert Dataset.open(shelve(local.uri, local.known_root, SHELF)).known_root == local.known_root
