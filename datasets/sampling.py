"""From studies to draws: which images of which study meet which report, and in which order.

A *draw* is one row of the contrastive matrix: one report with one or more images of its study. The order of all draws
of a run is a function of ``(seed, epoch)`` alone: neither the number of workers, nor a restart, nor the machine changes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from .config import Config


class Sampling(Config):
    """How image-report pairs are drawn from a study.

    Attributes:
        images: ``first`` takes the first image of the study, as collections of frontal views do; ``one`` draws one image of the
            study at random at every visit; ``each`` makes every image a draw of its own, all with the same report; ``pooled``
            makes one draw of all images, whose features are averaged.
        max_images: only the first so many images of a study take part (a cap on long series).
    """

    images: Literal["first", "one", "each", "pooled"] = "one"
    max_images: int = Field(default=12, ge=1)


@dataclass(frozen=True)
class Draw:
    """One report with its images: ``study`` is a row of the corpus, ``images`` count within that study."""

    study: int
    images: tuple[int, ...]
    seed: tuple[int, int, int]


class Order:
    """The endless sequence of draws of a training run, addressed by position.

    Args:
        num_images: images of each study, int [num_studies].
        sampling: how draws are made.
        seed: of this replicate.

    >>> order = Order(np.array([2, 1, 3]), Sampling(images="each"), seed=0)
    >>> order.draws_per_epoch
    6
    """

    def __init__(self, num_images: np.ndarray, sampling: Sampling, seed: int) -> None:
        self.sampling = sampling
        self.seed = seed
        self.num_images = np.minimum(num_images, sampling.max_images)
        if sampling.images == "each":
            self._studies = np.repeat(np.arange(len(num_images)), self.num_images)
            starts = np.cumsum(self.num_images) - self.num_images
            self._image = np.arange(len(self._studies)) - starts[self._studies]
        else:
            self._studies = np.arange(len(num_images))
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
        count = int(self.num_images[study])
        match self.sampling.images:
            case "first":
                images = (0,)
            case "one":
                images = (int(np.random.default_rng((self.seed, epoch, which, 1)).integers(count)),)
            case "each":
                images = (int(self._image[which]),)
            case "pooled":
                images = tuple(range(count))
        return Draw(study, images, (self.seed, epoch, which))

    def _pairs(self, start: int, stop: int) -> int:
        """Image-report pairs in the draws from ``start`` to ``stop``."""
        if self.sampling.images != "pooled":
            return stop - start
        return sum(
            int(self.num_images[self._epoch(position // self.draws_per_epoch)[position % self.draws_per_epoch]])
            for position in range(start, stop)
        )

    def batches(self, batch_size: int, budget_pairs: int) -> Iterator[tuple[int, int]]:
        """Yield ``(step, pairs seen after it)`` until the budget is reached; the last batch may pass it by part of itself."""
        seen, step = 0, 0
        while seen < budget_pairs:
            seen += self._pairs(step * batch_size, (step + 1) * batch_size)
            yield step, seen
            step += 1
