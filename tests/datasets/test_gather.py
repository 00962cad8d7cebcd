"""What belongs to each study, read from tables: every column keeps what it says, and nothing gets lost on the way."""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from radsweep.datasets import gather
from radsweep.datasets.build import Preparation, StudyInput, build_shard
from radsweep.datasets.gather import _read_labels, from_export, from_manifest
from radsweep.datasets.pseudonyms import Key
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


def test_rows_of_one_number_agree(tmp_path: Path) -> None:
    """What two rows say of an examination is united; where one says 0 and the other 1, the row is named."""
    columns = {"accession_number": ["A1", "A2", "A1"], "fracture": ["1", "0", "1.0"], "effusion": ["", "", "0"]}
    assert labels_of(tmp_path, columns) == {"A1": {"fracture": 1, "effusion": 0}, "A2": {"fracture": 0}}
    with pytest.raises(UserError, match=r"labels\.csv, row 3: fracture is 0, and a row above says otherwise"):
        labels_of(tmp_path, columns | {"fracture": ["1", "0", "0"]})


def test_a_table_without_labels_is_the_users_mistake(tmp_path: Path) -> None:
    """Labels in words alone are none: that is told, not passed over."""
    with pytest.raises(UserError, match="no column of 0 and 1; its columns are accession_number, fracture"):
        labels_of(tmp_path, {"accession_number": ["A1", "A2"], "fracture": ["oui", "non"]})


# --- what the patient blocks of a table tell --------------------------------------------------------------------------


def built(folder: Path, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """All that is written in words of each study of a table."""
    for row in rows:
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / row["image"])
    inputs, _ = from_manifest(written(folder / "table.csv", rows), **COLUMNS, label_column=None, progress=silent)
    (folder / "built").mkdir()
    (folder / "studies").mkdir()
    preparation = Preparation(tokenizers=(), burned_in=False)
    build_shard(0, inputs, folder, Key(bytes(range(32))), preparation)
    rows = pq.read_table(folder / "studies", columns=["report", "sections", "sentences"]).to_pylist()
    return [json.dumps(row, ensure_ascii=False) for row in rows]


REPORTS = {
    "names and number": (
        ["Nom : CHEMIN Bastienne\nDate de naissance : 02/03/1956\nN° dossier : 42-17-9\nIndication : chute.\n"
         "Résultat : Chez Chemin, fracture. CHEMIN a été revue (dossier 42179). bastienne chemin marche."],
        ["chemin", "bastienne", "42-17-9", "42179"],
    ),
    "physician and house": (
        ["Clinique Sainte-Rolende\nPatient : Mme ROSIER Violette\nPrescripteur : Dr Tilleul\nIndication : chute.\n"
         "Résultat : fracture. Rosier est suivie à Rolende, et Tilleul est prévenu."],
        ["rosier", "violette", "tilleul", "rolende"],
    ),
    "two reports of one study": (
        ["Nom : LARIVIERE Olive\nIndication : chute.\nRésultat : fracture. Vu avec Boulanger.",
         "Nom : LARIVIERE Olive\nMédecin prescripteur : Dr Boulanger\nN° patient : QX-77120\nIndication : contrôle.\n"
         "Résultat : fracture consolidée. Olive marche. QX77120 archivé."],
        ["lariviere", "olive", "boulanger", "qx-77120", "qx77120"],
    ),
    "the table's own number": (["Fracture. Archivé sous pt 004217."], ["004217"]),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "identities"), REPORTS.values(), ids=REPORTS)
def test_what_a_patient_block_knows_is_replaced_in_its_report(
    tmp_path: Path, texts: Sequence[str], identities: Sequence[str]
) -> None:
    """In a table as in an export: names, people, houses and numbers of any block of the study, however they are written."""
    rows = [{"image": f"{number}.png", "text": text, "patient": "PT-004217", "day": "1"} for number, text in enumerate(texts)]
    (told,) = built(tmp_path, rows)
    assert "racture" in told
    assert not [identity for identity in identities if identity in told.lower()]


@pytest.mark.parametrize("patient", ["1", "12", "123", "2019", "T12", "fracture", "Fracture du radius"])
def test_a_patient_who_is_called_like_medicine_leaves_it_alone(tmp_path: Path, patient: str) -> None:
    """A short number, or a word, in the patient column says nothing about the same one in a report."""
    text = "Fracture du radius, fracture de T12. Écart de 12.3 mm et de 1 2 3 mm, 123 UI, 2019 UI, 12 et 1 fragments."
    (told,) = built(tmp_path, [{"image": "a.png", "text": text, "patient": patient, "day": "1"}])
    assert json.loads(told)["report"] == text


