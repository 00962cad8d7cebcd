"""What each axis changes: a dot and its 95 % interval per contrast, filled where the effect is shown; the margin is shaded."""

import math

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..answer import Answer
from ..runs import SweepRun
from ..words import decimals_for, metric_name, sentence_case, signed
from .style import BLUE, COLUMN, INK, MUTED, RULE, SHADE, bare, main, row_heads, rows_height


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the effect plot of the sweep's metric."""
    rows = list(answer.effects)
    heads = [(sentence_case(effect.axis.title), f"{effect.label} vs {effect.reference}") for effect in rows]
    figure = Figure(figsize=(COLUMN, 0.75 + rows_height(heads)), layout="constrained")
    ax = figure.add_subplot()
    ax.axvspan(-run.margin, run.margin, color=SHADE, linewidth=0, zorder=-1)
    ax.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
    for place, effect in enumerate(rows):
        y = -place
        ax.axhline(y, color=RULE, linewidth=0.7, zorder=0)
        if effect.untold:
            ax.annotate("cannot be told", (0, y), (6, 0), textcoords="offset points", color=MUTED, va="center", fontsize=8.5)
            continue
        colour = BLUE if effect.shown else MUTED
        ax.plot([effect.low, effect.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="round", zorder=2)
        face = colour if effect.shown else "white"
        ax.plot(effect.value, y, "o", markersize=7, markerfacecolor=face, markeredgecolor=colour, markeredgewidth=1.6, zorder=3)
        told = signed(effect.value, decimals_for(effect))
        ax.annotate(
            told, (effect.value, y), (0, 7), textcoords="offset points", ha="center", va="bottom", fontsize=8.5, color=INK
        )
    row_heads(ax, heads)
    reach = max((abs(x) for e in rows for x in (e.low, e.high) if not math.isnan(x)), default=1.0)
    reach = max(reach, run.margin)
    ax.set_xlim(-1.08 * reach, 1.08 * reach)
    ax.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    better = "" if run.sign > 0 else " (less is better)"
    ax.set_xlabel(f"change in {metric_name(run.metric)}{better}, 95 % interval")
    bare(ax)
    return figure


if __name__ == "__main__":
    main(draw)
