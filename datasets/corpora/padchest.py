"""PadChest: chest radiographs of Hospital San Juan de Alicante, with Spanish reports and findings as a list.

Layout as published (160,868 images of 67,625 patients)::

    PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv (or .csv.gz)
        ...,ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,...,Report,MethodLabel,...,Labels,...
    0/ ... 54/       what 0.zip ... 54.zip hold: <ImageID>; ImageDir names the folder

Targets: one per finding or diagnosis that any study lists, of the study, and one per finding that comprises it. Findings form a
tree (`TREE`), and a list is complete in its leaves only: a study that lists ``rib fracture`` has a ``fracture``, listed or not.
What is neither listed nor comprises what is listed is absent; ``normal`` is listed like a finding. ``exclude``, ``unchanged``
and ``suboptimal study`` are no findings: a study without a list, or whose list holds ``exclude`` or nothing but these, has no
labels. Names are in lower case. A physician made 27 % of the lists and a network the rest (column MethodLabel). The reports are
as published: lower case, without accents, words stemmed. No split is published.

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
TREE = {
    "adenopathy": ("calcified adenopathy",),
    "alveolar pattern": ("air bronchogram", "consolidation"),
    "aortic elongation": (
        "aortic button enlargement",
        "ascendent aortic elongation",
        "descendent aortic elongation",
        "supra aortic elongation",
    ),
    "artificial heart valve": ("artificial aortic heart valve", "artificial mitral heart valve"),
    "atelectasis": (
        "atelectasis basal",
        "laminar atelectasis",
        "lobar atelectasis",
        "round atelectasis",
        "segmental atelectasis",
        "total atelectasis",
    ),
    "calcified adenopathy": ("calcified mediastinal adenopathy",),
    "calcified densities": (
        "calcified adenopathy",
        "calcified fibroadenoma",
        "calcified granuloma",
        "calcified pleural plaques",
        "calcified pleural thickening",
        "heart valve calcified",
    ),
    "catheter": ("central venous catheter",),
    "central venous catheter": (
        "central venous catheter via jugular vein",
        "central venous catheter via subclavian vein",
        "central venous catheter via umbilical vein",
        "reservoir central venous catheter",
    ),
    "consolidation": ("air bronchogram",),
    "electrical device": ("dai", "dual chamber device", "pacemaker", "single chamber device"),
    "endoprosthesis": ("aortic endoprosthesis",),
    "fissure thickening": ("loculated fissural effusion", "major fissure thickening", "minor fissure thickening"),
    "fracture": ("clavicle fracture", "humeral fracture", "rib fracture", "vertebral fracture"),
    "granuloma": ("calcified granuloma",),
    "hilar enlargement": ("vascular hilar enlargement",),
    "infiltrates": ("alveolar pattern", "interstitial pattern"),
    "interstitial pattern": (
        "ground glass pattern",
        "miliary opacities",
        "reticular interstitial pattern",
        "reticulonodular interstitial pattern",
    ),
    "mass": ("breast mass", "mediastinal mass", "pleural mass", "pulmonary mass", "soft tissue mass"),
    "mediastinal enlargement": (
        "aortic aneurysm",
        "ascendent aortic elongation",
        "descendent aortic elongation",
        "hiatal hernia",
        "mediastinal mass",
        "superior mediastinal enlargement",
    ),
    "metal": ("osteosynthesis material", "sternotomy", "suture material"),
    "nodule": ("multiple nodules",),
    "pleural effusion": (
        "empyema",
        "hemothorax",
        "hydropneumothorax",
        "loculated fissural effusion",
        "loculated pleural effusion",
    ),
    "pleural plaques": ("calcified pleural plaques",),
    "pleural thickening": ("apical pleural thickening", "calcified pleural thickening"),
    "pneumonia": ("atypical pneumonia",),
    "pneumothorax": ("hydropneumothorax",),
    "prosthesis": ("endoprosthesis", "humeral prosthesis", "mammary prosthesis"),
    "pseudonodule": ("end on vessel", "nipple shadow"),
    "pulmonary fibrosis": ("asbestosis signs", "post radiotherapy changes"),
    "pulmonary hypertension": ("pulmonary artery hypertension", "pulmonary venous hypertension"),
    "rib fracture": ("callus rib fracture",),
    "sclerotic bone lesion": ("blastic bone lesion",),
    "superior mediastinal enlargement": ("goiter", "supra aortic elongation"),
    "surgery": (
        "bone cement",
        "metal",
        "prosthesis",
        "surgery breast",
        "surgery heart",
        "surgery humeral",
        "surgery lung",
        "surgery neck",
    ),
    "surgery breast": ("mastectomy",),
    "thoracic cage deformation": ("cervical rib", "kyphosis", "pectum carinatum", "pectum excavatum", "scoliosis"),
    "tuberculosis": ("tuberculosis sequelae",),
    "vascular hilar enlargement": ("pulmonary artery enlargement",),
    "vascular redistribution": ("central vascular redistribution",),
    "vertebral compression": ("vertebral anterior compression",),
    "vertebral degenerative changes": ("vertebral compression",),
}
"""What each finding comprises. The published trees also put adenopathy under hilar enlargement, and mean one of the hilum; the
lists do not say where an adenopathy is.

Source: tree_term_CUI_counts_160K.csv and manual_review/trees_code.txt of https://github.com/auriml/Rx-thorax-automatic-captioning.
"""
PARENTS = {
    child: frozenset(parent for parent, others in TREE.items() if child in others)
    for children in TREE.values()
    for child in children
}


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
    """Return the findings of a cell such as ``['pleural effusion', 'normal']``, with those that comprise them.

    None where it says nothing.
    """
    if not known(cell):
        return None
    try:
        listed = {str(name).strip().lower() for name in ast.literal_eval(cell)}
    except (ValueError, SyntaxError, TypeError):
        raise UserError(f"{path}: the labels {cell!r} are no list") from None
    said = frozenset(listed - NO_FINDING)
    return _with_parents(said) if said and "exclude" not in listed else None


def _with_parents(findings: frozenset[str]) -> frozenset[str]:
    """Return ``findings`` and all that comprise one of them, up to the roots.

    >>> sorted(_with_parents(frozenset({"callus rib fracture"})))
    ['callus rib fracture', 'fracture', 'rib fracture']
    """
    parents = frozenset(parent for name in findings for parent in PARENTS.get(name, ()))
    return findings if parents <= findings else _with_parents(findings | parents)
