"""Text burned into a radiograph: found by RapidOCR, kept where it marks side or view, filled with the gray around it elsewhere.

The road of an image: `windows` says where anything thin and sharp stands, the detector looks there alone, the recognizer reads
what it found, `_decide` keeps markers, and `_filled` paints over the rest. What was read is compared and forgotten: only where
a box lies and what it was taken for leave this file.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import cv2
import numpy as np
from pydicom.dataset import Dataset

from ..refusal import Refused
from ..reports.dates import find_dates
from ..reports.found import plain, words
from ..reports.pseudonymize import Known
from .pixels import displayed, stored_values

MARKERS = frozenset(
    words(
        # side
        "d g l r lt rt droite droit gauche left right links rechts dextre senestre bilateral "
        # view
        "ap pa face profil lat lateral laterale latero oblique obl axial axiale frontal sagittal tangentiel tunnel "
        # position
        "debout couche couchee assis assise decubitus decub dorsal ventral charge neutre flexion extension rotation interne "
        "externe standing erect upright semi supine prone sitting seated horizontal beam weight bearing wb "
        "internal external neutral "
        # breathing, room and machine
        "inspiration expiration insp exp portable port mobile mobil lit bed side bedside"
    )
)
"""Words that say how a picture was taken, in lower case without accents. Letters other than these are initials of somebody."""
WORKING_SIDE, LEAST_SCALE = 1536, 0.6
"""The detector looks at larger images reduced to this side, but never so far that 14 px letters lose their shape."""
STROKE, DENSITY = 9, 0.4
"""A stroke is thinner than this many pixels, and writing fills so much of its line with strokes."""
CONTRAST = {1: 20, 2: 32}
"""Gray levels between a stroke and what is beside it, in working size and in half of it, where large letters are thin."""
LINE = (24, 8)
"""Width and height of the least stretch of a line that is looked at for strokes."""
CONTEXT = 20
"""The detector sees so many pixels around a place with strokes."""
FRAME, GRID = 16, 32
"""It wants a margin of plain gray, without which it misses lines at the edge, and sides that are multiples of 32."""
SURE = 0.75
"""A line counts as writing from here on, in how sure the detector is plus a quarter of how sure the recognizer is."""
SURE_MARKER = 0.8
"""A marker is kept if the recognizer is as sure as that."""
LARGEST_LETTER = 0.2
"""What is taller than this share of the image's shorter side is anatomy that looks like a letter, not writing."""
PADDING = 0.2
"""Boxes grow by this share of their line's height, and at least `LEAST_PADDING` pixels, on each side."""
LEAST_PADDING = 3
MOST_CHARACTERS, MOST_AREA = 300, 0.2
SIMILAR = 0.8
"""Matching letters of a word that was read, over those of both it and the name."""
SHORTEST_NAME, SHORTEST_NUMBER = 4, 4
"""A name counts when read with a wrong letter, or without spaces, from so many letters on; a number from so many digits on."""
TEXT_HEAVY = "mostly text: a page, a form or a screen, not a radiograph"


@dataclass(frozen=True)
class Box:
    """Where text stands, in pixels of the image: rows ``[top, bottom)``, columns ``[left, right)``.

    Attributes:
        kind: ``marker`` was kept; ``identity`` matches what is known of the patient, ``text`` any other writing: both are gone.
    """

    top: int
    left: int
    bottom: int
    right: int
    kind: Literal["marker", "identity", "text"]


def redact(pixels: np.ndarray, known: Known | None = None) -> tuple[np.ndarray, list[Box]]:
    """Return the displayed image without the writing in it, uint8 [height, width], and what was found where.

    Writing is filled smoothly from the gray around it. An image without any is returned as it is.

    Raises:
        Refused: writing covers a fifth of the image, or has more than 300 characters.
    """
    boxes = find_text(pixels, known)
    mask = _mask(pixels.shape, boxes)
    return (_filled(pixels, mask) if mask.any() else pixels), boxes


def clean_pixels(dataset: Dataset, known: Known | None = None) -> bool:
    """Blank the writing in the stored pixels of ``dataset``, in place, and return whether any pixel data changed.

    Text is looked for as displayed, so neither compression, bit depth nor inversion hides it. Pixels that have to change become
    Explicit VR Little Endian, others stay compressed as they were. Graphics in the bits above Bits Stored are dropped as well.

    Raises:
        Refused: as `redact`, or the pixels cannot be decoded or are not one grayscale frame.

    Source: DICOM PS3.15 E.3.1 (Clean Pixel Data Option).
    """
    shown = displayed(dataset)
    mask = _mask(shown.shape, find_text(shown, known))
    stored = stored_values(dataset)
    compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    if mask.any():
        stored = _filled(stored, mask)
    elif compressed or dataset.PixelData[: stored.nbytes] == stored.tobytes():
        return False
    dataset.set_pixel_data(stored, dataset.PhotometricInterpretation, dataset.BitsStored, generate_instance_uid=False)
    return True


