"""What is remembered is all there is: whoever starts from the file goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_answers import World, world

from fund.inference import ask, settle
from fund.memory import digest, dump, load, restore, save
from fund.topic_state import TopicState
from protocol.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def made() -> World:
    return world(24, np.array([0.3, 0.1, -0.1]), symbols=6, horizon=2)


def whole(made: World) -> TopicState:
    return list(made.run(range(24)))[-1][0]


def test_a_state_comes_back_bit_by_bit_after_every_step(made: World) -> None:
    through = list(made.run(range(24), load(dump(made.start())), between=lambda state: load(dump(state))))
    straight = list(made.run(range(24)))
    for (ours, one, _), (theirs, other, _) in zip(through, straight, strict=True):
        assert dump(ours) == dump(theirs)
        np.testing.assert_array_equal(one.value, other.value)
        assert (one.shares, one.absent) == (other.shares, other.absent)


class KilledError(Exception):
    pass


@settings(max_examples=10)
@given(st.sets(st.integers(0, 200), min_size=1, max_size=20))
def test_killed_anywhere_and_started_again_it_ends_the_same(
    tmp_path_factory: pytest.TempPathFactory, made: World, kills: set[int]
) -> None:
    """Killed before or after a step is written; the next start reads the file and does that step again or not."""
    path = tmp_path_factory.mktemp("killed") / "topic.npz"
    moments = iter(range(10_000))
    said: dict[int, bytes] = {}

    def moment() -> None:
        if next(moments) in kills:
            raise KilledError

    def cycle() -> None:
        state = restore(path) or made.start()
        for bar in range(24):
            if made.time(bar) < state.asked:
                continue
            while state.pending and state.pending[0].time <= made.time(made.due(bar)):
                old = state.pending[0].time
                state, _ = settle(
                    state, old, made.truth[(old - made.time(0)) // made.start().interval], asof=made.time(bar + 1)
                )
                moment()
                save(path, state)
                moment()
            state, inference = ask(state, made.answers(bar))
            moment()
            save(path, state)
            moment()
            assert said.setdefault(bar, inference.value.tobytes()) == inference.value.tobytes()

    while True:
        try:
            cycle()
        except KilledError:
            continue
        break
    final = restore(path)
    assert final
    assert digest(final) == digest(whole(made))


def test_a_missing_file_is_no_memory_and_a_folder_is_made(made: World, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "topic.npz"
    assert restore(path) is None
    save(path, made.start())
    found = restore(path)
    assert found
    assert digest(found) == digest(made.start())
    assert [one.name for one in path.parent.iterdir()] == ["topic.npz"]


@pytest.mark.parametrize("where", [0, 0.01, 0.3, 0.5, 0.7, 0.99])
def test_damage_is_noticed(made: World, where: float) -> None:
    content = bytearray(dump(whole(made)))
    content[int(where * (len(content) - 1))] ^= 1
    try:
        found = load(bytes(content), "memory of made")
    except DataError as error:
        assert "memory of made is damaged" in str(error)
    else:
        assert digest(found) == digest(whole(made)), "the bit was in no content: padding or a time stamp"


@pytest.mark.parametrize("cut", [0, 1, 100, 5000, -1])
def test_a_torn_file_is_refused(made: World, cut: int) -> None:
    with pytest.raises(DataError, match="damaged"):
        load(dump(whole(made))[:cut])


def test_another_format_is_named(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fund.memory.FORMAT", 7)
    content = dump(made.start())
    monkeypatch.undo()
    with pytest.raises(DataError, match="format 7"):
        load(content)


def test_no_pickle_is_ever_read(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, facts=np.array([print], dtype=object))
    with pytest.raises(DataError, match="damaged"):
        restore(path)


def test_what_cannot_be_written_or_read_is_said(made: World, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write"):
        save(tmp_path / "file" / "topic.npz", made.start())
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="readable"):
        restore(tmp_path / "folder")
