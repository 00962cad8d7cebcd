"""Is a French or biomedical text encoder worth it for French reports?

Five encoders of one size: two trained on French biomedical text, a multilingual one, the same taught the synonyms of UMLS, and
one taught the entities of Wikipedia. All else is as in ``joint``, three seeds each. The tokens of each must be in the pairs
folder (``radsweep tokenize pairs --tokenizer ...``). ``radsweep sweep text_encoder --data pairs --out run``. Expected cost, by
arithmetic and not run yet: 15 runs of 1.5 A100-hours.
"""

from ..design import Factorial
from ..schedule import FullBudget
from ..sweep import Choice, Sweep
from .joint import BASE, TEXTS

sweep = Sweep(
    name="text_encoder",
    hypothesis="Does an encoder that knows French, or medicine, let images find their French reports better?",
    base=BASE,
    axes={"text": Choice("text encoder", TEXTS)},
    metric="val/recall_at_5",
    design=Factorial(),
    schedule=FullBudget(),
    seeds=(0, 1, 2),
)
