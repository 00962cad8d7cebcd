"""What did the reports add? Against random weights, ImageNet's, and the same network taught by labels alone.

The baselines of a paper as arms of one sweep, on the same patients, seeds and tasks: weights that stay as they start, weights
trained on labels, weights trained on reports. ``radsweep sweep baselines --data pairs --out run``, on pairs with labels; the
arm of a checkpoint of your own, as timm saves them: a copy of this file with ``"mine": "path/to/weights.safetensors"`` among
`STARTS`. Expected cost, by arithmetic and not run yet: 18 runs of 1.5 A100-hours, those without training among them, which see
the same pairs and stay as they are.
"""

from ...trainables.objectives.clip import Clip
from ...trainables.objectives.unimodal import Unimodal
from ...trainables.tasks.few_shot import FewShot
from ...trainables.tasks.linear_probe import LinearProbe
from ..design import Factorial
from ..schedule import FullBudget
from ..sweep import Choice, Sweep
from .joint import BASE

STARTS = {"random": False, "ImageNet": True}
RATES = {"nothing": 0.0, "training": BASE.optim.lr}
TEACHERS = {"reports": Clip(), "labels": Unimodal()}

sweep = Sweep(
    name="baselines",
    hypothesis="Does pretraining on reports give better image features than random weights, ImageNet, or labels alone?",
    base=BASE,
    axes={
        "image.pretrained": Choice("start", STARTS),
        "optim.lr": Choice("what follows", RATES),
        "objective": Choice("learns from", TEACHERS, when={"optim.lr": "training"}),
    },
    metric="val/auroc",
    design=Factorial(),
    schedule=FullBudget(),
    seeds=(0, 1, 2),
    tasks=(LinearProbe(), FewShot()),
)
