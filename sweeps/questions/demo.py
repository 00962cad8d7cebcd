"""Do text encoder, resolution, temperature and the use of all images matter on the phantom hospital?

The phantom hospital was built so that three of the four do, each for one finding: a hairline fracture needs the higher
resolution, an effusion shows in the lateral view only, and *énostose* is one word to the French vocabulary alone.
`radsweep demo` makes that hospital and runs this question; on a pairs folder: `radsweep sweep demo --data pairs --out run`.
"""

from ...datasets.pairs import Reading
from ...datasets.sampling import Sampling
from ...trainables.image_tower import TinyImage
from ...trainables.objectives.clip import Clip
from ...trainables.optim import Optim
from ...trainables.pretrain import PretrainConfig
from ...trainables.tasks.linear_probe import LinearProbe
from ...trainables.tasks.representation import Representation
from ...trainables.tasks.retrieval import Retrieval
from ...trainables.tasks.saliency import Saliency
from ...trainables.tasks.zero_shot import ZeroShot
from ...trainables.text_tower import TinyText
from ..design import Search
from ..schedule import Asha
from ..sweep import Choice, Range, Sweep

TEXTS = {name: TinyText(tokenizer=name, width=64, depth=1, dropout=0.0) for name in ("tiny-fr", "tiny-en")}
"""Dropout of attention would take a fifth of a step on a CPU."""

sweep = Sweep(
    name="demo",
    hypothesis="Which of text encoder, resolution, temperature and the images used of a study changes what a model pretrained "
    "on image-report pairs can find?",
    base=PretrainConfig(
        image=TinyImage(resolution=64),
        text=TEXTS["tiny-fr"],
        objective=Clip(temperature=0.1),
        optim=Optim(lr=2e-3),
        data=Reading(sampling=Sampling(images="each"), max_tokens=208, batches_per_task=16),
        embed_dim=128,
        batch_size=16,
        image_chunk_size=8,
        text_chunk_size=8,
        precision="fp32",
        budget_pairs=6_000,
        validations=3,
    ),
    axes={
        "text": Choice("text encoder", TEXTS),
        "image.resolution": Choice("resolution (px)", {"64": 64, "128": 128}),
        "objective.temperature": Range("temperature", 0.03, 0.3, log=True),
        "data.sampling.images": Choice("images of a study", {"first": "first", "all": "each"}),
    },
    metric="val/auroc",
    margin=0.05,
    design=Search(trials=12),
    schedule=Asha(rungs=(0.9, 1.0), reduction=3.0),
    tasks=(LinearProbe(shares=(0.1, 1.0)), ZeroShot(), Retrieval(), Representation(), Saliency()),
)
