"""A list on disk, for what an export has too much of to hold: a place in memory costs eight bytes, whatever lies there."""

import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar, overload

ItemT = TypeVar("ItemT")


class Spool(Sequence[ItemT], Generic[ItemT]):
    """A sequence that only grows; items are pickled into a file without a name, which goes when this does."""

    def __init__(self, items: Iterable[ItemT] = ()) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self.file.close)
        self.starts = array("Q")
        for item in items:
            self.append(item)

    def append(self, item: ItemT) -> None:
        self.starts.append(self.file.seek(0, 2))
        pickle.dump(item, self.file)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> ItemT: ...
    @overload
    def __getitem__(self, index: slice) -> list[ItemT]: ...
    def __getitem__(self, index: int | slice) -> ItemT | list[ItemT]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        self.file.seek(self.starts[index])
        return pickle.load(self.file)
