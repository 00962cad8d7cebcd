"""What is printed around the reports of a hospital, learned from sheets set by hand: 100 lines to a page."""

from collections.abc import Sequence

import pytest

from radsweep.datasets.reports.furniture import Cut, Furniture, Letter, letter_of, shape
from radsweep.datasets.reports.identity import read_identity
from radsweep.datasets.reports.layout import Line
from radsweep.datasets.reports.pdf import Page
from radsweep.datasets.reports.sections import parse

NAMES = ("DUPONT Zoé", "LEFÈVRE Anne-Marie", "VAN DEN BROECK Luc", "ROY Élodie", "EL AMRANI Sofia", "NOËL Théo")


def sheet(*blocks: tuple[int, Sequence[str]]) -> Page:
    """A page whose blocks of lines start at given hundredths of its height, 2 apart."""
    lines = [Line(text, (top + 2 * i) / 100) for top, block in blocks for i, text in enumerate(block)]
    return Page(tuple(sorted(lines, key=lambda line: line.y)), "text layer")


def block(name: str, number: int) -> list[str]:
    family, _, given = name.rpartition(" ")
    return [f"Nom : {family}   Prénom : {given}", f"N° dossier : {71000 + 37 * number}"]


def corpus(letters: Sequence[Letter]) -> Furniture:
    furniture = Furniture()
    for letter in letters:
        furniture.learn(letter)
    return furniture


def cut_all(letters: Sequence[Letter]) -> list[Cut]:
    furniture = corpus(letters)
    return [furniture.cut(letter) for letter in letters]


def two_pages(number: int) -> Letter:
    """Letterhead and patient block on the first page, the patient's name in small on the second, a footer on both."""
    name = NAMES[number % len(NAMES)]
    body = [f"Texte {'abcdefghij'[number % 10]} du patient, ligne {'klmnopqrst'[i]}." for i in range(4 + number % 5)]
    foot = ["Clinique du Lac, rue du Lac 3, 1000 Bruxelles", f"Tél. : 02 555 01 01 - imprimé le {1 + number} mars 2021"]
    first = sheet(
        (4, ["Clinique du Lac", "Service de radiologie"]), (12, block(name, number)), (24, ["Résultats :", *body]), (94, foot)
    )
    head = f"{name} - dossier {71000 + 37 * number} - page 2/2"
    second = sheet((4, ["Clinique du Lac", head]), (10 + number % 4, [*body[:3], "Conclusion :", "Normal."]), (94, foot))
    return letter_of([first, second])


def test_headers_and_footers_are_cut_and_still_tell_who_it_is() -> None:
    """Letterhead, the name on later pages, footers and page numbers are out of the text; identities are read from both."""
    for number, cut in enumerate(cut_all([two_pages(n) for n in range(12)])):
        name = NAMES[number % len(NAMES)]
        text = parse(cut.text)
        for gone in ("Lac", "imprimé", "page", name, "555"):
            assert gone not in cut.text.replace(text.preamble, "")
        assert f"{name} - dossier" in cut.furniture
        assert len(text.body.splitlines()) >= 5
        assert text.conclusion == "Normal."
        identity = read_identity(f"{text.preamble}\n{cut.furniture}")
        assert identity.names[-1] == name.rpartition(" ")[2]
        assert identity.patient_id == str(71000 + 37 * number)
        assert identity.institution == "Clinique du Lac, rue du Lac 3" or identity.institution == "Clinique du Lac"
        assert "02 555 01 01" in identity.identifiers


def test_an_identity_in_a_running_header_alone_is_known() -> None:
    """Where only the header of each page says whose report it is, it is cut, and its fields are read."""
    letters = []
    for number, name in enumerate(NAMES):
        head = [f"Patient : {name} - N° patient : {500 + number} - Né le 0{1 + number}/03/1956"]
        body = [["Résultats :", f"Texte {'abcdef'[number]}."], ["Conclusion :", "Normal."]]
        letters.append(letter_of([sheet((5, head), (30, body[0])), sheet((5, head), (12, body[1]))]))
    for number, cut in enumerate(cut_all(letters)):
        identity = read_identity(f"{parse(cut.text).preamble}\n{cut.furniture}")
        assert identity.patient_id == str(500 + number)
        assert set(" ".join(identity.names).split()) == set(NAMES[number].split())
        assert identity.birth_date is not None
        assert NAMES[number] not in parse(cut.text).body


