"""A report without identities: what is known of the patient first, then what looks like an identity.

The road of a text: finders (`find_known`, then `FINDERS` in their order) say where something stands and what it is, `resolve`
makes one list of spans of their claims, and each span gets a surrogate that depends on the key alone.
"""

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..pseudonyms import Key
from .cited import cited_places
from .dates import find_dates
from .eponyms import eponym_places
from .finders import FINDERS
from .found import Found, plain, readable, words
from .lists import vocabulary
from .surrogates import HOSPITALS, address_for, cased_as, digits_for, name_for, other_than, place_for
from .word_kinds import KIN, LARGE_TOWNS

PEOPLE, PLACES = frozenset({"PERSON", "NAME"}), frozenset({"TOWN", "INSTITUTION"})
"""Labels of names."""
PARTICLES = frozenset(words("de du des van den der von la le les et ter ten el al ben di da d l saint sainte"))
TITLES = frozenset(words("dr drs docteur pr prof professeur m mr mme mlle monsieur madame"))
GENERIC = PARTICLES | set(
    words(
        "clinique cliniques hopital hopitaux centre hospitalier universitaire universitaires regional general medical chu chr "
        "chru chc ch gh groupe institut polyclinique cabinet service imagerie radiologie maison fondation"
    )
)
"""Words that say what an institution is, and not which."""
NEXT_TO = re.compile(r"[\s,\-]{1,3}")
SHORTEST_MISREAD = 5
"""Letters of a name that is known again with one letter wrong."""
SHORTEST_ALONE = 3
"""A part of a name counts wherever it stands from so many letters on; shorter ones only beside another part."""
ANNOUNCES = re.compile(rf"\b(?:jeune|enfant|bebe|nourrisson|(?:pre)?nommee?|{KIN.pattern}) $")
"""In plain letters: before a known name that is a word too."""
CAPITALISED = re.compile(r"[A-ZÀ-ÞŒŠŽ](?<![^\W_].)[^\W_]{3,}")
EXTENSION = re.compile(
    r"(?:,? [a-zéè]{3,12})?(?: ?[(:–\-] ?(?:[a-zéè\-]{3,14}[,:]? )?| ?t[ée]l\.? ?)"
    r"(?P<it>\d\d[ .]?\d{2,3}|\d{4,6}|\d[ \-]\d{4})(?![\d/]|[.,]\d|\w| ?(?:ans|%|mm|\d))"
)
"""Four to six digits after a person, and perhaps a role."""


@dataclass(frozen=True)
class Known:
    """What header and patient block say of a study.

    Attributes:
        names: parts of the patient's name.
        identifiers: numbers of the patient and the examination.
        people: physicians and staff.
        places: institutions.
    """

    names: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    birth_date: datetime.date | None = None
    people: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Span:
    """A stretch ``[start, end)`` of the original text and what stands there instead."""

    start: int
    end: int
    label: str
    surrogate: str


def pseudonymize(text: str, key: Key, patient: str, known: Known | None = None) -> tuple[str, list[Span]]:
    """Return the text with every identity replaced, and where; the same key and patient give the same surrogates and days.

    Dates move by the key's days for this patient, in their own notation. Names of diseases, lines and angles stay
    (``stade 2 de Kellgren et Lawrence``), unless a title, or the other name of somebody known, makes a person of them; authors
    of cited works stay as well. Spaces that are no ASCII ones, and accents apart from their letters, are read like others;
    places are those of ``text`` as it is.
    """
    original = text
    text, places = readable(text)
    eponyms = eponym_places(text)
    claims = _without_public(eponyms, find_known(text, known)) if known else []
    public = eponyms | cited_places(text)
    claims += _without_public(public, (found for finder in FINDERS for found in finder(text)))
    for label, kinds in (("PERSON", PEOPLE), ("TOWN", PLACES)):
        again = find_again(text, label, [claim for claim in claims if claim.label in kinds])
        claims += _without_public(public, again)
    claims += find_extensions(text, [claim for claim in claims if claim.label == "PERSON"])
    spans = [
        Span(
            places[claim.start], places[claim.end], claim.label, _surrogate(text[claim.start : claim.end], claim, key, patient)
        )
        for claim in resolve(text, claims)
    ]
    return replace(original, spans), spans


