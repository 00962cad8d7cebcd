"""The gradient cache against the plain gradient of the whole batch, on one rank and on two.

Run as a program (``test_grad_cache.py RANK FOLDER``) this file is one of two ranks.
"""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from radsweep.datasets.pairs import Batch
from radsweep.datasets.tokens import Vocabulary
from radsweep.trainables import grad_cache
from radsweep.trainables.grad_cache import RandomState, cached_backward, distribute
from radsweep.trainables.image_tower import TimmImage, TinyImage
from radsweep.trainables.model import DualEncoder, GatedAttention
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.text_tower import TinyText

WORDS = Vocabulary("tiny-fr", "", 50, pad_id=0, cls_id=2, sep_id=3, unk_id=1)
NUM_DRAWS = 10
COUNTS = {"one": [1] * NUM_DRAWS, "pooled": [1, 3, 2, 1, 4, 1, 2, 2, 1, 3]}
UNEVEN = {"one on rank 0": [1] * 5 + [2, 1, 3, 1, 2], "one on rank 1": [1, 4, 2, 1, 1] + [1] * 5}
"""Images of each draw, where those of one of two ranks have one each."""
EXACT = 1e-5
Gradients = dict[str, Tensor]
Autocast = Callable[[], contextlib.AbstractContextManager]


def make_model(dropout: float) -> DualEncoder:
    """Both towers, tiny, with dropout in each."""
    torch.manual_seed(0)
    text = TinyText(width=16, depth=1, heads=2, dropout=dropout)
    model = DualEncoder(TinyImage(width=8, resolution=32), text, Clip(), 12, WORDS)
    model.image_projections[0] = nn.Sequential(nn.Dropout(dropout), model.image_projections[0])
    return model


def gated(dropout: float) -> DualEncoder:
    """The same, with pooling that learns."""
    model = make_model(dropout)
    model.pooling = GatedAttention(12)
    return model


def make_batch(counts: list[int], num_labels: int = 2) -> Batch:
    """Random draws; two pairs of them share a report group."""
    numbers = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, 9, (len(counts), 1), generator=numbers)
    text_mask = torch.arange(9) < lengths
    input_ids = torch.randint(4, WORDS.size, text_mask.shape, generator=numbers)
    return Batch(
        images=torch.randint(0, 256, (sum(counts), 32, 32), generator=numbers, dtype=torch.uint8),
        image_counts=torch.tensor(counts),
        input_ids=input_ids.where(text_mask, torch.tensor(WORDS.pad_id)),
        text_mask=text_mask,
        report_group=torch.tensor([0, 1, 2, 3, 1, 5, 6, 0, 8, 9])[: len(counts)],
        labels=torch.full((len(counts), num_labels), torch.nan),
        study=torch.arange(len(counts)),
    )


def part(batch: Batch, first: int, last: int) -> Batch:
    """Draws first to last, and their images."""
    bounds = [int(batch.image_counts[:draw].sum()) for draw in (first, last)]
    rows = {name: getattr(batch, name)[first:last] for name in Batch.__dataclass_fields__}
    return Batch(**rows | {"images": batch.images[bounds[0] : bounds[1]]})


def bf16() -> torch.autocast:
    """Mixed precision of one forward."""
    return torch.autocast("cpu", torch.bfloat16)


def loss_of(model: DualEncoder, batch: Batch, images: Tensor, texts: Tensor) -> Tensor:
    """The loss of the whole batch, in one piece."""
    features = model.features(model.pool(images, batch.image_counts), texts, batch)
    return model.objective(features, slice(0, len(batch.study)))


def gradients_of(model: nn.Module) -> Gradients:
    """A copy of every parameter's gradient, and none left behind."""
    gradients = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        gradients[name] = parameter.grad.clone()
        parameter.grad = None
    return gradients


