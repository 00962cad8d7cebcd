"""Quotes against sweeps worked by hand, the time of a planted calibration, and a cap that no sweep passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radsweep.datasets.pairs import load_corpus
from radsweep.datasets.refusal import UserError
from radsweep.sweeps.design import Factorial, Search
from radsweep.sweeps.quote import (
    BLOCK_STEPS,
    BLOCKS,
    Draws,
    Measured,
    Quote,
    calibrate,
    kind_of,
    measured_of,
    quote,
    quote_sweep,
)
from radsweep.sweeps.schedule import Asha, FullBudget, Schedule
from radsweep.sweeps.simulate import Interval
from radsweep.sweeps.sweep import Choice, Range, Resources, Sweep, load_question
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import TinyText

BASE = PretrainConfig(
    image=TinyImage(width=8, resolution=32),
    text=TinyText(width=16, depth=1),
    batch_size=10,
    image_chunk_size=10,
    text_chunk_size=10,
    budget_pairs=1000,
    validations=4,
)
MEASURED = Measured(step_s=(2.0, 2.0), step_pairs=10, validation_s=5, startup_s=30)
WHOLE_S = 30 + 100 * 2 + 4 * 5


def question(schedule: Schedule, trials: int = 12, **changes) -> Sweep:
    fields = {
        "name": "q",
        "hypothesis": "h",
        "base": BASE,
        "axes": {"optim.lr": Range("rate", 1e-4, 1e-2, log=True)},
        "metric": "val/auroc",
        "design": Search(trials=trials),
        "schedule": schedule,
    }
    return Sweep(**(fields | changes))


def quoted(sweep: Sweep, concurrent: int = 1, devices: float = 1, replays: int = 20, measured: Measured = MEASURED) -> Quote:
    draws = Draws(sweep, replays)
    return quote(draws, dict.fromkeys(draws.kinds(), measured), concurrent, devices)


def test_a_trial_is_start_up_steps_and_validations() -> None:
    """Worked by hand: rungs at 300 and 1000 of 1000 pairs, validations at every quarter and at the rungs, each once."""
    assert MEASURED.reached_s(BASE, [300, 1000]) == [30 + 30 * 2 + 2 * 5, 30 + 100 * 2 + 5 * 5]


def test_without_stops_a_sweep_is_so_many_whole_trials() -> None:
    """Twelve trials, five at a time, two devices each: device-hours and three rounds of wall time, without any chance."""
    told = quoted(question(FullBudget()), concurrent=5, devices=2)
    hours, wall = 12 * 2 * WHOLE_S / 3600, 3 * WHOLE_S / 3600
    assert (told.device_hours.low, told.device_hours.middle, told.device_hours.high) == pytest.approx((hours, hours, hours))
    assert told.wall_hours.middle == pytest.approx(wall)
    assert told.finished.middle == 12


def test_money_and_energy_follow_device_hours() -> None:
    """At 2.5 an hour and 700 W ten device-hours are 25 and 7 kWh, bounds alike."""
    told = Quote("GPU", Interval(8, 10, 12), Interval(1, 1, 1), Interval(3, 3, 3))
    assert told.money(2.5) == Interval(20, 25, 30)
    assert told.kwh(700) == Interval(pytest.approx(5.6), pytest.approx(7), pytest.approx(8.4))


def test_as_many_trials_go_on_as_chance_says() -> None:
    """One after the other, trials of random scores: how many go on, and how many of them after a wait, by a transcription."""
    rng = np.random.default_rng(1)
    gone_on, waited = [], []
    for _ in range(4000):
        scores, gone, waits = rng.normal(size=12).tolist(), set(), 0
        for place in range(1, 13):
            best = sorted(scores[:place], reverse=True)[: place // 2]
            waits += len(set(best) - gone - {scores[place - 1]})
            gone |= set(best)
        gone_on.append(len(gone))
        waited.append(waits)
    told = quoted(question(Asha(rungs=(0.25, 1.0), reduction=2)), replays=600)
    whole = float(np.mean(gone_on))
    assert told.finished.middle == pytest.approx(whole, rel=0.03)
    assert told.finished.low < whole < told.finished.high
    seconds = 12 * (30 + 25 * 2 + 5) + whole * (75 * 2 + 3 * 5) + float(np.mean(waited)) * 30
    assert told.device_hours.middle == pytest.approx(seconds / 3600, rel=0.03)


def test_steps_of_uneven_length_widen_the_interval() -> None:
    """The same mean step with a spread gives the same middle and a true interval."""
    told = quoted(question(FullBudget()), measured=replace(MEASURED, step_s=(1.0, 2.0, 3.0, 2.0)), replays=400)
    hours = 12 * WHOLE_S / 3600
    assert told.device_hours.middle == pytest.approx(hours, rel=0.03)
    assert told.device_hours.low < 0.9 * hours < 1.1 * hours < told.device_hours.high


def test_further_seeds_of_finalists_are_counted() -> None:
    """Two finalists at two further seeds are four whole trials more, after the others."""
    told = quoted(question(FullBudget(), trials=4, seeds=(0, 1, 2), finalists=2), concurrent=2)
    assert told.device_hours.middle == pytest.approx(8 * WHOLE_S / 3600)
    assert told.wall_hours.middle == pytest.approx(4 * WHOLE_S / 3600)


def test_rungs_in_gpu_seconds_are_quoted() -> None:
    """Trials are compared after 100 GPU-seconds, at their next validation, the second of four; one of twelve goes on."""
    sweep = question(Asha(rungs=(100.0,), reduction=12, clock="gpu_s"))
    told = quoted(sweep, replays=400)
    assert told.finished.low == told.finished.middle == 1
    seconds = 12 * (30 + 50 * 2 + 2 * 5) + (50 * 2 + 2 * 5) + 30 * 11 / 12  # unless it came last, it has waited
    assert told.device_hours.middle == pytest.approx(seconds / 3600, rel=0.003)


def test_arms_of_one_kind_cost_the_same() -> None:
    """The demo has four kinds: text encoders by resolutions; temperature and the choice of one image cost nothing."""
    demo = load_question("demo")
    assert len(Draws(demo).kinds()) == 4
    pooled = kind_of(BASE.model_copy(update={"data": BASE.data.model_copy(update={"sampling": demo.base.data.sampling})}))
    assert pooled == kind_of(BASE)
    assert kind_of(BASE.model_copy(update={"image_chunk_size": 5})) != kind_of(BASE)


def test_every_kind_has_its_own_cost() -> None:
    """A full factorial of two resolutions and three rates: three arms at each resolution's own cost."""
    axes = {
        "image.resolution": Choice("resolution", {"32": 32, "64": 64}),
        "optim.lr": Choice("rate", {str(rate): rate for rate in (0.1, 0.2, 0.3)}),
    }
    draws = Draws(question(FullBudget(), axes=axes, design=Factorial()), replays=2)
    measured = {
        kind: MEASURED if config.image.resolution == 32 else replace(MEASURED, step_s=(6.0,))
        for kind, config in draws.kinds().items()
    }
    assert len(measured) == 2
    assert quote(draws, measured, 1, 1).device_hours.middle == pytest.approx((6 * WHOLE_S + 3 * 100 * 4) / 3600)


