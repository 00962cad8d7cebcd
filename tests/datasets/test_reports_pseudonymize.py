"""Pseudonymization: nothing planted survives, medicine does, and surrogates are consistent."""

import datetime
import itertools
import re
import unicodedata
from collections.abc import Callable

import pytest

from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.reports.found import Found
from radsweep.datasets.reports.pseudonymize import Known, place_after, pseudonymize, replace, resolve

KEY = Key(bytes(range(32)))
KNOWN = Known(
    names=("VAN DEN BROECK", "Élodie"),
    identifiers=("00123456", "RX-2021-0034"),
    birth_date=datetime.date(1956, 3, 12),
    people=("LAMBERT Jean",),
    places=("Cliniques universitaires Sainte-Élisabeth",),
)


def clean(text: str, known: Known | None = None) -> str:
    return pseudonymize(text, KEY, "patient", known)[0]


@pytest.mark.parametrize(
    "written",
    [
        "VAN DEN BROECK",
        "Van den Broeck",
        "van den broeck",
        "Broeck",
        "ELODIE",
        "Elodie Van Den Broeck",
        "VAN-DEN-BROECK",
        "00123456",
        "0012 3456",
        "RX20210034",
        "Lambert",
        "Jean Lambert",
        "12/03/1956",
        "12 mars 1956",
        "Sainte-Elisabeth",
    ],
)
def test_what_is_known_is_found_however_it_is_written(written: str) -> None:
    """Case, accents, order, separators and notation of a known identity do not matter."""
    text = f"Un texte, {written} suite."
    result = clean(text, KNOWN)
    assert written not in result
    assert re.fullmatch(r"Un texte, .+ suite\.", result)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("La patiente brocquière présente une fracture.", "brocquière"),
        ("brocquiere, genou droit : le père de brocquière a chuté.", "brocquiere brocquière"),
        ("La jeune bonnard boite, l'enfant bonnard aussi.", "bonnard"),
        ("Chute de sa fille clémentine.", "clémentine"),
    ],
)
def test_a_known_name_alone_in_small_letters_is_found_unless_it_is_a_word(text: str, names: str) -> None:
    """What French does not know can only be the name; a word is one after "la jeune" or what people are to each other."""
    known = Known(names=("BONNARD", "Brocquière", "Petite", "Clémentine"))
    assert not set(names.split()) & set(re.findall(r"\w+", clean(text, known)))
    words = "La petite mange une clémentine : petite cyphose, pas de fracture."
    assert clean(words, known) == words


@pytest.mark.parametrize(
    ("text", "planted"),
    [
        ("Mme DUPONT revient ce jour.", "DUPONT"),
        ("Vu par le Dr. P. Le Goff aux urgences.", "Goff"),
        ("Demande du Docteur Nguyen-Van.", "Nguyen"),
        ("Patiente : MARTINEZ Sofia", "MARTINEZ"),
        ("Courriel zoe.dupont@chu.example pour suite.", "zoe.dupont"),
        ("Appeler le 04 78 30 60 34.", "60 34"),
        ("Tél. +32 2 764 11 11.", "764"),
        ("NISS 56.03.12-123.45 au dossier.", "123.45"),
        ("Sécurité sociale 1 77 08 42 356 085 07.", "356"),
        ("IPP : 8012939402", "8012939402"),
        ("INAMI 1-12345-67-890", "12345"),
        ("Habite 12 rue des Acacias, 1180 Uccle.", "Acacias"),
        ("Habite 12 rue des Acacias, 1180 Uccle.", "Uccle"),
        ("Transfert de l'hôpital Saint-Roch.", "Roch"),
        ("Clichés du CHU de Bordeaux.", "Bordeaux"),
        ("Comparaison au 14/02/2019.", "14/02/2019"),
        ("née le 3 mai 1949", "1949"),
        ("Patient de 97 ans.", "97"),
    ],
)
def test_identities_are_found_by_their_context(text: str, planted: str) -> None:
    """Titles, labels, forms and prepositions give away people, numbers, places and dates that no header knows."""
    assert planted in text
    assert planted not in clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "Gonarthrose stade 2 de Kellgren et Lawrence.",
        "Fracture de Pouteau-Colles, fracture de Bennett.",
        "Indice de Caton-Deschamps à 1,1. Angle de Cobb à 12°.",
        "Kyste de Baker. Maladie d'Osgood-Schlatter. Salter-Harris II.",
        "Écart de 2.5 mm en D4-D5, L4/L5, 1200 mg, score 3/4.",
        "Fracture du genou droit, drain en place, patient de 62 ans.",
        "RADIOGRAPHIE DU GENOU DROIT DE FACE ET DE PROFIL",
        "Culture positive à E. Coli et S. aureus.",
        "Examen clinique normal. Signe de Terry-Thomas.",
        "Right upper lobe consolidation with bulging of the horizontal fissure. No May or March effect.",
    ],
)
def test_medicine_is_left_as_it_is(text: str) -> None:
    """Eponyms after their head noun, measures, levels, microbes and headings are nobody."""
    assert clean(text) == text


