"""Osteoarthritis Initiative: Kellgren-Lawrence grades of both knees, and hip-knee-ankle angles of both legs.

OAI publishes its films as DICOM archives by visit and its readings as tables by knee; which film goes with which reading is for
the user to join. What is read here are the joined tables of the reference study, whose column names its code documents (the
tables themselves were not released)::

    kl_train.csv   kl_val.csv   kl_test.csv      ID,RXRKL,LXRKL,file    one bilateral film of the knees per row
    hka_train.csv  hka_val.csv  hka_test.csv     ID,RHKA,LHKA,file      one film of the whole legs per row
    images/                                      what the column ``file`` names, PNG, JPEG or DICOM

Either of the two groups may be absent. To make them: ``ID`` is OAI's participant; RXRKL and LXRKL are V00XRKL of the rows with
SIDE 1 and 2 in ``kxr_sq_bu00.txt`` (grade 0 to 4); RHKA and LHKA are the angles in degrees of OAI's readings of full-limb
films. Other columns are allowed. An empty cell is an unknown label. Both groups need the same split of a participant.

Targets: grades ``right_kl`` and ``left_kl``, angles ``right_hka`` and ``left_hka``. The splits are those of the file names.

Source: Nevitt, Felson, Lester 2006, The Osteoarthritis Initiative: protocol for the cohort study; https://nda.nih.gov/oai.
"""

from dataclasses import replace
from pathlib import Path

from ..labelled import Labelled, LabelledImage, Target
from ..refusal import UserError
from .files import Published, known, number, table

TITLE = "Osteoarthritis Initiative (OAI)"
WHERE = (
    "Get films and readings from https://nda.nih.gov/oai under the NIMH Data Archive's data use certification (research, no "
    "redistribution), and join them into the tables that datasets/corpora/oai.py describes."
)
GRADES = ("0", "1", "2", "3", "4")
COLUMNS = {
    "kl": {"RXRKL": "right_kl", "LXRKL": "left_kl"},
    "hka": {"RHKA": "right_hka", "LHKA": "left_hka"},
}
KINDS = {"kl": Target("grade", GRADES), "hka": Target("number", unit="degrees")}


def read(folder: Path) -> Labelled:
    """Return the films of the tables that are there, knees first; a film that is in both has the labels of both.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: a table or an image is missing, a grade is none of 0 to 4, a film is of two participants or has two values of
            one label, or a participant is in two splits.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    groups = [group for group in COLUMNS if any((corpus.folder / f"{group}_{split}.csv").exists() for split in _SPLITS)]
    if not groups:
        raise corpus.missing("a table of grades or of angles", *(corpus.folder / f"{group}_train.csv" for group in COLUMNS))
    films: dict[tuple[str, str, str], LabelledImage] = {}
    for group in groups:
        for split in _SPLITS:
            path = corpus.file(f"{group}_{split}.csv")
            for row in table(path, "ID", "file", *COLUMNS[group]):
                labels = {
                    name: _value(row[column], group, path, column)
                    for column, name in COLUMNS[group].items()
                    if known(row[column])
                }
                film = LabelledImage(corpus.folder / "images" / row["file"], row["file"], row["ID"], split, labels)
                same = films.setdefault((film.study, film.patient, split), film)
                if any(same.labels.get(name, value) != value for name, value in labels.items()):
                    raise UserError(f"{path}: the rows of {row['file']} disagree; a film has one value of each column")
                films[film.study, film.patient, split] = replace(same, labels={**same.labels, **labels})
    targets = {name: KINDS[group] for group in groups for name in COLUMNS[group].values()}
    return corpus.labelled("oai", targets, list(films.values()))


_SPLITS = ("train", "val", "test")


def _value(cell: str, group: str, path: Path, column: str) -> float:
    value = number(cell, path, column)
    if group == "kl" and value not in range(len(GRADES)):
        raise UserError(f"{path}: column {column!r} holds {cell!r}, which is no Kellgren-Lawrence grade (0 to 4)")
    return value
