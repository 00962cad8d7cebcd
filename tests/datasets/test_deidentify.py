"""DICOM headers without identities: the table, what is derived from the key, and whole files."""

import datetime
import json
import logging
import runpy
import shutil
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.config import IGNORE
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.tag import Tag

from radsweep.datasets.dicom import build_profile
from radsweep.datasets.dicom.deidentify import (
    CODES,
    LINES,
    OPAQUE,
    PIXELS,
    PROSE,
    Options,
    action,
    capped,
    deidentify,
    deidentify_folder,
    new_uid,
    shifted,
)
from radsweep.datasets.dicom.header import read_header
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.refusal import Refused, UserError
from radsweep.datasets.reports.pseudonymize import Known, pseudonymize

Make = Callable[..., Dataset]
Save = Callable[[Dataset, Path], Path]
KEY = Key(bytes(range(32)))
BENCH = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "headers.py"))
BLIND = Options(clean_pixel_data=False)


def silent(*_: object) -> None:
    """A progress display for tests."""


def clean(dataset: Dataset, **options: bool) -> Dataset:
    """The clean copy, its pixels not looked at."""
    return deidentify(dataset, KEY, BLIND.model_copy(update=options)).dataset


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "vr", "options", "letter"),
    [
        (0x00100010, "PN", {}, "Z"),
        (0x00101040, "LO", {}, "X"),
        (0x0020000D, "UI", {}, "U"),
        (0x00080020, "DA", {}, "C"),
        (0x00080020, "DA", {"modified_dates": False}, "Z"),
        (0x0018A002, "DT", {"modified_dates": False}, "X"),
        (0x00081030, "LO", {}, "C"),
        (0x00081030, "LO", {"clean_descriptors": False}, "X"),
        (0x00181030, "LO", {"clean_descriptors": False}, "D"),  # X/D
        (0x00080080, "LO", {}, "D"),  # X/Z/D
        (0x00321060, "LO", {"clean_descriptors": False}, "Z"),  # X/Z
        (0x00101010, "AS", {}, "K"),
        (0x00101010, "AS", {"patient_characteristics": False}, "X"),
        (0x00181000, "LO", {}, "D"),
        (0x00181000, "LO", {"device_identity": True}, "K"),
        (0x00080055, "AE", {"device_identity": True}, "X"),  # an AE title cannot be cleaned
        (0x00082112, "SQ", {}, "K"),  # X/Z/U*
        (0x00400555, "SQ", {}, "Z"),  # X/Z
        (0x00880200, "SQ", {}, "X"),
        (0x0018A001, "SQ", {}, "K"),  # not in the table
        (0x00180015, "CS", {}, "K"),
        (0x00091001, "LO", {}, "X"),
        (0x50020010, "US", {}, "X"),
        (0x60040010, "US", {}, "X"),
        (0x00283006, "OW", {}, "K"),
        (0x00281211, "OW", {}, "X"),
        (0x00282000, "OB", {}, "X"),
        (0x7FE00010, "OB", {}, "K"),
        (0x00080016, "UI", {}, "K"),
        (0x0008010C, "UI", {}, "K"),
        (0x0008010D, "UI", {}, "U"),  # of whoever made the code list
        (0x0040E031, "UI", {}, "U"),  # the repository's own UID names the hospital
    ],
)
def test_each_attribute_has_its_action(tag: int, vr: str, options: dict[str, bool], letter: str) -> None:
    """The row of PS3.15 Table E.1-1, with the options on and off, and what holds for attributes that have none."""
    assert action(Tag(tag), vr, BLIND.model_copy(update=options)) == letter


def sources(folder: Path, basic: str) -> tuple[Path, Path]:
    """Two small transcriptions of the table; the second says X/Z of its only attribute."""
    rule = {"tag": "0008010c", "name": "A", "basic": basic, "options": {"clean_descriptors": "C", "retain_uids": "K"}}
    (folder / "table.json").write_text(json.dumps({"source": {"edition": "2026d"}, "rules": [rule]}))
    (folder / "other.py").write_text(
        "X_Z_TAGS = [\n    (0x0008, 0x010C),\n    (0x5000, 0, 0xFF00, 0),\n]\nALL_TAGS = X_Z_TAGS\n"
    )
    return folder / "table.json", folder / "other.py"