def plain(
    model: DualEncoder, batch: Batch, image_chunk_size: int, text_chunk_size: int, autocast: Autocast = contextlib.nullcontext
) -> tuple[float, Gradients]:
    """The definition: every chunk's graph is kept, one loss, one backward. Chunks only fix the order of random numbers."""
    torch.manual_seed(7)
    images, texts = [], []
    for chunk in batch.images.split(image_chunk_size):
        with autocast():
            images.append(model.encode_images(chunk))
    for chunk in zip(batch.input_ids.split(text_chunk_size), batch.text_mask.split(text_chunk_size), strict=True):
        with autocast():
            texts.append(model.encode_texts(*chunk))
    loss = loss_of(model, batch, torch.cat(images), torch.cat(texts))
    loss.backward()
    return loss.item(), gradients_of(model)


def cached(
    model: DualEncoder, batch: Batch, image_chunk_size: int, text_chunk_size: int, **options: object
) -> tuple[float, Gradients]:
    """What radsweep does, with the same seed."""
    torch.manual_seed(7)
    loss = cached_backward(
        model,
        batch,
        image_chunk_size=image_chunk_size,
        text_chunk_size=text_chunk_size,
        **options,  # pyright: ignore[reportArgumentType]
    )
    return loss.item(), gradients_of(model)


def errors(found: Gradients, expected: Gradients) -> dict[str, float]:
    """Norm of the difference over the norm expected, of every parameter that has an effect."""
    assert found.keys() == expected.keys()
    return {name: float((found[name] - expected[name]).norm() / expected[name].norm()) for name in expected}


@pytest.mark.parametrize("images", ["one", "pooled"])
@pytest.mark.parametrize(("image_chunk_size", "text_chunk_size"), [(1, 7), (2, 4), (4, 2), (7, 1), (100, 3), (3, 100)])
def test_chunks_give_the_gradient_of_the_whole_batch(images: str, image_chunk_size: int, text_chunk_size: int) -> None:
    """With dropout on, in even and uneven chunks, every parameter's gradient is the one of a single backward pass."""
    model, batch = make_model(dropout=0.3), make_batch(COUNTS[images])
    loss, expected = plain(model, batch, image_chunk_size, text_chunk_size)
    told, found = cached(model, batch, image_chunk_size, text_chunk_size)
    assert told == pytest.approx(loss, rel=1e-6)
    assert "objective.logit_scale.log" in found
    assert max(errors(found, expected).values()) <= EXACT


@pytest.mark.parametrize("tile_size", [1, 3, 4, 10, 64])
def test_tiles_give_the_gradient_of_the_whole_loss(tile_size: int) -> None:
    """However few draws' similarities are held at once, loss and gradients are those of the whole matrix."""
    model, batch = make_model(dropout=0.3), make_batch(COUNTS["pooled"])
    loss, expected = plain(model, batch, 4, 3)
    told, found = cached(model, batch, 4, 3, tile_size=tile_size)
    assert told == pytest.approx(loss, rel=1e-6)
    assert max(errors(found, expected).values()) <= EXACT


def test_pooling_that_learns_gets_its_gradient() -> None:
    """Gated attention sits between the cached features and the loss: its parameters are part of the same gradient."""
    model, batch = gated(dropout=0.3), make_batch(COUNTS["pooled"])
    _, expected = plain(model, batch, 4, 3)
    _, found = cached(model, batch, 4, 3)
    assert "pooling.gate.weight" in found
    # The bias of the scores cancels in their softmax.
    assert max(error for name, error in errors(found, expected).items() if name != "pooling.weight.bias") <= EXACT


@pytest.mark.parametrize("frozen", ["image", "text"])
def test_a_frozen_tower_is_left_out(frozen: str) -> None:
    """A tower without trainable parameters gets no gradient, and the others get the one of the whole batch."""
    model, batch = make_model(dropout=0.0), make_batch(COUNTS["one"])
    _, expected = plain(model, batch, 4, 3)
    tower: nn.Module = getattr(model, frozen)
    tower.requires_grad_(False)
    cached_backward(model, batch, image_chunk_size=4, text_chunk_size=3)
    assert all(parameter.grad is None for parameter in tower.parameters())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            assert (parameter.grad - expected[name]).norm() <= EXACT * expected[name].norm()


