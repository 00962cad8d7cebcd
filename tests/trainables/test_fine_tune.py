"""Fine-tuning: what is trained when, on what, and that the checkpoint stays as it was."""

import copy
import dataclasses
import tempfile

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from radsweep.datasets.labelled import Kind, Labelled, LabelledImage, Target
from radsweep.datasets.png import encode_png
from radsweep.datasets.refusal import UserError
from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables.checkpoint import Pretrained
from radsweep.trainables.encode import Reader
from radsweep.trainables.image_tower import ImageTower, TimmImage, TinyImage
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.tasks.fine_tune import FineTune, Head, Tuned, Views, tune
from radsweep.trainables.tasks.task import Encoded
from radsweep.trainables.text_tower import TinyText

TARGETS = {
    "bright": Target("binary"),
    "left": Target("binary"),
    "side": Target("classes", ("left", "right")),
    "level": Target("grade", ("none", "some", "much")),
    "gray": Target("number", unit="gray values"),
}


def planted(count: int = 60, views: int = 1, image: ImageTower | None = None) -> Encoded:
    """Images whose labels are what they show: how bright, and on which side."""
    rng = np.random.default_rng(0)
    images = []
    for place in range(count):
        right, gray = int(rng.integers(2)), int(rng.choice([40, 130, 220]))
        labels = {"bright": float(gray > 100), "left": 1.0 - right, "side": float(right), "level": gray // 90, "gray": gray}
        for _ in range(views):
            seen = rng.integers(0, 20, (32, 32)).astype(np.uint8)
            seen[8:24, 18 * right : 18 * right + 14] = gray
            split = ("train", "train", "train", "val", "test")[place % 5]
            images.append(LabelledImage(encode_png(seen), f"s{place}", f"p{place}", split, labels=labels))
    text = TinyText(width=8, depth=1, heads=2)
    config = PretrainConfig(image=image or TinyImage(resolution=32, width=8), text=text, embed_dim=8)
    vocabulary = load_tokenizer("tiny-fr").vocabulary
    pretrained = Pretrained(config.model(vocabulary, 0).eval(), config, vocabulary, (), "0" * 64)
    own, corpus = Reader(pretrained, torch.device("cpu")), Labelled("planted", TARGETS, tuple(images))
    states, features, _ = own.encode_images(corpus, lambda *_: None)
    return Encoded(corpus, states, features, reader=own)


def with_labels(encoded: Encoded, labels: list[dict[str, float]], splits: list[str] | None = None) -> Encoded:
    """The same images with other labels and splits."""
    images = tuple(
        LabelledImage(image.source, image.study, image.patient, splits[place] if splits else image.split, labels=labels[place])
        for place, image in enumerate(encoded.corpus.images)
    )
    corpus = Labelled("planted", encoded.corpus.targets, images)
    return Encoded(corpus, encoded.states, encoded.features, reader=encoded.reader)


def tuned(task: FineTune, encoded: Encoded, names: list[str]) -> Tuned:
    """What a task makes of all training studies."""
    train, val = (np.flatnonzero(encoded.studies.splits == split) for split in ("train", "val"))
    assert encoded.reader is not None
    with tempfile.TemporaryFile() as file:
        return tune(task, encoded, encoded.reader, Views(encoded.corpus, 32, file), names, train, val)


def weights(encoded: Encoded) -> dict[str, torch.Tensor]:
    assert encoded.reader is not None
    return {name: value.clone() for name, value in encoded.reader.pretrained.model.state_dict().items()}


FAST = FineTune(shares=(1.0,), epochs=30, batch_size=8, frozen_steps=15, head_lr=1e-2, number_lr=1e-2, encoder_lr=3e-3)


def test_every_kind_of_label_is_learned() -> None:
    """Findings, classes, grades and numbers that images show are told of test images; the checkpoint is as it was."""
    encoded = planted()
    before = weights(encoded)
    result = FAST.run(encoded)
    assert result.metrics["bright_auroc_at_100"] == 1
    assert result.metrics["left_auroc_at_100"] == 1
    assert result.metrics["mean_auroc_at_100"] == 1
    assert result.metrics["side_accuracy_at_100"] == 1
    assert result.metrics["level_quadratic_kappa_at_100"] > 0.8
    assert result.metrics["gray_mae_at_100"] < 25
    assert [one.name for one in result.predictions] == [f"{name}_at_100" for name in TARGETS]
    assert result.predictions[2].scores.shape == (12, 2)
    np.testing.assert_allclose(result.predictions[3].scores.sum(axis=1), 1)
    assert all(torch.equal(before[name], value) for name, value in weights(encoded).items())
    assert encoded.reader is not None
    assert not any(part.training for part in encoded.reader.pretrained.model.modules())
    assert not any(one.grad is not None for one in encoded.reader.pretrained.model.parameters())


def test_the_same_seed_tunes_the_same() -> None:
    """Two runs agree to the last bit, whatever torch's own generator is at, and leave that alone; another seed does not."""
    encoded = planted(40)
    task = FAST.model_copy(update={"epochs": 4, "frozen_steps": 4})
    torch.manual_seed(1)
    first = task.run(encoded)
    after = torch.rand(1)
    torch.manual_seed(2)
    again = task.run(encoded)
    for one, other in zip(first.predictions, again.predictions, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    torch.manual_seed(1)
    assert torch.rand(1) == after
    other = task.model_copy(update={"seed": 1}).run(encoded)
    assert not np.array_equal(first.predictions[0].scores, other.predictions[0].scores)


def test_the_tower_waits_for_the_head() -> None:
    """For the first steps its weights are those of the checkpoint and only the head's change; then all of them do."""
    encoded = planted(40)
    assert encoded.reader is not None
    own = encoded.reader.pretrained.model.image
    # Three batches of 8 in an epoch: 24 training studies.
    frozen = tuned(FAST.model_copy(update={"epochs": 2, "frozen_steps": 6}), encoded, ["bright", "left"])
    assert frozen.frozen
    assert all(torch.equal(one, two) for one, two in zip(own.parameters(), frozen.tower.parameters(), strict=True))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        began = torch.nn.Linear(own.num_features, 2)
    # Six steps of AdamW go no further than about six times the rate.
    assert 1e-3 < (frozen.head.linear.weight - began.weight).abs().max() < 7e-2
    moved = tuned(FAST.model_copy(update={"epochs": 2, "frozen_steps": 5}), encoded, ["bright", "left"])
    assert not moved.frozen
    assert not any(torch.equal(one, two) for one, two in zip(own.parameters(), moved.tower.parameters(), strict=True))


def test_known_features_of_a_frozen_tower_are_its_own() -> None:
    """Training on features that were computed before is training on what the tower would say now."""
    encoded = planted(20, views=2)
    frozen = tuned(FAST.model_copy(update={"epochs": 1, "frozen_steps": 99}), encoded, ["bright"])
    studies = np.arange(20)
    with tempfile.TemporaryFile() as file:
        frozen.views = Views(encoded.corpus, 32, file)
        known = frozen(studies)
        frozen.frozen = False
        torch.testing.assert_close(frozen(studies), known, atol=1e-5, rtol=1e-5)


def test_one_step_is_adamw_at_the_encoders_rate() -> None:
    """Without frozen steps and dropout: one step from the loss of one batch, tower and head at the same rate."""
    encoded = planted(20)
    task = FAST.model_copy(update={"epochs": 1, "frozen_steps": 0, "dropout": 0.0, "batch_size": 64, "encoder_lr": 1e-3})
    got = tuned(task, encoded, ["bright"])
    assert encoded.reader is not None
    train = np.flatnonzero(encoded.studies.splits == "train")
    truth = torch.from_numpy(encoded.truth("bright")[train]).float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tower = copy.deepcopy(encoded.reader.pretrained.model.image)
        linear = torch.nn.Linear(tower.num_features, 1)
    optimizer = torch.optim.AdamW([*tower.parameters(), *linear.parameters()], lr=1e-3, weight_decay=1e-6)
    seen = torch.from_numpy(np.stack([encoded.corpus.images[place].pixels() for place in train]))
    outputs = linear(tower(seen))[:, 0]
    positive = F.softplus(-outputs)[truth == 1] * (truth == 0).sum() / (truth == 1).sum()
    (torch.cat([positive, F.softplus(outputs)[truth == 0]]).sum() / len(truth)).backward()
    optimizer.step()
    for one, two in zip(
        [*tower.parameters(), *linear.parameters()], [*got.tower.parameters(), *got.head.linear.parameters()], strict=True
    ):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


def test_losses_by_hand() -> None:
    """Each kind's loss, one value a known label; what is unknown has no loss and no gradient."""
    nan = float("nan")

    def losses(kind: Kind, outputs: list[list[float]], truth: list[list[float]], levels: tuple[str, ...] = ()) -> list[float]:
        targets = [Target(kind, levels)] * len(truth[0])
        own = torch.tensor(outputs, requires_grad=True)
        told = Head(3, targets, torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])[:, : len(targets)], 0.0).losses(
            own, torch.tensor(truth)
        )
        told.sum().backward()
        assert own.grad is not None
        unknown = torch.tensor(truth).isnan().repeat_interleave(max(1, len(levels)), dim=1)
        assert not own.grad[unknown].any()
        assert own.grad.isfinite().all()
        return told.tolist()

    softplus = lambda value: float(np.log1p(np.exp(value)))  # noqa: E731
    # Two negatives to a positive: positives weigh 2.
    told = losses("binary", [[0.3, -1.0], [2.0, 5.0]], [[1.0, 0.0], [0.0, nan]])
    assert told == pytest.approx([2 * softplus(-0.3), softplus(-1.0), softplus(2.0)])
    assert losses("number", [[3.0, 0.5], [9.0, 7.0]], [[1.0, 0.0], [nan, 7.5]]) == pytest.approx([1.5, 0.125, 0.125])
    told = losses("grade", [[0.0, 1.0, 2.0, 5.0], [1.0, 1.0, 0.0, 0.0]], [[1.0, nan], [nan, 0.0]], ("a", "b"))
    assert told == pytest.approx([softplus(-1.0), softplus(0.0)])


