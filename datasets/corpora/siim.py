"""SIIM-ACR Pneumothorax Segmentation 2019: frontal chests of NIH ChestX-ray14, with pneumothoraces outlined.

Layout as published::

    train-rle.csv (or stage_2_train.csv)    ImageId,EncodedPixels; one row per outlined region, or -1 where there is none
    dicom-images-train/<study>/<series>/<ImageId>.dcm
    dicom-images-test/...                   labelled by stage_2_train.csv only

Target: ``pneumothorax``. Boxes bound the outlined regions. Images without a row are left out. No split is published, and the
files name another patient for every image, so an image counts as a patient: films of one person may be in two splits.

Source: https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation; Filice et al. 2020, Journal of Digital Imaging 33,
doi 10.1007/s10278-019-00299-9.
"""

from pathlib import Path

from ..labelled import Box, Labelled, LabelledImage, Target, split_of
from ..refusal import UserError
from .files import NAMELESS, Published, table

TITLE = "SIIM-ACR Pneumothorax Segmentation 2019"
WHERE = (
    "Get it from https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation under the competition's rules: non-commercial "
    "research and education, no redistribution."
)
TARGETS = {"pneumothorax": Target("binary")}
SIDE = 1024
"""All images are squares of 1024 pixels; the runs count pixels of that."""


def read(folder: Path) -> Labelled:
    """Return the labelled images of the pneumothorax challenge.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: the table or an image is missing, or a region is not run-length encoded.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    path = corpus.file("train-rle.csv", "stage_2_train.csv")
    files = corpus.by_name("dicom-images-train/**/*.dcm", "dicom-images-test/**/*.dcm")
    boxes: dict[str, list[Box]] = {}
    for row in table(path, "ImageId", "EncodedPixels"):
        regions = boxes.setdefault(row["ImageId"], [])
        if row["EncodedPixels"] != "-1":
            try:
                regions.append(box_of(row["EncodedPixels"]))
            except ValueError as error:
                raise UserError(f"{path}: image {row['ImageId']}: {error}") from error
    images = [
        LabelledImage(
            files.get(f"{name}.dcm", corpus.folder / "dicom-images-train" / f"{name}.dcm"),
            study=name,
            patient=name,
            split=split_of(name),
            labels={"pneumothorax": float(bool(regions))},
            boxes=tuple(regions),
        )
        for name, regions in boxes.items()
    ]
    return corpus.labelled("siim", TARGETS, images, NAMELESS)


def box_of(runs: str, side: int = SIDE) -> Box:
    """Return the box around a run-length encoded region of a square image of ``side`` pixels.

    The runs are pairs of a gap, counted from the end of the run before, and a length; pixels count down the columns.

    >>> box_of("5 2 2 2", side=4)
    Box(label='pneumothorax', left=1, top=1, right=3, bottom=3)

    Raises:
        ValueError: the text is not that, or the region leaves the image.
    """
    words = runs.split()
    numbers = [int(word) for word in words if word.isascii() and word.isdigit()]
    gaps, lengths = numbers[::2], numbers[1::2]
    if not words or len(numbers) < len(words) or len(gaps) != len(lengths) or 0 in lengths:
        raise ValueError(f"{runs[:40]!r} is no run-length encoded region: pairs of gap and length, or -1")
    if sum(numbers) > side * side:
        raise ValueError(f"the region {runs[:40]!r} has {sum(numbers)} pixels and gaps, and the image {side} x {side}")
    columns: list[int] = []
    rows: list[int] = []
    place = 0
    for gap, length in zip(gaps, lengths, strict=True):
        first, last = place + gap, place + gap + length - 1
        place = last + 1
        columns += [first // side, last // side]
        rows += [first % side, last % side] if first // side == last // side else [0, side - 1]
    return Box("pneumothorax", min(columns), min(rows), max(columns) + 1, max(rows) + 1)
