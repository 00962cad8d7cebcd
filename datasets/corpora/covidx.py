"""COVIDx CXR: chest radiographs of several public collections, COVID-19 or not.

Layout as published on Kaggle (CXR-2, CXR-3 and CXR-4)::

    train.txt  test.txt  val.txt     one image per line: <patient> <file name> <class> <collection>; val.txt since CXR-4
    train/     test/     val/        the images

Target: ``covid19`` where the classes are ``positive`` and ``negative``; ``diagnosis`` where they are ``normal``,
``pneumonia`` and ``COVID-19`` (lists of variant A); in any case of letters, and no other. Each image is a study. The published
lists are the splits; without ``val.txt`` validation patients come out of train. A patient's name is unique in its collection
only. The collections ``fig1``, ``rsna`` and ``sirm`` name no patients: what stands in their place is the image's own name, so
every image counts as one, and a note says how many do.

Source: Wang, Lin, Wong 2020, Scientific Reports 10:19549; Wu et al. 2023, arXiv 2311.17677; https://github.com/lindawangg/COVID-Net
(its folder ``labels`` and the notebooks that make the lists).
"""

from pathlib import Path

from ..labelled import Labelled, LabelledImage, Target, split_of
from ..refusal import UserError
from .files import NAMELESS, Published, text

TITLE = "COVIDx CXR"
WHERE = (
    "Get it from https://www.kaggle.com/datasets/andyczhao/covidx-cxr2; each image stays under the terms of the collection it "
    "comes from, which https://github.com/lindawangg/COVID-Net/blob/master/docs/COVIDx.md lists."
)
TARGETS = {"covid19": Target("binary"), "diagnosis": Target("classes", ("COVID-19", "normal", "pneumonia"))}
VALUES = {
    "covid19": {"negative": 0.0, "positive": 1.0},
    "diagnosis": {level.lower(): float(place) for place, level in enumerate(TARGETS["diagnosis"].levels)},
}
PATIENTLESS = {"fig1", "rsna", "sirm"}
"""Collections whose lines begin with the name of the image, not of the patient."""
KNOWN = " or ".join(", ".join(values) for values in VALUES.values())


def read(folder: Path) -> Labelled:
    """Return COVIDx.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: a list or an image is missing, a line or a class is not of the form above, or a patient is in two lists.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    lists = {split: corpus.file(f"{split}.txt") for split in ("train", "test")}
    if (corpus.folder / "val.txt").is_file():
        lists["val"] = corpus.folder / "val.txt"
    entries = [(split, *_entry(line, path)) for split, path in lists.items() for line in _lines(path)]
    found = {finding.lower() for *_, finding in entries}
    target = next((name for name, values in VALUES.items() if found <= values.keys()), None)
    if target is None:
        raise UserError(f"{TITLE}: the lists in {corpus.folder} mix classes ({', '.join(sorted(found))}): they are {KNOWN}")
    images = []
    for split, collection, number, name, finding in entries:
        patient = f"{collection}:{number}"
        carved = split_of(patient, val=0.1, test=0.0) if split == "train" and "val" not in lists else split
        labels = {target: VALUES[target][finding.lower()]}
        images.append(LabelledImage(corpus.folder / split / name, f"{split}/{name}", patient, carved, labels))
    alone = [collection for _, collection, *_ in entries if collection in PATIENTLESS]
    note = f"of {len(alone):,} images ({', '.join(sorted(set(alone)))}) {NAMELESS}"
    return corpus.labelled("covidx", {target: TARGETS[target]}, images, *([note] if alone else []))


def _lines(path: Path) -> list[str]:
    return [line for line in text(path).splitlines() if line.strip()]


def _entry(line: str, path: Path) -> tuple[str, str, str, str]:
    """Return collection, patient, file name and class of a line; a file name may hold spaces."""
    try:
        patient, rest = line.split(maxsplit=1)
        name, finding, collection = rest.rsplit(maxsplit=2)
    except ValueError:
        raise UserError(f"{path}: the line {line!r} is not <patient> <file name> <class> <collection>") from None
    if not any(finding.lower() in values for values in VALUES.values()):
        raise UserError(f"{path}: the line {line!r} is of the class {finding}; classes are {KNOWN}")
    return collection, patient, name, finding
