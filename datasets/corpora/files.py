"""What the readers of corpora share: finding files, reading tables, and saying what is missing and where to get it."""

import codecs
import csv
import difflib
import gzip
import json
import math
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

from PIL import Image, UnidentifiedImageError

from ..dicom.header import open_dicom
from ..images import DAMAGED, FORMATS
from ..labelled import Box, Labelled, LabelledImage, Target
from ..refusal import Refused, UserError

T = TypeVar("T")
UNKNOWN = {"", "na", "n/a", "nan", "null", "."}
"""How tables write that a value is unknown, in lower case."""
ORIENTATION = 0x0112
TURNED = {5, 6, 7, 8}
"""EXIF orientations whose displayed width is the stored height."""
MISSING = 0.02
"""Share of a public corpus' images that may not be there: its tables name some that its archives lack."""
NAMELESS = "no patient is named: every image counts as one, so films of one person may be in two splits"
"""Note of a corpus whose tables do not say who is who."""


@dataclass(frozen=True)
class Published:
    """A public corpus as it lies on disk.

    Attributes:
        title: its name, for messages.
        where: where to get it and under which terms, one sentence.
        folder: holds the files that its archive holds.
    """

    title: str
    where: str
    folder: Path

    @classmethod
    def at(cls, title: str, where: str, folder: Path, *inside: str) -> "Published":
        """Return the corpus in ``folder``, or in the first of the folders ``inside`` it, which its archives make.

        Raises:
            UserError: there is no such folder.
        """
        corpus = cls(title, where, next((folder / name for name in inside if (folder / name).is_dir()), folder))
        if not folder.is_dir():
            raise corpus.missing("the folder", folder)
        return corpus

    def missing(self, what: str, *places: Path) -> UserError:
        """Return the error that says what was looked for where, and where to get it."""
        return UserError(f"{self.title}: {what} is not at {' or '.join(map(str, places))}. {self.where}")

    def file(self, *names: str) -> Path:
        """Return the first of the files or folders ``names`` that is there.

        Raises:
            UserError: none is.
        """
        places = [self.folder / name for name in names]
        for place in places:
            if place.exists():
                return place
        raise self.missing(places[0].name, *places)

    def by_name(self, *patterns: str) -> dict[str, Path]:
        """Return the files that match one of ``patterns`` below the folder, by name."""
        return {path.name: path for pattern in patterns for path in sorted(self.folder.glob(pattern))}

    def check(self, images: Iterable[Path]) -> None:
        """Refuse a corpus some of whose images are not on disk.

        Raises:
            UserError: naming the first, and how many there are.
        """
        lacking = [path for path in images if not path.is_file()]
        if lacking:
            raise UserError(
                f"{self.title}: {len(lacking)} image files that its tables name are missing, first {lacking[0]}. {self.where}"
            )

    def labelled(self, name: str, targets: Mapping[str, Target], images: Sequence[LabelledImage], *notes: str) -> Labelled:
        """Return the corpus of the image files that are there; ``notes`` are those of `Labelled`.

        A note says how many are not, if they are few (`MISSING`).

        Raises:
            UserError: more image files are missing, no image is labelled, or a patient is in two splits.
        """
        there = [image for image in images if not isinstance(image.source, Path) or image.source.is_file()]
        lacking = len(images) - len(there)
        if lacking > MISSING * len(images):
            self.check(image.source for image in images if isinstance(image.source, Path))
        if not images:
            raise UserError(f"{self.title}: the tables in {self.folder} label no image. {self.where}")
        if lacking:
            notes = (*notes, f"{lacking:,} of {len(images):,} images that its tables name are not there, and are left out")
        return Labelled(name, targets, tuple(there), notes, str(self.folder.resolve()))


