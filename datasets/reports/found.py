"""What a finder returns, and how its patterns are written."""

import re
import unicodedata
from collections.abc import Callable, Iterator
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


def matches(pattern: re.Pattern[str], label: str, text: str) -> Iterator[Found]:
    """Yield the group ``it`` of every match, or all of it where there is no such group."""
    group = "it" if "it" in pattern.groupindex else 0
    for match in pattern.finditer(text):
        if match[group]:
            yield Found(*match.span(group), label)


def words(text: str) -> list[str]:
    return text.split()


def any_of(*lines: str) -> str:
    """Return a pattern for any of the words of ``lines``; an underscore stands for a space within one."""
    return "(?:" + "|".join(word.replace("_", " ") for line in lines for word in words(line)) + ")"


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
