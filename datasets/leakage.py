"""The leakage gate: does anything of a training patient stand in another split?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

NEAR = 6
"""Two images are near-duplicates when at most this many of their 256 hash bits differ."""


@dataclass(frozen=True)
class Leakage:
    """What the gate found; ``passed`` only when no patient, study or near-duplicate image crosses a split.

    Attributes:
        patients, studies: ids that stand in more than one split.
        images: pairs of studies in different splits that share a near-duplicate image.
        reports: report groups in more than one split; "radiographie normale" is expected to be there, so this is told, not refused.
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


def difference_hash(image: np.ndarray) -> bytes:
    """Return 256 bits, one per neighbouring pair in a 16 x 17 thumbnail: 1 where brightness rises to the right.

    Exposure and scale leave it unchanged. Source: N. Krawetz, "Kind of Like That" (2013), at 16 x 16 instead of 8 x 8.
    """
    small = np.asarray(Image.fromarray(image).resize((17, 16), Image.Resampling.BOX), np.int16)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes()


def find_leakage(
    study_ids: Sequence[str],
    patient_ids: Sequence[str],
    splits: Sequence[str],
    report_groups: Sequence[int],
    image_hashes: Sequence[Sequence[bytes]],
) -> Leakage:
    """Return everything that crosses splits, study by study (all arguments in the same order)."""
    return Leakage(
        patients=_crossing(patient_ids, splits),
        studies=_crossing(study_ids, splits),
        images=_near_duplicates(study_ids, splits, image_hashes),
        reports=len(_crossing(report_groups, splits)),
    )


def _crossing(values: Sequence, splits: Sequence[str]) -> tuple:
    seen: dict = {}
    for value, split in zip(values, splits, strict=True):
        seen.setdefault(value, set()).add(split)
    return tuple(value for value, where in seen.items() if len(where) > 1)


def _near_duplicates(
    study_ids: Sequence[str], splits: Sequence[str], image_hashes: Sequence[Sequence[bytes]]
) -> tuple[tuple[str, str], ...]:
    """Two hashes of 8 words that differ in at most 6 bits share at least two words: only those are compared."""
    owner = [i for i, hashes in enumerate(image_hashes) for _ in hashes]
    if not owner:
        return ()
    words = np.frombuffer(b"".join(h for hashes in image_hashes for h in hashes), np.uint32).reshape(-1, 8)
    found: set[tuple[str, str]] = set()
    for column in range(8):
        by_word: dict[int, list[int]] = {}
        for row, word in enumerate(words[:, column].tolist()):
            by_word.setdefault(word, []).append(row)
        for rows in by_word.values():
            for place, row in enumerate(rows[:-1]):
                others = np.array(rows[place + 1 :])
                distance = np.bitwise_count(words[others] ^ words[row]).sum(axis=1)
                for other in others[distance <= NEAR]:
                    first, second = owner[row], owner[int(other)]
                    if splits[first] != splits[second]:
                        found.add((study_ids[first], study_ids[second]))
    return tuple(sorted(found))
