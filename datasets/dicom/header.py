"""What pairing and de-identification need of a DICOM file, read without its pixels."""

import contextlib
import datetime
import logging
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ..body_parts import PATTERNS
from ..refusal import Refused
from ..reports.found import plain

PROJECTION = {"CR", "DX", "MG", "RG", "PX", "IO"}
STORAGE = "1.2.840.10008.5.1.4.1.1."
NOT_AN_IMAGE = {
    f"{STORAGE}7": "a secondary capture, not an acquired radiograph",
    f"{STORAGE}88": "a structured report, not an image",
    f"{STORAGE}104": "an encapsulated document, not an image",
    f"{STORAGE}11": "a presentation state, not an image",
    "1.2.840.10008.1.3.10": "a directory of DICOM files, not an image",
}
FOR_PROCESSING = {f"{STORAGE}1.1.1", f"{STORAGE}1.2.1", f"{STORAGE}1.3.1"}
PEOPLE = (
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansOfRecord",
    "RequestingPhysician",
    "ConsultingPhysicianName",
)
IDENTITIES = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "InstitutionName", *PEOPLE)
WORD = re.compile(r"[^\W\d_]{3,}|\d{3,}")
VIEW = re.compile("ap|pa|ll|rl|lat|lateral|obl|oblique|axial|face|profil", re.IGNORECASE)
DESCRIPTIONS = ("StudyDescription", "RequestedProcedureDescription", "ProtocolName", "SeriesDescription")
ORDER_NUMBERS = (
    "StudyID",
    "RequestedProcedureID",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
)
NOT_DICOM = "not a DICOM file, or damaged"
NO_PIXELS = "no pixels: the file holds a header alone, or is cut off before its pixels"
CUT_OFF = "cut off: the file ends before its pixels do; export it again"
DAYS_PER_MONTH = 30.436875
MONTHS_PER_UNIT = {"D": 1 / DAYS_PER_MONTH, "W": 7 / DAYS_PER_MONTH, "M": 1.0, "Y": 12.0}


@dataclass(frozen=True, slots=True)
class Header:
    """One radiograph. Holds identities: it never leaves the process that prepares.

    Attributes:
        patient_name: its parts (family, given, middle), without empty ones.
        people: physicians and operators, ``Family Given``.
        view, laterality, body_part: as in `datasets.schema`; no identities.
        age_months: at the study, from both dates or else from Patient's Age (0010,1010).
        sex: F, M, O or None.
        description: of the study, its protocol and its series, as they were typed: it may hold identities.
        device: maker and model, letters and digits only; None where the file names neither, or something else stands there.
        order_numbers: other numbers of the examination that a report may print: study id, requested procedure, orders.
    """

    path: str
    study_instance_uid: str
    sop_instance_uid: str
    patient_name: tuple[str, ...]
    patient_id: str
    accession_number: str | None
    birth_date: datetime.date | None
    study_date: datetime.date | None
    people: tuple[str, ...]
    institution: str | None
    view: str | None
    laterality: str | None
    body_part: str | None
    age_months: int | None
    sex: str | None
    description: str | None = None
    order_numbers: tuple[str, ...] = ()
    device: str | None = None


def read_header(path: Path) -> Header:
    """Return the header of a projection radiograph, with or without preamble and file meta information.

    Raises:
        Refused: not DICOM, not a radiograph for presentation, without pixels or identifiers, or cut off.
    """
    # Real headers break the rules of their value representations all the time; what matters is checked below.
    with silence():
        dataset, pixels = _read(path)
        _check(dataset, pixels)
        return _header(path, dataset)


def open_dicom(path: Path) -> Dataset:
    """Return the whole DICOM file, its pixels included and not decoded, with a transfer syntax even if the file names none.

    Its SOP class is that of the file meta information where the dataset has none.

    Raises:
        Refused: it cannot be read as DICOM, or its pixels are missing or cut off.
    """
    dataset, pixels = _read(path)
    if pixels != "whole":
        raise Refused(NO_PIXELS if pixels == "none" else CUT_OFF)
    dataset = _classed(pydicom.dcmread(path, force=True))
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )
    return dataset


