"""Headers: what is read, and what is refused with a reason that names nobody."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    SecondaryCaptureImageStorage,
)

from radsweep.datasets.dicom.header import open_dicom, read_header
from radsweep.datasets.refusal import Refused

Make = Callable[..., Dataset]
Save = Callable[[Dataset, Path], Path]


def test_a_header_says_who_where_and_what(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Names with accents, people, dates, age in whole months and codes are read as they were written."""
    header = read_header(save(make_radiograph(), tmp_path / "a"))
    assert header.patient_name == ("Lefèvre", "Zoé", "Anne")
    assert (header.patient_id, header.accession_number, header.study_instance_uid) == ("P0042", "A17", "1.2.3")
    assert (header.birth_date, header.study_date) == (datetime.date(2010, 3, 15), datetime.date(2020, 3, 14))
    assert header.age_months == 119
    assert header.people == ("Petit Jean", "Roy Luc", "Blanc")
    assert (header.view, header.laterality, header.body_part, header.sex) == ("AP", "L", "WRIST", "F")
    assert header.institution == "Clinique du Lac"


@pytest.mark.parametrize(
    ("age", "months"), [("037Y", 444), ("018M", 18), ("009W", 2), ("061D", 2), ("000Y", None), ("abc", None), ("", None)]
)
def test_age_is_read_where_dates_are_missing(
    tmp_path: Path, make_radiograph: Make, save: Save, age: str, months: int | None
) -> None:
    """Patient's Age counts in its own unit; a filler is missing, not zero."""
    header = read_header(save(make_radiograph(PatientBirthDate="", PatientAge=age), tmp_path / "a"))
    assert header.age_months == months


