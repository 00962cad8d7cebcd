"""MURA: upper-limb radiographs of adults, each study called normal or abnormal by radiologists.

Layout as published (40,005 images of 14,656 studies)::

    MURA-v1.1/
        train_image_paths.csv     one path per line, no header: MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/image1.png
        train_labeled_studies.csv MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/,1
        valid_image_paths.csv  valid_labeled_studies.csv
        train/  valid/

Targets: ``abnormal`` of the study, and ``region``, which the path says. The official validation set is the test set, as all
who report on MURA do (the official test set is not public); validation patients come out of train.

Source: Rajpurkar et al. 2017, arXiv 1712.06957; https://stanfordmlgroup.github.io/competitions/mura.
"""

from pathlib import Path, PurePosixPath

from ..labelled import Labelled, LabelledImage, Target, split_of
from ..refusal import UserError
from .files import Published, number, rows

TITLE = "MURA v1.1"
WHERE = (
    "Get MURA-v1.1 from https://stanfordmlgroup.github.io/competitions/mura (Stanford AIMI) under the Stanford University "
    "School of Medicine MURA Dataset Research Use Agreement: non-commercial research, no redistribution."
)
REGIONS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")
TARGETS = {"abnormal": Target("binary"), "region": Target("classes", REGIONS)}


def read(folder: Path) -> Labelled:
    """Return MURA.

    Args:
        folder: ``MURA-v1.1``, or the folder that holds it.

    Raises:
        UserError: a table or an image is missing, or a path is not of the form above.
    """
    corpus = Published.at(TITLE, WHERE, folder, "MURA-v1.1")
    images = []
    for part in ("train", "valid"):
        labels_path = corpus.file(f"{part}_labeled_studies.csv")
        abnormal = {_below(study): number(label, labels_path, "label") for study, label in rows(labels_path, 2)}
        images_path = corpus.file(f"{part}_image_paths.csv")
        for (line,) in rows(images_path, 1):
            path = _below(line)
            region, patient = _region_and_patient(path, images_path)
            labels = {"region": float(REGIONS.index(region))}
            if path.parent in abnormal:
                labels["abnormal"] = abnormal[path.parent]
            split = "test" if part == "valid" else split_of(patient, val=0.1, test=0.0)
            images.append(LabelledImage(corpus.folder / path, str(path.parent), patient, split, labels))
    return corpus.labelled("mura", TARGETS, images)


def _below(path: str) -> PurePosixPath:
    """Return a path of MURA's tables without the name of the archive."""
    return PurePosixPath(*PurePosixPath(path).parts[1:])


def _region_and_patient(path: PurePosixPath, table: Path) -> tuple[str, str]:
    parts = path.parent.parts
    region = parts[1].removeprefix("XR_").lower() if len(parts) == 4 else ""
    if region not in REGIONS:
        raise UserError(
            f"{table}: {path} is no image of MURA (train/XR_WRIST/patient00001/study1_positive/image1.png, of "
            f"{', '.join(REGIONS)})"
        )
    return region, parts[2]
