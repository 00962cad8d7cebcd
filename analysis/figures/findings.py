"""What each axis changes for each finding: a matrix of AUROC differences, strong only where the effect is shown."""

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ..answer import Answer, Effect
from ..runs import FINDING, SweepRun
from ..words import beyond, decimals_for, finding_name, interval, sentence_case, signed
from .style import BLUE, INK, MUTED, ORANGE, RULE, SHADE, WIDE, bare, main


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the matrix, findings by contrasts."""
    contrasts = [(effect.axis, effect.reference, effect.label) for effect in answer.effects]
    findings = run.findings
    cells = {(c.metric.removeprefix(FINDING), c.axis.name, c.label): c for c in answer.cells}
    figure = Figure(figsize=(WIDE, 1.25 + 0.5 * max(len(findings), 1)), layout="constrained")
    ax = figure.add_subplot()
    for row, finding in enumerate(findings):
        for column, (axis, _, label) in enumerate(contrasts):
            _draw_cell(ax, column, row, cells[finding, axis.name, label])
    ax.set_xlim(-0.5, len(contrasts) - 0.5)
    ax.set_ylim(len(findings) - 0.5, -0.5)
    heads = [f"{sentence_case(axis.title)}\n{label} vs {reference}" for axis, reference, label in contrasts]
    ax.set_xticks(range(len(contrasts)), heads)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(findings)), [finding_name(finding) for finding in findings])
    ax.tick_params(labelcolor=INK, labelsize=9)
    bare(ax)
    for side in ("top", "bottom"):
        ax.spines[side].set_visible(False)
    key = [
        Patch(facecolor=BLUE, label=f"shown{beyond(run)}: AUROC rises"),
        Patch(facecolor=ORANGE, label=f"shown{beyond(run)}: AUROC falls"),
        Patch(facecolor=SHADE, edgecolor=RULE, label=f"not shown{beyond(run)}"),
    ]
    figure.legend(handles=key, loc="outside lower left", ncols=3, handlelength=1.2, handleheight=1.0)
    return figure


def _draw_cell(ax, column: int, row: int, cell: Effect) -> None:
    colour = (BLUE if cell.value > 0 else ORANGE) if cell.shown else SHADE
    ax.add_patch(Rectangle((column - 0.48, row - 0.44), 0.96, 0.88, facecolor=colour, edgecolor="none"))
    if cell.untold:
        ax.text(column, row, "cannot be told", ha="center", va="center", color=MUTED, fontsize=8.5)
        return
    ink = MUTED if not cell.shown else "white" if sum(to_rgb(colour)) < 1.5 else INK
    weight = "bold" if cell.shown else "normal"
    told = signed(cell.value, decimals_for(cell))
    ax.text(column, row - 0.13, told, ha="center", va="center", color=ink, fontsize=10, fontweight=weight)
    ax.text(column, row + 0.22, interval(cell), ha="center", va="center", color=ink, fontsize=8.2)


if __name__ == "__main__":
    main(draw)
