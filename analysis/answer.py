"""The answer to a question: what each axis changes, how sure that is, and what could not be told.

Trials are compared at one rung, the highest that was reached before any trial had been stopped: later rungs hold survivors
only, and the mean of survivors says little about an arm.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.refusal import UserError
from .runs import ABSENT, FINDING, Axis, SweepRun, Trial
from .statistics import (
    Fit,
    detectable,
    holm,
    hypervolume,
    importance,
    importance_interval,
    least_squares,
    pareto_front,
    tied_with,
    with_interactions,
)

LEVEL = 0.05
SHARE_REPEATS = 200
Contrast = tuple[Axis, str, str]
"""An axis, and from which label to which."""
SHORT_S = 5400
"""Costs below are told in minutes."""
NEARLY_ALL = 0.9
"""A later rung still compares everything while at least this share of the trials of the first rung has reached it."""


@dataclass(frozen=True)
class Effect:
    """What going from ``reference`` to ``label`` on an axis adds to a metric.

    Attributes:
        value, low, high: the effect and its 95 % interval; NaN where it cannot be told.
        p: of a true effect within the margin, two-sided, corrected for all comparisons of the sweep (`Answer.families`); NaN
            where there is none.
        detectable: the smallest effect that would have been shown in four of five such sweeps.
        margin: difference that still makes none in practice.
        untold: why the effect cannot be told; empty if it can.
    """

    axis: Axis
    metric: str
    reference: str
    label: str
    value: float
    low: float
    high: float
    p: float
    detectable: float
    margin: float
    untold: str = ""

    @property
    def shown(self) -> bool:
        """Whether more than the margin is established: the corrected p-value is below 5 %."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Interaction:
    """How much the effect of one contrast of an axis differs between the ends of a contrast of another.

    Attributes:
        first, second: the contrasts, as (axis, reference, label).
        value, low, high: the difference of differences in the sweep's metric, its 95 % interval; NaN where it cannot be told.
        p: of one within the sweep's margin, two-sided and corrected as those of effects are; NaN where it cannot be told.
        detectable: the smallest that would have been shown in four of five such sweeps.
    """

    first: Contrast
    second: Contrast
    value: float
    low: float
    high: float
    p: float
    detectable: float

    @property
    def shown(self) -> bool:
        """Whether more than the margin is established: the corrected p-value is below 5 %."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Tradeoff:
    """Quality against cost among the trials that saw the whole budget.

    Attributes:
        trials: those with a score and a cost.
        costs: time of a trial, of its GPUs where it held any, float [trials].
        scores: float [trials].
        front: bool [trials], which no other beats in both.
        unit: of the costs: ``GPU-hours``, ``GPU-minutes``, ``hours`` or ``minutes``.
        covered: share of the box between the worst and the best of both that the front dominates; NaN if it has no area.
    """

    trials: tuple[Trial, ...]
    costs: np.ndarray
    scores: np.ndarray
    front: np.ndarray
    unit: str
    covered: float


@dataclass(frozen=True)
class Cost:
    """How many times as long a trial takes with ``label`` as with ``reference``, and the 95 % interval of that ratio.

    Attributes:
        p: of no difference, two-sided, corrected for all contrasts.
    """

    axis: Axis
    reference: str
    label: str
    ratio: float
    low: float
    high: float
    p: float

    @property
    def shown(self) -> bool:
        """Whether a difference is established: the corrected p-value is below 5 %."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Answer:
    """Everything the report says about a sweep.

    Attributes:
        rung: pairs at which the trials are compared, of the sweep's budget.
        compared: the trials that got there, without `replicates`.
        replicates: runs at further seeds of arms that went on by their scores: all of a search, and all where some arm did not
            go on. They say how far a score moves, and take no part in effects: such arms were chosen for their luck too.
        effects: of every contrast on the sweep's metric, axis by axis; one family of comparisons.
        cells: of every contrast on every finding, finding by finding; another family.
        costs: of every contrast on the time of a trial; empty where it cannot be told.
        interactions: of every two contrasts of different axes on the sweep's metric; a family of their own.
        interactions_dof: degrees of freedom left for the noise where they are fitted too.
        families: of comparisons: effects, findings if there are any, interactions if any can be told. Each is corrected after
            Holm, all of them after Bonferroni: chance shows anything anywhere in at most 5 of 100 sweeps.
        shares: of the variance of the metric, by axis name; None when too few trials leave nothing for the noise.
        share_ends: 95 % interval of each share.
        noise_shares: what pure noise would be credited with, by axis name.
        sigma: scatter of the metric that no axis explains; NaN if it cannot be told.
        dof: degrees of freedom left for that scatter.
        best: of the trials that got furthest.
        alone: whether the best is ahead of the second, another arm at the same seed, by more than the scatter of two trials;
            else it is a tie.
        over_patients: whether effects on the metric hold over other validation patients as well as over other trials.
    """

    rung: int
    compared: tuple[Trial, ...]
    replicates: tuple[Trial, ...]
    effects: tuple[Effect, ...]
    cells: tuple[Effect, ...]
    costs: tuple[Cost, ...]
    interactions: tuple[Interaction, ...]
    interactions_dof: int
    families: int
    shares: dict[str, float] | None
    share_ends: dict[str, tuple[float, float]]
    noise_shares: dict[str, float]
    sigma: float
    dof: int
    best: Trial
    alone: bool
    tradeoff: Tradeoff
    over_patients: bool

    def of(self, axis: Axis) -> tuple[Effect, ...]:
        """Return the effects of one axis on the sweep's metric."""
        return tuple(effect for effect in self.effects if effect.axis.name == axis.name)


