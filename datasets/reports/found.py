"""What a finder returns, and how its patterns are written."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A stretch ``[start, end)`` of a text and what it is.

    ``moved`` rewrites a date by days, see `dates.Written`; ``of`` is the name that a misread one stands for.
    """

    start: int
    end: int
    label: str
    moved: Callable[[int], str] | None = None
    of: str | None = None


def matches(
    pattern: re.Pattern[str], label: str, text: str, within: Iterable[tuple[int, int]] | None = None
) -> Iterator[Found]:
    """Yield the group ``it`` of every match in the stretches ``within``, or all of it where there is no such group."""
    group = "it" if "it" in pattern.groupindex else 0
    for start, end in ((0, len(text)),) if within is None else within:
        for match in pattern.finditer(text, start, end):
            if match[group]:
                yield Found(*match.span(group), label)


def matches_at(places: Iterable[int], pattern: re.Pattern[str], label: str, text: str) -> Iterator[Found]:
    """Yield the group ``it`` of the matches that begin at one of ``places`` (in order) and do not overlap."""
    end = 0
    for place in places:
        match = pattern.match(text, place) if place >= end else None
        if match and match["it"]:
            yield Found(*match.span("it"), label)
            end = match.end()


def around(words: Iterable[re.Match[str]], before: int, after: int) -> list[tuple[int, int]]:
    """Return the stretches, apart and in order, that hold ``words`` (in order) and so many letters before and after each."""
    stretches: list[tuple[int, int]] = []
    for word in words:
        start, end = max(0, word.start() - before), word.end() + after
        if stretches and start <= stretches[-1][1]:
            start = stretches.pop()[0]
        stretches.append((start, end))
    return stretches


def words(text: str) -> list[str]:
    return text.split()


def any_of(*lines: str) -> str:
    """Return a pattern for any of the words of ``lines``; an underscore stands for a space within one."""
    return "(?:" + "|".join(word.replace("_", " ") for line in lines for word in words(line)) + ")"


SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
UNSEEN = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
"""Soft hyphens, spaces without width."""
LETTER = re.compile(rf"(?s:.)(?:[\u0300-\u036f]|{UNSEEN.pattern})*")


def readable(text: str) -> tuple[str, Sequence[int]]:
    r"""Return ``text`` as finders read it, and where each of its letters, and its end, is in ``text``.

    Every space but a new line is an ASCII one, a letter and its accent are one, and what nobody sees is gone.

    >>> readable("le\u00a03 e\u0301te\u0301")
    ('le 3 été', [0, 1, 2, 3, 4, 5, 7, 8, 10])
    """
    text = SPACES.sub(" ", text)
    if unicodedata.is_normalized("NFC", text) and not UNSEEN.search(text):
        return text, range(len(text) + 1)
    letters: list[str] = []
    places: list[int] = []
    for letter in LETTER.finditer(text):
        letters.append(unicodedata.normalize("NFC", UNSEEN.sub("", letter[0])))
        places += [min(letter.start() + place, letter.end() - 1) for place in range(len(letters[-1]))]
    return "".join(letters), [*places, len(text)]


class _Plain(dict[int, str]):
    """From a letter to its plain one, worked out once."""

    def __missing__(self, code: int) -> str:
        letter = "'" if chr(code) == "’" else unicodedata.normalize("NFKD", chr(code))[:1] or " "
        self[code] = letter.lower() if len(letter.lower()) == 1 else letter
        return self[code]


_PLAIN = _Plain()


def plain(text: str) -> str:
    """Return ``text`` in lower case without accents, as long as it was: places in one are places in the other."""
    return text.translate(_PLAIN)