def _without_public(places: set[int], claims: Iterable[Found]) -> list[Found]:
    """Return the claims less names at ``places``: ``fracture de Judet``, even if the patient is called so.

    Beside another name, or both names of the patient, it is a person: ``fracture de Thomas Martin``.
    """
    claims = list(claims)
    public = {claim for claim in claims if claim.label in PEOPLE | PLACES and places.issuperset(range(claim.start, claim.end))}
    people = [claim for claim in claims if claim.label == "NAME" or (claim.label == "PERSON" and claim not in public)]
    starts, ends = {claim.start for claim in people}, {claim.end for claim in people}
    return [claim for claim in claims if claim not in public or claim.end + 1 in starts or claim.start - 1 in ends]


def replace(text: str, spans: Sequence[Span]) -> str:
    """Return ``text`` with the surrogates of ``spans`` (sorted, apart) in place."""
    pieces, end = [], 0
    for span in spans:
        pieces += [text[end : span.start], span.surrogate]
        end = span.end
    return "".join([*pieces, text[end:]])


def place_after(place: int, spans: Iterable[Span]) -> int:
    """Return where ``place`` of the original text is in the replaced one; inside a span, where its surrogate ends."""
    moved = place
    for span in spans:
        if span.start < place:
            moved += len(span.surrogate) - (span.end - span.start) + max(0, span.end - place)
    return moved


def resolve(text: str, claims: Iterable[Found]) -> list[Found]:
    """Return claims that do not overlap, in reading order, covering everything that any claim covers.

    The earlier claim keeps its letters, a later one what is left of it.
    """
    owner: dict[int, Found] = {}
    for claim in claims:
        for place in range(claim.start, claim.end):
            owner.setdefault(place, claim)
    kept: list[Found] = []
    end = 0
    for start in sorted(owner):
        if start < end:
            continue
        claim, end = owner[start], start + 1
        while owner.get(end) is claim:
            end += 1
        stretch = text[start:end]
        if re.search(r"\w", stretch):
            left, right = len(stretch) - len(stretch.lstrip()), len(stretch.rstrip())
            whole = (start, end) == (claim.start, claim.end)
            kept.append(
                Found(start + left, start + right, claim.label, claim.moved if whole else None, claim.of if whole else None)
            )
    return kept


# --- known identities ------------------------------------------------------------------------------------------------


def find_known(text: str, known: Known) -> Iterator[Found]:
    """Yield what is known, however it is written: other case, without accents, in another order, hyphen or space."""
    lowered = plain(text)
    names, people, places = ([readable(one)[0] for one in ones] for ones in (known.names, known.people, known.places))
    for identifier in known.identifiers:
        yield from _everywhere(_loosely(identifier), "ID", lowered)
    for called, label in ((names, "NAME"), *(((person,), "PERSON") for person in people)):
        yield from _known_names(called, label, text, lowered)
    yield from _misread([*names, *people], text, lowered)
    for place in places:
        for name in (place, _own_name(place)):
            yield from _everywhere(_loosely(name), "INSTITUTION", lowered)
    if known.birth_date:
        for date in find_dates(text):
            if date.date == known.birth_date:
                yield Found(date.start, date.end, "BIRTH_DATE", date.moved)


def _known_names(names: Iterable[str], label: str, text: str, lowered: str) -> Iterator[Found]:
    """Yield whole names first, then their words.

    A French word in lower case (``la petite``) is one only beside another, or after ``la jeune``.
    """
    names = [name for name in names if re.search(r"[^\W\d_]{2}", name)]
    for name in sorted(names, key=len, reverse=True):
        if len(re.findall(r"[^\W\d_]+", name)) > 1:
            yield from _everywhere(_loosely(name), label, lowered)
    parts = {word for name in names for word in re.findall(r"[^\W\d_]+", plain(name))} - PARTICLES - TITLES
    parts = sorted(part for part in parts if len(part) > 1)
    if not parts:
        return
    found = list(_everywhere(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, parts))})(?![^\W_])", label, lowered))
    for place, one in enumerate(found):
        beside = [other for other in found[max(0, place - 1) : place + 2] if other is not one]
        near = any(NEXT_TO.fullmatch(text[min(one.end, other.end) : max(one.start, other.start)]) for other in beside)
        named = text[one.start].isupper() or lowered[one.start : one.end] not in vocabulary()
        named = named or ANNOUNCES.search(lowered, max(0, one.start - 16), one.start)
        if near or (named and one.end - one.start >= SHORTEST_ALONE):
            yield one


