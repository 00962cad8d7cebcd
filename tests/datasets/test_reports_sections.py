"""Sections and sentences of reports written for these tests."""

import json
import re
from pathlib import Path

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
        ("Histoire de la maladie :", "indication"),
        ("QUESTION POSÉE", "indication"),
        ("Examen réalisé :", "technique"),
        ("Incidences réalisées :", "technique"),
        ("Protocole technique :", "technique"),
        ("Compte-rendu :", "findings"),
        ("Protocole d'interprétation :", "findings"),
        ("INTERPRÉTATION", "findings"),
        ("* Résultat (s) :", "findings"),
        ("En synthèse :", "conclusion"),
        ("EN RÉSUMÉ", "conclusion"),
    ],
)
def test_headings_have_synonyms(heading: str, section: str) -> None:
    """French and English headings, with or without accents, capitals, numbers and colons, open their section."""
    assert getattr(parse(f"{heading}\nTexte."), section) == "Texte."


def test_comparison_is_a_section_of_its_own() -> None:
    """Earlier examinations are neither findings nor conclusion."""
    report = parse("Résultats :\nFracture.\nExamens antérieurs :\nRadiographie de 2019.\nConclusion :\nFracture.")
    assert report.section("comparison") == "Radiographie de 2019."
    assert report.findings == "Fracture."


def test_a_title_is_no_heading_where_the_patient_block_follows_it() -> None:
    """COMPTE RENDU above the block is the paper's title; between block and conclusion it opens the findings."""
    block = "Nom : DUPONT\nN° dossier : 4711\n"
    above = parse(f"COMPTE RENDU\n{block}Résultats :\nFracture.\nConclusion :\nFracture.")
    assert "DUPONT" in above.preamble
    assert (above.findings, above.conclusion) == ("Fracture.", "Fracture.")
    below = parse(f"{block}COMPTE RENDU\nFracture du radius.\nConclusion :\nFracture.")
    assert "DUPONT" in below.preamble
    assert below.findings == "Fracture du radius."


def test_what_was_examined_and_sentences_before_the_first_heading_are_text() -> None:
    """Between block and first heading an address is paper; the examination's title and whole sentences are the body."""
    report = parse(
        "Clinique du Lac - Tél. : 02 555 01 01\nNom : DUPONT\nDr Lambert\nrue du Lac 3\n"
        "RADIOGRAPHIE DU GENOU DROIT DU 4/2/2021\nRésultats :\nFracture."
    )
    assert report.title == "RADIOGRAPHIE DU GENOU DROIT DU 4/2/2021"
    assert report.body == "RADIOGRAPHIE DU GENOU DROIT DU 4/2/2021\nFracture."
    assert report.preamble.endswith("rue du Lac 3")
    told = parse(
        "Nom : DUPONT\nDr Lambert\nGonalgie droite depuis trois mois, majorée à la\nmarche et la nuit.\nConclusion :\nNormal."
    )
    assert told.body == "Gonalgie droite depuis trois mois, majorée à la marche et la nuit.\nNormal."
    assert parse("RX GENOU G\nNom : DUPONT\nConclusion :\nNormal.").title == "RX GENOU G"


@pytest.mark.parametrize(
    "closing",
    [
        "Dr Jean Petit",
        "Docteur A. VAN DEN BROECK - médecin radiologue",
        "Validé électroniquement par le Dr Petit le 4/2/2021",
        "Lu et approuvé",
        "Dicté par : Dr Petit",
        "Signature :",
        "Bien confraternellement,\nDr Petit",
        "Le médecin radiologue\nPetit Jean",
        "Copie à : Dr Lambert, rue du Lac 3",
        "N° RPPS : 10001234567",
    ],
)
def test_signatures_and_what_follows_them_are_dropped(closing: str) -> None:
    """Whoever signs, validates or dictates is no part of the report, with a patient block above or without."""
    for head in ("Nom : DUPONT\n", ""):
        report = parse(f"{head}Résultats :\nFracture.\nConclusion :\nFracture du radius.\n{closing}\nPage 1/1")
        assert report.conclusion == "Fracture du radius."


