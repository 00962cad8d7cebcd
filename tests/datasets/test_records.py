"""What a folder of ours says in JSON: what cannot be read is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from radsweep.datasets.records import read_lines, read_object
from radsweep.datasets.refusal import UserError


@pytest.mark.parametrize("read", [read_object, read_lines])
def test_what_cannot_be_read_is_the_users_to_mend(read: Callable, tmp_path: Path) -> None:
    """A folder in the file's place stands for all that the system says no to: which file, why, and what to do."""
    (tmp_path / "sweep.json").mkdir()
    with pytest.raises(UserError, match=r"sweep\.json cannot be read \(Is a directory\): restore it from a copy"):
        read(tmp_path / "sweep.json", "restore it from a copy")
