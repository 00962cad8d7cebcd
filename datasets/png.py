"""Pixels as PNG files, as pairs folders keep them: without loss, and without metadata."""

import io

import numpy as np
from PIL import Image


def encode_png(pixels: np.ndarray) -> bytes:
    """Return the PNG file of a uint8 image [height, width]; no metadata goes with it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def decode_png(data: bytes) -> np.ndarray:
    """Return the pixels that `encode_png` was given."""
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)
