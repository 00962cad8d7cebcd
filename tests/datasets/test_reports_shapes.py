"""Names by the company they keep, invented ones, and what looks like a name and is none."""

import pytest

from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.reports.packs import checked_numbers
from radsweep.datasets.reports.pseudonymize import Known, pseudonymize
from radsweep.datasets.reports.shapes import Shape

KEY = Key(bytes(range(32)))


def hidden(text: str, known: Known | None = None) -> str:
    """Return the text with every replaced letter or digit as an underscore."""
    places = {place for span in pseudonymize(text, KEY, "p", known)[1] for place in range(span.start, span.end)}
    return "".join("_" if place in places and letter.isalnum() else letter for place, letter in enumerate(text))


def test_a_text_becomes_a_row_of_letters() -> None:
    """One letter per word and per gap; punctuation is its own letter."""
    assert Shape("Vu par T. Zabrinsky, interne").row == "v P I N,R"
    assert Shape("Dr Gérald de Brouckaert").row == "T G p N"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Examen relu par Zabrinsky ce matin.", ["Zabrinsky"]),
        ("Présents : Zabrinsky, Oumarel, Quennevec-Tardy", ["Zabrinsky", "Oumarel", "Quennevec", "Tardy"]),
        ("T.Zabrinsky/K.Oumarel", ["Zabrinsky", "Oumarel"]),
        ("Zabrinsky T., Oumarel K.", ["Zabrinsky", "Oumarel"]),
        ("Appel de sa tante Priscilla Zabrinsky", ["Priscilla", "Zabrinsky"]),
        ("ZABRINSKY GUILLEMETTE - 12/04/1961", ["ZABRINSKY", "GUILLEMETTE"]),
        ("L'enfant Swann Zabrinsky boite.", ["Swann", "Zabrinsky"]),
        ("Merci de rappeler Fatoumata.", ["Fatoumata"]),
        ("Zabrinsky (interne)", ["Zabrinsky"]),
        ("Transférée à Zabrinville hier", ["Zabrinville"]),
        ("suivie au CHR de Zabrinville", ["Zabrinville"]),
        ("9300 Aalst", ["9300", "Aalst"]),
        ("prévenir dr corentin zabrinsky ce soir", ["corentin", "zabrinsky"]),
        ("vu par dr le zabrinsky", ["zabrinsky"]),
        ("Sa mère, Colombe, est décédée.", ["Colombe"]),
        ("Prévenir sa soeur ginette.", ["ginette"]),
        ("ZABRINSKY K. 82 ans : sonde retirée", ["ZABRINSKY", "K"]),
        ("ch 12 ZABRINSKY : sortie", ["ZABRINSKY"]),
        ("Zabrinsky, cardiologue", ["Zabrinsky"]),
        ("ZABRINSKY^OLGA^^", ["ZABRINSKY", "OLGA"]),
        ("né à oran, vit à trappes", ["oran", "trappes"]),
        ("soigné à st malo", ["st malo"]),
        ("Elle habite Le Puy-en-Velay.", ["Puy", "Velay"]),
        ("boulanger à Étampes", ["Étampes"]),
        ("clinique Zabrin, Moulins", ["Zabrin", "Moulins"]),
        ("transfert demain à ambroise paré", ["ambroise", "paré"]),
        ("Transférée au CHZB hier", ["CHZB"]),
        ("17 r. Pasteur, bât. C apt 12", ["17", "Pasteur", "C apt 12"]),
        ("12 Lindenstraße, D-66111 Zabrinhausen", ["12", "Linden", "66111", "Zabrinhausen"]),
        ("route de Zabrinville, 12850 Zabrin", ["Zabrinville", "12850"]),
        ("Dr Zabrinsky (37 412)", ["37", "412"]),
        ("cadre 3-2214, poste 214", ["2214", "214"]),
        ("Thomas Zabrinsky sera revu, son fils Patrick aussi.", ["Thomas", "Zabrinsky", "Patrick"]),
        ("Mon cher Patrick,", ["Patrick"]),
        ("Suivie par Colline (psychologue)", ["Colline"]),
        ("Chirurgien : PONS", ["PONS"]),
        ("Rendez-vous mardi 14/06, hébergé par la famille Zabrin", ["14", "06", "Zabrin"]),
        ("Épouse PETIT, opérée au CHIVA", ["PETIT", "CHIVA"]),
        ("Transfert vers UZ Zabrinven, puis AZ Sint-Lucas, Gent", ["Zabrinven", "Lucas", "Gent"]),
        ("Mme Zabrinsky, veuve KELLER", ["Zabrinsky", "KELLER"]),
        ("Jean-Baptiste a été opéré hier.", ["Jean", "Baptiste"]),
        ("Drs ZABRIN - KAHN - PICARD", ["ZABRIN", "KAHN", "PICARD"]),
        ("Accession 12 / K. LE ZABRIN / scanner", ["K", "LE ZABRIN"]),
        ("3, hent ar mor, 29900 Concarneau", ["3", "hent ar mor", "29900", "Concarneau"]),
        ("Résidence Les Mimosas, bât. C, 83000 TOULON", ["sidence", "Mimosas", "C,", "83000", "TOULON"]),
        ("Née à Landivisiau (29)", ["Landivisiau", "29"]),
        ("prélevé au labo Zabrinvest", ["Zabrinvest"]),
        ("Prothèse (Pr Zabrinsky, Cochin, 2019)", ["Zabrinsky", "Cochin", "2019"]),
    ],
)
def test_names_that_no_list_holds_are_found(text: str, names: list[str]) -> None:
    """Role, list, initial, first name or place beside it make a name of an unknown word."""
    left = hidden(text)
    assert not [name for name in names if name in left]


