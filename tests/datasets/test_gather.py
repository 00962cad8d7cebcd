"""What belongs to each study, read from tables: every column keeps what it says, and nothing gets lost on the way."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radsweep.datasets.build import StudyInput
from radsweep.datasets.gather import from_manifest

COLUMNS = {"image_column": "image", "text_column": "text", "patient_column": "patient", "study_column": "day"}


def silent(*_: object) -> None:
    """A progress display for tests."""


def written(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """A CSV with the columns of the first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


ROWS = [
    {"image": "a.png", "text": "Fracture.", "patient": "Dubreuil", "day": "3", "finding": "fracture"},
    {"image": "b.png", "text": "Fracture.", "patient": "Dubreuil", "day": "3", "finding": "fracture"},
    {"image": "c.png", "text": "Normal.", "patient": "Dubreuil", "day": "8", "finding": "normal"},
    {"image": "d.png", "text": "Arthrose.", "patient": "Lacombe", "day": "3", "finding": "arthrosis"},
]


@pytest.mark.parametrize("column", ["image", "text", "patient", "day", "finding"])
def test_a_column_may_have_any_name(tmp_path: Path, column: str) -> None:
    """A column called ``name`` says what it says under any other: patients, studies, texts and labels are the same."""
    for name in "abcd":
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / f"{name}.png")

    def studies(rows: Sequence[Mapping[str, str]], **columns: str) -> Sequence[StudyInput]:
        chosen = {**COLUMNS, "label_column": "finding"} | columns
        return from_manifest(written(tmp_path / "table.csv", rows), **chosen, progress=silent)[0]

    expected = studies(ROWS)
    assert [(study.patient, len(study.images)) for study in expected] == [("Dubreuil", 2), ("Dubreuil", 1), ("Lacombe", 1)]
    parameter = {"day": "study_column", "finding": "label_column"}.get(column, f"{column}_column")
    renamed = [{"name" if key == column else key: value for key, value in row.items()} for row in ROWS]
    assert list(studies(renamed, **{parameter: "name"})) == list(expected)