def test_the_table_is_built_only_where_both_sources_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is taken with the columns of our options; a contradiction writes nothing and fails."""
    monkeypatch.setattr(build_profile, "PROFILE", tmp_path / "profile.json")
    assert build_profile.main(*sources(tmp_path, "X")) == 1
    assert not (tmp_path / "profile.json").exists()
    assert build_profile.main(*sources(tmp_path, "X/Z")) == 0
    rows = json.loads((tmp_path / "profile.json").read_text())["rows"]
    assert rows == {"0008010C": {"name": "A", "basic": "X/Z", "clean_descriptors": "C"}}


# --- derived from the key ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days", "moved"),
    [
        ("20200228", 2, "20200301"),
        ("20200228", -59, "20191231"),
        ("1992.11.08", 1, "19921109"),
        ("20200228235959.123456+0100", 2, "20200301235959.123456+0100"),
        ("2020022823", 2, "2020030123"),
        ("202002", 15, "202003"),  # the 15th of February and 15 days
        ("2020", 169, "2020"),  # the 15th of July and 169 days is the last of December
        ("2020", 170, "2021"),
        ("2020-0500", 170, "2021-0500"),  # five hours behind UTC
        ("2019-2020", 170, "2020-2021"),
        ("20200101-20200131", 1, "20200102-20200201"),
        ("20200101-", 1, "20200102-"),
        ("-20200101", 1, "-20200102"),
        ("20200101120000-0500-20200102120000-0500", 1, "20200102120000-0500-20200103120000-0500"),
        ("20200230", 1, ""),
        ("00000000", 1, ""),
        ("99991231", 1, ""),
        ("14/03/2020", 1, ""),
        ("le 3 mars", 1, ""),
        ("", 1, ""),
    ],
)
def test_dates_move_as_exact_as_they_were(text: str, days: int, moved: str) -> None:
    """Days, months, years, times with offsets and ranges; what is no date leaves nothing."""
    assert shifted(text, days) == moved


@pytest.mark.parametrize(
    ("age", "kept"),
    [("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("999M", "999M"), ("012W", "012W"), ("37", ""), ("Zoé", "")],
)
def test_ages_over_89_are_one(age: str, kept: str) -> None:
    """From 90 years on all ages are the same; what is no age leaves nothing."""
    assert capped(age) == kept


def test_new_uids_are_uuids_made_of_the_key() -> None:
    """Version 8 and the variant of RFC 9562, the same for the same key, padded or not; the standard's own UIDs stay."""
    made = new_uid(KEY, "1.2.840.113619.2.1")
    number = int(made.removeprefix("2.25."))
    assert (uuid.UUID(int=number).version, uuid.UUID(int=number).variant) == (8, uuid.RFC_4122)
    assert made == new_uid(KEY, "1.2.840.113619.2.1\0") != new_uid(Key(bytes(32)), "1.2.840.113619.2.1")
    digest = KEY.digest("uid", "1.2.840.113619.2.1")[:16]
    same = (1 << 128) - 1 - (0xF << 76) - (0x3 << 62)
    assert number & same == int.from_bytes(digest, "big") & same
    assert new_uid(KEY, "1.2.840.10008.1.4.1.1") == "1.2.840.10008.1.4.1.1"
    assert new_uid(KEY, "1.2.840.10008.1/../../Lefevre").startswith("2.25.")


