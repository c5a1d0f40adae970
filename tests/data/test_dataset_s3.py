"""The same dataset on S3: a loopback server, pyarrow for data, conditional puts for HEAD."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from made_series import HOUR, START, hourly, with_value

from data.checks import check
from data.dataset import Dataset
from data.filesystem import S3Storage
from data.root import leaves_of, root_of
from protocol.errors import ClusterError, ConfigError, DataError

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = request.node.name.replace("_", "-").lower()[:60].strip("-")
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/ltds/made"


def test_append_read_and_check(bucket: str) -> None:
    first = Dataset.create(bucket).append(hourly(), source="made")
    second = first.append(hourly("ETH/USDT", seed=1))
    assert first.read().equals(hourly())
    again = Dataset.open(bucket)
    assert again.root == second.root == root_of(leaves_of(again.read()))
    assert again.read(symbols=["ETH/USDT"]).equals(hourly("ETH/USDT", seed=1))
    assert Dataset.open(bucket, first.root).read().equals(hourly())
    assert again.append(hourly()).root == second.root
    with pytest.raises(DataError, match="other values"):
        again.append(with_value(hourly(), "volume", 0, 9.0))
    view = Dataset.open(f"{bucket}?until=2023-01-02")
    assert Dataset.open(view.uri, view.root).read(symbols=["BTC/USDT"]).equals(hourly(n=24))
    report = check(bucket, now=START + 10_000 * HOUR)
    assert (report.root, report.errors) == (second.root, [])


def test_a_bare_tree(bucket: str) -> None:
    dataset = Dataset.create(bucket).append(hourly())
    (entry,) = dataset.entries
    content = dataset.storage.read(entry.path)
    assert content is not None
    bare = bucket.replace("made", "bare")
    S3Storage(bare).write("type=ohlcv-1h/broker=binance/2023.parquet", content)
    assert Dataset.open(bare).root == dataset.root
    with pytest.raises(DataError, match="no manifests"):
        Dataset.open(bare).append(hourly())


def test_nothing_there(bucket: str) -> None:
    with pytest.raises(DataError, match="no dataset there"):
        Dataset.open(bucket)
    with pytest.raises(DataError, match="s3://bucket/path"):
        Dataset.open("s3://only-a-bucket")
    with pytest.raises(ClusterError, match=r"NoSuchBucket|does not exist"):
        Dataset.open("s3://there-is-no-such-bucket/x")


def test_head_moves_only_from_the_state_that_was_seen(bucket: str) -> None:
    storage = S3Storage(bucket)
    assert storage.move_head("a" * 64, None)
    assert not storage.move_head("b" * 64, None)
    root, tag = storage.head()
    assert root == "a" * 64
    assert storage.move_head("b" * 64, tag)
    assert not storage.move_head("c" * 64, tag)
    assert storage.head()[0] == "b" * 64


def test_two_appenders_lose_nothing(bucket: str) -> None:
    def append(side: str) -> None:
        for number in range(3):
            Dataset.create(bucket).append(hourly(f"{side}{number}/USD", n=3))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(append, "AB"))
    assert [one.symbol for one in Dataset.open(bucket).series()] == [f"{s}{n}/USD" for s in "AB" for n in range(3)]


def test_without_boto3_the_extra_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "boto3":
            raise ImportError(name)
        return original(name, *args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.delitem(sys.modules, "boto3")
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"install longtail\[s3\]"):
        Dataset.open(bucket)


def test_a_server_that_is_not_there(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ClusterError, match="check address"):
        Dataset.open(bucket)
