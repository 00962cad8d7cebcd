"""Which split a patient belongs to."""

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field, model_validator

from .config import Config
from .pseudonyms import Key
from .refusal import UserError


class Splits(Config):
    """Shares of the patients given to validation and test; the rest trains."""

    val: float = Field(default=0.2, ge=0, lt=1)
    test: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _some_train(self) -> "Splits":
        if self.val + self.test >= 1:
            raise ValueError("val and test leave nobody to train: choose shares of less than 1 together")
        return self

    def of(self, patient_id: str, key: Key) -> str:
        """Return the split of a patient: a function of the key and the patient alone.

        Studies and patients may be added later without moving anyone from one split to another.
        """
        place = key.fraction("split", patient_id)
        if place < self.test:
            return "test"
        if place < self.test + self.val:
            return "val"
        return "train"


def check_patients(patients_by_split: Mapping[str, int], splits: Splits) -> None:
    """Refuse a corpus whose patients leave a wanted split empty.

    Raises:
        UserError: naming the empty splits and how many patients there are.
    """
    wanted = {"train": 1 - splits.val - splits.test, "val": splits.val, "test": splits.test}
    empty = [name for name, share in wanted.items() if share > 0 and not patients_by_split.get(name)]
    if empty:
        total = sum(patients_by_split.values())
        raise UserError(
            f"{total} usable patients leave the {' and '.join(empty)} split empty: "
            f"bring more patients, or give those splits a larger share (--val, --test)"
        )


def together(patient_ids: Sequence[str], splits: Sequence[str], linked: Iterable[tuple[int, int]]) -> list[str]:
    """Return the split of every study once patients that share a picture are in one split.

    A group goes where its patient with the smallest id is, whatever the order of the studies. ``patient_ids`` and ``splits``
    have one value per study; ``linked`` holds pairs of places in them, studies that share a near-duplicate image.

    >>> together(["a", "b", "c", "b"], ["val", "train", "test", "train"], [(0, 3)])
    ['val', 'val', 'test', 'val']
    """
    leader: dict[str, str] = {patient: patient for patient in patient_ids}

    def find(patient: str) -> str:
        while leader[patient] != patient:
            patient = leader[patient]
        return patient

    for one, other in linked:
        first, second = sorted((find(patient_ids[one]), find(patient_ids[other])))
        leader[second] = first
    split_of = dict(zip(patient_ids, splits, strict=True))
    return [split_of[find(patient)] for patient in patient_ids]
