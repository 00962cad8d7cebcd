"""Pairing by number, then by patient, day, body part and side, and never by guessing."""

import datetime
from dataclasses import replace
from typing import Any

import pytest

from radsweep.datasets import pairing
from radsweep.datasets.body_parts import body_parts, sides
from radsweep.datasets.dicom.header import Header
from radsweep.datasets.pairing import Pairing, ReportEntry, pair
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


def report(path: str, title: str | None = None, text: str = "", **said: Any) -> ReportEntry:
    return ReportEntry(path, Identity(**said), title, body_parts(text), sides(text))


def of_day(path: str, title: str | None = None, text: str = "", **said: Any) -> ReportEntry:
    """A report without number, of the patient and day of `HEADER`."""
    return report(path, title, text, **{"patient_id": "P1", "study_date": DAY} | said)


def study(uid: str, **changes: Any) -> Header:
    """The one image of a study without number, of the patient and day of `HEADER`."""
    return image(f"i{uid}", study_instance_uid=uid, **{"accession_number": None} | changes)


def pairs_of(found: Pairing) -> dict[str, str]:
    return {paired.study_instance_uid: paired.report_path for paired in found.studies}


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


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_rule_that_paired_a_study_is_told() -> None:
    """Study uid before accession number before order number before patient and day."""
    headers = [
        study("1.2.840.113.1.2.1"),
        study("2", accession_number="RX 2021-17"),
        study("3", order_numbers=("1", "D-000471")),
        study("4"),
    ]
    reports = [
        report("r1", study_uids=("1.2.840.113.1.2.1",)),
        report("r2", accession_number="rx202117"),
        report("r3", accession_number="X9", other_numbers=("d000471",)),
        of_day("r4"),
    ]
    assert {s.report_path: s.rule for s in pair(headers, reports).studies} == {
        "r1": "study uid",
        "r2": "accession number",
        "r3": "order number",
        "r4": "patient, day, body part and side",
    }


def test_a_short_study_id_is_no_number() -> None:
    """StudyID 1, which every study has, pairs nothing."""
    found = pair([study("1", order_numbers=("1",))], [report("r", accession_number="1")])
    assert found.refused == {"i1": pairing.NO_REPORT, "r": pairing.NO_STUDY}


BORN = datetime.date(1950, 1, 31)
OTHER_BIRTH = datetime.date(1961, 7, 2)
LEFEVRE = {"patient_name": ("Lefèvre", "Zoé", "Anne"), "birth_date": BORN}


@pytest.mark.parametrize(
    "said",
    [
        {"patient_id": "P9"},
        {"names": ("DUPONT", "Marie")},
        {"names": ("DUPONT", "Marie"), "patient_id": "P9"},
        {"birth_date": OTHER_BIRTH},
        {"birth_date": OTHER_BIRTH, "names": ("LEFÈVRE", "Zoé")},
        {"birth_date": OTHER_BIRTH, "names": ("LEFÈVRE", "Marie"), "patient_id": "P9"},
        {"birth_date": OTHER_BIRTH, "names": ("DUPONT", "Marie"), "patient_id": "P1"},
        {"birth_date": BORN, "names": ("DUPONT", "Marie"), "patient_id": "P9"},
    ],
)
def test_a_number_of_another_patient_is_refused(said: dict[str, Any]) -> None:
    """Other id, name or birth date, unless more of them agree: the number was mistyped, and both sides say so."""
    found = pair([image("i1", **LEFEVRE)], [report("r", accession_number="A1", **said)])
    assert found.refused == {"i1": pairing.OTHER_PATIENT, "r": pairing.OTHER_PATIENT}


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"names": ("ZOE", "LEFEVRE")},
        {"names": ("Lefevre-Dupont", "Zoé"), "birth_date": BORN, "patient_id": "00471"},
        {"names": ("LEFEBVRE", "Zoé"), "birth_date": BORN},
        {"names": ("DUPONT", "Zoé"), "birth_date": BORN},
        {"birth_date": datetime.date(1950, 1, 13), "patient_id": "p-1"},
    ],
)
def test_one_slip_does_not_make_another_patient(said: dict[str, Any]) -> None:
    """Swapped, accented, misspelt and married names, another number, or a slip in the birth date beside the right id."""
    found = pair([image("i1", **LEFEVRE)], [report("r", accession_number="A1", **said)])
    assert pairs_of(found) == {"1.1": "r"}