def test_chunk_size_never_changes_the_result() -> None:
    """Without dropout, chunks of one give the gradient of one chunk."""
    model, batch = make_model(dropout=0.0), make_batch(COUNTS["pooled"])
    assert max(errors(cached(model, batch, 1, 1)[1], cached(model, batch, 100, 100)[1]).values()) <= EXACT


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_chunks_that_pass_in_parts_change_nothing(parts: int) -> None:
    """With dropout on, chunks cut in parts that fit in memory give the loss and the gradient of chunks that pass at once."""
    model, batch = make_model(dropout=0.3), make_batch(COUNTS["pooled"])
    loss, expected = cached(model, batch, 7, 10)
    told, found = cached(model, batch, 7, 10, parts=parts)
    assert told == pytest.approx(loss, rel=1e-6)
    assert max(errors(found, expected).values()) <= EXACT


def test_scale_multiplies_gradients_but_not_the_loss() -> None:
    """A gradient scaler's factor reaches every parameter once, the temperature included."""
    model, batch = make_model(dropout=0.3), make_batch(COUNTS["one"])
    loss, expected = plain(model, batch, 4, 3)
    told, found = cached(model, batch, 4, 3, scale=1024.0)
    assert told == pytest.approx(loss, rel=1e-6)
    assert max(errors(found, {name: 1024 * gradient for name, gradient in expected.items()}).values()) <= EXACT


def test_random_numbers_after_the_step_do_not_depend_on_replay() -> None:
    """Replaying a chunk's random numbers leaves the generator where the forward passes left it."""
    model, batch = make_model(dropout=0.3), make_batch(COUNTS["one"])
    plain(model, batch, 4, 3)
    expected = torch.rand(3)
    cached(model, batch, 4, 3)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("images", ["one", "pooled"])
def test_mixed_precision_is_cached_exactly(images: str) -> None:
    """Under bf16 autocast chunks change nothing either; gradients, features and loss are float32."""
    model, batch = make_model(dropout=0.3), make_batch(COUNTS[images])
    told, found = cached(model, batch, 4, 3, autocast=bf16)
    loss, expected = plain(model, batch, 4, 3, bf16)
    assert told == pytest.approx(loss, rel=1e-6)
    assert max(errors(found, expected).values()) <= EXACT
    assert all(gradient.dtype == torch.float32 for gradient in found.values())


@pytest.mark.parametrize("images", ["one", "pooled"])
def test_mixed_precision_stays_close(images: str) -> None:
    """With a ViT, the whole gradient under bf16 autocast points where float32 points; the loss is not the same by chance.

    Not with the tiny image tower: its maximum jumps to another pixel when values are rounded (cosine 0.98).
    """
    torch.manual_seed(0)
    image = TimmImage(name="test_vit", resolution=32, patch_size=8)
    model = DualEncoder(image, TinyText(width=16, depth=1, heads=2, dropout=0.0), Clip(), 12, WORDS)
    batch = make_batch(COUNTS[images])
    told, found = cached(model, batch, 4, 3, autocast=bf16)
    loss, expected = plain(model, batch, 4, 3)
    one, other = (torch.cat([side[name].flatten() for name in expected]) for side in (found, expected))
    assert torch.cosine_similarity(one, other, dim=0) >= 0.999
    assert told != loss
    assert told == pytest.approx(loss, rel=0.01)


def test_a_step_does_not_add_to_gradients_of_another() -> None:
    """Gradients left from another batch would be summed over the ranks a second time: that is refused."""
    model, batch = make_model(dropout=0.0), make_batch(COUNTS["one"])
    cached_backward(model, batch, image_chunk_size=4, text_chunk_size=4)
    with pytest.raises(AssertionError, match="zero_grad"):
        cached_backward(model, batch, image_chunk_size=4, text_chunk_size=4)