def test_an_eponym_is_a_person_after_a_title_and_a_disease_after_its_noun() -> None:
    """Dr Judet is replaced; so is the patient called Lawrence, but not the grade."""
    assert "Judet" not in clean("Opéré par le Dr Judet.")
    text = "Mme Lawrence : arthrose de grade 3 de Kellgren et Lawrence."
    result = clean(text, Known(names=("Lawrence", "Ann")))
    assert result.endswith("arthrose de grade 3 de Kellgren et Lawrence.")
    assert not result.startswith("Mme Lawrence")


@pytest.mark.parametrize(
    ("text", "names", "known"),
    [
        ("Fracture du radius chez Mme Carpentier.", "Carpentier", ()),
        ("Contrôle de la fracture de Mme Weber.", "Weber", ("Weber", "Anne")),
        ("Fracture de M. Weber, plaque pour Mlle Klein.", "Weber Klein", ()),
        ("Fracture opérée par le Dr Klein.", "Klein", ()),
        ("Vis posées avec le Docteur Klein, point de vue du Pr Smith.", "Klein Smith", ()),
        ("Radiographie du genou de Mr Thomas, 45 ans.", "Thomas", ()),
        ("Radiographie du genou de Patrick Lefort.", "Patrick Lefort", ()),
        ("Radiographie de la main droite de Thomas MARTIN.", "Thomas MARTIN", ("MARTIN", "Thomas")),
        ("Radiographie de la main de Thomas.", "Thomas", ("MARTIN", "Thomas")),
        ("Cliché du pied gauche chez Patrick, fracture.", "Patrick", ("Dubois", "Patrick")),
        ("Fracture de Thomas Martin, plaque de MARTIN THOMAS.", "Thomas Martin MARTIN THOMAS", ("MARTIN", "Thomas")),
        ("Lésion de la jambe de DESCHAMPS Denis.", "DESCHAMPS Denis", ("DESCHAMPS", "Denis")),
        ("Fracture de Thomas Weber, entorse de WEBER THOMAS.", "Thomas Weber WEBER THOMAS", ("WEBER", "Thomas")),
        ("Fracture avec plaque chez Christian, 45 ans.", "Christian", ("Roux", "Christian")),
    ],
)
def test_who_is_introduced_or_stands_beside_another_name_is_a_person(text: str, names: str, known: tuple[str, ...]) -> None:
    """A title, "chez", "par", another part of the name, or words that name the body between make a person of an eponym."""
    left = re.findall(r"\w+", clean(text, Known(names=known, people=("Klein Paul",))))
    assert not set(names.split()) & set(left)


@pytest.mark.parametrize(
    "text",
    [
        "Fracture de Weber B, de type Weber et Denis.",
        "Stade 2 de Kellgren et Lawrence, fracture (Garden III).",
        "SYNDROME DE WEBER CONNU, LIGNE DE LAWRENCE ROMPUE",
        "Fracture de Pouteau-Colles, maladie de Legg-Perthes, grade IV de Garden.",
        "Classification de Danis/Weber, indice de Colles & Weber à 1,1.",
    ],
)
def test_names_that_follow_their_noun_stay_even_if_the_patient_is_called_so(text: str) -> None:
    """Between head noun and name stand particles, numbers and grades alone."""
    names = ("Weber", "Lawrence", "Colles", "Perthes", "Garden")
    assert clean(text, Known(names=names)) == text


def test_one_person_has_one_surrogate_and_another_patient_another() -> None:
    """A name found once by its title is found again without; its surrogate is the same, in the same capitals."""
    result = clean("Mme Dupont est tombée. DUPONT marche. Le mari de Dupont aussi.")
    first, capitals, last = re.fullmatch(r"Mme (\w+) est tombée. (\w+) marche. Le mari de (\w+) aussi.", result).groups()
    assert first == last
    assert first.upper() == capitals
    assert len({pseudonymize("Mme Dupont", KEY, str(number))[0] for number in range(20)}) > 5


def test_dates_move_by_the_days_of_the_patient() -> None:
    """All dates of a patient move alike, so that intervals stay; the birth date too."""
    result = clean("Né le 12/03/1956. Chute le 01/02/2021, contrôle le 15/02/2021.")
    born, fall, control = (
        datetime.datetime.strptime(found, "%d/%m/%Y").date() for found in re.findall(r"\d\d/\d\d/\d{4}", result)
    )
    days = datetime.timedelta(days=KEY.days("patient"))
    assert born == datetime.date(1956, 3, 12) + days
    assert (fall, control) == (datetime.date(2021, 2, 1) + days, datetime.date(2021, 2, 15) + days)


