"""The gradient certificate: it holds for every objective, and it fails for every known fault.

Run as a program (``test_certificate.py RANK FOLDER``) this file is one of two workers that halve their encoders' gradients.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from radsweep.datasets.pairs import Batch, Reading
from radsweep.datasets.sampling import Sampling
from radsweep.datasets.tokens import load_tokenizer
from radsweep.sweeps.cli import app
from radsweep.trainables import certificate, grad_cache
from radsweep.trainables.certificate import (
    EXACT,
    Case,
    Comparison,
    cached_gradients,
    certify,
    compare,
    example,
    group,
    plain_gradients,
)
from radsweep.trainables.grad_cache import Chunks, RandomState
from radsweep.trainables.image_tower import TimmImage, TinyImage
from radsweep.trainables.model import DualEncoder
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.convirt import ConVIRT
from radsweep.trainables.objectives.cxr_clip import CxrClip
from radsweep.trainables.objectives.dlilp import Dlilp
from radsweep.trainables.objectives.objective import Objective
from radsweep.trainables.objectives.siglip import SigLip
from radsweep.trainables.objectives.unicl import UniCL
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import TinyText

OBJECTIVES = (Clip(), ConVIRT(), CxrClip(), Dlilp(), SigLip(), UniCL(), Unimodal())
WORDS = load_tokenizer("tiny-fr").vocabulary
CHUNKS = (1, 2, 4, 7)
FAULT = Case(2, 4, "fp32", dropout=False)


def config_of(objective: Objective, **fields: Any) -> PretrainConfig:
    """A tiny model with dropout, several images to a draw, and this objective."""
    return PretrainConfig(
        image=TinyImage(width=16, resolution=32),
        text=TinyText(width=16, depth=1, heads=2, dropout=0.3),
        objective=objective,
        data=Reading(sampling=Sampling(images="pooled")),
        embed_dim=12,
        batch_size=16,
        image_chunk_size=4,
        text_chunk_size=4,
        precision="fp32",
        budget_pairs=100,
    ).model_copy(update=fields)


def told(config: PretrainConfig, *cases: Case) -> list[Comparison]:
    """All comparisons of these cases."""
    return [one for comparisons in certify(config, WORDS, cases) for one in comparisons]


CASES = {
    workers: [Case(workers, size, "fp32", dropout) for size in CHUNKS for dropout in (True, False)] + [Case(workers, 4, "bf16")]
    for workers in (1, 2)
}


def not_exact(comparisons: list[Comparison]) -> list[Comparison]:
    """What is above the bars: in float32 an error of 1e-5, whatever the certificate itself lets pass."""
    return [
        one for one in comparisons if not one.holds or (one.case.precision == "fp32" and one.has_effect and one.error > EXACT)
    ]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_every_objective_is_certified(objective: Objective) -> None:
    """In chunks of 1, 2, 4 and 7, dropout on and off, every parameter's gradient is the plain batch's.

    float32 to a relative error of 1e-5, bf16 to a cosine of 0.999.
    """
    comparisons = told(config_of(objective), *CASES[1])
    assert not not_exact(comparisons)
    assert {one.case for one in comparisons} == set(CASES[1])
    learned = [one for one in comparisons if one.parameter.startswith("objective.") and one.has_effect]
    assert learned or isinstance(objective, ConVIRT)


@pytest.fixture(scope="module")
def on_two_workers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, torch.Tensor]]]:
    """The gradients that two gloo workers agree on: by objective, one per case; and those of a fault."""
    folder = tmp_path_factory.mktemp("two_workers")
    ranks = [subprocess.Popen([sys.executable, __file__, str(rank), str(folder)]) for rank in (0, 1)]
    assert [rank.wait(timeout=240) for rank in ranks] == [0, 0]
    found = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for what, of_rank in found[0].items():
        for one, other in zip(of_rank, found[1][what], strict=True):
            assert all(torch.equal(gradient, other[name]) for name, gradient in one.items())
    return found[0]


def compared(config: PretrainConfig, case: Case, found: dict[str, torch.Tensor]) -> list[Comparison]:
    """``found`` against the plain gradient."""
    batch = example(config, WORDS, 16, certificate.NUM_LABELS)
    expected = plain_gradients(config.model(WORDS, certificate.NUM_LABELS), batch, case)
    return compare(expected, found, case)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_two_workers_are_certified(objective: Objective, on_two_workers: dict[str, list[dict[str, torch.Tensor]]]) -> None:
    """The same chunks on two workers, which hold half of the draws each."""
    for case, found in zip(CASES[2], on_two_workers[type(objective).__name__], strict=True):
        assert not not_exact(compared(config_of(objective), case, found))


def test_workers_are_started_by_the_certificate() -> None:
    """`certify` starts two workers itself, and compares what they agree on."""
    comparisons = told(config_of(Clip()), Case(2, 3, "fp32"), Case(1, 3, "fp32"))
    assert {one.case.workers for one in comparisons} == {1, 2}
    assert all(one.holds for one in comparisons)


@pytest.mark.parametrize(
    "fields",
    [
        {"image": TimmImage(name="test_vit", resolution=32, patch_size=8)},
        {"image": TimmImage(name="test_vit", resolution=32, patch_size=8, grad_checkpointing=True)},
        {"image": TimmImage(name="test_vit", resolution=32, patch_size=8, patch_dropout=0.25, drop_path=0.2)},
        {"pooling": "gated"},
        {"text": TinyText(width=16, depth=2, heads=2, dropout=0.3, freeze="all")},
        {"text": TinyText(width=16, depth=2, heads=2, dropout=0.3, freeze=1), "projection": "mlp"},
    ],
    ids=["vit", "checkpointing", "patches and branches left out", "gated attention", "frozen text", "one frozen layer, mlp"],
)
def test_every_kind_of_model_is_certified(fields: dict[str, Any]) -> None:
    """A ViT, activations computed anew, patch dropout, learned pooling, frozen towers and layers, a hidden layer."""
    cases = [Case(1, size, "fp32", dropout) for size in (3, 16) for dropout in (True, False)]
    assert not not_exact(told(config_of(Clip(), **fields), *cases))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_learned_pooling_is_certified_under_every_objective(objective: Objective) -> None:
    """The gradient of attention is a small difference between the images of a draw, and exact to 1e-5 all the same."""
    assert not not_exact(told(config_of(objective, pooling="gated"), *CASES[1]))


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++")
def test_compiled_towers_are_certified() -> None:
    """Towers that torch has compiled draw the same random numbers again in their second forward."""
    config, case = config_of(Clip()), Case(1, 4, "fp32")
    batch = example(config, WORDS, 16, certificate.NUM_LABELS)
    model = config.model(WORDS, certificate.NUM_LABELS)
    model.image.compile()
    model.text.compile()
    expected = plain_gradients(model, batch, case)
    assert not not_exact(compare(expected, cached_gradients(model, batch, case, 0), case))


def faulty(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Put a fault into the gradient cache."""
    if fault == "temperature gradient times the number of chunks":
        right = grad_cache.backward_in_tiles

        def wrong(model: DualEncoder, *given: Any) -> torch.Tensor:
            loss = right(model, *given)
            for parameter in model.objective.parameters():
                parameter.grad = 4 * parameter.grad if parameter.grad is not None else None
            return loss

        monkeypatch.setattr(grad_cache, "backward_in_tiles", wrong)
    else:
        monkeypatch.setattr(RandomState, "replayed", lambda _: contextlib.nullcontext())


