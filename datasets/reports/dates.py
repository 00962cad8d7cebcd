"""Dates as French and English reports write them: found, read, and moved without changing how they are written."""

import calendar
import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .found import around, plain, words

FRENCH = words("janvier février mars avril mai juin juillet août septembre octobre novembre décembre")
PLAIN_FRENCH = [plain(month) for month in FRENCH]
ENGLISH = words("january february march april may june july august september october november december")
WEEKDAYS = words("lundi mardi mercredi jeudi vendredi samedi dimanche")
THIS_CENTURY = 40
"""Two-digit years up to this one are of the 21st century."""
NO_YEAR = 2000
"""A date without a year moves within this leap year and the ones beside it."""

FRENCH_MONTH = (
    r"(?:janv(?:ier)?|jan|f[ée]v(?:r(?:ier)?)?|feb|mars|mar|avr(?:il)?|mai|juin|juil(?:let)?|ao[ûu]t|sept(?:embre)?|sep|"
    r"oct(?:obre)?|nov(?:embre)?|d[ée]c(?:embre)?)"
)
ENGLISH_MONTH = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
ANY_MONTH = f"(?:{FRENCH_MONTH}|{ENGLISH_MONTH})"
WORDS = re.compile(
    r"(?<![a-z])(?:janv?(?:ier)?|fev(?:r(?:ier)?)?|feb(?:ruary)?|mars?|march|avr(?:il)?|april|mai|may|juin|june|juil(?:let)?|july|aout|august|"
    r"sept?(?:embre|ember)?|oct(?:obre|ober)?|nov(?:embre|ember)?|dec(?:embre|ember)?|january|"
    r"(?:lun|mar|mercre|jeu|vendre|same)di|dimanche|fin|debut|mi|courant|mill?es?|"
    r"(?:premier|une?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|onze|[a-z]{2,5}ze|vingt|trente)(?= \d\d ))(?![a-z])"
)
"""In plain letters: names of months and days, and other words that dates are made of."""
REACH = 48
"""Letters beside such a word that may be part of its date, or tell that it is none."""
DAY, MONTH, YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:1[89]|20)\d\d"
UNIT = r"(?: ?(?:mm|cm|m|kg|g|mg|ml|cc|ui|%|°)\b)"
ANNOUNCES_DAY = (
    r"\b(?:du|le|les|au|aux|et|ou|depuis|jusqu['’]?au|vers|dès|datant|rdv|date|entre|partir du|[cds]\d{1,2}"
    rf"|{'|'.join(WEEKDAYS)})[ :(]{{1,2}}"
)
ANNOUNCES_YEAR = (
    r"(?:\b(?:en|depuis|de|année|été|printemps|automne|hiver|dès|fin|début|mi|courant|vers|avant|après|in|since)[ (-]{1,2}|\()"
)
NUMBER = (
    r"(?:premier|une?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|onze|douze|treize|quatorze|quinze|seize|vingts?|trente|"
    r"quarante|cinquante|soixante|cents?|mill?es?)"
)


@dataclass(frozen=True)
class Written:
    """A date in a text.

    Attributes:
        date: None where it cannot be read (dates in words).
        moved: from days to the text that stands there instead, written alike; None where the date cannot be read.
        whole: day, month and year are all there.
    """

    start: int
    end: int
    date: datetime.date | None = None
    moved: Callable[[int], str] | None = None
    whole: bool = False


def find_dates(text: str) -> Iterator[Written]:
    """Yield every date of a text, a longer reading of the same place before a shorter one.

    What could be something else (12/03, 2019) counts only after a word that announces a date.
    """
    matches = list(MISREAD.finditer(text))
    numbers: dict[int, list[int]] = {1: [], 4: [], 6: []}
    for number in re.finditer(r"\d+", text):
        length = number.end() - number.start()
        numbers[1 if length < 3 else 4 if length < 6 else 6].append(number.start())
    for form in AT_NUMBERS:
        end = 0
        for start in numbers[form.digits]:
            match = form.pattern.match(text, start) if start >= end else None
            if match and (form.after is None or form.after.search(text, max(0, start - REACH), start)):
                matches.append(match)
                end = match.end()
    for start, end in around(WORDS.finditer(plain(text)), REACH, REACH):
        matches += [match for form in AROUND_WORDS for match in form.pattern.finditer(text, start, end)]
    found = [written for match in matches if (written := _read(match))]
    yield from sorted(found, key=lambda written: (written.start - written.end, written.start))


