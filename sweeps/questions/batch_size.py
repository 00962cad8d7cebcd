"""How many negatives does a report need, once the learning rate suits the batch?

Three batch sizes with the same pairs seen, each at the learning rates within a factor of two of one that rises with the square
root of the batch: eight arms, two seeds each, all else as in ``joint``. Whatever fits into memory, the gradient is that of the
whole batch. ``radsweep sweep batch_size --data pairs --out run``. Expected cost, by arithmetic and not run yet: 16 runs of 1.5
A100-hours.
"""

from ..axes import Labels
from ..design import Factorial
from ..schedule import FullBudget
from ..sweep import Choice, Sweep
from .joint import BASE


def rate_suits_batch(labels: Labels) -> bool:
    """Whether the learning rate is within a factor of two of the base's, scaled by the square root of the batch size."""
    scaled = BASE.optim.lr * (float(labels["batch_size"]) / BASE.batch_size) ** 0.5
    return 0.5 <= float(labels["optim.lr"]) / scaled <= 2.0


sweep = Sweep(
    name="batch_size",
    hypothesis="Does a larger batch let images find their reports better after the same number of pairs?",
    base=BASE.model_copy(update={"text_chunk_size": 128}),  # no chunk is larger than the smallest batch
    axes={
        "batch_size": Choice("batch size", {str(size): size for size in (128, 512, 2048)}),
        "optim.lr": Choice("learning rate", {str(lr): lr for lr in (2.5e-5, 5e-5, 1e-4, 2e-4)}),
    },
    metric="val/recall_at_5",
    constraints=(rate_suits_batch,),
    design=Factorial(),
    schedule=FullBudget(),
    seeds=(0, 1),
)