def test_the_head_of_numbers_begins_at_their_mean_and_spread() -> None:
    """Known labels alone count; a head of zeros says the mean."""
    truth = torch.tensor([[100.0, 1.0], [140.0, float("nan")], [120.0, 3.0]])
    head = Head(4, [Target("number")] * 2, truth, 0.2).eval()
    torch.testing.assert_close(head.bias, torch.tensor([120.0, 2.0]))
    torch.testing.assert_close(head.scale, torch.tensor([(800 / 3) ** 0.5, 1.0]))
    torch.nn.init.zeros_(head.linear.weight)
    torch.nn.init.zeros_(head.linear.bias)
    np.testing.assert_allclose(head.scores(head(torch.ones(1, 4))), [[120], [2]], rtol=1e-6)


def test_a_study_is_told_by_the_mean_of_its_images() -> None:
    """Outputs of a study are those of the mean of its images' features, whatever the batches they come in."""
    encoded = planted(20, views=3)
    got = tuned(FAST.model_copy(update={"epochs": 2, "frozen_steps": 1, "batch_size": 7}), encoded, ["bright"])
    with tempfile.TemporaryFile() as file:
        got.views = Views(encoded.corpus, 32, file)
        told = got(np.array([3, 0]))
    with torch.no_grad():
        images = torch.from_numpy(np.stack([image.pixels() for image in encoded.corpus.images]))
        states = got.tower(images).reshape(20, 3, -1).mean(dim=1)
        torch.testing.assert_close(told, got.head(states[[3, 0]]), atol=1e-5, rtol=1e-5)