@pytest.mark.parametrize(
    "text",
    [
        "RÉSULTATS : Pas de lésion osseuse. CONCLUSION : EXAMEN NORMAL.",
        "Arthrose Fémoro-Tibiale Interne Droite, Hauteurs Discales Conservées.",
        "Tassement de L1 et T12, discopathie C5-C6, LCA et LLI intacts.",
        "Tige Corail, cupule Pinnacle 54 mm, IRM Siemens Magnetom.",
        "Doliprane 1000 mg, Lovenox 4000 UI, Kardegic 75.",
        "Fracture classée type III selon Zabrinsky et Oumarel.",
        "Stade V de Zabrinsky, angle de Zabrinsky et Oumarel à 32°.",
        "LIGNE DE SHENTON ROMPUE. FRACTURE DE DENIS DROITE.",
        "Mesures : 12/15 mm, 123 456 789, 1.5 x 2.3 cm.",
        "Hôpital de jour prévu, centre de rééducation à prévoir.",
        "Œsophagite de grade B de Los Angeles, né à terme, vit à domicile.",
        "Acuité 10/10, Glasgow (15/15), douleur (8/10) ce jour.",
        "Test de Thomas négatif, signe de Patrick à droite, fracture de Denis.",
        "Arrivé en France enfant, 4 séances de kiné, 12 comprimés restants.",
    ],
)
def test_medicine_stays(text: str) -> None:
    """Capitals, abbreviations, products, measures and eponyms, known or not, are no identities."""
    assert hidden(text) == text


def test_authors_of_cited_works_stay() -> None:
    """A list of authors before year, volume and page, or before "et al.", is no list of staff."""
    cited = "Zabrinsky AB, Oumarel K. Os et repos. Rev Exemple. 2009;32(7):1335-43."
    assert "Zabrinsky AB, Oumarel K." in hidden(f"Voir {cited}")
    assert "Zabrinsky A, Oumarel K, et al." in hidden("Voir Zabrinsky A, Oumarel K, et al.")
    assert "Zabrinsky" not in hidden("Présents : Zabrinsky A., Oumarel K.")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Interne : Zabrin M, avis du Dr Oumarel pour Mme Odette Quennevec à 10:30:15.", "Zabrin Oumarel Odette Quennevec"),
        ("Interne : ZABRIN M, chef : OUMAREL P.\nMme Odette Quennevec, réalisé à 9:05:59", "ZABRIN OUMAREL Odette Quennevec"),
        (
            "Vu par Zabrin AB, interne. Monsieur Luc Oumarel boite. Dr Hubert Quennevec. Cliché du 12/03/2021 10:30:15.",
            "Zabrin Luc Oumarel Hubert Quennevec",
        ),
        ("Vu par Zabrin AB, interne, avec Mme Oumarel le 12 mars 2021: 10:30.", "Zabrin Oumarel"),
        ("Vu par Zabrin AB, interne, avec sa fille Oumarel. Rev Exemple. 2009;32(7):1335-43.", "Zabrin Oumarel"),
        ("Internes : Zabrin AB, Oumarel C. Avis : Pr Quennevec. Rev Exemple. 2009;32:1335.", "Zabrin Oumarel Quennevec"),
        ("Internes : Zabrin AB, Oumarel C, et al.", "Zabrin Oumarel"),
    ],
)
def test_staff_before_a_time_or_a_reference_is_no_author(text: str, names: str) -> None:
    """A clock time is no volume and page, and whom a title or a role introduces is nobody's author."""
    assert not [name for name in names.split() if name in hidden(text)]


