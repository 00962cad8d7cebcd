"""What is written differently from country to country: telephone numbers, postcodes, numbers of people and practitioners.

A pack is data. Its check digits make an identifier of a number that nothing else announces; without a right one a bare number
is a measurement.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .found import Found


@dataclass(frozen=True)
class Pack:
    """A country's notations.

    Attributes:
        phones: patterns of telephone numbers without a country code.
        clear_phones: of those, patterns that are telephone numbers whatever stands beside them.
        postcodes: patterns of postcodes that need no town beside them.
        numbers: patterns of numbers of people and practitioners whose form is enough, be their check right or mistyped.
        identifiers: for a length in digits, whether the digits carry their check.
    """

    phones: tuple[str, ...] = ()
    clear_phones: tuple[str, ...] = ()
    postcodes: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    identifiers: tuple[tuple[int, Callable[[str], bool]], ...] = ()


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def _ean(digits: str) -> bool:
    return sum(int(digit) * (1 + 2 * (place % 2)) for place, digit in enumerate(reversed(digits))) % 10 == 0


def niss(digits: str) -> bool:
    """Belgian national number: birth date, order, 97 less the rest by 97; a 2 stands before it for births from 2000 on."""
    born = int(digits[2:4]) % 20 <= 12 and int(digits[4:6]) <= 31
    return born and int(digits[9:]) in {97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97}


def inami(digits: str) -> bool:
    """Belgian practitioner: profession, number, 97 less the rest by 97, qualification."""
    return digits[0] in "1234568" and int(digits[6:8]) == 97 - int(digits[:6]) % 97


def nir(digits: str) -> bool:
    """French social security: sex, year, month, place, order, 97 less the rest by 97."""
    return digits[0] in "123478" and int(digits[3:5]) <= 42 and int(digits[13:]) == 97 - int(digits[:13]) % 97


def rpps(digits: str) -> bool:
    """French practitioner: Luhn over eleven digits that begin with 10."""
    return digits.startswith("10") and _luhn(digits)


def finess(digits: str) -> bool:
    """French establishment: Luhn over nine digits that begin with a department."""
    return digits[:2] not in {"00", "99"} and _luhn(digits)


BELGIUM = Pack(
    phones=(r"0\d{1,3}[ /.\-]{1,3}\d{2,3}(?:[ .\-]?\d\d){2}",),
    numbers=(
        r"\d{2}[. ]?[01]\d[. ]?[0-3]\d[ .\-/]?\d{3}[ .\-/]?\d{2}",  # NISS: born, order, check
        r"[1-8]-\d{5}-\d\d-\d{3}",  # INAMI
    ),
    identifiers=((11, niss), (11, inami)),
)
FRANCE = Pack(
    phones=(
        r"(?:\(?(?:\+|00)?\d\d\)?[ .]?)\(?[0O]?\)?[1-9](?:[ .\-/]{0,2}[\dO]{2}){4}",  # country code first
        r"[0O][1-9](?:[ .\-/]{0,2}[\dO]{2}){4}",
    ),
    clear_phones=(r"0[1-9]([ .\-]?)\d\d(?:\1\d\d){3}",),
    numbers=(r"[1-478] ?\d\d ?[01]\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3}(?: ?\d\d)?",),  # NIR: sex, born, place, order, check
    identifiers=((15, nir), (11, rpps), (9, finess)),
)
SWITZERLAND = Pack(
    phones=(r"0[1-9]\d[ .]\d{3}[ .]\d\d[ .]\d\d",),
    identifiers=((13, lambda digits: digits.startswith("756") and _ean(digits)),),  # AHV number
)
LUXEMBOURG = Pack(phones=(r"(?:2[67]|6[269]1)[ .]\d{2,3}[ .]\d{2,3}(?:[ .]\d{2,3})?(?![\w/\-])",))
CANADA = Pack(
    phones=(r"\(?[2-9]\d\d\)?[ .\-][2-9]\d\d-\d{4}",),
    postcodes=(r"[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d",),
    identifiers=((9, _luhn),),  # social insurance number
)
PACKS = (FRANCE, BELGIUM, SWITZERLAND, LUXEMBOURG, CANADA)


def _any(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


PHONES = _any(phone for pack in PACKS for phone in pack.phones)
CLEAR_PHONES = _any(phone for pack in PACKS for phone in pack.clear_phones)
NUMBERS = _any(number for pack in PACKS for number in pack.numbers)
_POSTCODE = re.compile(rf"(?<!\w){_any(code for pack in PACKS for code in pack.postcodes)}(?!\w)")
_GROUPED = re.compile(r"(?<![\w.,])\d+(?:[ .\-/]{1,2}\d{1,6}){0,8}(?![\w]|[.,]\d)")


def pack_postcodes(text: str) -> Iterator[Found]:
    for match in _POSTCODE.finditer(text):
        yield Found(*match.span(), "TOWN")


def checked_numbers(text: str) -> Iterator[Found]:
    """Yield numbers that carry a right check digit; nine digits only in one piece or three of three."""
    for match in _GROUPED.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if len(digits) == 9 and not re.fullmatch(r"\d{9}|\d{3}[ .]\d{3}[ .]\d{3}", match[0]):
            continue
        if any(len(digits) == length and check(digits) for pack in PACKS for length, check in pack.identifiers):
            yield Found(*match.span(), "ID")