def test_what_is_missing_is_none(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Empty elements, impossible dates and free text in code fields are missing."""
    dataset = make_radiograph(
        AccessionNumber="", PatientBirthDate="00000000", ViewPosition="vue de Zoé Lefèvre", Laterality="U", PatientSex="X"
    )
    del dataset.ReferringPhysicianName, dataset.OperatorsName, dataset.InstitutionName
    header = read_header(save(dataset, tmp_path / "a"))
    assert header.accession_number is header.birth_date is header.view is header.laterality is header.sex is None
    assert header.people == ()


@pytest.mark.parametrize(
    "typed",
    [
        "Lefevre Zoe",
        "LEFEVRE ZOE",
        "LEFEVRE",
        "HAND_LEFEVRE",
        "AP ZOE",
        "P0042",
        "KNEE/P0042",
        "20100315",
        "W 20100315",
        "PETIT",
        "Martin Paul",
        "martin",
        "Mme Main",
        "4711",
        "2010-03-15",
    ],
)
def test_codes_that_name_somebody_or_are_not_written_as_codes_are_missing(
    tmp_path: Path, make_radiograph: Make, save: Save, typed: str
) -> None:
    """View and body part go into the pairs: names and numbers of the study, small letters and bare numbers do not."""
    header = read_header(save(make_radiograph(BodyPartExamined=typed, ViewPosition=typed), tmp_path / "a"))
    assert (header.body_part, header.view) == (None, None)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("HAND", "HAND"),
        ("Hand", "HAND"),
        ("lumbar spine", "LUMBAR SPINE"),
        ("Poignet", "POIGNET"),
        ("C SPINE/AP", "C SPINE/AP"),
        ("EXTREMITY", "EXTREMITY"),
        ("L5-S1", "L5-S1"),
        ("Lateral", "LATERAL"),
        ("pa", "PA"),
        ("W033", "W033"),
    ],
)
def test_codes_are_kept_as_devices_write_them(tmp_path: Path, make_radiograph: Make, save: Save, typed: str, code: str) -> None:
    """Codes in capitals, and views and body parts in any letters; also those of a patient who is called so."""
    header = read_header(save(make_radiograph(BodyPartExamined=typed, PatientName="Hand^Poignet"), tmp_path / "a"))
    assert header.body_part == code


def test_a_file_without_preamble_and_meta_is_read(tmp_path: Path, make_radiograph: Make) -> None:
    """Old exports start with the first element, implicit little endian."""
    dataset = Dataset()
    dataset.update(make_radiograph())
    path = tmp_path / "headless"
    dataset.save_as(path, implicit_vr=True, little_endian=True)
    assert path.read_bytes()[128:132] != b"DICM"
    assert read_header(path).patient_id == "P0042"


def test_the_class_of_a_file_may_stand_in_its_meta_alone(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """A dataset without SOP Class UID is what the file meta information says; without either it is no DICOM."""
    dataset = make_radiograph()
    del dataset.SOPClassUID
    assert read_header(save(dataset, tmp_path / "a")).patient_id == "P0042"
    assert open_dicom(tmp_path / "a").SOPClassUID == ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    with pytest.raises(Refused, match="secondary capture"):
        read_header(save(dataset, tmp_path / "a"))
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    with pytest.raises(Refused, match="a directory of DICOM files"):
        read_header(save(dataset, tmp_path / "a"))
    del dataset.file_meta.MediaStorageSOPClassUID
    with pytest.raises(Refused, match="not a DICOM file"):
        read_header(save(dataset, tmp_path / "a"))


def test_an_anonymized_file_says_what_it_lacks(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Pixels alone are no radiograph of anybody: refused for what is missing first, modality before patient."""
    dataset = make_radiograph()
    for element in list(dataset):
        if element.tag.group != 0x0028 and element.keyword != "PixelData":
            del dataset[element.tag]
    with pytest.raises(Refused, match="modality unknown"):
        read_header(save(dataset, tmp_path / "a"))
    dataset.Modality = "DX"
    with pytest.raises(Refused, match="no patient id"):
        read_header(save(dataset, tmp_path / "a"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: setattr(d, "Modality", "CT"), "modality CT"),
        (lambda d: setattr(d, "Modality", "LEFEVRE"), "modality unknown"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"), "secondary capture"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.11"), "structured report"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.104.1"), "encapsulated document"),
        (lambda d: setattr(d, "PresentationIntentType", "FOR PROCESSING"), "FOR PROCESSING"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1.1"), "FOR PROCESSING"),
        (lambda d: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localizer"),
        (lambda d: delattr(d, "PixelData"), "no pixels"),
        (lambda d: setattr(d, "PatientID", ""), "no patient id"),
        (lambda d: delattr(d, "StudyInstanceUID"), "no study uid"),
    ],
)
def test_what_is_no_usable_radiograph_is_refused(
    tmp_path: Path, make_radiograph: Make, save: Save, change: Callable, reason: str
) -> None:
    """Each kind of unusable file has its own reason, and no reason names the patient or the path."""
    dataset = make_radiograph()
    change(dataset)
    with pytest.raises(Refused, match=reason) as refusal:
        read_header(save(dataset, tmp_path / "Lefevre"))
    assert not {"lef", "zo", "p0042", str(tmp_path)} & set(str(refusal.value).lower().split())


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.4", bytes(5000), b"\x08\x00\x05\x00\xff\xff\xff\x7f" * 40])
def test_what_is_no_dicom_is_refused(tmp_path: Path, content: bytes) -> None:
    """Any other bytes are refused, whatever the parser makes of them."""
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(Refused, match="not a DICOM file"):
        read_header(tmp_path / "x")


def test_a_cut_off_file_is_refused(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """A file that ends in its pixels is cut off; one that ends before them has none."""
    whole = save(make_radiograph(), tmp_path / "whole").read_bytes()
    (tmp_path / "part").write_bytes(whole[:-10])
    with pytest.raises(Refused, match="cut off"):
        read_header(tmp_path / "part")
    (tmp_path / "part").write_bytes(whole[:-160])
    with pytest.raises(Refused, match=r"no pixels|not a DICOM"):
        read_header(tmp_path / "part")


def test_a_cut_off_compressed_file_is_refused(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Compressed pixels are walked item by item to see whether all of them are there."""
    dataset = make_radiograph()
    dataset.compress("1.2.840.10008.1.2.5")
    whole = save(dataset, tmp_path / "whole").read_bytes()
    assert read_header(tmp_path / "whole").patient_id == "P0042"
    (tmp_path / "part").write_bytes(whole[:-30])
    with pytest.raises(Refused, match="cut off"):
        read_header(tmp_path / "part")


def test_implicit_vr_pixels_are_found(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """The pixel element of implicit VR has no VR field, and is checked all the same."""
    dataset = make_radiograph()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    path = save(dataset, tmp_path / "a")
    assert read_header(path).patient_id == "P0042"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Refused, match="cut off"):
        read_header(path)
