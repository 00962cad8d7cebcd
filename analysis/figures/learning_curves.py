"""The metric by pairs seen: one panel per axis, one line per trial in the colour of its arm.

The thick line of a label is its mean over the compared trials, and ends at the rung where they are compared: beyond it the mean
would be one of survivors. Trials with budgets of their own have no mean. An arm that ran at several seeds has a band from its
lowest seed to its highest.
"""

import math
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..answer import Answer
from ..runs import Axis, Curve, SweepRun, Trial
from ..words import metric_name, sentence_case
from .style import ARMS, FAINT, MUTED, WIDE, main

COLUMNS = 4


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the learning curves."""
    across = min(len(run.axes), COLUMNS) or 1
    down = math.ceil(len(run.axes) / across) or 1
    figure = Figure(figsize=(WIDE, 0.4 + 2.75 * down), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for panel, axis in zip(panels.flat, run.axes, strict=False):
        _draw_panel(panel, run, answer, axis)
    for panel in panels.flat[len(run.axes) :]:
        panel.set_visible(False)
    figure.supxlabel("image-report pairs seen", fontsize=9, color=MUTED)
    figure.supylabel(metric_name(run.metric), fontsize=9, color=MUTED)
    return figure


def _draw_panel(ax: Axes, run: SweepRun, answer: Answer, axis: Axis) -> None:
    for rung in run.meeting_points:
        ax.axvline(rung, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
    scale = (LogNorm if axis.log else Normalize)(axis.low, axis.high) if not axis.labels else None

    def colour_of(trial: Trial) -> Any:
        if scale:
            return colormaps["viridis"](0.9 * float(scale(float(trial.labels[axis.name]))))
        return ARMS[_arm(axis, trial) % len(ARMS)]

    for several in _by_seed(run):
        pairs, low, high = _band([trial.curves[run.metric] for trial in several])
        ax.fill_between(pairs, low, high, color=colour_of(several[0]), alpha=0.18, linewidth=0, zorder=0.5)
    for trial in run.trials:
        if run.metric not in trial.curves:
            continue
        curve = trial.curves[run.metric]
        colour = colour_of(trial)
        strength = 0.25 if trial.status in ("stopped", "failed") else 0.55
        ax.plot(curve.pairs, curve.values, color=colour, alpha=strength, linewidth=1.0, zorder=1)
        end = {"stopped": "o", "failed": "X"}.get(trial.status)
        if end:
            ax.plot(curve.pairs[-1], curve.values[-1], end, color=colour, alpha=0.7, markersize=4, markeredgewidth=0)
    ax.set_title(sentence_case(axis.title))
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    if scale:
        from_low, to_high = (colormaps["viridis"](x) for x in (0.0, 0.9))
        ends = [(f"{axis.low:g}", from_low), (f"{axis.high:g}", to_high)]
    else:
        ends = [(label, ARMS[i % len(ARMS)]) for i, label in enumerate(axis.labels)]
        for label, colour in ends:
            _draw_mean(ax, run, answer, [t for t in answer.compared if t.labels[axis.name] == label], colour)
    ax.legend(
        [Line2D([], [], color=colour, linewidth=2.6) for _, colour in ends],
        [label for label, _ in ends],
        loc="lower right",
        handlelength=1.1,
        borderaxespad=0.2,
        labelspacing=0.25,
        frameon=True,
        edgecolor="none",
        framealpha=0.9,
    )


def _by_seed(run: SweepRun) -> list[list[Trial]]:
    """Return the trials of each arm that has reported at several seeds."""
    arms: dict[tuple[str | float, ...], list[Trial]] = {}
    for trial in run.trials:
        if run.metric in trial.curves:
            arms.setdefault(tuple(trial.labels.values()), []).append(trial)
    return [trials for trials in arms.values() if len(trials) > 1]


def _band(curves: list[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs seen that all curves cover, and the lowest and highest of them there."""
    pairs = np.linspace(max(curve.pairs[0] for curve in curves), min(curve.pairs[-1] for curve in curves), 50)
    values = [np.interp(pairs, curve.pairs, curve.values) for curve in curves]
    return pairs, np.min(values, axis=0), np.max(values, axis=0)


def _arm(axis: Axis, trial: Trial) -> int:
    return axis.labels.index(str(trial.labels[axis.name]))


def _draw_mean(ax: Axes, run: SweepRun, answer: Answer, trials: list[Trial], colour: str) -> None:
    if len({trial.budget for trial in trials}) != 1:
        return
    curves = [trial.curves[run.metric] for trial in trials]
    stops = [min(answer.rung * trial.budget, trial.curves[run.metric].pairs[-1]) for trial in trials]
    pairs = np.linspace(max(curve.pairs[0] for curve in curves), float(min(stops)), 50)
    mean = np.mean([np.interp(pairs, curve.pairs, curve.values) for curve in curves], axis=0)
    ax.plot(pairs, mean, color="white", linewidth=4.6, zorder=3, solid_capstyle="butt")
    ax.plot(pairs, mean, color=colour, linewidth=3.0, zorder=4, solid_capstyle="butt")


if __name__ == "__main__":
    main(draw)
