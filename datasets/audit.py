"""What became of every input: kept, or refused and why.

Two copies are written. The one inside the pairs folder travels with the data, so that parts of paths that name a patient are
pseudonyms there. The one beside it has the paths as they are, for whoever mends the export; it stays where the export stays.
"""

import functools
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .pseudonyms import Key
from .reports.found import plain, readable
from .reports.people import people

SHORTEST_WORD, SHORTEST_NUMBER = 3, 5
"""A word of an identity that is told by itself: of ``Van den Broeck``, of ``61.02.04-12345``."""
SHORTEST_PIECE = 4
"""Letters and digits of an identity that is part of a name: beside something else, or at one end of a word."""
SHORTEST_INSIDE, SHORTEST_DIGITS = 5, 8
"""Letters of an identity in the middle of a word, and digits of one within a longer number."""
ENDINGS = frozenset((".dcm", ".dicom", ".ima", ".pdf", ".txt", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".docx"))
"""What a file's name may end in; after another point somebody's name may stand (``DUPONT.Zoe``)."""


@dataclass
class Audit:
    """One line per input file or row.

    Names are interned: an export has millions of them, and both dictionaries hold the same texts.

    Attributes:
        lines: from the input's name, relative to the export, to the reason of its refusal; None is kept.
        facts: from the name to what was done to it, without identities: ``device``, ``boxes`` (by kind), ``read`` (how),
            ``paired_by``, ``replaced`` (by label).
        identities: names, numbers and dates (``1956-03-02``) of the patients of the export, as far as files could be read.
    """

    lines: dict[str, str | None] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    identities: set[str] = field(default_factory=set)

    def keep(self, name: str) -> None:
        """Keep an input, unless it was refused before."""
        self.lines.setdefault(sys.intern(name), None)

    def refuse(self, name: str, reason: str) -> None:
        self.lines[sys.intern(name)] = reason

    def tell(self, name: str, **facts: Any) -> None:
        """Add to the facts of an input."""
        self.facts.setdefault(sys.intern(name), {}).update(facts)

    def refusals(self) -> Counter[str]:
        return Counter(reason for reason in self.lines.values() if reason is not None)

    def write(self, path: Path) -> None:
        """Write the lines with the names as they are, readable by the owner alone."""
        path.touch(mode=0o600)
        path.write_text("".join(self._lines(lambda name: name)), encoding="utf-8")

    def write_masked(self, path: Path, key: Key) -> None:
        """Write the lines with pseudonyms for the parts of names that hold an identity."""
        words = {form for identity in self.identities for form in _forms(identity) if form}
        path.write_text("".join(self._lines(lambda name: masked_name(name, words, key))), encoding="utf-8")

    def _lines(self, called: Callable[[str], str]) -> Iterator[str]:
        for path, name in sorted((called(name), name) for name in self.lines):
            reason = self.lines[name]
            line = {"path": path, "status": "kept" if reason is None else "refused", "reason": reason or ""}
            yield json.dumps(line | self.facts.get(name, {}), ensure_ascii=False) + "\n"


def masked_name(name: str, words: set[str], key: Key) -> str:
    """Return ``name`` with every part that holds one of ``words``, or reads like a person, as ``~`` and a pseudonym.

    Signs, accents and capitals do not matter: ``61.02.04-12345`` is ``61020412345``.

    >>> masked_name("dicom/DUPONT_Zoe/IM01.dcm", {"dupont"}, Key(bytes(32))).split("/")[2]
    'IM01.dcm'
    """
    return "/".join(_masked_part(part, words, key) for part in PurePosixPath(name).parts)


def _masked_part(part: str, words: set[str], key: Key) -> str:
    ending = PurePosixPath(part).suffix
    stem = part.removesuffix(ending) if ending.lower() in ENDINGS else part
    if words.isdisjoint(_pieces(stem)) and not _like_a_person(stem):
        return part
    return f"~{key.pseudonym('path', part)[:12]}{part.removeprefix(stem)}"


def _forms(identity: str) -> Iterator[str]:
    """Yield how an identity may be written in plain letters and digits: whole, its longer words, a date from its day on."""
    seen = plain(readable(identity)[0])
    words = re.findall(r"[^\W_]+", seen)
    yield "".join(words)
    yield from (word for word in words if len(word) >= (SHORTEST_WORD if word.isalpha() else SHORTEST_NUMBER))
    if re.fullmatch(r"\d{4}-\d\d-\d\d", seen):
        yield "".join(reversed(words))


def _pieces(stem: str) -> Iterator[str]:
    """Yield all of a name without its signs, and what in it may be an identity beside something else."""
    pieces = re.findall(r"\d+|[^\W\d_]+", plain(readable(stem)[0]))
    yield "".join(pieces)
    for first, piece in enumerate(pieces):
        if len(piece) >= SHORTEST_WORD and piece.isalpha():
            yield piece
        joined = ""
        for other in pieces[first:]:
            joined += other
            if len(joined) >= SHORTEST_PIECE:
                yield joined
        inside = SHORTEST_INSIDE if piece.isalpha() else SHORTEST_DIGITS
        for start in range(len(piece) - inside + 1):
            yield from (piece[start:end] for end in range(start + inside, len(piece) + 1))
        if piece.isalpha() and len(piece) > SHORTEST_PIECE:
            yield from (piece[:SHORTEST_PIECE], piece[-SHORTEST_PIECE:])


@functools.lru_cache(maxsize=1 << 16)
def _like_a_person(stem: str) -> bool:
    """Whether a name reads like a person's; names without a word, as most are, are told at once."""
    named = re.search(r"[^\W\d_]{3}|[^\W\d_]{2}.*[^\W\d_]{2}", stem)
    return named is not None and any(people(re.sub(r"[_.^+]+", " ", stem)))
