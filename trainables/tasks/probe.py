"""Linear models on frozen features, for every kind of target, which training cases they are given, and draws of these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from ...datasets.labelled import Target
from .metrics import METRICS, measure
from .task import Encoded, Prediction

STRENGTHS = tuple(float(10.0**power) for power in range(-4, 3))
"""Inverse penalties that validation chooses from."""
WITHOUT_VALIDATION = 0.316
"""Source: J. Silva-Rodriguez et al. (DLILP, IPMI 2025), the C of its probes."""
ITERATIONS = 5000


@dataclass(frozen=True)
class Cases:
    """Studies of a corpus whose label is known.

    Attributes:
        inputs: float [n, width]; of a study the mean over its images, and its patient's sex where that is asked for.
        truth: float [n].
        patients, splits: [n] of str.
    """

    inputs: np.ndarray
    truth: np.ndarray
    patients: np.ndarray
    splits: np.ndarray

    def of(self, chosen: np.ndarray) -> "Cases":
        return Cases(self.inputs[chosen], self.truth[chosen], self.patients[chosen], self.splits[chosen])

    def part(self, split: str) -> "Cases":
        return self.of(self.splits == split)


def cases_of(encoded: Encoded, target: str, sex: bool = False) -> Cases:
    """Return the studies whose ``target`` is known; with ``sex``, `sexes` is a last feature."""
    studies, truth = encoded.studies, encoded.truth(target)
    inputs = encoded.by_study(encoded.states).astype(float)
    if sex:
        inputs = np.column_stack([inputs, sexes(encoded)[[own[0] for own in studies.images]]])
    return Cases(inputs, truth, studies.patients, studies.splits).of(~np.isnan(truth))


def sexes(encoded: Encoded) -> np.ndarray:
    """Return 1 for images of women, 0 for those of men, a half where it is unknown: float [images]."""
    bits = {"F": 1.0, "M": 0.0}
    return np.array([bits.get(image.sex or "", 0.5) for image in encoded.corpus.images])


def share_of(train: Cases, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return which training cases belong to a share of the patients, bool [n]: whole patients, at least one."""
    patients = np.unique(train.patients.astype(str))
    chosen = rng.permutation(patients)[: max(1, round(share * len(patients)))]
    return np.isin(train.patients.astype(str), chosen)


def shots_of(train: Cases, shots: int, rng: np.random.Generator) -> np.ndarray | None:
    """Return ``shots`` cases of each level, all of different patients, as places; None where a level has too few patients.

    Patients are drawn by chance alone; where that leaves a level too few, those who have no other level go first.
    """
    order = rng.permutation(len(train.truth))
    levels: dict[str, set[float]] = {}
    for patient, level in zip(train.patients, train.truth, strict=True):
        levels.setdefault(str(patient), set()).add(float(level))
    of_few_levels = sorted(order, key=lambda place: len(levels[str(train.patients[place])]))
    drawn = _drawn(train, shots, order)
    return drawn if drawn is not None else _drawn(train, shots, of_few_levels)


def _drawn(train: Cases, shots: int, order: Sequence[int] | np.ndarray) -> np.ndarray | None:
    taken: set[str] = set()
    chosen: list[int] = []
    # The rarest level draws first: patients that have several levels are not used up by a common one.
    levels, counts = np.unique(train.truth, return_counts=True)
    for level in levels[np.argsort(counts, kind="stable")]:
        own: list[int] = []
        for place in order:
            patient = str(train.patients[place])
            if len(own) < shots and train.truth[place] == level and patient not in taken:
                own.append(int(place))
                taken.add(patient)
        if len(own) < shots:
            return None
        chosen += own
    return np.array(chosen)


Predictor = Callable[[np.ndarray], np.ndarray]


