"""Where the pairs went: one bar per trial, as long as it ran, best first."""

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..answer import Answer, best_first
from ..runs import SweepRun
from ..tables import status_text
from .style import BLUE, COLUMN, FAINT, MUTED, ORANGE, SKY, VERMILLION, bare, main

COLOURS = {"finished": BLUE, "stopped": SKY, "failed": VERMILLION, "running": ORANGE, "interrupted": ORANGE}
NAMED = 30
"""Above so many trials the bars are too thin to be named."""


def draw(run: SweepRun, answer: Answer) -> Figure:  # noqa: ARG001 -- all figures are drawn from the same two values
    """Return the bars, with the rungs as lines."""
    trials = best_first(run)
    statuses = [status_text(run, trial) for trial in trials]
    figure = Figure(figsize=(COLUMN, 1.15 + 0.19 * min(len(trials), NAMED)), layout="constrained")
    ax = figure.add_subplot()
    for rung in run.meeting_points:
        ax.axvline(rung, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
    ax.barh(range(len(trials)), [t.pairs_seen for t in trials], height=0.62, color=[COLOURS[one] for one in statuses], zorder=1)
    ax.invert_yaxis()
    if len(trials) <= NAMED:
        ax.set_yticks(range(len(trials)), [f"trial {trial.number}" for trial in trials])
    else:
        ax.set_yticks([])
    for row, (trial, status) in enumerate(zip(trials, statuses, strict=True)):
        if not trial.pairs_seen:
            why = f"{status} before its first report"
            ax.annotate(why, (0, row), (4, 0), textcoords="offset points", va="center", fontsize=7.5, color=COLOURS[status])
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ax.set_xlabel("image-report pairs seen; dashed: rungs")
    ax.tick_params(axis="y", labelcolor=MUTED, labelsize=8)
    bare(ax)
    key = [Patch(facecolor=colour, label=status) for status, colour in COLOURS.items() if status in statuses]
    figure.legend(handles=key, loc="outside upper left", ncols=4, handlelength=1.0, handleheight=0.9)
    return figure


if __name__ == "__main__":
    main(draw)
