"""How much of the difference between trials each axis explains, with its interval, beside what pure noise would be given."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...datasets.refusal import UserError
from ..answer import Answer
from ..runs import SweepRun
from ..words import sentence_case
from .style import BLUE, COLUMN, FAINT, INK, bare, main


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the importance bars.

    Raises:
        UserError: too few trials leave nothing for the noise.
    """
    if answer.shares is None:
        raise UserError(f"{len(answer.compared)} trials are too few to tell what each axis explains: run more")
    shares = answer.shares
    order = sorted(run.axes, key=lambda axis: -shares[axis.name])
    names = [*(sentence_case(axis.title) for axis in order), "Unexplained"]
    widths = [*(100 * shares[axis.name] for axis in order), 100 * (1 - sum(shares.values()))]
    figure = Figure(figsize=(COLUMN, 0.95 + 0.38 * len(names)), layout="constrained")
    ax = figure.add_subplot()
    colours = [BLUE] * len(order) + [FAINT]
    ax.barh(range(len(names)), widths, height=0.56, color=colours)
    ax.set_yticks(range(len(names)), names)
    ends = [tuple(100 * end for end in answer.share_ends[axis.name]) for axis in order]
    for row, (width, reach) in enumerate(zip(widths, [*(high for _, high in ends), widths[-1]], strict=True)):
        place = (max(width, reach), row)
        ax.annotate(f"{width:.0f} %", place, (6, 0), textcoords="offset points", va="center", fontsize=8.5, color=INK)
    for row, (low, high) in enumerate(ends):
        ax.plot([low, high], [row, row], color=INK, linewidth=1.0, solid_capstyle="butt")
    for row, axis in enumerate(order):
        noise = 100 * answer.noise_shares[axis.name]
        ax.plot([noise, noise], [row - 0.36, row + 0.36], color=INK, linewidth=1.4)
    ax.invert_yaxis()
    ax.set_xlim(0, max([*widths, *(high for _, high in ends)]) * 1.14)
    ax.set_xlabel("share of the variance between trials, %, and 95 % interval")
    ax.tick_params(axis="y", labelcolor=INK, labelsize=9)
    bare(ax)
    mark = Line2D([], [], color=INK, linewidth=1.4, marker="|", linestyle="none", markersize=10, markeredgewidth=1.4)
    figure.legend([mark], ["what pure noise would get on average"], loc="outside lower right", handlelength=0.8)
    return figure


if __name__ == "__main__":
    main(draw)
