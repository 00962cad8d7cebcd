"""A frozen text tower runs once per report, and what is kept of it is what it would say again."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from radsweep.datasets.pairs import Corpus, Reading, load_corpus, reports, stream, studies
from radsweep.datasets.report_text import Text
from radsweep.datasets.sampling import Order
from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables.frozen_text import can_be_remembered, remembered
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.model import DualEncoder
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.cxr_clip import CxrClip
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import TinyText

CONFIG = PretrainConfig(
    image=TinyImage(width=8, resolution=32),
    text=TinyText(width=16, depth=1, heads=2, dropout=0.3, freeze="all"),
    objective=Clip(),
    data=Reading(max_tokens=48),
    embed_dim=12,
    batch_size=8,
    image_chunk_size=8,
    text_chunk_size=8,
    precision="fp32",
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(cluster: None, pairs: Path) -> Corpus:  # noqa: ARG001
    """The phantom hospital's validation split."""
    return load_corpus(pairs, "val", ["tiny-fr"])


def model_of(config: PretrainConfig) -> DualEncoder:
    """The trial's model, in training mode."""
    return config.model(load_tokenizer("tiny-fr").vocabulary, 0).train()


def without_text(model: DualEncoder) -> DualEncoder:
    """The model with a text tower that must not run."""

    def runs(*_: object) -> torch.Tensor:
        raise AssertionError("the frozen tower ran again")

    model.text.forward = runs
    return model


def test_features_are_those_of_the_tower(corpus: Corpus, tmp_path: Path) -> None:
    """In training batches, in validation and for prototypes a report's vector gives what its tokens gave."""
    model = model_of(CONFIG)
    kept = remembered(model, corpus, CONFIG, tmp_path, contextlib.nullcontext, CPU)
    order = Order(corpus.num_images, CONFIG.data.sampling, 0)
    given = ("tiny-fr", 32, CONFIG.data, 8)
    for tokens, vectors in (
        (next(stream(corpus, order, *given, range(1))), next(stream(kept, order, *given, range(1)))),
        (next(studies(corpus, *given)), next(studies(kept, *given))),
    ):
        expected = model.encode_texts(
            torch.from_numpy(np.array(tokens.input_ids)), torch.from_numpy(np.array(tokens.text_mask))
        )
        model.reads_vectors = True
        found = model.encode_texts(torch.from_numpy(np.array(vectors.input_ids)), torch.from_numpy(np.array(vectors.text_mask)))
        model.reads_vectors = False
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    (study, vectors, mask) = next(reports(kept, "tiny-fr", CONFIG.data, np.array([2, 0]), 8))
    assert study.tolist() == [2, 0]
    assert vectors.shape == (2, 16)
    assert mask.all()


def test_a_second_trial_does_not_run_the_tower(corpus: Corpus, tmp_path: Path) -> None:
    """What one trial made another finds; another tower, another reading or another precision makes its own."""
    remembered(model_of(CONFIG), corpus, CONFIG, tmp_path, contextlib.nullcontext, CPU)
    same_text = CONFIG.model_copy(update={"image": TinyImage(width=16, resolution=32), "objective": Clip(temperature=0.2)})
    remembered(without_text(model_of(CONFIG)), corpus, same_text, tmp_path, contextlib.nullcontext, CPU)
    for fields in ({"seed": 1}, {"data": Reading(max_tokens=20)}, {"precision": "bf16"}):
        other = CONFIG.model_copy(update=fields)
        with pytest.raises(AssertionError, match="ran again"):
            remembered(without_text(model_of(other)), corpus, other, tmp_path, contextlib.nullcontext, CPU)
    assert len(list(tmp_path.glob("*.npy"))) == 1
    assert not list(tmp_path.glob("*.partial"))


def test_texts_that_change_are_not_kept() -> None:
    """A tower that learns, a sentence drawn anew at each visit, two texts of a report: there is no one feature to keep."""
    assert can_be_remembered(CONFIG)
    assert not can_be_remembered(CONFIG.model_copy(update={"text": TinyText(freeze=1)}))
    assert not can_be_remembered(CONFIG.model_copy(update={"data": Reading(text=Text(part="sentence"))}))
    assert not can_be_remembered(CONFIG.model_copy(update={"objective": CxrClip()}))