@pytest.mark.parametrize(
    "year", ["2009;32(7):1335-43", "2009 Jul 12;32:e35", "2009 Jul;10(3):59", "2009: 32: 1335", "2009;12:45-50"]
)
def test_authors_stay_after_staff(year: str) -> None:
    """Staff of the same paragraph does not belong to the reference, which keeps its authors whichever way it is dated."""
    cited = f"Zabrinsky AB, Oumarel K. Os et repos. Rev Exemple. {year}."
    left = hidden(f"Interne : Quennevec M, le Dr Tardy a lu ceci. {cited}")
    assert "Zabrinsky AB, Oumarel K." in left
    assert "Quennevec" not in left
    assert "Tardy" not in left


@pytest.mark.parametrize(
    "written", ["LEFEBRE", "Lefebvfe", "Lefbevre", "lefebvre jacqueline", "Jacque1ine", "LEFEBVRE J.", "Lefèbvre"]
)
def test_a_known_name_is_found_misspelt(written: str) -> None:
    """One letter wrong, digits for letters, small letters beside one another: still the patient."""
    left = hidden(f"Vu {written} ce jour", Known(names=("LEFEBVRE", "Jacqueline")))
    assert left == "Vu " + "".join("_" if letter.isalnum() else letter for letter in written) + " ce jour"


def test_a_misspelt_name_has_the_surrogate_of_the_right_one() -> None:
    """The same person stays the same person."""
    text = pseudonymize("LEFEBVRE, puis LEFEBRE", KEY, "p", Known(names=("Lefebvre",)))[0]
    first, _, second = text.partition(", puis ")
    assert first == second != "LEFEBVRE"


@pytest.mark.parametrize(
    "number",
    [
        "85.07.30-033.28",  # the example of the Belgian register: 850730033 = 97 * 8770412 + 69, and 97 - 69 = 28
        "2 55 08 14 168 025 38",  # 97 - 2550814168025 mod 97 = 38
        "750712184",  # Luhn: 7 + 1 + 0 + 5 + 1 + 4 + 1 + 7 + 4 = 30
        "756.9217.0769.85",  # the example of the Swiss register
        "046 454 286",  # Luhn: 0 + 8 + 6 + 8 + 5 + 8 + 2 + 7 + 6 = 50
    ],
)
def test_a_right_check_digit_needs_no_label(number: str) -> None:
    """The number is an identifier; with its last digit changed it is a number."""
    assert [found.end - found.start for found in checked_numbers(f"valeur {number} ici")] == [len(number)]
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not list(checked_numbers(f"valeur {wrong} ici"))


@pytest.mark.parametrize(
    "written",
    [
        "01 23 45 67 89",  # France
        "06.12.34.56.78",
        "+33 (0)6 12 34 56 78",
        "02/345.67.89",  # Belgium
        "0475/12.34.56",
        "+32 475 12 34 56",
        "022 345 67 89",  # Switzerland
        "+41 22 345 67 89",
        "621 123 456",  # Luxembourg
        "27 12 34 56",
        "514-555-0123",  # Canada
        "(514) 555-0123",
        "H2X 1Y4",
        "85.07.30-033.29",  # forms of NISS, NIR and INAMI whose check digits are wrong
        "2 55 08 14 168 025 39",
        "1-23456-78-901",
    ],
)
def test_each_country_has_its_notations(written: str) -> None:
    """A telephone number, postcode or national number in its country's notation needs no label."""
    left = hidden(f"Vu ce jour, {written}, sans fièvre.")
    assert left == "Vu ce jour, " + "".join("_" if c.isalnum() else c for c in written) + ", sans fièvre."
