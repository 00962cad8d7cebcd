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
        told = rows(labels_path, 2)
        abnormal = {_study(PurePosixPath(path), labels_path): number(label, labels_path, "label") for path, label in told}
        images_path = corpus.file(f"{part}_image_paths.csv")
        for (line,) in rows(images_path, 1):
            path = PurePosixPath(line)
            study = _study(path.parent, images_path)
            patient = study.parts[2]
            labels = {"region": float(REGIONS.index(_region(study)))}
            if study in abnormal:
                labels["abnormal"] = abnormal[study]
            split = "test" if part == "valid" else split_of(patient, val=0.1, test=0.0)
            images.append(LabelledImage(corpus.folder / study / path.name, str(study), patient, split, labels))
    return corpus.labelled("mura", TARGETS, images)


def _study(path: PurePosixPath, table: Path) -> PurePosixPath:
    """Return the folder of a study of MURA's tables without the name of the archive.

    Raises:
        UserError: it is not of the form above.
    """
    study = PurePosixPath(*path.parts[1:])
    if len(study.parts) != 4 or _region(study) not in REGIONS:
        raise UserError(
            f"{table}: {path} is no study of MURA (MURA-v1.1/train/XR_WRIST/patient00001/study1_positive, of an "
            f"{', '.join(REGIONS)})"
        )
    return study


def _region(study: PurePosixPath) -> str:
    return study.parts[1].removeprefix("XR_").lower()