@dataclass(frozen=True)
class Planted:
    """An effect that the phantom hospital holds.

    Attributes:
        better: the labels that see the finding, of those that the axis has.
        verdict: ``found`` or ``reversed`` where an effect is shown, ``indicated`` where only its interval leaves out zero, on
            the right side, otherwise ``missed``; ``not tested`` where it cannot be told.
    """

    finding: str
    title: str
    better: str
    reason: str
    verdict: str
    cell: Effect | None


def find_answer(run: SweepRun) -> Answer:
    """Return what the trials of a sweep say."""
    rung = comparison_rung(run)
    told = [trial for trial in run.trials if not math.isnan(trial.at(run.metric, rung))]
    seeds = [run.trials[0].seed] if _chosen(run) else seeds_of(told)
    compared = tuple(trial for trial in told if trial.seed in seeds)
    contrasts = [contrast for axis in run.axes for contrast in _contrasts(axis)]
    pairs, crossed, raw = _crossed(run, compared, rung)
    families = 1 + bool(run.findings) + bool((~np.isnan(raw)).any())
    fit, effects = _family(run, compared, [run.metric], rung, families)
    _, cells = _family(run, compared, [FINDING + finding for finding in run.findings], rung, families)
    response = np.array([trial.at(run.metric, rung) for trial in compared])
    shares, ends = None, {}
    if fit.dof and contrasts:
        names, designs = [axis.name for axis in run.axes], [columns(axis, compared) for axis in run.axes]
        shares = dict(zip(names, map(float, importance(designs, response)), strict=True))
        low, high = importance_interval(designs, response, SHARE_REPEATS)
        ends = {name: (float(one), float(other)) for name, one, other in zip(names, low, high, strict=True)}
    order = best_first(run)
    return Answer(
        rung=rung,
        compared=compared,
        replicates=tuple(trial for trial in told if trial.seed not in seeds),
        effects=effects,
        cells=cells,
        costs=_costs(compared, run.axes, rung),
        interactions=_interactions(run, pairs, crossed, raw, families),
        interactions_dof=crossed.dof,
        families=families,
        shares=shares,
        share_ends=ends,
        noise_shares={axis.name: _rank(columns(axis, compared)) / max(len(compared) - 1, 1) for axis in run.axes},
        sigma=fit.sigma,
        dof=fit.dof,
        best=order[0],
        alone=_alone(run, order, fit.sigma),
        tradeoff=_tradeoff(run),
        over_patients=_patients(compared, run.metric, rung) is not None,
    )


def seeds_of(trials: Sequence[Trial]) -> list[str]:
    """Return the seeds that trials ran at."""
    return sorted({trial.seed for trial in trials})


def _chosen(run: SweepRun) -> bool:
    """Return whether the arms at further seeds may have been chosen by their scores at the first.

    They are in a search, and where an arm of the first seed is at no further one: it was stopped there, or was not among the
    finalists. One that failed could not go on, whatever it was worth.
    """
    first = run.trials[0].seed
    could = {_arm(run, trial) for trial in run.trials if trial.seed == first and trial.status != "failed"}
    went_on = {_arm(run, trial) for trial in run.trials if trial.seed != first}
    return run.facts.get("design") == "search" or went_on < could


def _arm(run: SweepRun, trial: Trial) -> tuple[str | float, ...]:
    return tuple(trial.labels[axis.name] for axis in run.named)