def test_the_report_of_the_right_patient_wins_a_number() -> None:
    """Of two reports with one number the one that names another patient is refused, and the other one paired."""
    reports = [report("r1", accession_number="A1", names=("DUPONT", "Marie")), report("r2", accession_number="A1")]
    found = pair([image("i1", **LEFEVRE)], reports)
    assert pairs_of(found) == {"1.1": "r2"}
    assert found.refused == {"r1": pairing.OTHER_PATIENT}


def test_a_number_of_another_day_or_body_part_is_refused() -> None:
    """A report months away, or whose title names a part or side that is not the study's, has a mistyped number."""
    knee = image("i1", body_part="KNEE", laterality="R")
    for entry, reason in (
        (report("r", accession_number="A1", study_date=DAY.replace(year=2020)), pairing.OTHER_DAY),
        (report("r", "Radiographie du poignet droit", accession_number="A1"), pairing.OTHER_PART),
        (report("r", "RX GENOU G", accession_number="A1"), pairing.OTHER_PART),
        (report("r", accession_number="A1", examination=("Rx thorax F/P",)), pairing.OTHER_PART),
    ):
        assert pair([knee], [entry]).refused == {"i1": reason, "r": reason}
    for title in ("Radiographie des genoux, bilatéral", "Radiographie de la jambe droite", "Radiographie standard"):
        assert pairs_of(pair([knee], [report("r", title, accession_number="A1", study_date=DAY.replace(day=9))]))
    assert pairs_of(pair([knee], [report("r", text="Douleur du poignet gauche aussi.", accession_number="A1")]))


def test_an_addendum_or_a_report_of_two_studies_is_ambiguous() -> None:
    """Two reports with the number of one study, and one report with the numbers of two studies, are refused."""
    found = pair([image("i1")], [report("r1", accession_number="A1"), report("r2", "Addendum", accession_number="A1")])
    assert set(found.refused.values()) == {pairing.SEVERAL_REPORTS, pairing.REPORT_NOT_ALONE}
    two = [image("i1"), study("2", accession_number="A2")]
    found = pair(two, [report("r", accession_number="A1", other_numbers=("A2",))])
    assert found.refused == {"i1": pairing.STUDY_NOT_ALONE, "i2": pairing.STUDY_NOT_ALONE, "r": pairing.SEVERAL_STUDIES}


# --- patient, day, body part and side ---------------------------------------------------------------------------------


def test_body_part_tells_two_studies_of_a_day_apart() -> None:
    """By the title of the report, or its text where there is no title; against body part or the description of the study."""
    studies = [study("1", body_part="KNEE"), study("2", description="RX POIGNET DROIT")]
    reports = [of_day("r1", "Radiographie du genou droit"), of_day("r2", text="Fracture du scaphoïde.")]
    assert pairs_of(pair(studies, reports)) == {"1": "r1", "2": "r2"}


def test_side_tells_two_studies_of_one_part_apart() -> None:
    """Both knees in two studies, with the side in the images or in the description."""
    studies = [study("1", body_part="KNEE", laterality="L"), study("2", body_part="KNEE", description="RX GENOU D")]
    reports = [of_day("r1", "Radiographie du genou droit"), of_day("r2", "RX genou gauche")]
    assert pairs_of(pair(studies, reports)) == {"1": "r2", "2": "r1"}
    both = pair(studies, [of_day("r", "Radiographie des deux genoux")])
    assert both.refused == {"i1": pairing.STUDY_NOT_ALONE, "i2": pairing.STUDY_NOT_ALONE, "r": pairing.SEVERAL_STUDIES}


def test_silence_decides_nothing_among_several() -> None:
    """A report without body part is paired alone with the only study of its day, and refused where there are more."""
    assert pairs_of(pair([study("1", body_part="KNEE")], [of_day("r", text="Examen normal.")])) == {"1": "r"}
    studies = [study("1", body_part="KNEE"), study("2", body_part="WRIST")]
    assert pair(studies, [of_day("r1", text="Examen normal."), of_day("r2", text="Normal.")]).studies == ()
    assert pair(studies, [of_day("r1", text="Examen normal.")]).studies == ()
    assert pair(studies[:1], [of_day("r1", text="Examen normal."), of_day("r2", "RX genou")]).studies == ()
    assert pairs_of(pair(studies, [of_day("r1", "RX poignet"), of_day("r2", "RX genou")])) == {"1": "r2", "2": "r1"}


