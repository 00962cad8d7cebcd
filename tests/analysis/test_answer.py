"""What is answered, on sweeps made in memory whose truth is known."""

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from radsweep.analysis import answer as answers
from radsweep.analysis.answer import best_first, check_planted, comparison_rung, find_answer
from radsweep.analysis.runs import ABSENT, Axis, Curve, Status, SweepRun, Trial, read_sweep
from radsweep.analysis.statistics import detectable, holm, least_squares
from radsweep.analysis.words import interactions, point
from radsweep.datasets.refusal import UserError

ENCODER = Axis("text", "text encoder", ("fr", "en"))
RESOLUTION = Axis("image.resolution", "resolution", ("64", "128", "256"))
TEMPERATURE = Axis("objective.temperature", "temperature", low=0.01, high=1.0, log=True)


@pytest.fixture
def no_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of importance take nine tenths of an answer's time: simulations do without."""
    monkeypatch.setattr(answers, "SHARE_REPEATS", 1)


def make_trial(labels: dict, scores: dict[int, float], status: Status = "finished", **findings: float) -> Trial:
    """A trial with ``scores`` by pairs seen, and each finding constant over them."""
    pairs = np.array(list(scores), int)
    curves = {"val/auroc": Curve(pairs, np.array(list(scores.values())))} if scores else {}
    if scores:
        curves |= {f"val/auroc/{name}": Curve(pairs, np.full(len(pairs), value)) for name, value in findings.items()}
        curves["time_s"] = Curve(pairs, pairs / 10)
    latest = {name: float(curve.values[-1]) for name, curve in curves.items()}
    return Trial(1, "t1", labels, status, "0", {}, curves, latest)


def make_sweep(axes: tuple[Axis, ...], trials: list[Trial], direction: str = "max", ended: bool = True) -> SweepRun:
    assert direction in ("max", "min")
    return SweepRun(Path(), "q", "h", "val/auroc", direction, (100, 200, 400), axes, tuple(trials), ended, 1.0, {})


def test_planted_effects_are_measured_with_their_size(sweep_run: Path) -> None:
    """Two planted effects are shown with the size they were given, their share of the mean over seven findings too."""
    answer = find_answer(read_sweep(sweep_run))
    assert answer.rung == 3_000
    assert len(answer.compared) == 13
    grown = 1 - np.exp(-3_000 / 2_500)
    effects = {effect.axis.name: effect for effect in answer.effects}
    for name, size in (("image.resolution", 0.22), ("data.sampling.images", 0.2)):
        assert effects[name].shown
        assert effects[name].low < size * grown / 7 < effects[name].high
    assert not effects["text"].shown
    assert not effects["objective.temperature"].shown
    shown = {(cell.metric, cell.axis.name, cell.value > 0) for cell in answer.cells if cell.shown}
    hairline, effusion = "val/auroc/hairline_fracture", "val/auroc/effusion"
    assert shown == {(hairline, "image.resolution", True), (effusion, "data.sampling.images", True)}
    (cell,) = (c for c in answer.cells if c.metric == hairline and c.axis.name == "image.resolution")
    assert cell.value == pytest.approx(0.22 * grown, abs=0.02)
    costs = {cost.axis.name: cost for cost in answer.costs}
    assert costs["image.resolution"].low < 2.1 < costs["image.resolution"].high


def test_the_comparison_is_made_before_any_trial_was_stopped() -> None:
    """The first rung where some were stopped at it, the second where nobody was, the last where all went through."""
    arms = [{"text": "fr"}, {"text": "en"}]
    stopped = make_trial(arms[0], {100: 0.5}, "stopped")
    through = make_trial(arms[1], {100: 0.5, 200: 0.6, 400: 0.7})
    late = make_trial(arms[0], {100: 0.5, 200: 0.6}, "stopped")
    assert comparison_rung(make_sweep((ENCODER,), [stopped, through])) == 100
    assert comparison_rung(make_sweep((ENCODER,), [late, through])) == 200
    assert comparison_rung(make_sweep((ENCODER,), [through, through])) == 400


def test_what_a_spent_budget_stops_moves_no_comparison() -> None:
    """Neither between two rungs, nor before the first, nor at a further seed, where nobody is compared."""
    arms = [{"text": label} for label in ("fr", "en")]
    whole = [make_trial(arms[i % 2], {50: 0.4, 100: 0.5, 200: 0.6, 300: 0.65, 400: 0.7}) for i in range(20)]
    early = make_trial(arms[0], {50: 0.4}, "stopped")
    between = make_trial(arms[0], {50: 0.4, 100: 0.5, 200: 0.6, 300: 0.65}, "stopped")
    again = replace(make_trial(arms[0], {50: 0.4, 100: 0.5}, "stopped"), seed="1")
    assert comparison_rung(make_sweep((ENCODER,), [*whole, early])) == 400
    assert comparison_rung(make_sweep((ENCODER,), [*whole, between])) == 400
    assert comparison_rung(make_sweep((ENCODER,), [*whole, again])) == 400
    outdone = make_trial(arms[0], {50: 0.4, 120: 0.5}, "stopped")  # its first report at or after the rung of 100
    assert comparison_rung(make_sweep((ENCODER,), [*whole, outdone])) == 100


