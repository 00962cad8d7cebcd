"""Dense probes: where boxes and masks lie on the square, and metrics counted by hand."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from radsweep.datasets.corpora import phantom, table
from radsweep.datasets.labelled import Box, Labelled, LabelledImage
from radsweep.datasets.png import encode_png
from radsweep.datasets.refusal import UserError
from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables.checkpoint import Pretrained, load_pretrained
from radsweep.trainables.encode import Reader, view
from radsweep.trainables.image_tower import ImageModule, TimmEncoder, TimmImage, TinyImage
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.tasks.dense import (
    CANVAS,
    Dense,
    Regions,
    average_precision,
    detections,
    dice,
    look,
    on_canvas,
    overlap,
    pointed,
)
from radsweep.trainables.tasks.task import Encoded
from radsweep.trainables.text_tower import TinyText

RESOLUTION = 32


class Brightness(ImageModule):
    """A tower that sees of each patch of 4 px how bright it is, and nothing else."""

    num_features = 1

    def maps(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float()[:, None] / 255, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images).mean((2, 3))


def reader() -> Reader:
    """A model whose image tower sees brightness."""
    config = PretrainConfig(image=TinyImage(resolution=RESOLUTION, width=8), text=TinyText(width=8, depth=1), embed_dim=8)
    vocabulary = load_tokenizer("tiny-fr").vocabulary
    model = config.model(vocabulary, 0).eval()
    model.image = Brightness()
    return Reader(Pretrained(model, config, vocabulary, (), "0" * 64), torch.device("cpu"))


def labelled(pixels: np.ndarray, place: int = 0, split: str = "test", **known: object) -> LabelledImage:
    return LabelledImage(encode_png(pixels), f"s{place}", f"p{place}", split, **known)  # type: ignore[arg-type]


def squares(as_masks: Path | None = None) -> Encoded:
    """Wide images; every other one has a bright square of 8 px, marked exactly."""
    rng = np.random.default_rng(0)
    images = []
    for place in range(60):
        pixels = rng.integers(0, 90, (24, 32)).astype(np.uint8)
        left, top = 4 * int(rng.integers(0, 7)), 4 * int(rng.integers(0, 5))
        boxes = ()
        mask = np.zeros((24, 32), np.uint8)
        if place % 2:
            pixels[top : top + 8, left : left + 8] = 200
            mask[top : top + 8, left : left + 8] = 255
            boxes = (Box("fracture", left, top, left + 8, top + 8),)
        split = ("train", "val", "test")[place // 20]
        if as_masks is None:
            images.append(labelled(pixels, place, split, boxes=boxes))
        else:
            path = as_masks / f"{place}.png"
            Image.fromarray(mask).save(path)
            images.append(labelled(pixels, place, split, mask=path))
    corpus = Labelled("squares", {}, tuple(images))
    return Encoded(corpus, np.zeros((60, 1), np.float32), np.zeros((60, 8), np.float32), reader=reader())


def test_boxes_by_hand() -> None:
    """Wide: 10 px of margin above; high: 10 at the left; what lies outside the image, or is empty, is cut off."""
    image = labelled(
        np.zeros((20, 40), np.uint8), boxes=(Box("a", 10, 5, 20, 10), Box("b", -4, 15, 44, 30), Box("c", 3, 3, 3, 9))
    )
    wide = Regions.of(image, (20, 40))
    np.testing.assert_array_equal(wide.boxes, [[0.25, 0.375, 0.5, 0.5], [0, 0.625, 1, 0.75]])
    np.testing.assert_array_equal(wide.image, [0, 0.25, 1, 0.75])
    high = Regions.of(labelled(np.zeros((40, 20), np.uint8), boxes=(Box("a", 5, 10, 10, 20),)), (40, 20))
    np.testing.assert_array_equal(high.boxes, [[0.375, 0.25, 0.5, 0.5]])
    # Odd margins go below and to the right, as `square` has it: (41 - 20) // 2 is 10.
    odd = Regions.of(labelled(np.zeros((20, 41), np.uint8), boxes=(Box("a", 0, 0, 41, 20),)), (20, 41))
    np.testing.assert_allclose(odd.image, [0, 10 / 41, 1, 30 / 41])
    np.testing.assert_allclose(odd.boxes, odd.image[None])
    assert len(Regions.of(image, (20, 40), ["c"]).boxes) == 0
    np.testing.assert_array_equal(Regions.of(image, (20, 40), ["a"]).boxes, wide.boxes[:1])


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (40, 23), (40, 40)])
def test_regions_lie_where_the_view_shows_them(shape: tuple[int, int]) -> None:
    """White where the box is: at full size the view is white in exactly the marked cells, and it is what towers are shown."""
    pixels = np.zeros(shape, np.uint8)
    pixels[6:17, 3:20] = 255
    corpus = Labelled("one", {}, (labelled(pixels, boxes=(Box("a", 3, 6, 20, 17),)),))
    for resolution in (40, 16):
        seen, regions = look(corpus, 0, resolution)
        np.testing.assert_array_equal(seen, view(corpus, 0, resolution))
        if resolution == 40:
            np.testing.assert_array_equal(regions.cells(40, 40), seen == 255)
    # The same through the border: a white image is white where cells show some of it.
    full = Labelled("one", {}, (labelled(np.full(shape, 255, np.uint8), boxes=()),))
    seen, regions = look(full, 0, 40)
    np.testing.assert_array_equal(regions.shown(40, 40), seen == 255)


def test_overlap_by_hand() -> None:
    """[0.1, 0.6] covers 0.6 of the first quarter, the next whole, 0.4 of the third."""
    np.testing.assert_allclose(overlap(np.array([0.1]), np.array([0.6]), 4), [[0.6, 1, 0.4, 0]])


def test_cells_by_hand() -> None:
    """More than half as much as of the cell that is covered most: large regions by area, small ones never lost."""

    def cells(*boxes: tuple[float, float, float, float]) -> list[list[int]]:
        image = labelled(np.zeros((40, 40), np.uint8), boxes=tuple(Box("a", *box) for box in boxes))
        return np.argwhere(Regions.of(image, (40, 40)).cells(4, 4)).tolist()

    assert cells((0, 0, 10, 10)) == [[0, 0]]
    assert cells((0, 0, 14, 10)) == [[0, 0]]
    assert cells((0, 0, 16, 10)) == [[0, 0], [0, 1]]
    assert cells((22, 31, 23, 32)) == [[3, 2]]
    assert cells((9, 9, 11, 11)) == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert cells((0, 0, 10, 10), (38, 38, 39, 39)) == [[0, 0], [3, 3]]
    assert cells() == []


def test_masks_mark_what_boxes_mark(tmp_path: Path) -> None:
    """A filled rectangle and its box are the same region, on any grid; parts that touch at a corner are one."""
    rng = np.random.default_rng(0)
    for number in range(20):
        height, width = (int(side) for side in rng.integers(20, 60, 2))
        top, left = int(rng.integers(0, height - 3)), int(rng.integers(0, width - 3))
        bottom, right = int(rng.integers(top + 1, height)), int(rng.integers(left + 1, width))
        mask = np.zeros((height, width), np.uint8)
        mask[top:bottom, left:right] = 255
        Image.fromarray(mask).save(tmp_path / f"{number}.png")
        drawn = Regions.of(labelled(mask, mask=tmp_path / f"{number}.png"), mask.shape)
        boxed = Regions.of(labelled(mask, boxes=(Box("a", left, top, right, bottom),)), mask.shape)
        np.testing.assert_allclose(drawn.boxes, boxed.boxes)
        for grid in ((7, 7), (16, 16), (64, 64)):
            (one,), (other,) = drawn._covers(*grid), boxed._covers(*grid)
            np.testing.assert_allclose(one, other, atol=1e-12)
    mask = np.zeros((8, 8), np.uint8)
    mask[0, 0] = mask[1, 1] = mask[5, 5] = 255
    mask[7, 0] = 127
    Image.fromarray(mask).save(tmp_path / "corner.png")
    told = Regions.of(labelled(mask, mask=tmp_path / "corner.png"), mask.shape)
    np.testing.assert_array_equal(told.boxes * 8, [[0, 0, 2, 2], [5, 5, 6, 6]])
    np.testing.assert_array_equal(told.cells(8, 8), mask > 127)


def test_a_mask_gives_the_boxes_that_an_image_lacks(tmp_path: Path) -> None:
    """Of an image whose list of boxes is empty as of one that has no list; boxes that are there stay."""
    mask = np.zeros((10, 10), np.uint8)
    mask[2:4, 5:9] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for boxes in (None, ()):
        told = Regions.of(labelled(mask, mask=tmp_path / "mask.png", boxes=boxes), mask.shape)
        np.testing.assert_array_equal(told.boxes * 10, [[5, 2, 9, 4]])
    own = Regions.of(labelled(mask, mask=tmp_path / "mask.png", boxes=(Box("a", 1, 2, 3, 4),)), mask.shape)
    np.testing.assert_array_equal(own.boxes * 10, [[1, 2, 3, 4]])


def test_average_precision_by_hand() -> None:
    """Three marked boxes; ranks: hit, miss, hit, second hit of a box that was found: precisions 1 and 2/3, one box unfound."""
    one, two, three = np.array([[0, 0, 1, 1], [4, 4, 6, 6]]), np.array([[0, 0, 2, 2]]), np.zeros((0, 4))
    found = [
        [(0.9, np.array([0, 0, 1, 1])), (0.3, np.array([0, 0, 1, 0.9]))],
        [(0.5, np.array([0, 0, 2, 1]))],
        [(0.7, np.array([0, 0, 1, 1]))],
    ]
    assert average_precision(found, [one, two, three], 0.5) == pytest.approx((1 + 2 / 3) / 3)
    # At more than a half, the second image's box is missed.
    assert average_precision(found, [one, two, three], 0.51) == pytest.approx(1 / 3)
    # A better one later lifts the precision before it: ranks miss, hit, hit.
    late = [[(0.9, np.array([8, 8, 9, 9])), (0.8, one[0]), (0.7, one[1])]]
    assert average_precision(late, [one], 0.5) == pytest.approx((2 / 3 + 2 / 3) / 2)
    # A second detection is of the box that it overlaps most with, which is found already, and not of its neighbour.
    close, again = np.array([[0, 0, 0.4, 0.4], [0.1, 0, 0.5, 0.4]]), np.array([0.02, 0, 0.42, 0.4])
    assert average_precision([[(0.9, close[0]), (0.8, again)]], [close], 0.3) == pytest.approx(1 / 2)
    assert average_precision([[]], [one], 0.5) == 0
    assert np.isnan(average_precision(found[2:], [three], 0.5))


def test_heat_by_hand() -> None:
    """Dice, the pointing game with ties, and boxes around what is hot."""
    told, truth = np.array([[1, 1, 0, 0]], bool), np.array([[0, 1, 1, 1]], bool)
    assert dice(told, truth) == 2 / 5
    assert np.isnan(dice(told & ~told, told & ~told))
    assert pointed(np.array([[0.1, 0.9, 0.2, 0.3]]), truth) == 1
    assert pointed(np.zeros((1, 4)), truth) == 3 / 4
    canvas = np.zeros((8, 8))
    canvas[1:3, 2:5], canvas[2, 3], canvas[3, 5], canvas[7, 0] = 0.5, 0.9, 0.6, 0.4
    (one,) = detections(canvas, 0.5)
    assert one[0] == 0.9
    np.testing.assert_array_equal(one[1] * 8, [2, 1, 6, 4])
    assert [score for score, _ in detections(canvas, 0.4)] == [0.9, 0.4]
    assert detections(canvas, 2.0) == []


def test_margins_are_never_hot() -> None:
    """A map that is 1 everywhere is 1 where the image is and 0 in the black margin."""
    regions = Regions.of(labelled(np.zeros((20, 40), np.uint8), boxes=()), (20, 40))
    canvas = on_canvas(np.ones((4, 4)), regions)
    assert (canvas[CANVAS // 4 : 3 * CANVAS // 4] == 1).all()
    assert canvas.sum() == CANVAS**2 / 2


@pytest.mark.parametrize("as_masks", [False, True])
def test_a_tower_that_sees_squares_finds_them(tmp_path: Path, as_masks: bool) -> None:
    """Brightness tells every patch; boxes and masks tell the same."""
    result = Dense().run(squares(tmp_path if as_masks else None))
    told = result.metrics
    assert told["patch_auroc"] == told["pointing"] == told["average_precision"] == told["image_auroc"] == 1
    assert told["pointing_chance"] == pytest.approx(4 / 48)
    assert told["dice"] > 0.85
    pointing, overlap, image = result.predictions
    assert image.truth.tolist() == [0, 1] * 10
    assert image.patients[0] == "p40"
    for one, name in ((pointing, "pointing"), (overlap, "dice")):
        assert one.patients.tolist() == image.patients[1::2].tolist()
        assert (one.name, one.target, one.scores.mean()) == (name, None, pytest.approx(told[name]))
    assert Dense().run(squares(tmp_path if as_masks else None)).metrics == told


def test_what_nobody_searched_takes_no_part() -> None:
    """Images without boxes, whatever they show, change nothing."""
    encoded = squares()
    bright = labelled(np.full((24, 32), 255, np.uint8), 99, "test")
    more = Labelled("squares", {}, (*encoded.corpus.images, bright))
    states = np.zeros((61, 1), np.float32)
    assert Dense().run(Encoded(more, states, states, reader=encoded.reader)).metrics == Dense().run(encoded).metrics


def test_a_corpus_without_regions_is_refused(tmp_path: Path) -> None:
    """No boxes and no masks; no region to learn from or to find; boxes of another name; a mask of another image."""
    encoded = squares()

    def run(images: list[LabelledImage], **fields: object) -> None:
        corpus = Labelled("few", {}, tuple(images))
        Dense(**fields).run(Encoded(corpus, encoded.states, encoded.features, reader=encoded.reader))  # type: ignore[arg-type]

    own = list(encoded.corpus.images)
    with pytest.raises(UserError, match="neither boxes nor masks"):
        run([labelled(np.zeros((8, 8), np.uint8))])
    with pytest.raises(UserError, match="none of the 0 training images"):
        run(own[40:])
    with pytest.raises(UserError, match="no test image has a region"):
        run(own[:40])
    with pytest.raises(UserError, match=r"no boxes of tumour; it has fracture"):
        run(own, labels=("tumour",))
    Image.new("L", (9, 9)).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"9 x 9 px, its image 8 x 4"):
        Regions.of(labelled(np.zeros((4, 8), np.uint8), mask=tmp_path / "mask.png"), (4, 8))
    with pytest.raises(UserError, match="the model itself"):
        Dense().run(Encoded(encoded.corpus, encoded.states, encoded.features))


def test_without_validation_no_threshold_is_chosen() -> None:
    """Dice and boxes are absent, with a reason; patches are scored all the same."""
    encoded = squares()
    images = tuple(image for image in encoded.corpus.images if image.split != "val")
    result = Dense().run(Encoded(Labelled("squares", {}, images), encoded.states, encoded.features, reader=encoded.reader))
    assert set(result.metrics) == {"patch_auroc", "pointing", "pointing_chance", "image_auroc"}
    assert "no validation image has a region" in result.absent[0]


def test_maps_are_what_features_are_pooled_from() -> None:
    """The tiny network: mean and maximum over places. ConvNets of timm: the map before the head, also with channels last."""
    images = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tiny = TinyImage(resolution=64, width=8).build().eval()
    maps = tiny.maps(images)
    assert maps.shape == (2, 32, 16, 16)
    assert torch.equal(tiny(images), torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))
    for name, depth in (("test_convnext2", 128), ("test_mambaout", 64)):
        tower = TimmImage(name=name, resolution=64).build().eval()
        assert isinstance(tower, TimmEncoder)
        maps = tower.maps(images)
        assert maps.shape == (2, depth, 2, 2)
        seen = maps.permute(0, 2, 3, 1) if name == "test_mambaout" else maps
        assert torch.allclose(tower.backbone.forward_head(seen), tower(images), atol=1e-5)


def test_maps_of_a_vit_are_its_patches_in_their_places() -> None:
    """Row by row, without the class token, after the last normalization."""
    tower = TimmImage(name="test_vit", resolution=64, patch_size=16).build().eval()
    assert isinstance(tower, TimmEncoder)
    images = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tokens = tower.backbone.forward_features(tower.normalized(images))
    maps = tower.maps(images)
    assert maps.shape == (2, 64, 4, 4)
    assert torch.equal(maps[:, :, 1, 2], tokens[:, 1 + 4 + 2])
    assert torch.equal(tokens[:, 0], tower(images))


def chosen(corpus: Labelled, checkpoint: Path, most: int) -> Encoded:
    """A corpus of the first images of each split with a region, and as many without one, as a tiny tower sees it."""
    images = []
    for split in ("train", "val", "test"):
        for marked in (True, False):
            own = [one for one in corpus.images if one.split == split and bool(one.mask or one.boxes) == marked]
            images += own[:most]
    own, width = Reader(load_pretrained(checkpoint), torch.device("cpu")), np.zeros((len(images), 1), np.float32)
    return Encoded(dataclasses.replace(corpus, images=tuple(images)), width, width, reader=own)


def test_findings_of_a_phantom_are_masks(hospital: Path, checkpoint: Path) -> None:
    """A phantom marks pixels and no boxes: patches, overlap and detection are all scored, and nothing is missing."""
    result = Dense().run(chosen(phantom.read(hospital), checkpoint, 4))
    assert {"dice", "average_precision", "patch_auroc"} <= set(result.metrics)
    assert all(0 <= value <= 1 for value in result.metrics.values())
    assert result.absent == ()


@pytest.mark.real_data
def test_fractures_of_real_films_are_boxes(real_data: Path, checkpoint: Path) -> None:
    """Boxes of a table, read off real radiographs of many sizes."""
    corpus = table.read(real_data / "bone" / "manifest.csv", patient="subject_id", boxes="boxes_yolo")
    result = Dense().run(chosen(corpus, checkpoint, 6))
    assert {"dice", "average_precision", "patch_auroc", "image_auroc"} <= set(result.metrics)
    assert all(0 <= value <= 1 for value in result.metrics.values())


def test_what_cannot_be_told_is_said(tmp_path: Path) -> None:
    """Test images that are marked all over leave no AUROC, and boxes outside of them nothing to be detected."""
    whole = squares()
    Image.fromarray(np.full((24, 32), 255, np.uint8)).save(tmp_path / "all.png")
    outside = {"mask": tmp_path / "all.png", "boxes": (Box("fracture", 40, 0, 50, 9),)}
    images = tuple(
        dataclasses.replace(one, **outside) if one.split == "test" else one  # type: ignore[arg-type]
        for one in whole.corpus.images
    )
    result = Dense().run(dataclasses.replace(whole, corpus=Labelled("squares", {}, images)))
    assert set(result.metrics) == {"pointing", "pointing_chance", "dice"}
    assert result.absent == (
        "image_auroc: every test image has a region",
        "patch_auroc: every patch of the test images is marked",
        "average_precision: the boxes of the test images lie outside them",
    )
