"""What is printed around every report of a hospital: letterheads, running headers, footers, the list beside the text.

Learned from the reports themselves. A line is furniture where the same line, numbers and the patient's name apart, stands at
the same height of the page in many reports, and hardly anywhere else. A sentence that many reports share stands now here, now
there; where all of them are one form it stands at one height, and so position decides: furniture is what lies between the
text and the edge of the page, with nothing else between it and the edge, or in a narrow column beside the text. From the top
edge on, a heading, a sentence, or on the first page the patient block ends it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .found import any_of, plain
from .identity import FIELD, is_patient_field, read_identity
from .layout import Line
from .pdf import Page, text_of
from .sections import CONTACT, PAGE_NUMBER, is_heading, parse

TOP, BOTTOM = 0.22, 0.86
"""Furniture above the text lies within this share of the page's height from the top, and below it beyond this one."""
STEPS = 200
"""Heights are the same when they differ by at most one such part of the page: 4 points of A4."""
FEWEST_REPORTS, SMALLEST_SHARE = 3, 0.005
"""How many reports, and what share of all, have a line that is furniture."""
AT_ONE_HEIGHT = 0.8
"""The share of a line's occurrences, on first or on later pages, that stands at one height."""
MONTH = any_of("janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre")
SENTENCE = re.compile(r"[^\W\d_]{2}[)»\"]*[.!?;,]$|^[a-zà-ÿ]")

Place = tuple[bool, str]
"""Whether a line stands on a later page than the first, and its shape."""


@dataclass(frozen=True)
class Letter:
    """A report before anything is cut.

    Attributes:
        pages: their lines.
        shapes: of each line of each page, what is the same for all patients, see `shape`.
        read_by: how its pages were read, e.g. ``text layer``.
    """

    pages: tuple[tuple[Line, ...], ...]
    shapes: tuple[tuple[str, ...], ...]
    read_by: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """A report's text, and apart from it the lines that were cut: they hold identities, and nothing of the medicine."""

    text: str
    furniture: str


def letter_of(pages: Sequence[Page]) -> Letter:
    """Return the report that its pages make up."""
    lines = tuple(page.lines for page in pages)
    names = read_identity(parse(text_of(lines)).preamble).names
    return Letter(
        lines,
        tuple(tuple(shape(line.text, names) for line in page) for page in lines),
        tuple(dict.fromkeys(page.read_by for page in pages)),
    )


def shape(text: str, names: Iterable[str] = ()) -> str:
    """Return what is the same in a line for all patients and days.

    >>> shape("Nom : LEFÈVRE   Page 1 / 2"), shape("M. Zoé Lefèvre, le 3 mars 2021", ("LEFÈVRE", "Zoé"))
    ('nom :~', 'm. ~ ~, le 0 ~ 0')
    """
    labels = list(FIELD.finditer(text))
    if labels:
        text = text[: labels[0].start()] + " ".join(f"{label[0].strip()}~" for label in labels)
    words = {word for name in names for word in re.findall(r"\w{2,}", plain(name))}
    masked = re.sub(r"[^\W\d_]+", lambda word: "~" if word[0] in words else word[0], plain(text))
    return re.sub(r"\d+", "0", re.sub(rf"\b{MONTH}\b", "~", masked))


@dataclass
class Furniture:
    """The lines of a corpus that are furniture; `learn` from all reports first, `cut` each afterwards."""

    num_letters: Counter[bool] = field(default_factory=Counter)
    occurrences: Counter[Place] = field(default_factory=Counter)
    heights: Counter[tuple[Place, int]] = field(default_factory=Counter)

    def learn(self, letter: Letter) -> None:
        """Count the lines of one more report, each once for its first page and once for its later ones."""
        found: set[tuple[Place, int]] = set()
        for number, (lines, shapes) in enumerate(zip(letter.pages, letter.shapes, strict=True)):
            found |= {((number > 0, shape), _step(line)) for line, shape in zip(lines, shapes, strict=True)}
        self.num_letters.update({False, len(letter.pages) > 1})
        self.occurrences.update(place for place, _ in found)
        self.heights.update(found)

    def cut(self, letter: Letter) -> Cut:
        """Return the text of a report without its furniture, and the furniture."""
        kept, cut = [], []
        for number in range(len(letter.pages)):
            gone = self._gone(letter, number)
            kept += [line.text for i, line in enumerate(letter.pages[number]) if i not in gone]
            cut += [line.text for i, line in enumerate(letter.pages[number]) if i in gone]
        return Cut("\n".join(kept), "\n".join(cut))

    def _gone(self, letter: Letter, number: int) -> set[int]:
        """Return which lines of a page are furniture."""
        lines, shapes = letter.pages[number], letter.shapes[number]
        others = {
            (shape, _step(line) + off)
            for other in range(len(letter.pages))
            if other != number
            for line, shape in zip(letter.pages[other], letter.shapes[other], strict=True)
            for off in (-1, 0, 1)
        }

        def is_furniture(i: int) -> bool:
            line = lines[i]
            if PAGE_NUMBER.match(plain(line.text)):
                return True
            if is_heading(line.text):
                return False
            if (shapes[i], _step(line)) in others:
                return True
            is_sentence = SENTENCE.search(line.text) and not CONTACT.search(plain(line.text))
            # A physician of the letterhead may have the patient's given name.
            return not is_sentence and any(
                self._is_learned((number > 0, one), _step(line)) for one in (shapes[i], shape(line.text))
            )

        gone = {i for i, line in enumerate(lines) if line.in_sidebar and is_furniture(i)}
        inner = sorted((i for i in range(len(lines)) if i not in gone), key=lambda i: lines[i].y)
        for i in inner:
            if lines[i].y > TOP or not is_furniture(i) or (number == 0 and is_patient_field(lines[i].text)):
                break
            gone.add(i)
        for i in reversed(inner):
            if lines[i].y < BOTTOM or not is_furniture(i):
                break
            gone.add(i)
        return gone

    def _is_learned(self, place: Place, step: int) -> bool:
        here = sum(self.heights[place, near] for near in (step - 1, step, step + 1))
        enough = max(FEWEST_REPORTS, SMALLEST_SHARE * self.num_letters[place[0]])
        return here >= enough and here >= AT_ONE_HEIGHT * self.occurrences[place]


def _step(line: Line) -> int:
    return round(line.y * STEPS)
