"""Sections and sentences of reports written for these tests."""

import pytest

from radsweep.datasets.reports.sections import parse, sentences

REPORT = """Clinique du Lac
Service de radiologie - Tél. : 02 555 01 01
Nom : DUPONT   Prénom : Zoé
N° dossier : 4711
RADIOGRAPHIE DU GENOU DROIT
Indication : douleur du genou, chute il y a deux jours, avis demandé par le
Dr Lambert.
TECHNIQUE
Clichés de face et de profil.
Résultats :
Pincement de l'interligne fémoro-tibial médial, mesuré à 2.5 mm en appui, sans
épanchement.
- Pas de fracture
- Rotule centrée
Clinique du Lac
Page 1/2
CONCLUSION
Gonarthrose.
Dr Jean Van den Broeck, radiologue
N° INAMI : 1-23456-78-901
Signé électroniquement le 4 février 2021
"""


def test_sections_are_cut_at_their_headings() -> None:
    """Each section holds its own text, wrapped lines joined, list items apart."""
    report = parse(REPORT)
    assert report.indication == "douleur du genou, chute il y a deux jours, avis demandé par le Dr Lambert."
    assert report.technique == "Clichés de face et de profil."
    assert report.findings == (
        "Pincement de l'interligne fémoro-tibial médial, mesuré à 2.5 mm en appui, sans épanchement.\n"
        "Pas de fracture\nRotule centrée"
    )
    assert report.conclusion == "Gonarthrose."


def test_paper_is_no_part_of_the_body() -> None:
    """Letterhead, patient block, its repetition, page footer and signature are gone; the preamble keeps the block."""
    report = parse(REPORT)
    for paper in ("DUPONT", "4711", "Lac", "Page", "Broeck", "INAMI", "Signé", "Indication"):
        assert paper not in report.body
    assert "N° dossier : 4711" in report.preamble
    assert "DUPONT   Prénom" in report.preamble


def test_headings_on_one_line_are_found() -> None:
    """A database export without line breaks is cut at Heading : after the end of a sentence."""
    report = parse("Indication : chute. Technique : face et profil. Résultats : pas de fracture. Conclusion : normal.")
    assert [part.text for part in report.parts] == ["chute.", "face et profil.", "pas de fracture.", "normal."]


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("RENSEIGNEMENTS CLINIQUES", "indication"),
        ("Motif de l'examen :", "indication"),
        ("Contexte clinique :", "indication"),
        ("Protocole :", "technique"),
        ("Constatations", "findings"),
        ("Description :", "findings"),
        ("Synthèse :", "conclusion"),
        ("2. Conclusion(s) :", "conclusion"),
        ("IMPRESSION:", "conclusion"),
        ("FINDINGS:", "findings"),
    ],
)
def test_headings_have_synonyms(heading: str, section: str) -> None:
    """French and English headings, with or without accents, capitals, numbers and colons, open their section."""
    assert getattr(parse(f"{heading}\nTexte."), section) == "Texte."


def test_words_like_headings_in_a_sentence_are_no_headings() -> None:
    """A sentence that starts with such a word goes on in its section; Au total, opens the conclusion and stays."""
    report = parse("Résultats :\nTechnique difficile chez ce patient.\nAu total, pas de fracture.")
    assert report.technique is None
    assert report.findings == "Technique difficile chez ce patient."
    assert report.conclusion == "Au total, pas de fracture."


def test_a_text_without_headings_is_all_body() -> None:
    """English notes of a manifest are the body as they are; nothing before a heading is lost where there is no letterhead."""
    note = "Adult female with cough. Dr. Smith was called. Consolidation of the right upper lobe"
    assert parse(note).body == note
    assert parse(note).preamble == ""
    assert parse("Man of 55 with fever.\nImpression: pneumonia.").body == "Man of 55 with fever.\npneumonia."


def test_a_report_without_text_has_an_empty_body() -> None:
    """Letterhead, patient block and signature alone leave nothing, with headings or without."""
    head = "Clinique du Lac\nNom : DUPONT\nN° dossier : 4711\n"
    tail = "Dr Jean Petit, radiologue\nN° INAMI : 1-23456-78-901\nSigné électroniquement le 4 février 2021\nPage 1/1"
    assert parse(head + tail).body == ""
    assert parse(head + "Indication :\nConclusion :\n" + tail).body == ""


def test_a_sign_is_no_signature() -> None:
    """A line that opens with Signe or Dr but says something stays."""
    report = parse("Nom : X\nConclusion :\nFracture.\nSigne de Terry-Thomas.\nDr Petit a été prévenu par téléphone.")
    assert report.conclusion == "Fracture.\nSigne de Terry-Thomas.\nDr Petit a été prévenu par téléphone."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Écart de 2.5 mm. Pas de fracture.", ["Écart de 2.5 mm.", "Pas de fracture."]),
        ("Vu par le Dr. Petit et M. Roy. Normal.", ["Vu par le Dr. Petit et M. Roy.", "Normal."]),
        ("Opéré par J. Roy et A.-M. Lenoir. Fracture de type A. Pas d'arthrose.",
         ["Opéré par J. Roy et A.-M. Lenoir.", "Fracture de type A.", "Pas d'arthrose."]),
        ("Discopathie D4-D5 ! Écart ? Oui.", ["Discopathie D4-D5 !", "Écart ?", "Oui."]),
        ("1. Arthrose. 2. Fracture (cf. fig. 2).", ["Arthrose.", "Fracture (cf. fig. 2)."]),
        ("Arthrose [...] . Conclusion : . Gonarthrose.", ["Arthrose.", "Gonarthrose."]),
        ("Pas de fracture\nRotule centrée", ["Pas de fracture", "Rotule centrée"]),
        ("RAS.", ["RAS."]),
        ("Seen by Dr. Smith vs. Jones. No change.", ["Seen by Dr. Smith vs. Jones.", "No change."]),
        (" . [...] \n -- ", []),
    ],
)  # fmt: skip
def test_sentences_end_where_they_should(text: str, expected: list[str]) -> None:
    """Decimals, abbreviations, initials and levels do not end a sentence; markers and lone numbers are dropped."""
    assert sentences(text) == expected