def test_surrogates_keep_the_shape_of_numbers() -> None:
    """Digits stay digits and separators stay, so that the text reads the same."""
    assert re.fullmatch(r"NISS \d\d\.\d\d\.\d\d-\d\d\d\.\d\d", clean("NISS 56.03.12-123.45"))
    assert re.fullmatch(r"Tél 0\d \d\d \d\d \d\d \d\d", clean("Tél 04 78 30 60 34"))


def test_spans_rebuild_the_clean_text_and_never_overlap() -> None:
    """Spans are places in the original text, in order, and replacing them gives the returned text."""
    text = "Mme DUPONT Marie, née le 12/03/1956, 12 rue Haute, 1000 Bruxelles, tél 02 764 11 11, IPP 8012939402."
    result, spans = pseudonymize(text, KEY, "patient")
    assert replace(text, spans) == result
    assert all(one.end <= other.start for one, other in itertools.pairwise(spans))
    assert {span.label for span in spans} >= {"PERSON", "BIRTH_DATE", "ADDRESS", "TOWN", "PHONE", "ID"}


WRITTEN = (
    "Mme Élodie Dupré-Lefèvre, 95 ans, née le 12 février 1926 à Orléans, tél. : 01 23 45 67 89, NIR 1 84 12 76 451 089 46.\n"
    "Revue le 3 août 2019 par le Dr Hélène Brézin, 12 rue des Lilas, 75011 Paris. LEFÈVRE va bien, genou opéré."
)


@pytest.mark.parametrize(
    "typed",
    [
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: text.replace(" ", "\u202f"),
        lambda text: text.replace(" ", "\u2009"),
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: unicodedata.normalize("NFD", text).replace(" ", "\u00a0"),
        lambda text: text.replace("pr", "p\u00adr").replace("èv", "è\u200bv").replace("45", "4\u00ad5"),
    ],
)
@pytest.mark.parametrize("known", [None, Known(names=("Dupré-Lefèvre", "Élodie"), people=("Brézin Hélène",))])
def test_spaces_and_accents_may_be_any_that_unicode_has(typed: Callable[[str], str], known: Known | None) -> None:
    """No-break and thin spaces, accents apart and soft hyphens hide nothing; spans are places in the text as it is."""
    text = typed(WRITTEN)
    plainly, expected = pseudonymize(WRITTEN, KEY, "patient", known)
    if known:
        known = Known(
            *(tuple(map(typed, names)) for names in (known.names, known.identifiers)), people=tuple(map(typed, known.people))
        )
    result, spans = pseudonymize(text, KEY, "patient", known)
    assert [(span.label, span.surrogate) for span in spans] == [(span.label, span.surrogate) for span in expected]
    assert [text[span.start : span.end] for span in spans] == [typed(WRITTEN[span.start : span.end]) for span in expected]
    assert replace(text, spans) == result
    outside = typed("genou opéré")
    assert outside in result
    assert len(spans) > 9
    assert "Lef" not in plainly


@pytest.mark.parametrize("written", ["95ans", "94-ans", "103 ans", "90\u00a0ans"])
def test_great_ages_are_capped_however_they_are_written(written: str) -> None:
    """90 stands for all ages from there on, with or without a space."""
    assert clean(f"Patiente de {written}, chute.") == f"Patiente de {re.sub('[0-9]+', '90', written)}, chute."


def test_numbers_that_are_no_great_age_stay() -> None:
    """Other ages, and lengths, stay."""
    text = "Patient de 89ans, 12-ans, 95 mm, T95ansa."
    assert clean(text) == text


def test_resolve_covers_everything_once() -> None:
    """The earlier claim keeps its letters, the later one what is left; blanks at the ends are dropped."""
    text = "abc defgh"
    kept = resolve(text, [Found(2, 6, "ONE"), Found(0, 9, "TWO")])
    assert [(one.start, one.end, one.label) for one in kept] == [(0, 2, "TWO"), (2, 6, "ONE"), (6, 9, "TWO")]


def test_a_place_is_followed_through_the_replacement() -> None:
    """Offsets of the original text are found in the clean one."""
    text = "Mme DUPONT. Fracture. Vu le 12/03/2020. Fin."
    result, spans = pseudonymize(text, KEY, "patient")
    for word in ("Fracture", "Vu", "Fin"):
        start = place_after(text.index(word), spans)
        assert result[start : start + len(word)] == word