def test_file_and_report_of_a_patient_agree(make_radiograph: Make) -> None:
    """The pseudonym is that of a pairs folder, and days between the study and a date in the report stay what they were."""
    made = clean(make_radiograph(PatientID=" P0042 ", StudyDate="20200314"))
    assert made.PatientID == KEY.pseudonym("patient", "P0042")
    report, _ = pseudonymize("Contrôle du 16/03/2020.", KEY, "P0042")
    (day,) = [word for word in report.split() if "/" in word]
    moved = datetime.datetime.strptime(day.rstrip("."), "%d/%m/%Y").date()
    assert moved - datetime.date.fromisoformat(made.StudyDate) == datetime.timedelta(days=2)


# --- one file ---------------------------------------------------------------------------------------------------------


def test_all_ten_actions_of_midi_b_pass(tmp_path: Path) -> None:
    """Over 40 planted files in ten character sets and four transfer syntaxes nothing is left, and nothing is lost."""
    required, failed = BENCH["midi"](tmp_path)
    assert len(required) == 10
    assert failed == []


@pytest.mark.real_data
def test_nothing_planted_in_real_headers_is_left(real_data: Path, tmp_path: Path) -> None:
    """Of 17 strings in each real file none is in the bytes of its clean copy, and dciodvfy finds no new error."""
    files, leaks, errors, _ = BENCH["real"](real_data / "dicom", tmp_path)
    assert files >= 15
    assert leaks == []
    assert errors == []


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("options", [{}, dict.fromkeys(Options.model_fields, False)])
def test_what_was_valid_stays_valid(hospital: Path, tmp_path: Path, options: dict[str, bool]) -> None:
    """The validator has no error in the clean copy of a CR and a DX image that it did not have in the original."""
    seen = set()
    for path in sorted((hospital / "dicom").rglob("*")):
        try:
            kind = pydicom.dcmread(path, stop_before_pixels=True).Modality if path.is_file() and read_header(path) else None
        except Refused:
            continue
        if kind is None or kind in seen:
            continue
        seen.add(kind)
        made = clean(pydicom.dcmread(path), **options)
        made.save_as(tmp_path / kind, enforce_file_format=True)
        assert BENCH["errors"](tmp_path / kind) - BENCH["errors"](path) == {}
    assert seen == {"CR", "DX"}


