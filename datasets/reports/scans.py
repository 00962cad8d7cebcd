"""Words from the picture of a page: by Tesseract with French where it is installed, by RapidOCR elsewhere."""

import csv
import functools
import io
import os
import shutil
import subprocess
from typing import Any

import numpy as np
from PIL import Image

from ..refusal import Refused
from .layout import Piece

DPI = 300
LONGEST_SIDE = 5000
"""Pixels, A3 at `DPI`: pages that claim to be larger have the size of their picture, and are read at that."""
SURE = 0.5
"""RapidOCR's lines below this confidence are specks."""


def read_scan(picture: np.ndarray) -> tuple[list[Piece], str]:
    """Return the words (Tesseract) or lines (RapidOCR) of a page, and which of the two read them.

    Boxes are in pixels from the lower left corner.

    Args:
        picture: gray levels of the page at `DPI`, uint8 [height, width].

    Raises:
        Refused: Tesseract fails on it.
    """
    return (by_tesseract(picture), "Tesseract") if has_tesseract() else (by_rapidocr(picture), "RapidOCR")


@functools.cache
def has_tesseract() -> bool:
    """Whether the command ``tesseract`` is there with French."""
    if shutil.which("tesseract") is None:
        return False
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=True)
    return "fra" in listed.stdout.split()


def by_tesseract(picture: np.ndarray) -> list[Piece]:
    """Return the words of a page, see `read_scan`; one thread, since pages are read beside each other."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", compress_level=1, dpi=(DPI, DPI))
    command = ["tesseract", "stdin", "stdout", "-l", "fra", "--dpi", str(DPI), "--psm", "3", "tsv"]
    alone = os.environ | {"OMP_THREAD_LIMIT": "1"}
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, check=False, env=alone)
    if done.returncode != 0:
        raise Refused("a scanned page that Tesseract cannot read: scan it again")
    words = csv.DictReader(io.StringIO(done.stdout.decode()), delimiter="\t", quoting=csv.QUOTE_NONE)
    pieces = []
    for word in words:
        if word["level"] == "5" and word["text"].strip():
            left, top, width, height = (int(word[side]) for side in ("left", "top", "width", "height"))
            pieces.append(_piece(word["text"].strip(), left, top, left + width, top + height, len(picture)))
    return pieces


def by_rapidocr(picture: np.ndarray) -> list[Piece]:
    """Return the lines of a page, see `read_scan`."""
    found = _rapidocr()(np.repeat(picture[..., None], 3, axis=-1))
    if found.boxes is None:
        return []
    return [
        _piece(text, *np.concatenate([corners.min(axis=0), corners.max(axis=0)]).tolist(), len(picture))
        for corners, text, sure in zip(found.boxes, found.txts, found.scores, strict=True)
        if sure >= SURE
    ]


@functools.cache
def _rapidocr() -> Any:
    from rapidocr import RapidOCR

    # One thread, since pages are read beside each other; the classifier takes some upright lines for upside-down ones.
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        }
    )


def _piece(text: str, *box: float) -> Piece:
    """From left, top, right, bottom and the height of the picture to a box above its lower left corner."""
    left, top, right, bottom, height = box
    return Piece(text, left, height - bottom, right, height - top)
