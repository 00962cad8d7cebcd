"""What the user sees while radsweep works: live on a terminal, one line per event elsewhere (a job's log, a pipe).

With ``--json``, stdout holds one JSON object per event and nothing else; then `console` writes to stderr.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from ..analysis.store import store_of
from ..datasets.refusal import UserError
from ..trainables.certificate import COSINE, EXACT, Comparison
from ..trainables.cost import COSTS
from .steps import console
from .sweep import Sweep

if TYPE_CHECKING:
    from .evaluate import Evaluated
    from .launch import Outcome

STYLES = {"running": "cyan", "finished": "green", "waiting": "dim", "stopped": "dim", "failed": "red"}
DASH = "–"
COLUMNS = 5
"""Checkpoints that a table of metrics has a column for, each."""
HEADER_AND_FOOTER = 6
"""Lines of the live display that are no trial: a header of three, one on hidden trials, the bar, the cursor."""


def say_certificate(comparisons: Sequence[Comparison]) -> bool:
    """Print one line per parameter, the worst of its comparisons in each column; return whether all of them hold."""
    columns = sorted({(one.case.precision, one.case.workers) for one in comparisons}, key=lambda key: (key[0] != "fp32", key))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("parameter", overflow="fold")
    for precision, workers in columns:
        table.add_column(f"{precision}\nx {workers}", justify="right", no_wrap=True)
    table.add_column("")
    by_parameter: dict[str, list[Comparison]] = {}
    for one in comparisons:
        by_parameter.setdefault(one.parameter, []).append(one)
    for parameter, told in by_parameter.items():
        cells = []
        for column in columns:
            own = [one for one in told if (one.case.precision, one.case.workers) == column]
            worst = max(one.error if column[0] == "fp32" else 1 - one.cosine for one in own)
            cells.append(Text(f"{worst:.1e}", "" if all(one.holds for one in own) else "bold red"))
        failed = [one for one in told if not one.holds]
        verdict = Text("differs", "bold red") if failed else Text("same" if told[0].has_effect else "no effect", "green")
        table.add_row(parameter, *cells, verdict)
    console.print(table)
    wrong = [parameter for parameter, told in by_parameter.items() if not all(one.holds for one in told)]
    chunks = ", ".join(str(size) for size in sorted({one.case.chunk_size for one in comparisons}))
    console.print(
        f"float32 (x workers): relative error, at most {EXACT:g}; 16 bit: 1 - cosine, at most {1 - COSINE:.1g}; the worst over "
        f"chunks of {chunks}, with dropout and without",
    )
    if wrong:
        console.print(f"[bold red]not certified[/]: {len(wrong)} of {len(by_parameter)} parameters differ", soft_wrap=True)
    else:
        console.print(f"[bold green]certified[/]: all {len(by_parameter)} parameters have the plain batch's gradient")
    return not wrong


@dataclass
class Row:
    """A trial as the table shows it.

    Attributes:
        number: 1 for the first that started.
        labels: of its arm, by axis.
        status: ``running``, ``waiting`` (at a rung, and may still go on), ``finished``, ``stopped`` or ``failed``.
        pairs: seen so far.
        score: the sweep's metric at the last report; None before the first.
        time_s: since the trial's beginning; 0 before the first report.
        gpu_s: the same of all its GPUs; None without a GPU.
    """

    number: int
    labels: Mapping[str, Any]
    status: str = "running"
    pairs: int = 0
    score: float | None = None
    time_s: float = 0.0
    gpu_s: float | None = None

    @property
    def arm(self) -> str:
        return " · ".join(shown(label) for label in self.labels.values())

    @property
    def cost(self) -> str:
        """GPU-hours, or the time it took where there is no GPU."""
        if self.gpu_s is not None:
            return f"{self.gpu_s / 3600:.2f} GPU-h"
        return lasting(self.time_s) if self.time_s else DASH

    def left(self, budget: int) -> str:
        """How long it takes at most from here, at its own pace; a rung may stop it before."""
        if self.status != "running":
            return self.status
        return f"≤ {lasting(self.time_s * (budget - self.pairs) / self.pairs)}" if self.pairs and self.time_s else DASH


class TrialTable:
    """The trials of a running sweep; ``listen`` is what `run_sweep` tells its events to."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.sign = 1 if sweep.direction == "max" else -1
        self.rows: dict[str, Row] = {}
        self.before = ""
        self.progress = Progress(
            TextColumn("  pairs seen"),
            BarColumn(30),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("left at most"),
            console=console,
            speed_estimate_period=24 * 3600,  # s; trials may report hours apart
        )
        self.total = self.progress.add_task("", total=sweep.runs * sweep.base.budget_pairs)
        self.live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=False)

    def __enter__(self) -> Self:
        if console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for row in self.rows.values():
            row.status = "stopped" if row.status == "waiting" else row.status
        if console.is_terminal:
            self.live.stop()

    def step(self, what: str, done: int, total: int) -> None:
        """Show how far the work before the first trial is."""
        self.before = f"  {what}: {done} of {total}"
        if done == total and not console.is_terminal:
            console.print(self.before)

    def listen(self, event: str, trial: str, facts: Mapping[str, Any]) -> None:
        if event == "start":
            row = self.rows.setdefault(trial, Row(len(self.rows) + 1, dict(facts)))
            row.status = "running"
        row = self.rows[trial]
        if event == "report":
            row.pairs, row.score = int(facts["pairs_seen"]), facts.get(self.sweep.metric)
            row.time_s, row.gpu_s = facts.get("time_s", 0.0), facts.get("gpu_s")
        elif event == "end":
            row.status = "waiting" if facts["status"] == "stopped" else facts["status"]
        budget = self.sweep.base.budget_pairs
        seen = sum(row.pairs if row.status == "running" else budget for row in self.rows.values())
        self.progress.update(self.total, completed=seen)
        if not console.is_terminal:
            console.print(Text(self._line(row, event)), soft_wrap=True)

    def _line(self, row: Row, event: str) -> str:
        arm = "  ".join(f"{name}={shown(label)}" for name, label in row.labels.items())
        told = {
            "start": "starts",
            "report": f"{row.pairs:,} pairs, {self.sweep.metric} {scored(row.score)}, {row.cost}",
            "end": f"{row.status} at {row.pairs:,} pairs, {self.sweep.metric} {scored(row.score)}",
        }
        return f"  trial {row.number:>2}/{self.sweep.runs}  {arm}: {told[event]}"

    def _render(self) -> RenderableType:
        if not self.rows:
            return Text(self.before)
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column("trial", justify="right", no_wrap=True)
        table.add_column(" · ".join(axis.title for axis in self.sweep.axes.values()), overflow="ellipsis")
        for title in ("rung", "pairs", self.sweep.metric, "cost"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("left", no_wrap=True)
        rungs = self.sweep.rung_pairs
        best_first = self._best_first()
        fitting = self._fitting(best_first)
        for row in fitting:
            table.add_row(
                str(row.number),
                row.arm,
                f"{bisect_right(rungs, row.pairs)}/{len(rungs)}",
                f"{row.pairs:,}",
                Text(scored(row.score), "bold" if row is best_first[0] else ""),
                row.cost,
                row.left(self.sweep.base.budget_pairs),
                style=STYLES[row.status],
            )
        hidden = len(self.rows) - len(fitting)
        more = [Text(f"  and {hidden} that ended with less", "dim")] if hidden else []
        return Group(table, *more, self.progress)

    def _best_first(self) -> list[Row]:
        """Rows by how far they got and by their score; those without a score come last."""
        return sorted(
            self.rows.values(), key=lambda row: (row.score is not None, row.pairs, self.sign * (row.score or 0.0)), reverse=True
        )

    def _fitting(self, best_first: Sequence[Row]) -> list[Row]:
        """The rows that the screen has room for, in order: all that run, and the best of the others."""
        running = [row for row in best_first if row.status == "running"]
        ended = [row for row in best_first if row.status != "running"]
        room = max(0, console.height - HEADER_AND_FOOTER - len(running))
        return sorted(running + ended[:room], key=lambda row: row.number)


class JsonLines:
    """`TrialTable` for machines: every event as one JSON object on a line of stdout."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def step(self, what: str, done: int, total: int) -> None:
        print_json(event="step", what=what, done=done, total=total)

    def listen(self, event: str, trial: str, facts: Mapping[str, Any]) -> None:
        if event == "start":
            print_json(event=event, trial=trial, arm=dict(facts))
        elif event == "report":
            # Tune puts figures of its own beside what the trial reports; losses and scores are named val/... and train/...
            own = {name: value for name, value in facts.items() if "/" in name or name in COSTS}
            print_json(event=event, trial=trial, pairs_seen=facts["pairs_seen"], metrics=own)
        else:
            print_json(event=event, trial=trial, status=facts["status"])


def print_json(**event: Any) -> None:
    """Print one event; a number that is not finite is null, as JSON has no other way to say it."""
    finite = {
        name: {key: None if isinstance(one, float) and not math.isfinite(one) else one for key, one in value.items()}
        if isinstance(value, Mapping)
        else value
        for name, value in event.items()
    }
    print(json.dumps(finite), flush=True)


def say_evaluated(told: "Sequence[Evaluated]") -> None:
    """Print every metric of every task, one column per checkpoint where there are few, and what is absent with its reason."""
    trials = list(dict.fromkeys(one.trial for one in told))
    for task in dict.fromkeys(one.task for one in told):
        own = {one.trial: one for one in told if one.task == task}
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=task, title_justify="left")
        table.add_column("metric")
        shown_trials = trials if len(trials) <= COLUMNS else []
        for trial in shown_trials:
            table.add_column(trial[:8], justify="right")
        if not shown_trials:
            table.add_column("lowest", justify="right")
            table.add_column("highest", justify="right")
        for name in dict.fromkeys(name for one in own.values() for name in one.metrics):
            values = [own[trial].metrics.get(name) if trial in own else None for trial in trials]
            known = [value for value in values if value is not None]
            table.add_row(name, *map(scored, values if shown_trials else (min(known), max(known))))
        console.print(table)
        for reason in dict.fromkeys(reason for one in own.values() for reason in one.absent):
            console.print(f"  note: {reason}", style="dim", soft_wrap=True)
        if reused := sum(one.reused for one in own.values()):
            console.print(f"  {reused} of {len(own)} were known already", style="dim")


def say_answer(sweep: Sweep, outcome: "Outcome", run: Path, report: Path | None, as_json: bool = False) -> None:
    """Say where the results of a sweep are and, in the last lines, what they are.

    Raises:
        RuntimeError: no trial reported the sweep's metric.
    """
    told = ", ".join(f"{count} {status}" for status, count in outcome.statuses.items())
    if outcome.best is None:
        raise RuntimeError(f"no trial of {run} reported {sweep.metric} ({told}); the first error was: {outcome.error}")
    store = store_of(run, json.loads((run / "sweep.json").read_text(encoding="utf-8")))
    found = what_is_shown(run)
    if as_json:
        print_json(
            event="answer",
            run=str(run),
            report=str(report) if report else None,
            tracking_uri=store,
            trials=outcome.statuses,
            budget_spent=outcome.spent,
            metric=sweep.metric,
            best=outcome.best,
            score=outcome.score,
            shown=found,
        )
        return
    console.print(f"  runs:   mlflow ui --backend-store-uri {store}", soft_wrap=True)
    console.print(f"  report: {report}" if report else f"  report: radsweep report {run}", soft_wrap=True)
    if outcome.spent:
        console.print(f"  the budget of {outcome.spent} is spent: what follows is the best so far", soft_wrap=True)
    titles = {name: axis.title for name, axis in sweep.axes.items()}
    arm = ", ".join(f"{titles.get(name, name)} {shown(label)}" for name, label in outcome.best.items())
    console.print(f"  best of {told}: {arm}: {sweep.metric} {scored(outcome.score)}", soft_wrap=True)
    for sentence in found:
        console.print(f"  {sentence}", soft_wrap=True)


def what_is_shown(run: Path) -> list[str]:
    """Return a sentence for each effect that the trials establish, on the sweep's metric first and then on single findings.

    Where there is none it is one on what they could not have shown; without MLflow there is nothing to say.
    """
    from ..analysis.answer import find_answer
    from ..analysis.runs import read_sweep
    from ..analysis.words import finding_verdict, power, verdict

    try:
        sweep = read_sweep(run)
    except UserError:
        return []
    answer = find_answer(sweep)
    established = [f"shown: {effect.axis.title}: {verdict(effect, sweep.sign)}" for effect in answer.effects if effect.shown]
    established += [f"shown: {cell.axis.title}: {finding_verdict(cell)}." for cell in answer.cells if cell.shown]
    return established or [f"shown: nothing. {power(answer, sweep)}"]


def shown(label: Any) -> str:
    """Return a label as a person reads it: numbers short, the rest as it is."""
    return f"{label:.3g}" if isinstance(label, float) else str(label)


def scored(score: float | None) -> str:
    """Return a score with three decimals; a dash where there is none."""
    return DASH if score is None else f"{score:.3f}"


def lasting(seconds: float) -> str:
    """Return a time with the unit a reader would choose."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
