"""Searchers: what is proposed, what Optuna is told, and the same after a restart."""

import math
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from radsweep.sweeps.axes import Choice, Range
from radsweep.sweeps.design import Factorial, OneAtATime, Search
from radsweep.sweeps.search import Listed, Searching, build_search
from radsweep.sweeps.sweep import Sweep, load_question
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.siglip import SigLip

DEMO = load_question("demo")
RESOLUTION, TEMPERATURE = DEMO.axes["image.resolution"], DEMO.axes["objective.temperature"]
SIX = {
    "image.resolution": RESOLUTION,
    "objective.temperature": Choice("temperature", {"low": 0.05, "middle": 0.1, "high": 0.2}),
}


def goodness(labels: dict[str, Any]) -> float:
    """Planted: the finer image helps, and so does a temperature near 0.1."""
    return 0.2 * (labels["image.resolution"] == "128") - 0.1 * abs(math.log(labels["objective.temperature"] / 0.1))


def finish(searcher: Searcher, trial: str, score: float, stopped: bool = False, pairs: int = 6_000, **more: float) -> None:
    searcher.on_trial_complete(trial, {"val/auroc": score, "stopped": stopped, "pairs_seen": pairs, "done": True} | more)


def run(searcher: Searcher, first: int, last: int) -> list[dict[str, Any]]:
    """Run trials one after the other, each scored by its planted goodness."""
    proposed = []
    for i in range(first, last):
        labels = searcher.suggest(f"t{i}")
        proposed.append(labels)
        finish(searcher, f"t{i}", goodness(labels))
    return proposed


@pytest.mark.parametrize("design", [Factorial(), OneAtATime()])
def test_lists_of_arms_are_proposed_in_their_order_and_end(design: Factorial | OneAtATime) -> None:
    """Every arm once, then the end; resumed, the same list again."""
    sweep = replace(DEMO, axes=SIX, design=design)
    expected = design.first_arms(sweep.space, 0)
    for recorded in ((), expected[:2]):
        searcher = build_search(sweep, recorded)
        assert [searcher.suggest(f"t{i}") for i in range(len(expected))] == expected
        assert searcher.suggest("over") == Searcher.FINISHED


def test_a_sweep_without_axes_is_one_trial_of_its_base() -> None:
    """Fix every axis and there is one arm left: the one without labels."""
    sweep = replace(DEMO, axes={})
    searcher = build_search(sweep)
    assert (sweep.trials, searcher.suggest("t0"), searcher.suggest("t1")) == (1, {}, Searcher.FINISHED)


def test_runs_at_further_seeds_are_listed_like_arms() -> None:
    """A list of replicates is proposed as it is."""
    runs = [{"text": "tiny-fr", "seed": 1}, {"text": "tiny-en", "seed": 1}]
    searcher = Listed(runs)
    assert [searcher.suggest("a"), searcher.suggest("b"), searcher.suggest("c")] == [*runs, Searcher.FINISHED]


def test_the_search_of_the_demo_is_a_balanced_start_and_then_tpe() -> None:
    """Twelve trials, eight of them the balanced start; the four after it go for what scored best."""
    searcher = build_search(DEMO)
    proposed = run(searcher, 0, 12)
    start = DEMO.design.first_arms(DEMO.space, DEMO.seed)
    assert (DEMO.trials, len(start)) == (12, 8)
    assert proposed[:8] == start
    assert all(labels["image.resolution"] == "128" for labels in proposed[8:])
    assert searcher.suggest("more") == Searcher.FINISHED


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
@pytest.mark.parametrize("interrupted", [3, 10])
def test_a_resumed_search_proposes_what_it_would_have(sampler: str, interrupted: int) -> None:
    """Interrupted in the balanced start or after it, the search repeats its arms and goes on as if never interrupted."""
    sweep = replace(DEMO, design=Search(trials=13, sampler=sampler))
    whole = run(build_search(sweep), 0, 13)
    assert run(build_search(sweep, whole[:interrupted]), 0, 13) == whole


def test_an_extended_search_goes_on_from_what_was_tried() -> None:
    """More trials than at first: the old arms again, then new ones."""
    old = run(build_search(DEMO), 0, 12)
    proposed = run(build_search(DEMO.set("trials", "16"), old), 0, 16)
    assert proposed[:12] == old
    assert len({tuple(arm.values()) for arm in proposed}) == 16


