"""Conditional puts against a simulated S3: nothing is overwritten unseen, and a lost answer is no foreign write."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks.loopback_s3 import LoopbackS3
from infra import objects as module
from infra.objects import Objects, read_named
from protocol.errors import ClusterError, ConfigError, DataError, RefusedError

pytest.importorskip("boto3")


@pytest.fixture
def place(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Objects:
    monkeypatch.setattr(module, "PAUSE_S", 0)
    return Objects(f"{bucket}/below")


def test_an_object_is_created_once_and_kept(place: Objects) -> None:
    assert place.get("a/b") is None
    assert place.create("a/b", b"first") is True
    assert place.create("a/b", b"first") is False
    for other in (b"other", b"longer than it"):
        with pytest.raises(DataError, match=r"s3://made-bucket/below/a/b is there with other content"):
            place.create("a/b", other)
    assert place.get("a/b") == (b"first", place.get("a/b")[1])  # type: ignore[index]  # it is there
    assert place.get("a/b", 2)[0] == b"fi"  # type: ignore[index]


def test_a_swap_takes_the_state_it_was_told(place: Objects) -> None:
    first = place.swap("x", b"1", None)
    assert first
    assert place.swap("x", b"2", None) is None
    second = place.swap("x", b"2", first)
    assert second
    assert place.swap("x", b"3", first) is None
    assert place.get("x") == (b"2", second)
    assert place.swap("absent", b"1", second) is None
    assert place.swap("x", b"2", first) == second  # what was wanted is there


def test_one_of_many_swaps_wins(place: Objects) -> None:
    with ThreadPoolExecutor(8) as pool:
        tags = list(pool.map(lambda k: place.swap("x", b"%d" % k, None), range(8)))
    assert sum(tag is not None for tag in tags) == 1


def test_a_put_whose_answer_is_lost_is_ours(place: Objects, s3: LoopbackS3) -> None:
    s3.losing = [True]
    assert place.create("a", b"content") in {True, False}
    s3.losing = [True]
    tag = place.swap("b", b"1", None)
    assert place.get("b") == (b"1", tag)
    s3.losing = [True]
    assert place.swap("b", b"2", tag) == place.get("b")[1]  # type: ignore[index]
    assert s3.losing == []
    assert len([line for line in s3.requests if line.startswith("PUT")]) == 6, "each was asked twice"


def test_a_put_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    exceptions = pytest.importorskip("botocore.exceptions")
    monkeypatch.setattr(module, "PAUSE_S", 0)
    conflict = ("ConditionalRequestConflict", 409)
    answers: list[tuple[str, int]] = []

    class Busy:
        def answer(self, code: str, status: int) -> None:
            raise exceptions.ClientError(
                {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
            )

        def put_object(self, **_: Any) -> dict[str, str]:
            if answers:
                self.answer(*answers.pop(0))
            return {"ETag": "tag"}

        def head_object(self, **_: Any) -> None:
            self.answer("404", 404)

        def get_object(self, **_: Any) -> None:
            self.answer("NoSuchKey", 404)

    place = Objects("s3://bucket", Busy())
    answers += [conflict] * 3
    assert place.create("key", b"") is True
    answers += [conflict] * 3
    assert place.swap("key", b"", None) == "tag"
    for put in (lambda: place.create("key", b""), lambda: place.swap("key", b"", None)):
        answers[:] = [conflict] * module.TRIES
        with pytest.raises(ClusterError, match="written by others all the time"):
            put()


def test_what_is_wrong_is_said(place: Objects, s3: LoopbackS3, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("", "bucket/path", "s3://", "s3:///path"):
        with pytest.raises(ConfigError, match="write s3://BUCKET/PATH"):
            Objects(wrong)
    for action in (lambda at: at.get("x"), lambda at: at.create("x", b""), lambda at: at.swap("x", b"", None)):
        with pytest.raises(ConfigError, match="the bucket no-such-bucket does not exist; create it"):
            action(Objects("s3://no-such-bucket/p"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3.refusing = True
    with pytest.raises(ClusterError, match=r"cannot write s3://made-bucket/p/x: .*check address"):
        Objects("s3://made-bucket/p").create("x", b"")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ClusterError, match=r"cannot read s3://made-bucket/p/x: .*check address"):
        Objects("s3://made-bucket/p").get("x")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # which remembers credentials
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="check the AWS configuration"):
        Objects("s3://made-bucket/p").get("x")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigError, match="no AWS credentials; run `aws configure`"):
        Objects("s3://made-bucket/p").get("x")


def test_an_object_is_what_its_name_says(place: Objects) -> None:
    content = b"some text"
    name = f"{hashlib.sha256(content).hexdigest()}.py"
    place.create(name, content)
    assert read_named(place.address(name), ".py", 100) == content
    with pytest.raises(RefusedError, match="has more than 8 bytes"):
        read_named(place.address(name), ".py", 8)
    with pytest.raises(ConfigError, match="must be the sha256"):
        read_named(place.address("pipeline.py"), ".py", 100)
    with pytest.raises(ConfigError, match="does not exist"):
        read_named(place.address(f"{'0' * 64}.py"), ".py", 100)
    place.create(f"{'0' * 64}.py", content)
    with pytest.raises(DataError, match="is damaged: its sha256 is"):
        read_named(place.address(f"{'0' * 64}.py"), ".py", 100)
