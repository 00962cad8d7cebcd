"""Work on the items of a list in Ray Data tasks of one CPU each."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray.data

Item = TypeVar("Item", str, int)
Result = TypeVar("Result")


def in_tasks(work: Callable[[Item], Result], items: Sequence[Item], tasks: int) -> Iterator[Result]:
    """Yield what ``work`` makes of each item, in their order; the items are spread over so many tasks."""

    def work_on(rows: Any) -> Any:
        return {"result": [pickle.dumps(work(item)) for item in rows["item"].tolist()]}

    if not items:
        return
    rows = ray.data.from_items(list(items), override_num_blocks=min(tasks, len(items)))
    rows.context.enable_progress_bars = False
    rows.context.execution_options.preserve_order = True
    rows.context.op_resource_reservation_enabled = False  # keeps cores from the one step there is, see docs/decisions.md
    for row in rows.map_batches(work_on, batch_size=None, num_cpus=1).iter_rows():
        yield pickle.loads(row["result"])
