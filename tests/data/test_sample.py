from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from data.checks import check
from data.dataset import Dataset
from data.sample import sample_uri
from data.schema import schema_of

SAMPLE_ROOT = "c83fed05d56159b481fd2eafced8f2b0a31e7c7ecce2f4b1de2653d288cd1b79"


def test_the_sample_is_what_its_readme_says() -> None:
    report = check(sample_uri(), now=1_700_000_000_000_000)
    assert (report.errors, report.rows, report.series, report.root) == ([], 166_260, 20, SAMPLE_ROOT)
    assert sorted(report.findings) == ["W061", "W062"]
    assert pq.read_schema(sample_uri()) == schema_of("close-1d")


def test_sectors_and_span() -> None:
    series = Dataset.open(sample_uri()).series()
    assert {one.first for one in series} == {datetime(1990, 1, 2, tzinfo=UTC)}
    assert {one.last for one in series} == {datetime(2022, 12, 28, tzinfo=UTC)}
    assert len({one.sector for one in series}) == 7
    assert {one.gaps for one in series} == {0}


def test_licence_and_size() -> None:
    folder = Path(sample_uri()).parent
    assert "BSD 3-Clause" in (folder / "LICENSE-skfolio.txt").read_text()
    assert Path(sample_uri()).stat().st_size < 2_000_000
