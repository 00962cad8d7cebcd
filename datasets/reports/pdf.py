"""The text of a PDF report, line by line as it is read on paper."""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from pypdfium2 import raw as pdfium

from ..refusal import Refused

COLUMN_GAP = 2.0
"""Pieces of one row that stand further apart than this many times their height belong to different columns."""
COLUMN_SPACES = "   "
HYPHENS = "\x02\ufffe"
"""What PDFium writes for a hyphen at the end of a line."""
KEEPS_HYPHEN = re.compile(r"(?:o|sous|sus|sur|demi|avant|arrière|contre|non|mi|semi|inter|extra|intra|post|pré|anti)$", re.I)


@dataclass(frozen=True)
class Piece:
    """A run of characters and where it stands, in points from the lower left corner of the page."""

    text: str
    left: float
    bottom: float
    right: float
    top: float


def extract_text(path: Path) -> str:
    """Return the text of all pages in reading order: rows from top to bottom, pieces of a row from left to right.

    Pieces of different columns (a label and its value, two fields side by side) are parted by three spaces; a word broken at
    the end of a line is made whole.

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
        pages = [_page_text(document, number) for number in range(len(document))]
    except pypdfium2.PdfiumError as error:
        raise Refused("a damaged PDF: export it again") from error
    finally:
        document.close()
    text = _join_words("\n\n".join(pages))
    if not re.search(r"\w", text):
        raise Refused("no text in the PDF, probably scanned: needs OCR, not available yet")
    return text


def _page_text(document: pypdfium2.PdfDocument, number: int) -> str:
    page = document[number]
    content = page.get_textpage()
    pieces = []
    for index in range(content.count_rects()):
        left, bottom, right, top = content.get_rect(index)
        text = content.get_text_bounded(left, bottom, right, top).strip(" \r\n\t")
        if text:
            pieces.append(Piece(text, left, bottom, right, top))
    content.close()
    page.close()
    return "\n".join(_line(row) for row in _rows(pieces))


def _rows(pieces: Iterable[Piece]) -> list[list[Piece]]:
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -(piece.top + piece.bottom)):
        if rows and _beside(rows[-1][0], piece):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return [sorted(row, key=lambda piece: piece.left) for row in rows]


def _beside(one: Piece, other: Piece) -> bool:
    """Whether two pieces share at least half of the lower one's height."""
    shared = min(one.top, other.top) - max(one.bottom, other.bottom)
    return shared >= min(one.top - one.bottom, other.top - other.bottom) / 2


def _line(row: list[Piece]) -> str:
    line = row[0].text
    for before, piece in itertools.pairwise(row):
        gap = piece.left - before.right
        line += (COLUMN_SPACES if gap > COLUMN_GAP * (before.top - before.bottom) else " ") + piece.text
    return line


def _join_words(text: str) -> str:
    """A compound keeps its hyphen (``fémoro-`` ``tibial``), a broken word loses it (``épanche-`` ``ment``)."""

    def join(found: re.Match[str]) -> str:
        return found[1] + ("-" if KEEPS_HYPHEN.search(found[1]) else "")

    return re.sub(rf"(\w+)[{HYPHENS}]\n\s*", join, text)
