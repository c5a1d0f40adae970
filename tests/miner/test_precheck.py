"""What validators would find at once is found before a bond is at stake."""

from __future__ import annotations

from pathlib import Path

import made_network
import pytest
from made_network import TEXT, TOPIC, decide, network

from miner.precheck import CopyError, Module, check_fit, check_original, module_of, read_module
from miner.submission import submit
from protocol.errors import ConfigError, RefusedError
from protocol.keys import Key
from protocol.ledger.sqlite import SqliteLedger


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """A home of its own for each test."""


def recorded(tmp_path: Path, outcome: str, reason: str, *, topic: str = TOPIC) -> SqliteLedger:
    """Return a ledger with Ridge(1.5), decided as told unless `outcome` is empty."""
    miner, known = Key.create(), made_network.module(1.5)
    ledger, validator = network(tmp_path / "ledger.sqlite", miner=miner)
    submit(ledger, miner, known, topic, name="miner", say=lambda _: None)
    if outcome:
        decide(ledger, validator, known.block_hash, outcome, reason)
    return ledger


SAME = made_network.module(1.5, comment="# the same, said otherwise\n")
NEAR = made_network.module(1.5001)
OTHER = made_network.module(1.7)


@pytest.mark.parametrize("outcome", ["", "accepted record"])
@pytest.mark.parametrize(("copy", "words"), [(SAME, "is the same pipeline as"), (NEAR, "equals, to two digits")])
def test_copies_of_models_and_of_open_submissions_are_refused(
    tmp_path: Path, outcome: str, copy: Module, words: str
) -> None:
    with recorded(tmp_path, *(outcome.split() or ("", ""))) as ledger:
        with pytest.raises(CopyError, match=words):
            check_original(copy, TOPIC, ledger, ledger.state())
        check_original(OTHER, TOPIC, ledger, ledger.state())


def test_what_was_refused_may_be_varied(tmp_path: Path) -> None:
    with recorded(tmp_path, "refused", "screen") as ledger:
        check_original(SAME, TOPIC, ledger, ledger.state())


def test_in_another_topic_only_the_very_pipeline_of_a_model_is_a_copy(tmp_path: Path) -> None:
    """The ledger has one standing block per pipeline, whatever the topic."""
    with recorded(tmp_path, "accepted", "record", topic="another") as ledger:
        check_original(NEAR, TOPIC, ledger, ledger.state())
        with pytest.raises(CopyError, match="same pipeline"):
            check_original(SAME, TOPIC, ledger, ledger.state())


def test_a_module_is_no_copy_of_itself(tmp_path: Path) -> None:
    with recorded(tmp_path, "", "") as ledger:
        check_original(made_network.module(1.5), TOPIC, ledger, ledger.state())


def test_a_pipeline_that_is_certain_to_fail_is_refused() -> None:
    text = TEXT.format(alpha=1.5).replace("StandardScaler()", "PCA(n_components=900)")
    wide = module_of(
        text.replace("preprocessing import StandardScaler", "decomposition import PCA").encode(), "wide.py"
    )
    with pytest.raises(RefusedError, match=r"wide\.py cannot work with 20 features and 500 training rows: PCA"):
        check_fit(wide, n_features=20, n_samples=500)
    check_fit(made_network.module(), n_features=20, n_samples=500)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "exported_pipeline"),
        (b"import os\n", "imports"),
        (b"x" * 70_000, "65"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_is_no_module_is_refused_by_the_validators_own_parser(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "bad.py"
    file.write_bytes(content)
    with pytest.raises(RefusedError, match=words) as refusal:
        read_module(file)
    assert "bad.py" in str(refusal.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "nothing.py", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=words):
            read_module(path)
