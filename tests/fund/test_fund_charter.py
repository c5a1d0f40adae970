"""The terms of a fund: read from TOML or a peer, kept as plain JSON, refused where a value makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_funds import TOPIC

from fund.charter import Charter
from fund.units import WEI
from protocol.errors import ConfigError
from protocol.ledger.commitments import canonical
from protocol.ledger.params import LTFT
from protocol.topics import Topic, builtin_topics

ADDRESS = "0xa971969908db6f9A3aa2251f9f7534567d273283"
TEXT = f"""topics = ["us-daily"]
money = 500_000
refit_days = 30
weights = {{ "us-daily" = 0.5 }}
forecasters = {{ reverting = "{ADDRESS}" }}
[pool]
ltft = 10
quote = 20
[fees]
performance_days = 1
[limits]
name_ppm = 50_000
"""


def find(name: str) -> Topic:
    return builtin_topics()[name]


def test_a_file_becomes_a_policy_and_comes_back_from_json(tmp_path: Path) -> None:
    (tmp_path / "fund.toml").write_text(TEXT)
    charter = Charter.load(tmp_path / "fund.toml", find)
    policy = charter.policy()
    assert policy.pool == (10 * LTFT, 20 * WEI)
    assert policy.trading.money == 500_000 * WEI
    assert (policy.trading.limits.name_ppm, policy.trading.limits.gross_ppm) == (50_000, 1_000_000)
    assert policy.trading.fees.period == 86_400_000_000
    assert policy.weights == {"us-daily": 0.5}
    assert policy.forecasters == {"reverting": ADDRESS}
    assert charter.topic_list() == (builtin_topics()["us-daily"],)
    plain = charter.to_dict()
    canonical(plain)
    assert Charter.from_dict(plain, "a peer") == charter


def test_what_is_not_said_is_usual() -> None:
    charter = Charter(topics=(TOPIC.to_dict(),))
    assert charter.policy().pool is None
    assert charter.refit_us == 86_400_000_000
    assert Charter.from_dict(charter.to_dict(), "x") == charter


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"topics": []}, "topics"),
        ({"topics": [TOPIC.to_dict()] * 2}, "named twice"),
        ({"topics": [{**TOPIC.to_dict(), "horizon": 0}]}, "horizon"),
        ({"topics": ["us-daily"]}, "topics"),
        ({"mony": 1}, "mony"),
        ({"money": 0}, "money"),
        ({"money": 1.5}, "money"),
        ({"money": True}, "money"),
        ({"refit_days": 0}, "refit_days"),
        ({"pool": {"ltft": 0, "quote": 1}}, "pool.ltft"),
        ({"fees": {"performance_ppm": 1_000_000}}, "performance_ppm"),
        ({"limits": {"gross_ppm": -1}}, "gross_ppm"),
        ({"weights": {"a": float("nan")}}, "weights"),
        ({"weights": {"a": -1.0}}, "weights"),
        ({"forecasters": {"oracle": ADDRESS}}, "reverting, regime-ridge"),
        ({"forecasters": {"reverting": ADDRESS.lower()}}, "wrong case"),
    ],
)
def test_nonsense_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Charter.from_dict({"topics": [TOPIC.to_dict()], **change}, "charter x.toml")


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Charter.load(tmp_path / "none.toml", find)
    (tmp_path / "bad.toml").write_bytes(b"topics = \xff")
    with pytest.raises(ConfigError, match="not TOML"):
        Charter.load(tmp_path / "bad.toml", find)
