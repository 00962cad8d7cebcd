"""Dense probes: does what the frozen tower sees at each place tell where a finding is?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from scipy import ndimage

from ...datasets.augment import plain, square
from ...datasets.images import read_pixels
from ...datasets.labelled import Labelled, LabelledImage, Target
from ...datasets.refusal import Refused, UserError
from ..encode import BATCH_SIZE, Reader
from .metrics import auroc
from .probe import Cases, Predictor, fit
from .task import Encoded, Prediction, Result, Task

CANVAS = 128
"""Side of the heat maps that are compared with regions, px: the same for every tower, whatever its resolution and grid."""
HOT = np.geomspace(0.0005, 0.5, 40)
"""Shares of the validation images' pixels that are above the thresholds which validation chooses from."""
UNTOLD = {
    "patch_auroc": "every patch of the test images is marked",
    "average_precision": "the boxes of the test images lie outside them",
}
"""Why a figure is not a number."""
TOUCHING = np.ones((3, 3))
"""Pixels of one region touch at a side or a corner."""


class Dense(Task):
    """A logistic regression on single patches: is the place marked?

    What is marked are the pixels of an image's mask where it has one, else its boxes; images that nobody searched take no part.
    Boxes that are to be detected are those of the image, or, where it has none, those around the parts of its mask.
    A patch is marked as `Regions.cells` says; patches of the black margins around an image take no part.

    Attributes:
        labels: of the boxes that count; none means all, and masks.
        images: training images at most, drawn once for all checkpoints.
        patches: of each training and validation image, at most so many marked and so many others.
        iou: overlap from which a detected box has found a marked one.
        seed: of the draws.
    """

    labels: tuple[str, ...] = ()
    images: int = Field(default=2000, ge=1)
    patches: int = Field(default=8, ge=1)
    iou: float = Field(default=0.3, gt=0, le=1)
    seed: int = 0

    def run(self, encoded: Encoded) -> Result:
        """Return what the probe is worth on test images.

        * ``patch_auroc``: over all patches.
        * ``dice``: of the pixels above a threshold and the marked ones, mean over images with a region; the threshold is the
          best one on validation images.
        * ``average_precision``: of boxes around what is above that threshold, scored by their hottest pixel.
        * ``pointing``: share of images with a region whose hottest patch is marked; ``pointing_chance`` of a random patch.
        * ``image_auroc``: of the hottest patch, between images with and without a region.

        Raises:
            UserError: no training or no test image has a region.
        """
        reader = reader_of(encoded, self.name)
        places = searched(encoded.corpus, self.labels, self.name)
        train = np.random.default_rng(self.seed).permutation(places["train"])[: self.images]
        cases = self._patches(reader, encoded.corpus, train)
        if not cases.truth.any() or cases.truth.all():
            raise UserError(
                f"{encoded.corpus.name}: none of the {len(train)} training images that dense would learn from has "
                f"{'a region' if not cases.truth.any() else 'a patch without one'}"
            )
        val = self._patches(reader, encoded.corpus, places["val"])
        predict = fit(Target("binary"), cases, val if len(np.unique(val.truth)) == 2 else None)
        grids, canvases, regions = [], [], []
        for maps, own in looked_at(reader, encoded.corpus, places["test"], self.labels):
            grid = told_everywhere(predict, maps)
            grids.append(np.where(own.shown(*grid.shape), grid, 0))
            canvases.append(on_canvas(grid, own))
            regions.append(own)
        truths = [own.cells(*one.shape) for own, one in zip(regions, grids, strict=True)]
        shown = [own.shown(*one.shape) for own, one in zip(regions, grids, strict=True)]
        some = np.array([truth.any() for truth in truths])
        if not some.any():
            raise UserError(f"{encoded.corpus.name}: no test image has a region that dense could find")
        with_region = np.flatnonzero(some)
        patients = np.array([encoded.corpus.images[place].patient for place in places["test"]], dtype=object)
        hits = np.array([pointed(grids[place], truths[place]) for place in with_region], float)
        predictions = [Prediction("pointing", None, patients[with_region], np.ones(len(hits)), hits)]
        metrics = {
            "patch_auroc": auroc(
                np.concatenate([truth[own] for truth, own in zip(truths, shown, strict=True)]).astype(float),
                np.concatenate([one[own] for one, own in zip(grids, shown, strict=True)]),
            ),
            "pointing": float(hits.mean()),
            "pointing_chance": float(np.mean([truths[place].sum() / shown[place].sum() for place in with_region])),
        }
        absent = []
        threshold = self._threshold(predict, reader, encoded.corpus, places["val"])
        if threshold is None:
            absent.append("dice and average_precision: no validation image has a region to choose their threshold by")
        else:
            hot = [(canvases[place] >= threshold, regions[place].cells(CANVAS, CANVAS)) for place in with_region]
            overlap = np.array([dice(one, truth) for one, truth in hot])
            metrics["dice"] = float(overlap.mean())
            predictions.append(Prediction("dice", None, patients[with_region], np.ones(len(overlap)), overlap))
            found = [detections(one, threshold) for one in canvases]
            metrics["average_precision"] = average_precision(found, [own.boxes for own in regions], self.iou)
        if some.all():
            absent.append("image_auroc: every test image has a region")
        else:
            scores, truth = np.array([one.max() for one in grids]), some.astype(float)
            metrics["image_auroc"] = auroc(truth, scores)
            predictions.append(Prediction("image_auroc", Target("binary"), patients, truth, scores))
        absent += [f"{name}: {UNTOLD[name]}" for name, value in metrics.items() if np.isnan(value)]
        return Result(
            {name: value for name, value in metrics.items() if not np.isnan(value)}, tuple(predictions), tuple(absent)
        )

    def _patches(self, reader: Reader, corpus: Labelled, places: np.ndarray) -> Cases:
        """Return marked and other patches of images, drawn from each by its place in the corpus."""
        inputs, truth, patients, splits = [], [], [], []
        for place, (maps, regions) in zip(places, looked_at(reader, corpus, places, self.labels), strict=True):
            marked, shown = regions.cells(*maps.shape[1:]), regions.shown(*maps.shape[1:])
            rng = np.random.default_rng((self.seed, int(place)))
            chosen = [rng.permutation(np.flatnonzero(shown & (marked == kind)))[: self.patches] for kind in (True, False)]
            own = np.concatenate(chosen)
            inputs.append(maps.reshape(len(maps), -1).T[own].astype(float))
            truth.append(marked.ravel()[own].astype(float))
            patients += [corpus.images[place].patient] * len(own)
            splits += [corpus.images[place].split] * len(own)
        if not inputs:
            return Cases(np.zeros((0, 0)), np.zeros(0), np.zeros(0, object), np.zeros(0, object))
        return Cases(np.concatenate(inputs), np.concatenate(truth), np.array(patients, object), np.array(splits, object))

    def _threshold(self, predict: Predictor, reader: Reader, corpus: Labelled, places: np.ndarray) -> float | None:
        """Return the threshold of the best mean Dice on validation images with a region; None without one."""
        hot = []
        for maps, regions in looked_at(reader, corpus, places, self.labels):
            truth = regions.cells(CANVAS, CANVAS)
            if truth.any():
                hot.append((on_canvas(told_everywhere(predict, maps), regions), truth))
        if not hot:
            return None
        values = np.concatenate([canvas[canvas > 0] for canvas, _ in hot])
        thresholds = np.unique(np.quantile(values, 1 - HOT))
        return float(max(thresholds, key=lambda one: np.mean([dice(canvas >= one, truth) for canvas, truth in hot])))


