"""The test studies on maps of their features: t-SNE, which saw no label, and LDA, whose axes part the levels best."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...datasets.refusal import UserError
from ..answer import Answer
from ..downstream import best_shown
from ..runs import SweepRun
from ..words import figure_name
from .style import ARMS, FAINT, WIDE, main

ACROSS, MOST = 4, 4
"""Maps in a row, and labels that are shown."""
MARKS = ("o", "s", "^", "D", "v", "P")


def draw(run: SweepRun, answer: Answer) -> Figure:  # noqa: ARG001
    """Return the maps of the best trial that was evaluated, one column for each label.

    Raises:
        UserError: no trial was evaluated on its representation.
    """
    told = best_shown(run, "representation", "tsne")
    if told is None:
        raise UserError(
            "no trial was evaluated on its representation: `radsweep evaluate RUN --data ... --tasks representation`"
        )
    shown = told.shown
    labels = [name.removeprefix("truth_") for name in shown if name.startswith("truth_")][:MOST]
    panels_of = [(label, kind) for label in labels or [""] for kind in ("tsne", f"lda_{label}") if kind in shown]
    across = min(ACROSS, len(panels_of))
    down = math.ceil(len(panels_of) / across)
    figure = Figure(figsize=(WIDE, 2.6 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False)
    for panel, (label, kind) in zip(panels.flat, panels_of, strict=False):
        truth = shown[f"truth_{label}"] if label else np.full(len(shown["tsne"]), np.nan)
        levels = [str(level) for level in shown[f"levels_{label}"]] if label else []
        _draw_map(panel, shown[kind], truth, levels or ["absent", "present"])
        panel.set_title(f"{figure_name(label) or 'All studies'}, {'t-SNE' if kind == 'tsne' else 'LDA'}")
    for panel in panels.flat[len(panels_of) :]:
        panel.set_visible(False)
    return figure


def _draw_map(ax: Axes, places: np.ndarray, truth: np.ndarray, levels: list[str]) -> None:
    ax.scatter(*places[np.isnan(truth)].T, s=9, color=FAINT, linewidths=0)
    drawn = {}
    for level, name in enumerate(levels):
        own = places[truth == level]
        if len(own):
            # Every six levels marks move on by one: 36 pairs of colour and mark.
            mark = MARKS[(level + level // len(ARMS)) % len(MARKS)]
            drawn[name] = ax.scatter(*own.T, s=12, color=ARMS[level % len(ARMS)], marker=mark, linewidths=0, alpha=0.75)
    ax.set_xticks([])
    ax.set_yticks([])
    where = {"loc": "upper left", "bbox_to_anchor": (0, -0.02)}
    ax.legend([*drawn.values()], [*drawn], **where, ncols=3, handletextpad=0.1, columnspacing=0.7, fontsize=8)


if __name__ == "__main__":
    main(draw)