def test_a_running_sweep_is_compared_where_its_trials_are() -> None:
    """One finished trial does not pull the comparison to a rung that the others have not reached, and none is needed."""
    ahead = make_trial({"text": "fr"}, {100: 0.5, 200: 0.6, 400: 0.7})
    behind = make_trial({"text": "en"}, {100: 0.5, 200: 0.6}, "running")
    begun = make_trial({"text": "en"}, {50: 0.4}, "running")
    silent = make_trial({"text": "en"}, {}, "running")
    assert comparison_rung(make_sweep((ENCODER,), [ahead, behind, behind, silent], ended=False)) == 200
    assert comparison_rung(make_sweep((ENCODER,), [begun, silent], ended=False)) == 50


def test_what_no_trial_has_told_has_no_effect() -> None:
    """Neither a cost without times nor a finding that nobody scored at the rung stops the answer."""
    axes = (ENCODER, RESOLUTION)
    arms = [{"text": text, "image.resolution": px} for text in ("fr", "en") for px in ("64", "128", "256")]
    trials = [make_trial(arm, {400: 0.5 + 0.01 * place}, fracture=np.nan) for place, arm in enumerate(arms)]
    bare = [replace(one, curves={k: c for k, c in one.curves.items() if k != "time_s"}) for one in trials]
    answer = find_answer(make_sweep(axes, bare))
    assert answer.costs == ()
    assert {cell.untold for cell in answer.cells} == {"no trial has a value"}
    assert len(answer.effects) == 3


def test_arms_are_compared_within_a_seed() -> None:
    """Seeds a quarter of AUROC apart do not hide an effect of 0.02, nor lend it to the arm that met more of them."""
    rng = np.random.default_rng(0)

    def arm(label: str, seed: int) -> Trial:
        score = 0.3 + 0.25 * seed + 0.02 * (label == "en") + rng.normal(0, 0.002)
        return replace(make_trial({"text": label}, {400: score}), seed=str(seed))

    (effect,) = find_answer(make_sweep((ENCODER,), [arm(label, seed) for label in ("fr", "en") for seed in range(3)])).effects
    assert effect.shown
    assert effect.value == pytest.approx(0.02, abs=0.004)
    uneven = [arm("fr", 0), arm("fr", 0), arm("en", 0), arm("fr", 1), arm("en", 1), arm("en", 2), arm("en", 2)]
    (effect,) = find_answer(make_sweep((ENCODER,), uneven)).effects
    assert effect.value == pytest.approx(0.02, abs=0.005)
    (effect,) = find_answer(make_sweep((ENCODER,), [arm("fr", 0), arm("fr", 0), arm("en", 1), arm("en", 1)])).effects
    assert effect.untold == "it changed together with the seed in these trials"


def test_an_effect_that_other_patients_would_not_show_is_not_shown() -> None:
    """One group of patients makes all of the difference: shown over trials, not over patients; said where one lacks them."""
    rng = np.random.default_rng(31)
    groups = {"64": np.zeros(20), "128": np.array([0.1, *np.full(19, -0.1 / 19)])}
    trials = []
    for number in range(12):
        label = ("64", "128")[number % 2]
        score = 0.7 + 0.1 * (label == "128") + rng.normal(0, 0.01)
        told = {100: {"val/auroc": groups[label]}}
        trials.append(replace(make_trial({"image.resolution": label}, {100: score}), patients=told))
    resolution = Axis("image.resolution", "resolution", ("64", "128"))
    with_patients = find_answer(make_sweep((resolution,), trials))
    (effect,) = with_patients.effects
    assert with_patients.over_patients
    assert not effect.shown
    assert effect.low < 0 < effect.high
    without = find_answer(make_sweep((resolution,), [replace(trials[0], patients={}), *trials[1:]]))
    assert not without.over_patients
    assert without.effects[0].shown
    assert without.effects[0].value == pytest.approx(effect.value)