@pytest.mark.parametrize(
    ("lines", "signature"),
    [
        (["Dr Martin", "Fracture du radius distal."], []),
        (["Radiographie du genou.", "Dr Martin", "Fracture de la rotule. Pas d'épanchement."], []),
        (["Fracture du radius et de l'ulna, non déplacée.", "Pr Grand, radiologue", "Arthrose du genou."], ["Dr Petit"]),
        (["Dr A. Van den Broeck", "Clichés du poignet de face et de profil, jugés insuffisants.", "RAS"], []),
        (["Docteur Martin", "Examen normal du genou droit."], ["Docteur Martin", "Radiologue"]),
        (["Genou en charge, de face.", "Dr Martin", "Gonarthrose"], ["Dr Martin", "Clinique du Lac - 02/555.01.01"]),
    ],
)
def test_a_name_alone_on_its_line_is_no_signature_while_the_report_goes_on(lines: list[str], signature: list[str]) -> None:
    """What follows it is the report; the last name, and the paper below it, is the signature."""
    assert parse("\n".join([*lines, *signature])).body == "\n".join(lines)


@pytest.mark.parametrize(
    "paper",
    [
        "Radiologue\nChef de service\nrue du Lac 3, 1000 Bruxelles",
        "Institut de la Main et du Poignet",
        "Ce document est destiné à votre médecin traitant.\nN'oubliez pas d'apporter vos anciens clichés.",
        "Dr Lambert, chirurgien\nClinique du Lac - Tél. : 02 555 01 01",
        "LB/fd",
    ],
)
def test_paper_below_a_name_alone_is_dropped_with_it(paper: str) -> None:
    """Roles, addresses, institutes and notes to the reader are nothing of the medicine."""
    assert parse(f"Fracture du radius.\nDr Jean Petit\n{paper}").body == "Fracture du radius."


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


def test_a_last_line_with_a_date_is_no_footer() -> None:
    """Telephones and mail addresses at the end are a footer; dates and ``tel que`` are not."""
    for last in ("Comparaison avec le cliché du 05/12/2013.", "Un cliché tel que celui-ci suffit.", "Contrôle le 09.09.2011."):
        assert parse(f"Résultats :\nFracture.\n{last}").findings == f"Fracture.\n{last}"
    for last in (
        "Tél. : 02 555 01 01",
        "Clinique du Lac - 02/555.01.01",
        "Tél 081/55 01 77",
        "rx@lac.example",
        "+32 2 555 01 01",
    ):
        assert parse(f"Résultats :\nFracture.\nClinique {last}").findings == "Fracture."


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
        ("Signes d'arthrose, p. ex. L4-L5. Fin.", ["Signes d'arthrose, p. ex. L4-L5.", "Fin."]),
        ("Voir n. 3 et p. 4. Suite.", ["Voir n. 3 et p. 4.", "Suite."]),
        ("Tassement de L4. Mur respecté.", ["Tassement de L4.", "Mur respecté."]),
        ("Tassement de L3, L4. et L5.", ["Tassement de L3, L4. et L5."]),
        ("Écart de 3,5 cm. Angle de 12°. Vis de 3.5. Plaque.", ["Écart de 3,5 cm.", "Angle de 12°.", "Vis de 3.5.", "Plaque."]),
        ("Type A. Type B. Grade C. 3 fragments.", ["Type A.", "Type B.", "Grade C.", "3 fragments."]),
        ("Examen du 3 janv. 2021 et du 12.03.2021. Normal.", ["Examen du 3 janv. 2021 et du 12.03.2021.", "Normal."]),
        ("Discopathies :\n- L4-L5\n- L5-S1", ["Discopathies :", "- L4-L5", "- L5-S1"]),
        ("1) Fracture. 2) Luxation.", ["1) Fracture.", "2) Luxation."]),
        ("Vu avec le Pr. H. Roy, Mme. Petit et M. Le Gall. Fin.",
         ["Vu avec le Pr. H. Roy, Mme. Petit et M. Le Gall.", "Fin."]),
        ("Adressé au CHU St. Pierre, env. 3 km. Fin.", ["Adressé au CHU St. Pierre, env. 3 km.", "Fin."]),
        ("Face, profil, etc. Pas de fracture… Normal.", ["Face, profil, etc.", "Pas de fracture…", "Normal."]),
    ],
)  # fmt: skip
def test_sentences_end_where_they_should(text: str, expected: list[str]) -> None:
    """Decimals, abbreviations, initials and levels do not end a sentence; markers and lone numbers are dropped."""
    assert sentences(text) == expected


@pytest.mark.real_data
def test_real_sentences_are_kept_whole(real_data: Path) -> None:
    """Sentences of published radiology reports have no paper around them: nothing of them is cut, in body or sentences."""
    for line in (real_data / "french" / "radiology_sentences_fr_e3c.jsonl").read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["text"]
        body = parse(text).body
        assert re.sub(r"\W", "", body) == re.sub(r"\W", "", text)
        assert re.sub(r"\W", "", "".join(sentences(body))) == re.sub(r"\W", "", text)
