"""Views of an image: golden values, and what is never done."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from radsweep.datasets.augment import PAPER, Augment, plain, square

STILL = {"crop": 1.0, "rotate": 0.0, "brightness": 0.0, "contrast": 0.0}


def ramp(side: int) -> np.ndarray:
    """Dark left, bright right, uint8 [side, side]."""
    return np.tile(np.linspace(0, 255, side).round().astype(np.uint8), (side, 1))


def test_square_centres_on_black() -> None:
    """The odd pixel goes below and to the right."""
    assert square(np.array([[1, 2], [3, 4], [5, 6]], np.uint8), 5).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 2, 0, 0],
        [0, 3, 4, 0, 0],
        [0, 5, 6, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    whole = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert np.array_equal(square(whole, 3), whole)


def test_plain_is_the_whole_image_averaged() -> None:
    """The triangle of twice the reduction: weights 3, 3, 1 at the border of a 4 -> 2 reduction, by hand."""
    row = np.array([0, 70, 140, 210], np.uint8)
    # Centre of the first output pixel is 1.0, of the inputs 0.5 1.5 2.5 3.5: weights 0.75 0.75 0.25 0, over 1.75.
    first = (0.75 * 0 + 0.75 * 70 + 0.25 * 140) / 1.75
    last = (0.25 * 70 + 0.75 * 140 + 0.75 * 210) / 1.75
    assert plain(np.tile(row, (4, 1)), 2).tolist() == [[round(first), round(last)]] * 2
    image = ramp(8)
    assert np.array_equal(plain(image, 8), image)


def test_fine_lines_fade_instead_of_aliasing() -> None:
    """Lines of one pixel, shrunk four times, are even gray: what the lower resolution cannot hold is gone."""
    lines = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.abs(plain(lines, 16).astype(int)[:, 1:-1] - 127.5).max() <= 1


def test_switched_off_it_is_the_plain_view() -> None:
    """With every range or every chance at nothing, each visit is the validation's view, to the last gray value."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    never = {"affine": 0, "flip": 0, "jitter": 0, "blur": 0}
    paper = Augment.model_validate(PAPER.model_dump() | never | {"crop": 1, "clip_to_unit": True})
    for still in (Augment.model_validate(STILL), paper):
        for seed in range(3):
            for resolution in (16, 32, 48):
                view = still(image, resolution, np.random.default_rng(seed))
                assert np.array_equal(view, plain(image, resolution))


def test_the_seed_decides() -> None:
    """The same generator gives the same view, another one another."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    views = [Augment()(image, 24, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert views[0].shape == (24, 24)
    assert views[0].dtype == np.uint8
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_left_stays_left() -> None:
    """In a thousand views the bright side is never on the other side: reports say *droite* and *gauche*."""
    image = ramp(16)
    views = (Augment()(image, 8, np.random.default_rng(seed)).astype(float) for seed in range(1000))
    assert all(view[:, 4:].mean() > view[:, :4].mean() + 60 for view in views)


def numbers(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a visit draws: four chances, four numbers from 0 to 1 (area, left, top, sigma), seven from -1 to 1."""
    drawn = np.random.default_rng(seed).random(15)
    return drawn[:4], drawn[4:8], 2 * drawn[8:] - 1


def test_brightness_and_contrast_by_hand() -> None:
    """The last two numbers shift by their share of 255 and stretch around 127.5."""
    shift, stretch = numbers(9)[2][5:]
    augment = Augment.model_validate(STILL | {"brightness": 0.2, "contrast": 0.4})
    image = ramp(16)
    view = augment(image, 16, np.random.default_rng(9))
    expected = (image - 127.5) * (1 + 0.4 * stretch) + 127.5 + 255 * 0.2 * shift
    assert np.abs(view - np.clip(expected, 0, 255)).max() <= 0.5 + 1e-3


def test_the_references_clipping_by_hand() -> None:
    """Below mid-gray all is 128, above 191 all is 191; between, gray values stay where nothing shifts or stretches them.

    Gray 140 is x = (140 / 255 - 0.5) / 0.25 = 0.19608; stretched by 1.1 and shifted by 0.1 it is 0.31569, gray 147.62.
    """
    image = np.array([[0, 100], [140, 230]], np.uint8)
    clipped = Augment.model_validate(STILL | {"clip_to_unit": True})
    assert clipped(image, 2, np.random.default_rng(0)).tolist() == [[128, 128], [140, 191]]
    assert Augment()._grays(0.0, 1.0).tolist() == list(range(256))
    assert clipped._grays(0.1, 1.1)[[0, 100, 140, 230]].tolist() == [128, 128, 148, 191]
    # Gray 100 is x = -0.43137: a shift by 0.9 lifts it to 0.46863, gray 157.37.
    assert clipped._grays(0.9, 1.0)[[0, 100]].tolist() == [128, 157]


def test_it_strikes_at_its_share_of_visits() -> None:
    """The reference's clipping, which the lost blacks give away, happens at half of the visits; so do flips and blurs."""
    image = ramp(16)
    visits = 2000
    deviations = 4 * (visits * 0.25) ** 0.5
    for knob, changed in (
        ({"jitter": 0.5, "clip_to_unit": True}, lambda view: view.min() > 100),
        ({"flip": 0.5}, lambda view: view[0, 0] > view[0, -1]),
        ({"blur": 0.5, "blur_sigma": 300.0}, lambda view: not np.array_equal(view, image)),
        ({"affine": 0.5, "rotate": 180.0}, lambda view: len(np.unique(view, axis=0)) > 1),
    ):
        augment = Augment.model_validate(STILL | knob)
        struck = sum(changed(augment(image, 16, np.random.default_rng(seed))) for seed in range(visits))
        assert abs(struck - visits / 2) < deviations, knob


