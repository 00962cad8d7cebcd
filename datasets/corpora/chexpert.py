"""CheXpert: chest radiographs of Stanford Hospital, with 14 observations mined from their reports.

Layout as published (224,316 images of 65,240 patients)::

    CheXpert-v1.0/ (or CheXpert-v1.0-small/)
        train.csv  valid.csv     Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,...,Support Devices
        train/patient00001/study1/view1_frontal.jpg
        valid/patient64541/study1/view1_frontal.jpg

or the full size as it is delivered, in batches: ``CheXpert-v1.0 batch 1 (validate & csv)`` with the tables and ``valid``, and
``CheXpert-v1.0 batch 2 (train 1)`` to ``batch 4 (train 3)`` with ``patient00001/study1/...``, side by side in one folder.

Targets: one per observation, of the study. 1 and 0 are what the report says; -1 (uncertain) and empty (not mentioned) are
unknown and left out. ``valid.csv``, labelled by three radiologists, is the test set; validation patients come out of train. The
competition's own test set, published with CheXlocalize, is not read.

Source: Irvin et al. 2019, AAAI, arXiv 1901.07031.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..labelled import Labelled, LabelledImage, Target, split_of
from ..refusal import UserError
from .files import Published, known, number, sex, table

TITLE = "CheXpert v1.0"
WHERE = (
    "Get CheXpert-v1.0 or CheXpert-v1.0-small from https://aimi.stanford.edu/datasets/chexpert-chest-x-rays under the Stanford "
    "University Dataset Research Use Agreement: non-commercial research, no redistribution."
)
FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
TARGETS = {name: Target("binary") for name in FINDINGS}


def read(folder: Path) -> Labelled:
    """Return CheXpert.

    Args:
        folder: ``CheXpert-v1.0`` or ``CheXpert-v1.0-small``, or the folder that holds one of them or the batches.

    Raises:
        UserError: a table or an image is missing, or a path is not of the form above.
    """
    corpus = Published.at(TITLE, WHERE, folder, "CheXpert-v1.0", "CheXpert-v1.0-small")
    batches = sorted(one for one in corpus.folder.glob("*batch*") if one.is_dir())
    images = []
    for part in ("train", "valid"):
        path = corpus.file(f"{part}.csv", *(f"{batch.name}/{part}.csv" for batch in batches))
        together = (corpus.folder / part).is_dir()
        for row in table(path, "Path", "Sex", *FINDINGS):
            file = PurePosixPath(*PurePosixPath(row["Path"]).parts[1:])
            if len(file.parts) != 4:
                raise UserError(
                    f"{path}: {row['Path']} is no image of CheXpert (CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg)"
                )
            patient = file.parts[1]
            images.append(
                LabelledImage(
                    corpus.folder / file if together else _in_a_batch(file, batches, corpus.folder),
                    study=str(file.parent),
                    patient=patient,
                    split="test" if part == "valid" else split_of(patient, val=0.1, test=0.0),
                    labels=certain(row, path),
                    sex=sex(row["Sex"]),
                )
            )
    return corpus.labelled("chexpert", TARGETS, images)


def _in_a_batch(file: PurePosixPath, batches: Sequence[Path], folder: Path) -> Path:
    """Return where an image lies in the archives as they are delivered, the training ones without their folder ``train``."""
    places = (place for batch in batches for place in (batch / file, batch.joinpath(*file.parts[1:])))
    return next((place for place in places if place.is_file()), folder / file)


def certain(row: dict[str, str], path: Path) -> dict[str, float]:
    """Return what the CheXpert labeler is sure of in a row of the table at ``path``: 1 present, 0 absent.

    Raises:
        UserError: a cell holds no number.
    """
    values = {name: number(row[name], path, name) for name in FINDINGS if known(row[name])}
    return {name: value for name, value in values.items() if value in (0, 1)}
