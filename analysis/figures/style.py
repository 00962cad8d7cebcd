"""One look for all figures, and the one way to save them: as a file that is the same for the same numbers."""

import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...datasets.refusal import UserError
from ..answer import Answer, find_answer
from ..runs import SweepRun, read_sweep

WIDE = 9.6
COLUMN = 5.0
"""Widths in inches: across the page, and one column of it."""

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common form of colour blindness.
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
ARMS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)
INK, MUTED, FAINT, RULE, SHADE = "#1f2933", "#5f6b7a", "#c3cad3", "#e4e8ed", "#eef1f5"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a label is a dollar
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
}

Draw = Callable[[SweepRun, Answer], Figure]


def save(draw: Draw, run: SweepRun, answer: Answer, path: Path) -> None:
    """Draw a figure and write it as SVG or PNG, by the suffix of ``path``."""
    with mpl.rc_context(STYLE), mpl.rc_context({"svg.hashsalt": path.stem}):
        figure = draw(run, answer)
        if path.suffix == ".svg":
            figure.savefig(path, metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(path, dpi=200, metadata={"Software": None})


def main(draw: Draw) -> None:
    """Draw one figure from the command line: run folder, file to write, and the MLflow store where it has moved."""
    if len(sys.argv) not in (3, 4) or not sys.argv[2].endswith((".svg", ".png")):
        sys.exit("give a run folder, the .svg or .png file to write, and the tracking URI if the MLflow store has moved")
    try:
        run = read_sweep(Path(sys.argv[1]), *sys.argv[3:])
        save(draw, run, find_answer(run), Path(sys.argv[2]))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


ROW = 0.52
"""Height of a row of a chart with written rows, inches."""
LINE = 0.15
"""That of a line of text in it."""


def row_heads(ax: Axes, heads: Sequence[tuple[str, str]]) -> None:
    """Name the rows of a chart, at 0, -1, -2 and so on, by what varies and what is compared; long names take several lines."""
    ax.set_yticks([-place for place in range(len(heads))], ["\n".join(_lines(head)) for head in heads])
    ax.set_ylim(-len(heads) + 0.45, 0.62)
    ax.tick_params(axis="y", labelcolor=INK, labelsize=8.5)


def rows_height(heads: Sequence[tuple[str, str]]) -> float:
    """Return how high the rows of such a chart are, inches."""
    return max(len(heads), 1) * max([ROW, *(0.16 + LINE * len(_lines(head)) for head in heads)])


def _lines(head: tuple[str, str]) -> list[str]:
    return [line for part in head for line in wrapped(part, 30)]


def wrapped(text: str, width: int) -> list[str]:
    """Return ``text`` in lines of at most ``width`` letters, also where it has no spaces."""
    return textwrap.wrap(text, width) or [""]


def bare(ax: Axes) -> None:
    """Take away what a chart with written rows does not need: the left edge and all tick marks."""
    ax.spines["left"].set_visible(False)
    ax.tick_params(length=0)


def picture(ax: Axes, pixels: np.ndarray, frame: str = FAINT, dashes: Any = "-") -> None:
    """Show an image uint8 [height, width] in a frame."""
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, color=frame, linewidth=0.8 if frame == FAINT else 2.4, linestyle=dashes)
