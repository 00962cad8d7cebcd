"""Any table with one row per image: the user's own labelled corpus, or a public one that has no module here.

Example layout::

    bone/
        manifest.csv     image,patient_id,finding,boxes
        images/          paths in the table are relative to it

A box is ``class cx cy w h`` as YOLO writes it, centre and extent as shares of the displayed image; several are separated by
``|`` or ``;``. An empty cell, ``NA`` or ``nan`` is an unknown label.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..labelled import Box, Kind, Labelled, LabelledImage, Target, split_of
from ..refusal import UserError
from . import files
from .files import Published, known, number, size, yolo_box

SPLITS = {"train": "train", "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val", "test": "test"}


def read(
    path: Path,
    image: str = "image",
    patient: str = "patient_id",
    study: str | None = None,
    split: str | None = None,
    targets: Mapping[str, Kind | None] = {},
    text: str | None = None,
    sex: str | None = None,
    boxes: str | None = None,
) -> Labelled:
    """Return the images of a CSV file with the labels of its columns.

    Args:
        path: of the CSV file, also a gzipped one.
        image: column of paths, relative to the CSV file.
        patient: column of patients; no patient is in two splits.
        study: column of studies, whose rows agree on every label; None makes each image a study.
        split: column of train, val or test; None splits by patient, see `labelled.split_of`.
        targets: columns of labels and their kinds. None for a kind: ``binary`` if all values are 0 or 1, ``classes`` if any is
            no number, else ``number``. Levels of classes are sorted, as numbers where all are; grades are numbers.
        text: column of the reports.
        sex: column of F or M.
        boxes: column of boxes, see above.

    Raises:
        UserError: the file, a column or an image is missing, a row names no patient, a value does not fit its kind, rows of a
            study disagree, or a patient is in two splits.
    """
    corpus = Published(path.name, f"Paths in the column {image!r} are relative to {path.parent}.", path.parent)
    if not path.is_file():
        raise UserError(f"there is no table at {path}")
    wanted = [image, patient, *(name for name in (study, split, text, sex, boxes) if name is not None)]
    rows = list(files.table(path, *wanted, *targets))
    sources = [path.parent / row[image] for row in rows]
    corpus.check(sources)
    nameless = [row[image] for row in rows if not known(row[patient])]
    if nameless:
        raise UserError(f"{path}: column {patient!r} names no patient in {len(nameless)} rows, first that of {nameless[0]}")
    kinds = {name: _target([row[name] for row in rows if known(row[name])], kind, path, name) for name, kind in targets.items()}
    studies = [f"{row[patient]}/{row[study]}" if study is not None and known(row[study]) else row[image] for row in rows]
    if len(set(zip(studies, sources, strict=True))) < len(rows):
        one = next(name for name, count in Counter(row[image] for row in rows).items() if count > 1)
        raise UserError(f"{path}: {one} is in several rows of one study: leave one")
    labels: dict[str, dict[str, float]] = {name: {} for name in studies}
    for row, name in zip(rows, studies, strict=True):
        for column, target in kinds.items():
            if known(row[column]):
                value = _value(row[column], target, path, column)
                if labels[name].setdefault(column, value) != value:
                    raise UserError(f"{path}: images of study {name} disagree on {column!r}; they must share it")
    images = [
        LabelledImage(
            source,
            study=name,
            patient=row[patient],
            split=split_of(row[patient]) if split is None else _split(row[split], path, split),
            labels=labels[name],
            sex=files.sex(row[sex]) if sex is not None else None,
            boxes=_boxes(row[boxes], source) if boxes is not None else None,
            report=row[text] if text is not None and known(row[text]) else None,
        )
        for row, source, name in zip(rows, sources, studies, strict=True)
    ]
    packed = path.suffix.lower() == ".gz"
    return corpus.labelled(Path(path.stem).stem if packed else path.stem, kinds, images)


def _target(cells: list[str], kind: Kind | None, path: Path, column: str) -> Target:
    """Return what the known ``cells`` of a column mean."""
    numbers = {cell: value for cell in set(cells) if (value := _float(cell)) is not None}
    if kind is None and set(numbers.values()) == {-1, 0, 1}:
        raise UserError(
            f"{path}: column {column!r} holds -1, 0 and 1: if -1 is uncertain, empty those cells; if it is a number, say "
            f"{column}:number"
        )
    if kind is None:
        kind = "classes" if len(numbers) < len(set(cells)) else "binary" if set(numbers.values()) <= {0, 1} else "number"
    if kind == "grade" and len(numbers) < len(set(cells)):
        word = min(set(cells) - numbers.keys())
        raise UserError(f"{path}: column {column!r} holds {word!r}, and nothing says which grade comes after it: number them")
    if kind in ("classes", "grade"):
        as_numbers = len(numbers) == len(set(cells))
        return Target(kind, tuple(map(_level, sorted({*numbers.values()}))) if as_numbers else tuple(sorted({*cells})))
    for cell in cells:
        value = number(cell, path, column)
        if kind == "binary" and value not in (0, 1):
            raise UserError(f"{path}: column {column!r} holds {cell!r}; a binary target is 0 or 1")
    return Target(kind)


def _float(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _value(cell: str, target: Target, path: Path, column: str) -> float:
    if not target.levels:
        return number(cell, path, column)
    return float(target.levels.index(cell if cell in target.levels else _level(float(cell))))


def _level(value: float) -> str:
    """Return the name of a level that is a number, however it was written: 2 and 2.0 are one."""
    return str(int(value)) if value.is_integer() else str(value)


def _split(cell: str, path: Path, column: str) -> str:
    if cell.lower() not in SPLITS:
        raise UserError(f"{path}: column {column!r} holds {cell!r}; a split is train, val or test")
    return SPLITS[cell.lower()]


def _boxes(cell: str, source: Path) -> tuple[Box, ...]:
    if not known(cell):
        return ()
    width, height = size(source)
    return tuple(yolo_box(part, source, width, height) for part in re.split(r"[|;]", cell) if part.strip())