def test_a_calibration_is_told_apart() -> None:
    """Planted: 12 s of start, a first block 7 s slower, steps of 0.5 s, validations of 3 s, 2 s of checkpoints, 1 s of end."""
    ends, now, speeds = [], 12.0, []
    for block in range(BLOCKS):
        steps_s = BLOCK_STEPS * 0.5 + (7 if block == 0 else 0)
        now += steps_s + 3
        ends.append(now)
        now += 2
        speeds.append(BLOCK_STEPS * 10 / steps_s)
    told = measured_of(np.array(ends), np.array(speeds), np.full(BLOCKS, BLOCK_STEPS * 10), now + 1)
    assert told.step_s == pytest.approx([0.5] * (BLOCKS - 1))
    assert (told.step_pairs, told.validation_s, told.startup_s) == pytest.approx((10, 5, 12 + 7 + 1))


def test_a_calibration_runs_the_real_loop(cluster: None, pairs: Path, tmp_path: Path) -> None:  # noqa: ARG001
    """One arm of a tiny model is measured in blocks of steps, with a validation, and with the start-up of a Train run."""
    train, val = (load_corpus(pairs, split, ["tiny-fr"]) for split in ("train", "val"))
    config = BASE.model_copy(update={"data": BASE.data.model_copy(update={"max_tokens": 64})})
    resources = Resources(gpus_per_worker=0)
    (told,) = calibrate({"only": config}, train, val, resources, 1, str(tmp_path)).values()
    assert len(told.step_s) == BLOCKS - 1
    assert told.step_pairs == 10
    assert 0 < max(told.step_s) < told.startup_s
    assert 0 < told.validation_s < told.startup_s


def test_machines_that_share_no_folder_are_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes and no --scratch: what a worker writes on one is looked for on the other."""
    monkeypatch.setattr("radsweep.sweeps.quote.check_sweep", lambda *_: None)
    monkeypatch.setattr("radsweep.sweeps.quote.concurrency", lambda *_: pytest.fail("it went on"))
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True}, {"Alive": False}, {"Alive": True}])
    with pytest.raises(UserError, match="share: name one with --scratch"):
        quote_sweep(question(FullBudget()), "pairs")