def test_what_was_done_is_written_as_the_standard_wants_it(make_radiograph: Make) -> None:
    """The codes are those of CID 7050; each option that is off is not claimed, nor are pixels that nobody cleaned."""
    every = deidentify(make_radiograph(), KEY, Options(device_identity=True), lambda *_: True).dataset
    assert (every.PatientIdentityRemoved, every.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    written = {
        (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning) for item in every.DeidentificationMethodCodeSequence
    }
    known = {(code.value, code.scheme_designator, code.meaning) for code in codes.cid7050.concepts.values()}
    assert written <= known
    assert len(written) == len(CODES) == 6
    none = clean(make_radiograph(), **dict.fromkeys(Options.model_fields, False))
    assert [item.CodeValue for item in none.DeidentificationMethodCodeSequence] == ["113100"]
    assert none.LongitudinalTemporalInformationModified == "REMOVED"


def test_burned_in_annotation_says_no_only_if_somebody_looked(make_radiograph: Make) -> None:
    """NO is written after cleaning alone; else a file that said NO has to be treated as one with text."""
    claimed = make_radiograph(BurnedInAnnotation="NO")
    assert clean(claimed).BurnedInAnnotation == "YES"
    assert "BurnedInAnnotation" not in clean(make_radiograph())
    assert deidentify(claimed, KEY, Options(), lambda *_: True).dataset.BurnedInAnnotation == "NO"
    unwritten = deidentify(claimed, KEY, Options(), lambda *_: False)
    assert unwritten.dataset.BurnedInAnnotation == "NO"
    assert "7FE0,0010 blanked" not in unwritten.done
    with pytest.raises(ValueError, match="clean_pixel_data needs clean_pixels"):
        deidentify(claimed, KEY)


def test_pixels_are_cleaned_while_the_header_still_has_the_names(make_radiograph: Make) -> None:
    """The cleaner reads the identities it looks for, and what it makes of the pixels is in the copy."""
    seen = []

    def cleaner(dataset: Dataset, known: Known) -> bool:
        seen.append((str(dataset.PatientName), known.names, known.people))
        dataset.PixelData = bytes(128)
        return True

    made = deidentify(make_radiograph(), KEY, Options(), cleaner).dataset
    assert seen == [("Lefèvre^Zoé^Anne", ("Lefèvre", "Zoé", "Anne"), ("Petit Jean", "Roy Luc", "Blanc"))]
    assert made.PixelData == bytes(128)


def test_file_meta_and_preamble_are_new(make_radiograph: Make, tmp_path: Path) -> None:
    """No AE title, no private information, no preamble; the instance is named as in the data set."""
    dataset = make_radiograph()
    dataset.preamble = b"Lefevre".ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = "LEFEVRE"
    dataset.file_meta.PrivateInformationCreatorUID, dataset.file_meta.PrivateInformation = "1.2.3", b"Lefevre\0"
    clean(dataset).save_as(tmp_path / "a", enforce_file_format=True)
    content = (tmp_path / "a").read_bytes()
    assert content[:132] == bytes(128) + b"DICM"
    assert b"lefevre" not in content.lower()
    meta = pydicom.dcmread(tmp_path / "a").file_meta
    assert meta.MediaStorageSOPInstanceUID == new_uid(KEY, str(dataset.SOPInstanceUID))


def test_a_name_deep_inside_is_found(make_radiograph: Make) -> None:
    """Sequences are followed as deep as they go, and an operator who is named only there is unknown nowhere."""
    item = Dataset()
    item.OperatorsName, item.InstitutionName, item.DateTime = "Vantongel^Ilse", "Sint-Elders", "20200314"
    for _ in range(5):
        outer = Dataset()
        outer.ContributingEquipmentSequence = Sequence([item])
        item = outer
    made = clean(make_radiograph(**{"ContributingEquipmentSequence": [item], "SoftwareVersions": ["2.1", "by VANTONGEL"]}))
    assert made.SoftwareVersions == ["2.1", "by REMOVED"]
    for _ in range(6):
        made = made.ContributingEquipmentSequence[0]
    assert (made.OperatorsName, made.InstitutionName) == ("REMOVED", "REMOVED")
    assert made.DateTime == shifted("20200314", KEY.days("P0042"))


def test_items_with_a_character_set_of_their_own_are_read(make_radiograph: Make, save: Save, tmp_path: Path) -> None:
    """An item in Korean inside a Latin-1 file ends in UTF-8 like all of it, and names no character set."""
    item = Dataset()
    item.SpecificCharacterSet = ["", "ISO 2022 IR 149"]
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99X", "손목 관절"
    path = save(make_radiograph(AnatomicRegionSequence=[item], PatientName="홍길동"), tmp_path / "a")
    made = clean(pydicom.dcmread(path))
    (region,) = made.AnatomicRegionSequence
    assert (made.SpecificCharacterSet, region.CodeMeaning) == ("ISO_IR 192", "손목 관절")
    assert "SpecificCharacterSet" not in region


def test_what_cannot_be_read_is_removed(make_radiograph: Make, save: Save, tmp_path: Path) -> None:
    """Words where numbers, times, ages or dates belong do not get through, and the rest of the file does."""
    dataset = make_radiograph(StudyTime="à midi Zoé", PatientAge="vieux", StudyDate="mars", KVP="52")
    path = save(dataset, tmp_path / "a")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"DS\x02\x0052", b"DS\x02\x00Zo"))
    made = clean(pydicom.dcmread(path))
    assert (made.StudyTime, made.StudyDate, made.KVP, made.Modality) == ("", "", None, "CR")


