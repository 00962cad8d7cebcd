"""Pairing by accession number, then by patient and day, and never by guessing."""

import datetime
from dataclasses import replace
from typing import Any

from radsweep.datasets import pairing
from radsweep.datasets.dicom.header import Header
from radsweep.datasets.pairing import ReportEntry, pair
from radsweep.datasets.reports.identity import Identity

DAY = datetime.date(2021, 2, 4)
HEADER = Header(
    path="i1",
    study_instance_uid="1.1",
    sop_instance_uid="s1",
    patient_name=("A",),
    patient_id="P1",
    accession_number="A1",
    birth_date=None,
    study_date=DAY,
    people=(),
    institution=None,
    view=None,
    laterality=None,
    body_part=None,
    age_months=None,
    sex=None,
)


def image(path: str, **changes: Any) -> Header:
    return replace(HEADER, path=path, **{"sop_instance_uid": path} | changes)


def report(path: str, **said: Any) -> ReportEntry:
    return ReportEntry(path, Identity(**said))


def test_accession_numbers_pair_first() -> None:
    """Images of one study go together with the report that has its number, whatever separators it is printed with."""
    found = pair([image("i2"), image("i1")], [report("r", accession_number="a-1")])
    assert [(s.study_instance_uid, [h.path for h in s.headers], s.report_path) for s in found.studies] == [
        ("1.1", ["i1", "i2"], "r")
    ]
    assert found.refused == {}


def test_patient_and_day_pair_what_is_left() -> None:
    """Without accession number the patient's only report of the day belongs to the only study of the day."""
    found = pair([image("i1", accession_number=None)], [report("r", patient_id="p1", study_date=DAY)])
    assert found.studies[0].report_path == "r"
    other = pair([image("i1", accession_number=None)], [report("r", patient_id="P1", study_date=DAY.replace(day=5))])
    assert other.studies == ()
    assert other.refused == {"i1": pairing.NO_REPORT, "r": pairing.NO_STUDY}


def test_two_studies_of_a_day_are_ambiguous() -> None:
    """Two studies and one report, or one study and two reports, of one patient and day are refused on both sides."""
    two = [image("i1", accession_number=None), image("i2", accession_number=None, study_instance_uid="1.2")]
    found = pair(two, [report("r", patient_id="P1", study_date=DAY)])
    assert found.refused == {"i1": pairing.STUDY_NOT_ALONE, "i2": pairing.STUDY_NOT_ALONE, "r": pairing.SEVERAL_STUDIES}
    found = pair([image("i1")], [report("r1", accession_number="A1"), report("r2", accession_number="A1")])
    assert found.refused == {
        "i1": pairing.SEVERAL_REPORTS,
        "r1": pairing.REPORT_NOT_ALONE,
        "r2": pairing.REPORT_NOT_ALONE,
    }


def test_an_accession_number_separates_two_studies_of_a_day() -> None:
    """What is paired by number leaves the other study of the day to patient and day."""
    images = [image("i1"), image("i2", accession_number=None, study_instance_uid="1.2")]
    reports = [report("r1", accession_number="A1"), report("r2", patient_id="P1", study_date=DAY)]
    found = pair(images, reports)
    assert {s.study_instance_uid: s.report_path for s in found.studies} == {"1.1": "r1", "1.2": "r2"}


def test_a_report_of_another_patient_is_not_paired() -> None:
    """The same accession number with another patient id and birth date is refused on both sides."""
    born = datetime.date(1950, 1, 1)
    found = pair(
        [image("i1", birth_date=born)],
        [report("r", accession_number="A1", patient_id="P9", birth_date=datetime.date(1960, 1, 1))],
    )
    assert found.refused == {"i1": pairing.OTHER_PATIENT, "r": pairing.OTHER_PATIENT}
    other_number = pair([image("i1", birth_date=born)], [report("r", accession_number="A1", patient_id="P9", birth_date=born)])
    assert len(other_number.studies) == 1


def test_copies_and_mixed_studies_are_refused() -> None:
    """The second file with an instance uid is a copy; a study uid of two patients is nobody's."""
    found = pair([image("i2", sop_instance_uid="s"), image("i1", sop_instance_uid="s")], [report("r", accession_number="A1")])
    assert found.refused == {"i2": pairing.TWICE}
    assert [h.path for h in found.studies[0].headers] == ["i1"]
    mixed = pair([image("i1"), image("i2", patient_id="P2")], [report("r", accession_number="A1")])
    assert mixed.refused == {"i1": pairing.MIXED, "i2": pairing.MIXED, "r": pairing.NO_STUDY}


def test_every_file_is_paired_or_refused() -> None:
    """Nothing is lost: paths of the arguments are the paths of studies and refusals, each once."""
    images = [image(f"i{n}", study_instance_uid=f"1.{n}", accession_number=f"A{n % 4}") for n in range(8)]
    reports = [report(f"r{n}", accession_number=f"A{n}") for n in range(3, 9)] + [report("r9")]
    found = pair(images, reports)
    paired = [h.path for s in found.studies for h in s.headers] + [s.report_path for s in found.studies]
    assert sorted([*paired, *found.refused]) == sorted([i.path for i in images] + [r.path for r in reports])
    assert found.refused["r9"] == pairing.NO_CLUE
