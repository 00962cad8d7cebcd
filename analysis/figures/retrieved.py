"""What is found for an image: a validation study of some classes, and the test studies whose images lie nearest."""

from matplotlib.figure import Figure

from ...datasets.refusal import UserError
from ..answer import Answer
from ..downstream import best_shown
from ..runs import SweepRun
from .style import BLUE, VERMILLION, WIDE, main, picture


def draw(run: SweepRun, answer: Answer) -> Figure:  # noqa: ARG001
    """Return the nearest studies of the best trial that was evaluated.

    Raises:
        UserError: no trial was evaluated on retrieval by classes.
    """
    told = best_shown(run, "retrieval", "queries")
    if told is None:
        raise UserError("no trial was evaluated on retrieval by classes: `radsweep evaluate RUN --data ... --tasks retrieval`")
    queries, found, hits, classes = (told.shown[name] for name in ("queries", "found", "hits", "classes"))
    rows, columns = found.shape[:2]
    figure = Figure(figsize=(WIDE, 1.3 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns + 1, squeeze=False)
    for row in range(rows):
        picture(panels[row, 0], queries[row])
        panels[row, 0].set_ylabel(str(classes[row]).replace(":", "\n").replace("_", " "), rotation=0, ha="right", va="center")
        for column in range(columns):
            hit = bool(hits[row, column])
            picture(panels[row, column + 1], found[row, column], BLUE if hit else VERMILLION, "-" if hit else (0, (2, 2)))
    panels[0, 0].set_title("asked")
    for column in range(columns):
        panels[0, column + 1].set_title(f"{column + 1}.")
    return figure


if __name__ == "__main__":
    main(draw)
