"""Do the answers keep their word? ``python tests/bench/answers.py``: about 16 minutes on one core.

Simulated sweeps whose truth is known. Downstream: arms at a few seeds score the images of 150 patients, one to four each.
Trial level: a search of 12 single trials, half of them stopped at the first rung, also with an arm that is tried less often and
scatters more. For both: how often chance alone is called a winner, how often a 95 % interval holds the truth, and how often an
effect of the size that a sweep states as detectable is found in the next sweep. Prints every figure beside its bar; exits 1 if
one is missed.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import beta, norm

from radsweep.analysis import answer
from radsweep.analysis.answer import Answer, Effect, find_answer
from radsweep.analysis.comparisons import Difference, Scored, auroc, compare_all, difference, interval
from radsweep.analysis.downstream import JUDGED
from radsweep.analysis.runs import Axis, Curve, SweepRun, Trial
from radsweep.analysis.statistics import importance_interval
from radsweep.sweeps.axes import Choice, Range, Space
from radsweep.sweeps.design import balanced_start
from radsweep.trainables.validation import PATIENT_GROUPS

PATIENTS = 150
REPEATS = 200
BY_CHANCE, COVERED, FOUND = 0.05, (0.93, 0.97), 0.8


@dataclass(frozen=True)
class Hospital:
    """Test images and models, in units of the scatter of a score; what is of a patient is shared by his images.

    Attributes:
        separation: of positives and negatives.
        common, own: scatter of that separation over seeds, common to all arms and of each arm.
        first: how many times as much the first arm scatters over seeds.
    """

    separation: float = 1.5
    common: float = 0.05
    own: float = 0.05
    patient: float = 0.5
    image: float = 0.7
    arm: float = 0.3
    seed: float = 0.3
    first: float = 1

    @property
    def auroc(self) -> float:
        """Expected AUROC of an arm over all seeds and patients: binormal."""
        return float(norm.cdf(self.separation / np.sqrt(2 * self._variance + self.common**2 + self.own**2)))

    @property
    def mae(self) -> float:
        """Expected error of an arm: the mean of a folded normal."""
        return float(np.sqrt(2 / np.pi * self._variance))

    @property
    def _variance(self) -> float:
        return self.patient**2 + self.image**2 + self.arm**2 + self.seed**2

    def shift(self, gain: float) -> float:
        """Return the separation to add for an AUROC that is ``gain`` higher."""
        scale = np.sqrt(2 * self._variance + self.common**2 + self.own**2)
        return float(scale * norm.ppf(min(self.auroc + gain, 1 - 1e-9))) - self.separation

    def arms(
        self, rng: np.random.Generator, arms: int, seeds: int, ages: bool = False, better: float = 0
    ) -> list[list[Scored]]:
        """Return what the models of each arm say; the last arm separates ``better`` by that much."""
        patient = np.repeat(np.arange(PATIENTS), rng.integers(1, 5, PATIENTS))

        def scatter(scale: float, of_patient: float) -> np.ndarray:
            common = rng.normal(size=PATIENTS)[patient]
            return scale * (of_patient * common + np.sqrt(1 - of_patient**2) * rng.normal(size=len(patient)))

        ill = rng.random(PATIENTS) < 0.45
        truth = np.where(ill[patient], rng.random(len(patient)) < 0.8, rng.random(len(patient)) < 0.08).astype(float)
        if ages:
            truth = rng.normal(10, 3, PATIENTS)[patient]
        case = self.patient * rng.normal(size=PATIENTS)[patient] + scatter(self.image, 0)
        luck = self.common * rng.normal(size=seeds)
        told = []
        for number in range(arms):
            bias = scatter(self.arm, 0.6)
            runs = []
            for seed in range(seeds):
                own = self.own * (self.first if number == 0 else 1)
                quality = luck[seed] + own * rng.normal() + better * (number == arms - 1)
                noise = case + bias + scatter(self.seed, 0.6)
                scores = truth + noise * (1 - quality) if ages else truth * (self.separation + quality) + noise
                runs.append(Scored(patient, truth, scores))
            told.append(runs)
        return told


CALM, UNSTEADY = Hospital(), Hospital(common=0.1, own=0.1)
ONE_UNSTEADY = Hospital(common=0.1, own=0.1, first=3)


def compared(rng: np.random.Generator, hospital: Hospital, seeds: int, better: float = 0) -> dict[tuple[str, str], Difference]:
    """Return the comparison of all pairs of four arms, D being the one that may be better."""
    arms = dict(zip("ABCD", hospital.arms(rng, 4, seeds, better=better), strict=True))
    return compare_all(arms, auroc, repeats=REPEATS, rng=rng)


def line(what: str, hits: int, of: int, low: float = 0, high: float = 1) -> bool:
    """Print a share, its exact 95 % limits (Clopper-Pearson) and its bar, if any; return whether the bar is held."""
    least = float(beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    most = float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    holds = low <= hits / of <= high
    bar = f"<= {high:.0%}" if low == 0 else f">= {low:.0%}" if high == 1 else f"{low:.0%} to {high:.0%}"
    judged = "no bar" if (low, high) == (0, 1) else f"bar {bar:10} {'ok' if holds else 'MISSED'}"
    print(f"  {what:76} {hits / of:6.1%} of {of:5} ({least:.1%} to {most:.1%})  {judged}", flush=True)
    return holds


def winners(sweeps: int = 2000) -> bool:
    """A/A: no arm differs."""
    print("downstream, nothing differs: sweeps of 4 arms x 3 seeds in which any of 6 pairs is called different")
    holds = True
    for name, hospital in (("seeds scatter little", CALM), ("seeds scatter much", UNSTEADY)):
        rng = np.random.default_rng(1)
        called = [any(one.p < 0.05 for one in compared(rng, hospital, 3).values()) for _ in range(sweeps)]
        holds &= line(f"{name}, the first 200", sum(called[:200]), 200, 0, BY_CHANCE)
        holds &= line(name, sum(called), sweeps, 0, BY_CHANCE)
    rng = np.random.default_rng(1)
    called = [any(one.p < 0.05 for one in compared(rng, ONE_UNSTEADY, 3).values()) for _ in range(sweeps)]
    line("seeds scatter much, three times as much in one arm", sum(called), sweeps)
    return holds


def coverage(sweeps: int = 2000) -> bool:
    """Intervals of one arm and of a difference."""
    print("downstream, 95 % intervals that hold the truth")
    holds = True
    for name, hospital in (("seeds scatter little", CALM), ("much", UNSTEADY)):
        for judged, ages, truth in ((JUDGED["binary"], False, hospital.auroc), (JUDGED["number"], True, hospital.mae)):
            for seeds in (3, 5):
                rng = np.random.default_rng(2)
                alone = both = 0
                for _ in range(sweeps):
                    first, second = hospital.arms(rng, 2, seeds, ages)
                    one = interval(first, judged.metric, REPEATS, rng, judged.bounds)
                    two = difference(first, second, judged.metric, REPEATS, rng)
                    alone += one.low <= truth <= one.high
                    both += two.low <= 0 <= two.high
                what = f"{'MAE' if ages else 'AUROC'}, {seeds} seeds, {name}"
                holds &= line(f"{what}: an arm", alone, sweeps, *COVERED)
                holds &= line(f"{what}: a difference", both, sweeps, *COVERED)
    return holds


def planted(sweeps: int = 1000) -> bool:
    """An effect of the size that one sweep states, planted in the next."""
    print("downstream, a difference of the size that the sweep before stated as detectable, found after Holm")
    holds = True
    little, much = ("seeds scatter little", Hospital(0.7)), ("seeds scatter much", Hospital(0.7, 0.1, 0.1))
    for (name, hospital), seeds, figures in (*product((little, much), (3, 5), (1,)), (little, 3, 12)):
        rng = np.random.default_rng(3)
        family = 6 * figures
        found, sizes = 0, []
        for _ in range(sweeps):
            before = compared(rng, hospital, seeds)["A", "D"]
            size = before.among(family, before.p).detectable
            one = compared(rng, hospital, seeds, hospital.shift(size))["A", "D"]
            # Among other figures the strictest step of Holm's correction counts: nothing is known of what they show.
            found += (one.p if figures == 1 else family * one.uncorrected) < 0.05 and one.value > 0
            sizes.append(size)
        of = f", of {figures} figures" if figures > 1 else ""
        holds &= line(f"4 arms x {seeds} seeds{of}, {name}: AUROC +{np.median(sizes):.3f}", found, sweeps, FOUND, 1)
    return holds


AXES = (
    Axis("text", "text encoder", ("fr", "en")),
    Axis("image", "resolution", ("64", "128")),
    Axis("sampling", "images of a study", ("one", "all")),
    Axis("temperature", "temperature", low=0.02, high=0.5, log=True),
)
EFFECTS = {"text": 0.02, "image": -0.03, "sampling": 0.0, "temperature": 0.05}
STEP = {"0": 0, "1": 1}
SPACE = Space({axis.name: Choice(axis.title, STEP) if axis.labels else Range(axis.title, 0, 1) for axis in AXES})
STARTS = {trials: tuple(balanced_start(SPACE, 2 * trials // 3, seed) for seed in range(40)) for trials in (12, 24)}
FINDINGS = tuple("abcdefg")


def search(
    rng: np.random.Generator,
    effects: dict[str, float],
    worth: float,
    noise: float = 0.02,
    unsteady: bool = False,
    trials: int = 12,
    findings: bool = False,
) -> Answer:
    """Return the answer of a search at one seed, of which the worse half stops at the first rung.

    Two thirds of its trials are a balanced start, the others random. They validate on the same patients. What a step of an axis
    is worth scatters by ``worth`` from patient to patient, and what a trial is worth by 0.2. If one arm is ``unsteady``, 64 px
    scatters three times as much and is tried only in the start. Its ``findings`` scatter about what a trial scores, each more
    than their mean.
    """
    later = [SPACE.draw(rng, {"image": "1"} if unsteady else None) or {} for _ in range(trials - 2 * trials // 3)]
    start = STARTS[trials][rng.integers(len(STARTS[trials]))]
    levels = np.array([[float(arm[axis.name]) for axis in AXES] for arm in [*start, *later]])
    scatter = noise * np.where(unsteady & (levels[:, 1] == 0), 3, 1)
    step = np.array([effects.get(axis.name, 0.0) for axis in AXES])[:, None] + rng.normal(0, worth, (len(AXES), PATIENTS))
    scores = 0.7 + levels @ step + rng.normal(0, 0.2, (trials, PATIENTS))
    early = scores.mean(axis=1) + rng.normal(0, scatter)
    added = (scores - scores.mean(axis=1, keepdims=True)) / PATIENTS
    groups = np.stack([added[:, group::PATIENT_GROUPS].sum(axis=1) for group in range(PATIENT_GROUPS)], axis=1)
    told = []
    for number, (row, score) in enumerate(zip(levels, early, strict=True)):
        labels = {axis.name: axis.labels[int(at)] if axis.labels else 0.02 * 25**at for axis, at in zip(AXES, row, strict=True)}
        stopped = score < np.median(early)
        values = np.array([score] if stopped else [score, score + 0.05])
        steps = np.array([3000, 6000])[: len(values)]
        curves = {"val/auroc": Curve(steps, values), "time_s": Curve(steps, steps / 50)}
        if findings:
            own = scatter[number] * rng.normal(0, np.sqrt(len(FINDINGS)), len(FINDINGS))
            curves |= {f"val/auroc/{name}": Curve(steps, values + one) for name, one in zip(FINDINGS, own, strict=True)}
        status = "stopped" if stopped else "finished"
        patients = {3000: {"val/auroc": groups[number]}}
        latest = {"val/auroc": values[-1]}
        told.append(Trial(number + 1, f"t{number}", labels, status, "0", {}, curves, latest, patients))
    facts = {"design": "search"}
    return find_answer(SweepRun(Path(), "", "", "val/auroc", "max", (3000, 6000), AXES, tuple(told), True, 0.0, facts))


def claims(told: Answer) -> bool:
    """Return whether a page claims anything: an effect on the metric or on a finding, an interaction, a winner, a time."""
    return told.alone or any(one.shown for one in (*told.effects, *told.cells, *told.interactions, *told.costs))


def on_image(told: Answer) -> Effect:
    """Return the effect of the resolution."""
    return next(effect for effect in told.effects if effect.axis.name == "image")


def trial_level(sweeps: int = 1000) -> bool:
    """The same three for the effects of axes."""
    answer.SHARE_REPEATS = 1  # Intervals of shares would take nine tenths of the time, and have their own figures below.
    holds = True
    for name, worth, unsteady in (("alike", 0.0, False), ("differ", 0.3, False), ("alike, one arm unsteady", 0.0, True)):
        print(f"a search of 12 trials, 4 axes, at its first rung; in what an axis is worth to them patients {name}")
        rng = np.random.default_rng(4)
        called = [any(one.shown for one in search(rng, {}, worth, unsteady=unsteady).effects) for _ in range(2 * sweeps)]
        holds &= line("nothing differs: any effect is shown, the first 200", sum(called[:200]), 200, 0, BY_CHANCE)
        holds &= line("nothing differs: any effect is shown", sum(called), 2 * sweeps, 0, BY_CHANCE)
        covered = told = found = on_images = 0
        for _ in range(sweeps):
            for one in search(rng, EFFECTS, worth, unsteady=unsteady).effects:
                held = one.low <= EFFECTS[one.axis.name] <= one.high
                told += not one.untold
                covered += held
                on_images += held and one.axis.name == "image"
        holds &= line("95 % intervals that hold the true effect", covered, told, *COVERED)
        if unsteady:
            line("those of the unsteady arm alone", on_images, sweeps)
        for _ in range(sweeps):
            stated = on_image(search(rng, {}, worth, unsteady=unsteady)).detectable
            again = on_image(search(rng, {"image": stated}, worth, unsteady=unsteady))
            found += again.shown and again.value > 0
        holds &= line("an effect of the size that the sweep before stated as detectable, found", found, sweeps, FOUND, 1)
    return holds


def whole_pages(sweeps: int = 600) -> bool:
    """A/A, everything that the page of a sweep with seven findings could claim."""
    answer.SHARE_REPEATS = 1
    print("a search over 4 axes with 7 findings, nothing differs: anything at all is claimed")
    holds = True
    for trials in (12, 24):
        rng = np.random.default_rng(6)
        called = [claims(search(rng, {}, 0.0, trials=trials, findings=True)) for _ in range(sweeps)]
        holds &= line(f"{trials} trials, the first 200", sum(called[:200]), 200, 0, BY_CHANCE)
        holds &= line(f"{trials} trials", sum(called), sweeps, 0, BY_CHANCE)
    return holds


def shares(sweeps: int = 200) -> None:
    """Intervals of importance: there is no bar."""
    print("importance of an axis, 95 % intervals that hold the true share (no bar)")
    effects = np.array([1, 0.5, 0, 0.5])
    truth = effects**2 * [0.25, 0.25, 0.25, 1 / 12]
    truth /= truth.sum() + 0.5**2
    for trials in (12, 30):
        rng = np.random.default_rng(5)
        held = np.zeros(4)
        for _ in range(sweeps):
            design = np.column_stack([*(rng.permutation(np.arange(trials) % 2) for _ in range(3)), rng.uniform(size=trials)])
            response = design @ effects + rng.normal(0, 0.5, trials)
            low, high = importance_interval([design[:, [axis]] for axis in range(4)], response, 200, rng)
            held += (low <= truth) & (truth <= high)
        told = ", ".join(f"share {share:.2f}: {times / sweeps:.0%}" for share, times in zip(truth, held, strict=True))
        print(f"  {trials:3} trials: {told}", flush=True)


def main() -> int:
    """Simulate, print, judge."""
    holds = True
    tests: list[Callable[[], bool | None]] = [winners, coverage, planted, trial_level, whole_pages, shares]
    for test in tests:
        start = time.perf_counter()
        holds &= test() is not False
        print(f"  [{time.perf_counter() - start:.0f} s]", flush=True)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