def test_a_stopped_trial_is_told_as_stopped_at_its_rung() -> None:
    """Its score is an intermediate value there and no result: the best trial is one that saw the whole budget."""
    searcher = build_search(DEMO)
    assert isinstance(searcher, Searching)
    searcher.suggest("whole")
    searcher.suggest("stopped")
    searcher.suggest("failed")
    searcher.suggest("undefined")
    finish(searcher, "whole", 0.6)
    finish(searcher, "stopped", 0.9, stopped=True, pairs=4_500)
    searcher.on_trial_complete("failed", error=True)
    finish(searcher, "undefined", math.nan)
    whole, stopped, failed, undefined = searcher.study.trials[:4]
    assert (whole.state, whole.values) == (TrialState.COMPLETE, [0.6])
    assert (stopped.state, stopped.intermediate_values) == (TrialState.PRUNED, {4_500: 0.9})
    assert (failed.state, undefined.state) == (TrialState.FAIL, TrialState.FAIL)
    assert searcher.study.best_trial.number == whole.number


def test_rung_scores_do_not_lead_the_search_astray() -> None:
    """Coarse arms score 0.9 where they are stopped and fine ones 0.6 at the end: the search follows those that got there.

    Told as if they had finished, the coarse arms lead it the other way.
    """
    fine = {}
    for stopped in (True, False):
        searcher = build_search(replace(DEMO, design=Search(trials=24)))
        proposed = []
        for i in range(24):
            proposed.append(searcher.suggest(f"t{i}")["image.resolution"])
            coarse = proposed[-1] == "64"
            finish(searcher, f"t{i}", 0.9 if coarse else 0.6, stopped=coarse and stopped)
        fine[stopped] = proposed[16:].count("128")
    assert fine[True] >= 6
    assert fine[False] <= 2


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_no_sampler_proposes_what_a_constraint_forbids(sampler: str) -> None:
    """The planted best is forbidden: it is approached and never proposed."""

    def allowed(labels: dict[str, Any]) -> bool:
        return not (labels["image.resolution"] == "128" and 0.08 < labels["objective.temperature"] < 0.12)

    sweep = replace(
        DEMO,
        axes={"image.resolution": RESOLUTION, "objective.temperature": TEMPERATURE},
        design=Search(trials=12, sampler=sampler),
        constraints=(allowed,),
    )
    proposed = run(build_search(sweep), 0, 12)
    assert all(map(allowed, proposed))
    assert len({tuple(arm.values()) for arm in proposed}) == 12


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_a_search_over_few_arms_tries_each_once(sampler: str) -> None:
    """Six arms are six trials whatever was asked for, and none comes twice."""
    sweep = replace(DEMO, axes=SIX, design=Search(trials=50, sampler=sampler))
    searcher = build_search(sweep)
    proposed = []
    for i in range(sweep.trials):
        proposed.append(searcher.suggest(f"t{i}"))
        finish(searcher, f"t{i}", float(i))
    assert len({tuple(sorted(arm.items())) for arm in proposed}) == 6
    assert searcher.suggest("more") == Searcher.FINISHED


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_conditional_axes_are_proposed_only_where_they_exist(sampler: str) -> None:
    """A bias under SigLIP alone, a temperature under CLIP alone, in the start and in what the sampler proposes."""
    sweep = conditional(Search(trials=16, sampler=sampler))
    searcher = build_search(sweep)
    for i in range(16):
        labels = searcher.suggest(f"t{i}")
        assert ("objective.logit_bias" in labels) == (labels["objective"] == "siglip")
        assert ("objective.temperature" in labels) == (labels["objective"] == "clip")
        sweep.config(labels)
        finish(searcher, f"t{i}", labels.get("objective.logit_bias", 0.0))


def conditional(design: Search) -> Sweep:
    return replace(
        DEMO,
        axes={
            "objective": Choice("objective", {"clip": Clip(), "siglip": SigLip()}),
            "objective.temperature": Range("temperature", 0.03, 0.3, log=True, when={"objective": "clip"}),
            "objective.logit_bias": Range("bias", -10.0, -1.0, when={"objective": "siglip"}),
        },
        design=design,
    )


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_several_metrics_are_searched_for_compromises(sampler: str) -> None:
    """Quality and cost both reach Optuna with their directions; a stopped trial counts for neither."""
    sweep = replace(DEMO, tradeoffs={"gpu_s": "min"}, design=Search(trials=15, sampler=sampler))
    searcher = build_search(sweep)
    assert isinstance(searcher, Searching)
    for i in range(15):
        labels = searcher.suggest(f"t{i}")
        cost = 100.0 + 50.0 * (labels["image.resolution"] == "128")
        finish(searcher, f"t{i}", goodness(labels), stopped=i == 3, gpu_s=cost)
    assert [direction.name for direction in searcher.study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert searcher.study.trials[3].state == TrialState.PRUNED
    costs = {trial.values[1] for trial in searcher.study.best_trials}
    assert costs == {100.0, 150.0}
