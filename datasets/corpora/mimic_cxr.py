"""MIMIC-CXR-JPG: chest radiographs of Beth Israel Deaconess Medical Center, with their reports and 14 observations.

Layout as published (377,110 images of 65,379 patients)::

    mimic-cxr-2.0.0-split.csv.gz      dicom_id,study_id,subject_id,split (versions 2.0.0 and 2.1.0 have the same names)
    mimic-cxr-2.0.0-chexpert.csv.gz   subject_id,study_id,Atelectasis,...
    files/p10/p10000032/s50414267/<dicom_id>.jpg
    files/p10/p10000032/s50414267.txt     optional: mimic-cxr-reports.zip of MIMIC-CXR, unpacked into the same tree

Targets: one per observation of the CheXpert labeler, of the study; 1 and 0 are kept, -1 (uncertain) and empty (not mentioned)
are unknown and left out. The official split is kept (``validate`` is val). Tables may be unpacked.

Source: Johnson et al. 2019, arXiv 1901.07042; Johnson et al. 2019, Scientific Data 6:317.
"""

from pathlib import Path

from ..labelled import Labelled, LabelledImage, Target
from ..refusal import UserError
from .chexpert import FINDINGS, certain
from .files import Published, table, text

TITLE = "MIMIC-CXR-JPG"
WHERE = (
    "Get mimic-cxr-jpg from https://physionet.org/content/mimic-cxr-jpg and its reports from "
    "https://physionet.org/content/mimic-cxr under the PhysioNet Credentialed Health Data License 1.5.0: "
    "credentialed users, no redistribution."
)
TARGETS = {name: Target("binary") for name in FINDINGS}
SPLITS = {"train": "train", "validate": "val", "test": "test"}


def read(folder: Path) -> Labelled:
    """Return MIMIC-CXR-JPG, with the reports that are there.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: a table or an image is missing, or a split is none of the three.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    observed = corpus.file("mimic-cxr-2.0.0-chexpert.csv.gz", "mimic-cxr-2.0.0-chexpert.csv")
    labels = {row["study_id"]: certain(row, observed) for row in table(observed, "study_id", *FINDINGS)}
    split = corpus.file("mimic-cxr-2.0.0-split.csv.gz", "mimic-cxr-2.0.0-split.csv")
    reports: dict[str, str | None] = {}
    images = []
    for row in table(split, "dicom_id", "study_id", "subject_id", "split"):
        patient, study = row["subject_id"], row["study_id"]
        if row["split"] not in SPLITS:
            raise UserError(
                f"{split}: {row['dicom_id']} is in the split {row['split']!r}, which is none of {', '.join(SPLITS)}"
            )
        tree = corpus.folder / "files" / f"p{patient[:2]}" / f"p{patient}"
        if study not in reports:
            path = tree / f"s{study}.txt"
            reports[study] = text(path).strip() if path.is_file() else None
        images.append(
            LabelledImage(
                tree / f"s{study}" / f"{row['dicom_id']}.jpg",
                study=study,
                patient=patient,
                split=SPLITS[row["split"]],
                labels=labels.get(study, {}),
                report=reports[study],
            )
        )
    return corpus.labelled("mimic_cxr", TARGETS, images)
