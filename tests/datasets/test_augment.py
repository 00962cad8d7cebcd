"""Views of an image: golden values, and what is never done."""

import numpy as np
import pytest

from radsweep.datasets.augment import Augment, plain, square

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
    """Without crop, rotation, brightness and contrast every visit is the validation's view, to the last gray value."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    for seed in range(3):
        for resolution in (16, 32, 48):
            view = Augment.model_validate(STILL)(image, resolution, np.random.default_rng(seed))
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


def test_brightness_and_contrast_by_hand() -> None:
    """The first three numbers go to the crop; the next two shift by their share of 255 and stretch around 127.5."""
    shift, stretch = np.random.default_rng(9).uniform(-1, 1, size=5)[3:]
    augment = Augment.model_validate(STILL | {"brightness": 0.2, "contrast": 0.4})
    image = ramp(16)
    view = augment(image, 16, np.random.default_rng(9))
    expected = (image - 127.5) * (1 + 0.4 * stretch) + 127.5 + 255 * 0.2 * shift
    assert np.abs(view - np.clip(expected, 0, 255)).max() <= 0.5 + 1e-3


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