def _misread(names: Iterable[str], text: str, lowered: str) -> Iterator[Found]:
    """Yield capitalised words that are one letter away from a name (``DUP0NT``, ``Lefebre``) and no word of French."""
    parts = {_as_scanned(word): word for name in names for word in re.findall(r"[^\W\d_]+", plain(name))}
    parts = {seen: word for seen, word in parts.items() if len(seen) >= SHORTEST_MISREAD and word not in PARTICLES | TITLES}
    for match in re.finditer(r"[^\W_]{4,}", lowered) if parts else ():
        if text[match.start()].islower() or match[0].isdigit() or match[0] in vocabulary():
            continue
        seen = _as_scanned(match[0])
        for part, word in parts.items():
            if _one_edit(seen, part):
                yield Found(*match.span(), "NAME", of=word)


def _as_scanned(word: str) -> str:
    """Return a word as a scanner may have read it: 0 and o, 1, i and l, 5 and s, rn and m are one."""
    return word.replace("rn", "m").translate(str.maketrans("01i58", "ollsb"))


def _one_edit(word: str, other: str) -> bool:
    """Say whether at most one letter was added, left out or changed, or two neighbours swapped."""
    if abs(len(word) - len(other)) > 1:
        return False
    same = 0
    while same < min(len(word), len(other)) and word[same] == other[same]:
        same += 1
    rest, left = word[same:], other[same:]
    return rest[1:] in (left, left[1:]) or rest == left[1:] or (rest[:2] == left[1::-1] and rest[2:] == left[2:])


def _own_name(place: str) -> str:
    """Return an institution's name without the words that say what it is, if anything is left."""
    pieces = place.split()
    while len(pieces) > 1 and plain(pieces[0]).strip(".'") in GENERIC:
        pieces = pieces[1:]
    return " ".join(pieces)


def _loosely(value: str) -> str:
    """Return a pattern for ``value`` that forgives separators between its letters and digits: 61.02.04-123.45."""
    pieces = re.findall(r"[a-z]+|\d", plain(value))
    if sum(map(len, pieces)) < SHORTEST_ALONE:
        return r"(?!)"
    return r"(?<![^\W_])" + r"[\s.\-/']{0,2}".join(map(re.escape, pieces)) + r"(?![^\W_])"


def _everywhere(pattern: str, label: str, lowered: str) -> Iterator[Found]:
    for match in re.finditer(pattern, lowered):
        yield Found(match.start(), match.end(), label)


def find_again(text: str, label: str, once: Iterable[Found]) -> Iterator[Found]:
    """Yield the other places of names that were found once: ``Mme Dupont`` makes ``DUPONT`` a name in the whole text.

    Of towns and institutions only words that French does not know.
    """
    stretches = (plain(text[found.start : found.end]) for found in once)
    seen = {word for stretch in stretches for word in re.findall(r"[^\W\d_]{4,}", stretch)} - PARTICLES - TITLES
    if label == "TOWN":
        seen = {word for word in seen - GENERIC if word not in vocabulary() or word in LARGE_TOWNS}
    for match in CAPITALISED.finditer(text) if seen else ():
        if plain(match[0]) in seen:
            yield Found(*match.span(), label)


def find_extensions(text: str, people: Iterable[Found]) -> Iterator[Found]:
    """Yield the short numbers after people: ``Dr Roy (37 412)``."""
    for person in people:
        number = EXTENSION.match(text, person.end)
        if number:
            yield Found(*number.span("it"), "PHONE")


# --- surrogates -------------------------------------------------------------------------------------------------------


def _surrogate(stretch: str, claim: Found, key: Key, patient: str) -> str:
    match claim.label:
        case "NAME" | "PERSON":
            return name_for(cased_as(stretch, claim.of) if claim.of else stretch, key, patient)
        case "DATE" | "BIRTH_DATE":
            return claim.moved(key.days(patient)) if claim.moved else "[date]"
        case "ID" | "PHONE":
            return digits_for(stretch, key, patient)
        case "EMAIL":
            return "nom@example.org"
        case "URL":
            return "https://example.org"
        case "ADDRESS":
            return address_for(stretch, key, patient)
        case "TOWN":
            return place_for(stretch, key, patient)
        case "INSTITUTION":
            own = _own_name(stretch)
            kind = [word for word in stretch[: len(stretch) - len(own)].split() if plain(word) not in PARTICLES]
            chosen = other_than(own, key, "hospital", f"{patient}|{plain(own)}", HOSPITALS)
            return " ".join([*kind, chosen])
        case "AGE":
            return "90"
    raise ValueError(f"no surrogate for {claim.label}")
