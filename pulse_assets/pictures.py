"""What all pictures share: colours, an empty figure, axes that say why they are empty, PNG bytes, markdown around them.

Pure. What is drawn belongs to ``forecasting.plots`` and ``simulation.plots``.
"""

import base64
import io
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#8c8c00")
"""Colours that stay apart for the colour-blind (Okabe and Ito 2008), and two more."""
REST = "#bbbbbb"
INK = "#222222"
FAINT = "#666666"


def colours() -> list[str]:
    """Return a colour for each of many lines: all after the eighth are grey."""
    return [*COLOURS, *[REST] * 100]


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches, 90 pixels each."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def as_png(figure: "Figure") -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()


def as_markdown(png: bytes, title: str) -> str:
    """Return a picture as markdown with the bytes inside, as the user interface renders it.

    Examples
    --------
    >>> as_markdown(b"png", "a fan")
    '![a fan](data:image/png;base64,cG5n)'
    """
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def say(axes: "Axes", words: str) -> None:
    """Write why there is nothing to see."""
    axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=14, color=FAINT, transform=axes.transAxes)
    axes.set_axis_off()


def finish(axes: "Axes", title: str) -> None:
    """Give axes their title, and all axes the same looks."""
    axes.set_title(title, fontsize=12)
    axes.tick_params(labelsize=10)
    axes.grid(alpha=0.2)


def moment(when: pd.Timestamp | int) -> str:
    """Return a time in words, without an hour that says nothing; whole numbers stay as they are.

    Examples
    --------
    >>> moment(pd.Timestamp("2024-01-02")), moment(pd.Timestamp("2024-01-02 16:30")), moment(7)
    ('2024-01-02', '2024-01-02 16:30', '7')
    """
    if not isinstance(when, pd.Timestamp):
        return str(when)
    return f"{when:%Y-%m-%d}" if when == when.normalize() else f"{when:%Y-%m-%d %H:%M}"
