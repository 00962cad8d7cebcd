"""Every compared trial as one line through its arms to its score; the better, the darker."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from ..answer import Answer, columns
from ..runs import SweepRun
from ..words import metric_name, sentence_case
from .style import FAINT, INK, MUTED, WIDE, bare, main


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the parallel coordinates."""
    figure = Figure(figsize=(WIDE, 3.3), layout="constrained")
    ax = figure.add_subplot()
    scores = np.array([trial.at(run.metric, answer.rung) for trial in answer.compared])
    spread = np.ptp(scores) or 1.0
    score_place = (scores - scores.min()) / spread
    rank = np.argsort(np.argsort(run.sign * scores)) / max(len(scores) - 1, 1)
    places = []
    for axis in run.axes:
        if axis.labels:
            told = [axis.labels.index(str(trial.labels[axis.name])) for trial in answer.compared]
            places.append(np.array(told) / max(len(axis.labels) - 1, 1))
        else:
            places.append(columns(axis, answer.compared)[:, 0])
    # Lines of one arm would hide each other: they are fanned out by rank within a tenth of the height.
    fanned = [p + 0.1 * (rank - 0.5) if axis.labels else p for p, axis in zip(places, run.axes, strict=True)]
    for trial in np.argsort(rank):
        line = [p[trial] for p in fanned] + [score_place[trial]]
        colour = colormaps["cividis_r"](0.15 + 0.85 * rank[trial])
        ax.plot(range(len(line)), line, color=colour, linewidth=1.2 + 1.6 * rank[trial], alpha=0.9, solid_joinstyle="round")
    for x, axis in enumerate(run.axes):
        ax.plot([x, x], [-0.07, 1.07], color=FAINT, linewidth=1.0, zorder=0)
        marks = axis.labels or (f"{axis.low:g}", f"{axis.high:g}")
        for place, mark in zip(np.linspace(0, 1, len(marks)), marks, strict=True):
            _tell(ax, x, float(place), mark)
    last = len(run.axes)
    ax.plot([last, last], [-0.07, 1.07], color=FAINT, linewidth=1.0, zorder=0)
    for place, value in ((0.0, scores.min()), (1.0, scores.max())):
        _tell(ax, last, place, f"{value:.3f}")
    ax.set_xticks(range(last + 1), [*(sentence_case(axis.title) for axis in run.axes), metric_name(run.metric)])
    ax.xaxis.tick_top()
    ax.tick_params(axis="x", labelcolor=INK, labelsize=9)
    ax.set_yticks([])
    ax.set_ylim(-0.2, 1.2)
    ax.set_xlim(-0.35, last + 0.35)
    bare(ax)
    for side in ("top", "bottom"):
        ax.spines[side].set_visible(False)
    return figure


def _tell(ax, x: float, y: float, mark: str) -> None:
    """Name a place on an axis: the ends beyond the lines, what lies between on a white ground."""
    beyond = {0.0: -0.13, 1.0: 0.13}.get(y, 0.0)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    ax.text(x, y + beyond, mark, ha="center", va="center", fontsize=8.5, color=MUTED, bbox=box, zorder=5)


if __name__ == "__main__":
    main(draw)