def test_labels_that_are_missing_do_not_count() -> None:
    """A second target that few studies have is trained with the first, and tested on those alone."""
    encoded = planted()
    labels = [
        {"bright": image.labels["bright"]} | ({"left": image.labels["left"]} if place % 2 else {})
        for place, image in enumerate(encoded.corpus.images)
    ]
    result = FAST.run(with_labels(encoded, labels))
    bright, left = result.predictions
    assert (len(bright.truth), len(left.truth)) == (12, 6)
    assert not np.isnan(left.truth).any()
    assert result.metrics["bright_auroc_at_100"] == 1
    assert result.metrics["left_auroc_at_100"] == 1
    told = " ".join(result.absent)
    assert all(f"{name}_at_100: no training case has the label" in told for name in ("side", "level", "gray"))


def test_shares_are_of_patients() -> None:
    """A share that leaves one level is absent with a reason; the others are there."""
    encoded = planted(100)
    task = FAST.model_copy(update={"shares": (0.01, 0.5), "epochs": 3, "targets": ("bright",)})
    result = task.run(encoded)
    assert {name.rpartition("_")[2] for name in result.metrics} == {"50"}
    assert any("bright_at_1: all training cases have the same label" in why for why in result.absent)


def test_what_tuning_did_not_improve_is_said() -> None:
    """If the lowest validation loss came before the tower was tuned, the result is that of a linear head."""
    encoded = planted(40)
    result = FAST.model_copy(update={"epochs": 1, "frozen_steps": 99, "targets": ("bright",)}).run(encoded)
    assert result.absent == ("bright at 100 %: no tuning of the tower lowered the validation loss",)