def table(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, also a gzipped one, by column; a cell that a row lacks is empty.

    Raises:
        UserError: it is no table in UTF-8, lacks one of ``columns`` (says which there are), or a row has cells beyond them.
    """
    with _text(path) as lines:
        reader = csv.reader(lines, strict=True)
        header = [name.strip() for name in next(reader, [])]
        for column in columns:
            if column not in header:
                raise no_column(path, column, header)
            if header.count(column) > 1:
                raise UserError(f"{path} has {header.count(column)} columns {column!r}: leave one, or rename the others")
        for row in reader:
            if any(cell.strip() for cell in row[len(header) :]):
                raise UserError(
                    f"{path}, line {reader.line_num}, has {len(row)} cells under {len(header)} columns: a cell that holds "
                    "commas stands in quotes"
                )
            if any(row):
                cells = [cell.strip() for cell in row[: len(header)]]
                yield dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True))


def rows(path: Path, cells: int) -> list[list[str]]:
    """Return the rows of a CSV file without header names, or whose header is of no use, each cut to ``cells``.

    Raises:
        UserError: it is no table in UTF-8, or a row has fewer.
    """
    with _text(path) as lines:
        told = [[cell.strip() for cell in row] for row in csv.reader(lines, strict=True) if any(row)]
    for row in told:
        if len(row) < cells:
            raise UserError(f"{path}: the row {','.join(row)!r} has {len(row)} cells; {cells} are expected")
    return [row[:cells] for row in told]


def text(path: Path) -> str:
    """Return what a text file holds.

    Raises:
        UserError: it is not in UTF-8.
    """
    with _text(path) as lines:
        return lines.read().replace("\r\n", "\n")


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """Open a table, also a gzipped one.

    Raises:
        UserError: it cannot be read, or what is read of it is no text in UTF-8, no CSV, or a damaged archive.
    """
    packed = path.suffix.lower() == ".gz"
    try:
        if packed:
            with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as lines:
                yield cast("TextIO", lines)
        else:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                yield lines
    except UnicodeDecodeError as error:
        kind = "utf-16" if error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin1"
        raise UserError(
            f"{path} is not in UTF-8 ({error.reason}): save it as UTF-8, or try "
            f"`{'zcat' if packed else 'cat'} '{path.name}' | iconv -f {kind} -t utf-8 > FILE`"
        ) from error
    except (csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read as a table ({error}): a cell that holds quotes stands in quotes, its own doubled"
            if isinstance(error, csv.Error)
            else f"{path} cannot be read as a table ({error})"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def read_json(path: Path, read: Callable[[Any], T]) -> T:
    """Return what ``read`` makes of a JSON file.

    Raises:
        UserError: it cannot be read, is no JSON, or not of the form that ``read`` knows.
    """
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not of the published form ({type(error).__name__}: {error}): get it again") from error


def no_column(path: Path, column: str, header: Sequence[str]) -> UserError:
    """Return the error of a table that has no ``column``: the nearest names, and all that there are."""
    if len(header) == 1 and (mark := next((mark for mark in ";\t" if mark in header[0]), "")):
        return UserError(f"{path} separates its columns by {'tabs' if mark != ';' else 'semicolons'}: save it with commas")
    near = difflib.get_close_matches(column, header, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UserError(f"{path} has no column {column!r}; {hint}Its columns: {', '.join(filter(None, header)) or 'none'}")


def known(cell: str) -> bool:
    """Return whether a cell of a table says something."""
    return cell.lower() not in UNKNOWN


def number(cell: str, path: Path, column: str) -> float:
    """Return the number that a cell holds.

    Raises:
        UserError: it holds none; says where.
    """
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}: column {column!r} holds {cell!r}, which is no number")
    return value


def sex(cell: str) -> str | None:
    """Return F or M, or None where a table says neither.

    >>> sex("Female"), sex("m"), sex("Homme"), sex("Unknown")
    ('F', 'M', 'M', None)
    """
    return {"f": "F", "female": "F", "femme": "F", "m": "M", "male": "M", "h": "M", "homme": "M"}.get(cell.lower())


def size(path: Path) -> tuple[int, int]:
    """Return width and height of an image as `images.read_pixels` displays it, from its header where the format has one.

    Raises:
        UserError: the file is damaged or no image.
    """
    try:
        with warnings.catch_warnings():
            # As in images.read_pixels: radiographs are large.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as picture:
                turned = picture.getexif().get(ORIENTATION) in TURNED
                return (picture.height, picture.width) if turned else picture.size
    except UnidentifiedImageError:
        try:
            dataset = open_dicom(path)
        except Refused as error:
            raise UserError(f"{path}: {error}") from error
        return int(dataset.Columns), int(dataset.Rows)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: {DAMAGED}") from error


def yolo_box(line: str, path: Path, width: int, height: int, names: Sequence[str] | None = None) -> Box:
    """Return the box that YOLO writes ``class cx cy w h``, centre and extent as shares of the image.

    Args:
        line: the class is a name, or a place in ``names``.
        path: of the file that an error names.
        width, height: of the image in pixels.
        names: of the classes, where they are given by number.

    Raises:
        UserError: the line is not of that form.
    """
    no_box = UserError(f"{path}: {line!r} is no box in YOLO's form: class cx cy w h, as shares of the image")
    try:
        label, *shares = line.split()
        x, y, w, h = (number(share, path, "box") for share in shares)
        if names is not None:
            label = dict(enumerate(names))[int(label)]
    except (ValueError, KeyError):
        raise no_box from None
    if min(w, h) < 0 or max(x, y, w, h) > 1.001:
        raise no_box
    return Box(label, (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
