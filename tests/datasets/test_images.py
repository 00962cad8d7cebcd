"""Image files of any kind, known by their content."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radsweep.datasets.images import read_pixels
from radsweep.datasets.refusal import Refused

RAMP = np.arange(0, 250, 10, dtype=np.uint8).reshape(5, 5)


def test_content_decides_what_a_file_is(tmp_path: Path, make_radiograph: Callable, save: Callable) -> None:
    """A PNG named .dcm and a DICOM file named .png are both read."""
    Image.fromarray(RAMP).save(tmp_path / "a.dcm", "PNG")
    assert np.array_equal(read_pixels(tmp_path / "a.dcm"), RAMP)
    path = save(make_radiograph(WindowCenter=32, WindowWidth=64), tmp_path / "b.png")
    assert read_pixels(path).shape == (8, 8)


def test_colour_and_transparency_become_gray_on_black(tmp_path: Path) -> None:
    """Equal channels give their value; what is transparent is black, not its hidden colour."""
    Image.merge("RGB", [Image.fromarray(RAMP)] * 3).save(tmp_path / "rgb.png")
    assert np.array_equal(read_pixels(tmp_path / "rgb.png"), RAMP)
    hidden = Image.merge("RGBA", [Image.new("L", (2, 1), 200)] * 3 + [Image.fromarray(np.array([[255, 0]], np.uint8))])
    hidden.save(tmp_path / "rgba.png")
    assert read_pixels(tmp_path / "rgba.png").tolist() == [[200, 0]]


def test_deep_images_are_stretched(tmp_path: Path) -> None:
    """16 bits become 8 between the 0.5 and 99.5 percentiles."""
    deep = (np.arange(10000, dtype=np.uint16) + 30000).reshape(100, 100)
    Image.fromarray(deep).save(tmp_path / "a.png")
    low, high = np.percentile(deep, (0.5, 99.5))
    expected = (np.clip((deep - low) / (high - low), 0, 1) * 255).round()
    assert np.array_equal(read_pixels(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_truncated_images_are_refused(tmp_path: Path, kind: str) -> None:
    """Half a file is no image, in any format."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a", kind)
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data[: len(data) // 2])
    with pytest.raises(Refused):
        read_pixels(tmp_path / "a")


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A text file and an empty file are no images."""
    for content in (b"hello", b""):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(Refused):
            read_pixels(tmp_path / "a.png")
