"""What should meet a report: the first image of its study, a random one, each of them, or all of them pooled?

How images are pooled is a question only where they are: an axis that exists under one label of another. Five arms, three seeds
each, all else as in ``joint``. Budgets are in pairs, so an arm that pools several images meets fewer reports.
``radsweep sweep sampling --data pairs --out run``. Expected cost, by arithmetic and not run yet: 15 runs of at most 1.5
A100-hours.
"""

from ..design import Factorial
from ..schedule import FullBudget
from ..sweep import Choice, Sweep
from .joint import BASE, SAMPLINGS

sweep = Sweep(
    name="sampling",
    hypothesis="Does a model that has met all images of a study find reports better than one that has met the first alone?",
    base=BASE,
    axes={
        "data.sampling.images": Choice("images of a study", SAMPLINGS),
        "pooling": Choice("pooled by", {"mean": "mean", "gate": "gated"}, when={"data.sampling.images": "pooled"}),
    },
    metric="val/recall_at_5",
    design=Factorial(),
    schedule=FullBudget(),
    seeds=(0, 1, 2),
)
