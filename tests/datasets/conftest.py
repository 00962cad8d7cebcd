"""What tests of reading share: small DICOM files of fictitious patients, and PDF reports."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

CR = "1.2.840.10008.5.1.4.1.1.1"


def radiograph(pixels: np.ndarray | None = None, **elements: object) -> FileDataset:
    """A small CR of a fictitious patient."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CR
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = CR, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", generate_uid()
    dataset.Modality = "CR"
    dataset.PatientName, dataset.PatientID = "Lefèvre^Zoé^Anne", "P0042"
    dataset.AccessionNumber = "A17"
    dataset.PatientBirthDate, dataset.StudyDate, dataset.PatientSex = "20100315", "20200314", "F"
    dataset.ReferringPhysicianName = "Petit^Jean"
    dataset.OperatorsName = ["Roy^Luc", "Blanc"]
    dataset.InstitutionName = "Clinique du Lac"
    dataset.ViewPosition, dataset.Laterality, dataset.BodyPartExamined = "AP", "L", "WRIST"
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) if pixels is None else pixels
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = values.astype("<u2").tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
    return dataset


def written(dataset: Dataset, path: Path) -> Path:
    """Save as it is: tests also write what the standard forbids."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=False)
    return path


def pdf(path: Path, lines: Sequence[str | tuple[float, str]], **options: object) -> Path:
    """A PDF of ``lines``, 14 points apart; a tuple stands at its own place on the line before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = Canvas(str(path), pagesize=A4, invariant=1, **options)
    canvas.setFont("Helvetica", 10)
    height = 800
    for line in lines:
        if isinstance(line, tuple):
            canvas.drawString(line[0], height, line[1])
        elif line == "\f":
            canvas.showPage()
            canvas.setFont("Helvetica", 10)
            height = 800
        else:
            height -= 14
            canvas.drawString(50, height, line)
    canvas.save()
    return path


@pytest.fixture
def make_radiograph() -> Callable[..., FileDataset]:
    """The function `radiograph`."""
    return radiograph


@pytest.fixture
def save() -> Callable[[Dataset, Path], Path]:
    """The function `written`."""
    return written


@pytest.fixture
def make_pdf() -> Callable[..., Path]:
    """The function `pdf`."""
    return pdf
