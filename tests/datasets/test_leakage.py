"""The leakage gate: planted crossings are found, look-alikes are not."""

import io

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from radsweep.datasets.dicom.pixels import shrink
from radsweep.datasets.leakage import find_leakage, near_duplicates, picture_signature
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.refusal import UserError
from radsweep.datasets.splits import Splits, check_patients, together


def bone(seed: int) -> np.ndarray:
    """A smooth long bone on black, like many others: small differences of width, angle and density, and a lead letter."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:256, 0:200] / 200
    middle = 0.5 + rng.normal(0, 0.03) + rng.normal(0, 0.08) * (rows - 0.6)
    width = 0.12 + 0.01 * rng.normal() + 0.06 * (rows - 0.6) ** 2
    distance = (columns - middle) / width
    cortex = np.exp(-((np.abs(distance) - 1) ** 2) / 0.05)
    tissue = 0.25 * np.exp(-((columns - middle) ** 2) / (0.3 + 0.02 * rng.normal()) ** 2)
    waves = [(a, b) for a in range(1, 9) for b in range(1, 9)]
    texture = sum(rng.normal(0, 0.02) * np.sin(2 * np.pi * (a * rows + b * columns) + rng.uniform(0, 6)) for a, b in waves)
    image = np.clip(0.6 * cortex + 0.3 * (np.abs(distance) < 1) + tissue + texture, 0, 1)
    image[10:30, 170:185] = 1
    return (255 * image).astype(np.uint8)


def copies(image: np.ndarray) -> list[np.ndarray]:
    """The same picture shrunk, compressed, brightened, and with less contrast."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=60)
    return [
        shrink(image, 150),
        np.asarray(Image.open(buffer)),
        (255 * (image / 255) ** 0.8).astype(np.uint8),
        (image * 0.6 + 30).astype(np.uint8),
    ]


def test_copies_are_found_and_look_alikes_are_not() -> None:
    """Of 60 similar bones and 4 copies of one, the copies are the only near-duplicates."""
    images = [bone(seed) for seed in range(60)] + copies(bone(7))
    found = near_duplicates([picture_signature(image) for image in images])
    members = {7, 60, 61, 62, 63}
    assert set(found) == {(one, other) for one in members for other in members if one < other}


def test_pictures_without_detail_are_nobodys_copies() -> None:
    """Blank images have the empty signature and never match."""
    blank = picture_signature(np.full((64, 64), 9, np.uint8))
    assert blank == bytes(1024)
    assert near_duplicates([blank, blank]) == []
    assert near_duplicates([]) == []


def test_each_kind_of_leak_is_found() -> None:
    """A patient, a study and a picture in two splits fail the gate; a shared report is only told."""
    found = find_leakage(
        ["s1", "s2", "s3", "s3"], ["p1", "p1", "p2", "p2"], ["train", "val", "test", "test"], [5, 6, 5, 7], [(0, 2), (2, 3)]
    )
    assert (found.patients, found.studies, found.images, found.reports) == (("p1",), (), (("s1", "s3"),), 1)
    assert not found.passed
    clean = find_leakage(["s1", "s2"], ["p1", "p2"], ["train", "val"], [5, 5], [])
    assert clean.passed
    assert clean.to_json() == {
        "passed": True,
        "checks": {"patients": 0, "studies": 0, "images": 0, "shared_report_groups": 1},
    }


def test_patients_who_share_a_picture_come_together_whatever_the_order() -> None:
    """Chains of shared pictures end in one split, that of the smallest patient id."""
    patients, splits = ["c", "a", "b", "d", "a"], ["val", "test", "train", "train", "test"]
    assert together(patients, splits, [(0, 2), (2, 4)]) == ["test", "test", "test", "train", "test"]
    order = [3, 0, 4, 2, 1]
    shuffled = together([patients[i] for i in order], [splits[i] for i in order], [(1, 3), (3, 2)])
    assert shuffled == ["train", "test", "test", "test", "test"]
    assert together(patients, splits, []) == splits


def test_splits_are_a_function_of_the_patient_and_of_the_right_size() -> None:
    """Shares are met within four standard deviations, and adding patients moves nobody."""
    key, splits = Key(bytes(range(32))), Splits(val=0.2, test=0.1)
    first = {str(n): splits.of(str(n), key) for n in range(1000)}
    again = {str(n): splits.of(str(n), key) for n in range(2000)}
    assert all(again[patient] == split for patient, split in first.items())
    counts = [sum(split == name for split in again.values()) for name in ("train", "val", "test")]
    for count, share in zip(counts, (0.7, 0.2, 0.1), strict=True):
        assert abs(count - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (0.9, 0.9), (-0.1, 0.1), (0.2, 1.0), (float("nan"), 0.1)])
def test_shares_that_leave_nobody_to_train_are_refused(val: float, test: float) -> None:
    """All patients given away, more than all, and what is no share."""
    with pytest.raises(ValidationError):
        Splits(val=val, test=test)


def test_an_empty_split_is_the_users_mistake() -> None:
    """The message names the empty splits and the number of patients; a split with share 0 may be empty."""
    with pytest.raises(UserError, match="2 usable patients leave the val and test split empty"):
        check_patients({"train": 2}, Splits())
    check_patients({"train": 2, "val": 1}, Splits(test=0))
