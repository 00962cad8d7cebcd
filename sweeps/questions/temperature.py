"""Which temperature suits reports that often say the same, and should it be learned?

Five temperatures, each fixed for the whole run or the start of a learned one: ten arms, two seeds each, all else as in
``joint``. ``radsweep sweep temperature --data pairs --out run``. Expected cost, by arithmetic and not run yet: 20 runs of 1.5
A100-hours.
"""

from ..design import Factorial
from ..schedule import FullBudget
from ..sweep import Choice, Sweep
from .joint import BASE

sweep = Sweep(
    name="temperature",
    hypothesis="Does the temperature change how well images find their reports, and does learning it make its start "
    "irrelevant?",
    base=BASE,
    axes={
        "objective.temperature": Choice("temperature", {str(tau): tau for tau in (0.02, 0.04, 0.07, 0.12, 0.2)}),
        "objective.learnable": Choice("afterwards", {"fixed": False, "learned": True}),
    },
    metric="val/recall_at_5",
    design=Factorial(),
    schedule=FullBudget(),
    seeds=(0, 1),
)
