"""The attack table: every attack with its defence on and off, two seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest

from economy.experiments.attacks import ATTACKS, Row, as_text, run, table
from protocol.errors import UsageError

Find = Callable[..., Row]


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def rows(told: list[str]) -> list[Row]:
    return table(2, told.append)


@pytest.fixture
def find(rows: list[Row]) -> Find:
    def found(attack: str, setting: str = "", measure: str = "", *, on: bool = True) -> Row:
        (row,) = [
            row
            for row in rows
            if row.attack == attack and row.on is on and setting in row.setting and measure in row.measure
        ]
        return row

    return found


def test_every_attack_has_rows_under_its_name(rows: list[Row], told: list[str]) -> None:
    assert list(dict.fromkeys(row.attack for row in rows)) == list(ATTACKS)
    assert [text.split(",")[0] for text in told] == list(ATTACKS)
    assert len({(row.attack, row.setting, row.defence, row.on, row.measure) for row in rows}) == len(rows)


def test_every_attack_is_run_with_its_defence_on_and_off(rows: list[Row]) -> None:
    for name in ATTACKS:
        assert {row.on for row in rows if row.attack == name} == {True, False}


def test_rows_are_finite_ordered_and_plain_json(rows: list[Row]) -> None:
    for row in rows:
        assert row.low <= row.value <= row.high
        assert row.verdict
    assert json.loads(json.dumps([asdict(row) for row in rows], allow_nan=False))[0]["attack"] == rows[0].attack


def test_the_text_holds_every_row(rows: list[Row]) -> None:
    text = as_text(rows)
    for row in rows:
        assert f"{'on ' if row.on else 'off'}  {row.shown()} {row.unit}: {row.verdict}\n" in text + "\n"
        assert f"    {row.measure}; {row.defence}\n" in text
    assert as_text([]) == ""


@pytest.mark.parametrize("name", ["weight-copier", "reputer-lies", "pool-drain", "no-reveal"])
def test_the_same_seeds_give_the_same_rows(name: str, rows: list[Row]) -> None:
    assert run(name, 2) == [row for row in rows if row.attack == name]


def test_other_seeds_give_other_values() -> None:
    assert run("cabal", 1)[0].value != run("cabal", 2)[0].value


def test_bad_arguments_are_named() -> None:
    with pytest.raises(UsageError, match=r"no attack 'bribe'; choose from weight-copier, "):
        run("bribe")
    with pytest.raises(UsageError, match="0 seeds"):
        table(0)


def test_an_older_copy_earns_less_where_bonds_are_penalised(find: Find) -> None:
    moving = "drift 15% per epoch; Yuma 1, bond penalty 1"
    by_lag = [find("weight-copier", moving, f"lag {lag}", on=lag > 1) for lag in (1, 5, 10, 20)]
    assert [row.value for row in by_lag] == pytest.approx([0.96, 0.89, 0.85, 0.78], abs=0.04)
    relative = [find("weight-copier", "Yuma 3", f"lag {lag}", on=lag > 1).value for lag in (1, 5, 10, 20)]
    assert relative == pytest.approx([0.99, 0.97, 0.95, 0.93], abs=0.03)
    for falling in (relative, [row.value for row in by_lag]):
        assert falling == sorted(falling, reverse=True)


def test_copying_is_free_without_penalty_or_with_static_miners(find: Find) -> None:
    for setting in ("drift 15% per epoch; Yuma 1, bond penalty 0", "drift 1% per epoch; Yuma 1, bond penalty 1"):
        row = find("weight-copier", setting, "lag 10")
        assert row.value == pytest.approx(1, abs=0.02)
        assert row.verdict == "copying is free"


@pytest.mark.parametrize(
    ("bonds", "early", "late"),
    [
        ("Yuma 1, bond penalty 1", 1.02, 0.73),
        ("Yuma 1, bond penalty 0", 2.98, 0.73),
        ("Yuma 3, bond penalty 0", 1.10, 0.87),
        ("liquid alpha", 1.25, 0.87),
    ],
)
def test_finding_pays_more_than_following(find: Find, bonds: str, early: float, late: float) -> None:
    assert find("late-validator", bonds, "early").value == pytest.approx(early, abs=0.025)
    assert find("late-validator", bonds, "late").value == pytest.approx(late, abs=0.025)


def test_without_an_average_following_pays_as_much(find: Find) -> None:
    early, late = (find("late-validator", measure=who, on=False).value for who in ("early", "late"))
    assert early == pytest.approx(late)


def test_half_of_the_stake_is_what_a_cabal_needs(find: Find) -> None:
    assert find("cabal", "5% of").value < find("cabal", "5% of", on=False).value / 2
    assert find("cabal", "49%").value < 0.05
    assert find("cabal", "49%", on=False).value > 0.48
    assert find("cabal", "50%").value == pytest.approx(0.5, abs=0.02)
    assert find("cabal", "50%", on=False).value == 1
    assert find("cabal", "51%").value == 1


def test_commitments_belong_to_their_author(find: Find) -> None:
    assert find("commit-replay").high == 0
    assert find("commit-replay", on=False).value == pytest.approx(1, abs=0.05)
    assert find("no-reveal").value < 1 < find("no-reveal", on=False).value


def test_a_reused_id_inherits_nothing(find: Find) -> None:
    assert find("id-reuse").high == 0
    assert find("id-reuse", on=False).low > 1 / 16


@pytest.mark.parametrize(("stake", "reward"), [(10, 0.014), (30, 0.052), (45, 0.098)])
def test_a_lying_minority_is_silenced(find: Find, stake: int, reward: float) -> None:
    setting = f"{stake}% of stake"
    assert find("reputer-lies", setting, "coefficient").value <= 0.02
    assert find("reputer-lies", setting, "reward").value == pytest.approx(reward, abs=0.006)
    assert find("reputer-lies", setting, "reward").value < find("reputer-lies", setting, "reward", on=False).value
    assert abs(find("reputer-lies", setting, "Eq. 32").value) <= 0.05
    assert find("reputer-lies", setting, "Eq. 32", on=False).value < -0.15


@pytest.mark.parametrize("stake", [10, 30, 45, 60])
def test_regrets_as_printed_believe_a_liar_by_its_stake(find: Find, stake: int) -> None:
    printed = find("reputer-lies", f"{stake}% of stake", "Eq. 14", on=False).value
    assert printed == pytest.approx(-2 * stake / 100, abs=0.05)
    assert find("reputer-lies", f"{stake}% of stake", "Eq. 14").value > printed + 0.1


def test_a_lying_majority_is_believed(find: Find) -> None:
    assert find("reputer-lies", "60% of stake", "coefficient").value == pytest.approx(0.73, abs=0.05)
    shift = find("reputer-lies", "60% of stake", "Eq. 32")
    assert shift.value == pytest.approx(-0.70, abs=0.05)
    assert "'not susceptible to a majority attack' fails" in shift.verdict


def test_a_minority_is_believed_that_lies_selectively_or_in_many_names(find: Find) -> None:
    for attack, setting in (
        ("hidden-lies", "on 1 of 44"),
        ("hidden-lies", "1 of 4 epochs"),
        ("hidden-lies", "0.2 dex off"),
        ("stake-split", "10 of 16"),
        ("stake-split", "30 of 36"),
    ):
        shift = find(attack, setting, "Eq. 32")
        assert shift.value < -0.3
        assert "'robust against minority attacks' fails" in shift.verdict
    assert abs(find("stake-split", "1 of 7", "Eq. 32").value) < 0.05


def test_dust_and_silence_do_not_pay(find: Find) -> None:
    assert abs(find("dust-stake").value) < 0.05
    assert find("dust-stake", on=False).value < -1
    assert find("missing-reports").value < 1 < find("missing-reports", on=False).value


@pytest.mark.parametrize(("copies", "gain"), [(2, 1.065), (4, 1.086), (10, 1.045), (50, 0.866)])
def test_entropy_of_a_split_worker(find: Find, copies: int, gain: float) -> None:
    row = find("entropy-sybil", f"splits into {copies}")
    without = find("entropy-sybil", f"splits into {copies}", on=False)
    assert row.value == pytest.approx(gain, abs=0.001)
    assert abs(row.value - 1) < abs(without.value - 1)


def test_a_clone_earns_less_than_one_name(find: Find) -> None:
    assert find("clone", measure="reward").high < 1 < find("clone", measure="reward", on=False).low


def test_outliers(find: Find) -> None:
    """Neither scale saves the epoch of an outlier; one that lasts ruins the paper's and not the chain's."""
    assert min(find("single-outlier", "1e+09", "that epoch", on=on).low for on in (True, False)) > 10
    assert find("single-outlier", "NaN", "that epoch").value < 3
    assert abs(find("lasting-outlier", measure="loss").value) < 0.5
    assert find("lasting-outlier", measure="loss", on=False).low > 10
    assert (
        find("lasting-outlier", measure="weight").high < 1e-12 < find("lasting-outlier", measure="weight", on=False).low
    )


def test_one_nan_does_not_silence_the_network(find: Find) -> None:
    assert find("missing-inference").high == 0
    assert find("missing-inference", on=False).low == 60


def test_a_selfish_forecast_is_not_followed(find: Find) -> None:
    assert find("selfish-forecast", measure="weight").high < 0.01
    assert find("selfish-forecast", measure="reward").value < 1
    assert find("selfish-forecast", measure="loss").value < find("selfish-forecast", measure="loss", on=False).value


def test_degenerate_epochs_are_defined(find: Find) -> None:
    assert find("equal-scores").high == 0
    assert find("equal-scores", on=False).low == 5
    assert find("one-participant").value == pytest.approx(1)
    assert find("one-participant", on=False).value == 0
    assert find("regrets-underflow").value == 0


def test_topics_without_fees_are_not_paid(find: Find) -> None:
    assert find("zero-fee-topic").value < 0.15 < find("zero-fee-topic", on=False).value
    assert find("fee-cartel", measure="cartel").high == 0
    assert find("fee-cartel", measure="breaks").value == pytest.approx(1)
    assert find("fee-cartel", measure="cartel", on=False).value == pytest.approx(1)


@pytest.mark.parametrize("reserve", ["1e+03", "1e+24"])
def test_a_pool_cannot_be_drained(find: Find, reserve: str) -> None:
    assert find("pool-drain", reserve, "profit").high <= 0
    assert find("pool-drain", reserve, "lowered").high == 0
    assert find("pool-drain", reserve, "profit", on=False).low > 0
    assert find("pool-drain", reserve, "lowered", on=False).low > 0
