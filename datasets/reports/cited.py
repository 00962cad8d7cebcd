"""Works of others that a text cites: their authors and journals are public, and stay.

A reference is a list of authors as journals print it (family name, initials) and what follows up to year, volume and page,
without a title or a role in it.
"""

import re

from .found import any_of

AUTHOR = r"(?:(?:[Vv]an|[Vv]on|[Dd]e|[Dd]el|[Ll]e|[Ll]a|El|Al|Ben)[ \-])*[A-ZÀ-Ý][\w'’]+(?:-\n?[A-Z]\w+)* [A-Z]{1,3}"
AUTHORS = re.compile(rf"(?<!\w)(?:{AUTHOR}\.?,\s)*{AUTHOR}(?=[.,])")
AND_OTHERS = re.compile(rf"(?<!\w)(?:{AUTHOR}\.?,\s)+{AUTHOR}\.?,? et al\b")
CLOCK = r"(?:[01]?\d|2[0-3]) ?[:h] ?[0-5]\d(?![\d\-])"
VOLUME_AND_PAGE = re.compile(
    r"(?<![\d/.\-])(?:19|20)\d\d(?: [A-Z][a-z]{2,8}\.?(?: \d{1,2})?)?[;:] ?"
    rf"(?!{CLOCK})\d{{1,4}} ?(?:\([\w \-]{{1,9}}\) ?)?[:,] ?[eS]?\d+"
)
"""After a year: ``2009;32(7):1335``, not ``le 12 mars 2021: 10:30``."""
TITLE = any_of(
    r"Drs? Docteurs? Pr Prof Professeure? Mr Mmes? Mlle Messieurs Mesdames Monsieur Madame Mademoiselle DR PR MR MME MLLE",
    r"DOCTEUR PROFESSEUR MONSIEUR MADAME MADEMOISELLE (?<!\w_)M\.(?=_[A-Z])",
)
ROLE = any_of(
    "internes? externes? chefs? s[ée]niors? radiologues? m[ée]decins? chirurgiens? an[ée]sth[ée]sistes? infirmi[èe]re?s?",
    r"op[ée]rat(?:eur|rice) manip\w* secr[ée]taires? patiente? pr[ée]sente?s? prescripteur demandeur",
)
OF_THE_HOUSE = re.compile(rf"(?<!\w)(?:{TITLE}(?!\w)|(?i:{ROLE}) ?:)|[,(] ?(?i:{ROLE})(?!\w)")
"""Somebody who treats or is treated: a title, or a role before a colon or after a comma."""
BEFORE = 16
"""Letters before the first author in which a role may stand."""
REACH = 600
"""Letters from the first author to the page."""


def cited_places(text: str) -> set[int]:
    """Return the places of all letters of the references in a text.

    >>> len(cited_places("Durand P, Morel AB. Os et repos. Rev Exemple. 2009;32(7):1335-43."))
    61
    """
    found = AND_OTHERS.finditer(text) if "et al" in text else ()
    stretches = [match.span() for match in found if not _of_the_house(text, *match.span())]
    end = 0
    for page in VOLUME_AND_PAGE.finditer(text):
        start = max(end, page.start() - REACH, text.rfind("\n\n", 0, page.start()))
        for authors in AUTHORS.finditer(text, start, page.start()):
            if not _of_the_house(text, authors.start(), page.end()):
                stretches.append((authors.start(), page.end()))
                break
        end = page.end()
    return {place for stretch in stretches for place in range(*stretch)}


def _of_the_house(text: str, start: int, end: int) -> bool:
    return OF_THE_HOUSE.search(text, max(0, start - BEFORE), end) is not None
