"""A topic: what is to be predicted, for which series, how far ahead.

Topics are small TOML files::

    name = "layer1-24h"
    title = "Layer-1 perpetuals, one day ahead"
    type = "ohlcv-1h"
    broker = "binanceusdm"
    sector = ["layer1"]        # omitted: every sector
    symbols = []               # omitted or empty: every symbol of the sectors
    horizon = 24               # bars
    features = "standard-1"
    screen = 0.05              # omitted: 0.05
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from protocol.errors import ConfigError
from protocol.spending import ALPHA

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
MAX_HORIZON = 10_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One prediction task.

    Attributes
    ----------
    name : str
        Slug, unique among the topics of a network.
    type : str
        Series type, kind-interval, as in ``ltds-1`` (``ohlcv-1h``).
    broker : str
        Broker slug.
    horizon : int
        Bars from entry to exit of the target.
    sectors, symbols : tuple of str
        Empty means all.
    features : str
        Versioned feature set.
    title : str
        One line for people.
    screen : float
        Chance that ever any of all submissions without skill passes the screen, in (0, 1]: how strict the topic is. At 1 it
        is open: whatever is valid and original is accepted.
    """

    name: str
    type: str
    broker: str
    horizon: int
    sectors: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    features: str = "standard-1"
    title: str = ""
    screen: float = ALPHA

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values in a fixed order, so that a topic can be hashed and journaled.

        The usual `screen` is left out, so that hashes from before it could be chosen stay as they are.
        """
        plain = {
            "name": self.name,
            "title": self.title,
            "type": self.type,
            "broker": self.broker,
            "sector": list(self.sectors),
            "symbols": list(self.symbols),
            "horizon": self.horizon,
            "features": self.features,
        }
        return plain if self.screen == ALPHA else {**plain, "screen": self.screen}


def _words(raw: dict[str, Any], key: str, source: str) -> tuple[str, ...]:
    value = raw.pop(key, [])
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise ConfigError(f"{source}: {key} is {value!r}; write a name or a list of names")
    if len(set(value)) != len(value):
        raise ConfigError(f"{source}: {key} names something twice; remove the repetition")
    return tuple(sorted(value))


def topic_from_dict(raw: dict[str, Any], source: str) -> Topic:
    """Check the values of a topic file (or of a journal) and return the topic.

    Raises
    ------
    ConfigError
        A key is unknown, missing or of the wrong kind; the message names `source`.
    """
    raw = dict(raw)
    sectors, symbols = _words(raw, "sector", source), _words(raw, "symbols", source)
    horizon = raw.pop("horizon", None)
    if type(horizon) is not int or not 1 <= horizon <= MAX_HORIZON:
        raise ConfigError(f"{source}: horizon is {horizon!r}; write a number of bars from 1 to {MAX_HORIZON}")
    screen = raw.pop("screen", ALPHA)
    if type(screen) not in (int, float) or not 0 < screen <= 1:  # what is compared with nan is false
        raise ConfigError(f"{source}: screen is {screen!r}; write a chance above 0, at most 1; the usual is {ALPHA}")
    texts = {key: raw.pop(key, default) for key, default in _TEXTS.items()}
    for key, value in texts.items():
        if not isinstance(value, str) or (not value and key != "title"):
            raise ConfigError(f"{source}: {key} is {value!r}; write a text")
    if raw:
        raise ConfigError(f"{source}: unknown key {sorted(raw)[0]!r}; known: {', '.join(_KEYS)}")
    if not NAME.match(texts["name"]):
        raise ConfigError(f"{source}: name {texts['name']!r} is not a slug; use a-z, 0-9 and '-', at most 63")
    return Topic(horizon=horizon, sectors=sectors, symbols=symbols, screen=float(screen), **texts)


_TEXTS: dict[str, str | None] = {"name": None, "title": "", "type": None, "broker": None, "features": "standard-1"}
_KEYS = (*_TEXTS, "sector", "symbols", "horizon", "screen")


def load_topic(path: Path) -> Topic:
    """Read one topic file.

    Raises
    ------
    ConfigError
        The file is missing, is not UTF-8 TOML, or does not describe a topic.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"topic file {path}: {error.strerror}; see `ltminer topics`") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"topic file {path} is not TOML: {error}") from error
    return topic_from_dict(raw, str(path))


def builtin_topics() -> dict[str, Topic]:
    """Return the topics that ship with the package, by name."""
    folder = resources.files("protocol") / "builtin_topics"
    topics = [
        topic_from_dict(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    ]
    return {topic.name: topic for topic in sorted(topics, key=lambda topic: topic.name)}
