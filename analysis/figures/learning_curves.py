"""The metric by pairs seen: one panel per axis, one line per trial in the colour of its arm; one panel where nothing varies.

The thick line of a label is its mean over the compared trials, and ends at the rung where they are compared: beyond it the mean
would be one of survivors. Trials with budgets of their own have no mean. An arm that ran at several seeds has a band from its
lowest seed to its highest.
"""

import math
from collections.abc import Callable
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
Look = tuple[Any, Any]
"""Colour and line style."""


def draw(run: SweepRun, answer: Answer) -> Figure:
    """Return the learning curves."""
    across = min(len(run.axes), COLUMNS) or 1
    down = math.ceil(len(run.axes) / across) or 1
    figure = Figure(figsize=(WIDE, 0.4 + 2.75 * down), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for panel, axis in zip(panels.flat, run.axes, strict=False):
        _draw_panel(panel, run, answer, axis)
    if not run.axes:
        _draw_curves(panels[0, 0], run, lambda _: _look(0))
    for panel in panels.flat[len(run.axes) or 1 :]:
        panel.set_visible(False)
    figure.supxlabel("image-report pairs seen", fontsize=9, color=MUTED)
    figure.supylabel(metric_name(run.metric), fontsize=9, color=MUTED)
    return figure


def _draw_panel(ax: Axes, run: SweepRun, answer: Answer, axis: Axis) -> None:
    scale = (LogNorm if axis.log else Normalize)(axis.low, axis.high) if not axis.labels else None

    def look_of(trial: Trial) -> Look:
        if scale:
            return colormaps["viridis"](0.9 * float(scale(float(trial.labels[axis.name])))), "-"
        return _look(axis.labels.index(str(trial.labels[axis.name])))

    _draw_curves(ax, run, look_of)
    ax.set_title(sentence_case(axis.title))
    if scale:
        from_low, to_high = (colormaps["viridis"](x) for x in (0.0, 0.9))
        ends: list[tuple[str, Look]] = [(f"{axis.low:g}", (from_low, "-")), (f"{axis.high:g}", (to_high, "-"))]
    else:
        ends = [(label, _look(place)) for place, label in enumerate(axis.labels)]
        for label, look in ends:
            _draw_mean(ax, run, answer, [t for t in answer.compared if t.labels[axis.name] == label], look)
    ax.legend(
        [Line2D([], [], color=colour, linestyle=style, linewidth=2.6) for _, (colour, style) in ends],
        [label for label, _ in ends],
        loc="lower right",
        handlelength=1.1 if len(ends) <= len(ARMS) else 2.4,
        borderaxespad=0.2,
        labelspacing=0.25,
        frameon=True,
        edgecolor="none",
        framealpha=0.9,
    )


def _look(place: int) -> Look:
    """Return the look of a label: when the colours are used up, they come again with dashes, then with a dot more each time."""
    turn = place // len(ARMS)
    return ARMS[place % len(ARMS)], (0, (3, 1) + (1, 1) * (turn - 1)) if turn else "-"


def _draw_curves(ax: Axes, run: SweepRun, look_of: Callable[[Trial], Look]) -> None:
    """Draw the rungs, the bands of arms that ran at several seeds, and every trial."""
    for rung in run.meeting_points:
        ax.axvline(rung, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
    for several in _by_seed(run):
        pairs, low, high = _band([trial.curves[run.metric] for trial in several])
        ax.fill_between(pairs, low, high, color=look_of(several[0])[0], alpha=0.18, linewidth=0, zorder=0.5)
    for trial in run.trials:
        if run.metric not in trial.curves:
            continue
        curve = trial.curves[run.metric]
        colour, style = look_of(trial)
        strength = 0.25 if trial.status in ("stopped", "failed") else 0.55
        ax.plot(curve.pairs, curve.values, color=colour, linestyle=style, alpha=strength, linewidth=1.0, zorder=1)
        end = {"stopped": "o", "failed": "X"}.get(trial.status)
        if end:
            ax.plot(curve.pairs[-1], curve.values[-1], end, color=colour, alpha=0.7, markersize=4, markeredgewidth=0)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


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


def _draw_mean(ax: Axes, run: SweepRun, answer: Answer, trials: list[Trial], look: Look) -> None:
    if len({trial.budget for trial in trials}) != 1:
        return
    curves = [trial.curves[run.metric] for trial in trials]
    stops = [min(answer.rung * trial.budget, trial.curves[run.metric].pairs[-1]) for trial in trials]
    pairs = np.linspace(max(curve.pairs[0] for curve in curves), float(min(stops)), 50)
    mean = np.mean([np.interp(pairs, curve.pairs, curve.values) for curve in curves], axis=0)
    ax.plot(pairs, mean, color="white", linewidth=4.6, zorder=3, solid_capstyle="butt")
    colour, style = look
    ax.plot(pairs, mean, color=colour, linestyle=style, linewidth=3.0, zorder=4, solid_capstyle="butt")


if __name__ == "__main__":
    main(draw)
