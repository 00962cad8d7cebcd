"""What a checkpoint makes of a corpus: the tower's own features, computed once, and texts on their own."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from radsweep.datasets.labelled import Box, Labelled, LabelledImage, Target
from radsweep.datasets.png import encode_png
from radsweep.datasets.refusal import UserError
from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables import encode as module
from radsweep.trainables.checkpoint import Pretrained, load_pretrained
from radsweep.trainables.encode import Reader, code_of, encode, fingerprint, view
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.tasks.task import Encoded

CPU = torch.device("cpu")
TEXTS = ("Fracture.", "Pas de fracture visible. Pas d'épanchement articulaire. Interligne conservé.", "Fracture déplacée.")


def pixels(place: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(place).integers(0, 256, (height, width), np.uint8)


def corpus(images: int = 3) -> Labelled:
    """Studies of one image each, of patients of their own."""
    return Labelled(
        "bone",
        {"fracture": Target("binary")},
        tuple(LabelledImage(encode_png(pixels(i)), f"s{i}", f"p{i}", "train", {"fracture": 1.0}) for i in range(images)),
    )


def changed(whole: Labelled, **what: object) -> Labelled:
    """The corpus with something else known of its first image."""
    return dataclasses.replace(whole, images=(dataclasses.replace(whole.images[0], **what), *whole.images[1:]))


def read(pretrained: Pretrained, whole: Labelled, kept: Path) -> Encoded:
    return encode(pretrained, whole, kept, CPU, lambda *_: None)


@pytest.fixture
def pretrained(checkpoint: Path) -> Pretrained:
    return load_pretrained(checkpoint)


@torch.no_grad()
def test_features_are_those_of_the_towers(pretrained: Pretrained, tmp_path: Path) -> None:
    """More images than a batch holds, one by one through tower and projection; what is not square stands on black."""
    shapes = [(32, 20), (20, 32), (32, 32)]
    sources = [pixels(i, *shapes[i % 3]) for i in range(70)]
    images = tuple(LabelledImage(encode_png(own), f"s{i}", f"p{i}", "test") for i, own in enumerate(sources))
    encoded = read(pretrained, Labelled("bone", {}, images), tmp_path)
    for place, own in enumerate(sources):
        seen = np.zeros((32, 32), np.uint8)
        height, width = own.shape
        seen[(32 - height) // 2 : (32 + height) // 2, (32 - width) // 2 : (32 + width) // 2] = own
        state = pretrained.model.image(torch.from_numpy(seen)[None])
        torch.testing.assert_close(torch.from_numpy(encoded.states[place]), state[0], rtol=1e-4, atol=1e-5)
        feature = F.normalize(state @ pretrained.model.image_projections[0].weight.T)[0]
        torch.testing.assert_close(torch.from_numpy(encoded.features[place]), feature, rtol=1e-4, atol=1e-5)
    assert (encoded.states.dtype, encoded.features.dtype) == (np.float32, np.float32)
    assert encoded.known == ("fracture",)


def test_what_was_seen_is_not_looked_at_again(pretrained: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights and images read the file of the first time; other weights or images run the tower."""
    first = read(pretrained, corpus(), tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 1

    def run(*_: object) -> None:
        raise AssertionError("the tower is run")

    monkeypatch.setattr(Reader, "encode_images", run)
    again = read(pretrained, corpus(), tmp_path / "kept")
    np.testing.assert_array_equal(again.states, first.states)
    np.testing.assert_array_equal(again.features, first.features)
    for other in ((pretrained, corpus(4)), (dataclasses.replace(pretrained, sha256="0" * 64), corpus())):
        with pytest.raises(AssertionError, match="the tower is run"):
            read(*other, tmp_path / "kept")


def test_a_few_damaged_images_are_left_out(pretrained: Pretrained, tmp_path: Path) -> None:
    """Two of a hundred: gone from corpus, features and studies, counted in a note, and again when features were kept."""
    whole = corpus(100)
    damaged = tuple(
        dataclasses.replace(one, source=bytes(one.source)[:60]) if place in (3, 70) else one
        for place, one in enumerate(whole.images)
    )
    told = read(pretrained, dataclasses.replace(whole, images=damaged, notes=("A note.",)), tmp_path)
    again = read(pretrained, dataclasses.replace(whole, images=damaged, notes=("A note.",)), tmp_path)
    there = [place for place in range(100) if place not in (3, 70)]
    for one in (told, again):
        assert [image.study for image in one.corpus.images] == [f"s{place}" for place in there]
        assert one.corpus.notes == ("A note.", "2 of 100 images cannot be read, and are left out")
        np.testing.assert_allclose(one.states, read(pretrained, whole, tmp_path / "whole").states[there], rtol=1e-5, atol=1e-6)
        assert len(one.studies.ids) == len(one.features) == 98
    more = tuple(dataclasses.replace(one, source=b"") if place == 50 else one for place, one in enumerate(damaged))
    with pytest.raises(UserError, match="an image of study s70 cannot be read"):
        read(pretrained, dataclasses.replace(whole, images=more), tmp_path)


def test_other_code_looks_again(pretrained: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that an older view or tower made are not those of today; what the older code finds again are its own."""
    kept = tmp_path / "kept"
    before = read(pretrained, corpus(), kept)
    with monkeypatch.context() as changed_code:
        changed_code.setattr(module, "code_of", lambda _: "another")
        changed_code.setattr(module, "view", lambda whole, place, side: 255 - view(whole, place, side))
        after = read(pretrained, corpus(), kept)
    assert np.abs(after.states - before.states).max() > 1e-3
    monkeypatch.setattr(module, "view", None)
    np.testing.assert_array_equal(read(pretrained, corpus(), kept).states, before.states)


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("datasets/augment.py", True),
        ("datasets/dicom/pixels.py", True),
        ("trainables/image_tower.py", True),
        ("trainables/tasks/retrieval.py", False),
        ("sweeps/evaluate.py", False),
    ],
)
def test_code_that_makes_features_is_told(tmp_path: Path, path: str, counts: bool) -> None:
    """Images and towers, and not what reads their features; a new file is a change, and so is another name."""
    for folder in ("datasets/dicom", "trainables/tasks", "sweeps"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "datasets" / "images.py").write_text("a = 1")
    before = code_of(tmp_path)
    (tmp_path / path).write_text("b = 1")
    told = code_of(tmp_path)
    assert (told != before) == counts
    (tmp_path / path).write_text("b = 2")
    assert (code_of(tmp_path) != told) == counts
    assert code_of(tmp_path) == code_of(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: changed(whole, source=encode_png(pixels(9))),
        lambda whole: changed(whole, labels={"fracture": 0.0}),
        lambda whole: changed(whole, labels={}),
        lambda whole: changed(whole, split="test"),
        lambda whole: changed(whole, patient="other"),
        lambda whole: changed(whole, study="other"),
        lambda whole: changed(whole, sex="F"),
        lambda whole: changed(whole, report="Fracture."),
        lambda whole: changed(whole, boxes=()),
        lambda whole: changed(whole, boxes=(Box("fracture", 1, 2, 3, 4),)),
        lambda whole: dataclasses.replace(whole, images=whole.images[:2]),
        lambda whole: dataclasses.replace(whole, images=whole.images[::-1]),
        lambda whole: dataclasses.replace(whole, targets={"fracture": Target("grade", ("no", "yes"))}),
        lambda whole: dataclasses.replace(whole, name="wrist"),
    ],
)
def test_a_fingerprint_tells_corpora_apart(change: Callable[[Labelled], Labelled]) -> None:
    """Whatever a task may read changes it; the same corpus made anew does not."""
    assert fingerprint(corpus()) == fingerprint(corpus())
    assert fingerprint(change(corpus())) != fingerprint(corpus())


def test_a_file_that_was_written_again_is_another(tmp_path: Path) -> None:
    """Images and masks are told by path, size and time, so that nothing large is read."""
    for name in ("image.png", "mask.png"):
        (tmp_path / name).write_bytes(encode_png(pixels(0)))
    whole = changed(corpus(), source=tmp_path / "image.png", mask=tmp_path / "mask.png")
    told = {fingerprint(whole)}
    for name in ("image.png", "mask.png"):
        (tmp_path / name).write_bytes(encode_png(pixels(1, 40, 40)))
        told.add(fingerprint(whole))
    assert len(told) == 3
    assert fingerprint(whole) in told


@pytest.mark.parametrize("damaged", [b"no image", encode_png(pixels(0))[:300]])
def test_an_image_that_cannot_be_read_is_named(pretrained: Pretrained, tmp_path: Path, damaged: bytes) -> None:
    """A file by its path, bytes by their study; nothing is kept of the others."""
    (tmp_path / "broken.png").write_bytes(damaged)
    with pytest.raises(UserError, match=r"bone: .*broken\.png cannot be read"):
        read(pretrained, changed(corpus(), source=tmp_path / "broken.png"), tmp_path / "kept")
    with pytest.raises(UserError, match="bone: an image of study s0 cannot be read"):
        read(pretrained, changed(corpus(), source=damaged), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@torch.no_grad()
def test_texts_are_read_on_their_own(pretrained: Pretrained) -> None:
    """Neither order nor what else is read changes a text's vector, and that of one sentence is its tokens' without padding."""
    reader = Reader(pretrained, CPU)
    alone = np.concatenate([reader.encode_texts([text]) for text in TEXTS])
    many = reader.encode_texts([*TEXTS[::-1]] * 30)
    np.testing.assert_allclose(many, np.tile(alone[::-1], (30, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, rtol=1e-5)
    words = pretrained.vocabulary
    ids = [words.cls_id, *load_tokenizer("tiny-fr").encode(["Fracture."])[0], words.sep_id]
    expected = pretrained.model.encode_texts(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool))
    np.testing.assert_allclose(alone[:1], expected.numpy(), atol=1e-6)
    assert np.abs(alone[0] - alone[2]).max() > 1e-3


def test_texts_of_another_vocabulary_are_refused(pretrained: Pretrained) -> None:
    """A tokenizer that has changed since would number words otherwise."""
    other = dataclasses.replace(pretrained, vocabulary=dataclasses.replace(pretrained.vocabulary, sha256="0" * 64))
    with pytest.raises(UserError, match="tiny-fr is not the one"):
        Reader(other, CPU).encode_texts(TEXTS)


def test_a_checkpoint_that_never_read_offers_no_texts(pretrained: Pretrained, tmp_path: Path) -> None:
    """Learned from labels alone, its text tower is random: tasks are not given it."""
    assert read(pretrained, corpus(), tmp_path).encode_texts is not None
    config = pretrained.config.model_copy(update={"objective": Unimodal()})
    other = Pretrained(config.model(pretrained.vocabulary, 1).eval(), config, pretrained.vocabulary, ("fracture",), "1" * 64)
    assert read(other, corpus(), tmp_path).encode_texts is None


def test_a_study_is_its_first_images(pretrained: Pretrained, tmp_path: Path) -> None:
    """Studies stand in the order of their first images; rows are averaged over twelve images at most; labels may be unknown."""
    places = [0, 1, 0, 2] + [1] * 13
    images = tuple(
        LabelledImage(
            encode_png(pixels(i)), f"s{own}", f"p{own}", "test", {} if own == 2 else {"fracture": own}, report=f"r{own}"
        )
        for i, own in enumerate(places)
    )
    encoded = read(pretrained, Labelled("bone", {"fracture": Target("binary")}, images), tmp_path)
    assert [own.tolist() for own in encoded.studies.images] == [[0, 2], [1, *range(4, 15)], [3]]
    assert encoded.studies.ids.tolist() == ["s0", "s1", "s2"]
    expected = [np.mean([encoded.states[i] for i in own], axis=0) for own in ([0, 2], [1, *range(4, 15)], [3])]
    np.testing.assert_allclose(encoded.by_study(encoded.states), expected, rtol=1e-5)
    np.testing.assert_array_equal(encoded.truth("fracture"), [0, 1, np.nan])
    assert encoded.reports() == ["r0", "r1", "r2"]