def read_date(text: str) -> datetime.date | None:
    """Return the first whole date of a text, or None.

    >>> read_date("né le 4 février 1961 à Namur")
    datetime.date(1961, 2, 4)
    """
    whole = [written for written in find_dates(text) if written.whole]
    return min(whole, key=lambda written: written.start).date if whole else None


def _read(match: re.Match[str]) -> Written | None:
    parts = {name: part for name, part in match.groupdict().items() if part}
    start, end = match.span("all")
    if not parts.keys() & {"year", "month", "name"}:
        return Written(start, end)
    year = _year(parts["year"]) if "year" in parts else NO_YEAR
    # A month alone stands for its middle, a year alone for its middle.
    month = _month(parts["name"]) if "name" in parts else int(parts.get("month", 7))
    day = int(parts.get("day", 15))
    date = _date(year, month, day) or _date(year, day, month)
    if date is None:
        # 31/04/2020 is a slip of the pen, and still tells when.
        return Written(start, end) if {"day", "year"} <= parts.keys() else None

    def moved(days: int) -> str:
        return _rewritten(match, date + datetime.timedelta(days=days))

    return Written(start, end, date, moved, {"day", "year"} <= parts.keys())


def _rewritten(match: re.Match[str], date: datetime.date) -> str:
    """The text of a match with every part of the date replaced, last part first so that the places stay right."""
    day, month = match.groupdict().get("day") or "", match.groupdict().get("month") or "01"
    # 28.2.20 becomes 1.3.20, and 28.02.20 becomes 01.03.20; before the name of a month a zero is there or not.
    wide = day.startswith("0") if "name" in match.groupdict() else len(day) == len(month) == 2
    write: dict[str, Callable[[str], str]] = {
        "day": lambda _: f"{date.day:02d}" if wide else str(date.day),
        "ordinal": lambda _: "er" if date.day == 1 else "",
        "month": lambda _: f"{date.month:02d}" if wide else str(date.month),
        "year": lambda before: str(date.year)[-len(before) :],
        "name": lambda before: _month_name(date.month, before),
        "weekday": lambda before: _cased(WEEKDAYS[date.weekday()], before),
    }
    parts = [name for name, part in match.groupdict().items() if part and name in write]
    text, origin = match["all"], match.start("all")
    for name in sorted(parts, key=match.start, reverse=True):
        text = text[: match.start(name) - origin] + write[name](match[name]) + text[match.end(name) - origin :]
    return text


def _date(year: int, month: int, day: int) -> datetime.date | None:
    if 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]:
        return datetime.date(year, month, day)
    return None


def _year(digits: str) -> int:
    year = int(digits)
    return year if len(digits) > 2 else year + (2000 if year <= THIS_CENTURY else 1900)


def _month(name: str) -> int:
    """Return 1 to 12 for a French or English name or its first three letters; juin and juillet need four."""
    seen = plain(name)
    beginning = seen[: 4 if seen.startswith("jui") else 3]
    for names in (PLAIN_FRENCH, ENGLISH):
        for number, month in enumerate(names, start=1):
            if month.startswith(beginning):
                return number
    raise ValueError(f"{name!r} is no month")


def _month_name(month: int, before: str) -> str:
    seen = plain(before)
    full = seen in PLAIN_FRENCH or seen in ENGLISH
    name = (ENGLISH if seen in ENGLISH and seen not in PLAIN_FRENCH else FRENCH)[month - 1]
    return _cased(name if full else name[: 4 if name.startswith("jui") else 3], before)


def _cased(word: str, before: str) -> str:
    if before.isupper():
        return word.upper()
    return word.capitalize() if before[0].isupper() else word


@dataclass(frozen=True)
class Form:
    """A way to write a date.

    Attributes:
        digits: digits of its first number, at least: 1 for a day, 4 for a year, 6 for both in one.
        after: the words that must stand before it, if any.
    """

    pattern: re.Pattern[str]
    digits: int
    after: re.Pattern[str] | None


def _form(text: str, digits: int = 1, after: str | None = None) -> Form:
    return Form(re.compile(text, re.IGNORECASE), digits, re.compile(f"{after}$", re.IGNORECASE) if after else None)