@dataclass(frozen=True)
class Regions:
    """What is marked in an image, on the black square that towers see it on; places are shares of the square's side.

    Attributes:
        image: left, top, right, bottom of the image itself.
        boxes: float [n, 4], the same of each region.
        side: of the square, px of the file.
        parts: of a mask, the number of each pixel's region, 0 outside; int [height, width] of the file.
    """

    image: np.ndarray
    boxes: np.ndarray
    side: int
    parts: np.ndarray | None = None

    @classmethod
    def of(cls, image: LabelledImage, shape: tuple[int, ...], labels: Sequence[str] = ()) -> "Regions":
        """Return the regions of an image of ``shape``; with ``labels``, only boxes of these.

        Raises:
            UserError: the mask is not one of this image.
        """
        (height, width), side = shape, max(shape)
        left, top = (side - width) // 2, (side - height) // 2
        corner, far = np.array([left, top] * 2), np.array([width, height] * 2)
        parts = None if image.mask is None or labels else _parts(image.mask, shape)
        if parts is not None and not image.boxes:
            slices = ndimage.find_objects(parts)
            marks = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in slices]
        else:
            own = [box for box in image.boxes or () if not labels or box.label in labels]
            marks = [(box.left, box.top, box.right, box.bottom) for box in own]
        boxes = (np.clip(np.array(marks, float).reshape(-1, 4), 0, far) + corner) / side
        boxes = boxes[(boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])]
        return cls((np.array([0, 0, width, height]) + corner) / side, boxes, side, parts)

    def cells(self, rows: int, columns: int) -> np.ndarray:
        """Return which cells of a grid over the square are marked, bool [rows, columns].

        A region marks the cells of which it covers more than half as much as of the cell it covers most: of a large region
        those that are more than half inside, and of one smaller than a cell still one.
        """
        marked = np.zeros((rows, columns), bool)
        for cover in self._covers(rows, columns):
            marked |= cover > cover.max() / 2
        return marked

    def shown(self, rows: int, columns: int) -> np.ndarray:
        """Return which cells show some of the image, bool [rows, columns]."""
        return _area(self.image, rows, columns) > 0

    def _covers(self, rows: int, columns: int) -> Iterator[np.ndarray]:
        """Yield of each region the share of each cell that it covers."""
        if self.parts is None:
            yield from (_area(box, rows, columns) for box in self.boxes)
            return
        left, top = np.rint(self.image[:2] * self.side)
        height, width = self.parts.shape
        down, across = (top + np.arange(height + 1)) / self.side, (left + np.arange(width + 1)) / self.side
        down, across = overlap(down[:-1], down[1:], rows), overlap(across[:-1], across[1:], columns)
        for number, own in enumerate(ndimage.find_objects(self.parts), 1):
            yield down[own[0]].T @ (self.parts[own] == number) @ across[own[1]]


