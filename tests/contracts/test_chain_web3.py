"""The same ledger behind web3: in this process on eth-tester, and on anvil where it is installed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_ledgers import ADDRESS, PARAMS, SALT, TOPIC, Clock, Network, made_genesis, module
from test_ledger_heads import claim, stamp
from twin import HOLDER, TwinLedger

from protocol.ledger.kinds import source_hash
from protocol.ledger.params import DAY_S, LTFT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what libraries of the chain deprecate among themselves
    from web3_chain import Anvil, Web3Chain, anvil_missing, in_process


@pytest.fixture(params=["eth-tester", "anvil"])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Web3Chain]:
    if request.param == "eth-tester":
        yield in_process()
        return
    if reason := anvil_missing():
        pytest.skip(reason)
    anvil = Anvil(tmp_path)
    try:
        yield Web3Chain(anvil.web3)
    finally:
        anvil.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_module_goes_all_the_way_and_its_miner_is_paid(chain: Web3Chain) -> None:
    start = (chain.time // DAY_S + 1) * DAY_S
    chain.at(start)
    clock = Clock(start)
    genesis = made_genesis().model_copy(update={"chain_id": chain.chain_id, "time": start})
    ledger = TwinLedger(genesis, clock, chain)
    network = Network(ledger, clock)
    network.send("dora", "register", **network.registration("dora"))
    commitment = network.commit("dora", module(1), by="bob")
    network.send("dora", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
    block_hash = source_hash(module(1))
    assert network.judge(block_hash) == "accepted"
    network.wait(2 * DAY_S)
    subject_day = network.state.time // DAY_S - 1
    from made_ledgers import VALIDATORS

    from protocol.ledger.commitments import live_subject

    report = {"log_e": PARAMS.crown_log_e, "days": 1}
    network.vote(live_subject(block_hash, subject_day), dict.fromkeys(VALIDATORS, report))
    assert network.state.blocks[block_hash].status == "crowned"
    stamp(network, dora=7 * LTFT)
    network.send("dora", "claim", **claim(network, {"dora": 7 * LTFT}, "dora"))
    assert network.refused("dora", "claim", **claim(network, {"dora": 7 * LTFT}, "dora")) == "claimed"
    network.send("dora", "transfer", to=ledger.core.addresses.token, amount=7 * LTFT)
    assert ledger.core.token.balanceOf(ADDRESS["dora"]) == 7 * LTFT
    ledger.core.token.send(HOLDER, "approve", ledger.core.ledger.address, LTFT)
    ledger.outside("enter", ADDRESS["dora"], LTFT)
