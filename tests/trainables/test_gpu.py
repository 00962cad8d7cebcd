"""What only a GPU can show: random numbers replayed on CUDA, half precision, and a card that is really full."""

import itertools
from collections.abc import Iterator

import pytest
import torch

from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables.certificate import Case, certify, example
from radsweep.trainables.image_tower import TimmImage
from radsweep.trainables.pretrain import PretrainConfig, autocast, step_in_memory
from radsweep.trainables.text_tower import TinyText

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")]
WORDS = load_tokenizer("tiny-fr").vocabulary
CONFIG = PretrainConfig(
    image=TimmImage(name="test_vit", resolution=64),
    text=TinyText(width=64, depth=2, heads=4, dropout=0.3),
    embed_dim=32,
    batch_size=16,
    image_chunk_size=16,
    text_chunk_size=16,
)


@pytest.fixture(autouse=True)
def float32_is_float32() -> Iterator[None]:
    """Convolutions without TF32, whose rounding is beyond the bars."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    yield
    torch.backends.cudnn.allow_tf32 = before


def test_the_gradient_is_certified_on_cuda() -> None:
    """Dropout on the device is replayed: float32 and bf16, in chunks of 1, 2, 4 and 7, dropout on and off."""
    cases = [Case(1, *case) for case in itertools.product((1, 2, 4, 7), ("fp32", "bf16"), (True, False))]
    comparisons = [one for told in certify(CONFIG, WORDS, cases, device=torch.device("cuda")) for one in told]
    assert not [one for one in comparisons if not one.holds]


def test_half_precision_is_scaled_and_unscaled() -> None:
    """fp16 gradients under a scaler are those without one, after division by its scale."""
    device = torch.device("cuda")
    config = CONFIG.model_copy(update={"image_chunk_size": 4, "text_chunk_size": 4})
    batch = example(config, WORDS, 16, 3)
    gradients = []
    for scale in (1.0, 1024.0):
        model = config.model(WORDS, 3).to(device).train()
        step_in_memory(model, batch, 1, config, (0, 0, 0), lambda: autocast("fp16", device), torch.tensor(scale, device=device))
        gradients.append({name: p.grad / scale for name, p in model.named_parameters() if p.grad is not None})
    whole = [torch.cat([gradient.flatten() for gradient in one.values()]) for one in gradients]
    assert torch.cosine_similarity(whole[0], whole[1], dim=0) >= 0.999


def test_a_full_card_halves_the_chunks() -> None:
    """With next to no memory left to the process, chunks pass in parts, with the same dropout and the same loss."""
    device = torch.device("cuda")
    image = TimmImage(name="vit_tiny_patch16_224", drop_path=0.2)
    text = TinyText(width=64, depth=1, heads=4, dropout=0.3)
    config = CONFIG.model_copy(update={"image": image, "text": text, "image_chunk_size": 128, "text_chunk_size": 128})
    batch = example(config, WORDS, 128, 3)
    losses, used = [], []
    for limited in (False, True):
        model = config.model(WORDS, 3).to(device).train()
        torch.cuda.empty_cache()
        if limited:
            total = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1.5e9) / total)
        loss, fitted = step_in_memory(
            model, batch, 1, config, (0, 0, 0), lambda: autocast("fp32", device), torch.ones((), device=device)
        )
        torch.cuda.set_per_process_memory_fraction(1.0)
        losses.append(loss.item())
        used.append(fitted)
    assert used[0] == 1
    assert used[1] > 1
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
