"""The pictures: valid PNGs with something on them, whatever the run had."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from miner.candidate import Candidate
from miner.outcome import Outcome, Status
from miner.plots import draw_equity, draw_search
from miner.report import Line, Report
from miner.search import Member
from protocol.scores import DayScores


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(imread(BytesIO(png)))


def report_of(days: int) -> Report:
    rng = np.random.default_rng(1)

    def line(name: str) -> Line:
        scores = DayScores(np.arange(18_000, 18_000 + days), rng.normal(size=days) / 10)
        return Line(name, (0.1,) * 5, 0.1, 0.05, 0.01, scores, 18_000 + days - 1)

    outcome = Outcome(0, "ok", (0.1,) * 5, (0.1,) * 5, (5,) * 5)
    member = Member(Candidate(0, "{}", "random", 1.0, 1.0, (), False), None, outcome)
    others = tuple(line(name) for name in ("ridge", "last-value reversal", "zero"))
    return Report(line("winner"), others, member, 9, 0.5, 0.1, 0.2, (18_000 + days - 1, 18_000 + days - 1))


@pytest.mark.parametrize("days", [6, 4000])
def test_the_equity_picture_has_a_line_per_contender(days: int) -> None:
    picture = pixels(draw_equity(report_of(days)))
    assert picture.shape[:2] == (495, 990)
    drawn = picture[..., :3].reshape(-1, 3) * 255
    for colour in ((11, 110, 79), (58, 106, 165), (181, 101, 29), (136, 136, 136)):
        assert np.abs(drawn - colour).sum(axis=1).min() < 40, "thin lines are blended with the ground"


def outcome(k: int, status: Status, n: int = 5) -> Outcome:
    return Outcome(k, status, (0.01 * k,) * n, (0.1,) * n, (5,) * n)


@pytest.mark.parametrize(
    "outcomes",
    [
        [outcome(0, "ok")],
        [outcome(3, "ok"), outcome(4, "pruned", 2), outcome(5, "failed", 0), outcome(6, "cap", 1)],
        [outcome(k, "ok") for k in range(3000)],
    ],
)
def test_the_search_picture_shows_any_run(outcomes: list[Outcome]) -> None:
    picture = pixels(draw_search({each.k: each for each in outcomes}))
    assert picture.shape[:2] == (495, 990)
    assert (picture[..., :3].min(axis=2) < 0.9).mean() > 0.005
