"""Scanned pages: pictures of text written here, small so that reading them is quick."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from radsweep.datasets.refusal import Refused
from radsweep.datasets.reports import scans
from radsweep.datasets.reports.layout import read_lines
from radsweep.datasets.reports.pdf import read_pdf

TEXT = ("Radiographie du poignet gauche", "Fracture déplacée du radius, à 2,5 mm.", "Œdème des parties molles.")
WIDTH, HEIGHT = 1200, 420
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
needs_tesseract = pytest.mark.skipif(not scans.has_tesseract(), reason="needs the command tesseract with French")


def picture(lines: tuple[str, ...] = TEXT) -> Image.Image:
    """A scan at 300 dpi, a little askew and blurred."""
    page = Image.new("L", (WIDTH, HEIGHT), 255)
    for i, line in enumerate(lines):
        ImageDraw.Draw(page).text((60, 60 + 100 * i), line, fill=0, font=ImageFont.truetype(str(FONT), 42))
    return page.rotate(0.3, Image.Resampling.BICUBIC, fillcolor=255).filter(ImageFilter.GaussianBlur(0.8))


def scanned(path: Path, stamp: str = "", lines: tuple[str, ...] = TEXT) -> Path:
    """A PDF of one page whose picture covers it, with ``stamp`` as its only text."""
    size = (WIDTH * 72 / scans.DPI, HEIGHT * 72 / scans.DPI)
    canvas = Canvas(str(path), pagesize=size, invariant=1)
    canvas.drawImage(ImageReader(picture(lines)), 0, 0, *size)
    canvas.setFontSize(4)
    canvas.drawString(1, 1, stamp)
    canvas.save()
    return path


@needs_tesseract
def test_tesseract_reads_french() -> None:
    """Every letter of a scan slightly askew, accents and œ included, line by line."""
    pieces = scans.by_tesseract(np.asarray(picture()))
    assert [line.text for line in read_lines(pieces, WIDTH, HEIGHT)] == list(TEXT)


def test_rapidocr_reads_french() -> None:
    """Without Tesseract its letters are read too; spaces and œ may be lost."""
    pytest.importorskip("rapidocr")
    pieces = scans.by_rapidocr(np.asarray(picture()))
    read = "".join(line.text for line in read_lines(pieces, WIDTH, HEIGHT)).replace(" ", "")
    wrong = [(one, two) for one, two in zip(read, "".join(TEXT).replace(" ", ""), strict=True) if one != two]
    assert len(wrong) <= 2


def test_a_scan_is_rendered_and_placed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A page is rendered at 300 dpi, and what is read in its picture stands where it is on the page."""
    seen: list[tuple[int, ...]] = []

    def read_scan(pixels: np.ndarray) -> tuple[list[scans.Piece], str]:
        seen.append((*pixels.shape, int(pixels.dtype == np.uint8)))
        return [scans._piece("Texte", 30, 60, 330, 120, len(pixels))], "a reader"

    monkeypatch.setattr("radsweep.datasets.reports.pdf.read_scan", read_scan)
    (page,) = read_pdf(scanned(tmp_path / "a.pdf", "tampon"))
    ((height, width, is_uint8),) = seen
    assert abs(height - HEIGHT) <= 1
    assert abs(width - WIDTH) <= 1
    assert is_uint8
    assert page.read_by == "a reader"
    assert page.lines[0].text == "Texte"
    assert page.lines[0].y == pytest.approx(90 / HEIGHT, abs=0.01)


def test_a_page_as_large_as_its_pixels_is_read_at_their_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A scan that claims one point a pixel is not blown up to four times its letters."""
    seen: list[int] = []
    monkeypatch.setattr("radsweep.datasets.reports.pdf.read_scan", lambda pixels: (seen.append(max(pixels.shape)), ([], ""))[1])
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(2480, 3508), invariant=1)
    canvas.drawImage(ImageReader(Image.new("L", (124, 175), 255)), 0, 0, 2480, 3508)
    canvas.save()
    with pytest.raises(Refused, match="no text"):
        read_pdf(tmp_path / "a.pdf")
    assert seen == [pytest.approx(5000, abs=1)]


def test_a_page_with_text_is_not_read_from_its_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fifty letters of text are a report, whatever lies under them; a page without pictures is one too."""
    monkeypatch.setattr("radsweep.datasets.reports.pdf.read_scan", lambda _: pytest.fail("no scan"))
    (page,) = read_pdf(scanned(tmp_path / "a.pdf", "Radiographie du poignet gauche sans lésion traumatique visible"))
    assert page.read_by == "text layer"
    canvas = Canvas(str(tmp_path / "b.pdf"))
    canvas.drawString(50, 700, "Normal.")
    canvas.save()
    assert read_pdf(tmp_path / "b.pdf")[0].read_by == "text layer"


@needs_tesseract
def test_a_scanned_report_is_read(tmp_path: Path) -> None:
    """The text of a report whose only page is a picture, and how it was read."""
    (page,) = read_pdf(scanned(tmp_path / "a.pdf"))
    assert [line.text for line in page.lines] == list(TEXT)
    assert page.read_by == "Tesseract"
