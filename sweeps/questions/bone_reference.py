"""Which text encoder does the bone X-ray paper's recipe want? Its configuration, as its code has it.

A. Englebert et al., "Self-supervised vision-langage alignment of deep learning representations for bone X-rays analysis"
(arXiv 2405.08932, 2024), code aenglebert/multimodal_bone: ViT-B/16 at 224 px and a French or multilingual encoder, CLS features
to 512 dimensions, Lion at 1e-5, the whole report with its sentences joined by the separator, and at every visit one image out
of the first twelve of the study. Run it on a GPU with the four encoders in the Hugging Face cache:
``radsweep sweep bone_reference --data pairs --out run``. Expected cost: 4 trials of 10.8 million pairs each; not run yet.

Quirks of that code, each behind a switch that is off by default elsewhere, all of them on here:

===============================================  ==================================================================
``objective.divisor=0.1`` beside a learned scale  a temperature of 0.07 that acts as 0.007, unbounded
``objective.same_report="negative"``              identical reports push each other away
``optim.decay="all"``                             weight decay on biases, norms and the temperature too
``data.augment.clip_to_unit=True``                brightness and contrast lose all that is darker than mid-gray
``data.augment.flip=0.5``                         left and right exchanged although reports name sides
``data.noisy_validation=True``                    validation on one random view, so that the schedule follows noise
``image.pixel_std=0.25``                          pixels span [-2, 2] although the weights expect [-1, 1]
===============================================  ==================================================================

Not reproduced: 8-bit optimizer states; patch tokens shuffled before the encoder, which leave its CLS token as it is; the logit
bias, which the softmax cancels; early stopping after ten validations without improvement (the budget is seen whole here); a
validation split by shard and not by patient. The batch size is that of its README, 64; the one of the paper is not known.
"""

from ...datasets.augment import PAPER
from ...datasets.pairs import Reading
from ...datasets.sampling import Sampling
from ...trainables.image_tower import TimmImage
from ...trainables.objectives.clip import Clip
from ...trainables.optim import Optim
from ...trainables.pretrain import PretrainConfig
from ...trainables.text_tower import HuggingFaceText
from ..design import Factorial
from ..schedule import FullBudget
from ..sweep import Choice, Sweep

STUDIES, EPOCHS = 215_579, 50

TEXTS = {
    "DrBERT": HuggingFaceText(tokenizer="Dr-BERT/DrBERT-4GB"),
    "XLM-R": HuggingFaceText(tokenizer="FacebookAI/xlm-roberta-base"),
    "mLUKE": HuggingFaceText(tokenizer="studio-ousia/mluke-base"),
    "SapBERT XLM-R": HuggingFaceText(tokenizer="cambridgeltl/SapBERT-UMLS-2020AB-all-lang-from-XLMR"),
}

sweep = Sweep(
    name="bone_reference",
    hypothesis="Which text encoder suits pretraining on French bone X-ray reports, in the recipe of Englebert et al. (2024)?",
    base=PretrainConfig(
        image=TimmImage(
            name="vit_base_patch16_224.orig_in21k_ft_in1k", in_chans=3, pretrained=True, resolution=224, pixel_std=0.25
        ),
        text=TEXTS["mLUKE"],
        objective=Clip(temperature=0.07, divisor=0.1, max_logit_scale=None, same_report="negative"),
        optim=Optim(
            name="lion",
            lr=1e-5,
            weight_decay=1e-5,
            decay="all",
            betas=(0.9, 0.99),
            warmup=0.0,
            schedule="plateau",
            factor=0.5,
            patience=3,
            grad_clip=None,
        ),
        data=Reading(
            sampling=Sampling(images="one", max_images=12),
            augment=PAPER.model_copy(update={"flip": 0.5, "clip_to_unit": True}),
            max_tokens=512,
            noisy_validation=True,
        ),
        embed_dim=512,
        projection="affine",
        batch_size=64,
        image_chunk_size=64,
        text_chunk_size=64,
        precision="fp16",
        budget_pairs=STUDIES * EPOCHS,
        validations=EPOCHS,
        seed=12345,
    ),
    axes={"text": Choice("text encoder", TEXTS)},
    metric="val/loss",
    direction="min",
    design=Factorial(),
    schedule=FullBudget(),
    seeds=(12345,),
)
