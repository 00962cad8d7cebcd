"""Linear probes: what a linear model reads off frozen features, with all the labels, a tenth, a hundredth."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from ...datasets.refusal import UserError
from .probe import Cases, averaged, cases_of, fit, lacking, over_draws, pooled, share_of
from .task import Encoded, Prediction, Result, Task

Share = Annotated[float, Field(gt=0, le=1)]


class LinearProbe(Task):
    """A linear probe of every target, of whatever kind; ``at 10`` is on 10 % of the training patients.

    Patients, not images, are drawn; shares below 1 are drawn ``repeats`` times, the same draws for every checkpoint, and
    averaged. Several images of a study are scored together, on the mean of their features.

    Attributes:
        shares: of the training patients.
        targets: to probe; none means all.
        sex: whether the patient's sex is given to the probe as one more feature, as bone-age readers have it.
        seed: of the draws.
    """

    shares: tuple[Share, ...] = (0.01, 0.1, 1.0)
    repeats: int = Field(default=5, ge=1)
    targets: tuple[str, ...] = ()
    sex: bool = False
    seed: int = 0

    def run(self, encoded: Encoded) -> Result:
        """Return ``<target>_<metric>_at_<percent>``, and the mean over binary targets as ``mean_auroc_at_<percent>``.

        Targets with the same grades are scored together too, see `pooled`.

        Raises:
            UserError: no target can be probed, or one that was asked for is not there.
        """
        metrics: dict[str, float] = {}
        predictions: list[Prediction] = []
        absent: list[str] = []
        drawn: dict[float, dict[str, dict[int, Prediction]]] = {share: {} for share in self.shares}
        for name in wanted(self.targets, encoded):
            target, cases = encoded.corpus.targets[name], cases_of(encoded, name, self.sex)
            train, val, test = cases.part("train"), cases.part("val"), cases.part("test")
            if not len(test.truth):
                absent.append(f"{name}: no test case has the label")
                continue
            for share in self.shares:
                label = f"{name}_at_{percent(share)}"
                told, why = [], ""
                for chosen in self._draws(train, share):
                    own = train.of(chosen)
                    if why := lacking(own):
                        break
                    told.append(fit(target, own, val, train.inputs)(test.inputs))
                if why:
                    absent.append(f"{label}: {why}")
                    continue
                draws = [Prediction(label, target, test.patients, test.truth, scores) for scores in told]
                metrics |= over_draws(name, draws, f"_at_{percent(share)}")
                drawn[share][name] = dict(enumerate(draws))
                predictions.append(averaged(label, draws))
        if not metrics:
            raise UserError(f"{encoded.corpus.name} has nothing to probe: {'; '.join(absent) or 'no target'}")
        for share, own in drawn.items():
            for names, draws in pooled(own).items():
                metrics |= over_draws(names, draws, f"_at_{percent(share)}")
                predictions.append(averaged(f"{names}_at_{percent(share)}", draws))
            end = f"_auroc_at_{percent(share)}"
            kinds = {name: target.kind for name, target in encoded.corpus.targets.items() if name + end in metrics}
            told = [metrics[name + end] for name, kind in kinds.items() if kind == "binary"]
            if len(told) > 1:
                metrics[f"mean{end}"] = float(np.mean(told))
        return Result(metrics, tuple(predictions), tuple(absent))

    def _draws(self, train: Cases, share: float) -> Iterator[np.ndarray]:
        if share >= 1:
            yield np.ones(len(train.truth), bool)
            return
        for repeat in range(self.repeats):
            yield share_of(train, share, np.random.default_rng((self.seed, repeat)))


def percent(share: float) -> str:
    """Return a share as it stands in a metric's name: 0.01 is ``1``."""
    return f"{100 * share:g}"


def wanted(targets: tuple[str, ...], encoded: Encoded) -> tuple[str, ...]:
    """Return the targets that are asked for, all of the corpus by default.

    Raises:
        UserError: one is not there.
    """
    there = tuple(encoded.corpus.targets)
    if missing := sorted(set(targets) - set(there)):
        raise UserError(f"{encoded.corpus.name} has no target {', '.join(missing)}; it has {', '.join(there) or 'none'}")
    return targets or there