def test_forgetting_the_random_numbers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above sees a second forward with other dropout: in every parameter of the towers."""
    model, batch = make_model(dropout=0.3), make_batch(COUNTS["one"])
    _, expected = plain(model, batch, 4, 3)
    monkeypatch.setattr(RandomState, "replayed", lambda _: contextlib.nullcontext())
    wrong = errors(cached(model, batch, 4, 3)[1], expected)
    assert wrong["image.blocks.0.0.weight"] > 100 * EXACT
    assert wrong["text.tokens.weight"] > 100 * EXACT
    assert wrong["objective.logit_scale.log"] <= EXACT


def test_accumulating_chunk_by_chunk_is_noticed() -> None:
    """One backward per chunk through the whole loss gives the towers their gradient and the temperature k times its own."""
    model, batch = make_model(dropout=0.0), make_batch(COUNTS["one"])
    _, expected = plain(model, batch, 5, 5)
    with torch.no_grad():
        images, texts = model.encode_images(batch.images), model.encode_texts(batch.input_ids, batch.text_mask)
    for first in (0, 5):
        rows = slice(first, first + 5)
        own = model.encode_images(batch.images[rows]), model.encode_texts(batch.input_ids[rows], batch.text_mask[rows])
        sides = [torch.cat([known[:first], new, known[first + 5 :]]) for known, new in zip((images, texts), own, strict=True)]
        loss_of(model, batch, *sides).backward()
    wrong = errors(gradients_of(model), expected)
    assert wrong.pop("objective.logit_scale.log") == pytest.approx(1.0, abs=1e-4)
    assert max(wrong.values()) <= EXACT


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """What each of two gloo ranks found: by case, a (loss, gradients) per rank."""
    folder = tmp_path_factory.mktemp("two_ranks")
    ranks = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(folder)], stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    complaints = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(complaints)
    found = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    return {case: [of_rank[case] for of_rank in found] for case in found[0]}


@pytest.mark.parametrize("images", ["one", "pooled"])
def test_two_ranks_are_one_rank_on_the_whole_batch(two_ranks: dict[str, list], images: str) -> None:
    """Loss and gradient of every parameter, the temperature included, are the same on both ranks and on a single one."""
    loss, expected = plain(make_model(dropout=0.0), make_batch(COUNTS[images]), 100, 100)
    for told, found in two_ranks[images]:
        assert told == pytest.approx(loss, rel=1e-6)
        assert max(errors(found, expected).values()) <= EXACT


@pytest.mark.parametrize("uneven", UNEVEN)
def test_pooling_that_one_rank_does_not_need_is_summed_over_all(two_ranks: dict[str, list], uneven: str) -> None:
    """If all draws of a rank have one image, pooling has the gradient of the other rank's draws, as on a single rank."""
    loss, expected = plain(gated(dropout=0.0), make_batch(UNEVEN[uneven]), 100, 100)
    for told, found in two_ranks[uneven]:
        assert told == pytest.approx(loss, rel=1e-6)
        assert max(error for name, error in errors(found, expected).items() if name != "pooling.weight.bias") <= EXACT


def test_what_no_rank_uses_has_no_gradient(two_ranks: dict[str, list]) -> None:
    """An optimizer passes over pooling in a step without a study of several images, on two ranks as on one."""
    model = gated(dropout=0.0)
    cached_backward(model, make_batch(COUNTS["one"]), image_chunk_size=3, text_chunk_size=2)
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert unused
    assert all(name.startswith("pooling.") for name in unused)
    assert two_ranks["unused"] == [unused, unused]


def test_a_corpus_without_labels_is_gathered_too(two_ranks: dict[str, list]) -> None:
    """Labels of no column cross ranks like any other tensor."""
    loss, expected = plain(make_model(dropout=0.0), make_batch(COUNTS["one"], num_labels=0), 100, 100)
    for told, found in two_ranks["unlabelled"]:
        assert told == pytest.approx(loss, rel=1e-6)
        assert max(errors(found, expected).values()) <= EXACT


