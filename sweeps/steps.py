"""The terminal, and bars for pieces of work on it; loads no torch, so that small commands start at once."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

console = Console(highlight=False)


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