def find_text(pixels: np.ndarray, known: Known | None = None) -> list[Box]:
    """Return the boxes of all writing in the displayed image, uint8 [height, width]; vertical and tilted lines too.

    Raises:
        Refused: see `redact`.
    """
    height, width = pixels.shape
    boxes, lone, characters = [], [], 0
    for corners, found in lines(pixels):
        left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(corners.max(axis=0)).astype(int).tolist()
        line = _straightened(pixels, corners)
        tall, long = sorted(line.shape)
        if tall > LARGEST_LETTER * min(height, width):
            continue
        text, read = _read(line)
        letters = len(re.findall(r"[^\W_]", text))
        if long > 2 * letters * tall:
            read = 0.0  # So few letters in so long a line were not read right.
        kind = _decide(text, known or Known())
        if kind == "marker" and read < SURE_MARKER:
            kind = "text"
        margin = max(LEAST_PADDING, round(PADDING * tall))
        box = Box(max(0, top - margin), max(0, left - margin), min(height, bottom + margin), min(width, right + margin), kind)
        if kind == "marker":
            boxes.append(box)
        elif letters < 2:
            lone.append(box)
        elif found + read / 4 >= SURE:
            boxes.append(box)
            characters += letters
    # The head of a screw and the shaft of a bone read as a letter: nothing of anybody if alone, perhaps beside other writing.
    writing = [box for box in boxes if box.kind != "marker"]
    boxes += [box for box in lone if any(_beside(box, other) for other in writing)]
    if characters > MOST_CHARACTERS or _mask(pixels.shape, boxes).mean() > MOST_AREA:
        raise Refused(TEXT_HEAVY)
    return boxes


def _beside(box: Box, other: Box) -> bool:
    """Whether no more than a letter's height lies between two boxes."""
    gap = min(box.bottom - box.top, other.bottom - other.top)
    return (
        max(box.top, other.top) < min(box.bottom, other.bottom) + gap
        and max(box.left, other.left) < min(box.right, other.right) + gap
    )


# --- finding ----------------------------------------------------------------------------------------------------------


