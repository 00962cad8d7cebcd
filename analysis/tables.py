"""Tables of effects, trials and downstream tasks, as CSV (every number), Markdown and LaTeX (what the page shows)."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .answer import Answer, Effect, best_first
from .downstream import Evaluation, TaskTable
from .runs import FINDING, SweepRun, Trial
from .words import (
    MISSING,
    count,
    duration,
    figure_name,
    label_text,
    metric_name,
    number,
    p_value,
    point,
    sentence_case,
    signed,
)

SHOWN = ("val/recall_at_1", "val/recall_at_5")
WIDE = 9
"""Columns that a page of LaTeX holds."""


@dataclass(frozen=True)
class Cell:
    """One cell: its ``text``, and the ``key`` it is sorted by; a missing value has no key. A tie is never set in bold.

    ``beside`` is set in smaller type: an interval.
    """

    text: str
    key: str | float | None
    bold: bool = False
    beside: str = ""

    @property
    def whole(self) -> str:
        return f"{self.text} ({self.beside})" if self.beside else self.text


@dataclass(frozen=True)
class Table:
    """Column titles and rows of cells; ``below`` holds what is written under each title, if anything."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    below: tuple[str, ...] = ()

    @property
    def bold(self) -> bool:
        """Whether anything is better than all else."""
        return any(cell.bold for row in self.rows for cell in row)


def make_table(run: SweepRun, answer: Answer) -> Table:
    """Return the table of trials that people read, best first; the first is bold if it alone is the best."""
    name = sentence_case(metric_name(run.metric))
    extra = [metric for metric in SHOWN if metric != run.metric and any(metric in trial.latest for trial in run.trials)]
    columns = (
        "Trial",
        *(sentence_case(axis.title) for axis in run.named),
        "Status",
        f"{name} at {point(run, answer)}",
        f"{name}, last",
        *(sentence_case(metric_name(metric)) for metric in extra),
        "Pairs seen",
        "Time",
    )
    rows = []
    for trial in best_first(run):
        labels = [trial.labels[axis.name] for axis in run.named]
        rows.append(
            (
                Cell(str(trial.number), trial.number),
                *(Cell(label_text(label), _key(label)) for label in labels),
                Cell(status_text(run, trial), status_text(run, trial)),
                _score(trial.at(run.metric, answer.rung)),
                _score(trial.latest.get(run.metric, math.nan)),
                *(_score(trial.latest.get(metric, math.nan)) for metric in extra),
                Cell(count(trial.pairs_seen), trial.pairs_seen) if trial.pairs_seen else Cell(MISSING, None),
                Cell(duration(trial.time_s), None if math.isnan(trial.time_s) else trial.time_s),
            )
        )
    if answer.alone:
        rows[0] = tuple(replace(cell, bold=True) for cell in rows[0])
    return Table(columns, tuple(rows))


def make_effect_table(run: SweepRun, effects: Sequence[Effect]) -> Table:
    """Return the ablation table: what every contrast changes, how sure that is, what could have been shown; shown is bold."""
    p = f"p (more than {run.margin:g})" if run.margin else "p"
    columns = ("Metric", "Axis", "Contrast", "Change", f"{p}, corrected", "Would be shown", "Verdict")
    rows = []
    for one in effects:
        beside = "" if math.isnan(one.low) else f"{signed(one.low)} to {signed(one.high)}"
        verdict = "shown" if one.shown else f"cannot be told: {one.untold}" if one.untold else "not shown"
        cells = (
            Cell(sentence_case(metric_name(one.metric)), one.metric),
            Cell(sentence_case(one.axis.title), one.axis.title),
            Cell(f"{one.label} vs {one.reference}", one.label),
            Cell(signed(one.value), _known(one.value), beside=beside),
            Cell(MISSING if math.isnan(one.p) else p_value(one.p), _known(one.p)),
            Cell(number(one.detectable), _known(one.detectable)),
            Cell(verdict, verdict),
        )
        rows.append(tuple(replace(cell, bold=one.shown) for cell in cells))
    return Table(columns, tuple(rows))


def effects_csv(answer: Answer) -> str:
    """Return every effect on the metric and on findings at full precision, a line each; what is missing is empty."""
    numbers = ["change", "low", "high", "p_corrected", "detectable"]
    rows = [
        [one.metric, one.axis.name, one.label, one.reference]
        + [_exact(value) for value in (one.value, one.low, one.high, one.p, one.detectable)]
        + [one.margin, one.shown, one.untold]
        for one in (*answer.effects, *answer.cells)
    ]
    return _csv(["metric", "axis", "label", "against", *numbers, "margin", "shown", "untold"], rows)


def make_task_table(told: TaskTable) -> Table:
    """Return the table of one downstream task: arms by figures, each with its 95 % interval."""
    rows = []
    for arm, seeds in told.arms.items():
        cells = [Cell(arm, arm), Cell(str(seeds), seeds)]
        for column in told.columns:
            estimate = told.estimates.get((arm, column.name))
            if estimate is None:
                cells.append(Cell(MISSING, None))
                continue
            beside = "" if math.isnan(estimate.low) else f"{number(estimate.low)} to {number(estimate.high)}"
            cells.append(Cell(number(estimate.value), _known(estimate.value), told.alone(column) == arm, beside))
        rows.append(tuple(cells))
    titles = [figure_name(column.name) for column in told.columns]
    below = [column.title for column in told.columns]
    return Table(("Arm", "Seeds", *titles), tuple(rows), ("", "", *below) if any(below) else ())


