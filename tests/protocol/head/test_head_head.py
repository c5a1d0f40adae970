from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_heads import ADDRESS, EMPTY, GENESIS, MODELS, TOPIC, head, prediction, predictions, topics

from protocol.errors import RefusedError
from protocol.head.claims import Claims
from protocol.head.head import MAX_HEAD_BYTES, Head, HeadModel, HeadTopic, prove_prediction
from protocol.head.merkle import EMPTY_ROOT, Proof, root
from protocol.head.units import NANO


def test_a_head_without_models_is_valid_and_says_so() -> None:
    empty = head(**EMPTY)
    assert (empty.prediction_count, empty.reward_accounts, empty.reward_total) == (0, 0, 0)
    assert empty.predictions_root == empty.rewards_root == empty.models_root == EMPTY_ROOT
    assert Head.from_json(empty.text) == empty
    silent = head(**{**EMPTY, "topics": (HeadTopic(TOPIC, ()),)})
    assert Head.from_json(silent.text).topics[0].models == ()
    assert silent.hash != empty.hash
    assert silent.models_root == empty.models_root


def test_a_head_reads_back_and_its_hash_is_that_of_its_text() -> None:
    one = head()
    assert Head.from_json(one.text) == Head.from_json(one.text.encode()) == one
    assert one.hash == hashlib.sha256(one.text.encode()).hexdigest()


def test_parts_may_come_in_any_order() -> None:
    several = [*topics(*MODELS[:2]), HeadTopic("aaa", ())]
    one = head(topics=several, predictions=predictions(5))
    assert head(topics=several[::-1], predictions=predictions(5)[::-1]) == one
    assert [topic.topic for topic in one.topics] == ["aaa", TOPIC]


CHANGES: dict[str, Any] = {
    "period": 2_833_345,
    "parent": "01" * 32,
    "height": 18,
    "ledger": "02" * 32,
    "data_root": "03" * 32,
    "topics": topics(*MODELS[:3]),
    "predictions_root": "04" * 32,
    "prediction_count": 4,
    "rewards_root": "05" * 32,
    "reward_accounts": 3,
    "reward_total": 1,
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_is_in_the_hash(name: str) -> None:
    assert set(CHANGES) == set(Head.__slots__)
    assert replace(head(), **{name: CHANGES[name]}).hash != head().hash


def model(**changes: Any) -> HeadModel:
    return HeadModel(**({"hash": MODELS[0], "role": "crowned", "weight": NANO} | changes))


@pytest.mark.parametrize(
    "make",
    [
        lambda: head(period=-1),
        lambda: head(period=2**63),
        lambda: head(period=1.0),
        lambda: head(parent="ab"),
        lambda: head(parent="AB" * 32),
        lambda: head(ledger=None),
        lambda: head(height=True),
        lambda: head(data_root=""),
        lambda: replace(head(), prediction_count=0),
        lambda: replace(head(), prediction_count=-1),
        lambda: replace(head(**EMPTY), reward_accounts=1),
        lambda: replace(head(), reward_total=2**256),
        lambda: replace(head(), topics=(HeadTopic("b", ()), HeadTopic("a", ()))),
        lambda: head(topics=(*topics(*MODELS[:2]), *topics(*MODELS[:2]))),
        lambda: HeadTopic("No Slug", ()),
        lambda: HeadTopic("a", (model(), model())),
        lambda: HeadTopic("a", (model(hash=MODELS[1]), model())),
        lambda: model(hash="00"),
        lambda: model(role="dropped"),
        lambda: model(role=["crowned"]),
        lambda: model(weight=0),
        lambda: model(weight=NANO + 1),
        lambda: model(weight=0.5),
        lambda: head(topics=()),
        lambda: head(predictions=[prediction(models=((MODELS[2], NANO),))]),
        lambda: head(predictions=[prediction(), prediction()]),
        lambda: head(
            topics=(*topics(*MODELS[:2]), HeadTopic("z", tuple(model(hash=f"{i:064x}") for i in range(10_000))))
        ),
    ],
)
def test_bad_heads_cannot_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(RefusedError):
        make()


TEXT = head().text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        TEXT + "\n",
        TEXT.replace(":", ": ", 1),
        TEXT.replace('"version":1', '"version":2'),
        TEXT.replace('"version":1', '"version":true'),
        TEXT.replace('"version":1', '"version":1.0'),
        TEXT.replace('"height":17', '"height":17,"height":17'),
        TEXT.replace('"height":17', '"hight":17'),
        TEXT.replace('"height":17', '"height":"17"'),
        TEXT.replace('"crowned"', '"deposed"'),
        TEXT.replace(f'"weight":{NANO}', f'"weight":{NANO - 5}'),  # models_root does not fit any more
        TEXT.replace(head().models_root, "ab" * 32),
        TEXT.replace(head().models_root, ""),
        head(**EMPTY).text.replace('"topics":[]', '"topics":{}'),
        head(**EMPTY).text.replace('"topics":[]', '"topics":[[]]'),
        head(**EMPTY).text.replace('"topics":[]', '"topics":[{"models":[1],"topic":"a"}]'),
        head(**EMPTY).text.replace('"topics":[]', '"topics":[{"models":[],"topic":null}]'),
        "{" + '"a":{' * 5_000,
        " " * (MAX_HEAD_BYTES + 1),
    ],
)
def test_what_is_not_the_canonical_text_of_a_head_is_refused(text: str) -> None:
    assert text != TEXT
    with pytest.raises(RefusedError):
        Head.from_json(text)


