"""A phantom hospital as a labelled corpus: what only a phantom can tell, the pixels of its findings among it.

Layout, as ``radsweep phantom`` writes it::

    hospital/
        dicom/PAT00000/RX01/IM000001.dcm ...
        truth/labels.csv    accession_number, the findings, kl_grade, body_part
        truth/images.csv    image, accession_number, view, patient, mask
        truth/masks/        PNG of an image's size; 255 where a finding changes it

Targets: the findings, ``kl_grade`` and ``body_part``. Splits follow from the names of its patients and are not those of a pairs
folder made from the same hospital: evaluate on a hospital of another seed, whose patients no pretraining has seen.
"""

from pathlib import Path

from ..labelled import Labelled, LabelledImage, Target, split_of
from ..phantom.anatomy import SKELETONS
from ..phantom.findings import LABELS
from .files import Published, known, number, table

TITLE = "phantom hospital"
WHERE = "Make one with `radsweep phantom FOLDER --seed 1`."
PARTS = tuple(skeleton.name for skeleton in SKELETONS)
TARGETS = {
    **{name: Target("binary") for name in LABELS},
    "kl_grade": Target("grade", ("0", "1", "2", "3", "4")),
    "body_part": Target("classes", PARTS),
}


def read(folder: Path) -> Labelled:
    """Return the hospital's images that belong to a study with labels.

    Args:
        folder: what ``radsweep phantom`` wrote.

    Raises:
        UserError: a table, an image or a mask is missing.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    path = corpus.file("truth/labels.csv")
    studies = {}
    for told in table(path, "accession_number", "body_part"):
        study, part = told.pop("accession_number"), told.pop("body_part")
        studies[study] = {name: number(cell, path, name) for name, cell in told.items() if known(cell)}
        studies[study]["body_part"] = float(PARTS.index(part))
    images = [
        LabelledImage(
            source=corpus.folder / told["image"],
            study=told["accession_number"],
            patient=told["patient"],
            split=split_of(told["patient"]),
            labels=studies[told["accession_number"]],
            boxes=(),
            mask=corpus.file(f"truth/{told['mask']}") if told["mask"] else None,
        )
        for told in table(corpus.file("truth/images.csv"), "image", "accession_number", "patient", "mask")
        if told["accession_number"] in studies
    ]
    return corpus.labelled("phantom", TARGETS, images)
