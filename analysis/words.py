"""Numbers and findings in words, the same in the page, the tables and the figures."""

import math
from collections.abc import Sequence

from .answer import Answer, Cost, Effect, Interaction
from .comparisons import Clustering
from .runs import FINDING, SweepRun, Trial

MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"
NOTICED = 1.05
"""A smaller ratio of times is not worth a sentence."""

METRICS = {
    "val/auroc": "AUROC",
    "val/recall_at_1": "recall@1",
    "val/recall_at_5": "recall@5",
    "val/loss": "validation loss",
    "train/loss": "training loss",
}


def metric_name(metric: str) -> str:
    """Return the name a reader knows a metric by."""
    if metric.startswith(FINDING):
        return f"AUROC of {finding_name(metric)}"
    return METRICS.get(metric, metric)


def finding_name(metric: str) -> str:
    """Return the finding of a metric, or of a label, in plain letters."""
    return metric.removeprefix(FINDING).replace("_", " ")


def figure_name(name: str) -> str:
    """Return the name of a task's figure, as ``fracture_at_10``, in plain letters."""
    return sentence_case(name.replace("_", " "))


def number(value: float, decimals: int = 3) -> str:
    """Return a number with a real minus sign; what is missing is a dash, never 0."""
    return MISSING if math.isnan(value) else f"{value:,.{decimals}f}".replace("-", MINUS)


def signed(value: float, decimals: int = 3) -> str:
    """Return a number with its sign; a value that rounds to nothing has none."""
    if math.isnan(value):
        return MISSING
    text = number(value, decimals)
    return text.removeprefix(MINUS) if not text.strip(f"{MINUS}0.") else text if value < 0 else f"+{text}"


def decimals_for(effect: Effect | Interaction) -> int:
    """Return how many decimals carry two digits of the interval's half width: three, or more where those would hold none."""
    half = (effect.high - effect.low) / 2
    if math.isnan(half) or half <= 0:
        return 3
    digits = max(1 - math.floor(math.log10(half)), 0)
    return min(digits, 3 if half >= 0.0005 else 9)


def p_value(value: float) -> str:
    """Return a p-value; a tiny one is small, not 0."""
    return f"< {number(0.001)}" if value < 0.001 else number(value)


def count(value: int) -> str:
    return f"{value:,}"


