"""Searchers: what is proposed, what Optuna is told, and the same after a restart."""

import math
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from radsweep.sweeps.axes import Choice, Range
from radsweep.sweeps.design import Factorial, OneAtATime, Search
from radsweep.sweeps.search import Conductor, Listed, Proposals, Searching, build_search
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


def finish(search: Proposals, labels: dict, score: float, stopped: bool = False, pairs: int = 6_000, **more: float) -> None:
    search.learn(labels, {"val/auroc": score, "stopped": stopped, "pairs_seen": pairs} | more)


def next_of(search: Proposals) -> dict[str, Any]:
    """The next proposal, of which there must be one."""
    labels = search.propose()
    assert labels is not None
    return labels


def run(search: Proposals, count: int) -> list[dict[str, Any]]:
    """Run trials one after the other, each scored by its planted goodness."""
    proposed = []
    for _ in range(count):
        proposed.append(next_of(search))
        finish(search, proposed[-1], goodness(proposed[-1]))
    return proposed


@pytest.mark.parametrize("design", [Factorial(), OneAtATime()])
def test_lists_of_arms_are_proposed_in_their_order_and_end(design: Factorial | OneAtATime) -> None:
    """Every arm once, then the end; resumed, the same list again."""
    sweep = replace(DEMO, axes=SIX, design=design)
    expected = design.first_arms(sweep.space, 0)
    for recorded in ((), expected[:2]):
        search = build_search(sweep, recorded)
        assert [search.propose() for _ in expected] == expected
        assert search.propose() is None


def test_a_sweep_without_axes_is_one_trial_of_its_base() -> None:
    """Fix every axis and there is one arm left: the one without labels."""
    sweep = replace(DEMO, axes={})
    search = build_search(sweep)
    assert (sweep.trials, search.propose(), search.propose()) == (1, {}, None)


def test_runs_at_further_seeds_are_listed_like_arms() -> None:
    """A list of replicates is proposed as it is."""
    runs = [{"text": "tiny-fr", "seed": 1}, {"text": "tiny-en", "seed": 1}]
    search = Listed(runs)
    assert [search.propose(), search.propose(), search.propose()] == [*runs, None]


def test_the_search_of_the_demo_is_a_balanced_start_and_then_tpe() -> None:
    """Twelve trials, eight of them the balanced start; the four after it go for what scored best."""
    search = build_search(DEMO)
    proposed = run(search, 12)
    start = DEMO.design.first_arms(DEMO.space, DEMO.seed)
    assert (DEMO.trials, len(start)) == (12, 8)
    assert proposed[:8] == start
    assert all(labels["image.resolution"] == "128" for labels in proposed[8:])
    assert search.propose() is None


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
@pytest.mark.parametrize("interrupted", [3, 10])
def test_a_resumed_search_proposes_what_it_would_have(sampler: str, interrupted: int) -> None:
    """Interrupted in the balanced start or after it, the search repeats its arms and goes on as if never interrupted."""
    sweep = replace(DEMO, design=Search(trials=13, sampler=sampler))
    whole = run(build_search(sweep), 13)
    assert run(build_search(sweep, whole[:interrupted]), 13) == whole


def test_an_extended_search_goes_on_from_what_was_tried() -> None:
    """More trials than at first: the old arms again, then new ones."""
    old = run(build_search(DEMO), 12)
    proposed = run(build_search(DEMO.set("trials", "16"), old), 16)
    assert proposed[:12] == old
    assert len({tuple(arm.values()) for arm in proposed}) == 16


def test_a_stopped_trial_is_told_as_stopped_at_its_rung() -> None:
    """Its score is an intermediate value there and no result: the best trial is one that saw the whole budget."""
    search = build_search(DEMO)
    assert isinstance(search, Searching)
    arms = [next_of(search) for _ in range(4)]
    finish(search, arms[0], 0.6)
    finish(search, arms[1], 0.9, stopped=True, pairs=4_500)
    search.learn(arms[2], None)
    finish(search, arms[3], math.nan)
    whole, stopped, failed, undefined = search.study().trials
    assert (whole.state, whole.values) == (TrialState.COMPLETE, [0.6])
    assert (stopped.state, stopped.intermediate_values) == (TrialState.PRUNED, {4_500: 0.9})
    assert (failed.state, undefined.state) == (TrialState.FAIL, TrialState.FAIL)
    assert search.study().best_trial.number == whole.number
    finish(search, arms[1], 0.8)  # it has gone on to its end
    assert search.study().best_trial.values == [0.8]


class Rungs:
    """A rung-keeper that promotes what it is told to."""

    def __init__(self) -> None:
        self.open = True
        self.promotable: list[str] = []
        self.at_the_end: list[str] = []

    def promote(self, closing: bool) -> str | None:
        waiting = self.promotable or (self.at_the_end if closing else [])
        return waiting.pop(0) if waiting else None


