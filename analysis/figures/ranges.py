"""A continuous axis against the metric: the compared trials with the other axes' effects taken out, and the fitted line."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from ...datasets.refusal import UserError
from ..answer import Answer, columns
from ..runs import SweepRun
from ..words import metric_name, sentence_case
from .style import BLUE, COLUMN, FAINT, MUTED, main


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return one panel per continuous axis; the line is missing where the effect cannot be told.

    Raises:
        UserError: the sweep has no continuous axis.
    """
    ranges = [axis for axis in run.axes if not axis.labels]
    if not ranges:
        raise UserError("this sweep has no continuous axis: there is nothing to draw")
    figure = Figure(figsize=(COLUMN, 0.4 + 2.5 * len(ranges)), layout="constrained")
    response = np.array([trial.at(run.metric, answer.rung) for trial in answer.compared])
    for ax, axis in zip(figure.subplots(len(ranges), squeeze=False).flat, ranges, strict=True):
        others = [other for other in run.axes if other.name != axis.name]
        taken = np.zeros(len(response))
        for other in others:
            place = columns(other, answer.compared)
            slopes = np.array([effect.value for effect in answer.of(other)])
            # An effect that cannot be told is not taken out.
            taken += (place - place.mean(axis=0)) @ np.nan_to_num(slopes)
        adjusted = response - taken
        values = np.array([trial.labels[axis.name] for trial in answer.compared], float)
        (effect,) = answer.of(axis)
        if not np.isnan(effect.value):
            place = columns(axis, answer.compared)[:, 0]
            line = adjusted.mean() + effect.value * (np.array([0.0, 1.0]) - place.mean())
            colour = BLUE if effect.shown else FAINT
            ax.plot([axis.low, axis.high], line, color=colour, linewidth=2.0, zorder=1)
        ax.plot(values, adjusted, "o", markersize=6, color=BLUE, alpha=0.8, markeredgewidth=0, zorder=2)
        if axis.log:
            ax.set_xscale("log")
            ticks = np.geomspace(axis.low, axis.high, 5)
            ax.set_xticks(ticks)
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.2g}"))
            ax.minorticks_off()
        ax.set_xlabel(f"{sentence_case(axis.title)}{' (logarithmic)' if axis.log else ''}")
        ax.set_ylabel(f"{metric_name(run.metric)}, other axes taken out", color=MUTED)
    return figure


if __name__ == "__main__":
    main(draw)
