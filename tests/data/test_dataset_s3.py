"""The same dataset on S3: a loopback server, pyarrow for parts of files, conditional puts for everything that is written."""

from __future__ import annotations

import builtins
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from made_series import HOUR, START, hourly, with_value

from benchmarks.loopback_s3 import LoopbackS3
from data import appending
from data.checks import check
from data.dataset import Dataset
from data.filesystem import S3Storage, head_of, move_head
from data.root import leaves_of, root_of
from data.synthetic import synthetic
from protocol.errors import ClusterError, ConfigError, DataError

pytest.importorskip("boto3")


@pytest.fixture
def place(bucket: str) -> str:
    return f"{bucket}/ltds/made"


def test_append_read_and_check(place: str) -> None:
    first = Dataset.create(place).append(hourly(), source="made")
    second = first.append(hourly("ETH/USDT", seed=1))
    assert first.read().equals(hourly())
    again = Dataset.open(place)
    assert again.root == second.root == root_of(leaves_of(again.read()))
    assert again.read(symbols=["ETH/USDT"]).equals(hourly("ETH/USDT", seed=1))
    assert Dataset.open(place, first.root).read().equals(hourly())
    assert again.append(hourly()).root == second.root
    with pytest.raises(DataError, match="other values"):
        again.append(with_value(hourly(), "volume", 0, 9.0))
    view = Dataset.open(f"{place}?until=2023-01-02")
    assert Dataset.open(view.uri, view.root).read(symbols=["BTC/USDT"]).equals(hourly(n=24))
    report = check(place, now=START + 10_000 * HOUR)
    assert (report.root, report.errors) == (second.root, [])


def test_a_bare_tree(place: str) -> None:
    dataset = Dataset.create(place).append(hourly())
    (entry,) = dataset.entries
    content = dataset.storage.read(entry.path)
    assert content is not None
    bare = place.replace("ltds/made", "ltds/bare")
    S3Storage(bare).write("type=ohlcv-1h/broker=binance/2023.parquet", content)
    assert Dataset.open(bare).root == dataset.root
    with pytest.raises(DataError, match="no manifests"):
        Dataset.open(bare).append(hourly())


def test_nothing_there(place: str) -> None:
    with pytest.raises(DataError, match="no dataset there"):
        Dataset.open(place)
    with pytest.raises(DataError, match="s3://bucket/path"):
        Dataset.open("s3://only-a-bucket")
    with pytest.raises(ConfigError, match="does not exist; create it"):
        Dataset.open("s3://there-is-no-such-bucket/x")


def test_head_moves_only_from_the_state_that_was_seen(place: str) -> None:
    storage = S3Storage(place)
    assert move_head(storage, "a" * 64, None)
    assert not move_head(storage, "b" * 64, None)
    root, tag = head_of(storage)
    assert root == "a" * 64
    assert move_head(storage, "b" * 64, tag)
    assert not move_head(storage, "c" * 64, tag)
    assert head_of(storage)[0] == "b" * 64


def test_two_appenders_lose_nothing(place: str) -> None:
    def append(side: str) -> None:
        for number in range(3):
            Dataset.create(place).append(hourly(f"{side}{number}/USD", n=3))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(append, "AB"))
    assert [one.symbol for one in Dataset.open(place).series()] == [f"{s}{n}/USD" for s in "AB" for n in range(3)]


@pytest.mark.parametrize("lost", range(4), ids=["data", "leaves", "manifest", "HEAD"])
def test_an_append_whose_answer_is_lost_is_whole(place: str, s3: LoopbackS3, lost: int) -> None:
    Dataset.create(place).append(hourly("A/USD", n=5))
    s3.reset()
    s3.losing = [number == lost for number in range(4)]
    after = Dataset.create(place).append(hourly("B/USD", n=5))
    assert s3.losing == []
    assert len([line for line in s3.requests if line.startswith("PUT")]) == 5
    assert [one.symbol for one in Dataset.open(place, after.root).series()] == ["A/USD", "B/USD"]
    assert check(place, now=START + 10_000 * HOUR).errors == []


def test_two_writers_of_the_same_rows_keep_one_manifest(place: str) -> None:
    first = Dataset.create(place).append(hourly(n=10))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: first.append(hourly("ETH/USDT"), source=f"source {k}"), range(4)))
    stored = Dataset.open(place)
    assert {one.root for one in found} == {stored.root}
    assert all(one.manifest == stored.manifest for one in found), "what was returned is what is there"


