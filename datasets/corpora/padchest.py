"""PadChest: chest radiographs of Hospital San Juan de Alicante, with Spanish reports and findings as a list.

Layout as published (160,868 images of 67,625 patients)::

    PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv (or .csv.gz)
        ...,ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,...,Report,MethodLabel,...,Labels,...
    0/ ... 54/       what 0.zip ... 54.zip hold: <ImageID>; ImageDir names the folder

Targets: one per finding or diagnosis that any study lists, of the study; the list is complete, so what it does not hold is
absent. ``exclude``, ``unchanged`` and ``suboptimal study`` are no findings; a study without a list, or whose list holds
``exclude``, has no labels. A physician made 27 % of the lists and a network the rest (column MethodLabel). The reports are as
published: lower case, without accents, words stemmed. No split is published.

Source: Bustos et al. 2020, Medical Image Analysis 66:101797, arXiv 1901.07441.
"""

import ast
from collections.abc import Mapping
from pathlib import Path

from ..labelled import Labelled, LabelledImage, Target, split_of
from ..refusal import UserError
from .files import Published, known, sex, table

TITLE = "PadChest"
WHERE = (
    "Get it from https://bimcv.cipf.es/bimcv-projects/padchest under the PadChest Dataset Research Use Agreement: research, no "
    "redistribution."
)
TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
NO_FINDING = {"", "exclude", "unchanged", "suboptimal study"}


def read(folder: Path) -> Labelled:
    """Return PadChest.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: the table or an image is missing, or a cell of labels is no list.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    path = corpus.file(TABLE, f"{TABLE}.gz")
    wanted = ("ImageID", "ImageDir", "StudyID", "PatientID", "PatientSex_DICOM", "Report", "Labels")
    listed = [tuple(row[column] for column in wanted) for row in table(path, *wanted)]
    findings = {cell: _findings(cell, path) for cell in {row[-1] for row in listed}}
    names = sorted(set().union(*(found for found in findings.values() if found is not None)))
    labels: dict[str, Mapping[str, float]] = {
        cell: {} if found is None else {name: float(name in found) for name in names} for cell, found in findings.items()
    }
    images = [
        LabelledImage(
            corpus.folder / folder_name / image,
            study=study,
            patient=patient,
            split=split_of(patient),
            labels=labels[cell],
            sex=sex(gender),
            report=report if known(report) else None,
        )
        for image, folder_name, study, patient, gender, report, cell in listed
    ]
    return corpus.labelled("padchest", {name: Target("binary") for name in names}, images)


def _findings(cell: str, path: Path) -> frozenset[str] | None:
    """Return the findings of a cell such as ``['pleural effusion', 'normal']``, or None where it says nothing."""
    if not known(cell):
        return None
    try:
        listed = {str(name).strip().lower() for name in ast.literal_eval(cell)}
    except (ValueError, SyntaxError, TypeError):
        raise UserError(f"{path}: the labels {cell!r} are no list") from None
    return None if "exclude" in listed else frozenset(listed - NO_FINDING)
