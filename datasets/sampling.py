"""From studies to draws: which images of which study meet which report, and in which order.

A *draw* is one row of the contrastive matrix: one report with one or more views of its study, each of one image or of several
pooled ones. The order of all draws of a run is a function of ``(seed, epoch)`` alone: neither the number of workers, nor a
restart, nor the machine changes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np
from pydantic import Field

from .config import Config


class Sampling(Config):
    """How image-report pairs are drawn from a study.

    Attributes:
        images: ``first`` takes the first image of the study, as collections of frontal views do; ``one`` draws one image of the
            study at random at every visit; ``each`` makes every image a draw of its own, all with the same report; ``pooled``
            makes one draw of several images, whose features are pooled.
        num_images: images of a ``pooled`` draw, chosen at random at every visit; None takes all.
        max_images: only the first so many images of a study take part (a cap on long series).
    """

    images: Literal["first", "one", "each", "pooled"] = "one"
    num_images: int | None = Field(default=None, ge=1)
    max_images: int = Field(default=12, ge=1)

    @property
    def most_images(self) -> int:
        """The largest number of images that one view can hold."""
        return min(self.num_images or self.max_images, self.max_images) if self.images == "pooled" else 1


@dataclass(frozen=True)
class Draw:
    """One report with its views.

    Attributes:
        study: row of the corpus.
        images: of each view, counted within the study.
        seed: of everything else that is random at this visit.
    """

    study: int
    images: tuple[tuple[int, ...], ...]
    seed: tuple[int, int, int]


class Order:
    """The endless sequence of draws of a training run, addressed by position.

    Args:
        num_images: images of each study, int [num_studies].
        sampling: how draws are made.
        seed: of this replicate.
        views: of each draw; they show different images as long as the study has some.

    >>> order = Order(np.array([2, 1, 3]), Sampling(images="each"), seed=0)
    >>> order.draws_per_epoch
    6
    """

    def __init__(self, num_images: np.ndarray, sampling: Sampling, seed: int, views: int = 1) -> None:
        self.sampling = sampling
        self.seed = seed
        self.views = views
        self.num_images = np.minimum(num_images, 1 if sampling.images == "first" else sampling.max_images)
        self._studies = np.arange(len(num_images))
        if sampling.images == "each":
            self._studies = np.repeat(self._studies, self.num_images)
            starts = np.cumsum(self.num_images) - self.num_images
            self._image = np.arange(len(self._studies)) - starts[self._studies]
        self._permutation: tuple[int, np.ndarray] = (-1, np.empty(0, int))

    @property
    def draws_per_epoch(self) -> int:
        return len(self._studies)

    def _epoch(self, epoch: int) -> np.ndarray:
        if self._permutation[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            self._permutation = (epoch, rng.permutation(self.draws_per_epoch))
        return self._permutation[1]

    def draws(self, start: int, stop: int) -> list[Draw]:
        """Return the draws at positions ``start <= position < stop``; epochs follow each other without a gap."""
        return [self._draw(position) for position in range(start, stop)]

    def _draw(self, position: int) -> Draw:
        epoch, place = divmod(position, self.draws_per_epoch)
        which = int(self._epoch(epoch)[place])
        study = int(self._studies[which])
        num_images = int(self.num_images[study])
        rng = np.random.default_rng((self.seed, epoch, which, 1))
        first = int(self._image[which]) if self.sampling.images == "each" else int(rng.integers(num_images))
        # Views deal out the study's images in this order, and begin again where it has too few.
        deck = [first, *rng.permutation([image for image in range(num_images) if image != first]).tolist()]
        size = min(num_images, self.sampling.most_images)
        dealt = [[deck[card % num_images] for card in range(view * size, (view + 1) * size)] for view in range(self.views)]
        return Draw(study, tuple(tuple(sorted(images)) for images in dealt), (self.seed, epoch, which))

    def batches(self, batch_size: int, budget_pairs: int) -> Iterator[tuple[int, int]]:
        """Yield ``(step, pairs seen after it)`` until the budget is reached; the last batch may pass it by part of itself.

        A pair is an image met with its report: a draw counts the images of all its views.
        """
        pairs = self.views * np.minimum(self.num_images, self.sampling.most_images)[self._studies]
        left = np.empty(0, int)  # draws of an epoch that did not fill a batch
        seen, step = 0, 0
        for epoch in count():
            left = np.concatenate([left, pairs[self._epoch(epoch)]])
            whole = len(left) // batch_size * batch_size
            for total in left[:whole].reshape(-1, batch_size).sum(axis=1).tolist():
                if seen >= budget_pairs:
                    return
                seen += total
                yield step, seen
                step += 1
            left = left[whole:]