def _read(path: Path) -> tuple[Dataset, str]:
    """Return everything before the pixels, and how the pixels are: ``whole``, ``cut off`` or ``none``."""
    try:
        with path.open("rb") as file:
            dataset = _classed(pydicom.dcmread(file, force=True, stop_before_pixels=True))
            pixels = _pixels(file, dataset, path.stat().st_size)
        for element in dataset:
            _ = element.value
    except OSError as error:
        raise Refused("the file cannot be read") from error
    except Exception as error:  # Whatever foreign bytes make the parser say, the file is at fault.
        raise Refused(NOT_DICOM) from error
    if not str(dataset.get("SOPClassUID", "")).startswith("1.2.840.10008."):
        raise Refused(NOT_DICOM)
    return dataset, pixels


def _classed(dataset: FileDataset) -> FileDataset:
    """Fill in SOP Class UID (0008,0016), which some anonymizers take out of the dataset and leave in the file meta information.

    Source: DICOM PS3.10 7.1 (Media Storage SOP Class UID is that of the dataset).
    """
    if not dataset.get("SOPClassUID") and (stored := dataset.file_meta.get("MediaStorageSOPClassUID")):
        dataset.SOPClassUID = stored
    return dataset


def _pixels(file: BinaryIO, dataset: Dataset, size: int) -> str:
    """Look at the element that pydicom stopped before, (7FE0,0010), and whether all of its value is there."""
    if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return "whole"  # The stream is compressed as one: inflating it has shown that nothing is missing.
    implicit, little = dataset.original_encoding
    head = file.read(8 if implicit else 12)
    order = "<" if little else ">"
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) != (0x7FE0, 0x0010):
        return "none"
    (length,) = struct.unpack(f"{order}L", head[-4:])
    if length == 0xFFFFFFFF:
        return "whole" if _whole_fragments(file, size) else "cut off"
    if length == 0:
        return "none"
    return "whole" if file.tell() + length <= size else "cut off"


def _whole_fragments(file: BinaryIO, size: int) -> bool:
    """Walk over the items of compressed pixels (PS3.5 A.4); some writers leave out the delimiter after the last one."""
    while head := file.read(8):
        if len(head) < 8:
            return False
        _, element, length = struct.unpack("<HHL", head)
        if element == 0xE0DD:
            return True
        if file.seek(length, 1) > size:
            return False
    return True


def _check(dataset: Dataset, pixels: str) -> None:
    sop_class = str(dataset.SOPClassUID)
    for root, what in NOT_AN_IMAGE.items():
        if sop_class == root or sop_class.startswith(f"{root}."):
            raise Refused(what)
    modality = str(dataset.get("Modality") or "")
    if modality not in PROJECTION:
        told = modality if re.fullmatch(r"[A-Z]{2,4}", modality) else "unknown"
        raise Refused(f"modality {told} is not projection radiography ({', '.join(sorted(PROJECTION))})")
    if dataset.get("PresentationIntentType") == "FOR PROCESSING" or sop_class in FOR_PROCESSING:
        raise Refused("FOR PROCESSING: raw detector data, not what a radiologist sees; export the FOR PRESENTATION image")
    if "LOCALIZER" in _all(dataset, "ImageType"):
        raise Refused("a localizer, not a radiograph")
    if pixels == "none":
        raise Refused(NO_PIXELS)
    if pixels == "cut off":
        raise Refused(CUT_OFF)
    for keyword, what in (
        ("PatientID", "patient id (0010,0020)"),
        ("StudyInstanceUID", "study uid (0020,000D)"),
        ("SOPInstanceUID", "instance uid (0008,0018)"),
    ):
        if not _text(dataset, keyword):
            raise Refused(f"no {what}: it cannot be said whose image this is")


