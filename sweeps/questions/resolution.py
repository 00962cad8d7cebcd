"""Do radiographs need more than 224 pixels, and is it pixels or tokens that they need?

Three arms keep the 14 x 14 tokens of ViT-B/16 at 224 px and put more pixels into each; a fourth has the pixels of the second in
more tokens. All else is as in ``joint``, three seeds each; the pairs folder must hold images of 448 px or more, as it does
unless ``radsweep prepare`` was given a smaller ``--max-side``. ``radsweep sweep resolution --data pairs --out run``. Expected
cost, by arithmetic and not run yet: 9 runs of 1.5 A100-hours and 3 of 2.5.
"""

from ..design import Factorial
from ..schedule import FullBudget
from ..sweep import Choice, Sweep
from .joint import BASE, IMAGES

sweep = Sweep(
    name="resolution",
    hypothesis="Does a higher resolution let images find their reports better, and does it take more tokens to do so?",
    base=BASE,
    axes={"image": Choice("patch and resolution", IMAGES)},
    metric="val/recall_at_5",
    design=Factorial(),
    schedule=FullBudget(),
    seeds=(0, 1, 2),
)
