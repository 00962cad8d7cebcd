"""Is the better arm worth its price? Quality against the hours of a trial, with the front that no other trial beats."""

import numpy as np
from matplotlib.figure import Figure

from ...datasets.refusal import UserError
from ..answer import Answer
from ..runs import SweepRun
from ..words import metric_name
from .style import BLUE, COLUMN, FAINT, MUTED, main


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the front.

    Raises:
        UserError: no trial saw the whole budget.
    """
    told = answer.tradeoff
    if not told.trials:
        raise UserError("no trial has seen the whole budget and told its cost: there is no front to draw")
    figure = Figure(figsize=(COLUMN, 3.2), layout="constrained")
    ax = figure.add_subplot()
    ax.plot(told.costs[~told.front], told.scores[~told.front], "o", color=FAINT, markersize=6, markeredgewidth=0)
    order = np.argsort(told.costs[told.front], kind="stable")
    costs, scores = told.costs[told.front][order], told.scores[told.front][order]
    ax.step(costs, scores, where="post", color=BLUE, linewidth=1.6, zorder=2)
    ax.plot(costs, scores, "o", color=BLUE, markersize=7, zorder=3)
    best = [trial for trial, on in zip(told.trials, told.front, strict=True) if on]
    for place in range(len(costs)):
        ax.annotate(
            str(best[order[place]].number),
            (costs[place], scores[place]),
            (-7, 3),
            textcoords="offset points",
            fontsize=8.5,
            ha="right",
            va="bottom",
        )
    ax.set_xlabel(f"{told.unit} of the trial")
    better = "" if run.sign > 0 else " (less is better)"
    ax.set_ylabel(metric_name(run.metric) + better)
    ax.set_xlim(0, 1.05 * told.costs.max())
    ax.margins(y=0.15)
    ax.tick_params(colors=MUTED)
    return figure


if __name__ == "__main__":
    main(draw)
