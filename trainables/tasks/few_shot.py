"""Few-shot probes: k labelled studies of each level, drawn again and again."""

import numpy as np
from pydantic import Field, PositiveInt

from ...datasets.refusal import UserError
from .linear_probe import wanted
from .probe import averaged, cases_of, fit, over_draws, pooled, shots_of
from .task import Encoded, Prediction, Result, Task


class FewShot(Task):
    """A linear probe on k cases of each level, all of different patients, averaged over ``repeats`` draws.

    The penalty is fixed: so few cases leave none to choose it by. Every checkpoint gets the same draws.
    """

    shots: tuple[PositiveInt, ...] = (1, 2, 4, 8, 16)
    repeats: int = Field(default=10, ge=1)
    targets: tuple[str, ...] = ()
    seed: int = 0

    def run(self, encoded: Encoded) -> Result:
        """Return ``<target>_<metric>_shots_<k>`` of every target that has levels, and of the same grades together (`pooled`).

        Raises:
            UserError: a target that is asked for is not there, or none has enough cases of each level.
        """
        metrics: dict[str, float] = {}
        predictions: list[Prediction] = []
        absent: list[str] = []
        drawn: dict[int, dict[str, dict[int, Prediction]]] = {shots: {} for shots in self.shots}
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
                same = [Prediction(name, target, test.patients, test.truth, scores) for scores in told]
                metrics |= over_draws(name, same, f"_shots_{shots}")
                drawn[shots][name] = dict(enumerate(same))
                predictions.append(averaged(f"{name}_shots_{shots}", same))
        for shots, own in drawn.items():
            for names, same in pooled(own).items():
                metrics |= over_draws(names, same, f"_shots_{shots}")
                predictions.append(averaged(f"{names}_shots_{shots}", same))
        if not metrics:
            raise UserError(f"{encoded.corpus.name} has nothing for few shots: {'; '.join(absent)}")
        return Result(metrics, tuple(predictions), tuple(absent))
