"""What each axis costs: how many times as long a trial takes, with its 95 % interval."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ...datasets.refusal import UserError
from ..answer import Answer
from ..runs import SweepRun
from ..words import sentence_case
from .style import COLUMN, INK, MUTED, ORANGE, RULE, bare, main, row_heads, rows_height


def draw(run: SweepRun, answer: Answer) -> Figure:  # noqa: ARG001 -- all figures are drawn from the same two values
    """Return the cost plot.

    Raises:
        UserError: too few trials leave nothing for the noise.
    """
    rows = answer.costs
    if not rows:
        raise UserError(f"{len(answer.compared)} trials are too few to tell what each axis costs: run more")
    heads = [(sentence_case(cost.axis.title), f"{cost.label} vs {cost.reference}") for cost in rows]
    figure = Figure(figsize=(COLUMN, 0.75 + rows_height(heads)), layout="constrained")
    ax = figure.add_subplot()
    ax.axvline(1, color=MUTED, linewidth=0.9, zorder=1)
    for place, cost in enumerate(rows):
        colour = ORANGE if not cost.low <= 1 <= cost.high else MUTED
        ax.axhline(-place, color=RULE, linewidth=0.7, zorder=0)
        ax.plot([cost.low, cost.high], [-place, -place], color=colour, linewidth=2.2, solid_capstyle="round", zorder=2)
        ax.plot(cost.ratio, -place, "o", markersize=7, color=colour, zorder=3)
        told = f"{cost.ratio:.2f} x"
        ax.annotate(told, (cost.ratio, -place), (0, 7), textcoords="offset points", ha="center", fontsize=8.5, color=INK)
    row_heads(ax, heads)
    ax.set_xscale("log")
    reach = 1.1 * max(2.0, *(max(cost.high, 1 / cost.low) for cost in rows))
    ax.set_xlim(1 / reach, reach)
    steps = [x for x in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16) if 1 / reach <= x <= reach]
    ax.set_xticks(steps)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g} x" if x >= 1 else f"1/{np.rint(1 / x):g} x"))
    ax.set_xlabel("time of a trial, 95 % interval")
    bare(ax)
    return figure


if __name__ == "__main__":
    main(draw)
