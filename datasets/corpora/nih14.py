"""NIH ChestX-ray14: frontal chests of the NIH Clinical Center, with 14 findings mined from their reports.

Layout as published (112,120 images of 30,805 patients)::

    Data_Entry_2017.csv (or Data_Entry_2017_v2020.csv)    Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,
                                                          Patient Gender (or Sex),View Position,...
    train_val_list.txt  test_list.txt                     names of images
    BBox_List_2017.csv                                    Image Index,Finding Label,Bbox [x,y,w,h]
    images_001/images/ ... images_012/images/             00000001_000.png (or all in one folder images/)

Targets: one per finding, of the single image; the corpus lists what is present, ``A|B`` or ``No Finding``, and means that the
rest is absent. Boxes, in pixels, exist for 880 images and are None elsewhere. ``test_list.txt`` is the test set;
validation patients come out of the others.

Source: Wang et al. 2017, CVPR, arXiv 1705.02315.
"""

from pathlib import Path

from ..labelled import Box, Labelled, LabelledImage, Target, split_of
from ..refusal import UserError
from .files import Published, number, rows, sex, table, text

TITLE = "NIH ChestX-ray14"
WHERE = (
    "Get it from https://nihcc.app.box.com/v/ChestXray-NIHCC: free to use without restriction, citing the paper and "
    "acknowledging the NIH Clinical Center."
)
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
TARGETS = {name: Target("binary") for name in FINDINGS}


def read(folder: Path) -> Labelled:
    """Return ChestX-ray14.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: a table, a list or an image is missing, or a finding is none of the 14.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    path = corpus.file("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
    tested = set(text(corpus.file("test_list.txt")).split())
    boxes = _boxes(corpus.file("BBox_List_2017.csv"))
    files = corpus.by_name("images/*.png", "images_*/images/*.png", "images_*/*.png")
    images = []
    for row in table(path, "Image Index", "Finding Labels", "Patient ID"):
        name, patient = row["Image Index"], row["Patient ID"]
        found = set(row["Finding Labels"].split("|")) - {"No Finding"}
        if found - set(FINDINGS):
            raise UserError(f"{path}: {name} has a finding that is none of the 14: {', '.join(sorted(found - set(FINDINGS)))}")
        images.append(
            LabelledImage(
                files.get(name, corpus.folder / "images_001" / "images" / name),
                study=name,
                patient=patient,
                split="test" if name in tested else split_of(patient, val=0.1, test=0.0),
                labels={finding: float(finding in found) for finding in FINDINGS},
                sex=sex(row.get("Patient Gender", row.get("Patient Sex", ""))),
                boxes=boxes.get(name),
            )
        )
    return corpus.labelled("nih14", TARGETS, images)


def _boxes(path: Path) -> dict[str, tuple[Box, ...]]:
    """Return the boxes by image. The header is broken (its brackets hold commas), so cells count by place."""
    boxes: dict[str, tuple[Box, ...]] = {}
    for name, finding, *cells in rows(path, 6)[1:]:
        left, top, width, height = (number(cell, path, "Bbox") for cell in cells)
        label = "Infiltration" if finding == "Infiltrate" else finding
        boxes[name] = (*boxes.get(name, ()), Box(label, left, top, left + width, top + height))
    return boxes
