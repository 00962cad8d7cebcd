"""Any image file of an export or a table, as displayed pixels."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .dicom.pixels import PERCENTILES, display_pixels
from .refusal import Refused

FORMATS = ("PNG", "JPEG", "TIFF")
DAMAGED = "truncated or not an image (PNG, JPEG, TIFF or DICOM): export the file again"


def read_pixels(path: Path) -> np.ndarray:
    """Return the displayed grayscale pixels of a PNG, JPEG, TIFF or DICOM file, uint8 [height, width].

    What a file is, its content says, not its name. Transparency is black; more than 8 bits are stretched from the 0.5 to the
    99.5 percentile.

    Raises:
        Refused: truncated, or none of these.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata, and of large images, which radiographs are.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as picture:
                return _gray(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:
        return display_pixels(path)
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError) as error:
        raise Refused(DAMAGED) from error


def _gray(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith(("I", "F")):
        deep = np.asarray(picture, np.float64)
        low, high = np.percentile(deep, PERCENTILES)
        return (np.clip((deep - low) / max(high - low, 1e-9), 0, 1) * 255).round().astype(np.uint8)
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear)
    return np.asarray(picture.convert("L"))
