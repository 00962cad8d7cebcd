"""RSNA Pneumonia Detection Challenge 2018: frontal chests of NIH ChestX-ray14, with lung opacities boxed by radiologists.

Layout as published (26,684 labelled images)::

    stage_2_train_labels.csv     patientId,x,y,width,height,Target; one row per box, or one without a box
    stage_2_train_images/        <patientId>.dcm
    pneumonia-challenge-dataset-mappings_2018.json    optional, from RSNA: which NIH image each is

Target: ``pneumonia``. The challenge's test set has no public labels, so no split is published. A patientId is an *image*: NIH
patients with several images have several. With RSNA's mapping beside the table the NIH patient is the patient; without it,
or where it lacks an image, films of one patient may be in two splits, and a note says so.

Source: Shih et al. 2019, Radiology: Artificial Intelligence 1(1), doi 10.1148/ryai.2019180041.
"""

from pathlib import Path

from ..labelled import Box, Labelled, LabelledImage, Target, split_of
from .files import NAMELESS, Published, known, number, read_json, table

TITLE = "RSNA Pneumonia Detection Challenge 2018"
WHERE = (
    "Get stage 2 from https://www.kaggle.com/c/rsna-pneumonia-detection-challenge (and the mapping to NIH's patients from "
    "https://www.rsna.org/rsnai/ai-image-challenge/rsna-pneumonia-detection-challenge-2018) under the competition's rules: "
    "non-commercial research and education."
)
TARGETS = {"pneumonia": Target("binary")}
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"


def read(folder: Path) -> Labelled:
    """Return the labelled images of the pneumonia challenge.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: the table or an image is missing, or the mapping is not of the published form.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    path = corpus.file("stage_2_train_labels.csv")
    pneumonia: dict[str, float] = {}
    boxes: dict[str, list[Box]] = {}
    for row in table(path, "patientId", "x", "y", "width", "height", "Target"):
        name = row["patientId"]
        pneumonia[name] = number(row["Target"], path, "Target")
        marks = boxes.setdefault(name, [])
        if known(row["x"]):
            left, top, width, height = (number(row[column], path, column) for column in ("x", "y", "width", "height"))
            marks.append(Box("pneumonia", left, top, left + width, top + height))
    patients = _patients(corpus.folder / MAPPING)
    images = [
        LabelledImage(
            corpus.folder / "stage_2_train_images" / f"{name}.dcm",
            study=name,
            patient=patients.get(name, name),
            split=split_of(patients.get(name, name)),
            labels={"pneumonia": present},
            boxes=tuple(boxes[name]),
        )
        for name, present in pneumonia.items()
    ]
    nameless = pneumonia.keys() - patients.keys()
    note = f"of {len(nameless):,} images {NAMELESS} ({MAPPING} from RSNA beside the table names NIH's patients)"
    return corpus.labelled("rsna_pneumonia", TARGETS, images, *([note] if nameless else []))


def _patients(path: Path) -> dict[str, str]:
    """Return the NIH patient of each image: ``00013118_008.png`` is the eighth follow-up of patient 00013118."""
    if not path.is_file():
        return {}
    return read_json(path, lambda entries: {one["subset_img_id"]: one["img_id"].split("_")[0] for one in entries})