def overlap(starts: np.ndarray, ends: np.ndarray, cells: int) -> np.ndarray:
    """Return the share of each of ``cells`` equal parts of [0, 1] that lies in each interval, [n, cells].

    >>> overlap(np.array([0.25]), np.array([0.625]), 2)
    array([[0.5 , 0.25]])
    """
    edges = np.arange(cells + 1) / cells
    inside = np.minimum(ends[:, None], edges[1:]) - np.maximum(starts[:, None], edges[:-1])
    return np.clip(inside, 0, None) * cells


def _area(box: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return np.outer(overlap(box[1:2], box[3:4], rows), overlap(box[0:1], box[2:3], columns))


def _parts(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        mask = read_pixels(path)
    except (Refused, OSError) as error:
        raise UserError(f"the mask {path} cannot be read ({error})") from error
    if mask.shape != shape:
        raise UserError(f"the mask {path} is {mask.shape[1]} x {mask.shape[0]} px, its image {shape[1]} x {shape[0]}")
    return connected(mask > 127)


def connected(mask: np.ndarray) -> np.ndarray:
    """Return the number of each pixel's connected region, from 1 on, 0 outside."""
    parts = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, TOUCHING, output=parts)
    return parts


def reader_of(encoded: Encoded, task: str) -> Reader:
    """Return the model behind features.

    Raises:
        UserError: features are all there is.
    """
    if encoded.reader is None:
        raise UserError(f"{task} needs the model itself: name a checkpoint")
    return encoded.reader


def searched(corpus: Labelled, labels: Sequence[str], task: str) -> dict[str, np.ndarray]:
    """Return by split the places of the images in which somebody looked for regions.

    Raises:
        UserError: no image has boxes or a mask, or none of the ``labels``.
    """
    known = {box.label for image in corpus.images for box in image.boxes or ()}
    if missing := sorted(set(labels) - known):
        raise UserError(f"{corpus.name} has no boxes of {', '.join(missing)}; it has {', '.join(sorted(known)) or 'none'}")
    places: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for place, image in enumerate(corpus.images):
        if image.split in places and (image.boxes is not None or (image.mask is not None and not labels)):
            places[image.split].append(place)
    if not any(places.values()):
        raise UserError(f"{corpus.name} has neither boxes nor masks: {task} has nothing to compare with")
    return {split: np.array(own, int) for split, own in places.items()}


def look(corpus: Labelled, place: int, resolution: int, labels: Sequence[str] = ()) -> tuple[np.ndarray, Regions]:
    """Return an image as `encode.view` does, and its regions."""
    image = corpus.images[place]
    pixels = image.pixels()
    return plain(square(pixels, max(pixels.shape)), resolution), Regions.of(image, pixels.shape, labels)


@torch.no_grad()
def looked_at(
    reader: Reader, corpus: Labelled, places: np.ndarray, labels: Sequence[str]
) -> Iterator[tuple[np.ndarray, Regions]]:
    """Yield of each image what the tower sees at each place, float32 [depth, rows, columns], and its regions."""
    tower = reader.pretrained.model.image.to(reader.device)
    for first in range(0, len(places), BATCH_SIZE):
        own = [
            look(corpus, place, reader.pretrained.config.image.resolution, labels)
            for place in places[first : first + BATCH_SIZE]
        ]
        maps = tower.maps(torch.from_numpy(np.stack([view for view, _ in own])).to(reader.device))
        yield from zip(maps.float().cpu().numpy(), (regions for _, regions in own), strict=True)


def told_everywhere(predict: Predictor, maps: np.ndarray) -> np.ndarray:
    """Return the probability at each place, float [rows, columns]."""
    return predict(maps.reshape(len(maps), -1).T.astype(float)).reshape(maps.shape[1:])


def on_canvas(grid: np.ndarray, regions: Regions) -> np.ndarray:
    """Return a grid as a smooth map, float [CANVAS, CANVAS], 0 in the margins around the image."""
    smooth = torch.nn.functional.interpolate(torch.from_numpy(grid)[None, None].float(), (CANVAS, CANVAS), mode="bilinear")
    return np.where(regions.shown(CANVAS, CANVAS), smooth[0, 0].numpy(), np.float32(0))


def pointed(grid: np.ndarray, marked: np.ndarray) -> float:
    """Return whether the hottest cell is marked; of several that are equally hot, the share that is.

    Source: J. Zhang et al., "Top-down Neural Attention by Excitation Backprop" (IJCV 2018), the pointing game.
    """
    return float(marked[grid == grid.max()].mean())


def dice(told: np.ndarray, truth: np.ndarray) -> float:
    """Return twice what two sets of cells share over what they have; NaN where both are empty."""
    both = told.sum() + truth.sum()
    return float(2 * (told & truth).sum() / both) if both else math.nan


Detection = tuple[float, np.ndarray]
"""Score and box."""


def detections(canvas: np.ndarray, threshold: float) -> list[Detection]:
    """Return a box around each connected part of ``canvas`` that reaches ``threshold``, scored by its hottest pixel."""
    parts = connected(canvas >= threshold)
    return [
        (
            float(canvas[rows, columns][parts[rows, columns] == number].max()),
            np.array([columns.start, rows.start, columns.stop, rows.stop]) / len(canvas),
        )
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1)
    ]