def conducted(rungs: Rungs, runs: list[dict], recorded: int = 0) -> Conductor:
    return Conductor(Listed(runs), lambda labels: labels["n"], recorded, lambda: rungs.open, rungs.promote)


A, B, C = ({"n": name} for name in "abc")


def test_who_may_go_on_runs_before_anything_new() -> None:
    """Promoted trials first, then new ones; at the end those that are left; and while others run, nothing is decided."""
    rungs = Rungs()
    conductor = conducted(rungs, [A, B])
    assert [conductor.suggest("1"), conductor.suggest("2")] == [A, B]
    assert conductor.suggest("3") is None
    conductor.on_trial_complete("1", {"stopped": True})
    assert conductor.suggest("3") is None
    rungs.promotable = ["a"]
    assert conductor.suggest("3") == A
    conductor.on_trial_complete("2", {"stopped": True})
    conductor.on_trial_complete("3", {"stopped": False})
    rungs.at_the_end = ["b"]
    assert conductor.suggest("4") == B
    conductor.on_trial_complete("4", error=True)
    assert conductor.suggest("5") == Searcher.FINISHED


def test_a_resumed_sweep_tells_what_was_begun_first() -> None:
    """Recorded runs come before promotions, and also when the purse is empty."""
    rungs = Rungs()
    rungs.promotable, rungs.open = ["a"], False
    conductor = conducted(rungs, [A, B, C], recorded=2)
    assert [conductor.suggest("1"), conductor.suggest("2"), conductor.suggest("3")] == [A, B, Searcher.FINISHED]
    assert conductor.cut_short
    rungs.open = True
    resumed = conducted(rungs, [A, B, C], recorded=2)
    assert [resumed.suggest(place) for place in "1234"] == [A, B, A, C]


def test_a_sweep_that_ends_with_its_last_trial_was_not_cut_short() -> None:
    """The purse may be empty by then: nothing was left to run."""
    rungs = Rungs()
    conductor = conducted(rungs, [A])
    assert conductor.suggest("1") == A
    conductor.on_trial_complete("1", {"stopped": False})
    rungs.open = False
    assert conductor.suggest("2") == Searcher.FINISHED
    assert not conductor.cut_short


def test_rung_scores_do_not_lead_the_search_astray() -> None:
    """Coarse arms score 0.9 where they are stopped and fine ones 0.6 at the end: the search follows those that got there.

    Told as if they had finished, the coarse arms lead it the other way.
    """
    fine = {}
    for stopped in (True, False):
        search = build_search(replace(DEMO, design=Search(trials=24)))
        proposed = []
        for _ in range(24):
            labels = next_of(search)
            proposed.append(labels["image.resolution"])
            coarse = proposed[-1] == "64"
            finish(search, labels, 0.9 if coarse else 0.6, stopped=coarse and stopped)
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
    proposed = run(build_search(sweep), 12)
    assert all(map(allowed, proposed))
    assert len({tuple(arm.values()) for arm in proposed}) == 12


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_a_search_over_few_arms_tries_each_once(sampler: str) -> None:
    """Six arms are six trials whatever was asked for, and none comes twice."""
    sweep = replace(DEMO, axes=SIX, design=Search(trials=50, sampler=sampler))
    search = build_search(sweep)
    proposed = []
    for i in range(sweep.trials):
        proposed.append(next_of(search))
        finish(search, proposed[-1], float(i))
    assert len({tuple(sorted(arm.items())) for arm in proposed}) == 6
    assert search.propose() is None


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_conditional_axes_are_proposed_only_where_they_exist(sampler: str) -> None:
    """A bias under SigLIP alone, a temperature under CLIP alone, in the start and in what the sampler proposes."""
    sweep = conditional(Search(trials=16, sampler=sampler))
    search = build_search(sweep)
    for _ in range(16):
        labels = next_of(search)
        assert ("objective.logit_bias" in labels) == (labels["objective"] == "siglip")
        assert ("objective.temperature" in labels) == (labels["objective"] == "clip")
        sweep.config(labels)
        finish(search, labels, labels.get("objective.logit_bias", 0.0))


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
    search = build_search(sweep)
    assert isinstance(search, Searching)
    for i in range(15):
        labels = next_of(search)
        cost = 100.0 + 50.0 * (labels["image.resolution"] == "128")
        finish(search, labels, goodness(labels), stopped=i == 3, gpu_s=cost)
    assert [direction.name for direction in search.study().directions] == ["MAXIMIZE", "MINIMIZE"]
    assert search.study().trials[3].state == TrialState.PRUNED
    costs = {trial.values[1] for trial in search.study().best_trials}
    assert costs == {100.0, 150.0}
