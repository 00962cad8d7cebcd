"""What the radiologist writes: French reports that say what the pictures hold.

Every finding is stated under the results and again in the conclusion. One sentence of two words stands in both as well, in
every report: ``Énostose médullaire.`` where there is one, otherwise an all-clear of the same shape (``Intégrité médullaire.``).
A vocabulary without accents reads both as ``[UNK] [UNK] .``: the planted effect of the text encoder.
"""

import datetime
from dataclasses import dataclass

import numpy as np

from .anatomy import Skeleton
from .findings import Findings, Places
from .identities import Hospital, Patient, Physician

TEMPLATES = (
    ("Indication :", "Technique :", "Résultats :", "Conclusion :"),
    ("INDICATION", "TECHNIQUE", "RÉSULTATS", "CONCLUSION"),
    ("Renseignements cliniques :", "Technique :", "Description :", "Conclusion :"),
    ("Motif de l'examen :", "Technique :", "Constatations :", "Conclusion :"),
)
NORMAL = (
    (
        "Douleur.",
        "Radiographies numériques.",
        ("Pas de fracture visible.", "Interligne conservé.", "Intégrité médullaire."),
        ("Radiographie normale.", "Intégrité médullaire."),
    ),
    (
        "Traumatisme.",
        "Radiographies numériques.",
        ("Pas d'anomalie osseuse.", "Parties molles normales.", "Régularité postérieure."),
        ("Examen normal.", "Régularité postérieure."),
    ),
    (
        "Bilan.",
        "Clichés standard.",
        ("Structures osseuses normales.", "Alignement respecté.", "Homogénéité médullaire."),
        ("Pas d'anomalie décelable.", "Homogénéité médullaire."),
    ),
)
"""Word for word the same for many patients, as in any hospital: no name, no date, no body part."""
ALL_CLEAR = ("Intégrité", "Régularité", "Homogénéité", "Échancrure")
WHERE = ("médullaire", "postérieure")
WHERE_BY_PART = {"KNEE": ("médiale",), "ANKLE": ("médiale",), "ELBOW": ("latérale",)}
OF_BONE = {
    "radius": "du radius",
    "ulna": "de l'ulna",
    "humerus": "de l'humérus",
    "femur": "du fémur",
    "tibia": "du tibia",
    "fibula": "de la fibula",
}
FEMININE = {"SHOULDER", "HIP", "ANKLE"}
ARTHROSIS = {"KNEE": "Gonarthrose", "HIP": "Coxarthrose"}
MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
VIEW = {"AP": "de face", "PA": "de face", "LATERAL": "de profil", "OBLIQUE": "oblique"}


@dataclass(frozen=True)
class Planted:
    """An identity in a document: ``kind`` is name, date, birth_date, id, phone, email, address or institution."""

    kind: str
    string: str


@dataclass(frozen=True)
class ReportBody:
    """Headings with their text, and the identities inside it."""

    sections: tuple[tuple[str, str], ...]
    planted: tuple[Planted, ...]


@dataclass(frozen=True)
class Visit:
    """What a report is about."""

    patient: Patient
    prescriber: Physician
    hospital: Hospital
    date: datetime.date
    skeleton: Skeleton
    left: bool
    views: tuple[str, ...]
    findings: Findings


def write_body(visit: Visit, rng: np.random.Generator) -> ReportBody:
    """Return the body of the report of ``visit``."""
    headings = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
    findings = visit.findings
    if not any(findings.labels().values()) and not findings.grade:
        reason, technique, results, conclusion = NORMAL[int(rng.integers(len(NORMAL)))]
        texts = (reason, technique, " ".join(results), " ".join(conclusion))
        return ReportBody(tuple(zip(headings, texts, strict=True)), ())
    results, conclusion = _statements(visit, rng)
    results += _negations(findings, rng)
    results = [results[i] for i in rng.permutation(len(results))]
    conclusion = [conclusion[i] for i in rng.permutation(len(conclusion))]
    reason, planted = _reason(visit, rng)
    if rng.random() < 0.2:
        before = visit.date - datetime.timedelta(days=int(rng.integers(20, 400)))
        string = f"{before:%d/%m/%Y}" if rng.random() < 0.7 else french_date(before)
        results.append(f"Comparaison : examen du {string}.")
        planted.append(Planted("date", string))
    if rng.random() < 0.1:
        results.append(f"Résultat donné au {visit.hospital.phone}.")
        planted.append(Planted("phone", visit.hospital.phone))
    texts = (reason, _technique(visit), " ".join(results), " ".join(conclusion))
    return ReportBody(tuple(zip(headings, texts, strict=True)), tuple(planted))


