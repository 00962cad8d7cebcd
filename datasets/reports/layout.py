"""From what stands where on a page to lines in the order they are read."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .found import plain
from .sections import IDENTITY_LABEL, is_heading

COLUMN_GAP = 2.0
"""Pieces of one row that stand further apart than this many times their height belong to different columns."""
COLUMN_SPACES = "   "
COLUMN_LINES = 4
"""Two columns are told from a row of fields by so many lines on either side of the gap."""
COLUMN_LETTERS, PROSE_LETTERS = 10, 20
"""Mean letters of a line in any column, and in the wider one of two: shorter ones are a table."""
SIDEBAR = 1 / 3
"""A column narrower than this share of its page is no text but the list of the service's physicians and numbers."""


@dataclass(frozen=True)
class Piece:
    """A run of characters and where it stands, in points (of a scan: pixels) from the lower left corner of the page."""

    text: str
    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True)
class Line:
    """A line as it is read.

    Attributes:
        y: its middle, as a share of the page's height from the top.
        in_sidebar: it stands in a narrow column beside the text.
    """

    text: str
    y: float
    in_sidebar: bool = False


def read_lines(pieces: Iterable[Piece], width: float, height: float) -> list[Line]:
    """Return the lines of a page of ``width`` by ``height``: column by column, each from top to bottom.

    Fields beside each other (a label and its value) stand on one line, three spaces apart.
    """
    columns = list(_columns(_segments(pieces)))
    lines = []
    for column, beside in columns:
        narrow = beside and max(s.right for s in column) - min(s.left for s in column) < SIDEBAR * width
        lines += [Line(_text(row), 1 - row[0].middle / height, narrow) for row in _rows(column)]
    return lines


def _segments(pieces: Iterable[Piece]) -> list[Piece]:
    """Join the pieces that follow each other on one line of one column."""
    segments: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (piece.left, piece.right)):
        before = [s for s in segments if _beside(s, piece) and -s.height < piece.left - s.right <= COLUMN_GAP * s.height]
        if before:
            last = max(before, key=lambda segment: segment.right)
            segments.remove(last)
            piece = Piece(
                f"{last.text} {piece.text}",
                last.left,
                min(last.bottom, piece.bottom),
                max(last.right, piece.right),
                max(last.top, piece.top),
            )
        segments.append(piece)
    return segments


def _columns(segments: Sequence[Piece]) -> Iterator[tuple[list[Piece], bool]]:
    """Yield the parts of a page in reading order, and whether each stands beside another one."""
    ordered = sorted(segments, key=lambda segment: -segment.middle)
    for gutter in sorted({segment.left for segment in ordered}):
        for crosses, group in itertools.groupby(ordered, key=lambda s: s.left < gutter - 1 < s.right):
            band = list(group)
            left, right = [s for s in band if s.right < gutter], [s for s in band if s.left >= gutter - 1]
            if not crosses and _are_columns(left, right):
                first = ordered.index(band[0])
                yield from _columns(ordered[:first])
                for side in (left, right):
                    yield from ((part, True) for part, _ in _columns(side))
                yield from _columns(ordered[first + len(band) :])
                return
    if ordered:
        yield ordered, False


def _are_columns(left: Sequence[Piece], right: Sequence[Piece]) -> bool:
    """Whether two parts of a page are texts side by side, and not the fields or the table that a row goes across."""
    if min(len(left), len(right)) < COLUMN_LINES:
        return False
    low, high = max(left[-1].bottom, right[-1].bottom), min(left[0].top, right[0].top)
    shared = [[s for s in side if low - s.height <= s.middle <= high + s.height] for side in (left, right)]
    letters = sorted(sum(len(s.text) for s in side) / max(len(side), 1) for side in shared)
    labels = sum(_is_label(segment.text) for segment in shared[0])
    return (
        min(map(len, shared)) >= COLUMN_LINES
        and letters[0] >= COLUMN_LETTERS
        and letters[1] >= PROSE_LETTERS
        and labels < len(shared[0]) / 2
    )


def _is_label(text: str) -> bool:
    return text.endswith(":") or is_heading(text) or bool(re.match(rf"{IDENTITY_LABEL} *(?::|$)", plain(text)))


def _rows(pieces: Iterable[Piece]) -> list[list[Piece]]:
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -piece.middle):
        if rows and _beside(rows[-1][0], piece):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return [sorted(row, key=lambda piece: piece.left) for row in rows]


def _beside(one: Piece, other: Piece) -> bool:
    """Whether two pieces share at least half of the lower one's height."""
    shared = min(one.top, other.top) - max(one.bottom, other.bottom)
    return shared >= min(one.height, other.height) / 2


def _text(row: Sequence[Piece]) -> str:
    return COLUMN_SPACES.join(piece.text for piece in row)
