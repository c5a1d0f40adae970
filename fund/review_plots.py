"""A review as a picture: value per share, drawdown, per topic the loss that the network saved against each rival, earnings."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fund.comparison import Comparison
from fund.diebold_mariano import shown_p
from fund.performance import Performance
from fund.review import Review

#: Okabe and Ito's palette, told apart by colour-blind readers; lines differ in style as well.
_LINES = {
    "fund": ("#0072b2", "-", 2.0),
    "equal weight": ("#d55e00", "--", 1.3),
    "cash": ("#8c8c8c", ":", 1.3),
    "mean": ("#0072b2", "-", 1.6),
    "leader": ("#d55e00", "--", 1.6),
    "hindsight": ("#8c8c8c", "-.", 1.6),
}
#: The rest of the palette, for lines that have no part of their own; after them all are grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_STYLES = ("-", "--", "-.", ":")
_WIDTH, _DPI = 9.0, 110
#: What accounts had earned at each time, microseconds since 1970 UTC: (T,), and per name (T,) LTFT.
Earnings = tuple[NDArray[np.int64], Mapping[str, NDArray[np.float64]]]


def draw_review(review: Review, earnings: Earnings | None = None) -> bytes:
    """Return the review as PNG, with what accounts earned if that is given; the same review gives the same bytes."""
    from matplotlib.figure import Figure

    panels = 2 + len(review.comparisons) + (earnings is not None)
    figure = Figure(figsize=(_WIDTH, 3.2 + 2.2 * (panels - 1)), dpi=_DPI, layout="constrained")
    heights = [1.5] + [1.0] * (panels - 1)
    axes = figure.subplots(panels, 1, gridspec_kw={"height_ratios": heights})
    when = review.time.astype("datetime64[us]")
    lines = (review.cash, review.equal_weight, review.fund)
    _dress(axes[0], "Value per share: the fund net of costs, equal weight without, cash", "start = 1")
    _dress(axes[1], "Fall from the highest value so far", "part lost")
    for line in lines:
        _draw(axes[0], when, line.value, line.name, _label(line))
        _draw(axes[1], when, line.value / np.maximum.accumulate(line.value) - 1, line.name, "")
    _legend(axes[0])
    for at, comparison in zip(axes[2:], review.comparisons, strict=False):
        _compare(at, comparison)
    if earnings is not None:
        _earn(axes[-1], *earnings)
    content = BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _compare(axes: Any, comparison: Comparison) -> None:
    _dress(axes, f"{comparison.topic}: loss saved by the network against rivals, summed (up is better)", "dex")
    when = comparison.time.astype("datetime64[us]")
    for rival in comparison.rivals:
        if rival.test.bars:
            saved = np.cumsum(-np.nan_to_num(rival.differential))
            said = "not tested" if rival.test.reason else shown_p(rival.p)
            _draw(axes, when, saved, rival.name, f"against {rival.label}: {said}")
    axes.axhline(0, color="#000000", linewidth=0.8)
    if axes.get_legend_handles_labels()[0]:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.45 * (high - low))  # long labels stand above the lines
        _legend(axes, "upper left")
    else:
        axes.text(0.5, 0.6, "nothing to compare yet", transform=axes.transAxes, ha="center", color="#555555")


def _earn(axes: Any, time: NDArray[np.int64], earned: Mapping[str, NDArray[np.float64]]) -> None:
    _dress(axes, "LTFT earned, summed; shares at the end", "million LTFT")
    total = sum(float(one[-1]) for one in earned.values() if one.size)
    for at, (name, one) in enumerate(earned.items()):
        share = float(one[-1]) / total if total else 0.0
        axes.plot(
            time.astype("datetime64[us]"),
            one / 1e6,
            color=_COLOURS[at % len(_COLOURS)],
            linestyle=_STYLES[at // len(_COLOURS) % len(_STYLES)],
            linewidth=1.4,
            label=f"{name}: {share:.1%}",
        )
    _legend(axes)


def _draw(axes: Any, when: Any, values: Any, name: str, label: str) -> None:
    colour, style, width = _LINES[name]
    dot = "o" if np.size(values) == 1 else None  # one valuation is no line
    axes.plot(when, values, color=colour, linestyle=style, linewidth=width, marker=dot, label=label)


def _label(line: Performance) -> str:
    return f"{line.name}: {line.total:+.1%}, largest fall {line.drawdown:.1%}"


def _legend(axes: Any, place: str = "best") -> None:
    axes.legend(fontsize=8, loc=place, facecolor="white", edgecolor="none", framealpha=0.8)


def _dress(axes: Any, title: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
