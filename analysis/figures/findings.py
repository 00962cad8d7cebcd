"""What each axis changes for each finding: a matrix of AUROC differences, strong only where the effect is shown."""

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ..answer import Answer, Effect
from ..runs import FINDING, SweepRun
from ..words import beyond, decimals_for, finding_name, interval, sentence_case, signed
from .style import BLUE, INK, LINE, MUTED, ORANGE, RULE, SHADE, WIDE, bare, main, wrapped

ACROSS = 5
"""Above so many contrasts they are rows, and findings columns, if those are fewer."""
HEADS = 2.4
"""Width of the names of the rows, inches."""


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the matrix: contrasts beside one another and findings below, or the other way round where that is narrower."""
    contrasts = [(effect.axis, effect.reference, effect.label) for effect in answer.effects]
    findings = run.findings
    turned = len(contrasts) > max(ACROSS, len(findings))
    down, across = (len(contrasts), len(findings)) if turned else (len(findings), len(contrasts))
    width = (WIDE - HEADS) / max(across, 1)
    cells = {(c.metric.removeprefix(FINDING), c.axis.name, c.label): c for c in answer.cells}
    letters = int(width / 0.07)
    of_findings = [wrapped(finding_name(finding), 30 if not turned else letters) for finding in findings]
    of_contrasts = [
        [
            *wrapped(sentence_case(axis.title), 32 if turned else letters),
            *wrapped(f"{label} vs {reference}", 32 if turned else letters),
        ]
        for axis, reference, label in contrasts
    ]
    rows, columns = (of_contrasts, of_findings) if turned else (of_findings, of_contrasts)
    height = max([0.5, *(0.1 + LINE * len(head) for head in rows)])
    above = LINE * max(map(len, columns), default=1)
    figure = Figure(figsize=(WIDE, 0.95 + above + height * max(down, 1)), layout="constrained")
    ax = figure.add_subplot()
    for row, finding in enumerate(findings):
        for column, (axis, _, label) in enumerate(contrasts):
            place = (row, column) if turned else (column, row)
            _draw_cell(ax, *place, width, cells[finding, axis.name, label])
    ax.set_xlim(-0.5, across - 0.5)
    ax.set_ylim(down - 0.5, -0.5)
    ax.set_xticks(range(across), ["\n".join(head) for head in columns])
    ax.xaxis.tick_top()
    ax.set_yticks(range(down), ["\n".join(head) for head in rows])
    ax.tick_params(labelcolor=INK, labelsize=9 if width > 1 else 8)
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


def _draw_cell(ax: Axes, column: int, row: int, width: float, cell: Effect) -> None:
    """Draw one cell; what has no room in ``width`` inches for an interval has the change alone."""
    colour = (BLUE if cell.value > 0 else ORANGE) if cell.shown else SHADE
    ax.add_patch(Rectangle((column - 0.48, row - 0.44), 0.96, 0.88, facecolor=colour, edgecolor="none"))
    size = min(8.2, 8.2 * width / 1.15)
    if cell.untold:
        ax.text(column, row, "cannot\nbe told", ha="center", va="center", color=MUTED, fontsize=size)
        return
    ink = MUTED if not cell.shown else "white" if sum(to_rgb(colour)) < 1.5 else INK
    weight = "bold" if cell.shown else "normal"
    told = signed(cell.value, decimals_for(cell))
    roomy = size > 5.5
    ax.text(
        column, row - 0.13 * roomy, told, ha="center", va="center", color=ink, fontsize=10 if roomy else 8, fontweight=weight
    )
    if roomy:
        ax.text(column, row + 0.22, interval(cell), ha="center", va="center", color=ink, fontsize=size)


if __name__ == "__main__":
    main(draw)