@functools.cache
def _engine() -> Any:
    """Return RapidOCR on one thread: processes side by side keep all cores busy, threads within would be in their way."""
    from rapidocr import RapidOCR  # Takes most of a second, which commands without images need not wait.

    cv2.setNumThreads(1)
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.max_side_len": 2**14,
            "Det.limit_type": "max",
            "Det.limit_side_len": 2**14,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def lines(pixels: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the four corners (x, y) of each line of text, float32 [4, 2] from top left clockwise, and how sure the detector is.

    The detector looks at each window in working size and, where that is less, in full size: small letters and writing across
    other lines are found in one of the two.
    """
    working, scale = working_copy(pixels)
    for x, y, wide, high in windows(working):
        seen: list[np.ndarray] = []
        for size in sorted({scale, 1.0}):
            look = working if size == scale else pixels
            left, top, right, bottom = (round(edge * size / scale) for edge in (x, y, x + wide, y + high))
            for corners, sure in _detected(look[top:bottom, left:right]):
                corners = (corners + np.array((left, top), np.float32)) / np.float32(size)
                if not any(_within(corners, other) for other in seen):
                    seen.append(corners)
                    yield corners, sure


def _within(corners: np.ndarray, other: np.ndarray) -> bool:
    """Whether nine tenths of the rectangle around one line lie in that around another."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    common = np.minimum(high, other.max(axis=0)) - np.maximum(low, other.min(axis=0))
    return bool((common > 0).all() and common.prod() >= 0.9 * (high - low).prod())


def _detected(window: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the corners of each line of text in an image, within it, and how sure the detector is."""
    high, wide = window.shape
    below, beside = FRAME + -(high + 2 * FRAME) % GRID, FRAME + -(wide + 2 * FRAME) % GRID
    framed = cv2.copyMakeBorder(window, FRAME, below, FRAME, beside, cv2.BORDER_CONSTANT, value=int(np.median(window)))
    found = _engine()(framed, use_det=True, use_cls=False, use_rec=False)
    if found.boxes is not None:
        for corners, sure in zip(found.boxes, found.scores, strict=True):
            yield np.clip(corners.astype(np.float32) - FRAME, 0, (wide, high)).astype(np.float32), float(sure)


def working_copy(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the image in the size that the detector sees, and that size over its own."""
    scale = min(1.0, max(LEAST_SCALE, WORKING_SIDE / max(pixels.shape)))
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def windows(working: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Return left, top, width and height of the places that hold anything thin and sharp enough to be writing."""
    if min(working.shape) < max(CONTRAST):
        return []
    places = np.zeros(working.shape, np.uint8)
    for reduced, contrast in CONTRAST.items():
        level = cv2.resize(working, None, fx=1 / reduced, fy=1 / reduced, interpolation=cv2.INTER_AREA)
        dense = (_stroke_density(level, contrast) >= DENSITY).astype(np.uint8)
        places = np.maximum(places, cv2.resize(dense, working.shape[::-1], interpolation=cv2.INTER_NEAREST))
    places = cv2.dilate(places, np.ones((2 * CONTEXT + 1, 2 * CONTEXT + 1), np.uint8))
    count = -1
    while True:
        *_, stats, _ = cv2.connectedComponentsWithStats(places)
        found = [(int(x), int(y), int(wide), int(high)) for x, y, wide, high, _ in stats[1:]]
        if len(found) == count:
            return found
        count = len(found)
        for x, y, wide, high in found:
            places[y : y + high, x : x + wide] = 1  # Rectangles that overlap are one: no line is seen twice.


def _stroke_density(level: np.ndarray, contrast: int) -> np.ndarray:
    """Return the share of stroke pixels in the stretch of line around each pixel, the denser of lying and standing lines."""
    kernel = np.ones((STROKE, STROKE), np.uint8)
    thin = np.maximum(cv2.morphologyEx(level, cv2.MORPH_TOPHAT, kernel), cv2.morphologyEx(level, cv2.MORPH_BLACKHAT, kernel))
    sharp = cv2.morphologyEx(level, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    strokes = ((thin > contrast) & (sharp > contrast)).astype(np.float32)
    return np.maximum(cv2.blur(strokes, LINE), cv2.blur(strokes, LINE[::-1]))


# --- reading ----------------------------------------------------------------------------------------------------------


def _straightened(pixels: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the rectangle between four corners, upright even where the line is tilted."""
    wide, high = (max(1, round(float(np.linalg.norm(corners[other] - corners[0])))) for other in (1, 3))
    upright = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], np.float32)
    return cv2.warpPerspective(pixels, cv2.getPerspectiveTransform(corners, upright), (wide, high))


def _read(crop: np.ndarray) -> tuple[str, float]:
    """Return the text of a line and how sure the recognizer is, in the best of the directions it may run in."""
    height, width = crop.shape
    turns = (0, 2) if height < 1.5 * width else (0, 1, 3) if height < 2.5 * width else (1, 3)
    best = ("", 0.0)
    for turn in turns:
        turned = np.ascontiguousarray(np.rot90(crop, turn))
        read = _engine()(turned, use_det=False, use_cls=False, use_rec=True)
        if read.txts and read.scores[0] > best[1]:
            best = (read.txts[0], float(read.scores[0]))
        if best[1] > 0.9:
            break
    return best


def _decide(text: str, known: Known) -> Literal["marker", "identity", "text"]:
    """Return what a line of text is. A word that is also a name of the patient is no marker; a single letter names nobody."""
    told = re.findall(r"[^\W_]+", plain(text))
    names = {word for name in (*known.names, *known.people, *known.places) for word in re.findall(r"[^\W_]{2,}", plain(name))}
    if told and all(word in MARKERS and word not in names for word in told):
        return "marker"
    return "identity" if _known(text, told, names, known) else "text"


def _known(text: str, told: list[str], names: set[str], known: Known) -> bool:
    """Whether a line holds a known name, as far as letters were read right, a known number, or the date of birth."""
    digits = re.sub(r"\D", "", text)
    numbers = {re.sub(r"\D", "", number) for number in known.identifiers}
    return (
        any(_named(name, told) for name in names)
        or any(len(number) >= SHORTEST_NUMBER and number in digits for number in numbers)
        or any(date.date == known.birth_date for date in find_dates(text) if date.date)
    )


def _named(name: str, told: list[str]) -> bool:
    if len(name) < SHORTEST_NAME:
        return name in told
    return name in "".join(told) or any(SequenceMatcher(None, word, name).ratio() >= SIMILAR for word in told)


# --- painting over ----------------------------------------------------------------------------------------------------


def _mask(shape: tuple[int, ...], boxes: Iterable[Box]) -> np.ndarray:
    """Return where something is to be painted over: bool [height, width]."""
    mask = np.zeros(shape, bool)
    for box in boxes:
        if box.kind != "marker":
            mask[box.top : box.bottom, box.left : box.right] = True
    return mask


def _filled(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return ``values`` with the masked pixels smoothly continued from those around: no edge is left where writing was."""
    filled = _diffused(values.astype(np.float32), (~mask).astype(np.float32))
    return np.where(mask, np.round(filled), values).astype(values.dtype)


def _diffused(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return ``values`` where ``weight`` is 1, elsewhere their mean in the least of ever larger cells that holds any weight."""
    height, width = values.shape
    if weight.all() or max(height, width) == 1:
        return values
    half = ((width + 1) // 2, (height + 1) // 2)
    total = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(values * weight, half, interpolation=cv2.INTER_AREA) / np.maximum(total, 1e-6)
    coarse = cv2.resize(_diffused(mean, (total > 0).astype(np.float32)), (width, height), interpolation=cv2.INTER_LINEAR)
    return values * weight + coarse * (1 - weight)
