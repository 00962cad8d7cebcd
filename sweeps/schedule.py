"""Which trials go on: successive halving, decided by one rung-keeper that the workers ask.

Trials are never killed: at each rung the trial asks, and returns by itself when the answer is no. Ray 2.60 leaks the placement
groups of Train runs that Tune's own schedulers stop (docs/decisions.md), and a question that is asked can be answered again
after a restart.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import ray

from ..datasets.refusal import UserError


class SuccessiveHalving:
    """Asynchronous successive halving over fixed rungs; every answer is on disk before it is given.

    A trial goes on from a rung when its score is among the best ``1 / reduction`` of the scores that have reached the rung so
    far, its own included. Source: L. Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), Alg. 2,
    in its stopping form.

    Args:
        ledger: JSON file of all answers so far; read if it exists, so a resumed sweep decides as it did.
    """

    def __init__(self, ledger: Path, metric: str, direction: Literal["max", "min"], reduction: float) -> None:
        self.ledger = ledger
        self.metric = metric
        self.sign = 1 if direction == "max" else -1
        self.reduction = reduction
        self.rungs: dict[str, dict[str, dict[str, Any]]] = json.loads(ledger.read_text()) if ledger.is_file() else {}

    def goes_on(self, trial: str, rung: int, metrics: Mapping[str, float]) -> bool:
        """Return whether ``trial`` goes on from ``rung`` (pairs seen); the same question always has the same answer.

        Raises:
            UserError: ``metrics`` does not hold the sweep's metric.
        """
        here = self.rungs.setdefault(str(rung), {})
        if trial not in here:
            if self.metric not in metrics:
                raise UserError(f"trial {trial} reports no {self.metric!r}; it reports {', '.join(sorted(metrics))}")
            score = float(metrics[self.metric])
            better = sum(self.sign * (entry["score"] - score) > 0 for entry in here.values())
            kept = math.ceil((len(here) + 1) / self.reduction)
            here[trial] = {"score": score, "goes_on": better < kept}
            self._save()
        return here[trial]["goes_on"]

    def _save(self) -> None:
        partial = self.ledger.with_suffix(".partial")
        partial.write_text(json.dumps(self.rungs, indent=1))
        partial.replace(self.ledger)


RungKeeper = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(SuccessiveHalving)
"""One actor per sweep that owns the rungs; restarted by Ray from the ledger if its process dies."""