def test_the_age_is_kept_where_only_the_birth_date_told_it(make_radiograph: Make) -> None:
    """Birth date goes, the age at the study stays: years, under two months, over 89 capped."""
    ages = {"20100315": "009Y", "20190301": "012M", "19200101": "090Y"}
    for birth, age in ages.items():
        made = clean(make_radiograph(PatientBirthDate=birth, StudyDate="20200314"))
        assert (made.PatientBirthDate, made.PatientAge) == (None, age)
    assert "PatientAge" not in clean(make_radiograph(), patient_characteristics=False)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("XR CHEST PA AND LATERAL", "XR CHEST PA AND LATERAL"),
        ("RX Genou Droit Face + Profil", "RX Genou Droit Face + Profil"),
        ("Ribs Unilat Left", "Ribs Unilat Left"),
        ("Poignet LEFEVRE Zoe", "Poignet REMOVED REMOVED"),
        ("Poignet lefèvre_zoé", "Poignet REMOVED_REMOVED"),
        ("LefevreZoe poignet", "REMOVED poignet"),
        ("Poignet p0042", "Poignet REMOVED"),
        ("Poignet (P-0042)", "Poignet (REMOVED)"),
        ("Genou, LAC", "Genou, REMOVED"),
        ("Main 1.2.840.113619.2.55.3.12", "Main REMOVED"),
        ("Main ap petit", "Main ap REMOVED"),
    ],
)
def test_descriptions_lose_identities_and_nothing_else(make_radiograph: Make, text: str, left: str) -> None:
    """What the header knows goes in any case, with or without accents, glued or alone; medicine in capitals stays."""
    made = clean(make_radiograph(StudyDescription=text, ProtocolName=text))
    assert (made.StudyDescription, made.ProtocolName) == (left, left)


def test_a_hospital_of_hands_still_examines_hands(make_radiograph: Make) -> None:
    """Words of an institution that say what it treats stay in descriptions, its own short name does not."""
    made = clean(make_radiograph(InstitutionName="UZQ Institut de la Main", StudyDescription="Main gauche, UZQ"))
    assert made.StudyDescription == "Main gauche, REMOVED"


def test_comments_lose_what_the_header_does_not_know(make_radiograph: Make) -> None:
    """Free text goes the way of reports: an unknown physician, a telephone, a mail."""
    text = "Fracture du scaphoïde. Appeler le Dr Verstraeten au 0470 12 34 56, vd@example.org."
    made = clean(make_radiograph(ImageComments=text, CommentsOnTheScheduledProcedureStep=text))
    for left in (made.ImageComments, made.CommentsOnTheScheduledProcedureStep):
        assert left.startswith("Fracture du scaphoïde. Appeler le Dr ")
        assert not [word for word in ("Verstraeten", "12 34 56", "vd@") if word in left]


def test_a_text_that_grew_fits_its_attribute(make_radiograph: Make) -> None:
    """What stands for a short name may be longer; a value is cut to what its attribute holds."""
    made = clean(make_radiograph(AcquisitionDeviceProcessingCode="x", ConvolutionKernel=["Zoé Zoé Zoé Zoé", "B"]))
    assert made.ConvolutionKernel == ["REMOVED REMOVED ", "B"]


def test_the_input_keeps_its_identities(make_radiograph: Make) -> None:
    """The clean copy is a copy."""
    dataset = make_radiograph(StudyDescription="Main Zoé")
    clean(dataset)
    assert (dataset.PatientID, dataset.StudyDescription, dataset.StudyDate) == ("P0042", "Main Zoé", "20200314")


@pytest.mark.parametrize("keyword", ["PatientID", "SOPInstanceUID"])
def test_whose_image_has_to_be_known(make_radiograph: Make, keyword: str) -> None:
    """Without Patient ID or instance UID there is nothing to derive from."""
    with pytest.raises(Refused, match=keyword):
        clean(make_radiograph(**{keyword: ""}))