def intersection_over_union(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the overlap of a box with each of n others, [n]."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = np.clip(high - low, 0, None).prod(axis=1)
    return both / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - both)


def average_precision(found: Sequence[Sequence[Detection]], marked: Sequence[np.ndarray], iou: float) -> float:
    """Return the area under precision over recall, precision being the best at this recall or a higher one.

    Detections of all images are taken by score; each finds the marked box of its image that it overlaps most with, by at
    least ``iou``; if one before has found that box already, it finds nothing. NaN without marked boxes.

    Source: M. Everingham et al., "The Pascal Visual Object Classes Challenge: A Retrospective" (IJCV 2015), section 4.2.
    """
    ranked = sorted(
        ((score, image, box) for image, own in enumerate(found) for score, box in own), key=lambda one: one[0], reverse=True
    )
    open_boxes = [np.ones(len(boxes), bool) for boxes in marked]
    hits = np.zeros(len(ranked), bool)
    for rank, (_, image, box) in enumerate(ranked):
        overlaps = intersection_over_union(box, marked[image])
        if len(overlaps) and overlaps.max() >= iou:
            hits[rank] = open_boxes[image][overlaps.argmax()]
            open_boxes[image][overlaps.argmax()] = False
    total = sum(map(len, marked))
    if not total:
        return math.nan
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[hits].sum() / total)
