"""What de-identification leaves in DICOM headers: MIDI-B's ten actions over planted files, and strings planted in real ones.

``python tests/bench/headers.py [DICOM]`` prints figure and bar side by side; exit code 1 if a bar is missed. The planted files
differ in character set (also a wrong or missing one) and transfer syntax, and their names are in no list. The real files are
those of the folder DICOM; without it they are skipped, as is the validator dciodvfy where it is not installed.

Source: MIDI-B, arXiv 2507.23608 (the actions; the best of ten teams passes 99.93 %).
"""

import datetime
import io
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from radsweep.datasets.dicom.deidentify import Options, deidentify
from radsweep.datasets.dicom.header import open_dicom
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.reports.pseudonymize import Known

KEY = Key(bytes(range(32)))
CR = "1.2.840.10008.5.1.4.1.1.1"
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
CHARSETS = {
    "Latin-1": ("ISO_IR 100", None),
    "UTF-8": ("ISO_IR 192", None),
    "none, Latin-1 inside": ("ISO_IR 100", b"          "),
    "none, UTF-8 inside": ("ISO_IR 192", b"          "),
    "says Latin-1, UTF-8 inside": ("ISO_IR 192", b"ISO_IR 100"),
    "says UTF-8, Latin-1 inside": ("ISO_IR 100", b"ISO_IR 192"),
    "says what does not exist, UTF-8 inside": ("ISO_IR 192", b"ISO_IR 999"),
    "Cyrillic": ("ISO_IR 144", None),
    "Japanese": (["", "ISO 2022 IR 87"], None),
    "Korean": (["", "ISO 2022 IR 149"], None),
}
"""How text is written, and what Specific Character Set says instead."""
BOX = (slice(2, 5), slice(1, 7))
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Person:
    """Somebody who does not exist."""

    family: str
    given: str
    ideographs: str = ""

    @property
    def dicom(self) -> str:
        return f"{self.family}^{self.given}{self.ideographs}"


@dataclass
class Case:
    """One planted file, and what has to be true of its clean copy: ``everywhere`` are the strings that may be nowhere in it."""

    dataset: Dataset
    says: bytes | None
    everywhere: list[str]
    removed: list[tuple[Path_, str]]
    retained: list[tuple[Path_, str]]
    dates: list[Path_]
    uids: list[Path_]


def invented(rng: random.Random, charset: str) -> Person:
    """Return a person whose name is in no list."""

    def word(syllables: int) -> str:
        accents = "éèàçüöïñ" if charset not in ("Japanese", "Korean", "Cyrillic") else ""
        letters = [rng.choice("bdfgklmnprstvz") + rng.choice("aeiou" + accents) for _ in range(syllables)]
        return ("".join(letters) + rng.choice("nrkx")).capitalize()

    if charset == "Cyrillic":
        return Person("Вор" + rng.choice("аеио") + "нецкий", "Злат" + rng.choice("аеио") + "рина")
    east = {"Japanese": "=山本^花子=やまもと^はなこ", "Korean": "=洪^吉洞=홍^길동"}.get(charset, "")
    return Person(word(3), word(2), east)


def bare(text: str) -> str:
    """Return ``text`` without accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def code(value: str, meaning: str) -> Dataset:
    """Return the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99TEST", meaning
    return item