NUMBERS = rf"{NUMBER}s?(?:[ \-](?:et[ \-])?{NUMBER}s?)*"
RANGE = r"(?= ?(?:et|au|à|ou|[\-&,+]) ?(?:le )?"
SOME_DAY = rf"(?P<day>{DAY}) ?[/.\-] ?(?P<month>{MONTH})"
SOME_YEAR = r"(?P<year>(?:19[2-9]|20[0-4])\d)"
NO_MEASURE = rf"(?![\d/]|[.,]\d|{UNIT})"
AT_NUMBERS = (
    # 2019-03-12, 12/03/2019, 12.3.19, 12 03 2019
    _form(rf"(?<![\d/.,])(?P<all>(?P<year>{YEAR})[/.\-](?P<month>{MONTH})[/.\-](?P<day>{DAY}))(?![\d/])", 4),
    _form(
        rf"(?<![\d/,])(?<!\d\.)(?P<all>(?P<day>{DAY}) ?([/.\-|]) ?(?P<month>\d\d?) ?[/.\-|] ?(?P<year>{YEAR}|\d\d))"
        rf"{NO_MEASURE}"
    ),
    _form(rf"(?<![\d.,/] )(?<![\d/.,])(?P<all>(?P<day>{DAY}) (?P<month>0[1-9]|1[0-2]) (?P<year>{YEAR}))(?![\d/]|[.,]\d| \d)"),
    # after words that announce a date: 12/03, 2019
    _form(rf"(?P<all>{SOME_DAY}){NO_MEASURE}", after=ANNOUNCES_DAY),
    _form(rf"(?P<all>{SOME_YEAR}){NO_MEASURE}", 4, after=ANNOUNCES_YEAR),
    _form(rf"(?P<all>{SOME_YEAR})(?= (?:: )?[^\W\d_]{{4}}){NO_MEASURE}", 4, after=r"(?:^|\n|[-–•] )"),
    # 12032019 and 1 2 0 3 2 0 1 9 after words that announce a date
    _form(
        rf"(?P<all>(?P<day>{DAY})(?P<month>0[1-9]|1[0-2])(?P<year>{YEAR}|\d\d))\b",
        6,
        after=r"\b(?:le|du|au|depuis|né|née|naissance)[ :]{1,3}",
    ),
    _form(r"(?<!\b\d )(?<![\d.,])(?P<all>[0-3] \d [01] \d (?:1 9|2 0) \d \d)(?!\d| \d\b)"),
    # (11/03), 12/03 14h: a month with its zero is no score
    _form(r"(?<=\()(?P<all>(?P<day>0[1-9]|[12]\d|3[01])/(?P<month>0[1-9]))(?=\))"),
    _form(
        r"(?<=[a-zà-ÿ] )(?P<all>(?P<day>0[1-9]|[12]\d|3[01])/(?P<month>0[1-9]|1[0-2]))"
        r"(?= ?(?:à )?(?:\d{1,2} ?h(?![^\W\d_])|matin|soir))"
    ),
    # 03/2019
    _form(rf"(?<![\d/.,\-])(?P<all>(?P<month>{MONTH})[/\-](?P<year>(?:19|20)\d\d))(?![\d/]|[.,\-]\d)"),
    # 18 in "18 et 19/01/2018", "18 au 19 janvier 2018"
    _form(
        rf"(?P<all>{DAY}(?:er)?){RANGE}{DAY}(?:/{MONTH}(?!\d)|[.\-]{MONTH}[.\-]| {ANY_MONTH}))",
        after=r"\b(?:du|les?|entre le) ",
    ),
    _form(rf"(?<![\d/.,\-])(?P<all>{DAY})(?=-{DAY}/{MONTH}/(?:{YEAR}|\d\d)\b)"),
    # a year at the end of a clause: appendicectomie 1998, ...
    _form(
        r"(?<=[a-zà-ÿA-Z)] )(?P<all>(?P<year>(?:19[3-9]|20[0-3])\d))"
        r"(?=[,;)\n]|\.(?!\d)|$| (?:\(|(?:en|avec|par|pour|chez|:|sur|au|puis|et) ))",
        4,
    ),
    _form(r"(?<=[a-zà-ÿA-Z)], )(?P<all>(?P<year>(?:19[3-9]|20[0-3])\d))(?=\))", 4),
)
"""Forms that begin with the first digit of a number."""
AROUND_WORDS = (
    # mardi 12 mars 2019, 12 mars, 12 March 2019, March 12, 2019, mars 2019, mars 19
    _form(
        rf"(?P<all>(?:\b(?P<weekday>{'|'.join(WEEKDAYS)}) )?(?<![\d/.,])(?P<day>{DAY})(?P<ordinal>er)?[ ,\-]{{0,2}}"
        rf"(?P<name>{ANY_MONTH})\.?[ ,\-]{{0,2}}(?P<year>{YEAR}|\d\d(?![\d/:,.]\d| \d| ?h)))(?!\w)"
    ),
    _form(
        rf"(?P<all>(?:\b(?P<weekday>{'|'.join(WEEKDAYS)}) )?(?<![\d/.,])(?P<day>{DAY})(?P<ordinal>er)? ?"
        rf"(?P<name>{FRENCH_MONTH}))(?!\w)"
    ),
    _form(rf"\b(?P<all>(?P<name>{ANY_MONTH})\.? (?P<day>{DAY})(?:st|nd|rd|th)?, ?(?P<year>{YEAR}))(?!\d)"),
    _form(rf"\b(?P<all>(?P<name>{ANY_MONTH})\.?[ \-]?(?P<year>{YEAR}))(?!\d)"),
    _form(rf"\b(?P<all>(?P<year>{YEAR}) (?P<name>{ANY_MONTH}))(?!\w)"),
    _form(
        rf"\b(?P<all>(?P<name>janvier|f[ée]vrier|avril|juillet|ao[ûu]t|septembre|octobre|novembre|d[ée]cembre) "
        rf"(?P<year>\d\d))(?![\d.,/]\d|\w|{UNIT})"
    ),
    # mai à juin 2019
    _form(rf"\b(?P<all>(?P<name>{ANY_MONTH}))(?= ?(?:à|au|et|-) ?{ANY_MONTH}\.? ?{YEAR})"),
    # lundi 9
    _form(
        rf"\b(?P<all>(?P<weekday>{'|'.join(WEEKDAYS)}) (?P<day>{DAY})(?:er)?)(?![\d/:%]|[.,]\d|\w| ?h|{UNIT}| ?%| heures| ans)"
    ),
    # fin septembre, mi-2025, fin mars 2020
    _form(
        r"\b(?:en|depuis|dès|pour|prévue?s? en) (?P<all>(?P<name>janvier|f[ée]vrier|mars|avril|mai|juin|juillet|ao[ûu]t|"
        r"septembre|octobre|novembre|d[ée]cembre))(?!\w)"
    ),
    _form(
        rf"\b(?P<all>(?:fin|début|mi|courant)[ \-](?P<name>janvier|f[ée]vrier|mars|avril|mai|juin|juillet|ao[ûu]t|"
        rf"septembre|octobre|novembre|d[ée]cembre)(?: (?P<year>{YEAR}))?)(?!\w)"
    ),
    _form(r"\b(?P<all>(?:fin|début|mi|courant)[ \-](?P<year>(?:19[2-9]|20[0-4])\d))(?![.,]?\d|\w)"),
    _form(rf"\b(?P<all>deux[ \-]mil(?:le)?s?(?:[ \-](?:et[ \-])?{NUMBER}s?)+)(?!\w)"),
    _form(rf"\b(?P<all>mil(?:le)?[ \-]neuf[ \-]cents?(?:[ \-](?:et[ \-])?{NUMBER}s?)+)(?!\w)"),
    # le douze mars deux mille dix-neuf: no number to move
    _form(
        rf"\b(?P<all>{NUMBER}(?:[ \-](?:et )?{NUMBER})? (?:{FRENCH_MONTH}|\d\d) (?:{YEAR}|\d\d|{NUMBERS})"
        rf"|{DAY}(?:er)? {FRENCH_MONTH} {NUMBERS})(?!\w)"
    ),
)
"""Forms that begin with or hold one of `WORDS`."""
MISREAD = re.compile(
    r"(?P<all>[0-3lIO](?<![\w/.].)(?<=(?=[\d/.\-]{0,9}[lIO]).)[\dlIO][/.\-][01lIO][\dlIO][/.\-](?:[1lI]9|2[0O])[\dlIO]{2})(?![\w/])"
)
"""l2/O4/2018, as a scanner reads it."""
