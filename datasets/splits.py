"""Which split a patient belongs to."""

from collections.abc import Mapping

from .config import Config
from .pseudonyms import Key
from .refusal import UserError


class Splits(Config):
    """Shares of the patients given to validation and test; the rest trains."""

    val: float = 0.15
    test: float = 0.15

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