@given(st.integers(1, 20), st.data())
def test_predictions_are_proved_and_nothing_else_is(count: int, data: st.DataObject) -> None:
    made = predictions(count)
    stamped = head(predictions=made)
    one = data.draw(st.sampled_from(made))
    proof = prove_prediction(made[::-1], one)
    stamped.check_prediction(one, proof)
    other = head(predictions=[*made, prediction(symbol="T")])
    for bad in (
        lambda: stamped.check_prediction(replace(one, value=one.value + 1), proof),
        lambda: other.check_prediction(one, proof),
        lambda: head(**{**EMPTY, "topics": topics(*MODELS[:2])}).check_prediction(one, proof),
        lambda: stamped.check_prediction(one, Proof(0, count, (*proof.path, EMPTY_ROOT))),
        lambda: prove_prediction(made, replace(one, value=10**9)),
    ):
        with pytest.raises(RefusedError):
            bad()


def test_heads_follow_each_other() -> None:
    first = head()
    first.check_follows(None, GENESIS)
    more = Claims({ADDRESS["ann"]: 10**20, ADDRESS["ben"]: 8})
    second = head(period=first.period + 3, parent=first.hash, height=18, claims=more)
    second.check_follows(first, GENESIS)
    head(period=first.period + 1, parent=first.hash).check_follows(first, GENESIS)
    for bad, before in (
        (head(parent="11" * 32), None),
        (second, None),
        (head(period=first.period + 1), first),
        (head(parent=first.hash), first),
        (head(period=first.period + 1, parent=first.hash, height=16), first),
        (head(period=first.period + 1, parent=first.hash, ledger="12" * 32), first),
        (head(period=first.period + 1, parent=first.hash, claims=Claims()), first),
        (head(period=first.period + 1, parent=first.hash, claims=Claims({ADDRESS["ann"]: 2 * 10**20})), first),
        (
            head(period=first.period + 1, parent=first.hash, claims=Claims({ADDRESS["ann"]: 5, ADDRESS["ben"]: 7})),
            first,
        ),
    ):
        with pytest.raises(RefusedError, match="HEAD"):
            bad.check_follows(before, GENESIS)


def test_the_root_of_models_is_of_their_canonical_json() -> None:
    leaves = [
        f'{{"hash":"{block}","role":"{role}","topic":"us-daily","weight":{weight}}}'.encode()
        for block, role, weight in ((MODELS[0], "crowned", NANO), (MODELS[1], "provisional", NANO - 1))
    ]
    assert head().models_root == root(leaves)