def test_a_frozen_vit_is_tuned_as_a_whole() -> None:
    """Layers that pretraining froze are tuned too."""
    encoded = planted(20, image=TimmImage(name="test_vit", resolution=32, patch_size=8, freeze="all"))
    got = tuned(FAST.model_copy(update={"epochs": 1, "frozen_steps": 0}), encoded, ["bright"])
    assert encoded.reader is not None
    own = dict(encoded.reader.pretrained.model.image.named_parameters())
    changed = {name for name, value in got.tower.named_parameters() if not torch.equal(own[name], value)}
    assert changed == set(own)
    assert not any(value.requires_grad for value in own.values())


def test_what_cannot_be_tuned_for_is_refused() -> None:
    """No training, validation or test studies; a target that is not there; features without a model."""
    encoded = planted(20)
    labels = [dict(image.labels) for image in encoded.corpus.images]
    for split, why in (
        ("train", "no training case has the label"),
        ("val", "no validation case has the label"),
        ("test", "no test case has the label"),
    ):
        other = "test" if split != "test" else "train"
        splits = [other if image.split == split else image.split for image in encoded.corpus.images]
        with pytest.raises(UserError, match=f"nothing to tune for: .*{why}"):
            FAST.run(with_labels(encoded, labels, splits))
    with pytest.raises(UserError, match="no target tumour"):
        FAST.model_copy(update={"targets": ("tumour",)}).run(encoded)
    with pytest.raises(UserError, match="the model itself"):
        FAST.run(Encoded(encoded.corpus, encoded.states, encoded.features))


def test_the_sex_of_the_patient_reaches_the_head() -> None:
    """An age that sex alone tells is learned where the head is given it, and not elsewhere."""
    encoded = planted(60)
    rng = np.random.default_rng(1)
    told = [("F", 100.0) if woman else ("M", 20.0) for woman in rng.integers(2, size=60)]
    images = tuple(
        dataclasses.replace(image, sex=sex, labels={"gray": age})
        for image, (sex, age) in zip(encoded.corpus.images, told, strict=True)
    )
    known = Encoded(Labelled("planted", TARGETS, images), encoded.states, encoded.features, reader=encoded.reader)
    task = FAST.model_copy(update={"targets": ("gray",), "number_lr": 0.1, "frozen_steps": 150, "epochs": 45, "dropout": 0.0})
    assert task.model_copy(update={"sex": True}).run(known).metrics["gray_mae_at_100"] < 15
    assert task.run(known).metrics["gray_mae_at_100"] > 30


def test_draws_of_a_share_are_averaged() -> None:
    """Two draws of half the patients: figures are the mean of both, scores too, and all the patients are taken once."""
    encoded = planted(60)
    task = FAST.model_copy(update={"shares": (0.5, 1.0), "targets": ("bright",), "epochs": 3, "repeats": 2})
    result = task.run(encoded)
    single = [
        FAST.model_copy(update={"shares": (share,), "targets": ("bright",), "epochs": 3}).run(encoded) for share in (0.5, 1.0)
    ]
    half, whole = result.predictions
    np.testing.assert_array_equal(whole.scores, single[1].predictions[0].scores)
    assert not np.array_equal(half.scores, single[0].predictions[0].scores)
    assert half.scores.shape == single[0].predictions[0].scores.shape
    assert len(result.predictions) == 2


def test_the_same_grades_of_both_sides_are_scored_together() -> None:
    """All their test cases, more of the one than of the other, beside what each is worth alone."""
    encoded = planted(40)
    labels = [
        {"right": image.labels["level"]} | ({"left": 2 - image.labels["level"]} if place % 2 else {})
        for place, image in enumerate(encoded.corpus.images)
    ]
    images = tuple(dataclasses.replace(one, labels=own) for one, own in zip(encoded.corpus.images, labels, strict=True))
    corpus = Labelled("knees", {"right": TARGETS["level"], "left": TARGETS["level"]}, images)
    task = FAST.model_copy(update={"epochs": 3, "shares": (0.5, 1.0), "repeats": 2})
    result = task.run(dataclasses.replace(encoded, corpus=corpus))
    right, left, both = (one for one in result.predictions if one.name.endswith("_at_100"))
    np.testing.assert_array_equal(both.scores, [*right.scores, *left.scores])
    assert (len(right.truth), len(left.truth)) == (8, 4)
    told = np.concatenate([one.scores.argmax(axis=1) == one.truth for one in (right, left)])
    assert result.metrics["right_and_left_accuracy_at_100"] == pytest.approx(told.mean())
    expected = (8 * result.metrics["right_accuracy_at_50"] + 4 * result.metrics["left_accuracy_at_50"]) / 12
    assert result.metrics["right_and_left_accuracy_at_50"] == pytest.approx(expected)
    assert len(result.predictions) == 6
