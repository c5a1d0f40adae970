"""A module whose miner keeps its text back, on a ledger that has hashes only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from judged_network import TOPIC, Network

from protocol.ledger.reports import check_report
from protocol.ledger.texts import TextMissingError
from validator.duties import LocalJudge
from validator.record import record_of
from validator.sandbox.policy import Limits


class Without:
    """A ledger that has lost the text of one module."""

    def __init__(self, network: Network, lost: str) -> None:
        self._ledger, self._lost = network.ledger, lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def source(self, block_hash: str) -> str:
        if block_hash == self._lost:
            raise TextMissingError(block_hash)
        return self._ledger.source(block_hash)


def test_it_is_waited_for_and_then_invalid(tmp_path: Path) -> None:
    network = Network(tmp_path)
    lost = network.submit("a text that nobody has")
    judge = LocalJudge(Without(network, lost), "/nowhere", None, Limits(), tmp_path, tmp_path)  # type: ignore[arg-type]
    submission = network.ledger.state().submissions[lost]
    network.clock.now += network.ledger.genesis.params.report_window_s - 1
    with pytest.raises(TextMissingError):
        judge.screen(submission)
    network.clock.now += 1
    report = judge.screen(submission)
    check_report("screen", report)
    assert (report["outcome"], report["reason"], report["k"]) == ("invalid", "text", 1)


def test_it_does_not_keep_others_from_being_judged(tmp_path: Path) -> None:
    network = Network(tmp_path)
    lost = network.submit("a text that nobody has")
    assert record_of(Without(network, lost), TOPIC).earlier == ()  # type: ignore[arg-type]
