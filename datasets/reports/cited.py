"""Works of others that a text cites: their authors and journals are public, and stay.

A reference is a list of authors as journals print it (family name, initials) and what follows up to year, volume and page.
"""

import re

AUTHOR = r"(?:(?:[Vv]an|[Vv]on|[Dd]e|[Dd]el|[Ll]e|[Ll]a|El|Al|Ben)[ \-])*[A-ZÀ-Ý][\w'’]+(?:-\n?[A-Z]\w+)* [A-Z]{1,3}"
AUTHORS = re.compile(rf"(?<!\w)(?<!Dr )(?<!Pr )(?:{AUTHOR}\.?,\s)*{AUTHOR}(?=[.,])")
AND_OTHERS = re.compile(rf"(?<!\w)(?:{AUTHOR}\.?,\s)+{AUTHOR}\.?,? et al\b")
VOLUME_AND_PAGE = re.compile(r"\d[;:] ?\d{1,4} ?(?:\([\w \-]{1,9}\) ?)?[:,] ?[eS]?\d+")
REACH = 600
"""Letters from the first author to the page."""


def cited_places(text: str) -> set[int]:
    """Return the places of all letters of the references in a text.

    >>> len(cited_places("Durand P, Morel AB. Os et repos. Rev Exemple. 2009;32(7):1335-43."))
    61
    """
    stretches = [match.span() for match in AND_OTHERS.finditer(text)] if "et al" in text else []
    end = 0
    for page in VOLUME_AND_PAGE.finditer(text):
        start = max(end, page.start() - REACH, text.rfind("\n\n", 0, page.start()))
        authors = AUTHORS.search(text, start, page.start())
        if authors:
            stretches.append((authors.start(), page.end()))
        end = page.end()
    return {place for stretch in stretches for place in range(*stretch)}