def test_a_name_in_any_attribute_at_all_is_gone(make_radiograph: Make, tmp_path: Path) -> None:
    """The name stands in every text and every opaque attribute of the dictionary, and in unknown ones, at two depths."""
    dataset, item = make_radiograph(PatientName="Quaxelbrandt"), Dataset()
    kept = (0x00080005, 0x00080016, 0x00080018, 0x00100010, 0x00100020, 0x0018A001)
    known = [(tag, entry[0].split()[0]) for tag, entry in DicomDictionary.items() if tag not in kept and tag >> 16 > 4]
    unknown = [
        (0x0018FF00 + place, vr) for place, vr in enumerate(("AE", "CS", "LO", "LT", "PN", "SH", "UR", "UT", "UN", "OB"))
    ]
    for tag, vr in known + unknown:
        if vr in OPAQUE - {"UR"} and tag not in PIXELS:
            value = b"QUAXELBRANDT"
        elif vr in LINES | PROSE | {"AE", "AS", "DA", "DT", "TM", "PN", "UI", "UR"}:
            value = "QUAXELBRANDT"
        else:
            continue
        for place in (dataset, item):
            place.add(DataElement(tag, vr, value, validation_mode=IGNORE))
    dataset.ContributingEquipmentSequence = [item]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(tmp_path / "a", enforce_file_format=False)
    assert (tmp_path / "a").read_bytes().count(b"QUAXELBRANDT") > 3000
    clean(pydicom.dcmread(tmp_path / "a")).save_as(tmp_path / "b", enforce_file_format=True)
    assert b"quaxel" not in (tmp_path / "b").read_bytes().lower()


def test_an_attribute_said_to_be_another_kind_is_clean(make_radiograph: Make, save: Save, tmp_path: Path) -> None:
    """The value representation in the file decides what is read, and the table what is kept."""
    dataset = make_radiograph()
    for vr, keyword in (("AE", "SoftwareVersions"), ("PN", "FilterMaterial"), ("UT", "KVP"), ("LO", "PatientBirthDate")):
        dataset.add(DataElement(keyword, vr, "Inconnu" if vr == "PN" else "LEFEVRE", validation_mode=IGNORE))
    clean(pydicom.dcmread(save(dataset, tmp_path / "a"))).save_as(tmp_path / "b", enforce_file_format=True)
    content = (tmp_path / "b").read_bytes().lower()
    assert b"lefevre" not in content
    assert b"inconnu" not in content


# --- a folder ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def export(tmp_path: Path, make_radiograph: Make, save: Save) -> Path:
    """Two radiographs of a patient, a copy of one, a CT, and a text, below folders with their names."""
    folder = tmp_path / "export" / "LEFEVRE_Zoe"
    (folder / "deep").mkdir(parents=True)
    save(make_radiograph(SOPInstanceUID="1.2.3.1", Manufacturer="Acme for Lefevre"), folder / "IM1")
    save(make_radiograph(SOPInstanceUID="1.2.3.2"), folder / "deep" / "IM2.dcm")
    save(make_radiograph(SOPInstanceUID="1.2.3.2"), folder / "deep" / "copy.dcm")
    save(make_radiograph(Modality="CT"), folder / "ct.dcm")
    (folder / "note.txt").write_text("Zoé Lefèvre")
    return tmp_path / "export"


def told(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of an audit by file name."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {line["path"].split("/")[-1]: line for line in lines}


def test_a_folder_is_cleaned_file_by_file(export: Path, tmp_path: Path) -> None:
    """What is usable is named after its new UIDs, what is not has its reason, and no path of the output names the patient."""
    out = tmp_path / "clean"
    done = deidentify_folder(export, out, KEY, BLIND, silent)
    study = new_uid(KEY, "1.2.3")
    files = {path.relative_to(out).as_posix() for path in out.rglob("*.dcm")}
    assert files == {f"{study}/{new_uid(KEY, uid)}.dcm" for uid in ("1.2.3.1", "1.2.3.2")}
    assert done["kept"] == 2
    assert done["done"]["0010,0020 pseudonym"] == 2
    beside, inside = told(tmp_path / "clean.audit.jsonl"), told(out / "audit.jsonl")
    assert {name for name, line in beside.items() if line["status"] == "kept"} == {"IM1", "IM2.dcm"}
    reasons = {name: line["reason"].partition(":")[0] for name, line in beside.items() if line["status"] == "refused"}
    assert reasons.pop("ct.dcm").startswith("modality CT")
    assert reasons == {"copy.dcm": "a copy", "note.txt": "not a DICOM file, or damaged"}
    assert beside["IM1"]["path"] == "LEFEVRE_Zoe/IM1"
    assert inside["IM1"]["changed"]["new UID"] == 3
    assert inside["IM1"]["device"] == "Acme for REMOVED"
    content = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file()).lower()
    assert not [word for word in (b"lefevre", b"p0042", "lefèvre".encode(), b"1.2.3.1") if word in content]
    assert not (tmp_path / ".clean.partial").exists()


