"""Few-shot probes: k labelled studies of each level, drawn again and again."""

import numpy as np
from pydantic import Field

from ...datasets.refusal import UserError
from .linear_probe import wanted
from .metrics import measure
from .probe import cases_of, fit, shots_of
from .task import Encoded, Prediction, Result, Task


class FewShot(Task):
    """A linear probe on k cases of each level, all of different patients, averaged over ``repeats`` draws.

    The penalty is fixed: so few cases leave none to choose it by. Every checkpoint gets the same draws.
    """

    shots: tuple[int, ...] = (1, 2, 4, 8, 16)
    repeats: int = Field(default=10, ge=1)
    targets: tuple[str, ...] = ()
    seed: int = 0

    def run(self, encoded: Encoded) -> Result:
        """Return ``<target>_<metric>_shots_<k>`` of every target that has levels.

        Raises:
            UserError: no target has enough cases of each level.
        """
        metrics: dict[str, float] = {}
        predictions: list[Prediction] = []
        absent: list[str] = []
        for name in wanted(self.targets, encoded):
            target, cases = encoded.corpus.targets[name], cases_of(encoded, name)
            train, test = cases.part("train"), cases.part("test")
            if target.kind == "number" or not len(test.truth) or len(np.unique(train.truth)) < 2:
                absent.append(f"{name}: a number, or without cases of two levels")
                continue
            for shots in self.shots:
                draws = [shots_of(train, shots, np.random.default_rng((self.seed, repeat))) for repeat in range(self.repeats)]
                chosen = [draw for draw in draws if draw is not None]
                if len(chosen) < len(draws):
                    absent.append(f"{name}, {shots} shots: a level has too few training patients")
                    continue
                told = [fit(target, train.of(draw), among=train.inputs)(test.inputs) for draw in chosen]
                scores = [measure(target, test.truth, one) for one in told]
                for metric in scores[0]:
                    metrics[f"{name}_{metric}_shots_{shots}"] = float(np.mean([one[metric] for one in scores]))
                mean = np.mean(told, axis=0)
                predictions.append(Prediction(f"{name}_shots_{shots}", target, test.patients, test.truth, mean))
        if not metrics:
            raise UserError(f"{encoded.corpus.name} has nothing for few shots: {'; '.join(absent)}")
        return Result(metrics, tuple(predictions), tuple(absent))
