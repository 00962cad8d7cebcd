"""Text burned into images: what is found, what stays, what is painted over, and that stored pixels follow what is displayed."""

import datetime
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from radsweep.datasets.dicom.burned_in import clean_pixels, find_text, redact
from radsweep.datasets.dicom.header import open_dicom
from radsweep.datasets.dicom.pixels import displayed
from radsweep.datasets.images import read_pixels
from radsweep.datasets.refusal import Refused
from radsweep.datasets.reports.pseudonymize import Known

Make = Callable[..., Dataset]
Save = Callable[[Dataset, Path], Path]
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
KNOWN = Known(names=("LEFEVRE", "Zoé"), identifiers=("00417325",), birth_date=datetime.date(1956, 3, 2), people=("Petit Jean",))


def limb(height: int = 320, width: int = 400) -> np.ndarray:
    """A bright soft stripe on dark ground, with a little noise: nothing on it looks like writing."""
    across = np.linspace(-3, 3, width)
    smooth = 40 + 120 * np.exp(-(across**2)) + np.linspace(0, 30, height)[:, None]
    return np.clip(smooth + np.random.default_rng(0).normal(0, 2, (height, width)), 0, 255).astype(np.uint8)


def write(
    pixels: np.ndarray, text: str, place: tuple[int, int], size: int = 20, shade: int = 255, turns: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """``pixels`` with ``text`` at (left, top), in quarter turns, and where its ink is."""
    font = ImageFont.truetype(str(FONT), size)
    left, top, right, bottom = font.getbbox(text)
    canvas = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font)
    share = np.zeros(pixels.shape)
    stamp = np.rot90(np.asarray(canvas) / 255, turns)
    share[place[1] : place[1] + stamp.shape[0], place[0] : place[0] + stamp.shape[1]] = stamp
    return np.round(pixels * (1 - share) + shade * share).astype(np.uint8), share > 0


def kinds(pixels: np.ndarray, known: Known | None = None) -> list[str]:
    """What was found in an image."""
    return sorted(box.kind for box in find_text(pixels, known))


def test_a_radiograph_without_writing_stays_as_it_is() -> None:
    """Nothing found: the very same array comes back, also without any structure and in odd sizes."""
    pixels = limb()
    clean, boxes = redact(pixels)
    assert clean is pixels
    assert boxes == []
    assert redact(np.zeros((5, 70), np.uint8))[1] == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (1, 100), (100, 1), (1, 4000), (2, 3), (2, 2000)])
def test_a_picture_too_small_for_a_letter_has_no_writing(shape: tuple[int, int]) -> None:
    """Down to one pixel, also one that is much longer than high: it comes back as it is."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    clean, boxes = redact(pixels)
    assert clean is pixels
    assert boxes == []


@pytest.mark.parametrize(("shade", "turns"), [(255, 0), (0, 0), (190, 0), (255, 1), (255, 3), (255, 2)])
def test_writing_of_any_shade_and_direction_is_painted_over(shade: int, turns: int) -> None:
    """White, black or gray, lying, standing or upside down: every pixel of ink is inside a box, and no other pixel changes."""
    plain = limb()
    pixels, ink = write(plain, "LEFEVRE Zoe", (185, 30) if shade == 0 else (12, 30), shade=shade, turns=turns)
    clean, boxes = redact(pixels)
    inside = np.zeros(pixels.shape, bool)
    for box in boxes:
        inside[box.top : box.bottom, box.left : box.right] = True
    assert inside[ink].all()
    assert inside.mean() < 0.1
    assert np.array_equal(clean[~inside], pixels[~inside])


def test_the_gray_around_continues_where_writing_was() -> None:
    """On a slope of gray the fill differs from what was there before by a few levels: no edge tells where the box was."""
    slope = np.add.outer(np.linspace(60, 120, 320), np.linspace(0, 60, 400)).round().astype(np.uint8)
    clean, boxes = redact(write(slope, "DUPONT Marie 12/03/1948", (20, 40))[0])
    assert boxes
    assert np.abs(clean.astype(int) - slope).max() <= 12


def test_markers_of_side_and_view_stay() -> None:
    """D, AP and couché are how the picture was taken; they are told apart from a name in the same image."""
    pixels, mark = write(limb(), "AP", (320, 20), size=28)
    pixels, posture = write(pixels, "Couché", (290, 270), size=22)
    pixels, name = write(pixels, "MARTIN Luc", (15, 20))
    clean, boxes = redact(pixels)
    assert sorted(box.kind for box in boxes) == ["marker", "marker", "text"]
    assert np.array_equal(clean[mark | posture], pixels[mark | posture])
    assert (clean[name].astype(int) < 200).all()


def test_a_marker_that_is_the_patients_name_goes() -> None:
    """A patient called Droit: the word is an identity in that patient's images, and a side in all others."""
    pixels, _ = write(limb(), "DROIT", (20, 30), size=26)
    assert kinds(pixels) == ["marker"]
    assert kinds(pixels, Known(names=("Droit", "Paul"))) == ["identity"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("LEFEVRE Z.", "identity"),
        ("Dr PETIT", "identity"),
        ("IPP 00417325", "identity"),
        ("Né le 02/03/1956", "identity"),
        ("Né le 03/03/1956", "text"),
        ("62 kV 3.2 mAs", "text"),
        ("D GIRAUD", "text"),
    ],
)
def test_writing_is_compared_with_what_is_known(text: str, kind: str) -> None:
    """Names, numbers and the birth date of the header make an identity; a marker's letter beside a name does not save it."""
    assert set(kinds(write(limb(), text, (15, 25), size=22)[0], KNOWN)) == {kind}


