"""FracAtlas: musculoskeletal radiographs of three hospitals in Bangladesh, with fractures outlined.

Layout as published (4,083 images, 717 with 922 fractures)::

    FracAtlas/
        dataset.csv      image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count,...
        images/          Fractured/IMG0000019.jpg ...  Non_fractured/ ...
        Annotations/     COCO JSON/COCO_fracture_masks.json, and the same as YOLO, PASCAL VOC, VGG JSON
        Utilities/       Fracture Split/ (of the fractured images only, for detection: not used)

Targets: ``fractured`` and ``hardware``. Boxes are those of the COCO file; an image without a fracture has none. No split covers
all images and no patient is named: every image counts as a patient, so two views of one limb may be in two splits.

Source: Abedeen et al. 2023, Scientific Data 10, doi 10.1038/s41597-023-02432-4.
"""

from pathlib import Path
from typing import Any

from ..labelled import Box, Labelled, LabelledImage, Target, split_of
from .files import NAMELESS, Published, known, number, read_json, table

TITLE = "FracAtlas"
WHERE = "Get FracAtlas.zip from https://doi.org/10.6084/m9.figshare.22363012 under CC BY 4.0."
TARGETS = {"fractured": Target("binary"), "hardware": Target("binary")}


def read(folder: Path) -> Labelled:
    """Return FracAtlas.

    Args:
        folder: ``FracAtlas``, or the folder that holds it.

    Raises:
        UserError: a table or an image is missing, or the annotations are no COCO file.
    """
    corpus = Published.at(TITLE, WHERE, folder, "FracAtlas")
    path = corpus.file("dataset.csv")
    boxes = _boxes(corpus.file("Annotations/COCO JSON/COCO_fracture_masks.json"))
    files = corpus.by_name("images/*/*")
    images = []
    for row in table(path, "image_id", *TARGETS):
        name = row["image_id"]
        labels = {target: number(row[target], path, target) for target in TARGETS if known(row[target])}
        whole = () if labels.get("fractured") == 0 else None
        images.append(
            LabelledImage(
                files.get(
                    name, corpus.folder / "images" / ("Fractured" if labels.get("fractured") else "Non_fractured") / name
                ),
                study=name,
                patient=name,
                split=split_of(name),
                labels=labels,
                boxes=boxes.get(name, whole),
            )
        )
    return corpus.labelled("fracatlas", TARGETS, images, NAMELESS)


def _boxes(path: Path) -> dict[str, tuple[Box, ...]]:
    """Return the boxes of a COCO file by name of the image."""
    return read_json(path, _of_coco)


def _of_coco(coco: dict[str, Any]) -> dict[str, tuple[Box, ...]]:
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    categories = {category["id"]: category["name"] for category in coco["categories"]}
    boxes: dict[str, tuple[Box, ...]] = {}
    for mark in coco["annotations"]:
        left, top, width, height = map(float, mark["bbox"])
        box = Box(categories[mark["category_id"]], left, top, left + width, top + height)
        name = names[mark["image_id"]]
        boxes[name] = (*boxes.get(name, ()), box)
    return boxes
