"""A list on disk is a list."""

import pytest

from radsweep.datasets.spool import Spool


def test_a_spool_reads_like_a_list_while_it_grows() -> None:
    """Items come back by place, in slices, from the end and in order, also between two appends; beyond the end is an error."""
    items = [{"report": "né" * n, "n": n} for n in range(50)]
    spool = Spool(items[:20])
    assert spool[3] == items[3]
    for item in items[20:]:
        spool.append(item)
        assert spool[-1] == item
    assert (list(spool), spool[10:30:4], len(spool)) == (items, items[10:30:4], 50)
    with pytest.raises(IndexError):
        spool[50]
    assert not Spool()