def _header(path: Path, dataset: Dataset) -> Header:
    birth, study = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
    sex = (_text(dataset, "PatientSex") or "").upper()
    side = (_text(dataset, "ImageLaterality") or _text(dataset, "Laterality") or "").upper()
    return Header(
        path=str(path),
        study_instance_uid=str(dataset.StudyInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        patient_name=_name(dataset.get("PatientName")),
        patient_id=str(dataset.PatientID).strip(),
        accession_number=_text(dataset, "AccessionNumber"),
        birth_date=birth,
        study_date=study,
        people=tuple(
            dict.fromkeys(" ".join(parts) for keyword in PEOPLE for name in _values(dataset, keyword) if (parts := _name(name)))
        ),
        institution=_text(dataset, "InstitutionName"),
        view=_code(dataset, "ViewPosition"),
        laterality=side if side in {"L", "R", "B"} else None,
        body_part=_code(dataset, "BodyPartExamined"),
        age_months=_age_months(birth, study, _text(dataset, "PatientAge")),
        sex=sex if sex in {"F", "M", "O"} else None,
        description=" ".join(filter(None, (_text(dataset, keyword) for keyword in DESCRIPTIONS))) or None,
        order_numbers=tuple(dict.fromkeys(filter(None, (_text(dataset, keyword) for keyword in ORDER_NUMBERS)))),
        device=_device(dataset),
    )


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep pydicom from warning of values that it finds odd, and from logging them: they are those of patients."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    value = dataset.get(keyword)
    if value is None:
        return []
    return list(value) if isinstance(value, MultiValue) else [value]


def _all(dataset: Dataset, keyword: str) -> list[str]:
    return [str(value) for value in _values(dataset, keyword)]


def _text(dataset: Dataset, keyword: str) -> str | None:
    """Return a non-empty text value, or None."""
    return " ".join(_all(dataset, keyword)).strip() or None


def _code(dataset: Dataset, keyword: str) -> str | None:
    """Return a code string in capitals: what was written so and names nobody of the study, or any view or body part (``Hand``).

    Anything else that was typed into the field could be an identity and is dropped.
    """
    text = _text(dataset, keyword) or ""
    if not re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9 _/-]{1,16}", text):
        return None
    known = VIEW.fullmatch(text) or any(part.fullmatch(plain(text)) for part in PATTERNS.values())
    return text.upper() if known or (text.isupper() and not _names_somebody(dataset, text)) else None


def _device(dataset: Dataset) -> str | None:
    """Return maker and model, unless they are written like nothing that a maker writes, or name somebody of the study."""
    text = " ".join(filter(None, (_text(dataset, keyword) for keyword in ("Manufacturer", "ManufacturerModelName"))))
    made = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 .,_+/&()-]{1,79}", text)
    return text if made and not _names_somebody(dataset, text) else None


def _names_somebody(dataset: Dataset, text: str) -> bool:
    """Whether a word or number of ``text`` is one of the identities of the file."""
    identities = " ".join(filter(None, (_text(dataset, keyword) for keyword in IDENTITIES)))
    return not set(WORD.findall(plain(identities))).isdisjoint(WORD.findall(plain(text)))


def _name(value: Any) -> tuple[str, ...]:
    """Return family, given and middle name of a person name (PS3.5 6.2.1.2), all its alphabets one after the other."""
    groups = str(value or "").split("=")
    return tuple(part for group in groups for part in (piece.strip() for piece in group.split("^")[:3]) if part)


def _date(dataset: Dataset, keyword: str) -> datetime.date | None:
    text = _text(dataset, keyword) or ""
    found = re.fullmatch(r"(\d{4})[.]?(\d{2})[.]?(\d{2})", text)
    if not found:
        return None
    year, month, day = (int(part) for part in found.groups())
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def _age_months(birth: datetime.date | None, study: datetime.date | None, age: str | None) -> int | None:
    if birth and study and birth <= study:
        return (study.year - birth.year) * 12 + study.month - birth.month - (study.day < birth.day)
    found = re.fullmatch(r"(\d{3})([DWMY])", age or "")
    # 000Y stands for "less than a year" and, more often, for "not entered".
    if not found or found[0] == "000Y":
        return None
    return int(int(found[1]) * MONTHS_PER_UNIT[found[2]])
