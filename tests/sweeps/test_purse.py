"""The hard cap of a sweep: what is set aside, who is turned away, and the same answers after a restart."""

import heapq
from pathlib import Path

import numpy as np
import pytest

from radsweep.sweeps.purse import Purse
from radsweep.sweeps.schedule import Keeper


def test_a_trial_may_go_on_while_its_next_stretch_fits(tmp_path: Path) -> None:
    """Worked by hand: 10 s in all; a stretch costs 3 s, so that the third stretch fits and the fourth does not."""
    purse = Purse(tmp_path / "spent.json", 10.0)
    purse.begins("a")
    assert [purse.covers("a", look, 3.0 * look) for look in (1, 2, 3)] == [True, True, False]
    assert not purse.is_open()


def test_what_others_need_is_set_aside(tmp_path: Path) -> None:
    """Two trials of 2 s a stretch under 7 s: the second is turned away after its first, as 4 s are spent and 4 s needed."""
    purse = Purse(tmp_path / "spent.json", 7.0)
    for trial in ("a", "b"):
        purse.begins(trial)
    assert purse.is_open()
    assert purse.covers("a", 1, 2.0)
    assert not purse.is_open()  # 2 s spent, 2 s for each of both, and 2 s for the first stretch of a third
    assert not purse.covers("b", 1, 2.0)
    assert not purse.covers("a", 2, 4.0)


def test_a_trial_that_ends_needs_nothing_more(tmp_path: Path) -> None:
    """What was set aside for it is free again."""
    purse = Purse(tmp_path / "spent.json", 9.0)
    for trial in ("a", "b"):
        purse.begins(trial)
        purse.covers(trial, 1, 2.0)
    purse.ends("b", 2.5)
    assert purse.is_open()
    assert purse.covers("a", 2, 4.0)


def test_answers_survive_a_restart(tmp_path: Path) -> None:
    """Read again from its file, the purse says the same, also to a trial that asks again with another clock."""
    purse = Purse(tmp_path / "spent.json", 10.0)
    purse.begins("a")
    answers = [purse.covers("a", look, 4.0 * look) for look in (1, 2)]
    again = Purse(tmp_path / "spent.json", 10.0)
    again.begins("a")
    assert [again.covers("a", look, 1.0) for look in (1, 2)] == answers == [True, False]


@pytest.mark.parametrize("workers", [1, 4])
def test_the_cap_is_kept(tmp_path: Path, workers: int) -> None:
    """Trials whose stretches differ by a tenth never spend more than the cap, and all of it but a stretch per worker."""
    rng = np.random.default_rng(0)
    for replay in range(20):
        (folder := tmp_path / str(replay)).mkdir()
        keeper = Keeper(folder, {"metric": "score", "direction": "max", "reduction": 1.0}, [], cap_s=60.0)
        reached = np.cumsum(rng.uniform(0.95, 1.05, (40, 8)), axis=1)
        running: list[tuple[float, int, int, float]] = []
        begun, spent, now = 0, 0.0, 0.0
        while True:
            while len(running) < workers and keeper.is_open():
                keeper.begins(str(begun))
                heapq.heappush(running, (now + reached[begun, 0], begun, 0, now))
                begun += 1
            if not running:
                break
            now, trial, look, start = heapq.heappop(running)
            if look < 7 and keeper.goes_on(str(trial), look + 1, {"time_s": now - start}):
                heapq.heappush(running, (start + reached[trial, look + 1], trial, look + 1, start))
            else:
                keeper.ends(str(trial), {"time_s": now - start})
                spent += now - start
        assert 60 - 1.2 * workers - 1 < spent <= 60


def test_a_larger_cap_opens_the_purse_again(tmp_path: Path) -> None:
    """A sweep that is resumed with more to spend goes on, and with it whom the old cap turned away; under a smaller one not."""
    purse = Purse(tmp_path / "spent.json", 10.0)
    purse.begins("a")
    purse.covers("a", 1, 6.0)
    purse.ends("a", 6.0)
    assert not purse.is_open()
    larger = Purse(tmp_path / "spent.json", 20.0)
    assert larger.is_open()
    assert not larger.has_turned_away("a")
    larger.begins("a")
    assert larger.covers("a", 1, 6.0)
    assert larger.covers("a", 2, 12.0)
    smaller = Purse(tmp_path / "spent.json", 9.0)
    assert smaller.has_turned_away("a")
    assert not smaller.covers("a", 1, 6.0)


def test_without_a_cap_nothing_is_counted(tmp_path: Path) -> None:
    """Validations that are no rung are answered without a look at the clock, and no file is written."""
    keeper = Keeper(tmp_path, {"metric": "score", "direction": "max", "reduction": 1.0}, [2])
    keeper.begins("a")
    assert keeper.goes_on("a", 1, {})
    assert keeper.goes_on("a", 2, {"score": 1.0})
    keeper.ends("a", {})
    assert keeper.is_open()
    assert not (tmp_path / "spent.json").exists()
