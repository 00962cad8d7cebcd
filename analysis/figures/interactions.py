"""Does an axis matter more under one label of another? One map per pair of axes: the mean of the trials in each cell."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ...datasets.refusal import UserError
from ..answer import Answer
from ..runs import Axis, SweepRun, Trial
from ..words import metric_name, number, sentence_case
from .style import FAINT, INK, MUTED, WIDE, bare, main, wrapped

COLUMNS = 3
FEW = 3
"""Above so many labels of an axis maps are larger, and fewer beside one another."""


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the interaction maps.

    Raises:
        UserError: the sweep has fewer than two axes.
    """
    pairs = list(combinations(run.axes, 2))
    if not pairs:
        raise UserError("the sweep has fewer than two axes: nothing can interact")
    most = max(len(axis.labels) for axis in run.axes)
    across = min(len(pairs), COLUMNS if most <= FEW else COLUMNS - 1)
    down = math.ceil(len(pairs) / across)
    figure = Figure(
        figsize=(WIDE, 0.3 + (2.35 if most <= FEW else 3.1) * down), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    )
    panels = figure.subplots(down, across, squeeze=False)
    scores = [trial.at(run.metric, answer.rung) for trial in answer.compared]
    scale = Normalize(min(scores), max(scores))
    for panel, (one, other) in zip(panels.flat, pairs, strict=False):
        shown = [i for i in answer.interactions if (i.first[0].name, i.second[0].name) == (one.name, other.name) and i.shown]
        _draw_map(panel, run, answer, one, other, scale)
        title = "\n".join(wrapped(f"{sentence_case(one.title)} × {other.title}", 96 // across - 6))
        panel.set_title(title, fontweight="bold" if shown else "normal")
    for panel in panels.flat[len(pairs) :]:
        panel.set_visible(False)
    colours = colormaps["cividis"]
    bar = figure.colorbar(ScalarMappable(scale, colours), ax=list(panels.flat), shrink=0.6, aspect=30, pad=0.04)
    bar.set_label(metric_name(run.metric), color=MUTED, fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    return figure


def _draw_map(ax: Axes, run: SweepRun, answer: Answer, one: Axis, other: Axis, scale: Normalize) -> None:
    rows, columns = _places(one, answer.compared), _places(other, answer.compared)
    colours = colormaps["cividis"]
    for row in range(len(rows[0])):
        for column in range(len(columns[0])):
            inside = (rows[1] == row) & (columns[1] == column)
            cell = [trial.at(run.metric, answer.rung) for trial, own in zip(answer.compared, inside, strict=True) if own]
            mean = float(np.mean(cell)) if cell else math.nan
            face = colours(scale(mean)) if cell else "white"
            ax.fill_between(
                [column - 0.47, column + 0.47], row - 0.46, row + 0.46, facecolor=face, edgecolor=FAINT if not cell else face
            )
            ink = MUTED if not cell else "white" if scale(mean) < 0.55 else INK
            told = f"{number(mean)}\nn = {len(cell)}" if cell else "no trial"
            ax.text(column, row, told, ha="center", va="center", fontsize=8.5, color=ink)
    letters = 30 // len(columns[0])
    ax.set_xticks(range(len(columns[0])), ["\n".join(wrapped(label, max(letters, 5))) for label in columns[0]])
    ax.set_yticks(range(len(rows[0])), ["\n".join(wrapped(label, 16)) for label in rows[0]])
    ax.set_xlim(-0.5, len(columns[0]) - 0.5)
    ax.set_ylim(len(rows[0]) - 0.5, -0.5)
    ax.set_xlabel(other.title)
    ax.set_ylabel(one.title)
    bare(ax)
    ax.spines["bottom"].set_visible(False)


def _places(axis: Axis, trials: Sequence[Trial]) -> tuple[list[str], np.ndarray]:
    """Return the cells of an axis and which one each trial is in; a range has two, below and above its middle."""
    if axis.labels:
        return list(axis.labels), np.array([axis.labels.index(str(trial.labels[axis.name])) for trial in trials])
    middle = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
    return [f"< {middle:.2g}", f"≥ {middle:.2g}"], np.array([int(float(t.labels[axis.name]) >= middle) for t in trials])


if __name__ == "__main__":
    main(draw)
