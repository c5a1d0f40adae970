"""Topics by name: those of the user's home before the built-in ones."""

from __future__ import annotations

from pathlib import Path

from infra.home import find_home
from protocol.errors import ConfigError
from protocol.topics import Topic, builtin_topics, load_topic


def find_topic(name: str) -> Topic:
    """Return a topic by file, by name among the user's topics, or by name among the built-in ones.

    Raises
    ------
    ConfigError
        There is none, or its file is wrong.
    """
    if name.endswith(".toml") or "/" in name:
        return load_topic(Path(name))
    own = find_home().topics / f"{name}.toml"
    if own.is_file():
        return load_topic(own)
    known = builtin_topics()
    if name not in known:
        raise ConfigError(f"no topic {name!r}; `ltminer topics` lists them, or give a TOML file: --topic my-topic.toml")
    return known[name]
