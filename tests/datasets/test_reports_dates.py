"""Dates in reports: found, read, and moved in their own notation."""

import datetime

import pytest

from radsweep.datasets.reports.dates import find_dates, read_date


def moved(text: str, days: int) -> str:
    """The text with its first date moved."""
    written = next(find_dates(text))
    assert written.moved is not None
    return text[: written.start] + written.moved(days) + text[written.end :]


@pytest.mark.parametrize(
    ("text", "days", "expected"),
    [
        ("le 28/02/2020 ici", 2, "le 01/03/2020 ici"),
        ("le 28.2.20", 2, "le 1.3.20"),
        ("2020-12-31", 1, "2021-01-01"),
        ("mardi 31 décembre 2019", 1, "mercredi 1 janvier 2020"),
        ("le 1er FÉVRIER 2021", 30, "le 3 MARS 2021"),
        ("le 31 janv. 2021", 1, "le 1 fév. 2021"),
        ("le 5 juillet", 31, "le 5 août"),
        ("March 4, 2021", -4, "February 28, 2021"),
        ("en mars 2019", 365, "en mars 2020"),
        ("opéré en 2015", 800, "opéré en 2017"),
        ("contrôle du 12/03", 30, "contrôle du 11/04"),
    ],
)
def test_a_date_moves_in_its_own_notation(text: str, days: int, expected: str) -> None:
    """Digits, separators, capitals, abbreviations and weekdays stay as they were written; arithmetic is by hand."""
    assert moved(text, days) == expected


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("né le 4 février 1961 à Namur", (1961, 2, 4)),
        ("04-02-61", (1961, 2, 4)),
        ("4/2/21", (2021, 2, 4)),
        ("entre 2019-03-05 et hier", (2019, 3, 5)),
    ],
)
def test_a_whole_date_is_read(text: str, date: tuple[int, int, int]) -> None:
    """Two-digit years are of the last hundred years or so."""
    assert read_date(text) == datetime.date(*date)


@pytest.mark.parametrize(
    "text",
    [
        "mesure 12/10/8 mm",
        "score 3/4",
        "2.5 mm en 12.5",
        "L4/L5/S1 et D11-D12",
        "1200 mg",
        "TA 120/80",
        "a 2 may have",
        "incidence 1.2.840",
        "rapport 1/2 en charge",
        "acuité (10/10), douleur (8/10)",
        "lundi 9h30, mardi 14 %",
    ],
)
def test_what_is_no_date_is_left(text: str) -> None:
    """Measures, levels, scores and doses are no dates."""
    assert list(find_dates(text)) == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("vu aux urgences (11/03) pour dyspnée", "11/03"),
        ("sortie 12/11 14h", "12/11"),
        ("retour prévu lundi 9 si tout va bien", "lundi 9"),
        ("consultation en mars avec son médecin", "mars"),
        ("le l2/O4/2018", "l2/O4/2018"),
        ("PTH 2011 (clinique)", "2011"),
    ],
)
def test_a_part_of_a_date_is_one_by_its_company(text: str, written: str) -> None:
    """Brackets, an hour, a weekday, a preposition or the end of a clause make a date of two numbers, a month or a year."""
    found = next(find_dates(text))
    assert text[found.start : found.end] == written


def test_a_date_that_cannot_be_read_is_still_found() -> None:
    """Dates in words and impossible days tell when, and have no number to move."""
    for text in ("le deux janvier mille neuf cent soixante", "le 31/04/2020"):
        found = next(find_dates(text))
        assert found.moved is None
        assert text[found.start : found.end] == text[3:]
