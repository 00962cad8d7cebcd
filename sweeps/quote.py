"""What a sweep will cost, before it runs: a short calibration of its arms, and the clock of ``simulate.py`` for the rest.

`calibrate` runs the real loop for a few steps of every kind of arm, as many at a time as the sweep will. `quote` then plays
the sweep again and again with these times: which arms are drawn and which are stopped is chance, and the interval says so.
"""

import itertools
import tempfile
import time
import uuid
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import ray
from ray.train import CheckpointConfig, RunConfig, ScalingConfig

from ..datasets.config import flatten
from ..datasets.pairs import Corpus, load_corpus
from ..datasets.refusal import UserError
from ..datasets.sampling import Order
from ..trainables.pretrain import PretrainConfig, Trial, pretrain
from .axes import Labels
from .launch import check_sweep, concurrency
from .simulate import Interval, Plan, Unwritten, play
from .sweep import Resources, Sweep
from .train_run import TrialTrainer
from .trial import devices_of, gpus_per_worker, storage

BLOCKS, BLOCK_STEPS = 5, 8
"""A calibration is so many blocks of so many steps, a validation after each; the first block warms up."""
REPLAYS = 100


# 1. What is known of an arm.


@dataclass(frozen=True)
class Measured:
    """What one kind of arm costs.

    Attributes:
        step_s: seconds of a step, the mean of each block of steps after the first.
        step_pairs: pairs that a step sees.
        validation_s: of one validation with its checkpoint.
        startup_s: of a trial beside its steps and validations: processes, weights, what the first steps take longer, the end.
    """

    step_s: tuple[float, ...]
    step_pairs: float
    validation_s: float
    startup_s: float

    def drawn(self, rng: np.random.Generator) -> Self:
        """Return this with one time for all steps, as it might have been measured."""
        return replace(self, step_s=(float(rng.choice(self.step_s, len(self.step_s)).mean()),))

    def reached_s(self, config: PretrainConfig, rungs: Sequence[int]) -> list[float]:
        """Return the seconds that a trial has taken when it is told at each of ``rungs`` (pairs seen) that it ends there."""
        shares = np.arange(1, config.validations + 1) / config.validations
        validations = {*rungs, *(round(share * config.budget_pairs) for share in shares)}
        step_s = float(np.mean(self.step_s))
        return [
            self.startup_s + rung / self.step_pairs * step_s + self.validation_s * sum(at <= rung for at in validations)
            for rung in rungs
        ]


def kind_of(config: PretrainConfig) -> Hashable:
    """Return what decides the cost of a step: arms of one kind take the same time.

    Fractions (learning rate, temperature, dropout), the seed, the budget and which image of a study is drawn cost nothing;
    everything else is taken to matter.
    """
    free = {"seed", "budget_pairs", "validations"}
    if config.data.sampling.images != "pooled":
        free.add("data.sampling.images")
    return tuple(
        (name, str(value)) for name, value in flatten(config).items() if name not in free and not isinstance(value, float)
    )