def comparison_rung(run: SweepRun) -> int:
    """Return the highest rung, in pairs of the sweep's budget, that nearly all trials reached before any was outdone."""
    stops = [trial.progress for trial in run.trials if _outdone(run, trial)]
    reached = {rung: sum(not math.isnan(trial.at(run.metric, rung)) for trial in run.trials) for rung in run.rungs}
    free = [rung for rung in run.rungs if not any(stop < rung for stop in stops)]
    full = [rung for rung in free if reached[rung] and reached[rung] >= NEARLY_ALL * max(reached.values())]
    if full:
        return full[-1]
    # A sweep that has just begun: the last report that all of its reporting trials have made.
    return min(int(trial.curves[run.metric].pairs[-1] / trial.budget) for trial in run.trials if run.metric in trial.curves)


def _outdone(run: SweepRun, trial: Trial) -> bool:
    """Return whether a trial stopped because others were better: at a rung, and at the first seed.

    A sweep that has spent its budget stops trials at any validation, whatever they are worth.
    """
    if trial.status != "stopped" or trial.seed != run.trials[0].seed:
        return False
    seen = trial.curves[run.metric].pairs
    return any(np.searchsorted(seen, math.ceil(rung * trial.budget)) == len(seen) - 1 for rung in run.rungs)


def best_first(run: SweepRun) -> list[Trial]:
    """Return all trials: those that reached a later rung first, and among these the better last value; without a value last."""

    def place(trial: Trial) -> tuple[int, float]:
        value = trial.latest.get(run.metric, -math.inf * run.sign)
        return (-sum(rung <= trial.progress for rung in run.rungs), -run.sign * value)

    return sorted(run.trials, key=place)


def _alone(run: SweepRun, order: Sequence[Trial], sigma: float) -> bool:
    """Return whether the best leads the second by two standard deviations of a difference of two trials, sqrt(2) sigma each."""
    rivals = [trial for trial in order[1:] if trial.progress >= run.rungs[-1] and run.metric in trial.latest]
    if order[0].progress < run.rungs[-1] or not rivals or math.isnan(sigma):
        return False
    best, second = order[0], rivals[0]
    lead = run.sign * (best.latest[run.metric] - second.latest[run.metric])
    return best.seed == second.seed and best.labels != second.labels and lead > 2 * math.sqrt(2) * sigma


def columns(axis: Axis, trials: Sequence[Trial]) -> np.ndarray:
    """Return the columns of one axis in the design, float [trials, contrasts of the axis].

    Named arms: one 0/1 column for each label but the first. Numbers: their place between the low end (0) and the high end
    (1), on a logarithmic scale if the axis has one.

    Where a conditional axis does not exist, its columns have their means over the trials in which it does: it says nothing
    there, and the effect of the axis that it hangs on is that of going from arms without it to the average of those with it.
    """
    if axis.labels:
        others = [label for _, label in _contrasts(axis)]
        told = [[float(trial.labels[axis.name] == label) for label in others] for trial in trials]
        design = np.array(told).reshape(len(trials), len(others))
        there = np.array([trial.labels[axis.name] != ABSENT for trial in trials], bool)
        if there.any():
            design[~there] = design[there].mean(axis=0)
        return design
    values = np.array([float(trial.labels[axis.name]) for trial in trials]).reshape(len(trials), 1)
    if axis.log:
        return np.log(values / axis.low) / np.log(axis.high / axis.low)
    return (values - axis.low) / (axis.high - axis.low)


def _rank(design: np.ndarray) -> int:
    """Return how many directions an axis has been tried in."""
    return int(np.linalg.matrix_rank(design - design.mean(axis=0))) if design.size else 0


def _contrasts(axis: Axis) -> list[tuple[str, str]]:
    """Return (reference, label) of each column of an axis."""
    if axis.labels:
        return [(axis.labels[0], label) for label in axis.labels[1:] if label != ABSENT]
    return [(f"{axis.low:g}", f"{axis.high:g}")]


def _seeds(trials: Sequence[Trial]) -> np.ndarray:
    """Return one 0/1 column for each seed but the first, float [trials, seeds - 1].

    With them in the design, arms are compared within a seed: all of its trials had the same draws in the same order.
    """
    seeds = seeds_of(trials)
    told = [[float(trial.seed == seed) for seed in seeds[1:]] for trial in trials]
    return np.array(told).reshape(len(trials), max(len(seeds) - 1, 0))


def _design(axes: Sequence[Axis], trials: Sequence[Trial]) -> tuple[np.ndarray, list[tuple[Axis, str, str]]]:
    """Return the columns of all axes, then those of the seeds, and the contrast of each of the former."""
    names = [(axis, reference, label) for axis in axes for reference, label in _contrasts(axis)]
    blocks = [columns(axis, trials) for axis in axes]
    return np.column_stack([np.empty((len(trials), 0)), *blocks, _seeds(trials)]), names


