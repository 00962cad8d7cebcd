"""Words that a line's end has broken in two: made whole, or left a compound with its hyphen."""

import re
from collections.abc import Iterator, Mapping

from .found import any_of

HYPHENS = "\x02\ufffe\xad‐-"
"""At the end of a line: what PDFium writes for a hyphen there, and the hyphens of other writers."""
BROKEN = re.compile(rf"(?P<before>[^\W_](?:[\w'’-]*\w)?)(?P<hyphen>[{HYPHENS}])[ \t]*\n\s*(?P<after>\w+)")
OF_PLACES = (
    any_of(
        "antéro postéro supéro inféro médio latéro crânio cervico thoraco dorso lombo sacro costo sterno disco vertébro",
        "acromio scapulo omo gléno huméro radio cubito ulno carpo scapho luno trapézo métacarpo phalango ilio ischio pubo coxo",
        "fémoro patello tibio fibulo péronéo talo calcanéo cuboïdo naviculo tarso métatarso ostéo musculo capsulo",
        "ligamento cardio broncho pleuro hépato recto vésico uro abdomino",
    )
    + "$"
)
IS_OF_A_PLACE = re.compile(
    r"(?:\w*(?:al|ale|als|ales|aux|aires?|iens?|iennes?|eurs?|eures?|iaques?|idiens?)|sacrée?s?|thoraciques?|phréniques?|"
    r"diaphragmatiques?|claviculaires?)$",
    re.IGNORECASE,
)
STANDS_FIRST = any_of("sous sus demi avant arrière contre non mi semi peri ex quasi post") + "$"


def words_of(text: str) -> Iterator[str]:
    """Yield the words that ``text`` writes in one line, in lower case."""
    yield from re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", BROKEN.sub("\n", text.lower()))


def join_words(text: str, seen: Mapping[str, int] | None = None) -> str:
    r"""Return ``text`` with every word whole that a hyphen and a line's end break.

    What stands beside a digit or before a capital is a compound (``L5-\nS1``). Of the others, the way that more of ``seen``
    write it is taken; where none does, adjectives of places are compounds (``fémoro-\ntibial``) and the rest single words.

    Args:
        text: with its line ends; soft hyphens within lines go.
        seen: how many times each word, in lower case, is written in one line anywhere in the corpus.

    >>> join_words("Pas d'épanche-\nment. Espace L5-\nS1 normal, bord antéro-\nsupérieur.")
    "Pas d'épanchement. Espace L5-S1 normal, bord antéro-supérieur."
    """
    known = seen or {}

    def join(found: re.Match[str]) -> str:
        before, after = found["before"], found["after"]
        return f"{before}{'-' if _is_compound(before, after, found['hyphen'], known) else ''}{after}"

    return BROKEN.sub(join, text).replace("\xad", "").replace("\x02", "-").replace("\ufffe", "-")


def _is_compound(before: str, after: str, hyphen: str, seen: Mapping[str, int]) -> bool:
    if hyphen == "\xad":
        return False
    if before[-1].isdigit() or after[0].isdigit() or len(before) == 1 or (after[0].isupper() and not before.isupper()):
        return True
    whole, compound = (seen.get(f"{before}{between}{after}".lower(), 0) for between in ("", "-"))
    if whole or compound:
        return compound > whole
    last = re.split(r"[-'’]", before)[-1]
    if re.fullmatch(STANDS_FIRST, last, re.IGNORECASE):
        return True
    return bool(re.fullmatch(OF_PLACES, last, re.IGNORECASE) and IS_OF_A_PLACE.match(after))
