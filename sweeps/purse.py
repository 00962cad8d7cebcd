"""A sweep's hard cap: device-hours that its trials may hold together, counted while they train.

With a cap, trials ask at every validation whether they may go on to the next, and no new one starts once the answer to any was
no. What a trial needs to its next validation is what its dearest stretch between two has cost so far; as much is set aside
for every trial that trains. So the cap is kept, up to how far a stretch can differ from the ones before.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..datasets.records import read_object, write_whole

LOST = "restore it from a copy: what trials were told is in no other file"


class Purse:
    """What all trials of a sweep may spend, in seconds of a device; every answer is on disk before it is given.

    Args:
        path: JSON file of what was spent and answered; read if it exists.
        cap_s: device-seconds in all.
    """

    def __init__(self, path: Path, cap_s: float) -> None:
        self.path = path
        self.cap_s = cap_s
        self.trials: dict[str, dict[str, Any]] = read_object(path, LOST) if path.is_file() else {}

    def begins(self, trial: str) -> None:
        """Set aside what a trial needs to its next validation, at its beginning or when it goes on after a wait."""
        entry = self.trials.setdefault(trial, {"looks": {"0": 0.0}})
        entry["goes_on"] = not self.has_turned_away(trial)
        entry["looks"].pop("end", None)
        self._save()

    def has_turned_away(self, trial: str) -> bool:
        """Return whether ``trial`` was stopped because there was not enough left, under this cap or a larger one."""
        return self.trials.get(trial, {}).get("under_s", 0.0) >= self.cap_s

    def is_open(self) -> bool:
        """Return whether another trial may start: none was turned away under this cap, and its first stretch fits."""
        return not any(map(self.has_turned_away, self.trials)) and self._held() + self._first() <= self.cap_s

    def covers(self, trial: str, look: int, spent_s: float) -> bool:
        """Return whether ``trial``, which has spent so many device-seconds at ``look`` pairs, may go on to its next validation.

        The same question always has the same answer.
        """
        entry = self.trials[trial]
        if str(look) not in entry["looks"]:
            entry["looks"][str(look)] = spent_s
            if self._held() > self.cap_s:
                entry |= {"goes_on": False, "turned_away": look, "under_s": self.cap_s}
            self._save()
        return not (entry.get("turned_away") == look and self.has_turned_away(trial))

    def ends(self, trial: str, spent_s: float) -> None:
        """Set nothing aside any more for a trial that has ended, having spent so many device-seconds."""
        self.trials[trial]["looks"].setdefault("end", max(spent_s, *self.trials[trial]["looks"].values()))
        self.trials[trial]["goes_on"] = False
        self._save()

    def _held(self) -> float:
        """Device-seconds spent, and set aside for the next stretch of every trial that goes on."""
        return sum(
            max(entry["looks"].values()) + (self._stretch(entry["looks"]) if entry["goes_on"] else 0.0)
            for entry in self.trials.values()
        )

    def _stretch(self, looks: Mapping[str, float]) -> float:
        return max((later - earlier for earlier, later in itertools.pairwise(looks.values())), default=self._first())

    def _first(self) -> float:
        """The dearest first stretch of any trial so far."""
        firsts = [list(entry["looks"].values())[1] for entry in self.trials.values() if len(entry["looks"]) > 1]
        return max(firsts, default=0.0)

    def _save(self) -> None:
        write_whole(self.path, json.dumps(self.trials, indent=1))