def test_a_difference_that_makes_none_in_practice_is_not_claimed() -> None:
    """Certain effects of 0.03 on the metric and a finding are shown, and with a margin of 0.05 no longer; one of 0.2 is."""
    rng = np.random.default_rng(32)
    resolution = Axis("image.resolution", "resolution", ("64", "128"))
    trials = []
    for number in range(12):
        label = ("64", "128")[number % 2]
        implant, fracture = np.array([0.7, 0.6]) + (label == "128") * np.array([0.03, 0.2]) + rng.normal(0, 0.005, 2)
        score = 0.7 + 0.03 * (label == "128") + rng.normal(0, 0.005)
        trials.append(make_trial({resolution.name: label}, {100: score}, implant=float(implant), fracture=float(fracture)))
    sweep = make_sweep((resolution,), trials)
    any_size, relevant = find_answer(sweep), find_answer(replace(sweep, margin=0.05))
    assert [cell.shown for cell in any_size.cells] == [True, True]
    assert {cell.metric: cell.shown for cell in relevant.cells} == {"val/auroc/fracture": True, "val/auroc/implant": False}
    assert [(cell.value, cell.low, cell.high) for cell in relevant.cells] == [
        (cell.value, cell.low, cell.high) for cell in any_size.cells
    ]
    sizes = [one.detectable - other.detectable for one, other in zip(relevant.cells, any_size.cells, strict=True)]
    assert sizes == pytest.approx([0.05, 0.05])
    assert [any_size.effects[0].shown, relevant.effects[0].shown] == [True, False]
    assert relevant.shares == any_size.shares


def test_an_interaction_is_a_difference_of_differences() -> None:
    """Of a full factorial with repeats: by hand from the means of its cells, shown where planted, and no main effect of it."""
    axes = (ENCODER, Axis("image.resolution", "resolution", ("64", "128")))
    rng = np.random.default_rng(1)
    cells = {
        (text, px): rng.normal(0, 0.01, 4) + 0.1 * ((text == "en") == (px == "128"))
        for text in ("fr", "en")
        for px in ("64", "128")
    }
    trials = [
        make_trial({"text": text, "image.resolution": px}, {400: 0.5 + score})
        for (text, px), own in cells.items()
        for score in own
    ]
    answer = find_answer(make_sweep(axes, trials))
    (one,) = answer.interactions
    mean = {cell: own.mean() for cell, own in cells.items()}
    by_hand = (mean["en", "128"] - mean["fr", "128"]) - (mean["en", "64"] - mean["fr", "64"])
    assert one.value == pytest.approx(by_hand)
    assert one.low < 0.2 < one.high
    assert one.shown
    assert (one.first[1:], one.second[1:]) == (("fr", "en"), ("64", "128"))
    assert not any(effect.shown for effect in answer.effects)
    few = find_answer(make_sweep(axes, trials[::4]))
    assert [np.isnan(one.p) for one in few.interactions] == [True]
    assert find_answer(make_sweep((ENCODER,), [make_trial({"text": "fr"}, {400: 0.5})])).interactions == ()


def test_interactions_are_told_with_all_their_sizes() -> None:
    """How small one could have been, the least and the largest, beyond what, and how many cannot be told."""
    rng = np.random.default_rng(0)
    arms = [{"text": text, "image.resolution": px} for text in ("fr", "en") for px in ("64", "128", "256")]
    trials = [make_trial(arm, {400: 0.5 + rng.normal(0, 0.01)}) for arm in arms for _ in range(2)]
    run = replace(make_sweep((ENCODER, RESOLUTION), trials), margin=0.05)
    answer = find_answer(run)
    low, high = sorted(one.detectable for one in answer.interactions)
    told = interactions(answer, run)
    assert told.startswith("No interaction beyond 0.05 could be shown; four of five such sweeps would show one of ")
    assert f"{low:.3f}" in told
    assert f"{high:.3f}" in told
    lacking = replace(
        answer, interactions=(answer.interactions[0], replace(answer.interactions[1], p=np.nan, detectable=np.nan))
    )
    assert interactions(lacking, run).endswith(" 1 of 2 cannot be told from these trials.")
    less = replace(answer.interactions[0], value=-0.2, low=-0.25, high=-0.15, p=0.001)
    told = interactions(replace(answer, interactions=(less,)), run)
    assert told.startswith("Shown: what going from fr to en (text encoder) adds to the metric is 0.200 lower at 128 than at 64")
    assert told.replace("\N{NO-BREAK SPACE}", " ").endswith("95 % interval +0.150 to +0.250.")


def test_the_front_is_what_no_trial_beats_in_both() -> None:
    """By brute force over whole trials, cheaper and better; GPU time counts where there is any, in the unit that suits it."""
    rng = np.random.default_rng(2)
    trials = [make_trial({"text": "fr"}, {400: float(score)}) for score in rng.random(12)]
    trials = [
        replace(one, latest=one.latest | {"gpu_s": float(s)}) for one, s in zip(trials, rng.integers(100, 900, 12), strict=True)
    ]
    trials.append(make_trial({"text": "en"}, {100: 0.99}, "stopped"))
    told = find_answer(make_sweep((ENCODER,), trials)).tradeoff
    assert told.trials == tuple(trials[:12])
    assert told.unit == "GPU-minutes"
    np.testing.assert_allclose(told.costs, [one.latest["gpu_s"] / 60 for one in trials[:12]])
    for place, on in enumerate(told.front):
        cheaper, better = told.costs <= told.costs[place], told.scores >= told.scores[place]
        strictly = (told.costs < told.costs[place]) | (told.scores > told.scores[place])
        assert on == (not (cheaper & better & strictly).any())
    assert 0 < told.covered < 1
    without = find_answer(make_sweep((ENCODER,), [make_trial({"text": "fr"}, {400: 0.5})])).tradeoff
    assert (without.unit, without.front.tolist()) == ("minutes", [True])
    assert np.isnan(without.covered)