@threadpool_limits.wrap(limits=1)  # problems are small: threads would spend their time waiting for each other
def fit(target: Target, train: Cases, val: Cases | None = None, among: np.ndarray | None = None) -> Predictor:
    """Return the linear model that predicts ``target``; validation cases choose its penalty.

    Binary targets, classes and grades are logistic regressions with balanced class weights, numbers a ridge regression on
    standardised features and targets. Scores are probabilities, or numbers in the target's unit.

    Args:
        train: cases of at least two levels.
        val: None, or cases that tell no penalty from another, takes the penalty that is fixed for few cases.
        among: features [m, width] by which they are standardised, labelled or not; None takes those of ``train``. The spread
            of a few cases is chance: one case of each level would make every feature weigh the same.
    """
    whole = train.inputs if among is None else among
    mean, scale = whole.mean(axis=0), whole.std(axis=0)
    scale[scale == 0] = 1
    inputs = (train.inputs - mean) / scale
    name, metric = next(iter(METRICS[target.kind].items()))
    sign = -1 if name == "mae" else 1
    candidates: list[tuple[float, Predictor]] = []
    for strength in STRENGTHS if val is not None and len(val.truth) else (WITHOUT_VALIDATION,):
        told = _ridge(inputs, train.truth, strength) if target.kind == "number" else _logistic(target, inputs, train, strength)
        predict = _standardised(told, mean, scale)
        value = sign * metric(val.truth, predict(val.inputs)) if val is not None and len(val.truth) else 0.0
        if not np.isnan(value):
            candidates.append((value, predict))
    return max(candidates, key=lambda one: one[0])[1] if candidates else fit(target, train, among=among)


def _standardised(told: Predictor, mean: np.ndarray, scale: np.ndarray) -> Predictor:
    return lambda rows: told((rows - mean) / scale)


def _logistic(target: Target, inputs: np.ndarray, train: Cases, strength: float) -> Predictor:
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=ITERATIONS).fit(inputs, train.truth.astype(int))
    if target.kind == "binary":
        return lambda rows: model.predict_proba(rows)[:, 1]

    def scores(rows: np.ndarray) -> np.ndarray:
        told = np.zeros((len(rows), len(target.levels)))
        told[:, model.classes_] = model.predict_proba(rows)
        return told

    return scores


def _ridge(inputs: np.ndarray, truth: np.ndarray, strength: float) -> Predictor:
    middle, spread = truth.mean(), truth.std() or 1.0
    # Per case, as the logistic penalty is: the same strength means the same with more of them.
    model = Ridge(alpha=1 / strength).fit(inputs, (truth - middle) / spread)
    return lambda rows: model.predict(rows) * spread + middle


def lacking(train: Cases) -> str:
    """Return why nothing can be learned from ``train``; empty if something can."""
    if not len(train.truth):
        return "no training case has the label"
    if len(np.unique(train.truth)) < 2:
        return "all training cases have the same label"
    return ""


def over_draws(name: str, draws: Sequence[Prediction], end: str) -> dict[str, float]:
    """Return ``<name>_<metric><end>``, the mean over draws of every metric that can be computed of each of them."""
    told = [measure(one.target, one.truth, one.scores) for one in draws if one.target is not None]
    shared = [metric for metric in told[0] if all(metric in one for one in told)]
    return {f"{name}_{metric}{end}": float(np.mean([one[metric] for one in told])) for metric in shared}


def averaged(name: str, draws: Sequence[Prediction]) -> Prediction:
    """Return what several draws say of the same cases, on average."""
    return replace(draws[0], name=name, scores=np.mean([one.scores for one in draws], axis=0))


def pooled(told: Mapping[str, Mapping[int, Prediction]]) -> dict[str, list[Prediction]]:
    """Return what each draw says of all cases of targets with the same grades: of both knees, as ``right_kl_and_left_kl``.

    Empty unless two targets have the same grades and were told in the same draw.

    Args:
        told: by target and draw.
    """
    alike: dict[tuple[Target | None, int], dict[str, Prediction]] = {}
    for name, draws in told.items():
        for draw, one in draws.items():
            alike.setdefault((one.target, draw), {})[name] = one
    found: dict[str, list[Prediction]] = {}
    for (target, _), own in alike.items():
        if target is not None and target.kind == "grade" and len(own) > 1:
            name, parts = "_and_".join(own), own.values()
            patients = np.concatenate([one.patients for one in parts])
            truth = np.concatenate([one.truth for one in parts])
            scores = np.concatenate([one.scores for one in parts])
            found.setdefault(name, []).append(Prediction(name, target, patients, truth, scores))
    return found
