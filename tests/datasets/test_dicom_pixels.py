"""Displayed pixels against values computed by hand from the standard's formulas."""

import math
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from radsweep.datasets.dicom.pixels import display_pixels, shrink, windowed
from radsweep.datasets.png import decode_png, encode_png
from radsweep.datasets.refusal import Refused

Make = Callable[..., Dataset]
Save = Callable[[Dataset, Path], Path]
RAMP = (np.arange(256, dtype=np.uint16) * 16).reshape(16, 16)


def lut(first: int, table: list[int], bits: int) -> Dataset:
    """One item of a LUT sequence."""
    item = Dataset()
    item.LUTDescriptor = [len(table), first, bits]
    item.add_new(0x00283006, "US", table)
    return item


def test_the_linear_window_has_the_half_pixel_offsets_of_the_standard() -> None:
    """PS3.3 C.11.2.1.2.1 with c=2048, w=4096: x <= 0 is black, x > 4095 white, 2047.5 the middle."""
    shown = windowed(np.array([-5.0, 0.0, 1024.0, 2047.5, 4095.0, 9999.0]), 2048, 4096)
    assert shown == pytest.approx([0, 0, 1024 / 4095, 0.5, 1, 1])


def test_the_other_window_functions_follow_their_formulas() -> None:
    """LINEAR_EXACT has no offsets, SIGMOID is the logistic function, width 1 is a threshold."""
    assert windowed(np.array([0.0, 50.0, 75.0]), 50, 100, "LINEAR_EXACT") == pytest.approx([0, 0.5, 0.75])
    assert windowed(np.array([60.0]), 50, 20, "SIGMOID") == pytest.approx([1 / (1 + math.exp(-2))])
    assert windowed(np.array([9.0, 10.0]), 10, 1).tolist() == [0, 1]


def test_a_window_makes_golden_pixels(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Rescale comes before the window: stored x shows as round(255 (2x - 100 - (c - .5)) / (w - 1) + 127.5)."""
    dataset = make_radiograph(RAMP, WindowCenter=3000, WindowWidth=4000, RescaleSlope=2, RescaleIntercept=-100)
    shown = display_pixels(save(dataset, tmp_path / "a"))
    expected = np.clip((2 * RAMP.astype(float) - 100 - 2999.5) / 3999 + 0.5, 0, 1)
    assert shown.dtype == np.uint8
    assert np.array_equal(shown, (255 * expected).round().astype(np.uint8))


def test_monochrome1_is_inverted_once_whatever_the_presentation_lut_says(
    tmp_path: Path, make_radiograph: Make, save: Save
) -> None:
    """MONOCHROME1 shows the negative of MONOCHROME2; Presentation LUT Shape INVERSE or IDENTITY changes nothing."""
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    positive = display_pixels(save(make_radiograph(RAMP, **window), tmp_path / "p"))
    for shape in ("INVERSE", "IDENTITY"):
        dataset = make_radiograph(RAMP, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape=shape, **window)
        negative = display_pixels(save(dataset, tmp_path / shape))
        assert np.abs(negative.astype(int) + positive - 255).max() <= 1


def test_a_voi_table_wins_over_the_window(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """A VOI LUT of 12 bits maps 0, 1, 2, 3 to its own entries out of 4095."""
    dataset = make_radiograph(np.array([[0, 1], [2, 3]], np.uint16), WindowCenter=2, WindowWidth=4)
    dataset.VOILUTSequence = Sequence([lut(0, [0, 4095, 2048, 1024], 12)])
    assert display_pixels(save(dataset, tmp_path / "a")).tolist() == [[0, 255], [128, 64]]


def test_a_modality_table_comes_before_the_window(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """The window applies to the output of the Modality LUT, not to stored values."""
    dataset = make_radiograph(
        np.array([[0, 1], [2, 3]], np.uint16), WindowCenter=500, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT"
    )
    table = lut(0, [1000, 500, 250, 0], 16)
    table.ModalityLUTType = "US"
    dataset.ModalityLUTSequence = Sequence([table])
    assert display_pixels(save(dataset, tmp_path / "a")).tolist() == [[255, 128], [64, 0]]


def test_bits_above_bits_stored_are_not_pixels(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """An overlay in the high bits of a 12-bit image leaves no trace."""
    dirty = RAMP | 0x8000
    elements = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    clean = display_pixels(save(make_radiograph(RAMP, **elements), tmp_path / "c"))
    assert np.array_equal(display_pixels(save(make_radiograph(dirty, **elements), tmp_path / "d")), clean)


def test_signed_values_keep_their_sign(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Stored -100, 0 and 100 under a window around 0 are dark, middle and bright."""
    values = np.array([[-100, 0, 100]], np.int16).view(np.uint16)
    dataset = make_radiograph(values, PixelRepresentation=1, WindowCenter=0, WindowWidth=400, VOILUTFunction="LINEAR_EXACT")
    assert display_pixels(save(dataset, tmp_path / "a")).tolist() == [[64, 128, 191]]


@pytest.mark.parametrize(
    "window",
    [
        {},
        {"WindowCenter": 60000, "WindowWidth": 100},
        {"WindowCenter": 500000, "WindowWidth": 1000000},
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 2000, "WindowWidth": 1},
    ],
)
def test_a_window_that_shows_nothing_gives_way_to_percentiles(
    tmp_path: Path, make_radiograph: Make, save: Save, window: dict
) -> None:
    """Absent, beside the values, far too wide, invalid or a threshold: the 0.5 to 99.5 percentiles become black to white."""
    low, high = np.percentile(RAMP, (0.5, 99.5))
    expected = (np.clip((RAMP - low) / (high - low), 0, 1) * 255).round()
    assert np.array_equal(display_pixels(save(make_radiograph(RAMP, **window), tmp_path / "a")), expected)