def test_a_temperature_gradient_times_k_is_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    """What accumulation over k chunks does to the temperature: that parameter fails, and no other."""
    faulty(monkeypatch, "temperature gradient times the number of chunks")
    failed = {one.parameter for one in told(config_of(Clip()), Case(1, 4, "fp32")) if not one.holds}
    assert failed == {"objective.logit_scale.log"}


def test_forgotten_random_numbers_are_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second forward with other dropout: the text tower's parameters fail where dropout is on."""
    faulty(monkeypatch, "no replay")
    on, off = (told(config_of(Clip()), Case(1, 4, "fp32", dropout)) for dropout in (True, False))
    assert {one.parameter for one in on if not one.holds} >= {"text.tokens.weight", "text_projection.weight"}
    assert all(one.holds for one in off)


def test_encoder_gradients_over_w_are_not_certified(on_two_workers: dict[str, list[dict[str, torch.Tensor]]]) -> None:
    """What gathering without gradients does to the towers on two workers: they fail, the temperature does not."""
    (found,) = on_two_workers["encoder gradients over W"]
    failed = {one.parameter for one in compared(config_of(Clip()), FAULT, found) if not one.holds}
    assert failed == {name for name in found if name.startswith(("image", "text"))}


def test_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """`radsweep verify-grad demo` prints a line per parameter; exit code 0 if certified, 1 if not."""
    arguments = ["verify-grad", "demo", "--workers", "1", "--chunks", "3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "certified: all" in result.output
    faulty(monkeypatch, "temperature gradient times the number of chunks")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "not certified: 1 of" in result.output
    assert "differs" in result.output


def test_draws_are_shared_without_loss() -> None:
    """The ranks' parts put together are the whole batch, views of a draw staying with it."""
    batch = example(config_of(CxrClip()), WORDS, 6, 2)
    parts = [certificate.share(batch, rank, 3) for rank in range(3)]
    for name in Batch.__dataclass_fields__:
        together = torch.cat([getattr(part, name) for part in parts])
        assert torch.allclose(together, getattr(batch, name), rtol=0, atol=0, equal_nan=True)
    assert len(parts[0].image_counts) == len(parts[0].input_ids) == 4


@contextlib.contextmanager
def divided_by_workers() -> Iterator[None]:
    """Features' gradients divided by the number of workers, as a mean over ranks does."""
    right = Chunks.backward

    def wrong(self: Chunks) -> None:
        assert self.features.grad is not None
        self.features.grad /= 2
        right(self)

    Chunks.backward = wrong
    yield
    Chunks.backward = right


def run_worker(rank: int, folder: Path) -> None:
    """One of two workers: every objective in every case, and one fault."""
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, torch.Tensor]]] = {}
    with group(rank, 2, folder):
        for objective in OBJECTIVES:
            config = config_of(objective)
            batch = example(config, WORDS, 16, certificate.NUM_LABELS)
            model = config.model(WORDS, certificate.NUM_LABELS)
            found[type(objective).__name__] = [cached_gradients(model, batch, case, rank) for case in CASES[2]]
            if isinstance(objective, Clip):
                with divided_by_workers():
                    found["encoder gradients over W"] = [cached_gradients(model, batch, FAULT, rank)]
    torch.save(found, folder / f"{rank}.pt")


if __name__ == "__main__":
    run_worker(int(sys.argv[1]), Path(sys.argv[2]))