def tasks_csv(run: SweepRun, evaluations: Sequence[Evaluation]) -> str:
    """Return every metric of every task, trial and corpus at full precision, a line each."""
    rows = [
        [one.corpus, one.task, one.trial.number, one.trial.seed]
        + [one.trial.labels[axis.name] for axis in run.named]
        + [name, _exact(value)]
        for one in evaluations
        for name, value in one.metrics.items()
    ]
    return _csv(["corpus", "task", "trial", "seed", *(axis.name for axis in run.named), "metric", "value"], rows)


def differences_csv(tables: Sequence[TaskTable]) -> str:
    """Return every comparison of two arms on a task at full precision, a line each; what is missing is empty."""
    numbers = ["difference", "low", "high", "p_corrected", "p", "detectable"]
    rows = [
        [table.corpus, table.task, column.name, column.title, second, first]
        + [_exact(value) for value in (one.value, one.low, one.high, one.p, one.uncorrected, one.detectable)]
        + [one.note]
        for table in tables
        for column in table.columns
        for (first, second), one in table.differences.get(column.name, {}).items()
    ]
    return _csv(["corpus", "task", "figure", "metric", "arm", "against", *numbers, "note"], rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _exact(value: float) -> str:
    """Return a number at full precision; what is missing is empty."""
    return "" if math.isnan(value) else repr(float(value))


def status_text(run: SweepRun, trial: Trial) -> str:
    """Return how a trial ended; one that still runs in a sweep that does not was interrupted."""
    return "interrupted" if trial.status == "running" and (run.ended or run.interrupted) else trial.status


def _score(value: float) -> Cell:
    return Cell(number(value), _known(value))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


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
    where = "at own budget" if run.own_budgets else f"at {answer.rung} pairs"
    rows = [
        [trial.number, status_text(run, trial), trial.seed, trial.pairs_seen]
        + [trial.labels[axis.name] for axis in run.named]
        + [_exact(trial.at(metric, answer.rung)) for metric in at_rung]
        + [_exact(trial.latest.get(metric, math.nan)) for metric in metrics]
        for trial in best_first(run)
    ]
    columns = ["trial", "status", "seed", "pairs_seen", *(axis.name for axis in run.named)]
    return _csv([*columns, *(f"{metric} {where}" for metric in at_rung), *metrics], rows)


def to_markdown(table: Table) -> str:
    """Return the table in Markdown."""

    def line(texts: Sequence[str]) -> str:
        return f"| {' | '.join(texts)} |"

    rows = [[f"**{_markdown(cell.whole)}**" if cell.bold else _markdown(cell.whole) for cell in row] for row in table.rows]
    heads = [[_markdown(text) for text in texts] for texts in (table.columns, table.below) if texts]
    return "\n".join([line(heads[0]), line(["---"] * len(table.columns)), *map(line, [*heads[1:], *rows])]) + "\n"


def _markdown(text: str) -> str:
    return " ".join(re.sub(r"([\\|*<>`])", r"\\\1", text).split())


def to_latex(table: Table, caption: str) -> str:
    """Return the table in LaTeX; needs the packages booktabs and graphicx.

    Intervals stand under their values. A table of more than `WIDE` columns is turned where that makes it narrower, and what is
    still wider than the line is scaled to it.
    """
    turned = len(table.columns) > max(WIDE, len(table.rows) + 1)
    head = [[_tex(text) for text in texts] for texts in (table.columns, table.below) if texts]
    grid = [*head, *([_tex_cell(cell, turned) for cell in row] for row in table.rows)]
    above = 1 if turned else len(head)
    if turned:
        grid = [list(column) for column in zip(*grid, strict=True)]
    lines = [" & ".join(row) + r" \\" for row in grid]
    return "\n".join(
        [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_tex(caption)}}}",
            "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
            f"\\begin{{tabular}}{{{'l' * len(grid[0])}}}",
            "\\toprule",
            *lines[:above],
            "\\midrule",
            *lines[above:],
            "\\bottomrule",
            "\\end{tabular}}",
            "\\end{table}\n",
        ]
    )


def _tex_cell(cell: Cell, narrow: bool) -> str:
    """Return a cell with its interval below it; ``narrow`` puts the labels of an arm under one another as well."""
    texts = [_tex(part) for part in (cell.text.split(" · ") if narrow else [cell.text])]
    texts = [f"\\textbf{{{text}}}" if cell.bold else text for text in texts]
    lines = texts + [f"{{\\scriptsize {_tex(cell.beside)}}}"] * bool(cell.beside)
    return lines[0] if len(lines) == 1 else "\\begin{tabular}[t]{@{}l@{}}" + r"\\".join(lines) + "\\end{tabular}"


TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",
    "]": "{]}",
    "\N{MINUS SIGN}": "$-$",
    MISSING: "--",
    "\N{NO-BREAK SPACE}": "~",
}


def _tex(text: str) -> str:
    return "".join(TEX.get(sign, sign) for sign in text)
