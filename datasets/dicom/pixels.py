"""From stored to displayed pixels: what a radiologist would see, as 8-bit grayscale."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_modality_lut, apply_voi
from pydicom.uid import JPEGExtended12Bit

from ..refusal import Refused
from .header import open_dicom

LEAST_SPAN = 0.05
"""A window that leaves less than this share of the gray scale between the darkest and brightest pixels shows nothing."""
LEAST_GRAY = 0.01
"""So does one that turns all but this share of the pixels into pure black or pure white."""
PERCENTILES = (0.5, 99.5)


def display_pixels(path: Path) -> np.ndarray:
    """Return the image as displayed, uint8 [height, width], 0 black and 255 white, whatever is stored.

    The order is that of the standard: stored values -> modality LUT -> VOI LUT or window -> inversion of MONOCHROME1, last and
    once. Photometric Interpretation alone decides on inversion: Presentation LUT Shape repeats it, and is sometimes wrong.
    A window that is missing, or shows almost nothing, gives way to the 0.5 to 99.5 percentiles.

    Raises:
        Refused: not DICOM, not one grayscale frame, or its pixels cannot be decoded.

    Source: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT), C.7.6.3.1.2 (photometric interpretation).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = open_dicom(path)
    return displayed(dataset)


def displayed(dataset: Dataset) -> np.ndarray:
    """Return the pixels of a whole DICOM dataset as `display_pixels` does.

    Raises:
        Refused: not one grayscale frame, or its pixels cannot be decoded.
    """
    with warnings.catch_warnings():
        # pydicom reports every deviation from the standard; those that matter become a refusal or a fallback here.
        warnings.simplefilter("ignore")
        stored = stored_values(dataset)
        try:
            values = np.asarray(apply_modality_lut(stored, dataset), np.float64)
        except Exception as error:
            raise Refused("its modality LUT is malformed") from error
        shown = _voi(dataset, stored, values)
        if shown is None or _shows_nothing(shown):
            shown = _stretched(values, _padding(dataset, stored))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    return (shown * 255).round().astype(np.uint8)


def stored_values(dataset: Dataset) -> np.ndarray:
    """Return the stored values, decompressed, without the bits above Bits Stored: integers [height, width].

    Raises:
        Refused: not one grayscale frame, or its pixels cannot be decoded.
    """
    _check(dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _decoded(dataset)
        except Exception as error:  # Whatever a decoder says about foreign bytes, the file is at fault.
            raise Refused("its pixels cannot be decoded: truncated, malformed, or in a compression without decoder") from error


def _decoded(dataset: Dataset) -> np.ndarray:
    if dataset.file_meta.TransferSyntaxUID != JPEGExtended12Bit or dataset.BitsAllocated == 8:
        return dataset.pixel_array
    # pydicom's plugins refuse 12-bit lossy JPEG, gdcm itself decodes it, from a file that holds no more than the image.
    import gdcm

    image = dataset.group_dataset(0x0028)
    image.file_meta, image["PixelData"] = dataset.file_meta, dataset["PixelData"]
    reader = gdcm.ImageReader()
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        dcmwrite(file, image)
        file.flush()
        reader.SetFileName(file.name)
        if not reader.Read():
            raise ValueError("gdcm cannot read the image")
    data = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(data, np.uint16).reshape(dataset.Rows, dataset.Columns)


def _check(dataset: Dataset) -> None:
    if dataset.get("PhotometricInterpretation") not in {"MONOCHROME1", "MONOCHROME2"}:
        raise Refused("a colour image, not a grayscale radiograph")
    if int(dataset.get("BitsAllocated") or 16) > 16:
        raise Refused("more than 16 bits per pixel: not a radiograph")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise Refused("several frames: a cine series, not a radiograph")


def _voi(dataset: Dataset, stored: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return what the file's own VOI LUT or first window shows, in [0, 1], or None where it has none that is valid."""
    table = _voi_table(dataset, stored, values)
    if table is not None:
        return table
    center, width = _first(dataset, "WindowCenter"), _first(dataset, "WindowWidth")
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    return windowed(values, center, width, function)


def _voi_table(dataset: Dataset, stored: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return the image through the first VOI LUT of the file; a table counts whole stored values, not rescaled ones."""
    items = dataset.get("VOILUTSequence")
    if not items or not items[0].get("LUTData") or not items[0].get("LUTDescriptor"):
        return None
    whole = np.round(values).astype(np.int64) if values is not stored else stored.astype(np.int64)
    try:
        looked_up = np.asarray(apply_voi(whole, dataset, index=0), np.float64)
    except Exception as error:
        raise Refused("its VOI LUT is malformed") from error
    bits = int(items[0].LUTDescriptor[2])
    # Some makers declare 16 bits and fill fewer, or the other way round: then the table's own top is white.
    top = max(2**bits - 1, looked_up.max())
    return np.clip(looked_up / top, 0, 1)


def _first(dataset: Dataset, keyword: str) -> float | None:
    value = dataset.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value in (None, "") else float(value)


def windowed(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Return ``values`` through a window, in [0, 1].

    Source: DICOM PS3.3 C.11.2.1.2 (LINEAR, with its half-pixel offsets) and C.11.2.1.3 (LINEAR_EXACT, SIGMOID).
    """
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _shows_nothing(shown: np.ndarray) -> bool:
    low, high = np.percentile(shown, PERCENTILES)
    return bool(high - low < LEAST_SPAN or np.mean((shown > 0) & (shown < 1)) < LEAST_GRAY)


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Return where the picture was padded to a rectangle: bool [height, width]; what is not one number is absent.

    Source: PS3.3 C.7.5.1.1.2.
    """
    value, limit = (dataset.get(keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if not isinstance(value, int):
        return np.zeros(stored.shape, bool)
    limit = limit if isinstance(limit, int) else value
    return (stored >= min(value, limit)) & (stored <= max(value, limit))


def _stretched(values: np.ndarray, padding: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values if padding.all() else values[~padding], PERCENTILES)
    if low == high:
        low, high = values.min(), values.max()
    return np.clip((values - low) / max(high - low, 1e-9), 0, 1)


def shrink(pixels: np.ndarray, max_side: int) -> np.ndarray:
    """Return ``pixels`` with a longest side of at most ``max_side``, averaged over area; smaller images stay as they are."""
    height, width = pixels.shape
    scale = max_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # The Hamming kernel widens with the reduction: no aliasing, no halos, sharper than the triangle of BILINEAR.
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.HAMMING))
