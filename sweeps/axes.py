"""What a question varies: its axes, and the arms that they and its constraints allow."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..datasets.refusal import UserError

Labels = Mapping[str, Any]
"""One arm: the label of every axis that it has, by dotted name; with ``seed`` a run of that arm at another seed."""

Constraint = Callable[[Labels], bool]
"""Whether an arm may be tried, from its labels."""

When = Mapping[str, str | Collection[str]]
"""For each of some other axes, the label or labels under which an axis exists."""

TRIES = 1_000
"""Random arms that are looked at before none is said to be allowed."""


@dataclass(frozen=True)
class Choice:
    """An axis of named arms. Labels are what Optuna, MLflow and the report see; values are what the config gets.

    Attributes:
        when: the labels of earlier axes under which this one exists; an arm without it has no label here.
    """

    title: str
    values: Mapping[str, Any]
    when: When = field(default_factory=dict)

    def value(self, label: str) -> Any:
        """Return what ``label`` stands for.

        Raises:
            UserError: there is no such arm.
        """
        if label not in self.values:
            raise UserError(f"{self.title} has no arm {label!r}: it has {', '.join(self.values)}")
        return self.values[label]

    def labels(self) -> list[str]:
        return list(self.values)

    def extremes(self) -> list[str]:
        """Return the labels that stand for all others in checks: every one."""
        return list(self.values)

    def draw(self, rng: np.random.Generator) -> str:
        return list(self.values)[rng.integers(len(self.values))]

    def to_json(self) -> dict[str, Any]:
        return {"title": self.title, "values": list(self.values)} | _told(self.when)


@dataclass(frozen=True)
class Range:
    """A continuous axis from ``low`` to ``high``, searched on a logarithmic scale if ``log``; ``when`` is as in `Choice`."""

    title: str
    low: float
    high: float
    log: bool = False
    when: When = field(default_factory=dict)

    def value(self, label: float) -> float:
        return label

    def at(self, share: float) -> float:
        """Return the number that lies ``share`` of the way from ``low`` to ``high``."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return float(self.low + (self.high - self.low) * share)

    def labels(self) -> list[float]:
        """Refuse: there are as many labels as numbers.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.title} is a Range, from which only a Search draws: name the values to try in a Choice")

    def extremes(self) -> list[float]:
        """Return the labels that stand for all others in checks: both ends."""
        return [self.low, self.high]

    def draw(self, rng: np.random.Generator) -> float:
        return self.at(rng.random())

    def to_json(self) -> dict[str, Any]:
        return {"title": self.title, "low": self.low, "high": self.high, "log": self.log} | _told(self.when)


Axis = Choice | Range


def wanted(when: When, parent: str) -> tuple[str, ...]:
    """Return the labels of ``parent`` under which an axis with this ``when`` exists."""
    labels = when[parent]
    return (labels,) if isinstance(labels, str) else tuple(labels)


def both(one: When, other: When) -> When:
    """Return the condition of an axis that exists where ``one`` and ``other`` hold."""
    shared = one.keys() & other.keys()
    return {**one, **other} | {n: tuple(label for label in wanted(one, n) if label in wanted(other, n)) for n in shared}


def _told(when: When) -> dict[str, Any]:
    return {"when": {parent: list(wanted(when, parent)) for parent in when}} if when else {}


@dataclass(frozen=True)
class Space:
    """All arms of a question.

    Attributes:
        axes: what varies; an axis stands after those that it exists under.
        constraints: what every arm must meet.
        fixed: axes of one label each, which arms have without saying so.
    """

    axes: Mapping[str, Axis]
    constraints: tuple[Constraint, ...] = ()
    fixed: Mapping[str, Choice] = field(default_factory=dict)

    def full(self, labels: Labels) -> dict[str, Any]:
        """Return an arm with the labels of the fixed axes that it has."""
        told = dict(labels)
        for name, axis in self.fixed.items():
            if _holds(axis.when, told):
                told[name] = next(iter(axis.values))
        return told

    def has(self, name: str, labels: Labels) -> bool:
        """Return whether the arm that begins with ``labels`` has the axis ``name``."""
        return _holds(self.axes[name].when, self.full(labels))

    def allows(self, labels: Labels) -> bool:
        """Return whether an arm meets every constraint.

        Raises:
            UserError: a constraint asks for an axis that the arm does not have.
        """
        told = self.full(labels)
        try:
            return all(constraint(told) for constraint in self.constraints)
        except KeyError as error:
            raise UserError(
                f"a constraint asks for {error}, which is no axis of the arm {told}: an axis that only some arms have, or "
                "none, is asked for with labels.get(...)"
            ) from error

    def arms(self) -> Iterator[dict[str, Any]]:
        """Yield every allowed arm; the last axis changes fastest.

        Raises:
            UserError: an axis is a `Range`.
        """
        yield from self._unfold({}, list(self.axes))

    def _unfold(self, labels: dict[str, Any], names: list[str]) -> Iterator[dict[str, Any]]:
        if not names:
            if self.allows(labels):
                yield labels
        elif self.has(names[0], labels):
            for label in self.axes[names[0]].labels():
                yield from self._unfold(labels | {names[0]: label}, names[1:])
        else:
            yield from self._unfold(labels, names[1:])

    def draw(self, rng: np.random.Generator, held: Labels | None = None) -> dict[str, Any] | None:
        """Return a random allowed arm that has the labels ``held``; None if there is hardly one."""
        held = held or {}
        for _ in range(TRIES):
            labels: dict[str, Any] = {}
            for name, axis in self.axes.items():
                if self.has(name, labels):
                    labels[name] = held[name] if name in held else axis.draw(rng)
            if held.keys() <= labels.keys() and self.allows(labels):
                return labels
        return None

    def covering(self) -> list[dict[str, Any]]:
        """Return allowed arms that together hold every label of every axis, and the ends of every `Range`.

        Raises:
            UserError: the constraints leave no arm, or none with some label.
        """
        rng = np.random.default_rng(0)
        rounds = max((len(axis.extremes()) for axis in self.axes.values()), default=1)
        arms = []
        for i in range(rounds):
            labels: dict[str, Any] = {}
            for name, axis in self.axes.items():
                if self.has(name, labels):
                    labels[name] = axis.extremes()[min(i, len(axis.extremes()) - 1)]
            if self.allows(labels):
                arms.append(labels)
        for name, axis in self.axes.items():
            for label in axis.extremes():
                if any(arm.get(name) == label for arm in arms):
                    continue
                arm = self.draw(rng, {name: label})
                if arm is None and isinstance(axis, Range):
                    continue
                if arm is None:
                    raise UserError(
                        f"the constraints leave no arm with {name} = {label}: take the label away, or mend the constraints"
                    )
                arms.append(arm)
        if not arms:
            raise UserError("the constraints leave no arm: mend them, or the axes")
        return arms


def _holds(when: When, labels: Labels) -> bool:
    return all(labels.get(parent) in wanted(when, parent) for parent in when)
