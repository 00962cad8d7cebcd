"""Where a model looks, over images in which readers marked a region."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...datasets.refusal import UserError
from ..answer import Answer
from ..downstream import best_shown
from ..runs import SweepRun
from .style import WIDE, main, picture

TITLES = {
    "gradient": "gradient of the\nsimilarity to the text",
    "norm": "length of\nthe features",
    "rollout": "attention\nrollout",
}


def draw(run: SweepRun, answer: Answer) -> Figure:  # noqa: ARG001
    """Return images, maps over them, and what was marked, of the best trial that was evaluated.

    Raises:
        UserError: no trial was evaluated on saliency.
    """
    told = best_shown(run, "saliency", "views")
    if told is None:
        raise UserError("no trial was evaluated on saliency: `radsweep evaluate RUN --data ... --tasks saliency`")
    views, marked = told.shown["views"], told.shown["marked"]
    maps = {name: told.shown[f"map_{name}"] for name in TITLES if f"map_{name}" in told.shown}
    figure = Figure(figsize=(WIDE, 1.55 * (len(maps) + 1) + 0.1), layout="constrained")
    panels = figure.subplots(len(maps) + 1, len(views), squeeze=False)
    for column, view in enumerate(views):
        picture(panels[0, column], view)
        outline(panels[0, column], marked[column])
    panels[0, 0].set_ylabel("marked by\nreaders" if marked.any() else "image", rotation=0, ha="right", va="center")
    for row, (name, own) in enumerate(maps.items(), 1):
        panels[row, 0].set_ylabel(TITLES[name], rotation=0, ha="right", va="center")
        for column, (view, heat) in enumerate(zip(views, own, strict=True)):
            picture(panels[row, column], view)
            if not np.isnan(heat).any():
                panels[row, column].imshow(heat, cmap="inferno", alpha=0.8 * heat.clip(0, 1), vmin=0, vmax=1)
            outline(panels[row, column], marked[column])
    return figure


def outline(ax: Axes, marked: np.ndarray) -> None:
    """Draw the edge of what readers marked, if anything."""
    if marked.any():
        ax.contour(marked, [0.5], colors="white", linewidths=1.0)


if __name__ == "__main__":
    main(draw)