def test_eight_bits_show_as_they_are_in_their_full_window(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """LINEAR with c=128 and w=256 is (x - 127.5) / 255 + 0.5 = x / 255."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    dataset = make_radiograph(values, BitsAllocated=8, BitsStored=8, HighBit=7, WindowCenter=128, WindowWidth=256)
    dataset.PixelData = values.tobytes()
    assert np.array_equal(display_pixels(save(dataset, tmp_path / "a")), values)


def test_a_sigmoid_window_makes_golden_pixels(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """With c=2048 and w=1024: 255 / (1 + e), 255 / 2 and 255 / (1 + 1/e), a quarter of the width below, at and above c."""
    values = np.array([[1792, 2048, 2304]], np.uint16)
    dataset = make_radiograph(values, WindowCenter=2048, WindowWidth=1024, VOILUTFunction="SIGMOID")
    assert display_pixels(save(dataset, tmp_path / "a")).tolist() == [[69, 128, 186]]


def test_monochrome1_makes_golden_pixels(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """LINEAR_EXACT over 0 to 4096, then inverted: 255 (1 - x / 4096)."""
    values = np.array([[0, 1024], [2048, 4095]], np.uint16)
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    dataset = make_radiograph(values, PhotometricInterpretation="MONOCHROME1", **window)
    assert display_pixels(save(dataset, tmp_path / "a")).tolist() == [[255, 191], [128, 0]]


@pytest.mark.parametrize("above", [0x0FFF, 0xFFFF], ids=["zeros above", "sign above"])
def test_twelve_signed_bits_keep_their_sign(tmp_path: Path, make_radiograph: Make, save: Save, above: int) -> None:
    """Whatever a maker writes above bit 11: -1000, 0 and 1000 show as 255 (x / 4096 + 0.5)."""
    values = np.array([[-1000, 0, 1000]], np.int16).view(np.uint16) & above
    dataset = make_radiograph(values, BitsStored=12, HighBit=11, PixelRepresentation=1, WindowCenter=0, WindowWidth=4096)
    dataset.VOILUTFunction = "LINEAR_EXACT"
    assert display_pixels(save(dataset, tmp_path / "a")).tolist() == [[65, 128, 190]]


def test_a_voi_table_may_start_below_zero(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Values before the first entry (-2) show as the first, values after the last (1) as the last."""
    values = np.array([[-5, -2, -1], [0, 1, 9]], np.int16).view(np.uint16)
    dataset = make_radiograph(values, PixelRepresentation=1)
    dataset.VOILUTSequence = Sequence([lut(-2, [0, 50, 100, 255], 8)])
    assert display_pixels(save(dataset, tmp_path / "a")).tolist() == [[0, 0, 50], [100, 255, 255]]


def test_the_first_of_several_windows_counts(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """A multi-valued window is read as its first pair."""
    several = make_radiograph(RAMP, WindowCenter=[2048, 10], WindowWidth=[4096, 20])
    one = make_radiograph(RAMP, WindowCenter=2048, WindowWidth=4096)
    assert np.array_equal(display_pixels(save(several, tmp_path / "a")), display_pixels(save(one, tmp_path / "b")))


def test_padding_does_not_count_in_percentiles(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """A border of padding value leaves the contrast of the picture as it was."""
    inside = RAMP.astype(np.uint16)
    padded = np.full((64, 64), 65535, np.uint16)
    padded[:16, :16] = inside
    dataset = make_radiograph(padded)
    dataset.add_new(0x00280120, "US", 65535)
    shown = display_pixels(save(dataset, tmp_path / "a"))[:16, :16]
    assert np.array_equal(shown, display_pixels(save(make_radiograph(inside), tmp_path / "b")))


def test_padding_may_be_a_range(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """PS3.3 C.7.5.1.1.2: what lies between value and limit, whichever is larger, is no part of the picture."""
    padded = np.full((64, 64), 65535, np.uint16)
    padded[:32, 32:] = 65000
    padded[:16, :16] = RAMP
    expected = display_pixels(save(make_radiograph(RAMP), tmp_path / "b"))
    for value, limit in ((65535, 65000), (65000, 65535)):
        dataset = make_radiograph(padded, PixelPaddingValue=value, PixelPaddingRangeLimit=limit)
        assert np.array_equal(display_pixels(save(dataset, tmp_path / "a"))[:16, :16], expected)


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 60000, "WindowWidth": 10}], ids=["no window", "useless window"])
@pytest.mark.parametrize(
    ("odd", "same"),
    [
        ({"PixelPaddingValue": 4080, "PixelPaddingRangeLimit": None}, {"PixelPaddingValue": 4080}),
        ({"PixelPaddingValue": 4080, "PixelPaddingRangeLimit": [4000, 4080]}, {"PixelPaddingValue": 4080}),
        ({"PixelPaddingValue": [0, 4080]}, {}),
        ({"PixelPaddingValue": [0, 4080], "PixelPaddingRangeLimit": 4000}, {}),
        ({"PixelPaddingValue": None}, {}),
        ({"PixelPaddingValue": None, "PixelPaddingRangeLimit": 4080}, {}),
        ({"PixelPaddingRangeLimit": 4080}, {}),
    ],
)
def test_padding_that_is_no_number_is_none(
    tmp_path: Path, make_radiograph: Make, save: Save, odd: dict, same: dict, window: dict
) -> None:
    """Value and limit are one number each (PS3.3 C.7.5.1.1.2): empty ones and several are absent, and the image is shown."""
    shown, expected = (
        display_pixels(save(make_radiograph(RAMP, **elements, **window), tmp_path / "a")) for elements in (odd, same)
    )
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize(
    "syntax",
    [RLELossless, JPEGLSLossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian],
    ids=lambda syntax: syntax.name,
)
def test_lossless_compression_changes_nothing(tmp_path: Path, make_radiograph: Make, save: Save, syntax: UID) -> None:
    """A compressed file shows what the uncompressed one shows."""
    plain = make_radiograph(np.kron(RAMP, np.ones((4, 4), np.uint16)), WindowCenter=2048, WindowWidth=4096)
    expected = display_pixels(save(plain, tmp_path / "a"))
    if syntax.is_encapsulated:
        plain.compress(syntax)
    else:
        plain.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(display_pixels(save(plain, tmp_path / "b")), expected)


@pytest.mark.parametrize("process", [gdcm.TransferSyntax.JPEGLosslessProcess14, gdcm.TransferSyntax.JPEGLosslessProcess14_1])
def test_jpeg_lossless_changes_nothing(tmp_path: Path, make_radiograph: Make, save: Save, process: int) -> None:
    """The usual compression of archives, in both of its processes, as gdcm writes it."""
    plain = save(make_radiograph(RAMP, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096), tmp_path / "a")
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(process))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "b"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert np.array_equal(display_pixels(tmp_path / "b"), display_pixels(plain))


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"PhotometricInterpretation": "RGB"}, "colour"),
        ({"NumberOfFrames": 3}, "several frames"),
        ({"BitsAllocated": 32}, "more than 16 bits"),
        ({"Rows": 900}, "cannot be decoded"),
    ],
)
def test_what_is_not_one_gray_frame_is_refused(
    tmp_path: Path, make_radiograph: Make, save: Save, elements: dict, reason: str
) -> None:
    """Colour, cine and pixels that do not fit their header are refused with the reason."""
    with pytest.raises(Refused, match=reason):
        display_pixels(save(make_radiograph(RAMP, **elements), tmp_path / "a"))