def test_what_is_left_over_is_assigned_where_there_is_one_way() -> None:
    """As many reports as studies, all but one of which say what they are about: the last one goes to the last study."""
    studies = [study("1", body_part="KNEE"), study("2", body_part="WRIST"), study("3", body_part="CHEST")]
    reports = [of_day("r1", "RX thorax"), of_day("r2", text="Examen normal."), of_day("r3", "RX genou")]
    assert pairs_of(pair(studies, reports)) == {"1": "r3", "2": "r2", "3": "r1"}


def test_the_only_report_of_a_day_may_be_of_a_study_that_is_not_there() -> None:
    """One study, one report, and the text speaks of another part or side, or the number is that of another examination."""
    knee = study("1", body_part="KNEE", laterality="R", accession_number="2021-0041")
    for entry, reason in (
        (of_day("r", "Radiographie du poignet droit"), pairing.OTHER_PART),
        (of_day("r", text="Douleur du genou gauche."), pairing.OTHER_PART),
        (of_day("r", accession_number="2021-0042"), pairing.OTHER_NUMBER),
    ):
        assert pair([knee], [entry]).refused == {"i1": reason, "r": reason}


def test_a_transposed_digit_is_forgiven_where_patient_and_day_are_right() -> None:
    """20210014 for 20210041, or 47110 for 41710, still is this examination; so is one that prints a number of another kind."""
    knee = study("1", body_part="KNEE", accession_number="20210041", patient_id="47110", **LEFEVRE)
    says = {"names": ("LEFEVRE", "Zoe"), "birth_date": BORN}
    for number in ("20210014", "D-17"):
        assert pairs_of(pair([knee], [of_day("r", accession_number=number, patient_id="47110", **says)])) == {"1": "r"}
    assert pairs_of(pair([knee], [of_day("r", patient_id="41710", **says)])) == {"1": "r"}


def test_the_patient_is_known_by_birth_date_and_name() -> None:
    """Swapped, hyphenated and unaccented names with the birth date do for an id; name or birth date alone do not."""
    header = study("1", patient_name=("Van den Broeck", "Marie-Thérèse"), birth_date=BORN)
    for names in (("MARIE THERESE", "VANDENBROECK"), ("VAN DEN BROECK", "Marie-Therese"), ("Broeck", "Marie", "Thérèse")):
        assert pairs_of(pair([header], [of_day("r", patient_id=None, names=names, birth_date=BORN)])) == {"1": "r"}
    for said in (
        {"names": ("Van den Broeck", "Marie-Thérèse")},
        {"birth_date": BORN},
        {"names": ("Roy", "Luc"), "birth_date": BORN},
    ):
        found = pair([header], [of_day("r", **{"patient_id": None} | said)])
        assert found.studies == ()
        assert found.refused["r"] in (pairing.NO_CLUE, pairing.NO_STUDY)
    twin = study("2", patient_name=("Van den Broeck", "Anne"), birth_date=BORN, patient_id="P2")
    found = pair([header, twin], [of_day("r", patient_id=None, names=("VAN DEN BROECK", "Anne"), birth_date=BORN)])
    assert pairs_of(found) == {"2": "r"}


def test_an_id_of_one_and_the_name_of_another_are_nobody() -> None:
    """A patient id that belongs to someone with another name and birth date pairs nothing."""
    header = study("1", **LEFEVRE)
    found = pair([header], [of_day("r", names=("DUPONT", "Marie"), birth_date=OTHER_BIRTH)])
    assert found.refused == {"i1": pairing.NO_REPORT, "r": pairing.NO_STUDY}


def test_a_report_without_a_day_is_not_paired_by_patient() -> None:
    """Without date in block or title there is no clue; the date of the title is one."""
    found = pair([study("1")], [report("r", patient_id="P1")])
    assert found.refused == {"i1": pairing.NO_REPORT, "r": pairing.NO_CLUE}
    titled = report("r", "Radiographie du genou du 4 février 2021", patient_id="P1")
    assert pairs_of(pair([study("1")], [titled])) == {"1": "r"}
