"""Which contrastive objective suits radiology, and what should become of reports that say the same?

Four objectives that need no labels; of two of them, reports that say the same are left out of the negatives or are negatives as
in the papers. Six arms, two seeds each, all else as in ``joint``. ``CXR-CLIP`` draws two images and two texts of a study at a
time, and sees its budget in half as many steps. ``radsweep sweep objective --data pairs --out run``. Where the pairs have
labels, ``UniCL``, ``Unimodal`` and ``Dlilp`` can be added to a copy of this file. Expected cost, by arithmetic and not run yet:
12 runs of 1.5 A100-hours.
"""

from ...trainables.objectives.clip import Clip
from ...trainables.objectives.convirt import ConVIRT
from ...trainables.objectives.cxr_clip import CxrClip
from ...trainables.objectives.siglip import SigLip
from ..design import Factorial
from ..schedule import FullBudget
from ..sweep import Choice, Sweep
from .joint import BASE

OBJECTIVES = {"CLIP": Clip(), "SigLIP": SigLip(), "ConVIRT": ConVIRT(), "CXR-CLIP": CxrClip()}

sweep = Sweep(
    name="objective",
    hypothesis="Does any objective let images find their reports better than CLIP's, and is it right to push apart reports "
    "that say the same?",
    base=BASE,
    axes={
        "objective": Choice("objective", OBJECTIVES),
        "objective.same_report": Choice(
            "same reports", {"left out": "masked", "negative": "negative"}, when={"objective": ("CLIP", "SigLIP")}
        ),
    },
    metric="val/recall_at_5",
    design=Factorial(),
    schedule=FullBudget(),
    seeds=(0, 1),
)