def planted(number: int, charset: str, syntax: str) -> Case:
    """Return file ``number``; two files in a row are of one patient and study, in another transfer syntax."""
    rng = random.Random(f"{number // 2}")
    written, says = CHARSETS[charset]
    patient, doctor, operator, other = (invented(rng, charset) for _ in range(4))
    identity, accession, phone = (f"P{rng.randrange(10**6, 10**7)}", f"{rng.randrange(10**8, 10**9)}", "+32 470 12 34 56")
    town, clinic = invented(rng, "").family, f"Clinique {invented(rng, '').family}"
    birth = datetime.date(1930, 1, 1) + datetime.timedelta(days=rng.randrange(20_000))
    day = datetime.date(2015, 1, 1) + datetime.timedelta(days=rng.randrange(2000))
    study, series = generate_uid(entropy_srcs=[f"study {number // 2}"]), generate_uid(entropy_srcs=[f"series {number // 2}"])
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = syntax
    d.file_meta.MediaStorageSOPClassUID = CR
    d.file_meta.SourceApplicationEntityTitle = "SCANNER_OF_" + str(number)
    d.preamble = f"{patient.family:128}".encode()[:128]
    d.SpecificCharacterSet = written
    d.SOPClassUID, d.SOPInstanceUID = CR, generate_uid(entropy_srcs=[f"image {number}"])
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
    d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, generate_uid(entropy_srcs=["frame"])
    d.ImageType, d.Modality = ["ORIGINAL", "PRIMARY"], "CR"
    d.PatientName, d.PatientID, d.AccessionNumber = patient.dicom, identity, accession
    d.PatientBirthDate, d.PatientSex, d.PatientAge = f"{birth:%Y%m%d}", "F", "093Y" if number % 3 else "045Y"
    d.PatientSize, d.PatientWeight = "1.62", "58"
    d.StudyDate = d.SeriesDate = f"{day:%Y%m%d}"
    d.AcquisitionDateTime = f"{day:%Y%m%d}143055.250000+0100"
    d.ContentDate, d.ContentTime, d.StudyTime = f"{day:%Y%m%d}", "143055", "142900"
    d.StudyID, d.StationName, d.DeviceSerialNumber = accession[-6:], f"SALLE{number}", f"SN{rng.randrange(10**7)}"
    d.Manufacturer, d.ManufacturerModelName, d.SoftwareVersions = "Acme Imaging", "Ray 3000", ["V1.4", "2.0.1"]
    d.ReferringPhysicianName, d.OperatorsName = doctor.dicom, [operator.dicom, other.dicom]
    d.ReferringPhysicianAddress = f"12 rue {town}"
    d.InstitutionName, d.InstitutionAddress = clinic, f"3 avenue {town}"
    d.PatientAddress, d.PatientTelephoneNumbers = f"7 chemin {town}", phone
    d.StudyDescription = f"Poignet gauche {patient.family} {patient.given}"
    d.SeriesDescription = f"AP debout {identity} {day:%d/%m/%Y} {bare(patient.family).upper()}"
    d.ProtocolName = f"Wrist lateral {bare(doctor.family).upper()}"
    d.ImageComments = f"Fracture du radius. Vu avec le Dr {doctor.family}, tel {phone}. Dossier {accession}, le {day:%d/%m/%Y}."
    d.PatientComments = f"{patient.given} {patient.family}, mail zed.{town.lower()}@example.net"
    d.BodyPartExamined, d.ViewPosition, d.Laterality = "WRIST", "AP", "L"
    d.DetectorDescription = f"CsI panel of {operator.given} {operator.family}"
    d.PatientOrientation, d.KVP, d.Exposure = ["A", "F"], "52", "3"
    d.FilterMaterial = ["ALUMINUM", patient.family.upper()[:16]] if patient.family.isascii() else ["ALUMINUM"]
    d.AnatomicRegionSequence = Sequence([code("74670003", f"Wrist joint {patient.family}")])
    equipment = Dataset()
    equipment.Manufacturer, equipment.InstitutionName, equipment.OperatorsName = "Acme PACS", clinic, operator.dicom
    equipment.ContributionDateTime = f"{day:%Y%m}"
    equipment.ContributionDescription = f"sent for {doctor.given} {doctor.family}"
    equipment.PurposeOfReferenceCodeSequence = Sequence([code("109103", "Modifying Equipment")])
    d.ContributingEquipmentSequence = Sequence([equipment])
    request = Dataset()
    request.RequestedProcedureDescription = f"Radiographie {patient.family}"
    request.ScheduledProcedureStepID, request.RequestedProcedureID = accession, accession
    d.RequestAttributesSequence = Sequence([request])
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = CR, generate_uid(entropy_srcs=[f"image {number ^ 1}"])
    d.SourceImageSequence = Sequence([source])
    d.DateOfLastCalibration = [f"{day:%Y%m%d}", f"{birth:%Y%m%d}"]
    d.IconImageSequence = Sequence([Dataset()])
    d.IconImageSequence[0].ImageComments = patient.family
    d.BurnedInAnnotation = "YES"
    for group in (0x0009, 0x0029):
        block = d.private_block(group, f"{clinic[:20]} PRIVATE", create=True)
        block.add_new(1, "LO", patient.dicom)
        block.add_new(2, "SQ", Sequence([code(identity, patient.family)]))
        block.add_new(3, "UN", patient.family.encode("utf-8"))
    d.add(DataElement(0x60000010, "US", 8))
    d.add(DataElement(0x60003000, "OW", patient.family.encode("utf-8").ljust(32, b"\0")))
    d.add(DataElement(0x60004000, "LT", patient.family))
    d.add(DataElement(0x50003000, "OW", patient.family.encode("utf-8").ljust(32, b"\0")))
    d.add(DataElement(0xFFFCFFFC, "OB", patient.family.encode("utf-8").ljust(32, b"\0")))
    # Attributes that the table does not list, one for each kind of text.
    d.add(DataElement(0x00181030 + 0x6, "SH", f"ok {identity}"[:16]))  # unknown to the dictionary
    d.MaterialNotes, d.PartialViewDescription = f"note {phone}", f"vue de {bare(patient.family + patient.given).lower()}_1"
    d.InstructionDescription, d.PotentialDiagnosticTasks = (
        f"pour {patient.given} {patient.family}",
        [f"x {identity} {phone.replace(' ', '.')}", "y"],
    )
    d.SecondaryReviewerName, d.ContactURI = doctor.dicom, f"mailto:{number}@clinic.example"
    d.StudyUpdateDateTime, d.ProcedureCreationDate = f"{day:%Y%m%d}-{day:%Y}1231", f"{day:%Y%m%d}"
    d.StationAETitle, d.CodingSchemeURL = "SCANNER_OF_US", "http://clinic.example"
    d.ICCProfile = patient.family.encode("utf-8").ljust(32, b"\0")
    d.Rows = d.Columns = 8
    d.SamplesPerPixel, d.PhotometricInterpretation, d.BitsAllocated = 1, "MONOCHROME2", 16
    d.BitsStored, d.HighBit, d.PixelRepresentation = 12, 11, 0
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    d.PixelData = np.arange(64, dtype=np.uint16).reshape(8, 8).astype(order).tobytes()
    d["PixelData"].VR = "OW"
    everywhere = [patient.family, patient.given, identity, accession, phone, doctor.family, doctor.given, operator.family, town]
    everywhere += [
        other.family,
        clinic.split()[1],
        f"{birth:%Y%m%d}",
        f"{day:%Y%m%d}",
        f"{day:%d/%m/%Y}",
        "SCANNER_OF_",
        "clinic.example",
    ]
    everywhere += [str(uid) for uid in (study, series, d.SOPInstanceUID, source.ReferencedSOPInstanceUID)]
    everywhere += [bare(name) for name in (patient.family, patient.given, doctor.family)]
    everywhere += [part for group in patient.ideographs.split("=") for part in group.split("^") if len(part) > 1]
    where = ("StudyDescription",), ("SeriesDescription",), ("ProtocolName",), ("ImageComments",), ("PatientComments",)
    unlisted = ("DetectorDescription",), ("MaterialNotes",), ("PartialViewDescription",), ("InstructionDescription",)
    return Case(
        d,
        says,
        everywhere,
        removed=[(path, text) for path in (*where, *unlisted, ("PotentialDiagnosticTasks",), ()) for text in everywhere],
        retained=[
            (("StudyDescription",), "Poignet gauche"),
            (("SeriesDescription",), "AP debout"),
            (("ProtocolName",), "Wrist lateral"),
            (("ImageComments",), "Fracture du radius. Vu avec le Dr"),
            (("Manufacturer",), "Acme Imaging"),
            (("ManufacturerModelName",), "Ray 3000"),
            (("SoftwareVersions",), "V1.4"),
            (("BodyPartExamined",), "WRIST"),
            (("ViewPosition",), "AP"),
            (("Laterality",), "L"),
            (("ImageType",), "ORIGINAL"),
            (("KVP",), "52"),
            (("PatientSex",), "F"),
            (("PatientAge",), "090Y" if number % 3 else "045Y"),
            (("PatientSize",), "1.62"),
            (("StudyTime",), "142900"),
            (("FilterMaterial",), "ALUMINUM"),
            (("DetectorDescription",), "CsI panel of"),
            (("AnatomicRegionSequence", 0, "CodeMeaning"), "Wrist joint"),
            (("ContributingEquipmentSequence", 0, "Manufacturer"), "Acme PACS"),
            (("ContributingEquipmentSequence", 0, "PurposeOfReferenceCodeSequence", 0, "CodeValue"), "109103"),
            (("RequestAttributesSequence", 0, "RequestedProcedureDescription"), "Radiographie"),
        ],
        dates=[
            *((name,) for name in ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDateTime", "DateOfLastCalibration")),
            *((name,) for name in ("StudyUpdateDateTime", "ProcedureCreationDate")),
            ("ContributingEquipmentSequence", 0, "ContributionDateTime"),
        ],
        uids=[
            *((name,) for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")),
            ("SourceImageSequence", 0, "ReferencedSOPInstanceUID"),
        ],
    )


# --- the ten actions --------------------------------------------------------------------------------------------------


def at(dataset: Dataset, path: Path_) -> Any:
    """Return the value at a path of keywords and items, or None."""
    value: Any = dataset
    for step in path:
        value = value.get(step) if isinstance(step, str) else value[step]
        if value is None:
            return None
    return value


def text_at(dataset: Dataset, path: Path_) -> str:
    """Return all text at a path; of the empty path, that of the whole data set."""
    value = at(dataset, path)
    return str(value) if not isinstance(value, pydicom.multival.MultiValue) else "\n".join(map(str, value))


def expected_date(text: str, days: int) -> str:
    """Return what a value has to be after its days, worked out another way than in the program: by text alone."""

    def moved(found: re.Match[str]) -> str:
        digits = found[0]
        form = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d"}[len(digits)]
        middle = {4: digits + "0715", 6: digits + "15", 8: digits}[len(digits)]
        return (datetime.datetime.strptime(middle, "%Y%m%d") + datetime.timedelta(days=days)).strftime(form)

    return re.sub(r"(?<![\d.+])(?:\d{8}|\d{6}|\d{4})(?=\d{6}\.|-|$)", moved, text)


def blanked(dataset: Dataset, _: Known) -> bool:
    """Hide the box of every planted picture: what a pixel cleaner does, with the place known."""
    order = ">u2" if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<u2"
    pixels = np.frombuffer(dataset.PixelData, order).reshape(8, 8).copy()
    pixels[BOX] = 0
    dataset.PixelData = pixels.tobytes()
    return True


def checks(case: Case, before: Dataset, after: Dataset, uids: dict[str, str], patients: dict[str, str]) -> Iterator[tuple]:
    """Yield (action, what, passed) for one file; ``uids`` and ``patients`` remember the stand-ins of all files."""
    days = KEY.days(str(before.PatientID))
    for path, text in case.retained:
        yield "tag_retained", path, at(after, path) is not None
        yield "text_retained", (path, text), text.lower() in text_at(after, path).lower()
    for name in ("PatientName", "PatientID", "SOPInstanceUID", "Modality", "StudyDate", "DeidentificationMethod"):
        yield "text_notnull", name, bool(str(after.get(name) or ""))
    for path, text in case.removed:
        # A word may stay where it was in the name of nobody: none of the invented ones is French or English.
        yield "text_removed", (path, text), text.casefold() not in text_at(after, path).casefold()
    for path in case.dates:
        old, new = text_at(before, path), text_at(after, path)
        parts = zip(old.split("\n"), new.split("\n"), strict=True)
        yield "date_shifted", (path, old, new), all(expected_date(one, days) == other for one, other in parts)
    for path in case.uids:
        old, new = str(at(before, path)), str(at(after, path))
        valid = re.fullmatch(r"2\.25\.[1-9]\d*", new) is not None and int(new[5:]) < 2**128 and len(new) <= 64
        yield "uid_changed", (path, new), old != new and valid
        yield "uid_consistent", path, uids.setdefault(old, new) == new
    yield "uid_consistent", "file meta", after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    old, new = str(before.PatientID), str(after.PatientID)
    yield "patid_consistent", old, patients.setdefault(old, new) == new == KEY.pseudonym("patient", old)
    outside = np.ones((8, 8), bool)
    outside[BOX] = False
    yield "pixels_hidden", BOX, not after.pixel_array[BOX].any()
    yield "pixels_retained", BOX, np.array_equal(after.pixel_array[outside], np.arange(64).reshape(8, 8)[outside])


def stored(dataset: Dataset) -> bytes:
    """Return the bytes of a file, also of one that breaks rules."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def midi(folder: Path) -> tuple[Counter[str], list[tuple]]:
    """Return how often each action was required, and every one that failed."""
    required: Counter[str] = Counter()
    failed = []
    uids: dict[str, str] = {}
    patients: dict[str, str] = {}
    number = 0
    for charset in CHARSETS:
        for syntax in SYNTAXES:
            case = planted(number, charset, syntax)
            content = stored(case.dataset)
            written = CHARSETS[charset][0]
            if case.says and isinstance(written, str) and syntax != DeflatedExplicitVRLittleEndian:
                content = content.replace(written.encode(), case.says, 1)
            path = folder / f"{number}.dcm"
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = deidentify(open_dicom(path), KEY, Options(), blanked)
                output = stored(made.dataset)
                after = pydicom.dcmread(io.BytesIO(output))
                found = [*checks(case, case.dataset, after, uids, patients)]
                if syntax != DeflatedExplicitVRLittleEndian:
                    content = output.decode("utf-8", "replace").casefold()
                    found += [("text_removed", f"bytes: {text}", text.casefold() not in content) for text in case.everywhere]
                for action, what, passed in found:
                    required[action] += 1
                    if not passed:
                        failed.append((action, charset, syntax.name, what))
            number += 1
    return required, failed


# --- real files -------------------------------------------------------------------------------------------------------

STRINGS = {
    "family name": "Quaxelbrandt",
    "given name": "Ysolinde",
    "patient id": "KZ4471902",
    "other id": "882013774",
    "birth date": "19470219",
    "patient address": "Plumberwick",
    "telephone": "0478556677",
    "referring": "Ostervandel",
    "referring address": "Grimhollow",
    "reading physician": "Tamberlane",
    "operator": "Fenwhistle",
    "nested operator": "Morrowdale",
    "institution": "Zephyrsanct",
    "accession": "ACC7733155",
    "nested date": "20180317",
    "private": "Hexabarrow",
    "mail": "quaxel@example.net",
}


def plant(dataset: Dataset) -> None:
    """Write 17 identities into a header, where they belong and where they do not."""
    s = STRINGS
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = f"{s['family name']}^{s['given name']}", s["patient id"]
    dataset.OtherPatientIDs, dataset.PatientBirthDate = s["other id"], s["birth date"]
    dataset.PatientAddress, dataset.PatientTelephoneNumbers = f"4 rue {s['patient address']}", s["telephone"]
    dataset.ReferringPhysicianName, dataset.ReferringPhysicianAddress = s["referring"], f"9 quai {s['referring address']}"
    dataset.NameOfPhysiciansReadingStudy, dataset.OperatorsName = s["reading physician"], s["operator"]
    dataset.InstitutionName, dataset.AccessionNumber = f"Hospital {s['institution']}", s["accession"]
    dataset.StudyDescription = f"XR CHEST for {s['given name']} {s['family name']} ({s['patient id']})"
    dataset.SeriesDescription = f"{s['family name'].upper()}_{s['accession']}"
    dataset.ImageComments = f"Seen by {s['referring']} at {s['institution']}, {s['mail']}, {s['telephone']}, {s['nested date']}"
    equipment = Dataset()
    equipment.Manufacturer, equipment.OperatorsName = f"Acme {s['family name']}", s["nested operator"]
    equipment.InstitutionName, equipment.ContributionDateTime = s["institution"], f"{s['nested date']}093000"
    equipment.PurposeOfReferenceCodeSequence = Sequence([code("109103", f"Modified by {s['nested operator']}")])
    dataset.ContributingEquipmentSequence = Sequence([equipment])
    block = dataset.private_block(0x0011, "ACME", create=True)
    block.add_new(1, "LO", s["private"])
    block.add_new(2, "SQ", Sequence([code(s["private"], s["family name"])]))


def errors(path: Path) -> Counter[str]:
    """Return what dciodvfy calls an error, without the values."""
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False)
    lines = (run.stderr + run.stdout).splitlines()
    return Counter(re.sub(r"<[^>]*>", "<>", line) for line in lines if line.startswith("Error"))


def real(dicom: Path, folder: Path) -> tuple[int, list[tuple[str, str]], list[tuple[str, str]], float]:
    """Return how many files, planted strings in their clean copies, new errors of dciodvfy, and files per second of a core."""
    leaks, new, seconds = [], [], 0.0
    paths = sorted(dicom.glob("*.dcm"))
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                implicit, _ = dataset.original_encoding
                dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            plant(dataset)
            before, after = folder / f"before {path.name}", folder / f"after {path.name}"
            before.write_bytes(stored(dataset))
            start = time.process_time()
            made = deidentify(pydicom.dcmread(before), KEY, Options(clean_pixel_data=False))
            after.write_bytes(stored(made.dataset))
            seconds += time.process_time() - start
        # Without the pixels: their bytes are noise, in which short strings may stand by chance.
        content = after.read_bytes().lower()
        leaks += [(path.name, what) for what, text in STRINGS.items() if text.lower().encode() in content]
        if shutil.which("dciodvfy"):
            new += [(path.name, error) for error in errors(after) - errors(before)]
    return len(paths), leaks, new, len(paths) / seconds if seconds else 0.0


def main(dicom: Path | None) -> int:
    """Measure, print, judge."""
    missed = False

    def line(what: str, figure: str, bar: str, ok: bool) -> None:
        nonlocal missed
        missed |= not ok
        print(f"{what:64} {figure:>12}   bar {bar:10} {'ok' if ok else 'MISSED'}")

    with tempfile.TemporaryDirectory() as name:
        required, failed = midi(Path(name))
        by_action = Counter(action for action, *_ in failed)
        for action, count in required.items():
            line(action, f"{count - by_action[action]}/{count}", "all", not by_action[action])
        share = 1 - len(failed) / required.total()
        line(
            f"all {len(required)} actions over {len(CHARSETS) * len(SYNTAXES)} planted files",
            f"{share:.2%}",
            "100 %",
            not failed,
        )
        for one in failed[:20]:
            print("  failed:", *one)
        if dicom is None:
            print("skipped: real files, no folder DICOM was named")
        else:
            files, leaks, new, rate = real(dicom, Path(name))
            line(f"of {len(STRINGS)} strings planted in each of {files} real files, left", str(len(leaks)), "0", not leaks)
            if shutil.which("dciodvfy"):
                line("errors of dciodvfy that the input does not have", str(len(new)), "0", not new)
            else:
                print("skipped: errors of dciodvfy, which is not installed")
            for one in leaks + new:
                print("  found:", *one)
            print(f"read, cleaned and written: {rate:.0f} files per second of a core")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
