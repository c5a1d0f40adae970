"""What was earned is believed as far as it is proven, and paid once, whatever the fund says and whoever else claims."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from made_rewards import Document, Fund, open_fund

import infra.rewards
from infra.home import find_home
from infra.keystore import PASSWORD_SUFFIX, keystore_path, save_key
from infra.network import MINER, VALIDATOR, find_address, find_key, send
from infra.rewards import ask, claim_rewards
from infra.settings import load_settings
from miner.cli import main as ltminer
from protocol.errors import ClusterError, ConfigError, DataError, RefusedError
from protocol.head.rewards import Earning
from protocol.keys import Key
from protocol.ledger.ledger import Ledger
from protocol.ledger.params import LTFT
from validator.cli import main as ltvalidator

TOPIC = "us-daily"
BLOCK, OTHER = "b1" * 32, "0c" * 32


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))


@pytest.fixture
def fund() -> Iterator[Fund]:
    with open_fund() as opened:
        yield opened


@pytest.fixture
def miner(fund: Fund) -> str:
    """The address of the local network's miner."""
    return find_address(load_settings(), MINER)


def inference(account: str, amount: int, block: str = BLOCK) -> Earning:
    return Earning(account, amount, TOPIC, "inference", block)


def call(command: Any, *words: str) -> Result:
    return CliRunner().invoke(command, list(words))


