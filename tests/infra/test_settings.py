"""Settings: flag > environment > file > default, and no typo goes unnoticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.home import HOME_VARIABLE
from infra.settings import OTHER_VARIABLES, PREFIX, Settings, load_settings, settings_table
from protocol.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; returns where its settings file would be."""
    for variable in list(os.environ):
        if variable.upper().startswith(PREFIX):
            monkeypatch.delenv(variable)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    (tmp_path / "config").mkdir()
    return tmp_path / "config" / "longtail.toml"


def test_flag_before_environment_before_file_before_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings() == Settings() == load_settings(workers=None)
    assert load_settings().workers == 2
    file.write_text('workers = 3\ntopic = "mine"', encoding="utf-8")
    assert (load_settings().workers, load_settings().topic) == (3, "mine")
    monkeypatch.setenv("LONGTAIL_WORKERS", "4")
    assert (load_settings().workers, load_settings().topic) == (4, "mine")
    assert load_settings(workers=5, topic=None).workers == 5
    assert load_settings(workers=5, topic=None).topic == "mine"


def test_an_empty_variable_counts_as_not_set(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("workers = 3", encoding="utf-8")
    monkeypatch.setenv("LONGTAIL_WORKERS", "")
    assert load_settings().workers == 3


@pytest.mark.parametrize("variable", sorted(OTHER_VARIABLES - {HOME_VARIABLE}))
def test_variables_that_are_no_settings(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    assert load_settings() == Settings()


@pytest.mark.parametrize("variable", ["LONGTAIL_WROKERS", "longtail_wrokers"])
def test_a_typo_in_a_variable(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "4")
    with pytest.raises(ConfigError, match=f"variable {variable} is no setting, did you mean LONGTAIL_WORKERS"):
        load_settings()


def test_a_typo_in_the_file(file: Path) -> None:
    file.write_text("wrokers = 4", encoding="utf-8")
    with pytest.raises(ConfigError, match="setting wrokers = 4: unknown setting, did you mean workers") as caught:
        load_settings()
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"workers = ", "is not TOML"),
        (b"\xff\xfe", "cannot be read"),
        (b"workers = 0", "setting workers = 0: Input should be greater than or equal to 1"),
        (b"workers = 2.5", "setting workers = 2.5"),
        (b"time_budget = 90", "setting time_budget = 90: Input should be a valid string"),
        (b"connect_timeout_s = nan", "setting connect_timeout_s = nan"),
        (b"[workers]\na = 1", "setting workers = "),
        (b"[miner]\nworkers = 1", "setting miner = .*unknown setting"),
    ],
)
def test_a_file_that_makes_no_sense(file: Path, text: bytes, message: str) -> None:
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=message):
        load_settings()


def test_a_file_that_cannot_be_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.touch()

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(ConfigError, match=f"settings file {file} cannot be read: .*Permission denied"):
        load_settings()


def test_a_value_of_the_wrong_kind_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_WORKERS", "many")
    with pytest.raises(ConfigError, match="setting workers = 'many'"):
        load_settings()


def test_a_flag_that_is_no_setting() -> None:
    with pytest.raises(ConfigError, match="setting colour = 'red': unknown setting"):
        load_settings(colour="red")


def test_every_setting_and_variable_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert settings_table() in text, "docs/settings.md differs from infra.settings.settings_table()"
    assert all(f"`{variable}`" in text for variable in OTHER_VARIABLES)