def test_files_behind_links_are_cleaned_and_links_to_nothing_refused(
    export: Path, tmp_path: Path, make_radiograph: Make, save: Save
) -> None:
    """A study on another disk is cleaned by the name it is reached by; a link to nothing has a line of its own."""
    (tmp_path / "disk").mkdir()
    save(make_radiograph(SOPInstanceUID="1.2.3.4"), tmp_path / "disk" / "IM9")
    (export / "other").symlink_to(tmp_path / "disk")
    (export / "gone").symlink_to(tmp_path / "nowhere")
    assert deidentify_folder(export, tmp_path / "clean", KEY, BLIND, silent)["kept"] == 3
    beside = told(tmp_path / "clean.audit.jsonl")
    assert (beside["IM9"]["path"], beside["IM9"]["status"]) == ("other/IM9", "kept")
    assert beside["gone"]["reason"] == "the file cannot be read"


def test_the_same_key_makes_the_same_bytes(export: Path, tmp_path: Path) -> None:
    """Nothing depends on the run, the clock or the order of files."""
    for name in ("one", "two"):
        deidentify_folder(export, tmp_path / name, KEY, BLIND, silent)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.dcm")} for name in ("one", "two"))
    assert one == two


def test_no_log_and_no_warning_names_a_patient(
    tmp_path: Path, make_radiograph: Make, save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    """Values that break the rules are reported by pydicom with what they are; not here."""
    odd = make_radiograph(AccessionNumber="Lefèvre-Zoé-20200314-0001", InstanceCreatorUID="1.2.Lefevre", PatientAge="Zoe")
    (tmp_path / "in").mkdir()
    save(odd, tmp_path / "in" / "a")
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        deidentify_folder(tmp_path / "in", tmp_path / "clean", KEY, BLIND, silent)
    assert not [word for word in ("Lef", "Zo") if word in caplog.text]


def test_one_bad_file_never_stops_the_others(export: Path, tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """A value that no writer can write, and a cleaner that fails, are reasons to refuse that file alone."""
    save(make_radiograph(SOPInstanceUID="1.2.3.3", Columns=9), export / "wide")

    def cleaner(dataset: Dataset, _: Known) -> bool:
        return bool(dataset.pixel_array.any())

    done = deidentify_folder(export, tmp_path / "clean", KEY, Options(), silent, cleaner)
    assert done["kept"] == 2
    assert told(tmp_path / "clean.audit.jsonl")["wide"]["reason"] == "its values cannot be rewritten (ValueError)"


def test_a_folder_without_a_radiograph_is_a_mistake(export: Path, tmp_path: Path) -> None:
    """The command fails with the reasons, nothing but the audit is left, and what is there already is not touched."""
    for path in export.rglob("*"):
        if path.is_file() and path.suffix != ".txt":
            path.unlink()
    with pytest.raises(UserError, match=r"no usable radiograph.*1 x not a DICOM file"):
        deidentify_folder(export, tmp_path / "clean", KEY, BLIND, silent)
    assert told(tmp_path / "clean.audit.jsonl").keys() == {"note.txt"}
    assert not (tmp_path / "clean").exists()
    with pytest.raises(UserError, match="already holds something"):
        deidentify_folder(export, export, KEY, BLIND, silent)
    with pytest.raises(UserError, match="there is no folder"):
        deidentify_folder(tmp_path / "nowhere", tmp_path / "clean", KEY, BLIND, silent)
