"""One table of trials, best first, as CSV (every number), Markdown and LaTeX (what the page shows)."""

import csv
import io
import math
from dataclasses import dataclass

from .answer import Answer, best_first
from .runs import FINDING, SweepRun, Trial
from .words import MISSING, count, duration, finding_name, label_text, metric_name, number, p_value, sentence_case

SHOWN = ("val/recall_at_1", "val/recall_at_5")


@dataclass(frozen=True)
class Cell:
    """One cell: its ``text``, and the ``key`` it is sorted by; a missing value has no key."""

    text: str
    key: str | float | None


@dataclass(frozen=True)
class Table:
    """Column titles, rows of cells, and whether the first row alone is the best (a tie is never set in bold)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    bold: bool


def make_table(run: SweepRun, answer: Answer) -> Table:
    """Return the table of trials that people read."""
    name = sentence_case(metric_name(run.metric))
    extra = [metric for metric in SHOWN if metric != run.metric and any(metric in trial.latest for trial in run.trials)]
    columns = (
        "Trial",
        *(sentence_case(axis.title) for axis in run.axes),
        "Status",
        f"{name} at {count(answer.rung)} pairs",
        f"{name}, last",
        *(sentence_case(metric_name(metric)) for metric in extra),
        "Pairs seen",
        "Time",
    )
    rows = []
    for trial in best_first(run):
        labels = [trial.labels[axis.name] for axis in run.axes]
        rows.append(
            (
                Cell(str(trial.number), trial.number),
                *(Cell(label_text(axis, label), _key(label)) for axis, label in zip(run.axes, labels, strict=True)),
                Cell(status_text(run, trial), status_text(run, trial)),
                _score(trial.at(run.metric, answer.rung)),
                _score(trial.latest.get(run.metric, math.nan)),
                *(_score(trial.latest.get(metric, math.nan)) for metric in extra),
                Cell(count(trial.pairs_seen), trial.pairs_seen) if trial.pairs_seen else Cell(MISSING, None),
                Cell(duration(trial.time_s), None if math.isnan(trial.time_s) else trial.time_s),
            )
        )
    return Table(columns, tuple(rows), answer.alone)


def status_text(run: SweepRun, trial: Trial) -> str:
    """Return how a trial ended; one that still runs in a sweep that has ended was interrupted."""
    return "interrupted" if trial.status == "running" and run.ended else trial.status


def _score(value: float) -> Cell:
    return Cell(number(value), None if math.isnan(value) else value)


def _key(label: str | float) -> str | float:
    """Labels that are numbers sort as numbers."""
    try:
        return float(label)
    except ValueError:
        return label


def to_csv(run: SweepRun, answer: Answer) -> str:
    """Return every trial with its dotted axis names and all metrics at full precision; what is missing is empty."""
    metrics = sorted({metric for trial in run.trials for metric in trial.latest})
    at_rung = [run.metric, *(FINDING + finding for finding in run.findings if FINDING + finding != run.metric)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["trial", "status", "seed", "pairs_seen", *(axis.name for axis in run.axes)]
    writer.writerow([*columns, *(f"{metric} at {answer.rung} pairs" for metric in at_rung), *metrics])
    for trial in best_first(run):
        facts = [trial.number, status_text(run, trial), trial.seed, trial.pairs_seen, *(trial.labels[a.name] for a in run.axes)]
        numbers = [trial.at(metric, answer.rung) for metric in at_rung] + [trial.latest.get(m, math.nan) for m in metrics]
        writer.writerow([*facts, *("" if math.isnan(value) else repr(float(value)) for value in numbers)])
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """Return the table in Markdown."""

    def line(texts: list[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"

    rows = [[cell.text for cell in row] for row in table.rows]
    if table.bold:
        rows[0] = [f"**{text}**" for text in rows[0]]
    return "\n".join([line(list(table.columns)), line(["---"] * len(table.columns)), *map(line, rows)]) + "\n"


def to_latex(table: Table, caption: str) -> str:
    """Return the table in LaTeX; needs the package booktabs."""
    rows = [[_tex(cell.text) for cell in row] for row in table.rows]
    if table.bold:
        rows[0] = [f"\\textbf{{{text}}}" for text in rows[0]]
    lines = [
        "\\begin{table}",
        f"\\caption{{{_tex(caption)}}}",
        f"\\begin{{tabular}}{{{'l' * len(table.columns)}}}",
        "\\toprule",
        " & ".join(_tex(column) for column in table.columns) + r" \\",
        "\\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{MINUS SIGN}": "$-$",
    MISSING: "--",
    "\N{NO-BREAK SPACE}": "~",
}


def _tex(text: str) -> str:
    return "".join(TEX.get(sign, sign) for sign in text)


def findings_markdown(answer: Answer) -> str:
    """Return the per-finding effects in Markdown, one contrast per line."""
    lines = ["| Finding | Axis | Contrast | Change in AUROC | 95 % interval | p, corrected |", "|---|---|---|---|---|---|"]
    for cell in answer.cells:
        facts = [finding_name(cell.metric), cell.axis.title, f"{cell.label} vs {cell.reference}"]
        numbers = [number(cell.value), f"{number(cell.low)} to {number(cell.high)}", p_value(cell.p)]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in [*facts, *numbers]) + " |")
    return "\n".join(lines) + "\n"