def _statements(visit: Visit, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Every finding as the results say it, and as the conclusion repeats it."""
    findings, part = visit.findings, visit.skeleton.name
    places = Places.draw(visit.skeleton, findings.seed)
    results, conclusion = [], []

    def say(result: tuple[str, ...], again: tuple[str, ...]) -> None:
        results.append(result[int(rng.integers(len(result)))])
        conclusion.append(again[int(rng.integers(len(again)))])

    if findings.fracture:
        bone = OF_BONE[places.fracture[0]]
        millimetres = f"{rng.integers(3, 9)}{rng.choice(['.5', ',5', ''])}"
        say(
            (
                f"Fracture déplacée {bone}.",
                f"Trait de fracture {bone}, avec déplacement de {millimetres} mm.",
                f"Fracture {bone} avec déplacement.",
            ),
            (f"Fracture déplacée {bone}.", f"Fracture {bone}."),
        )
    if findings.hairline_fracture:
        say(
            ("Fissure osseuse : fine fissure corticale.", "Fissure fine, sans déplacement.", "Image de fissure corticale."),
            ("Fissure osseuse.", "Fissure non déplacée."),
        )
    if findings.grade is not None and findings.grade >= 2:
        name = ARTHROSIS.get(part, "Arthrose")
        say(
            (
                f"Pincement de l'interligne et ostéophytes : arthrose de grade {findings.grade}.",
                f"Arthrose avec ostéophytes et condensation, grade {findings.grade} de Kellgren et Lawrence.",
            ),
            (f"{name} de grade {findings.grade}.", f"{name}, grade {findings.grade}."),
        )
    elif findings.grade == 1:
        results.append("Interligne à peine aminci.")
    if findings.open_growth_plates:
        say(
            ("Cartilages de croissance ouverts.", "Cartilages de croissance ouverts, en rapport avec l'âge."),
            ("Cartilages de croissance ouverts.", "Cartilages de croissance visibles."),
        )
    if findings.implant:
        kind = "clou verrouillé" if places.nail else "plaque vissée"
        say(
            (f"Matériel d'ostéosynthèse en place : {kind}.", f"Implant en place : {kind}."),
            ("Matériel d'ostéosynthèse en place.", f"Implant : {kind}."),
        )
    if findings.effusion:
        say(
            ("Large épanchement articulaire visible de profil.", "Tuméfaction, large épanchement articulaire."),
            ("Large épanchement articulaire.", "Large épanchement articulaire, tuméfaction."),
        )
    noun = "Énostose" if findings.enostosis else str(rng.choice(ALL_CLEAR))
    island = f"{noun} {rng.choice(WHERE + WHERE_BY_PART.get(part, ()))}."
    return [*results, island], [*conclusion, island]


def _negations(findings: Findings, rng: np.random.Generator) -> list[str]:
    absent = ["Pas de luxation.", "Trame osseuse respectée."]
    if not findings.fracture and not findings.hairline_fracture:
        absent += ["Pas de fracture.", "Absence de trait de fracture."]
    return [absent[int(rng.integers(len(absent)))]] if rng.random() < 0.3 else []


def _reason(visit: Visit, rng: np.random.Generator) -> tuple[str, list[Planted]]:
    part = "à gauche" if visit.left else "à droite"
    opening = (f"Douleur {part}.", f"Chute, douleur {part}.", f"Traumatisme {part}.", f"Contrôle {part}.")[int(rng.integers(4))]
    planted: list[Planted] = []
    draw = rng.random()
    if draw < 0.2:
        title = visit.patient.title(visit.date)
        opening = f"{title} : {opening[0].lower()}{opening[1:]}"
        planted.append(Planted("name", title.removeprefix("Mme ").removeprefix("M. ")))
    elif draw < 0.32:
        name = f"{visit.prescriber.given} {visit.prescriber.family}"
        opening += f" Demande du Dr {name}."
        planted.append(Planted("name", name))
    elif draw < 0.4:
        town = visit.patient.address.rsplit(" ", 1)[1]
        opening += f" Accident à {town}."
        planted.append(Planted("address", town))
    return opening, planted


def _technique(visit: Visit) -> str:
    views = list(dict.fromkeys(VIEW[view] for view in visit.views))
    listed = views[0] if len(views) == 1 else f"{', '.join(views[:-1])} et {views[-1]}"
    several = "s" if len(visit.views) > 1 else ""
    return f"Radiographie{several} {listed}."


def side(skeleton: Skeleton, left: bool) -> str:
    """Return ``gauche``, ``droit`` or ``droite``, in the gender of the body part."""
    return "gauche" if left else "droite" if skeleton.name in FEMININE else "droit"


def french_date(date: datetime.date) -> str:
    return f"{'1er' if date.day == 1 else date.day} {MONTHS[date.month - 1]} {date.year}"
