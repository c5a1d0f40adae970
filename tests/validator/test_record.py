"""What a submission is compared with, as of its reveal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from made_market import module, ridge, tree

from pipelines.identity import seed_of
from pipelines.parser import block_hash, parse_module
from protocol.errors import RefusedError
from validator.record import Known, record_of

SOURCES = {block_hash(source): source for source in (module(ridge(float(n))) for n in range(1, 7))}
HASHES = list(SOURCES)
HOSTILE = b"import os\n"
SOURCES[block_hash(HOSTILE)] = HOSTILE


class Ledger:
    """Two standing blocks; submissions at heights 2 to 6, of which 2 is no module, 4 of another topic and 5 decided."""

    def state(self, height: int | None = None) -> Any:
        def submission(number: int, at: int, topic: str = "t", status: str = "open") -> SimpleNamespace:
            return SimpleNamespace(block_hash=HASHES[number], height=at, topic=topic, status=status)

        hostile = SimpleNamespace(block_hash=block_hash(HOSTILE), height=2, topic="t", status="open")
        all_ = [
            hostile,
            submission(5, 6),
            submission(2, 3),
            submission(3, 4, topic="other"),
            submission(4, 5, status="refused"),
        ]
        return SimpleNamespace(
            height=6 if height is None else height,
            submissions={one.block_hash: one for one in all_ if height is None or one.height <= height},
            standing_blocks=lambda topic: [SimpleNamespace(hash=name) for name in HASHES[:2]] if topic == "t" else [],
        )

    def source(self, name: str) -> str:
        return SOURCES[name].decode()


def test_the_record_has_standing_blocks_and_what_was_revealed_before() -> None:
    ledger: Any = Ledger()
    now = record_of(ledger, "t")
    assert [known.block_hash for known in now.models] == HASHES[:2]
    assert [known.block_hash for known in now.earlier] == [HASHES[2], HASHES[5]]
    assert now.all == now.models + now.earlier
    then = record_of(ledger, "t", 6)
    assert [known.block_hash for known in then.earlier] == [HASHES[2]], "what is revealed at that height is the subject"
    assert then.height == 6
    assert record_of(ledger, "unheard-of").all == ()


def test_known_modules_run_with_the_seed_of_their_block() -> None:
    known = Known(module(tree()))
    assert known.contender.name == known.block_hash
    assert known.contender.seed == seed_of(known.block_hash)
    assert f'"random_state":{known.contender.seed}' in known.contender.text


def test_identity_is_shared_by_copies_and_near_copies() -> None:
    known = Known(module(ridge(1.2345)))
    assert known.shares_identity(parse_module(module(ridge(1.2345), title="mine"))) == "pipeline_id"
    assert known.shares_identity(parse_module(module(ridge(1.2349)))) == "near_id"
    assert known.shares_identity(parse_module(module(ridge(1.4)))) == ""


def test_a_recorded_module_outside_the_registry_cannot_be_compared_with() -> None:
    with pytest.raises(RefusedError, match="imports os"):
        Known(b"import os\n")