NORMAL = ["Radiographie normale.", "Pas de fracture visible.", "Parties molles sans particularité."]


@pytest.mark.parametrize("top", [8, 18, 60, 88])
@pytest.mark.parametrize("with_block", [True, False])
def test_a_sentence_that_all_reports_say_is_kept(top: int, with_block: bool) -> None:
    """The same sentences at the same height in every report stay, wherever they stand, with a patient block or without."""
    letters = []
    for number in range(30):
        above = [(4, block(NAMES[number % 6], number))] if with_block else [(4, ["Clinique du Lac"])]
        letters.append(letter_of([sheet(*above, (top, NORMAL), (96, ["Clinique du Lac - Tél. : 02 555 01 01"]))]))
    for cut in cut_all(letters):
        assert [line for line in cut.text.splitlines() if line in NORMAL] == NORMAL
        assert "Tél." not in cut.text


def test_a_line_without_a_point_that_all_reports_say_is_kept_under_its_heading() -> None:
    """Headings, and what stands under one, are never furniture; nor is what follows the patient block."""
    pages = [[sheet((4, block(NAMES[n % 6], n)), (9, ["Rotule centrée", "Conclusion", "Examen normal"]))] for n in range(30)]
    later = [[sheet((4, block(NAMES[n % 6], n))), sheet((4, ["Conclusion", "Examen normal"]))] for n in range(30)]
    for letters in (pages, later):
        for cut in cut_all([letter_of(letter) for letter in letters]):
            assert "Conclusion\nExamen normal" in cut.text
    assert all("Rotule centrée" in cut.text for cut in cut_all([letter_of(letter) for letter in pages]))


def test_what_floats_is_text() -> None:
    """A short line that many reports have, now here and now there, is kept even where it stands at the edge."""
    letters = [letter_of([sheet((4, block(NAMES[n % 6], n))), sheet((3 + n % 15, ["Rotule centrée"]))]) for n in range(60)]
    assert all("Rotule centrée" in cut.text for cut in cut_all(letters))


def test_a_report_of_another_house_keeps_its_lines() -> None:
    """What is furniture elsewhere is none at another height, and a line of one report alone is kept."""
    furniture = corpus([two_pages(n) for n in range(12)])
    other = letter_of([sheet((4, ["Cabinet de la Gare"]), (40, ["Clinique du Lac", "Pas de fracture."]))])
    assert furniture.cut(other).text == "Cabinet de la Gare\nClinique du Lac\nPas de fracture."


def test_what_repeats_on_the_pages_of_one_report_is_cut() -> None:
    """A house with a single report of two pages: its header and footer are the lines that both pages share."""
    pages = [sheet((4, ["Cabinet de la Gare"]), (30, [f"Page {page} dit {page}."]), (95, ["Ce document est confidentiel."]))
             for page in ("une", "deux")]  # fmt: skip
    assert Furniture().cut(letter_of(pages)).text == "Page une dit une.\nPage deux dit deux."


def test_the_list_beside_the_text_is_cut() -> None:
    """Physicians in a narrow column beside the text are furniture; the same column in one report alone stays."""

    def beside(number: int) -> Letter:
        names = tuple(Line(f"Dr {family} Martin", 0.3 + 0.05 * i, in_sidebar=True) for i, family in enumerate(("Luc", "Anne")))
        page = sheet((4, block(NAMES[number % 6], number)), (40, [f"Texte {'abcdefghij'[number]}."]))
        return letter_of([Page((*page.lines[:2], *names, *page.lines[2:]), "text layer")])

    for cut in cut_all([beside(n) for n in range(9)]):
        assert "Martin" not in cut.text
        assert "Texte" in cut.text
        assert "Dr Luc Martin\nDr Anne Martin" in cut.furniture
    assert "Dr Luc Martin" in cut_all([beside(0)])[0].text


def test_shapes_are_the_same_for_all_patients() -> None:
    """Numbers, months, values of labels and the patient's own names do not count; other words do."""
    assert shape("Mme Zoé DUPONT, 4 février 2021", ("Dupont", "Zoé")) == shape("Mme Anne ROY, 12 août 1999", ("ROY", "Anne"))
    assert shape("Nom : DUPONT   IPP : 42") == shape("Nom : LEFÈVRE   IPP : 4711")
    assert shape("Pas de fracture") != shape("Pas de luxation")