def test_knobs_do_not_disturb_each_other() -> None:
    """What is switched on beside a crop leaves the crop as it is: a flipped view is the mirror image of the other one."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    for seed in range(20):
        view, mirrored = (Augment.model_validate({"flip": flip})(image, 24, np.random.default_rng(seed)) for flip in (0.0, 1.0))
        assert np.array_equal(mirrored, view[:, ::-1])


def test_a_move_by_hand() -> None:
    """A bright dot is where turning, scaling and moving it about the middle puts it, to a third of a pixel.

    A turn is clockwise as one sees it; the dot's place is in px to the right of the middle and above it.
    """
    side, dot = 256, np.array([70.0, 20.0])
    row, column = np.mgrid[:side, :side] + 0.5
    blob = np.exp(-((column - 128 - dot[0]) ** 2 + (row - 128 + dot[1]) ** 2) / (2 * 4.0**2))
    image = (255 * blob).round().astype(np.uint8)
    augment = Augment.model_validate(STILL | {"rotate": 30.0, "translate": 0.1, "scale": 0.2})
    for seed in range(12):
        _, angle, right, down, larger, _, _ = numbers(seed)[2]
        turn = np.radians(30 * angle)
        view = augment(image, side, np.random.default_rng(seed)).astype(float)
        turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) @ dot * (1 + 0.2 * larger)
        expected = 128 + 0.1 * side * right + turned[0], 128 + 0.1 * side * down - turned[1]
        found = (view * column).sum() / view.sum(), (view * row).sum() / view.sum()
        assert np.allclose(found, expected, atol=1 / 3), seed


def test_what_a_move_uncovers_has_the_fill() -> None:
    """Corners of a turned image are ``fill``; the border of a crop shows the image around it."""
    white = np.full((64, 64), 255, np.uint8)
    turned = Augment.model_validate(STILL | {"rotate": 180.0, "fill": 128})
    corners = [turned(white, 64, np.random.default_rng(seed))[[0, 0, -1, -1], [0, -1, 0, -1]] for seed in range(20)]
    assert sum((corner == 128).all() for corner in corners) > 15


def test_blur_is_gaussian_and_scales_with_the_resolution() -> None:
    """A standard deviation of 3 px at 512 px is 1.5 px at 256 px, to one gray value on average."""
    image = (gaussian_filter(np.random.default_rng(0).random((256, 256)), 1.5) * 600 - 170).clip(0, 255).astype(np.uint8)
    augment = Augment.model_validate(STILL | {"blur": 1.0})
    sigmas = {seed: 0.1 + 2.9 * numbers(seed)[1][3] for seed in range(8)}
    assert max(sigmas.values()) > 2
    for seed, sigma in sigmas.items():
        view = augment(image, 256, np.random.default_rng(seed)).astype(float)
        assert np.abs(view - gaussian_filter(image.astype(float), sigma / 2)).mean() < 1
        if sigma > 1:
            assert np.abs(view - gaussian_filter(image.astype(float), sigma)).mean() > 4


def test_brightness_is_without_bias() -> None:
    """Over many visits the mean gray stays: rounding does not darken."""
    image = np.full((8, 8), 100, np.uint8)
    augment = Augment.model_validate(STILL | {"brightness": 0.1})
    means = [augment(image, 8, np.random.default_rng(seed)).mean() for seed in range(4000)]
    # A uniform shift of +-25.5 deviates by 14.7; its mean over 4000 visits by 0.23.
    assert np.mean(means) == pytest.approx(100, abs=4 * 0.2328)


def test_crops_keep_their_share() -> None:
    """With ``crop=0.25`` a view shows between half and all of the side, in place: a ramp's range says which part."""
    augment = Augment.model_validate(STILL | {"crop": 0.25})
    image = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    widths = []
    for seed in range(300):
        row = augment(image, 64, np.random.default_rng(seed))[0].astype(float)
        widths.append((row[-1] - row[0]) / 63 * 64)
    assert 126 < min(widths) < 140
    assert 250 < max(widths) <= 258
    # The area is uniform between a quarter and all: its mean is 5/8.
    assert np.mean((np.array(widths) / 256) ** 2) == pytest.approx(0.625, abs=0.05)


def test_wide_crops_keep_their_area_too() -> None:
    """With ``ratio=2`` crops are between half and twice as wide as high, and never smaller than ``crop`` says."""
    augment = Augment.model_validate(STILL | {"crop": 0.25, "ratio": 2.0})
    across = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    sizes = []
    for seed in range(300):
        views = [augment(image, 64, np.random.default_rng(seed)).astype(float) for image in (across, across.T)]
        sizes.append(((views[0][5, -1] - views[0][5, 0]) / 63 * 64, (views[1][-1, 5] - views[1][0, 5]) / 63 * 64))
    widths, heights = np.array(sizes).T
    assert 0.48 < (widths / heights).min() < 0.6
    assert 1.7 < (widths / heights).max() < 2.1
    assert np.corrcoef(np.log(widths / heights), widths * heights)[0, 1] == pytest.approx(0, abs=0.2)
    assert np.mean(widths * heights / 256**2) == pytest.approx(0.625, abs=0.05)
