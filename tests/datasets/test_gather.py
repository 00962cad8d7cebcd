"""What belongs to each study, read from tables: every column keeps what it says, and nothing gets lost on the way."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radsweep.datasets.build import StudyInput
from radsweep.datasets.gather import _read_labels, from_manifest
from radsweep.datasets.refusal import UserError

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


# --- labels -----------------------------------------------------------------------------------------------------------

LABELS = {
    "accession_number": ["A1", "A2", "", "A4"],
    "fracture": ["1", "0", "1", ""],
    "arthrosis": ["1.0", "0.0", "1.0", ""],
    "effusion": ["0", "1.", "1e0", "00"],
    "implant": ["True", "False", "True", ""],
    "kl_grade": ["0", "1", "4", ""],
    "age": ["1", "37.5", "80", "4"],
    "body_part": ["KNEE", "HIP", "", "KNEE"],
}


def labels_of(path: Path, columns: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """What is read of a label CSV with these columns."""
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return _read_labels(written(path / "labels.csv", rows))


def test_labels_are_zeros_and_ones_however_they_are_written(tmp_path: Path) -> None:
    """1.0 and True are 1, empty is unknown; grades, ages and words are no labels; a row without a number belongs to nobody."""
    assert labels_of(tmp_path, LABELS) == {
        "A1": {"fracture": 1, "arthrosis": 1, "effusion": 0, "implant": 1},
        "A2": {"fracture": 0, "arthrosis": 0, "effusion": 1, "implant": 0},
        "A4": {"effusion": 0},
    }


@pytest.mark.parametrize("other", ["-1", "?", "NA", "nan", "0.5", "oui"])
@pytest.mark.parametrize("ones", ["1", "1.0", "True"])
def test_a_label_with_another_value_is_named(tmp_path: Path, ones: str, other: str) -> None:
    """Beside 0 and 1 nothing else stands in a label: the column and the value are told, and no label is lost in silence."""
    columns = LABELS | {"displaced": [ones, other, "", "0"]}
    with pytest.raises(UserError, match=f"column displaced of .*labels.csv holds '{re.escape(other)}' beside 0 and 1"):
        labels_of(tmp_path, columns)


def test_a_table_without_labels_is_the_users_mistake(tmp_path: Path) -> None:
    """Labels in words alone are none: that is told, not passed over."""
    with pytest.raises(UserError, match="no column of 0 and 1; its columns are accession_number, fracture"):
        labels_of(tmp_path, {"accession_number": ["A1", "A2"], "fracture": ["oui", "non"]})