def plural(value: int, noun: str) -> str:
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a time with the unit a reader would choose."""
    if math.isnan(seconds):
        return MISSING
    if seconds < 90:
        return f"{seconds:.0f}{SPACE}s"
    if seconds < 5400:
        return f"{seconds / 60:.{1 if seconds < 600 else 0}f}{SPACE}min"
    return f"{seconds / 3600:.1f}{SPACE}h"


def label_text(label: str | float) -> str:
    """Return a label, or the number of a continuous axis to three digits."""
    return label if isinstance(label, str) else f"{label:.3g}"


def arm(run: SweepRun, trial: Trial) -> str:
    return ", ".join(f"{axis.title} {label_text(trial.labels[axis.name])}" for axis in run.named)


def point(run: SweepRun, answer: Answer) -> str:
    """Return where trials are compared."""
    if not run.own_budgets:
        return f"{count(answer.rung)} pairs"
    share = answer.rung / run.rungs[-1]
    return "the end of each trial's own budget" if share >= 1 else f"{share:.0%} of each trial's own budget"


def sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def interval(effect: Effect | Interaction, flip: bool = False) -> str:
    """Return the 95 % interval; turned round when the effect is told from the other side."""
    digits = decimals_for(effect)
    low, high = (-effect.high, -effect.low) if flip else (effect.low, effect.high)
    return f"{signed(low, digits)} to {signed(high, digits)}"


def verdict(effect: Effect, sign: int = 1) -> str:
    """Return one sentence on one contrast, without the name of its axis.

    ``sign`` is 1 when more of the metric is better, -1 when less is.
    """
    digits = decimals_for(effect)
    name = metric_name(effect.metric)
    if effect.untold:
        return f"cannot be told: {effect.untold}."
    if effect.shown:
        worse = effect.value * sign < 0
        winner, loser = (effect.reference, effect.label) if worse else (effect.label, effect.reference)
        trend = "" if effect.axis.labels else ", along a straight line between the two"
        change = number(abs(effect.value), digits)
        within = interval(effect, flip=effect.value < 0)
        return f"{winner} beats {loser} by {change} {name} (95{SPACE}% interval {within}){trend}."
    size = f" beyond {effect.margin:g}" if effect.margin else ""
    told = (
        f"no effect{size} could be shown: {effect.label} against {effect.reference} is {signed(effect.value, digits)} {name} "
        f"(95{SPACE}% interval {interval(effect)})"
    )
    if effect.low > effect.margin or effect.high < -effect.margin:
        return f"{told}, which does not hold once all comparisons are counted."
    if max(-effect.low, effect.high) < effect.margin:
        return f"{told}, all of it within that."
    if effect.detectable >= largest(effect.metric):
        return f"{told}. No effect could have been shown from so few trials, however large."
    return (
        f"{told}. Four of five such sweeps would show one of {number(effect.detectable, digits)}; a smaller one may be missed."
    )


def finding_verdict(cell: Effect) -> str:
    """Return one short clause on a finding: who is better, by how much, how sure."""
    flip = cell.value < 0
    winner, loser = (cell.reference, cell.label) if flip else (cell.label, cell.reference)
    digits = decimals_for(cell)
    gain = signed(abs(cell.value), digits)
    return f"{finding_name(cell.metric)} {gain} with {winner} instead of {loser} ({interval(cell, flip)})"


def comparisons(effects: Sequence[Effect]) -> int:
    """Return how many of these can be told, which are those that a correction counts."""
    return sum(not math.isnan(effect.p) for effect in effects)


def beyond(run: SweepRun) -> str:
    """Return what is shown beside that there is an effect; empty where any difference counts."""
    return f" to be more than {run.margin:g}" if run.margin else ""


def interactions(answer: Answer, run: SweepRun) -> str:
    """Return what is to be said of the interactions, in one or two sentences."""
    shown = [one for one in answer.interactions if one.shown]
    told = [one.detectable for one in answer.interactions if not math.isnan(one.detectable)]
    if not told and answer.interactions_dof and all(math.isnan(one.value) for one in answer.interactions):
        return "These trials vary no two axes independently of each other and of the rest, and so tell no interaction."
    if not told:
        return f"{plural(len(answer.compared), 'trial')} are too few to tell an interaction from noise."
    lacking = len(answer.interactions) - len(told)
    untold = f" {lacking} of {len(answer.interactions)} cannot be told from these trials." if lacking else ""
    if shown:
        return (
            " ".join(
                f"Shown: what going from {one.first[1]} to {one.first[2]} ({one.first[0].title}) adds to the metric is "
                f"{number(abs(one.value), decimals_for(one))} {'higher' if one.value > 0 else 'lower'} at {one.second[2]} than "
                f"at {one.second[1]} ({one.second[0].title}), 95{SPACE}% interval {interval(one, flip=one.value < 0)}."
                for one in shown
            )
            + untold
        )
    size = f" beyond {run.margin:g}" if run.margin else ""
    reach = sizes(told, run.metric)
    if not reach:
        return f"No interaction could have been shown from {plural(len(answer.compared), 'trial')}, however large.{untold}"
    return f"No interaction{size} could be shown; four of five such sweeps would show one of {reach}.{untold}"


def largest(metric: str) -> float:
    """Return how much a metric can change: a share by 1, others without bound."""
    return 1.0 if metric.startswith(("val/auroc", "val/recall")) else math.inf


def sizes(told: Sequence[float], metric: str) -> str:
    """Return the smallest of some sizes, and the largest where that is another; empty where a metric cannot change as much."""
    within = [size for size in told if size < largest(metric)]
    if not within:
        return ""
    least, most = number(min(within)), number(max(within))
    if len(within) < len(told):
        return f"{least} (on other axes none, however large)"
    return most if least == most else f"{least} (or {most}, depending on the axis)"


def tradeoff(answer: Answer, run: SweepRun) -> str:
    """Return what the front of quality against cost says, in one or two sentences."""
    told = answer.tradeoff
    front = int(told.front.sum())
    text = (
        f"Trials that saw the whole budget. Blue: the {plural(front, 'trial')} that no other beats in both "
        f"{metric_name(run.metric)} and {told.unit}."
    )
    if math.isnan(told.covered):
        return text
    return f"{text} The front covers {told.covered:.0%} of the box between the worst and the best of both."


def cost_verdict(costs: Sequence[Cost]) -> str:
    """Return one sentence on the time an axis costs; empty where none is both certain and worth telling."""
    told = []
    for cost in costs:
        if not cost.shown or max(cost.ratio, 1 / cost.ratio) < NOTICED:
            continue
        slow, fast = (cost.label, cost.reference) if cost.ratio > 1 else (cost.reference, cost.label)
        told.append(f"{slow} takes {max(cost.ratio, 1 / cost.ratio):.1f} times as long as {fast}")
    return f"Time: {'; '.join(told)}." if told else ""


def clustering(told: Clustering | None) -> str:
    """Return how many cases the patients have and how many independent ones they are worth; empty where each has one."""
    if told is None or told.cases == told.patients or math.isnan(told.icc):
        return ""
    return f" with {plural(told.cases, 'case')}, worth {number(told.effective, 0)} independent ones (ICC {number(told.icc, 2)})"


def cost(run: SweepRun, price: float | None, watts: float | None) -> str:
    """Return the device-hours of all trials, and their price and energy at given rates.

    Empty before any trial has told, and where it would only repeat the time of training: without GPUs and rates.
    """
    on_gpu = any(trial.latest.get("gpu_s", 0) > 0 for trial in run.trials)
    told = [trial.latest.get("gpu_s" if on_gpu else "time_s", math.nan) for trial in run.trials]
    hours = sum(seconds for seconds in told if not math.isnan(seconds)) / 3600
    if not hours or not (on_gpu or price is not None or watts is not None):
        return ""
    parts = [f"{number(hours, 2 if hours < 10 else 0)} {'GPU' if on_gpu else 'trial'}-hours"]
    parts += [] if price is None else [f"{number(hours * price, 2)} at {number(price, 2)} an hour"]
    parts += [] if watts is None else [f"{number(hours * watts / 1000, 2)}{SPACE}kWh at {number(watts, 0)}{SPACE}W"]
    return ", ".join(parts)


def power(answer: Answer, run: SweepRun) -> str:
    """Return what the smallest effect is that this sweep could have shown, and what would make it smaller."""
    told = [effect.detectable for effect in answer.effects if not math.isnan(effect.detectable)]
    trials = plural(len(answer.compared), "trial")
    if not answer.effects:
        return "This sweep compares nothing: it has no axes."
    reach = sizes(told, run.metric)
    if not reach:
        return f"With {trials}, no effect could have been shown, however large: more trials are needed."
    halved = f"about halve {f'its excess over {run.margin:g}' if run.margin else 'that'}"
    more = f"Four times as many trials would {halved}"
    if answer.over_patients:
        more = f"Four times as many trials would at best {halved}: what comes of the choice of validation patients stays"
    return (
        f"With {trials} and this scatter (standard deviation {number(answer.sigma)}), an effect on {metric_name(run.metric)} "
        f"below {reach} could easily have been missed; one of that size would be shown by at least four of five such "
        f"sweeps. {more}."
    )