# --- exports ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read one after the other, in this process."""
    monkeypatch.setattr(gather, "in_tasks", lambda read, names, _: map(read, names))


@pytest.mark.usefixtures("without_ray")
def test_the_audit_knows_birth_dates(tmp_path: Path, make_radiograph: Callable, save: Callable, make_pdf: Callable) -> None:
    """Of headers, of reports and of blocks in tables, paired or not: a file may be named after the day."""
    (tmp_path / "dicom").mkdir()
    for number, day in enumerate(("20100315", "19310704", "")):
        save(make_radiograph(PatientBirthDate=day, AccessionNumber=f"A{number}"), tmp_path / "dicom" / f"{number}")
    make_pdf(tmp_path / "reports" / "a.pdf", ["Nom : ROY", "Née le 2/3/1956", "N° d'examen : A0", "Conclusion :", "Normal."])
    make_pdf(tmp_path / "reports" / "b.pdf", ["Nom : NOËL", "DDN : 24.12.61", "Conclusion :", "Fracture."])
    _, audit = from_export(tmp_path / "dicom", tmp_path / "reports", None, silent)
    assert {"2010-03-15", "1931-07-04", "1956-03-02", "1961-12-24"} <= audit.identities
    text = "Nom : ROY\nDate de naissance : 5 juin 1970\nConclusion : fracture."
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    rows = [{"image": "a.png", "text": text, "patient": "1", "day": "1"}]
    _, audit = from_manifest(written(tmp_path / "table.csv", rows), **COLUMNS, label_column=None, progress=silent)
    assert {"1970-06-05", "ROY"} <= audit.identities


@pytest.mark.usefixtures("without_ray")
def test_a_file_that_nobody_expected_is_refused_by_itself(
    tmp_path: Path,
    make_radiograph: Callable,
    save: Callable,
    make_pdf: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever reading a header or a report raises, its line says the kind of error, which names nobody, and others go on."""
    (tmp_path / "dicom").mkdir()
    for name in ("good", "odd"):
        save(make_radiograph(), tmp_path / "dicom" / name)
        make_pdf(tmp_path / "reports" / f"{name}.pdf", ["Nom : LEFÈVRE", "N° d'examen : A17", "Conclusion :", "Normal."])

    def only_good(read: Callable) -> Callable:
        def reader(path: Path) -> object:
            if path.stem == "odd":
                raise ZeroDivisionError("Dupont")
            return read(path)

        return reader

    for reader in ("read_header", "read_pdf"):
        monkeypatch.setattr(gather, reader, only_good(getattr(gather, reader)))
    studies, audit = from_export(tmp_path / "dicom", tmp_path / "reports", None, silent)
    assert len(studies) == 1
    refused = {name: reason for name, reason in audit.lines.items() if reason is not None}
    assert refused == dict.fromkeys(("dicom/odd", "reports/odd.pdf"), "the file cannot be read (ZeroDivisionError)")


@pytest.mark.usefixtures("without_ray")
def test_what_is_behind_links_belongs_to_the_export(
    tmp_path: Path,
    make_radiograph: Callable,
    save: Callable,
    make_pdf: Callable,
) -> None:
    """Images and reports on another disk are paired under the names they are reached by; a link to nothing is refused."""
    for folder in ("dicom", "reports", "disk/images"):
        (tmp_path / folder).mkdir(parents=True)
    save(make_radiograph(), tmp_path / "disk" / "images" / "IM1")
    make_pdf(tmp_path / "disk" / "pdf" / "a.pdf", ["Nom : LEFÈVRE", "N° d'examen : A17", "Conclusion :", "Normal."])
    (tmp_path / "dicom" / "linked").symlink_to("../disk/images")
    (tmp_path / "reports" / "2019").symlink_to("../disk/pdf")
    (tmp_path / "dicom" / "gone").symlink_to("../disk/gone")
    (tmp_path / "reports" / "gone.pdf").symlink_to("../disk/gone")
    studies, audit = from_export(tmp_path / "dicom", tmp_path / "reports", None, silent)
    assert [(study.report_name, study.images[0].name) for study in studies] == [("reports/2019/a.pdf", "dicom/linked/IM1")]
    refused = {name: reason for name, reason in audit.lines.items() if reason is not None}
    assert refused == dict.fromkeys(("dicom/gone", "reports/gone.pdf"), "the file cannot be read")
