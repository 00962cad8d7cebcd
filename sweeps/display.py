"""What the user sees while radsweep works: live on a terminal, one line per event elsewhere (a job's log, a pipe)."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from ..trainables.certificate import COSINE, EXACT, Comparison
from .sweep import Sweep

console = Console(highlight=False)
STYLES = {"running": "cyan", "finished": "green", "stopped": "dim", "failed": "red"}


class Steps:
    """Progress bars for named pieces of work; calling it with (what, done, total) moves the bar of ``what``."""

    def __init__(self) -> None:
        self.bars: dict[str, TaskID] = {}
        self.progress = Progress(
            TextColumn("  {task.description:28}"),
            BarColumn(32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )

    def __enter__(self) -> Self:
        if console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if console.is_terminal:
            self.progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self.bars:
            self.bars[what] = self.progress.add_task(what, total=total)
        self.progress.update(self.bars[what], completed=done)
        if done == total and not console.is_terminal:
            console.print(f"  {what}: {total:,}")


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


class TrialTable:
    """The trials of a running sweep; ``listen`` is what `run_sweep` tells its events to."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.rows: dict[str, dict[str, Any]] = {}
        self.start = time.monotonic()
        self.progress = Progress(
            TextColumn("  pairs seen"),
            BarColumn(40),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(),
            TextColumn("left at most"),
            console=console,
        )
        self.total = self.progress.add_task("", total=sweep.trials * sweep.base.budget_pairs)
        self.live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=False)

    def __enter__(self) -> Self:
        if console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if console.is_terminal:
            self.live.stop()

    def listen(self, event: str, trial: str, facts: Mapping[str, Any]) -> None:
        if event == "start":
            row = self.rows.setdefault(trial, {"number": len(self.rows) + 1, "pairs": 0, "score": None})
            row |= {"labels": dict(facts), "status": "running"}
        elif event == "report":
            self.rows[trial] |= {"pairs": int(facts["pairs_seen"]), "score": facts.get(self.sweep.metric)}
        else:
            self.rows[trial]["status"] = facts["status"]
        self._advance()
        if not console.is_terminal:
            console.print(Text(self._line(self.rows[trial], event)), soft_wrap=True)

    def _advance(self) -> None:
        budget = self.sweep.base.budget_pairs
        seen = sum(row["pairs"] if row["status"] == "running" else budget for row in self.rows.values())
        self.progress.update(self.total, completed=seen)

    def _line(self, row: Mapping[str, Any], event: str) -> str:
        arm = "  ".join(f"{name}={shown(label)}" for name, label in row["labels"].items())
        tail = {
            "start": "starts",
            "report": f"{row['pairs']:,} pairs, {self.sweep.metric} {scored(row['score'])}",
            "end": f"{row['status']} after {row['pairs']:,} pairs, {self.sweep.metric} {scored(row['score'])}",
        }
        return f"  trial {row['number']:>2}/{self.sweep.trials}  {arm}: {tail[event]}"

    def _render(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("trial", justify="right")
        for axis in self.sweep.axes.values():
            table.add_column(axis.title, justify="right", overflow="ellipsis")
        for title in ("pairs", self.sweep.metric):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        for row in self.rows.values():
            table.add_row(
                str(row["number"]),
                *(shown(row["labels"].get(name)) for name in self.sweep.axes),
                f"{row['pairs']:,}",
                scored(row["score"]),
                row["status"],
                style=STYLES[row["status"]],
            )
        return Group(table, self.progress)


def shown(label: Any) -> str:
    """Return a label as a person reads it: numbers short, the rest as it is."""
    return f"{label:.3g}" if isinstance(label, float) else str(label)


def scored(score: float | None) -> str:
    """Return a score with three decimals; a dash where there is none."""
    return "–" if score is None else f"{score:.3f}"
