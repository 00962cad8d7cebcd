"""VinDr-CXR: frontal chests of two hospitals in Hanoi, read by radiologists: 22 findings with boxes and 6 diagnoses.

Layout as published (15,000 and 3,000 images)::

    annotations/
        image_labels_train.csv    image_id,rad_id,Aortic enlargement,...,Other diseases,No finding: three rows an image
        image_labels_test.csv     image_id,Aortic enlargement,...: the consensus of five readers
        annotations_train.csv     image_id,rad_id,class_name,x_min,y_min,x_max,y_max
        annotations_test.csv      image_id,class_name,x_min,y_min,x_max,y_max
    train/<image_id>.dicom  test/<image_id>.dicom

Targets: one per column. In training more than half of the readers who answered decide (two of three); a finding that none
answered is unknown. Boxes are all that readers drew for a finding that the label calls present, so one finding may have up to
three. No patient is named: every image counts as one. The official test set is the test set; validation images come out of
train.

Source: Nguyen et al. 2022, Scientific Data 9:429, doi 10.1038/s41597-022-01498-w.
"""

from pathlib import Path

from ..labelled import Box, Labelled, LabelledImage, Target, split_of
from .files import NAMELESS, Published, known, number, table

TITLE = "VinDr-CXR"
WHERE = (
    "Get vindr-cxr 1.0.0 from https://physionet.org/content/vindr-cxr under the PhysioNet Credentialed Health Data License "
    "1.5.0: credentialed users, no redistribution."
)
SAME = {"Other disease": "Other diseases"}
"""Columns that the two tables spell in two ways."""
CORNERS = ("x_min", "y_min", "x_max", "y_max")


def read(folder: Path) -> Labelled:
    """Return VinDr-CXR.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: a table or an image is missing.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    images: list[LabelledImage] = []
    names: dict[str, Target] = {}
    for part in ("train", "test"):
        present = _majority(corpus.file(f"annotations/image_labels_{part}.csv"))
        boxes = _boxes(corpus.file(f"annotations/annotations_{part}.csv"), present)
        for name, labels in present.items():
            names |= dict.fromkeys(labels, Target("binary"))
            images.append(
                LabelledImage(
                    corpus.folder / part / f"{name}.dicom",
                    study=name,
                    patient=name,
                    split="test" if part == "test" else split_of(name, val=0.1, test=0.0),
                    labels=labels,
                    boxes=tuple(boxes.get(name, ())),
                )
            )
    return corpus.labelled("vindr_cxr", names, images, NAMELESS)


def _majority(path: Path) -> dict[str, dict[str, float]]:
    """Return by image and finding whether more than half of the readers who answered saw it."""
    votes: dict[str, dict[str, list[float]]] = {}
    for row in table(path, "image_id"):
        image = votes.setdefault(row["image_id"], {})
        for column, cell in row.items():
            if column and column not in ("image_id", "rad_id") and known(cell):
                image.setdefault(SAME.get(column, column), []).append(number(cell, path, column))
    return {
        name: {finding: float(2 * sum(said) > len(said)) for finding, said in findings.items()}
        for name, findings in votes.items()
    }


def _boxes(path: Path, present: dict[str, dict[str, float]]) -> dict[str, list[Box]]:
    """Return the boxes of the findings that are present, by image."""
    boxes: dict[str, list[Box]] = {}
    for row in table(path, "image_id", "class_name", *CORNERS):
        finding = SAME.get(row["class_name"], row["class_name"])
        if known(row["x_min"]) and present.get(row["image_id"], {}).get(finding) == 1:
            corners = (number(row[corner], path, corner) for corner in CORNERS)
            boxes.setdefault(row["image_id"], []).append(Box(finding, *corners))
    return boxes