def test_survivors_do_not_shape_the_effect() -> None:
    """Two arms that differ by nothing at the rung stay equal, whatever the trials that went on score later."""
    fr = [make_trial({"text": "fr"}, {100: 0.5, 400: 0.9}), make_trial({"text": "fr"}, {100: 0.4}, "stopped")]
    en = [make_trial({"text": "en"}, {100: 0.5, 400: 0.5}), make_trial({"text": "en"}, {100: 0.4}, "stopped")]
    (effect,) = find_answer(make_sweep((ENCODER,), [*fr, *en])).effects
    assert effect.value == pytest.approx(0)


def test_three_arms_and_a_logarithmic_range_are_recovered() -> None:
    """128 adds 0.1 and 256 adds 0.3 to 64; a hundredfold temperature takes 0.2, ten times takes half of that."""
    rng = np.random.default_rng(0)
    trials = []
    for resolution in ("64", "128", "256") * 4:
        temperature = float(10 ** rng.uniform(-2, 0))
        score = 0.5 + {"64": 0.0, "128": 0.1, "256": 0.3}[resolution] - 0.1 * np.log10(temperature / 0.01)
        labels = {"image.resolution": resolution, "objective.temperature": temperature}
        trials.append(make_trial(labels, {400: score + rng.normal(0, 1e-4)}))
    effects = find_answer(make_sweep((RESOLUTION, TEMPERATURE), trials)).effects
    assert [(e.reference, e.label) for e in effects] == [("64", "128"), ("64", "256"), ("0.01", "1")]
    np.testing.assert_allclose([e.value for e in effects], [0.1, 0.3, -0.2], atol=1e-3)
    assert all(e.shown for e in effects)