def test_a_letter_alone_stays_and_beside_a_name_goes() -> None:
    """A letter alone, as a screw's head may be read, tells nothing of anybody; the sex below a name goes with it."""
    pixels, _ = write(limb(), "X", (300, 200), size=28)
    assert redact(pixels)[1] == []
    pixels, name = write(pixels, "MARTIN Luc", (12, 20), size=24)
    pixels, sex = write(pixels, "M", (12, 60), size=24)
    clean, boxes = redact(pixels)
    assert len(boxes) == 2
    assert (clean[sex].astype(int) < 200).all()
    assert (clean[name].astype(int) < 200).all()


def test_large_radiographs_are_searched_in_full() -> None:
    """Letters of 16 px in the corner of 2,400 px are found, in the pixels of the whole image."""
    pixels, ink = write(limb(2400, 2000), "MERCIER Jeanne 14.05.1931", (1700, 2370), size=16)
    (box,) = find_text(pixels)
    rows, columns = np.nonzero(ink)
    assert box.top <= rows.min()
    assert box.left <= columns.min()
    assert box.bottom > rows.max()
    assert box.right > columns.max()
    assert (box.bottom - box.top) * (box.right - box.left) < 4 * np.ptp(rows) * np.ptp(columns)


def test_a_page_of_text_is_refused() -> None:
    """A scanned page is no radiograph."""
    pixels = np.full((640, 500), 230, np.uint8)
    for line in range(14):
        pixels, _ = write(pixels, "Compte rendu de la radiographie du poignet", (15, 20 + 44 * line), size=20, shade=10)
    with pytest.raises(Refused, match="mostly text"):
        redact(pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, DeflatedExplicitVRLittleEndian])
def test_stored_pixels_lose_what_the_display_shows(
    tmp_path: Path, make_radiograph: Make, save: Save, photometric: str, syntax: str | None
) -> None:
    """12-bit pixels: after cleaning nothing is read in the display, all else keeps its stored value, identifiers stay."""
    shown, ink = write(limb(), "LEFEVRE Zoe", (15, 25))
    stored = shown.astype(np.uint16) * 16
    stored = 4095 - stored if photometric == "MONOCHROME1" else stored
    dataset = make_radiograph(
        stored, BitsStored=12, HighBit=11, PhotometricInterpretation=photometric, WindowCenter=2048, WindowWidth=4096
    )
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
    elif syntax:
        dataset.compress(syntax, generate_instance_uid=False)
    cleaned = open_dicom(save(dataset, tmp_path / "a"))
    assert clean_pixels(cleaned, KNOWN)
    again = open_dicom(save(cleaned, tmp_path / "b"))
    assert again.SOPInstanceUID == dataset.SOPInstanceUID
    assert again.PhotometricInterpretation == photometric
    assert (again.BitsStored, again.HighBit) == (12, 11)
    assert find_text(displayed(again)) == []
    changed = again.pixel_array != stored
    assert changed[ink].mean() > 0.95
    assert not changed[120:].any()
    if syntax in {RLELossless, JPEGLSLossless}:
        assert again.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_pixels_without_writing_stay_compressed(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Nothing to blank: not a byte of the pixel data changes, and the answer is no."""
    dataset = make_radiograph(limb().astype(np.uint16) * 16, BitsStored=12, HighBit=11)
    dataset.compress(JPEGLSLossless)
    dataset = open_dicom(save(dataset, tmp_path / "a"))
    before = bytes(dataset.PixelData)
    assert not clean_pixels(dataset)
    assert dataset.PixelData == before
    assert dataset.file_meta.TransferSyntaxUID == JPEGLSLossless


def test_graphics_in_unused_bits_are_dropped(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """An overlay above Bits Stored is not displayed, and could hold a name: it does not survive."""
    values = limb().astype(np.uint16) * 16
    hidden = write(np.zeros_like(limb()), "LEFEVRE", (20, 20))[1]
    dataset = open_dicom(
        save(make_radiograph(values | (hidden.astype(np.uint16) << 15), BitsStored=12, HighBit=11), tmp_path / "a")
    )
    assert clean_pixels(dataset)
    assert dataset.PixelData == values.tobytes()


@pytest.mark.real_data
def test_published_identities_are_gone(real_data: Path) -> None:
    """Names and dates of the public images are painted over, their side and position markers are not."""
    known = Known(names=("DAVIDSON", "DOUGLAS"))
    clean, boxes = redact(read_pixels(real_data / "dicom" / "chest_fakephi_burnedin_rle.dcm"), known)
    assert sorted(box.kind for box in boxes).count("marker") == 3
    assert "identity" in {box.kind for box in boxes}
    assert not {"identity", "text"} & set(kinds(clean, known))
