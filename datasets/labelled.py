"""Labelled images: what downstream tasks learn from and are scored on, whatever corpus they come from.

The unit is the study: one to n images of one patient, which share their labels. A corpus that labels single images makes each
image a study. What a label means is said by its `Target`; a label that is unknown is absent, never 0.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .png import decode_png
from .pseudonyms import Key
from .records import read_object
from .refusal import UserError
from .splits import Splits

Kind = Literal["binary", "classes", "grade", "number"]
PUBLIC = Key(hashlib.sha256(b"radsweep: splits of public corpora").digest())
"""Public corpora have no secret to keep: everybody gets the same split."""
KNOWN = ("study_id", "patient_id", "split", "report", "images", "labels", "age_months", "sex")
"""Columns of a pairs folder that a labelled corpus is made of."""


@dataclass(frozen=True)
class Target:
    """What a label says.

    Attributes:
        kind: ``binary`` (1 present, 0 absent), ``classes`` (a place in ``levels``), ``grade`` (the same, in their order) or
            ``number``.
        levels: names of the classes or grades; empty for the other kinds.
        unit: of a number: ``months``, ``degrees``.
    """

    kind: Kind
    levels: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Box:
    """A marked region of an image, in pixels of the file: left, top, right, bottom; right and bottom are outside."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class LabelledImage:
    """One image file and what is known of it.

    Attributes:
        source: path of the file, or the bytes of a PNG.
        study: images of one study share it, and their labels.
        patient: no patient is in two splits.
        labels: by target; what is unknown is left out.
        sex: F, M or unknown.
        boxes: marked regions; None where nobody looked for any.
        mask: path of an image of the same size whose pixels above 127 are the finding.
        report: of the study.
        body_part: as the file names it.
    """

    source: Path | bytes
    study: str
    patient: str
    split: str
    labels: Mapping[str, float] = field(default_factory=dict)
    sex: str | None = None
    boxes: tuple[Box, ...] | None = None
    mask: Path | None = None
    report: str | None = None
    body_part: str | None = None

    def pixels(self) -> np.ndarray:
        """Return the displayed image, uint8 [height, width].

        Raises:
            Refused: the file is damaged.
        """
        if isinstance(self.source, bytes):
            return decode_png(self.source)
        from .images import read_pixels  # pydicom takes a tenth of a second, and every trial imports this file

        return read_pixels(self.source)


@dataclass(frozen=True)
class Labelled:
    """A labelled corpus: its images in order, and what their labels mean, by name.

    Attributes:
        notes: what a reader of results must know of it, one sentence each.
        source: the folder that it was read from; two corpora may have one name.
    """

    name: str
    targets: Mapping[str, Target]
    images: tuple[LabelledImage, ...]
    notes: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        patients: dict[str, str] = {}
        studies: dict[str, str] = {}
        for image in self.images:
            if patients.setdefault(image.patient, image.split) != image.split:
                raise UserError(f"{self.name}: patient {image.patient} is in two splits; splits are by patient")
            if studies.setdefault(image.study, image.patient) != image.patient:
                raise UserError(f"{self.name}: study {image.study} is of two patients; a study is of one")
        unknown = {name for image in self.images for name in image.labels} - self.targets.keys()
        assert not unknown, f"labels without a target: {unknown}"


def split_of(patient: str, val: float = 0.1, test: float = 0.2) -> str:
    """Return the split of a patient, a function of the patient alone; ``test=0`` where a corpus publishes its test set."""
    return Splits(val=val, test=test).of(patient, PUBLIC)


def of_pairs(folder: Path) -> Labelled:
    """Return the studies of a pairs folder with their reports; its findings are binary, the patient's age is a number.

    Raises:
        UserError: the folder is none, or damaged.
    """
    targets = {name: Target("binary") for name in sorted(_manifest(folder)["labels"])}
    images = []
    for row in _studies(folder, *KNOWN).to_pylist():
        labels = {name: float(value) for name, value in row["labels"] or () if value is not None}
        if row["age_months"] is not None:
            labels["age"] = float(row["age_months"])
            targets["age"] = Target("number", unit="months")
        known = {"labels": labels, "sex": row["sex"], "report": row["report"]}
        where = row["study_id"], row["patient_id"], row["split"]
        images += [LabelledImage(one["bytes"], *where, **known, body_part=one["body_part"]) for one in row["images"]]
    return Labelled(folder.resolve().name, targets, tuple(images), source=str(folder.resolve()))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise UserError(f"{folder} holds no manifest.json: make a pairs folder with `radsweep prepare ... --out {folder}`")
    return read_object(path, "restore it, or prepare the pairs again", ("labels",))


def _studies(folder: Path, *columns: str) -> pa.Table:
    path = folder / "studies"
    if not any(path.glob("*.parquet")):
        raise UserError(f"{folder} holds no studies: restore them, or prepare the pairs again")
    try:
        return pq.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or prepare the pairs again") from error


def split_as(corpus: Labelled, pairs: Path, key: Key) -> Labelled:
    """Return ``corpus`` with each patient in the split that he has in a pairs folder; who is not in it stays where he was.

    Labels that come later are so scored on patients whom a model pretrained on these pairs has never seen. A note counts the
    patients of the pairs where they are not all.

    Args:
        key: the one that the pairs were prepared with.

    Raises:
        UserError: the folder is none, or damaged; or no patient of the corpus is in it: another key, or another hospital.
    """
    _manifest(pairs)
    columns = _studies(pairs, "patient_id", "split").to_pydict()
    splits = dict(zip(columns["patient_id"], columns["split"], strict=True))
    own = {image.patient: splits.get(key.pseudonym("patient", image.patient)) for image in corpus.images}
    if not any(own.values()):
        raise UserError(
            f"no patient of {corpus.name} is in {pairs}: name the key file that these pairs were prepared with (--key-file), "
            "and the column of the patients"
        )
    images = tuple(replace(one, split=own[one.patient] or one.split) for one in corpus.images)
    inside = sum(split is not None for split in own.values())
    note = (
        f"{inside:,} of {len(own):,} patients are in {pairs.resolve().name} and have the splits that they have there; "
        "the others keep their own"
    )
    return replace(corpus, images=images, notes=corpus.notes if inside == len(own) else (*corpus.notes, note))