@pytest.mark.usefixtures("no_shares")
@pytest.mark.parametrize("trials", [12, 24])
def test_an_a_a_sweep_claims_nothing(trials: int) -> None:
    """200 sweeps of 3 axes and 4 findings without an effect: at most 5 % (and chance) claim one, an interaction or a cell."""
    rng = np.random.default_rng(1)
    claims = 0
    for _ in range(200):
        told = []
        for i in range(trials):
            labels = {"text": ("fr", "en")[i % 2], "image.resolution": ("64", "128", "256")[i // 2 % 3]}
            labels["objective.temperature"] = float(10 ** rng.uniform(-2, 0))
            findings = dict(zip("abcd", rng.normal(0.7, 0.05, 4), strict=True))
            told.append(make_trial(labels, {400: float(np.mean(list(findings.values())))}, **findings))
        answer = find_answer(make_sweep((ENCODER, RESOLUTION, TEMPERATURE), told))
        assert answer.families == 3
        claims += any(one.shown for one in (*answer.effects, *answer.cells, *answer.interactions))
    assert claims <= 10 + 2.33 * np.sqrt(200 * 0.05 * 0.95)


def test_p_values_hold_for_all_families() -> None:
    """Findings and interactions are two more families: p-values and what would be shown are those of three times as many."""
    rng = np.random.default_rng(5)
    resolution = Axis("image.resolution", "resolution", ("64", "128"))
    trials = []
    for i in range(16):
        labels = {"text": ("fr", "en")[i % 2], "image.resolution": ("64", "128")[i // 2 % 2]}
        score = 0.6 + 0.02 * (i % 2) + rng.normal(0, 0.02)
        trials.append(make_trial(labels, {400: score}, fracture=score))
    answer = find_answer(make_sweep((ENCODER, resolution), trials))
    fit = least_squares(
        np.array([[i % 2, i // 2 % 2] for i in range(16)], float), np.array([t.at("val/auroc", 400) for t in trials])
    )
    assert answer.families == 3
    np.testing.assert_allclose([e.p for e in answer.effects], np.minimum(3 * holm(fit.p_values()), 1))
    np.testing.assert_allclose([e.detectable for e in answer.effects], detectable(fit.errors, fit.error_dof, 6))
    (interaction,) = answer.interactions
    alone = [replace(t, curves={n: c for n, c in t.curves.items() if n == "val/auroc"}) for t in trials]
    assert find_answer(make_sweep((ENCODER, resolution), alone)).families == 2
    assert interaction.p == pytest.approx(min(1.5 * find_answer(make_sweep((ENCODER, resolution), alone)).interactions[0].p, 1))


def test_interactions_that_no_trial_can_tell_are_no_family() -> None:
    """An axis under one label of another, one at a time and the smallest fraction: the page says why, and corrects for none."""
    rng = np.random.default_rng(6)
    sampling = Axis("images", "images", ("first", "one", "each", "pooled"))
    pooling = Axis("pooling", "pooled by", ("mean", "gate"))
    under = replace(pooling, labels=(*pooling.labels, ABSENT))
    resolution = Axis("image.resolution", "resolution", ("64", "128"))
    three = (ENCODER, resolution, pooling)
    designs = {
        "conditional": (
            (sampling, under),
            [("first", ABSENT), ("one", ABSENT), ("each", ABSENT), ("pooled", "mean"), ("pooled", "gate")],
        ),
        "one at a time": (three, [("fr", "64", "mean"), ("en", "64", "mean"), ("fr", "128", "mean"), ("fr", "64", "gate")]),
        "fraction": (three, [("fr", "64", "mean"), ("en", "128", "mean"), ("en", "64", "gate"), ("fr", "128", "gate")]),
    }
    for axes, arms in designs.values():
        trials = []
        for seed, arm in product("012", arms):
            labels = {axis.name: label for axis, label in zip(axes, arm, strict=True)}
            one = make_trial(labels, {400: 0.6 + rng.normal(0, 0.02)}, fracture=rng.normal(0.6, 0.02))
            trials.append(replace(one, seed=seed))
        run = make_sweep(axes, trials)
        answer = find_answer(run)
        assert answer.interactions_dof
        assert np.isnan([one.p for one in answer.interactions]).all()
        assert answer.families == 2
        design = np.column_stack([*(answers.columns(axis, trials) for axis in axes), answers._seeds(trials)])
        fit, told = least_squares(design, np.array([one.at("val/auroc", 400) for one in trials])), len(answer.effects)
        np.testing.assert_allclose([e.p for e in answer.effects], np.minimum(2 * holm(fit.p_values()[:told]), 1))
        sizes = detectable(fit.errors[:told], fit.error_dof[:told], 2 * told)
        np.testing.assert_allclose([e.detectable for e in answer.effects], sizes)
        why = "These trials vary no two axes independently of each other and of the rest, and so tell no interaction."
        assert interactions(answer, run) == why


def test_too_few_trials_tell_no_interaction() -> None:
    """Nothing left for the noise, or one trial in a cell: more trials would tell, and that is what the page says."""
    rng = np.random.default_rng(7)
    axes = (ENCODER, Axis("image.resolution", "resolution", ("64", "128")))
    cells = [
        make_trial({"text": t, axes[1].name: px}, {400: rng.normal(0.6, 0.02)}) for t in ("fr", "en") for px in ("64", "128")
    ]
    for trials, dof in ((cells, 0), ([*cells, *(replace(one) for one in cells[:3])], 3)):
        run = make_sweep(axes, trials)
        answer = find_answer(run)
        assert (answer.interactions_dof, answer.families) == (dof, 1)
        assert interactions(answer, run) == f"{len(trials)} trials are too few to tell an interaction from noise."


def test_chosen_arms_run_again_take_no_part_in_effects() -> None:
    """Finalists at further seeds leave effects as they were, in a search and in a factorial."""
    rng = np.random.default_rng(8)
    told = [make_trial({"text": ("fr", "en")[i % 2]}, {400: 0.6 + rng.normal(0, 0.02)}) for i in range(8)]
    again = [replace(make_trial({"text": "en"}, {400: 0.9}), seed=str(seed)) for seed in (1, 2)]
    before = find_answer(make_sweep((ENCODER,), told))
    search = find_answer(replace(make_sweep((ENCODER,), [*told, *again]), facts={"design": "search"}))
    assert search.effects == before.effects
    assert search.replicates == tuple(again)
    assert search.compared == tuple(told)
    factorial = find_answer(replace(make_sweep((ENCODER,), [*told, *again]), facts={"design": "factorial"}))
    assert (factorial.effects, factorial.replicates) == (before.effects, tuple(again))


def test_arms_that_went_on_by_their_scores_are_told_by_those_that_did_not() -> None:
    """Survivors of a rung and arms not yet run again leave the first seed alone; a failed trial, at any seed, drops nothing."""
    rng = np.random.default_rng(9)

    def factorial(lacking: dict[tuple[str, str], Status | None]) -> SweepRun:
        """Three arms at three seeds; some (arm, seed) ended otherwise, or are not there."""
        trials = []
        for seed, px in product("012", RESOLUTION.labels):
            status = lacking.get((px, seed), "finished")
            scores = {100: 0.5, 400: rng.normal(0.6, 0.02)}
            if status == "stopped":
                del scores[400]
            if status:
                one = make_trial({RESOLUTION.name: px}, {} if status == "failed" else scores, status)
                trials.append(replace(one, seed=seed))
        return replace(make_sweep((RESOLUTION,), trials), facts={"design": "factorial"})

    whole: dict[tuple[str, str], Status | None] = {}
    not_again: dict[tuple[str, str], Status | None] = {("64", "1"): None, ("64", "2"): None}
    for lacking, compared, replicates in (
        (whole, 9, 0),
        ({("64", "1"): "failed"}, 8, 0),
        ({("64", "0"): "failed"} | not_again, 6, 0),
        ({("64", "2"): None}, 8, 0),
        (not_again, 3, 4),
        ({("64", "0"): "stopped"} | not_again, 3, 4),
    ):
        answer = find_answer(factorial(lacking))
        assert (len(answer.compared), len(answer.replicates)) == (compared, replicates)
        if replicates:
            assert {one.seed for one in answer.compared} == {"0"}


def test_the_luck_of_a_seed_is_no_lead() -> None:
    """Far ahead within a seed is alone; ahead of one's own arm, or of another seed's trials, is a tie."""
    close = [make_trial({"text": t}, {400: v}) for t, v in (("fr", 0.5), ("fr", 0.501), ("en", 0.6), ("en", 0.599))]
    assert not find_answer(make_sweep((ENCODER,), close)).alone
    stopped = [make_trial({"text": "en"}, {200: 0.5}, "stopped") for _ in range(2)]
    lead = [make_trial({"text": t}, {200: 0.5 + v / 100, 400: v}) for t, v in (("fr", 0.5), ("fr", 0.501), ("en", 0.6))]
    assert find_answer(make_sweep((ENCODER,), [*lead, *stopped])).alone
    best = replace(make_trial({"text": "en"}, {400: 0.9}), seed="1")
    assert not find_answer(replace(make_sweep((ENCODER,), [*close, best]), facts={"design": "search"})).alone


@pytest.mark.usefixtures("no_shares")
def test_times_are_told_after_correction() -> None:
    """Of 200 sweeps whose trials take as long with every arm, give or take a tenth, at most 5 % (and chance) tell a cost."""
    rng = np.random.default_rng(6)
    told = 0
    for _ in range(200):
        trials = []
        for i in range(12):
            labels = {"text": ("fr", "en")[i % 2], "image.resolution": ("64", "128", "256")[i // 2 % 3]}
            one = make_trial(labels, {400: rng.normal(0.6, 0.02)})
            time = Curve(np.array([400]), np.array([40 * np.exp(rng.normal(0, 0.1))]))
            trials.append(replace(one, curves={**one.curves, "time_s": time}))
        told += any(cost.shown for cost in find_answer(make_sweep((ENCODER, RESOLUTION), trials)).costs)
    assert told <= 10 + 2.33 * np.sqrt(200 * 0.05 * 0.95)


@pytest.mark.usefixtures("no_shares")
def test_an_interaction_that_rests_on_one_trial_is_not_told() -> None:
    """Twelve trials of a search over four axes, of which some cell of two axes holds one: no error, no size, no crash."""
    axes = [Axis(name, name, ("x", "y")) for name in "abcd"]
    rng = np.random.default_rng(9)
    single = 0
    for _ in range(60):
        trials = [
            make_trial({axis.name: ("x", "y")[rng.integers(2)] for axis in axes}, {400: rng.normal(0.6, 0.02)})
            for _ in range(12)
        ]
        answer = find_answer(make_sweep(tuple(axes), trials))
        untold = [one for one in answer.interactions if np.isnan(one.low)]
        assert all(np.isnan(one.p) and np.isnan(one.detectable) for one in untold)
        single += bool(answer.families == 2 and untold)
    assert single


def test_a_conditional_axis_leaves_its_parent_an_effect() -> None:
    """Nothing, reports or labels: training is their average above nothing, and what teaches is told within training."""
    rng = np.random.default_rng(4)
    follows = Axis("optim.lr", "what follows", ("nothing", "training"))
    teacher = Axis("objective", "learns from", ("reports", "labels", ABSENT))
    level = {("nothing", ABSENT): 0.5, ("training", "reports"): 0.7, ("training", "labels"): 0.8}
    arms = [arm for arm in level for _ in range(4)]
    trials = [
        make_trial({"optim.lr": one, "objective": other}, {400: level[one, other] + rng.normal(0, 0.002)})
        for one, other in arms
    ]
    training, labels = find_answer(make_sweep((follows, teacher), trials)).effects
    assert (training.reference, training.label, labels.reference, labels.label) == ("nothing", "training", "reports", "labels")
    assert training.value == pytest.approx(0.25, abs=0.004)
    assert labels.value == pytest.approx(0.1, abs=0.004)
    assert training.shown
    assert labels.shown
    never = find_answer(make_sweep((follows, teacher), trials[:4])).effects
    assert all(one.untold for one in never)


def test_budgets_are_compared_at_their_own_ends() -> None:
    """A longer schedule is behind at the pairs where the shorter one ends, and better at its own end: that is what is told."""
    rng = np.random.default_rng(0)
    budgets = Axis("budget_pairs", "budget", ("400", "800"))
    trials = []
    for place in range(16):
        label = ("400", "800")[place % 2]
        noise = rng.normal(0, 0.005)
        scores = {400: 0.7 + noise} if label == "400" else {400: 0.65 + noise, 800: 0.8 + noise}
        one = make_trial({"budget_pairs": label}, scores)
        trials.append(replace(one, number=place, budget=Fraction(int(label), 400)))
    run = make_sweep((budgets,), trials)
    answer = find_answer(run)
    (effect,) = answer.effects
    assert (effect.shown, len(answer.compared), answer.rung) == (True, 16, 400)
    assert effect.value == pytest.approx(0.1, abs=0.01)
    assert answer.best.labels["budget_pairs"] == "800"
    assert len(answer.tradeoff.trials) == 16
    assert point(run, answer) == "the end of each trial's own budget"
    assert point(run, replace(answer, rung=100)) == "25% of each trial's own budget"


def test_a_reference_that_no_trial_reached_leaves_nothing_to_compare_with() -> None:
    """All trials at the first label failed: the others are not told against it, and no number is made up."""
    rng = np.random.default_rng(0)
    trials = [make_trial({"image.resolution": "64"}, {}, "failed") for _ in range(3)]
    trials += [make_trial({"image.resolution": ("128", "256")[i % 2]}, {400: 0.6 + rng.normal(0, 0.01)}) for i in range(8)]
    answer = find_answer(make_sweep((RESOLUTION,), trials))
    assert [effect.untold for effect in answer.effects] == ["64 was not tried"] * 2
    assert answer.noise_shares["image.resolution"] == pytest.approx(1 / 7)


def test_what_noise_is_given_counts_what_was_tried() -> None:
    """Two of three labels are one direction, and one label none."""
    trials = [make_trial({"text": "fr", "image.resolution": ("64", "256")[i % 2]}, {400: 0.5 + 0.01 * i}) for i in range(5)]
    shares = find_answer(make_sweep((ENCODER, RESOLUTION), trials)).noise_shares
    assert shares == {"text": 0, "image.resolution": pytest.approx(1 / 4)}


def test_what_cannot_be_told_says_why() -> None:
    """Too few trials, an arm never tried or tried once, and two axes that changed together each have their own sentence."""
    a = make_trial({"text": "fr"}, {400: 0.5})
    warm = [make_trial({"text": t, "objective.temperature": x}, {400: x}) for t, x in (("fr", 0.1), ("en", 0.2), ("fr", 0.9))]
    few, _ = find_answer(make_sweep((ENCODER, TEMPERATURE), warm)).effects
    assert few.untold == "3 trials are too few for 2 effects and the noise"
    (never,) = find_answer(make_sweep((ENCODER,), [a, a, a])).effects
    assert never.untold == "only fr was tried"
    (once,) = find_answer(make_sweep((ENCODER,), [a, a, make_trial({"text": "en"}, {400: 0.9})])).effects
    assert once.untold == "it rests on a single trial"
    assert not once.shown
    other = Axis("other", "pooling", ("x", "y"))
    tied = [make_trial({"text": "fr", "other": "x"}, {400: v}) for v in (0.5, 0.51, 0.52)]
    tied += [make_trial({"text": "en", "other": "y"}, {400: v}) for v in (0.6, 0.61, 0.62)]
    answer = find_answer(make_sweep((ENCODER, other), tied))
    assert [e.untold for e in answer.effects] == [
        "it changed together with pooling in these trials",
        "it changed together with text encoder in these trials",
    ]
    assert not any(e.shown for e in answer.effects)


def test_a_failed_trial_is_missing_and_the_rest_is_compared() -> None:
    """A trial without a value is left out, ranks last, and is never a zero."""
    good = [make_trial({"text": arm}, {400: v}) for arm, v in (("fr", 0.5), ("en", 0.6), ("fr", 0.52), ("en", 0.61))]
    failed = make_trial({"text": "en"}, {}, "failed")
    run = make_sweep((ENCODER,), [failed, *good])
    answer = find_answer(run)
    assert len(answer.compared) == 4
    assert best_first(run)[-1] is failed
    assert answer.effects[0].value == pytest.approx(0.095)


def test_less_can_be_better_and_a_close_lead_is_a_tie() -> None:
    """The lowest score is the best of a sweep that minimises; it stands alone only ahead of the scatter between trials."""
    close = [make_trial({"text": arm}, {400: v}) for arm, v in (("fr", 0.5), ("en", 0.6), ("fr", 0.52), ("en", 0.62))]
    answer = find_answer(make_sweep((ENCODER,), close, "min"))
    assert (answer.best, answer.alone) == (close[0], False)
    clear = [make_trial({"text": arm}, {400: v}) for arm, v in (("fr", 0.3), ("en", 0.6), ("fr", 0.301), ("en", 0.602))]
    far = [*clear, make_trial({"text": "fr"}, {200: 0.0}, "stopped")]
    assert find_answer(make_sweep((ENCODER,), far, "min")).best is clear[0]


def test_every_planted_effect_has_a_verdict(sweep_run: Path, truth: Callable[[list], Path]) -> None:
    """Found, reversed, indicated, missed or not tested; claims that were never planted are named."""
    run = read_sweep(sweep_run)
    rows = [
        {"finding": "hairline_fracture", "axis": "image.resolution", "better": "128", "reason": "r"},
        {"finding": "effusion", "axis": "data.sampling.images", "better": "one", "reason": "r"},
        {"finding": "enostosis", "axis": "text", "better": "tiny-fr", "reason": "r"},
        {"finding": "enostosis", "axis": "optim.lr", "better": "0.1", "reason": "r"},
    ]
    answer = find_answer(run)
    planted, others = check_planted(run, answer, truth(rows))
    assert [one.verdict for one in planted] == ["found", "reversed", "missed", "not tested"]
    assert others == ()
    (hairline,) = check_planted(run, find_answer(replace(run, margin=0.15)), truth(rows[:1]))[0]
    assert hairline.verdict == "indicated"
    _, others = check_planted(run, answer, truth(rows[1:]))
    assert [cell.metric for cell in others] == ["val/auroc/hairline_fracture"]


def test_a_reversed_contrast_is_not_hidden_by_a_right_one(truth: Callable[[list], Path]) -> None:
    """128 px is planted to be best: better than 64 and worse than 256 is reversed; a contrast without it was never planted."""
    rng = np.random.default_rng(3)
    level = {"128": 0.7, "64": 0.5, "256": 0.9}
    axis = Axis("image.resolution", "resolution", tuple(level))
    told = [make_trial({axis.name: arm}, {400: 0.6}, fracture=level[arm] + rng.normal(0, 0.005)) for arm in [*level] * 4]
    run = make_sweep((axis,), told)
    rows = [{"finding": "fracture", "axis": axis.name, "better": "128", "reason": "r"}]
    (planted,), others = check_planted(run, find_answer(run), truth(rows))
    assert planted.verdict == "reversed"
    assert others == ()
    (planted,), others = check_planted(run, find_answer(run), truth([rows[0] | {"better": "64"}]))
    assert planted.verdict == "reversed"
    assert [(cell.reference, cell.label) for cell in others] == [("128", "256")]


def test_every_arm_that_sees_a_finding_is_planted(truth: Callable[[list], Path]) -> None:
    """Three of four arms see it: each against the fourth is found and nothing else; against one another nothing is planted."""
    rng = np.random.default_rng(4)
    axis = Axis("images", "images", ("first", "one", "all", "pooled"))
    level = dict.fromkeys(axis.labels, 0.9) | {"first": 0.5}

    def sweep(labels: tuple[str, ...], better: dict[str, float]) -> SweepRun:
        drawn = [{"images": arm} for arm in labels] * 4
        trials = [make_trial(arm, {400: 0.6}, effusion=better[arm["images"]] + rng.normal(0, 0.005)) for arm in drawn]
        return make_sweep((replace(axis, labels=labels),), trials)

    rows = [{"finding": "effusion", "axis": "images", "better": ["all", "one", "pooled"], "reason": "r"}]
    run = sweep(axis.labels, level)
    (planted,), others = check_planted(run, find_answer(run), truth(rows))
    assert (planted.verdict, planted.better, others) == ("found", "all, one, pooled", ())
    (_,), others = check_planted(run, find_answer(run), truth([rows[0] | {"better": "all"}]))
    assert [cell.label for cell in others] == ["one", "pooled"]
    run = sweep(("first", "all"), level)
    assert check_planted(run, find_answer(run), truth(rows))[0][0].better == "all"
    run = sweep(("one", "all", "pooled"), level | {"all": 0.8})
    (planted,), others = check_planted(run, find_answer(run), truth(rows))
    assert planted.verdict == "not tested"
    assert [cell.label for cell in others] == ["all"]


@pytest.mark.parametrize("text", ["no json", json.dumps([{"finding": "x"}]), json.dumps({"finding": "x"})])
def test_another_file_is_no_truth(sweep_run: Path, tmp_path: Path, text: str) -> None:
    """A file that holds no planted effects is refused with the name of the right one."""
    path = tmp_path / "effects.json"
    path.write_text(text)
    run = read_sweep(sweep_run)
    with pytest.raises(UserError, match=r"truth/effects\.json"):
        check_planted(run, find_answer(run), path)