def test_a_damaged_compressed_stream_is_refused(tmp_path: Path, make_radiograph: Make, save: Save) -> None:
    """Whatever a decoder says about broken bytes becomes a refusal."""
    dataset = make_radiograph(RAMP)
    dataset.compress("1.2.840.10008.1.2.4.80")
    path = save(dataset, tmp_path / "a")
    data = bytearray(path.read_bytes())
    start = data.rfind(b"\xff\xd8\xff\xf7")
    data[start : start + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(Refused, match="cannot be decoded"):
        display_pixels(path)


def test_png_is_lossless_and_says_nothing_else() -> None:
    """Encoding and decoding returns the same pixels; the file has no text chunk."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5), np.uint8)
    data = encode_png(pixels)
    assert np.array_equal(decode_png(data), pixels)
    assert b"tEXt" not in data


def test_shrinking_averages_and_never_enlarges() -> None:
    """Flat areas stay, a pattern finer than a pixel becomes gray, the aspect ratio stays, small images stay as they are."""
    assert shrink(np.full((400, 200), 77, np.uint8), 100).shape == (100, 50)
    assert (shrink(np.full((400, 200), 77, np.uint8), 100) == 77).all()
    checks = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(shrink(checks, 64).astype(int) - 127).max() <= 2
    small = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert shrink(small, 512) is small
