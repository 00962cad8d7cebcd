"""The text of a PDF report, line by line as it is read on paper; pages without text are read from their pictures."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from pypdfium2 import raw as pdfium

from ..refusal import Refused
from .broken_words import join_words
from .layout import Line, Piece, read_lines
from .scans import DPI, LONGEST_SIDE, read_scan

FEWEST_LETTERS = 50
"""A page with fewer letters and digits than this, and pictures over most of it, is a scan."""
COVERED = 0.5
LIGATURE = re.compile("[ﬀ-ﬆ]")


@dataclass(frozen=True)
class Page:
    """The lines of one page; ``read_by`` is ``text layer``, or the program that read its picture."""

    lines: tuple[Line, ...]
    read_by: str


def read_pdf(path: Path) -> tuple[Page, ...]:
    """Return the pages of a report.

    Raises:
        Refused: encrypted, damaged, or without text.
    """
    data = path.read_bytes()
    if b"%PDF-" not in data[:1024]:
        raise Refused("not a PDF file")
    if b"%%EOF" not in data[-1024:].replace(b"\0", b""):
        raise Refused("cut off: the PDF has no end; export it again")
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise Refused("encrypted: export the report without a password") from error
        raise Refused("a damaged PDF: export it again") from error
    try:
        pages = tuple(_read_page(document[number]) for number in range(len(document)))
    except pypdfium2.PdfiumError as error:
        raise Refused("a damaged PDF: export it again") from error
    finally:
        document.close()
    if not any(re.search(r"\w", line.text) for page in pages for line in page.lines):
        raise Refused("no text in the PDF, nor in the pictures of its pages")
    return pages


def text_of(pages: Sequence[Sequence[Line]]) -> str:
    """Return the lines of all pages as one text."""
    return "\n".join(line.text for page in pages for line in page)


def extract_text(path: Path) -> str:
    """Return the text of one report by itself, its headers and footers included; broken words are made whole.

    Raises:
        Refused: encrypted, damaged, or without text.
    """
    return join_words(text_of([page.lines for page in read_pdf(path)]))


def _read_page(page: pypdfium2.PdfPage) -> Page:
    pieces, read_by = _pieces(page), "text layer"
    letters = sum(letter.isalnum() for piece in pieces for letter in piece.text)
    if letters < FEWEST_LETTERS and _covered(page) > COVERED:
        scale = min(DPI / 72, LONGEST_SIDE / max(page.get_size()))
        picture = page.render(scale=scale, grayscale=True).to_numpy().squeeze()  # pyright: ignore[reportArgumentType]
        pieces, read_by = read_scan(picture)
        return Page(tuple(read_lines(pieces, *picture.shape[::-1])), read_by)
    return Page(tuple(read_lines(pieces, *page.get_size())), read_by)


def _pieces(page: pypdfium2.PdfPage) -> list[Piece]:
    content = page.get_textpage()
    pieces = []
    for index in range(content.count_rects()):
        box = content.get_rect(index)
        text = _letters(content.get_text_bounded(*box)).strip()
        if text:
            pieces.append(Piece(text, *box))
    content.close()
    return _upright(pieces, page)


def _letters(text: str) -> str:
    """Ligatures of print become letters (not œ, which is one), and accents part of their letter."""
    return unicodedata.normalize("NFC", LIGATURE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text))


def _upright(pieces: list[Piece], page: pypdfium2.PdfPage) -> list[Piece]:
    """Return the pieces where a reader sees them: a page may be stored lying on its side, and shown turned."""
    standing = sum(piece.height > piece.right - piece.left for piece in pieces if len(piece.text) > 1)
    if 2 * standing <= len(pieces) or page.get_rotation() not in (90, 270):
        return pieces
    width, height = page.get_size()
    if page.get_rotation() == 90:
        return [Piece(p.text, p.bottom, height - p.right, p.top, height - p.left) for p in pieces]
    return [Piece(p.text, width - p.top, p.left, width - p.bottom, p.right) for p in pieces]


def _covered(page: pypdfium2.PdfPage) -> float:
    """Return the share of the page that lies under pictures; of pictures over each other every one counts."""
    width, height = page.get_size()
    area = 0.0
    for picture in page.get_objects(filter=(pdfium.FPDF_PAGEOBJ_IMAGE,)):
        left, bottom, right, top = picture.get_bounds()
        area += (right - left) * (top - bottom)
    return area / (width * height)
