"""GRAZPEDWRI-DX: wrists of children after trauma, University Hospital Graz, with nine kinds of boxes.

Layout as published (20,327 images of 6,091 patients)::

    dataset.csv         filestem,patient_id,study_number,timehash,gender,age,laterality,projection,initial_exam,
                        ao_classification,cast,diagnosis_uncertain,osteopenia,fracture_visible,metal,...
    images_part1/ ... images_part4/     0001_1297860395_01_WRI-L1_M014.png (or all in one folder images/)
    folder_structure/yolov5/labels/     0001_1297860395_01_WRI-L1_M014.txt: class cx cy w h

Targets, of the single image: ``fracture_visible``, ``osteopenia``, ``cast``, ``metal``. The table ticks what is there and
leaves the rest empty, so an empty cell is absence; ``fracture_visible`` is unknown where ``diagnosis_uncertain`` is ticked. No
split is published. Boxes leave out the class ``text``, which marks the side marker and not the patient.

Source: Nagy et al. 2022, Scientific Data 9:222, doi 10.1038/s41597-022-01328-z.
"""

from pathlib import Path

from ..labelled import Box, Labelled, LabelledImage, Target, split_of
from ..refusal import UserError
from .files import Published, known, number, sex, size, table, text, yolo_box

TITLE = "GRAZPEDWRI-DX"
WHERE = "Get it from https://doi.org/10.6084/m9.figshare.14825193 under CC BY 4.0."
TARGETS = {name: Target("binary") for name in ("fracture_visible", "osteopenia", "cast", "metal")}
BOXES = (
    "boneanomaly",
    "bonelesion",
    "foreignbody",
    "fracture",
    "metal",
    "periostealreaction",
    "pronatorsign",
    "softtissue",
    "text",
)
"""Classes of the boxes, in the order of folder_structure/yolov5/meta.yaml."""


def read(folder: Path) -> Labelled:
    """Return GRAZPEDWRI-DX.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: a table or an image is missing, or a line of boxes is not in YOLO's form.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    path = corpus.file("dataset.csv")
    marks = corpus.file("folder_structure/yolov5/labels")
    files = corpus.by_name("images_part[1-4]/*.png", "images/*.png")
    images = []
    for row in table(path, "filestem", "patient_id", "gender", "diagnosis_uncertain", *TARGETS):
        source = files.get(f"{row['filestem']}.png", corpus.folder / f"images_part1/{row['filestem']}.png")
        ticked = {
            name: float(known(row[name]) and number(row[name], path, name) == 1) for name in (*TARGETS, "diagnosis_uncertain")
        }
        unknown = {"diagnosis_uncertain"} | ({"fracture_visible"} if ticked["diagnosis_uncertain"] else set())
        images.append(
            LabelledImage(
                source,
                study=row["filestem"],
                patient=row["patient_id"],
                split=split_of(row["patient_id"]),
                labels={name: tick for name, tick in ticked.items() if name not in unknown},
                sex=sex(row["gender"]),
                boxes=_boxes(marks / f"{row['filestem']}.txt", source),
            )
        )
    return corpus.labelled("grazpedwri", TARGETS, images)


def _boxes(path: Path, image: Path) -> tuple[Box, ...] | None:
    """Return the boxes of an image, or None where it has no file of them, or is missing or damaged: its size is unknown.

    Raises:
        UserError: a line is not in YOLO's form.
    """
    if not path.is_file():
        return None
    try:
        width, height = size(image)
    except UserError:
        return None
    boxes = [yolo_box(line, path, width, height, BOXES) for line in text(path).splitlines() if line.strip()]
    return tuple(box for box in boxes if box.label != "text")