def test_cuts_of_two_writers_are_both_kept(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, original, others = (
        Dataset.create(place).append(hourly()),
        appending._next,
        [{"equities-*": "2029-01-01T00:00:00+00:00"}],
    )

    def raced(*args: Any, **kwargs: Any) -> Any:
        version = original(*args, **kwargs)
        if others:
            first.append(hourly(), cuts=others.pop())
        return version

    monkeypatch.setattr(appending, "_next", raced)
    after = first.append(hourly(), cuts={"crypto-*": "2029-01-01T00:00:00+00:00"})
    assert after.manifest is not None
    assert set(after.manifest.cuts) == {"crypto-*", "equities-*"}
    assert Dataset.open(place).manifest == after.manifest


def test_a_damaged_object_is_not_built_upon(place: str) -> None:
    dataset = Dataset.create(place).append(hourly())
    assert dataset.root
    later = dataset.append(hourly("ETH/USDT"))
    storage = S3Storage(place)
    names = {entry.path for entry in later.entries} - {entry.path for entry in dataset.entries}
    storage._objects.swap(names.pop(), b"PAR1 rubbish", storage.state(later.entries[0].path)[1])
    assert move_head(storage, dataset.root, head_of(storage)[1])
    assert storage._objects.connect().delete_object(Bucket="made-bucket", Key=f"ltds/made/manifests/{later.root}.json")
    with pytest.raises(DataError, match="is there with other content and never changes; remove it"):
        dataset.append(hourly("ETH/USDT"))


def verify(uri: str, acknowledged: set[str]) -> None:
    """The newest version is what its manifest, leaves and root say, and holds whatever was acknowledged."""
    report = check(uri, now=START + 10_000 * HOUR)
    assert report.errors == [], report.to_dict()
    assert report.root
    leaves = Dataset.open(uri, report.root).leaves
    assert root_of(leaves) == report.root
    assert acknowledged <= {key.split("\t")[2] for key in leaves}


def append_and_die(uri: str, side: str, count: int, kills: int) -> int:
    """Return how often an appender was killed; the dataset is verified after each time."""
    words = [sys.executable, str(Path(__file__).with_name("appender.py")), uri, side, str(count), str(kills)]
    acknowledged, killed = set[str](), 0
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            if line == "killed\n":
                killed += 1
                verify(uri, acknowledged)
                process.stdin.write("go on\n")
                process.stdin.flush()
            else:
                acknowledged.add(line.strip())
    assert process.returncode == 0
    verify(uri, acknowledged)
    return killed


def killed_over_and_over(uri: str, count: int, kills: int) -> None:
    """Two processes append at once and are killed; whatever they were told stays true, and all is in at the end."""
    Dataset.create(uri).append(hourly())
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda side: append_and_die(uri, side, count, kills), "AB")) == [kills, kills]
    every = {f"{side}{number}/USD" for side in "AB" for number in range(count)}
    assert {one.symbol for one in Dataset.open(uri).series()} == every | {"BTC/USDT"}


def test_two_processes_that_are_killed_lose_nothing(place: str) -> None:
    killed_over_and_over(place, count=4, kills=3)


@pytest.mark.slow
def test_two_processes_that_are_killed_for_long_lose_nothing(place: str) -> None:
    killed_over_and_over(place, count=40, kills=25)


def test_without_boto3_the_extra_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "boto3":
            raise ImportError(name)
        return original(name, *args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.delitem(sys.modules, "boto3")
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"install longtail\[s3\]"):
        Dataset.open(place)


def test_a_server_that_is_not_there(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ClusterError, match="check address"):
        Dataset.open(place)


# ------------------------------------------------------------------------------------------------ what goes over the wire


def test_a_filtered_read_fetches_what_it_needs(place: str, s3: LoopbackS3) -> None:
    """One symbol of 50, two columns of five: 350 kB of 8.5 MB, 4.1 %, with footer, manifest and headers."""
    dataset = Dataset.create(place).append(synthetic("noise", n_symbols=50, n_bars=4380))
    stored = sum(entry.bytes for entry in dataset.entries)
    symbol = dataset.series()[20].symbol
    s3.reset()
    table = Dataset.open(place).read(type="ohlcv-1h", symbols=[symbol], columns=["close", "volume"])
    assert table.num_rows == 4380
    assert s3.sent < 0.1 * stored
    s3.reset()
    Dataset.open(place).read()
    assert stored < s3.sent < 1.1 * stored


LOADERS = """
import os, sys
from pathlib import Path
import data.filesystem, pyarrow.dataset, pyarrow.fs
from data.panel import load_panel
from protocol.topics import Topic

topic = Topic(name="made", type="ohlcv-1h", broker="synthetic", horizon=1)
for line in sys.stdin:
    children = []
    for _ in range(int(line)):
        children.append(os.fork())
        if not children[-1]:
            rows = load_panel(sys.argv[1], sys.argv[2], topic, Path(sys.argv[3])).time.size
            os._exit(0 if rows > 4000 else 1)
    print([os.waitpid(child, 0)[1] for child in children], flush=True)
"""


def test_workers_of_a_home_fetch_a_panel_once(place: str, s3: LoopbackS3, tmp_path: Path) -> None:
    """Processes that start at once share one fetch, later ones fetch nothing, and a damaged entry is fetched anew."""
    dataset = Dataset.create(place).append(synthetic("noise", n_symbols=6, n_bars=900))
    stored = sum(entry.bytes for entry in dataset.entries)
    data = [f"GET /made-bucket/ltds/made/{entry.path}" for entry in dataset.entries]
    words = [sys.executable, "-c", LOADERS, place, str(dataset.root), str(tmp_path / "panels")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loaders:

        def load(processes: int) -> None:
            assert loaders.stdin is not None
            assert loaders.stdout is not None
            s3.reset()
            loaders.stdin.write(f"{processes}\n")
            loaders.stdin.flush()
            assert loaders.stdout.readline() == f"{[0] * processes}\n"

        load(4)
        assert stored < s3.sent < 1.5 * stored
        assert set(data) <= set(s3.requests)
        load(2)
        assert (s3.requests, s3.sent) == ([], 0)
        (entry,) = (folder for folder in (tmp_path / "panels").iterdir() if folder.is_dir())
        content = bytearray((entry / "features.npy").read_bytes())
        content[-9] ^= 1
        (entry / "features.npy").write_bytes(content)
        load(1)
        assert set(data) <= set(s3.requests)
        load(1)
        assert (s3.requests, s3.sent) == ([], 0)
