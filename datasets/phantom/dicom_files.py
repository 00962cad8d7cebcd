"""Radiographs as DICOM files: valid CR and DX objects, stored as differently as hospitals store them.

Source: DICOM PS3.3 A.2 (CR image) and A.26 (digital X-ray image, for presentation): every type 1 and 2 attribute is there.
"""

import datetime
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openjpeg.utils import encode_array
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from .french import Planted
from .identities import Hospital, Patient, Physician

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless)
SHARES = (0.4, 0.2, 0.1, 0.15, 0.15)
IMPLEMENTATION = generate_uid(entropy_srcs=["radsweep phantom"])
REGIONS = {
    "WRIST": ("74670003", "Wrist joint"),
    "ELBOW": ("16953009", "Elbow joint"),
    "SHOULDER": ("16982005", "Shoulder region"),
    "HIP": ("24136001", "Hip joint"),
    "KNEE": ("72696002", "Knee region"),
    "ANKLE": ("70258002", "Ankle joint"),
}
"""SNOMED CT codes of DICOM context group 4031."""


@dataclass(frozen=True)
class StudyHeader:
    """What all images of one study have in common."""

    hospital: Hospital
    patient: Patient
    prescriber: Physician
    radiologist: Physician
    operator: Physician
    accession_number: str
    when: datetime.datetime
    age_years: int
    body_part: str
    description: str
    left: bool
    uid_seed: str

    @property
    def study_uid(self) -> str:
        return generate_uid(entropy_srcs=[self.uid_seed, "study"])


@dataclass(frozen=True)
class Storage:
    """How one file stores its pixels."""

    digital: bool
    bits: int
    inverted: bool
    window: bool
    rescaled: bool
    syntax: str
    latin: bool

    @classmethod
    def draw(cls, digital: bool, rng: np.random.Generator) -> "Storage":
        return cls(
            digital=digital,
            bits=int(rng.choice((12, 16))),
            inverted=bool(rng.random() < 0.35),
            window=bool(rng.random() < 0.7),
            rescaled=bool(not digital and rng.random() < 0.4),
            syntax=str(rng.choice(SYNTAXES, p=SHARES)),
            latin=bool(rng.random() < 0.5),
        )


def stored(image: np.ndarray, storage: Storage) -> np.ndarray:
    """Return the stored values of a displayed image in [0, 1], uint16 [height, width]."""
    top = 2**storage.bits - 1
    values = np.round(image * top).astype(np.uint16)
    return top - values if storage.inverted else values


def build(header: StudyHeader, view: str, number: int, pixels: np.ndarray, storage: Storage) -> Dataset:
    """Return the DICOM object of image ``number`` (from 1) of a study, ready to be saved; ``pixels`` come from `stored`."""
    dataset = Dataset()
    sop_class = DigitalXRayImageStorageForPresentation if storage.digital else ComputedRadiographyImageStorage
    dataset.SpecificCharacterSet = "ISO_IR 100" if storage.latin else "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[header.uid_seed, "image", str(number)])
    _patient_and_study(dataset, header)
    dataset.Modality = "DX" if storage.digital else "CR"
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[header.uid_seed, "series", dataset.Modality])
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = number
    dataset.BodyPartExamined = header.body_part
    dataset.ViewPosition = view
    dataset.PatientOrientation = ["L", "F"] if view != "LATERAL" else ["A", "F"]
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BurnedInAnnotation = "NO"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if storage.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = storage.bits
    dataset.HighBit = storage.bits - 1
    dataset.PixelRepresentation = 0
    slope, intercept = (0.5, 100.0) if storage.rescaled else (1.0, 0.0)
    if storage.digital or storage.rescaled:
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = slope, intercept, "US"
    if storage.window:
        dataset.WindowCenter = 2 ** (storage.bits - 1) * slope + intercept
        dataset.WindowWidth = 2**storage.bits * slope
    if storage.digital:
        _digital(dataset, header, storage)
    else:
        dataset.Laterality = "L" if header.left else "R"
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    return _encoded(dataset, pixels, storage.syntax)


def _patient_and_study(dataset: Dataset, header: StudyHeader) -> None:
    dataset.PatientName = header.patient.dicom
    dataset.PatientID = header.patient.patient_id
    dataset.PatientBirthDate = f"{header.patient.birth_date:%Y%m%d}"
    dataset.PatientSex = header.patient.sex
    dataset.PatientAge = f"{header.age_years:03d}Y"
    dataset.PatientAddress = header.patient.address
    dataset.PatientTelephoneNumbers = header.patient.phone
    dataset.StudyInstanceUID = header.study_uid
    dataset.StudyDate = f"{header.when:%Y%m%d}"
    dataset.StudyTime = f"{header.when:%H%M%S}"
    dataset.AcquisitionDate = dataset.StudyDate
    dataset.StudyID = header.accession_number[-6:]
    dataset.AccessionNumber = header.accession_number
    dataset.StudyDescription = header.description
    dataset.ReferringPhysicianName = header.prescriber.dicom
    dataset.PerformingPhysicianName = header.radiologist.dicom
    dataset.OperatorsName = header.operator.dicom
    dataset.InstitutionName = header.hospital.name
    dataset.InstitutionAddress = header.hospital.address
    dataset.Manufacturer = "Phantom Imaging"
    dataset.ManufacturerModelName = "Synthetic"


def _digital(dataset: Dataset, header: StudyHeader, storage: Storage) -> None:
    """Add what a DX object needs beyond a CR object."""
    code, meaning = REGIONS[header.body_part]
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = code, "SCT", meaning
    dataset.AnatomicRegionSequence = Sequence([region])
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = "L" if header.left else "R"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if storage.inverted else -1
    dataset.PresentationLUTShape = "INVERSE" if storage.inverted else "IDENTITY"
    dataset.LossyImageCompression = "00"
    dataset.ImagerPixelSpacing = [0.6, 0.6]
    dataset.DetectorType = "SCINTILLATOR"
    dataset.AcquisitionContextSequence = Sequence([])


def _encoded(dataset: Dataset, pixels: np.ndarray, syntax: str) -> Dataset:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.ImplementationClassUID = IMPLEMENTATION
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax == JPEG2000Lossless:
        # pydicom compresses JPEG 2000 only through a further package; the encoder itself is here already.
        codestream = encode_array(pixels, bits_stored=dataset.BitsStored, photometric_interpretation=2, codec_format=0)
        dataset.PixelData = encapsulate([codestream])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    elif syntax in (RLELossless, JPEGLSLossless):
        plugin = "gdcm" if syntax == RLELossless else "pyjpegls"
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    return dataset


def save(dataset: Dataset, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        dataset.save_as(path, enforce_file_format=True)


def identities(header: StudyHeader) -> list[Planted]:
    """Return every identity in the headers of a study."""
    return [
        Planted("name", header.patient.dicom),
        Planted("id", header.patient.patient_id),
        Planted("birth_date", f"{header.patient.birth_date:%Y%m%d}"),
        Planted("address", header.patient.address),
        Planted("phone", header.patient.phone),
        Planted("id", header.accession_number),
        Planted("date", f"{header.when:%Y%m%d}"),
        Planted("name", header.prescriber.dicom),
        Planted("name", header.radiologist.dicom),
        Planted("name", header.operator.dicom),
        Planted("institution", header.hospital.name),
        Planted("address", header.hospital.address),
    ]


def as_ct(dataset: Dataset) -> Dataset:
    """Turn a radiograph into what must be refused: a CT slice."""
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    return dataset