class Draws:
    """Arms that a sweep may come to: those that its design knows, then random ones where it will search.

    Attributes:
        arms: of each of several such sweeps.
    """

    def __init__(self, sweep: Sweep, replays: int = REPLAYS, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        known = sweep.design.first_arms(sweep.space, sweep.seed)
        self.sweep = sweep
        self.arms: list[list[Labels]] = []
        for _ in range(replays):
            searched = (sweep.space.draw(rng) for _ in range(sweep.trials - len(known)))
            self.arms.append([*known, *(labels for labels in searched if labels is not None)])
        self._configs: dict[Hashable, PretrainConfig] = {}

    def config(self, labels: Labels) -> PretrainConfig:
        """Return the configuration of an arm, but for its seed and its numbers from a `Range`, which cost nothing."""
        chosen = tuple((name, label) for name, label in labels.items() if isinstance(label, str))
        if chosen not in self._configs:
            self._configs[chosen] = self.sweep.config(labels)
        return self._configs[chosen]

    def kinds(self) -> dict[Hashable, PretrainConfig]:
        """Return a configuration of every kind of arm."""
        configs = (self.config(labels) for arms in self.arms for labels in arms)
        return {kind_of(config): config for config in configs}


# 2. From there to the bill.


@dataclass(frozen=True)
class Quote:
    """What a sweep will cost, each figure with the interval that chance leaves it.

    Attributes:
        device: what is counted in hours, GPU or CPU.
        device_hours: that trials hold, start-up included.
        wall_hours: from the command to the end of the last trial.
        finished: trials that see their whole budget; the others are stopped at a rung.
    """

    device: str
    device_hours: Interval
    wall_hours: Interval
    finished: Interval

    def money(self, price: float) -> Interval:
        """Return the price of the sweep, from that of one device for one hour."""
        return self.device_hours.times(price)

    def kwh(self, watts: float) -> Interval:
        """Return the energy of the sweep, from the watts that one device draws, with its share of the machine."""
        return self.device_hours.times(watts / 1000)


def quote(
    draws: Draws,
    measured: Mapping[Hashable, Measured],
    concurrent: int,
    devices: float,
    device: str = "GPU",
    setup_s: float = 0.0,
    seed: int = 0,
) -> Quote:
    """Return what the sweep of ``draws`` will cost; nothing is run.

    Runs at further seeds are counted as whole budgets after the last trial of the design.

    Args:
        measured: cost of each of the sweep's kinds of arms.
        concurrent: trials that run at a time.
        devices: that one trial holds.
        setup_s: from the command to the first trial's start.
    """
    sweep, rng = draws.sweep, np.random.default_rng(seed)
    figures = []
    for arms in draws.arms:
        costs = {kind: one.drawn(rng) for kind, one in measured.items()}

        def plan(labels: Labels, costs: Mapping[Hashable, Measured] = costs) -> Plan:
            config = draws.config(labels)
            reached_s = costs[kind_of(config)].reached_s(config, [*sweep.rung_pairs[:-1], config.budget_pairs])
            # Nobody knows the scores yet: half is the arm's own, half is chance, at every rung anew.
            own = rng.normal(size=len(sweep.goals))
            scores = own + rng.normal(size=(len(reached_s), len(own)))
            told = [dict(zip(sweep.goals, row, strict=True)) for row in scores.tolist()]
            spent = [{"gpu_s": devices * after_s} for after_s in reached_s]
            reports = [one | two for one, two in zip(told, spent, strict=True)]
            return Plan(labels, reached_s, reports, restart=costs[kind_of(config)].startup_s)

        trials = play([plan(labels) for labels in arms], sweep.rung_pairs, Unwritten(**sweep.halving), concurrent)
        finished = [(trial.plan.labels, trial.plan.reports[-1]) for trial in trials if trial.finished]
        further = [plan(labels) for labels in sweep.replicates(finished)]
        replicates = play(further, sweep.rung_pairs, None, concurrent)
        held_s = devices * sum(trial.spent() for trial in [*trials, *replicates])
        wall_s = setup_s + sum(max((trial.end for trial in part), default=0.0) for part in (trials, replicates))
        figures.append((held_s / 3600, wall_s / 3600, len(finished)))
    return Quote(device, *(Interval.of(column, float(column.mean())) for column in np.array(figures, float).T))


# 3. What is measured.


def quote_sweep(sweep: Sweep, pairs: Path | str, scratch: Path | None = None) -> Quote:
    """Calibrate on a pairs folder and return what ``sweep`` will cost on this cluster; Ray must have been started.

    Args:
        scratch: folder that all nodes share, for what a calibration writes; default this machine's own.

    Raises:
        UserError: what would keep the sweep from running, or nodes that share no folder.
    """
    start = time.perf_counter()
    check_sweep(sweep, pairs)
    if scratch is None and sum(node["Alive"] for node in ray.nodes()) > 1:
        raise UserError("trials on several machines write to a folder that all of them share: name one with --scratch")
    concurrent = concurrency(sweep.resources)
    tokenizers = sorted({config.text.tokenizer for config in sweep.arms()})
    train, val = (load_corpus(pairs, split, tokenizers) for split in ("train", "val"))
    setup_s = time.perf_counter() - start
    draws = Draws(sweep)
    with tempfile.TemporaryDirectory(prefix="radsweep-quote-", dir=scratch) as folder:
        measured = calibrate(draws.kinds(), train, val, sweep.resources, concurrent, folder)
    device, devices = devices_of(sweep.resources)
    return quote(draws, measured, concurrent, devices, device, setup_s)


def calibrate(
    kinds: Mapping[Hashable, PretrainConfig], train: Corpus, val: Corpus, resources: Resources, concurrent: int, place: str
) -> dict[Hashable, Measured]:
    """Return the measured cost of every kind of arm; Ray must have been started.

    As many run at a time as in the sweep, also where there are fewer kinds than that: trials slow each other down.

    Args:
        place: where the calibrations put their checkpoints, a path or fsspec URL.
    """
    jobs = itertools.islice(itertools.cycle(kinds.items()), max(len(kinds), concurrent))
    with ThreadPoolExecutor(concurrent) as pool:
        started = {
            (number, kind): pool.submit(_in_process, config, train, val, resources, f"{place}/{number}")
            for number, (kind, config) in enumerate(jobs)
        }
        return {kind: job.result() for (_, kind), job in started.items()}


def _in_process(*given: Any) -> Measured:
    """Measure in a process of its own, as a trial has one."""
    process: Any = ray.remote(num_cpus=0.01)(_Calibration).remote()
    return ray.get(process.measure.remote(*given))


class _Calibration:
    def measure(self, *given: Any) -> Measured:
        return _measure(*given)


def _measure(config: PretrainConfig, train: Corpus, val: Corpus, resources: Resources, place: str) -> Measured:
    """Run the first steps of ``config`` as a Train run; every block of steps ends at a rung."""
    order = Order(train.num_images, config.data.sampling, config.seed, config.objective.needs.image_views)
    most = BLOCKS * BLOCK_STEPS * config.batch_size * config.data.sampling.most_images * config.objective.needs.image_views
    seen = [pairs for _, pairs in itertools.islice(order.batches(config.batch_size, most), BLOCKS * BLOCK_STEPS)]
    rungs = seen[BLOCK_STEPS - 1 :: BLOCK_STEPS]
    short = config.model_copy(update={"budget_pairs": seen[-1], "validations": 1})

    def run() -> list[tuple[float, float]]:
        told = []

        def goes_on(_: int, metrics: Mapping[str, float]) -> bool:
            told.append((time.perf_counter(), metrics["pairs_per_s"]))
            return True

        # Nobody is asked at the last rung: one is put behind the end.
        pretrain(Trial(short, train, val, (*rungs, seen[-1] + 1), goes_on, Path(place) / "features"))
        return told

    gpus = gpus_per_worker(resources)
    start = time.perf_counter()
    result = TrialTrainer(
        run,
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": resources.cpus_per_worker} | ({"GPU": gpus} if gpus else {}),
        ),
        run_config=RunConfig(
            name=f"calibration {uuid.uuid4().hex}", **storage(place), checkpoint_config=CheckpointConfig(num_to_keep=1)
        ),
    ).fit()
    wall_s = time.perf_counter() - start
    told_s, pairs_per_s = np.array(result.return_value).T
    return measured_of(told_s, pairs_per_s, np.diff(rungs, prepend=0), wall_s)


def measured_of(told_s: np.ndarray, pairs_per_s: np.ndarray, pairs: np.ndarray, wall_s: float) -> Measured:
    """Return what a calibration says; the first block counts as start-up where it is slower than the others.

    Args:
        told_s: when each block of steps and the validation after it were over, on any clock.
        pairs_per_s: of each block, without its validation.
        pairs: of each block.
        wall_s: of the whole run.
    """
    block_s = pairs / pairs_per_s
    steady_s = block_s[1:]
    validation_s = float(np.mean(np.diff(told_s) - steady_s))
    startup_s = wall_s - len(pairs) * (steady_s.mean() + validation_s)
    return Measured(tuple((steady_s / BLOCK_STEPS).tolist()), float(pairs.mean() / BLOCK_STEPS), validation_s, float(startup_s))