def _family(
    run: SweepRun, trials: Sequence[Trial], metrics: list[str], rung: int, families: int
) -> tuple[Fit, tuple[Effect, ...]]:
    """Return the effects of every contrast on every metric, corrected together, and the fit of the last metric."""
    fits, tables, reasons, margin = [], [], [], run.margin
    fit = least_squares(np.empty((0, 0)), np.empty(0))
    for metric in metrics:
        scored = [trial for trial in trials if not math.isnan(trial.at(metric, rung))]
        design, names = _design(run.axes, scored)
        fit = least_squares(design, np.array([trial.at(metric, rung) for trial in scored]), _patients(scored, metric, rung))
        fits.append(fit)
        tables.append(names)
        reasons.append([_untold(design, column, names, fit) for column in range(len(names))])
    told = np.concatenate([np.empty(0), *(fit.p_values(margin)[: len(names)] for fit, names in zip(fits, tables, strict=True))])
    corrected = iter(_of_all(holm(told), families))
    comparisons = families * max(int((~np.isnan(told)).sum()), 1)
    effects = []
    for metric, one, names, why in zip(metrics, fits, tables, reasons, strict=True):
        low, high = one.interval()
        smallest = margin + detectable(one.errors, one.error_dof, comparisons, LEVEL)
        for column, (axis, reference, label) in enumerate(names):
            effects.append(
                Effect(
                    axis=axis,
                    metric=metric,
                    reference=reference,
                    label=label,
                    value=float(one.effects[column]),
                    low=float(low[column]),
                    high=float(high[column]),
                    p=float(next(corrected)),
                    detectable=float(smallest[column]),
                    margin=margin,
                    untold=why[column],
                )
            )
    return fit, tuple(effects)


def _of_all(p_values: np.ndarray, families: int) -> np.ndarray:
    """Return p-values that hold within one of several families so that they hold for all of them (Bonferroni)."""
    return np.minimum(families * p_values, 1.0)


def _patients(trials: Sequence[Trial], metric: str, rung: int) -> np.ndarray | None:
    """Return what groups of validation patients added to each trial, float [trials, groups]; None unless all have told."""
    told = [groups for trial in trials if (groups := trial.patients_at(metric, rung)) is not None]
    return np.array(told) if told and len(told) == len(trials) and told[0].size > 1 else None


def _untold(design: np.ndarray, column: int, names: Sequence[tuple[Axis, str, str]], fit: Fit) -> str:
    trials = len(design)
    axis, reference, label = names[column]
    if trials == 0:
        return "no trial has a value"
    if np.ptp(design[:, column]) == 0:
        only = label if axis.labels and design[0, column] else reference if axis.labels else "one value"
        return f"only {only} was tried" if len(axis.labels) < 3 else f"{label} against {reference} was not tried"
    own = [place for place, name in enumerate(names) if name[0].name == axis.name]
    if axis.labels and design[:, own].any(axis=1).all():
        return f"{reference} was not tried"
    if fit.dof == 0:
        return f"{trials} trials are too few for {design.shape[1]} effects and the noise"
    titles = [name[0].title for name in names] + ["the seed"] * (design.shape[1] - len(names))
    others = [title for title in dict.fromkeys(titles[i] for i in tied_with(design, column)) if title != axis.title]
    if others:
        return f"it changed together with {' and '.join(others)} in these trials"
    if fit.single[column]:
        return "it rests on a single trial"
    return "these trials do not tell it" if np.isnan(fit.effects[column]) else ""


def _crossed(run: SweepRun, trials: Sequence[Trial], rung: int) -> tuple[list[tuple[Contrast, Contrast]], Fit, np.ndarray]:
    """Return every two contrasts of different axes, a fit whose last effects are their interactions, and the p-values of these.

    The p-values, float [interactions], are uncorrected; NaN where an interaction cannot be told.
    """
    pairs = [
        ((one, *first), (other, *second))
        for one, other in combinations(run.axes, 2)
        for first in _contrasts(one)
        for second in _contrasts(other)
    ]
    design = with_interactions([columns(axis, trials) for axis in run.axes])[0] if pairs else np.empty((len(trials), 0))
    response = np.array([trial.at(run.metric, rung) for trial in trials])
    fit = least_squares(np.column_stack([_seeds(trials), design]), response, _patients(trials, run.metric, rung))
    return pairs, fit, fit.p_values(run.margin)[len(fit.effects) - len(pairs) :]