def document(command: Any, *words: str) -> Any:
    result = call(command, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def kinds(ledger: Ledger) -> list[str]:
    return [record.event.kind for record in ledger.records(1)]


def balance(fund: Fund, account: str) -> int:
    return fund.ledger.state().accounts[account].balance


# ------------------------------------------------------------------------------------------------------- what is earned


def test_rewards_say_how_much_for_what_and_what_is_still_to_be_paid(fund: Fund, miner: str) -> None:
    fund.stamp(inference(miner, LTFT), inference(fund.validator.address, 7))
    fund.stamp(inference(miner, LTFT), Earning(miner, 5 * LTFT, TOPIC, "forecast", "steady"))
    said = document(ltminer, "rewards", "--fund", fund.url)
    assert (said["earned"], said["claimed"], said["claimable"], said["unexplained"]) == (
        str(7 * LTFT),
        "0",
        str(7 * LTFT),
        "0",
    )
    assert [(one["role"], one["source"], one["amount"], one["heads"]) for one in said["parts"]] == [
        ("forecast", "steady", str(5 * LTFT), 1),
        ("inference", BLOCK, str(2 * LTFT), 2),
    ]
    assert sum(int(one["amount"]) for one in said["last"]) == 6 * LTFT
    shown = call(ltminer, "rewards", "--fund", fund.url).stdout
    for words in (
        f"earned  7 LTFT up to HEAD {said['period']}, 6 LTFT of it in that one",
        "5 LTFT for forecasts of steady in us-daily, 1 HEAD\n",
        f"2 LTFT for inferences of block {BLOCK[:16]} in us-daily, 2 HEADs\n",
        "claimable  7 LTFT: `ltminer claim`",
        "claimed  0 LTFT",
    ):
        assert words in shown
    assert "unclear" not in shown


def test_reasons_that_do_not_add_up_are_told_and_keep_nobody_from_the_money(fund: Fund, miner: str) -> None:
    fund.stamp(inference(miner, 3 * LTFT))
    fund.lie = lambda said: said | {"earned": [one | {"amount": str(2 * LTFT)} for one in said["earned"]]}
    shown = call(ltminer, "rewards", "--fund", fund.url).stdout
    assert "unclear  the fund's reasons differ from what is proven by 1 LTFT" in shown
    assert document(ltminer, "claim", "--fund", fund.url)["paid"] == str(3 * LTFT)


def test_before_there_is_a_ledger_or_a_head_it_says_so_and_asks_nobody() -> None:
    for words in (("rewards",), ("claim",)):
        result = call(ltminer, *words)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "no HEAD is stamped on this ledger yet" in result.stderr
        assert document(ltminer, *words)["account"] is None
    assert not find_home().state.exists()
    with open_fund() as fund:
        for words in (("rewards",), ("claim",)):
            assert "no HEAD is stamped" in call(ltminer, *words, "--fund", fund.url).stderr
            assert document(ltminer, *words, "--fund", fund.url)["period"] is None
        assert fund.asked == []
        assert kinds(fund.ledger) == []


def test_without_a_fund_rewards_tell_what_the_ledger_knows_and_claim_asks_for_one(fund: Fund, miner: str) -> None:
    fund.stamp(inference(miner, LTFT))
    assert document(ltminer, "claim", "--fund", fund.url)["paid"] == str(LTFT)
    said = document(ltminer, "rewards")
    assert (said["claimed"], said["earned"], said["parts"]) == (str(LTFT), None, None)
    assert "name one by --fund" in call(ltminer, "rewards").stderr
    failed = call(ltminer, "claim")
    assert (failed.exit_code, failed.stdout) == (3, "")
    assert "no fund is named; give --fund" in failed.stderr


# ------------------------------------------------------------------------------------------------------------- claiming


def test_a_claim_pays_once_and_later_only_the_difference(fund: Fund, miner: str) -> None:
    before = balance(fund, miner)
    fund.stamp(inference(miner, 3 * LTFT), inference(fund.validator.address, 7))
    result = call(ltminer, "claim", "--fund", fund.url)
    assert result.exit_code == 0, result.output
    height = fund.ledger.state().height
    assert f"claimed  3 LTFT at height {height}; balance 1,003 LTFT" in result.stdout
    again = call(ltminer, "claim", "--fund", fund.url)
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing to claim: 3 LTFT were earned and paid" in again.stderr
    fund.stamp(inference(miner, LTFT))
    paid = document(ltminer, "claim", "--fund", fund.url)
    assert (paid["paid"], paid["balance"]) == (str(LTFT), str(before + 4 * LTFT))
    nothing = document(ltminer, "claim", "--fund", fund.url)
    assert (nothing["paid"], nothing["height"]) == ("0", None)
    assert balance(fund, miner) == before + 4 * LTFT
    assert kinds(fund.ledger).count("claim") == 2


def test_what_is_redeemed_is_gone_and_counted(fund: Fund, miner: str) -> None:
    supply = fund.ledger.state().supply.total
    told = document(ltminer, "redeem", "7")
    assert (told["account"], told["balance"], told["supply"]) == (miner, str(993 * LTFT), str(supply - 7 * LTFT))
    assert fund.ledger.state().redeemed == {miner: 7 * LTFT}
    assert "redeemed  2 LTFT at height 2" in call(ltminer, "redeem", "2").stdout
    poor = call(ltminer, "redeem", "1000")
    assert (poor.exit_code, "balance" in poor.stderr) == (5, True)
    assert call(ltminer, "redeem", "0").exit_code == 2


def test_who_has_earned_nothing_is_told_so(fund: Fund, miner: str) -> None:
    fund.stamp(inference(fund.validator.address, 7))
    result = call(ltminer, "claim", "--fund", fund.url)
    assert result.exit_code == 0
    assert "nothing to claim: nothing was earned" in result.stderr
    assert document(ltminer, "rewards", "--fund", fund.url)["claimable"] == "0"


def test_a_validator_claims_with_its_own_key_and_the_setting(fund: Fund, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_FUND", fund.url)
    address = fund.validator.address
    fund.stamp(Earning(address, 2 * LTFT, TOPIC, "reputer", address))
    shown = call(ltvalidator, "rewards").stdout
    assert "2 LTFT for judging the losses of us-daily" in shown
    assert "`ltvalidator claim`" in shown
    assert document(ltvalidator, "claim")["account"] == address
    assert fund.ledger.state().claimed == {address: 2 * LTFT}
    assert document(ltminer, "claim", "--key", VALIDATOR)["paid"] == "0"  # the same key under another program


def test_a_key_without_an_account_gets_one_before_it_is_paid(fund: Fund) -> None:
    newcomer, path = Key.create(), keystore_path("new_one")
    save_key(path, newcomer, "word", iterations=2)
    path.with_suffix(PASSWORD_SUFFIX).write_text("word\n")
    words = ("claim", "--fund", fund.url, "--key", "new_one")
    fund.stamp()
    assert document(ltminer, *words)["paid"] == "0"
    assert newcomer.address not in fund.ledger.state().accounts  # for nothing nobody is registered
    fund.stamp(inference(newcomer.address, LTFT))
    result = call(ltminer, *words)
    assert f"registered {newcomer.address} as new-one" in result.stderr
    assert fund.ledger.state().claimed == {newcomer.address: LTFT}


def test_a_head_that_comes_between_makes_it_ask_again(fund: Fund, miner: str) -> None:
    fund.stamp(inference(miner, LTFT))

    def late(said: Document) -> Document:
        fund.lie = lambda said: said
        fund.stamp(inference(miner, 2 * LTFT))
        return said

    fund.lie = late
    assert document(ltminer, "claim", "--fund", fund.url)["paid"] == str(3 * LTFT)
    assert len(fund.asked) == 2
    assert kinds(fund.ledger).count("claim") == 1


def test_heads_without_pause_end_it_with_a_word(fund: Fund, miner: str) -> None:
    fund.stamp(inference(miner, LTFT))

    def late(said: Document) -> Document:
        fund.stamp(inference(miner, LTFT))
        return said

    fund.lie = late
    result = call(ltminer, "claim", "--fund", fund.url)
    assert result.exit_code == 4
    assert "a new HEAD came before each of 5 claims" in result.stderr
    assert "claim" not in kinds(fund.ledger)


def test_another_program_that_is_quicker_has_paid_for_both(fund: Fund, miner: str) -> None:
    fund.stamp(inference(miner, LTFT))
    key = find_key(load_settings(), MINER)

    def overtaken(said: Document) -> Document:
        fund.lie = lambda said: said
        send(fund.ledger, key, "claim", {"total": int(said["total"]), "proof": said["proof"]})
        return said

    fund.lie = overtaken
    assert document(ltminer, "claim", "--fund", fund.url)["paid"] == "0"
    assert fund.ledger.state().claimed == {miner: LTFT}


def test_what_the_ledger_refuses_for_another_reason_is_told(
    fund: Fund, miner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fund.stamp(inference(Key.create().address, LTFT), inference((stranger := Key.create()).address, LTFT))
    monkeypatch.setattr(infra.rewards, "register", lambda *_: None)
    with pytest.raises(RefusedError, match="has no account"):
        claim_rewards(fund.ledger, stranger, fund.url, name="x", say=lambda _: None)


# ------------------------------------------------------------------------------------------------------------------ lies


def part(**changes: Any) -> Callable[[Document], Document]:
    return lambda said: said | {"earned": [one | changes for one in said["earned"]]}


def proof(**changes: Any) -> Callable[[Document], Document]:
    return lambda said: said | {"proof": said["proof"] | changes}


LIES: dict[str, tuple[Callable[[Document], Document], str]] = {
    "more": (lambda said: said | {"total": str(9 * LTFT)}, "is not under the root"),
    "less": (lambda said: said | {"total": "1"}, "is not under the root"),
    "nothing": (lambda said: said | {"total": "0", "proof": None}, "has earned nothing, but was paid"),
    "no proof": (lambda said: said | {"proof": None}, "a proof is None"),
    "other path": (proof(path=["ab" * 32]), "is not under the root"),
    "no path": (proof(path="ab"), "the path of a proof"),
    "other place": (proof(index=0, path=[]), "is not under the root"),
    "odd place": (proof(index=9), "the index of a leaf"),
    "other account": (lambda said: said | {"account": "0x" + "1" * 40}, "its account is"),
    "other HEAD": (lambda said: said | {"period": said["period"] - 1}, "its period is"),
    "no HEAD": (lambda said: said | {"period": None}, "its period is"),
    "a number": (lambda said: said | {"total": int(said["total"])}, "no text of wei"),
    "spaces": (lambda said: said | {"total": f" {said['total']}"}, "no text of wei"),
    "zeros": (lambda said: said | {"total": f"0{said['total']}"}, "no text of wei"),
    "other digits": (lambda said: said | {"total": "٣"}, "no text of wei"),
    "too much": (lambda said: said | {"total": "9" * 78}, "whole number from 1"),
    "nothing at all": (lambda _: {}, "its account is None"),
    "no list": (lambda said: said | {"earned": {}}, "earned is {}"),
    "no last": (lambda said: said | {"last": None}, "last is None"),
    "no part": (lambda said: said | {"earned": [7]}, "under earned is 7"),
    "no slug": (part(topic="\x1b[31m"), "is no topic, role and source"),
    "no role": (part(role="king"), "is no topic, role and source"),
    "no source": (part(source="a b"), "is no topic, role and source"),
    "list as role": (part(role=["inference"]), "is no topic, role and source"),
    "no amount": (part(amount="-1"), "no text of wei"),
    "no heads": (part(heads=0), "heads under earned"),
    "half heads": (part(heads=1.5), "heads under earned"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_does_not_hold_is_refused_and_nothing_is_sent(fund: Fund, miner: str, name: str) -> None:
    others = [inference(Key.create().address, 5 + number) for number in range(3)]
    fund.stamp(inference(miner, LTFT))
    document(ltminer, "claim", "--fund", fund.url)
    fund.stamp(inference(miner, 2 * LTFT), *others)
    height = fund.ledger.state().height
    fund.lie, words = LIES[name]
    for command in ("claim", "rewards"):
        result = call(ltminer, command, "--fund", fund.url)
        assert (result.exit_code, result.stdout) == (5, ""), result.output
        assert f"what {fund.url} says of {miner} does not hold: " in result.stderr
        assert words in result.stderr
        assert "\x1b" not in result.stderr
    assert fund.ledger.state().height == height


def test_the_proof_of_another_account_does_not_hold(fund: Fund, miner: str) -> None:
    fund.stamp(inference(miner, LTFT), inference(fund.validator.address, 9 * LTFT))
    period = max(fund.paid)
    fund.lie = lambda said: fund.document(fund.validator.address, period) | {"account": said["account"]}
    with pytest.raises(RefusedError, match="is not under the root"):
        ask(fund.url, miner, fund.ledger.state())


def test_a_fund_that_is_not_there_or_does_not_know(fund: Fund, miner: str) -> None:
    fund.stamp(inference(miner, LTFT))
    for command in ("claim", "rewards"):
        down = call(ltminer, command, "--fund", "http://127.0.0.1:1", "--json")
        assert (down.exit_code, down.stdout) == (4, "")
        assert json.loads(down.stderr)["code"] == 4
        assert "http://127.0.0.1:1/v1/account" in down.stderr
    state, paid, heads = fund.ledger.state(), fund.paid.copy(), fund.heads.copy()
    fund.paid.clear()
    fund.heads.clear()
    with pytest.raises(ClusterError, match="answers 404: no HEAD of period"):
        ask(fund.url, miner, state)
    stranger = Key.create().address
    fund.paid |= paid
    with pytest.raises(ClusterError, match=f"answers 404: account {stranger} has earned nothing"):
        ask(fund.url, stranger, state)  # a fund of another chain cannot know
    fund.heads |= heads
    assert (ask(fund.url, stranger, state).total, ask(fund.url, stranger, state).claim) == (0, None)
    with pytest.raises(ConfigError, match="write http://"):
        ask("nowhere", miner, state)
    with pytest.raises(DataError, match="no JSON object"):
        fund.lie = lambda _: [1]  # type: ignore[assignment,return-value]  # what a fund must not say
        ask(fund.url, miner, state)
