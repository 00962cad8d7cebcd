"""The leakage gate: does anything of a training patient stand in another split?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

SIDE = 32
SAME_PICTURE = 0.9
"""Two images are near-duplicates from this correlation of their detail on.

Measured on public chest radiographs and on phantom bones: copies that were shrunk, compressed again or brightened (gamma 0.6)
correlate above 0.91, different patients below 0.84, and below 0.9 with the same large marker in the same place. A copy that
was cropped by 2 % is not recognised.
"""
LOUDEST = 2.0
"""Detail is cut off at so many standard deviations: a letter of lead must not outweigh the bones."""
BLOCK = 1024
"""Signatures are turned into words of signs so many at a time: all of them need not fit in memory."""
BANDS, BITS = 32, 16
"""Images are compared where one of 32 words of 16 random signs agrees: copies of correlation 0.95 miss that twice in 1,000."""


@dataclass(frozen=True)
class Leakage:
    """What the gate found; ``passed`` only when no patient, study or near-duplicate image crosses a split.

    Attributes:
        patients, studies: ids that stand in more than one split.
        images: pairs of studies in different splits that share a near-duplicate image.
        reports: report groups in more than one split; "radiographie normale" is expected to be, so this is told, not refused.
    """

    patients: tuple[str, ...]
    studies: tuple[str, ...]
    images: tuple[tuple[str, str], ...]
    reports: int

    @property
    def passed(self) -> bool:
        return not (self.patients or self.studies or self.images)

    def to_json(self) -> dict:
        checks = {name: len(getattr(self, name)) for name in ("patients", "studies", "images")}
        return {"passed": self.passed, "checks": checks | {"shared_report_groups": self.reports}}


def picture_signature(image: np.ndarray) -> bytes:
    """Return 1,024 numbers (int8) that say how each place of a 32 x 32 thumbnail differs from its surroundings.

    What all radiographs of one body part share is smooth and is gone; exposure, contrast and scale change little in what stays.
    A picture without detail has a signature of zeros.
    """
    small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    detail = small - uniform_filter(small, 5)
    loudest = LOUDEST * detail.std()
    if loudest < 1:
        return bytes(SIDE * SIDE)
    return np.round(np.clip(detail / loudest, -1, 1) * 127).astype(np.int8).tobytes()


def near_duplicates(signatures: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return the pairs of places in ``signatures`` that show the same picture, in order.

    Source: M. Charikar, "Similarity estimation techniques from rounding algorithms" (2002): vectors at a small angle have the
    same sign against most random directions, so that only those that share a word of signs need comparing.
    """
    directions = np.random.default_rng(0).standard_normal((SIDE * SIDE, BANDS * BITS)).astype(np.float32)
    signs = np.empty((len(signatures), BANDS), np.uint16)
    usable: list[int] = []
    for start in range(0, len(signatures), BLOCK):
        rows = range(start, min(start + BLOCK, len(signatures)))
        vectors = _vectors(signatures, rows)
        signs[start : rows.stop] = np.packbits(vectors @ directions > 0, axis=1).view(np.uint16)
        usable += (start + np.flatnonzero(vectors.any(axis=1))).tolist()
    found: set[tuple[int, int]] = set()
    for band in range(BANDS):
        for rows in _buckets(signs[usable, band], np.array(usable, int)):
            vectors = _vectors(signatures, rows)
            first, second = np.nonzero(np.triu(vectors @ vectors.T >= SAME_PICTURE, 1))
            found.update(zip(rows[first].tolist(), rows[second].tolist(), strict=True))
    return sorted(found)


def _vectors(signatures: Sequence[bytes], rows: Iterable[int]) -> np.ndarray:
    """Return some of the signatures as rows of length one, or zero."""
    vectors = np.stack([np.frombuffer(signatures[row], np.int8) for row in rows]).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)


def _buckets(words: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of every word that occurs more than once."""
    order = np.argsort(words, kind="stable")
    starts = np.flatnonzero(np.diff(words[order], prepend=-1))
    for bucket in np.split(rows[order], starts[1:]):
        if len(bucket) > 1:
            yield np.sort(bucket)


def find_leakage(
    study_ids: Sequence[str],
    patient_ids: Sequence[str],
    splits: Sequence[str],
    report_groups: Sequence[int],
    same_picture: Sequence[tuple[int, int]],
) -> Leakage:
    """Return everything that crosses splits, study by study (the first four arguments in the same order).

    ``same_picture`` holds pairs of places in ``study_ids`` whose studies share a near-duplicate image.
    """
    crossing = {(study_ids[one], study_ids[other]) for one, other in same_picture if splits[one] != splits[other]}
    return Leakage(
        patients=_crossing(patient_ids, splits),
        studies=_crossing(study_ids, splits),
        images=tuple(sorted(crossing)),
        reports=len(_crossing(report_groups, splits)),
    )


def _crossing(values: Sequence, splits: Sequence[str]) -> tuple:
    seen: dict = {}
    for value, split in zip(values, splits, strict=True):
        seen.setdefault(value, set()).add(split)
    return tuple(value for value, where in seen.items() if len(where) > 1)
