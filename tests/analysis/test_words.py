"""How numbers and effects read."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from radsweep.analysis.answer import Cost, Effect, find_answer
from radsweep.analysis.runs import Axis, read_sweep
from radsweep.analysis.words import (
    cost,
    cost_verdict,
    duration,
    finding_verdict,
    metric_name,
    number,
    p_value,
    plural,
    power,
    signed,
    sizes,
    verdict,
)

AXIS = Axis("image.resolution", "resolution", ("64", "128"))


def effect(value: float, half: float, p: float, metric: str = "val/auroc", untold: str = "", margin: float = 0.0) -> Effect:
    return Effect(AXIS, metric, "64", "128", value, value - half, value + half, p, 2 * half + margin, margin, untold)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0614, "+0.061"), (-0.0614, "\N{MINUS SIGN}0.061"), (0.0001, "0.000"), (-0.0001, "0.000"), (math.nan, "\N{EN DASH}")],
)
def test_a_signed_number_never_turns_missing_into_zero(value: float, text: str) -> None:
    """Signs are real minus signs, what rounds to nothing has none, what is missing is a dash."""
    assert signed(value) == text


def test_small_effects_keep_digits() -> None:
    """An effect of half a thousandth is not told as 0.000; larger ones have three decimals at most."""
    assert "by 0.00040 AUROC" in verdict(effect(0.0004, 0.0001, 1e-6))
    assert "by 0.034 AUROC" in verdict(effect(0.0341, 0.0022, 1e-6))


def test_no_size_is_told_that_a_metric_cannot_reach() -> None:
    """An AUROC changes by 1 at most: what needs more than that could not be shown; a loss has no such bound."""
    assert verdict(effect(0.1, 0.9, 0.8)).endswith("No effect could have been shown from so few trials, however large.")
    assert "would show one of 1.8" in verdict(effect(0.1, 0.9, 0.8, "val/loss"))
    assert sizes([1.2, 3.0], "val/auroc") == ""
    assert sizes([0.2, 3.0], "val/auroc") == "0.200 (on other axes none, however large)"
    assert sizes([0.2, 0.3], "val/auroc/effusion") == "0.200 (or 0.300, depending on the axis)"
    assert sizes([2.0], "val/loss") == "2.000"


def test_numbers_carry_their_units() -> None:
    """Thousands are separated, times choose their unit, nouns agree."""
    assert number(12_000, 0) == "12,000"
    assert [duration(s).replace("\N{NO-BREAK SPACE}", " ") for s in (45, 150, 1_500, 9_000, math.nan)] == [
        "45 s",
        "2.5 min",
        "25 min",
        "2.5 h",
        "\N{EN DASH}",
    ]
    assert [plural(1, "trial"), plural(1_200, "trial")] == ["1 trial", "1,200 trials"]
    assert [p_value(p) for p in (1e-9, 0.03, math.nan)] == ["< 0.001", "0.030", "\N{EN DASH}"]
    assert metric_name("val/auroc/hairline_fracture") == "AUROC of hairline fracture"


def test_what_a_sweep_cost_is_told_with_its_price_and_energy(sweep_run: Path) -> None:
    """Hours of all trials with rates where they are given; nothing where it would repeat the time of training."""
    run = read_sweep(sweep_run)
    hours = sum(trial.time_s for trial in run.trials) / 3600
    assert cost(run, None, None) == ""
    assert plain(cost(run, 2.5, None)) == f"{hours:.2f} trial-hours, {2.5 * hours:.2f} at 2.50 an hour"
    assert (
        plain(cost(run, 2.5, 300))
        == f"{hours:.2f} trial-hours, {2.5 * hours:.2f} at 2.50 an hour, {0.3 * hours:.2f} kWh at 300 W"
    )
    assert cost(replace(run, trials=()), 2.5, 300) == ""
    on_gpu = tuple(replace(trial, latest=trial.latest | {"gpu_s": 7_200.0}) for trial in run.trials[:3])
    assert plain(cost(replace(run, trials=on_gpu), 2.0, None)) == "6.00 GPU-hours, 12.00 at 2.00 an hour"


def plain(text: str) -> str:
    return text.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")


def test_a_shown_effect_names_the_winner_first() -> None:
    """The better arm comes first with a positive gain and its interval turned its way; so too when less is better."""
    assert plain(verdict(effect(0.06, 0.03, 0.01))) == "128 beats 64 by 0.060 AUROC (95 % interval +0.030 to +0.090)."
    assert plain(verdict(effect(-0.06, 0.03, 0.01))) == "64 beats 128 by 0.060 AUROC (95 % interval +0.030 to +0.090)."
    less = plain(verdict(effect(-0.6, 0.3, 0.01, "val/loss"), sign=-1))
    assert less == "128 beats 64 by 0.60 validation loss (95 % interval +0.30 to +0.90)."
    more = plain(verdict(effect(0.6, 0.3, 0.01, "val/loss"), sign=-1))
    assert more == "64 beats 128 by 0.60 validation loss (95 % interval +0.30 to +0.90)."
    assert plain(finding_verdict(effect(-0.2, 0.05, 0.001, "val/auroc/effusion"))) == (
        "effusion +0.200 with 64 instead of 128 (+0.150 to +0.250)"
    )


def test_an_effect_that_is_not_shown_is_no_claim_of_equality() -> None:
    """The sentence gives the interval and what would have been missed, or says that the correction took it away."""
    told = plain(verdict(effect(0.01, 0.03, 0.4)))
    assert told.startswith("no effect could be shown: 128 against 64 is +0.010 AUROC (95 % interval -0.020 to +0.040).")
    assert told.endswith("Four of five such sweeps would show one of 0.060; a smaller one may be missed.")
    assert "once all comparisons are counted" in verdict(effect(0.04, 0.03, 0.06))
    assert verdict(effect(math.nan, math.nan, math.nan, untold="only 64 was tried")) == "cannot be told: only 64 was tried."


def test_an_effect_is_told_beside_its_margin() -> None:
    """What is not shown to be beyond it is said to lie within, to be taken away by the correction, or to be open."""
    within = plain(verdict(effect(0.01, 0.03, 1.0, margin=0.05)))
    assert within.startswith("no effect beyond 0.05 could be shown: 128 against 64 is +0.010 AUROC (95 % interval ")
    assert within.endswith(" -0.020 to +0.040), all of it within that.")
    assert "once all comparisons are counted" in verdict(effect(-0.1, 0.03, 0.06, margin=0.05))
    open_one = verdict(effect(0.06, 0.03, 0.4, margin=0.05))
    assert open_one.endswith("Four of five such sweeps would show one of 0.110; a smaller one may be missed.")
    assert plain(verdict(effect(0.1, 0.03, 0.01, margin=0.05))).startswith("128 beats 64 by 0.100 AUROC")


def test_a_cost_is_told_only_when_certain_and_worth_telling() -> None:
    """Twice the time is told from either side; three per cent, or what the correction takes away, is not."""
    told = [(2.1, 2.0, 2.2, 0.001), (0.5, 0.4, 0.6, 0.01), (1.03, 1.02, 1.04, 0.001), (2.0, 1.1, 4.0, 0.06)]
    assert [cost_verdict([Cost(AXIS, "64", "128", *numbers)]) for numbers in told] == [
        "Time: 128 takes 2.1 times as long as 64.",
        "Time: 64 takes 2.0 times as long as 128.",
        "",
        "",
    ]


def test_a_sweep_without_an_axis_compares_nothing(sweep_run: Path) -> None:
    """What it could not have shown is told of sweeps that compare; one without an axis says that it does not."""
    run = read_sweep(sweep_run)
    assert power(find_answer(replace(run, axes=())), run) == "This sweep compares nothing: it has no axes."
    told = power(find_answer(run), run)
    assert "below" in told
    assert told.endswith("Four times as many trials would about halve that.")
    over_patients = replace(find_answer(run), over_patients=True)
    stays = "would at best about halve that: what comes of the choice of validation patients stays."
    assert power(over_patients, run).endswith(stays)
    relevant = replace(run, margin=0.05)
    assert power(find_answer(relevant), relevant).endswith("would about halve its excess over 0.05.")
