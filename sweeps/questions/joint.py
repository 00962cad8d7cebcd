"""Text encoder, resolution, temperature and the images used of a study, together: which of them matters, and for what?

The four knobs of a pretraining run that papers settle one at a time, searched jointly, so that a choice which only suits
another choice is seen as such. 48 arms, most of them stopped at a quarter or a half of the budget; the best four are run again
at two further seeds. So many arms show that nearly everything matters a little: differences of up to 0.05 are not claimed.
Temperatures start above 0.01, where a learned one is bounded and could only rise.

Run it on a GPU cluster with the encoders in the Hugging Face cache and their tokens in the pairs folder (``radsweep tokenize
pairs --tokenizer Dr-BERT/DrBERT-4GB`` and so on): ``radsweep sweep joint --data pairs --out run``. Where the pairs have labels,
``--set metric=val/auroc``.

Expected cost, by arithmetic and not run yet: 0.3 to 0.5 TFLOP a pair (three forwards and the cache's own), at 40 % of an A100's
peak 1.5 to 2.5 hours for a whole budget of 2 million pairs; rungs leave about half of 48 budgets, and replicates add 8: about
60 A100-hours.
"""

from ...datasets.pairs import Reading
from ...datasets.sampling import Sampling
from ...trainables.image_tower import TimmImage
from ...trainables.objectives.clip import Clip
from ...trainables.optim import Optim
from ...trainables.pretrain import PretrainConfig
from ...trainables.tasks.few_shot import FewShot
from ...trainables.tasks.linear_probe import LinearProbe
from ...trainables.tasks.report_retrieval import ReportRetrieval
from ...trainables.tasks.representation import Representation
from ...trainables.tasks.retrieval import Retrieval
from ...trainables.tasks.saliency import Saliency
from ...trainables.tasks.zero_shot import ZeroShot
from ...trainables.text_tower import HuggingFaceText
from ..design import Search
from ..schedule import Asha
from ..sweep import Choice, Range, Sweep

TEXTS = {
    "DrBERT": HuggingFaceText(tokenizer="Dr-BERT/DrBERT-4GB"),
    "CamemBERT-bio": HuggingFaceText(tokenizer="almanach/camembert-bio-base"),
    "XLM-R": HuggingFaceText(tokenizer="FacebookAI/xlm-roberta-base"),
    "SapBERT XLM-R": HuggingFaceText(tokenizer="cambridgeltl/SapBERT-UMLS-2020AB-all-lang-from-XLMR"),
    "mLUKE": HuggingFaceText(tokenizer="studio-ousia/mluke-base-lite"),
}

VIT = TimmImage(name="vit_base_patch16_224.orig_in21k_ft_in1k", pretrained=True, resolution=224)
IMAGES = {
    "B/16 at 224": VIT,
    "B/24 at 336": VIT.model_copy(update={"patch_size": 24, "resolution": 336}),
    "B/32 at 448": VIT.model_copy(update={"patch_size": 32, "resolution": 448}),
    "B/16 at 336": VIT.model_copy(update={"resolution": 336}),
}
"""The first three have 14 x 14 tokens each and cost the same; the last sees as many pixels as the second in 21 x 21 tokens."""

SAMPLINGS = {"first": "first", "one": "one", "all": "each", "pooled": "pooled"}

BASE = PretrainConfig(
    image=VIT,
    text=TEXTS["DrBERT"],
    objective=Clip(temperature=0.07),
    optim=Optim(lr=5e-5),
    data=Reading(sampling=Sampling(images="one"), max_tokens=256),
    embed_dim=512,
    batch_size=512,
    image_chunk_size=128,
    text_chunk_size=256,
    precision="bf16",
    budget_pairs=2_048_000,
    validations=8,
)
"""What all questions at full size start from: 4,000 steps of 512 pairs."""

sweep = Sweep(
    name="joint",
    hypothesis="Which of text encoder, resolution, temperature and the images used of a study changes how well reports are "
    "found from images, and do their effects depend on each other?",
    base=BASE,
    axes={
        "text": Choice("text encoder", TEXTS),
        "image": Choice("patch and resolution", IMAGES),
        "objective.temperature": Range("temperature", 0.02, 0.2, log=True),
        "data.sampling.images": Choice("images of a study", SAMPLINGS),
    },
    metric="val/recall_at_5",
    margin=0.05,
    design=Search(trials=48),
    schedule=Asha(rungs=(0.25, 0.5, 1.0)),
    seeds=(0, 1, 2),
    finalists=4,
    tasks=(LinearProbe(), FewShot(), ZeroShot(), Retrieval(), ReportRetrieval(), Representation(), Saliency()),
)
