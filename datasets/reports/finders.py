"""What looks like an identity in a text: an ordered list of finders, each from a text to the stretches it recognises.

A finder knows one kind of thing and decides by the words around it. Where two finders claim the same letters the earlier one
of `FINDERS` names them, and nothing that any of them found is left.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from .dates import find_dates
from .found import Found, any_of, around, matches
from .packs import CLEAR_PHONES, NUMBERS, PHONES, checked_numbers, pack_postcodes
from .people import people
from .places import addresses, places

Finder = Callable[[str], Iterable[Found]]

LONG = re.compile(r"\d(?:[ .\-/()O]{0,4}\d){5,}")
BESIDE = 24
"""Letters beside a row of digits that may belong to it."""
SHORT = re.compile(r"\d(?:[ .\-/()O]{0,4}\d){2,}")
BEFORE = 100
"""Letters before a row of digits in which its label may stand."""
EMAIL = re.compile(r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)*")
URL = re.compile(r"(?:https?://|www\.)[^\s,;)]+", re.IGNORECASE)
PHONE = re.compile(
    r"(?<![\w.,/])(?<!\d )(?!\d\d[/.\- ]\d\d[/.\- ](?:19|20)\d\d|[01]\d[/ ](?:19|20)\d\d )"
    rf"(?:{PHONES}|(?:\+|00)\d{{2,3}}[ .\-/]?(?:\(0\))?(?:[ .\-/]?\d{{1,4}}){{3,5}})"
    r"(?!\d|[.,]\d| \d{1,3}\b)"
)
CLEAR_PHONE = re.compile(rf"(?<![\d/])(?<!\d[.,]){CLEAR_PHONES}(?!\d|/)")
CALLED = re.compile(
    r"\b"
    + any_of(
        r"t[ée]l(?:[ée]phone|\.|s)? fax gsm portable mobile postes? bip dect standard joignables?_au",
        r"appel(?:er|ez)_(?:le|au) num[ée]ro",
    )
    + r"[ :.°n]*(?:au |le |interne )?(?P<it>[+(]?\d[\d ./\-()]{2,}\d|(?<=oste )\d{3}\b)",
    re.IGNORECASE,
)
ON_CALL = re.compile(
    r"\b(?i:cadre|interne|externe|s[ée]nior|garde|astreinte|secr[ée]tariat|ide|accueil|hospitalisation|rendez-vous)[ :]{1,3}"
    r"(?P<it>\d-\d{4}|\d\d[ .]\d{3}|\d{5}|(?!19|20)\d{4})(?![\d/\-]|[.,]\d|\w| \d| ?[%a-zà-ÿ])"
)
NATIONAL = re.compile(
    rf"(?<![\d.,])(?<!\b\d )(?:{NUMBERS}"
    r"|\d{1,3}(?: \d{2,3}){4,5} \d\d"
    r"|[A-Z]?\d{8,}"
    r")(?!\d|[.,]\d| \d)"
)
BOXES = re.compile(r"(?<![\d.,])(?<!\b\d )(?!(\d)(?: \1)+\b(?! \d))\d(?: \d\b){6,}(?! \d\b)")
"""Digits typed into boxes, not all the same."""
NUMBERED = re.compile(
    r"(?<!\w)"
    + any_of(
        r"i\.?p\.?p?\.? n\.?d\.?a\.? nip niss nir nss inami rpps adeli finess matricule dossiers? visite s[ée]jour",
        r"s[ée]curit[ée]_sociale assurance_maladie registre_national identifiant identification id_national",
        r"num[ée]ro_d['’]id\w* id examen_n[°º] accession patiente?",
    )
    + r"(?: (?:est|[ée]tant|le|du|de|la|patiente?|num[ée]ro|sous|national|\(\w+\)))*(?:[ :=#.\[(]|n?[°º])*"
    r"(?P<it>(?=[A-Z0-9./\-]*\d{3})[A-Z0-9][A-Z0-9./\-]{2,}[A-Z0-9]|\d(?:[ .]?\d){5,})(?!\w)",
    re.IGNORECASE,
)
COUNTED = re.compile(
    r"(?<!\w)(?:[nN][°º]|[nN]um[ée]ro|[Rr][ée]f\.?|R[EÉ]F\.?|[Rr][ée]f[ée]rence)(?: [A-Z]{2,6}\b)?[ :]*"
    r"(?P<it>(?=[A-Z0-9./\-]*\d{4})[A-Z0-9][A-Z0-9./\-]{3,}[A-Z0-9]|\d(?: ?\d){7,14})(?!\w)"
)
BORN = re.compile(r"(?:n[ée](?:\(?e\)?)?|naissance|naiss\.|d\.?d\.?n\.?)[^\w\n]{0,3}(?:le|en|:)?[^\w\n]{0,3}$", re.IGNORECASE)
OLD = re.compile(r"\b(?P<it>9\d|1[0-2]\d)(?=[ \-]?ans\b)")


def emails(text: str) -> Iterator[Found]:
    if "@" in text:
        yield from matches(EMAIL, "EMAIL", text)


def web_addresses(text: str) -> Iterator[Found]:
    yield from matches(URL, "URL", text)


def numbers(text: str) -> Iterator[Found]:
    """Patient, stay and national numbers: by their check digit, their label, their form, or their length."""
    long = around(LONG.finditer(text), BESIDE, BESIDE)
    labelled = around(SHORT.finditer(text), BEFORE, BESIDE)
    yield from checked_numbers(text)
    yield from matches(NUMBERED, "ID", text, labelled)
    yield from matches(NATIONAL, "ID", text, long)
    yield from matches(BOXES, "ID", text, long)
    yield from matches(COUNTED, "ID", text, labelled)


def phones(text: str) -> Iterator[Found]:
    long, labelled = around(LONG.finditer(text), BESIDE, BESIDE), around(SHORT.finditer(text), BEFORE, BESIDE)
    yield from matches(CLEAR_PHONE, "PHONE", text, long)
    yield from matches(PHONE, "PHONE", text, long)
    yield from matches(CALLED, "PHONE", text, labelled)
    yield from matches(ON_CALL, "PHONE", text, labelled)


def dates(text: str) -> Iterator[Found]:
    for date in find_dates(text):
        born = BORN.search(text[max(0, date.start - 30) : date.start])
        yield Found(date.start, date.end, "BIRTH_DATE" if born else "DATE", date.moved)


def great_ages(text: str) -> Iterator[Found]:
    """Ages from 90 on are as good as names."""
    yield from matches(OLD, "AGE", text)


FINDERS: tuple[Finder, ...] = (
    emails,
    web_addresses,
    numbers,
    phones,
    dates,
    great_ages,
    addresses,
    places,
    pack_postcodes,
    people,
)
