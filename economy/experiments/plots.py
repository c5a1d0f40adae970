"""What the pictures of the experiments have in common."""

from __future__ import annotations

from io import BytesIO
from typing import Any

#: Okabe and Ito's palette: told apart by colour-blind readers; lines differ in style as well.
BLACK, BLUE, SKY, VERMILION, GREY = "#000000", "#0072b2", "#56b4e9", "#d55e00", "#8c8c8c"
#: One line per participant of a class.
STYLES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
DPI = 160


def shades(colour: str, number: int) -> list[tuple[float, ...]]:
    """Return `number` shades of a colour, from dark to light, told apart by their lightness alone."""
    from matplotlib.colors import to_rgb

    def mixed(part: float) -> tuple[float, ...]:
        return tuple((1 - abs(part)) * channel + max(part, 0.0) for channel in to_rgb(colour))

    return [mixed(-0.5 + 0.85 * at / max(number - 1, 1)) for at in range(number)]


def make_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure of that size in inches, drawn without a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def dress(axes: Any, *, title: str = "", x: str = "", y: str = "") -> None:
    """Give axes their title and labels in the style of the house."""
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)


def to_png(figure: Any) -> bytes:
    """Return the figure as PNG; the same figure gives the same bytes."""
    content = BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