def test_a_mean_over_ranks_is_noticed(two_ranks: dict[str, list]) -> None:
    """Dividing the sum by the number of ranks halves every gradient: the comparison above sees each."""
    _, expected = plain(make_model(dropout=0.0), make_batch(COUNTS["one"]), 100, 100)
    for _, found in two_ranks["mean over ranks"]:
        wrong = errors(found, expected)
        assert wrong["image.blocks.3.0.weight"] == pytest.approx(0.5, abs=1e-4)
        assert wrong["text.tokens.weight"] == pytest.approx(0.5, abs=1e-4)
        assert wrong["objective.logit_scale.log"] == pytest.approx(0.5, abs=1e-4)


def test_memory_that_ends_on_one_rank_ends_on_all(two_ranks: dict[str, list]) -> None:
    """The other rank does not wait for a sum that never comes: it fails with the first, and both can take the step again."""
    assert two_ranks["out of memory"] == ["another worker ran out of memory", "full"]


def test_every_rank_starts_from_rank_0(two_ranks: dict[str, list]) -> None:
    """After ``distribute`` the weights of both ranks are those of rank 0."""
    expected = make_model(dropout=0.0).state_dict()
    for found in two_ranks["distributed"]:
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@contextlib.contextmanager
def mean_over_ranks() -> Iterator[None]:
    """What torch's data-parallel wrapper does by default, in place of the sum."""
    right: Callable[[nn.Module], None] = grad_cache.sum_gradients

    def wrong(model: nn.Module) -> None:
        right(model)
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad /= dist.get_world_size()

    grad_cache.sum_gradients = wrong
    yield
    grad_cache.sum_gradients = right


@contextlib.contextmanager
def out_of_memory_on(rank: int, victim: int) -> Iterator[None]:
    """A card that is full on one rank, in the second forward of the second chunk."""
    right = grad_cache.Chunks.backward

    def wrong(self: grad_cache.Chunks) -> None:
        if rank == victim:
            raise torch.OutOfMemoryError("full")
        right(self)

    grad_cache.Chunks.backward = wrong
    yield
    grad_cache.Chunks.backward = right


def run_rank(rank: int, folder: Path) -> None:
    """One of two ranks: its half of every case, and what it found written to ``folder``."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    half = slice(rank * NUM_DRAWS // 2, (rank + 1) * NUM_DRAWS // 2)
    model = make_model(dropout=0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += rank
    distribute(model)
    found: dict[str, object] = {"distributed": {name: tensor.clone() for name, tensor in model.state_dict().items()}}
    for images in COUNTS:
        found[images] = cached(model, part(make_batch(COUNTS[images]), half.start, half.stop), 3, 2)
    pooling = gated(dropout=0.0)
    for uneven, counts in UNEVEN.items():
        found[uneven] = cached(pooling, part(make_batch(counts), half.start, half.stop), 3, 2)
    cached_backward(pooling, part(make_batch(COUNTS["one"]), half.start, half.stop), image_chunk_size=3, text_chunk_size=2)
    found["unused"] = [name for name, parameter in pooling.named_parameters() if parameter.grad is None]
    found["unlabelled"] = cached(model, part(make_batch(COUNTS["one"], 0), half.start, half.stop), 3, 2)
    with out_of_memory_on(rank, victim=1):
        try:
            cached(model, part(make_batch(COUNTS["one"]), half.start, half.stop), 3, 2)
        except torch.OutOfMemoryError as error:
            found["out of memory"] = str(error)
    model.zero_grad(set_to_none=True)
    with mean_over_ranks():
        found["mean over ranks"] = cached(model, part(make_batch(COUNTS["one"]), half.start, half.stop), 3, 2)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    run_rank(int(sys.argv[1]), Path(sys.argv[2]))