def _interactions(
    run: SweepRun, pairs: Sequence[tuple[Contrast, Contrast]], fit: Fit, raw: np.ndarray, families: int
) -> tuple[Interaction, ...]:
    own = slice(len(fit.effects) - len(pairs), None)
    low, high = fit.interval()
    comparisons = families * max(int((~np.isnan(raw)).sum()), 1)
    smallest = run.margin + detectable(fit.errors[own], fit.error_dof[own], comparisons, LEVEL)
    numbers = (fit.effects[own], low[own], high[own], _of_all(holm(raw), families), smallest)
    return tuple(Interaction(*pair, *map(float, told)) for pair, *told in zip(pairs, *numbers, strict=True))


def _tradeoff(run: SweepRun) -> Tradeoff:
    clock = "gpu_s" if any(trial.latest.get("gpu_s", 0) > 0 for trial in run.trials) else "time_s"
    whole = [
        trial
        for trial in run.trials
        if trial.progress >= run.rungs[-1] and run.metric in trial.latest and trial.latest.get(clock, 0) > 0
    ]
    seconds = np.array([trial.latest[clock] for trial in whole])
    short = seconds.max(initial=0) < SHORT_S
    costs = seconds / (60 if short else 3600)
    scores = np.array([trial.latest[run.metric] for trial in whole])
    better, covered = run.sign * scores, math.nan
    if len(whole) > 1 and np.ptp(costs) > 0 and np.ptp(scores) > 0:
        box = float(np.ptp(costs) * np.ptp(scores))
        covered = hypervolume(costs, better, (float(costs.max()), float(better.min()))) / box
    unit = ("GPU-" if clock == "gpu_s" else "") + ("minutes" if short else "hours")
    return Tradeoff(tuple(whole), costs, scores, pareto_front(costs, better), unit, covered)


def _costs(trials: Sequence[Trial], axes: Sequence[Axis], rung: int) -> tuple[Cost, ...]:
    timed = [trial for trial in trials if trial.at("time_s", rung) > 0]
    design, names = _design(axes, timed)
    if not timed or not names:
        return ()
    fit = least_squares(design, np.log([trial.at("time_s", rung) for trial in timed]))
    (low, high), p_values = fit.interval(), holm(fit.p_values()[: len(names)])
    ratios = np.exp(np.stack([fit.effects, low, high], axis=1))
    return tuple(
        Cost(axis, reference, label, *map(float, ratios[i]), p=float(p_values[i]))
        for i, (axis, reference, label) in enumerate(names)
        if not math.isnan(low[i])
    )


def check_planted(run: SweepRun, answer: Answer, truth: Path) -> tuple[tuple[Planted, ...], tuple[Effect, ...]]:
    """Return what became of each planted effect, and the effects on findings that were shown but never planted.

    ``truth`` is JSON, a list of objects with ``finding``, ``axis``, ``better`` (a label of the axis, or all those that see the
    finding) and ``reason``. A contrast of one of them with one of the others is planted.

    Raises:
        UserError: ``truth`` is no such file.
    """
    try:
        told = json.loads(truth.read_text(encoding="utf-8"))
        rows = [(*(str(row[field]) for field in ("finding", "axis", "reason")), _labels(row["better"])) for row in told]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{truth} is no list of planted effects ({type(error).__name__}): name truth/effects.json") from error
    axes = {axis.name: axis for axis in run.axes}
    planted, expected = [], set()
    for finding, name, reason, better in rows:
        cells = [
            cell
            for cell in answer.cells
            if (cell.metric, cell.axis.name) == (FINDING + finding, name)
            and (cell.label in better) != (cell.reference in better)
        ]
        cell = max(cells, key=lambda one: (_verdict(one, better) == "reversed", one.shown, not one.untold), default=None)
        expected |= {(one.metric, one.axis.name, one.reference, one.label) for one in cells}
        title, tried = (axes[name].title, axes[name].labels) if name in axes else (name, better)
        told = ", ".join(label for label in better if label in tried)
        planted.append(Planted(finding, title, told, reason, _verdict(cell, better), cell))
    others = tuple(
        cell
        for cell in answer.cells
        if cell.shown and (cell.metric, cell.axis.name, cell.reference, cell.label) not in expected
    )
    return tuple(planted), others


def _labels(told: Any) -> tuple[str, ...]:
    return (told,) if isinstance(told, str) else tuple(map(str, told))


def _verdict(cell: Effect | None, better: Sequence[str]) -> str:
    if cell is None or cell.untold:
        return "not tested"
    right = (cell.value > 0) == (cell.label in better)
    if cell.shown:
        return "found" if right else "reversed"
    return "indicated" if right and not cell.low <= 0 <= cell.high else "missed"
