"""Verdicts as files: canonical, checked, found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.home import find_home
from protocol.errors import DataError
from validator.verdict import Verdict, find_verdict, load_source, load_verdict, read_verdict, verdict_hash

JUDGED = {"block_hash": "ab" * 32, "outcome": "refused", "reason": "screen", "scores": {"specific": 0.125}}
RUN = {"module": "m.py", "tier": "full", "elapsed_s": 1.5}
VERDICT = Verdict(JUDGED, RUN)


def test_the_hash_is_of_the_deterministic_part_alone() -> None:
    assert Verdict(JUDGED, {}).hash == VERDICT.hash
    assert Verdict({**JUDGED, "reason": "record"}, RUN).hash != VERDICT.hash
    assert verdict_hash(dict(reversed(JUDGED.items()))) == VERDICT.hash


def test_a_saved_verdict_reads_back_and_brings_its_modules(tmp_path: Path) -> None:
    source = b"# a module\n"
    name = "8f1e9c6b"
    path = VERDICT.save(tmp_path, {name: source})
    assert load_verdict(path) == VERDICT
    assert (tmp_path / "modules" / f"{name}.py").read_bytes() == source
    assert path.read_bytes() == VERDICT.save(tmp_path, {name: source}).read_bytes() == VERDICT.to_bytes()
    assert {entry.name for entry in tmp_path.iterdir()} == {path.name, "modules"}, "nothing half-written"


@given(st.integers(0, len(VERDICT.to_bytes()) - 2), st.integers(1, 255))
def test_no_byte_of_what_was_judged_can_be_changed(place: int, by: int) -> None:
    content = bytearray(VERDICT.to_bytes())
    content[place] ^= by
    try:
        again = read_verdict(bytes(content), "v.json")
    except DataError:
        return
    assert again.judged == VERDICT.judged


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no verdict"),
        (b'{"format": "other"}', "no verdict"),
        (b'{"format": "longtail-verdict", "version": "0"}', "version 0; this is version 1"),
        (b'{"format": "longtail-verdict", "version": "1", "judged": {}, "run": {}, "hash": "x"}', "was changed"),
        (b'{"format": "longtail-verdict", "version": "1"}', "was changed"),
    ],
)
def test_what_is_no_verdict_is_refused_by_name(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=f"v.json.*{words}"):
        read_verdict(content, "v.json")


def test_verdicts_are_found_by_the_digits_of_either_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))
    path = VERDICT.save(find_home().verdicts, {})
    assert find_verdict(str(path)) == path
    assert find_verdict("abab") == find_verdict(VERDICT.hash) == find_verdict(VERDICT.hash[:6]) == path
    Verdict({**JUDGED, "reason": "record"}, RUN).save(find_home().verdicts, {})
    with pytest.raises(DataError, match="abab fits 2 verdicts"):
        find_verdict("abab")
    for unknown in ("ffff", "ab", "../x", "*"):
        with pytest.raises(DataError, match="no verdict"):
            find_verdict(unknown)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_verdict(tmp_path / "absent.json")
    big = tmp_path / "big.json"
    with big.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(DataError, match="more than a verdict can have"):
        load_verdict(big)
    with pytest.raises(DataError, match=r"ab\.py cannot be read.*--module"):
        load_source(tmp_path, "ab")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "ab.py").write_bytes(b"changed")
    with pytest.raises(DataError, match="was changed"):
        load_source(tmp_path, "ab")


def test_the_document_is_one_line_of_canonical_json() -> None:
    content = VERDICT.to_bytes()
    assert content.count(b"\n") == 1
    raw = json.loads(content)
    assert json.dumps(raw, sort_keys=True, separators=(",", ":")).encode() + b"\n" == content
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = Verdict({"x": float("nan")}, {}).hash
