"""What a downstream task is: a pure function of what a checkpoint makes of a labelled corpus.

Features are computed once (`Encoded`); a task then fits and scores on numpy arrays, and says for each test case what it said,
so that arms can be compared patient by patient. A new task is one file with one subclass of `Task`.
"""

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...datasets.config import Config
from ...datasets.labelled import Labelled, Target
from ...datasets.refusal import UserError

if TYPE_CHECKING:
    from ..encode import Reader

MOST_VIEWS = 12
"""Images of a study that count, the first ones: long fluoroscopy series would outvote everything."""

SHOWN = 96
"""Side of an image in the report, px: enough to see what it is of, too small to read letters in it."""


@dataclass(frozen=True)
class Studies:
    """The studies of a labelled corpus, in order of their first images.

    Attributes:
        ids, patients, splits: [n] of str.
        images: of each study, places in the corpus, at most `MOST_VIEWS`.
    """

    ids: np.ndarray
    patients: np.ndarray
    splits: np.ndarray
    images: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, corpus: Labelled) -> "Studies":
        places: dict[str, list[int]] = {}
        for place, image in enumerate(corpus.images):
            places.setdefault(image.study, []).append(place)
        firsts = [corpus.images[own[0]] for own in places.values()]
        return cls(
            ids=np.array(list(places), dtype=object),
            patients=np.array([image.patient for image in firsts], dtype=object),
            splits=np.array([image.split for image in firsts], dtype=object),
            images=tuple(np.array(own[:MOST_VIEWS]) for own in places.values()),
        )


@dataclass(frozen=True)
class Encoded:
    """A labelled corpus as a checkpoint sees it.

    Attributes:
        corpus: the images, in the order of the rows below.
        states: float32 [images, width], features of the image tower; what probes read.
        features: float32 [images, embed_dim], unit vectors in the space shared with reports.
        encode_texts: unit vectors float32 [n, embed_dim] of any n texts; None where the checkpoint never learned from text.
        known: labels of the corpus it was pretrained on.
        reader: the model itself, for tasks that need more of it than features.
    """

    corpus: Labelled
    states: np.ndarray
    features: np.ndarray
    encode_texts: Callable[[Sequence[str]], np.ndarray] | None = None
    known: tuple[str, ...] = ()
    reader: "Reader | None" = None

    @cached_property
    def studies(self) -> Studies:
        return Studies.of(self.corpus)

    def by_study(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean of ``rows`` [images, d] over the images of each study, [studies, d]."""
        return np.stack([rows[own].mean(axis=0) for own in self.studies.images])

    def truth(self, target: str) -> np.ndarray:
        """Return a label of each study, float [studies]; NaN where it is unknown."""
        firsts = [self.corpus.images[own[0]] for own in self.studies.images]
        return np.array([image.labels.get(target, np.nan) for image in firsts], float)

    def reports(self) -> list[str | None]:
        """Return the report of each study; None where it has none."""
        return [self.corpus.images[own[0]].report for own in self.studies.images]


@dataclass(frozen=True)
class Prediction:
    """What a task said of the test cases of one target.

    Attributes:
        name: of the target, and of the setting where a task has several: ``fracture_at_10``.
        target: what the label means; None where a score is already how right an answer is, from 0 to 1, and truth is 1.
        patients: [n] of str.
        truth: float [n].
        scores: float [n] or [n, levels].
    """

    name: str
    target: Target | None
    patients: np.ndarray
    truth: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Result:
    """What a task found.

    Attributes:
        metrics: by name; what could not be computed is absent.
        predictions: what can be compared patient by patient.
        absent: why something that was asked for is missing, one sentence each.
        shown: arrays for the figures of the report: numbers, names of levels, images of at most `SHOWN` pixels. Nothing else
            goes in, no name of a file, study or patient and no text, so that no identity can come out.
    """

    metrics: Mapping[str, float]
    predictions: tuple[Prediction, ...] = ()
    absent: tuple[str, ...] = ()
    shown: Mapping[str, np.ndarray] = field(default_factory=dict)


class Task(Config):
    """A downstream task; its name is that of its file."""

    @property
    def name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def run(self, encoded: Encoded) -> Result:
        """Return what the checkpoint is worth.

        Raises:
            UserError: the corpus has nothing for this task.
        """


def load_task(name: str) -> Task:
    """Return the task of the file ``name``, with its defaults.

    Raises:
        UserError: there is none; names those there are.
    """
    package = __name__.rpartition(".")[0]
    files = [module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    tasks = {file: _task_of(f"{package}.{file}") for file in files}
    task = tasks.get(name)
    if task is None:
        raise UserError(f"there is no task {name!r}: there are {', '.join(file for file in files if tasks[file])}")
    return task()


def _task_of(module: str) -> type[Task] | None:
    """Return the task that a file defines; None if it defines none."""
    kinds = [kind for kind in vars(importlib.import_module(module)).values() if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, Task) and kind.__module__ == module != __name__), None)
