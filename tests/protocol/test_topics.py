"""Topic files: what is read is what was written, and what is wrong is named."""

import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ConfigError
from protocol.topics import MAX_HORIZON, Topic, builtin_topics, load_topic, topic_from_dict

MINIMAL = {"name": "a", "type": "ohlcv-1h", "broker": "b", "horizon": 1}
WORDS = st.text("abcXYZ/:0-", min_size=1, max_size=8)


@given(
    st.builds(
        Topic,
        name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
        type=WORDS,
        broker=WORDS,
        horizon=st.integers(1, MAX_HORIZON),
        sectors=st.lists(WORDS, unique=True).map(sorted).map(tuple),
        symbols=st.lists(WORDS, unique=True).map(sorted).map(tuple),
        features=WORDS,
        title=st.text(),
        screen=st.floats(0, 1, exclude_min=True),
    )
)
def test_a_topic_survives_a_journal(topic):
    assert topic_from_dict(json.loads(json.dumps(topic.to_dict())), "journal") == topic


def test_a_file_is_read_and_the_order_of_names_does_not_matter(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text('name="a"\ntype="ohlcv-1h"\nbroker="b"\nhorizon=24\nsector="one"\nsymbols=["Z","A"]\n')
    topic = load_topic(path)
    assert (topic.sectors, topic.symbols, topic.horizon, topic.features) == (("one",), ("A", "Z"), 24, "standard-1")


def test_a_topic_says_how_strict_its_screen_is_where_it_is_not_as_usual():
    assert topic_from_dict({**MINIMAL, "screen": 1}, "t").to_dict()["screen"] == 1.0
    assert topic_from_dict({**MINIMAL, "screen": 0.5}, "t").screen == 0.5
    for usual in ({}, {"screen": 0.05}):
        assert "screen" not in topic_from_dict({**MINIMAL, **usual}, "t").to_dict()


def test_what_was_hashed_before_topics_had_a_screen_has_its_hash():
    plain = json.dumps(builtin_topics()["us-daily"].to_dict())
    assert (
        hashlib.sha256(plain.encode()).hexdigest() == "ac345bc21712fa12f6f830dd32a70d92a0ff2ea8b027f6f9437b7e908b3ca048"
    )


def test_builtin_topics_are_named_as_they_say_and_one_ships_for_the_sample():
    topics = builtin_topics()
    assert "us-daily" in topics
    assert all(name == topic.name and topic.title for name, topic in topics.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, r"horizon is 0; write a number of bars from 1 to 10000"),
        ({"horizon": True}, "horizon is True"),
        ({"horizon": "24"}, "horizon is '24'"),
        ({"horizon": MAX_HORIZON + 1}, "horizon is 10001"),
        ({"name": "Not A Slug"}, "is not a slug"),
        ({"name": "a\n"}, "is not a slug"),
        ({"name": None}, "name is None; write a text"),
        ({"type": ""}, "type is ''; write a text"),
        ({"broker": 3}, "broker is 3; write a text"),
        ({"sector": 3}, "sector is 3"),
        ({"symbols": ["A", ""]}, "symbols is"),
        ({"symbols": ["A", "A"]}, "symbols names something twice"),
        ({"screen": 0}, "screen is 0; write a chance above 0, at most 1; the usual is 0.05"),
        ({"screen": 2}, "screen is 2"),
        ({"screen": -0.1}, "screen is -0.1"),
        ({"screen": "x"}, "screen is 'x'"),
        ({"screen": math.nan}, "screen is nan"),
        ({"screen": math.inf}, "screen is inf"),
        ({"screen": True}, "screen is True"),
        ({"screen": None}, "screen is None"),
        ({"sectors": ["x"]}, "unknown key 'sectors'; known: name"),
    ],
)
def test_a_wrong_value_is_named_with_its_file(change, message):
    with pytest.raises(ConfigError, match=rf"here\.toml: .*{message}"):
        topic_from_dict({**MINIMAL, **change}, "here.toml")


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"name = 'a'\nname = 'b'"])
def test_a_file_that_is_not_toml_is_named(tmp_path, content):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        load_topic(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "no.toml", tmp_path):
        with pytest.raises(ConfigError, match=f"topic file {path}: .*see `ltminer topics`"):
            load_topic(path)
