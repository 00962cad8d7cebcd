"""People and places that do not exist: what a real export would have to hide.

Common French and Belgian names in chance combinations; phone numbers, addresses and e-mail domains that lead nowhere.
"""

import datetime
from dataclasses import dataclass

import numpy as np

FEMALE = (
    *("Marie", "Camille", "Léa", "Éloïse", "Anne-Sophie", "Chloé", "Inès", "Hélène"),
    *("Noémie", "Fatima", "Céline", "Jeanne", "Marie-Thérèse", "Lucie", "Élise", "Aurélie"),
    *("Nathalie", "Margaux", "Françoise", "Sofia", "Joséphine", "Amélie", "Véronique", "Zoé"),
)
MALE = (
    *("Jean", "Lucas", "Jean-Pierre", "Hugo", "Rémi", "François", "Noé", "Gaël"),
    *("Mohamed", "Thomas", "Jean-Baptiste", "Étienne", "Olivier", "Raphaël", "Luc", "Frédéric"),
    *("Maxime", "Jérôme", "Mathéo", "Benoît", "Gérard", "Théo", "André", "Loïc"),
)
FAMILY = (
    "Dupont",
    "Lefèvre",
    "Van den Broeck",
    "Peeters",
    "Müller",
    "Lambert",
    "De Smet",
    "Gauthier",
    "Dubois-Martin",
    "Janssens",
    "Hérault",
    "Benali",
    "Vandenberghe",
    "Noël",
    "Le Gall",
    "Renard",
    "Van der Elst",
    "Collignon",
    "Deschênes",
    "Marchal",
    "Maes",
    "Guérin",
    "D'Hondt",
    "Simonet-Lacroix",
    "Wouters",
    "Bouchard",
    "El Amrani",
    "Carlier",
    "Devos",
    "Fontaine",
    "Roussel",
    "Claes",
    "Perrin",
    "Delvaux",
    "Haddad",
    "Thiry",
)
STREETS = (
    "rue des Tilleuls",
    "avenue de la Gare",
    "rue Saint-Éloi",
    "chaussée de Mons",
    "place du Marché",
    "allée des Érables",
)
TOWNS = ("1170 Bruxelles", "4000 Liège", "59000 Lille", "5000 Namur", "67000 Strasbourg", "7000 Mons", "38000 Grenoble")


@dataclass(frozen=True)
class Hospital:
    name: str
    service: str
    address: str
    phone: str
    email: str


HOSPITALS = (
    Hospital(
        "Clinique Sainte-Odile du Parc",
        "Service d'imagerie médicale",
        "12 avenue des Hêtres, 1170 Bruxelles",
        "02 555 01 40",
        "imagerie@sainte-odile.example",
    ),
    Hospital(
        "Centre hospitalier du Val d'Ambre",
        "Service de radiologie ostéo-articulaire",
        "3 rue du Moulin, 59000 Lille",
        "03 99 55 01 12",
        "radiologie@valdambre.example",
    ),
    Hospital(
        "Hôpital de la Citadelle Verte",
        "Département de radiologie",
        "45 boulevard de la Meuse, 5000 Namur",
        "081 55 01 77",
        "secretariat.rx@citadelle-verte.example",
    ),
)


@dataclass(frozen=True)
class Physician:
    given: str
    family: str
    inami: str

    @property
    def dicom(self) -> str:
        return f"{self.family}^{self.given}^^Dr"


@dataclass(frozen=True)
class Patient:
    given: str
    family: str
    sex: str
    birth_date: datetime.date
    patient_id: str
    niss: str
    address: str
    phone: str

    @property
    def dicom(self) -> str:
        return f"{self.family}^{self.given}"

    def title(self, date: datetime.date) -> str:
        """Return how a report names the patient at ``date``: ``Mme Dupont``, ``M. Dupont`` or, of a child, ``Léa Dupont``."""
        if (date - self.birth_date).days < 16 * 365:
            return f"{self.given} {self.family}"
        return f"{'Mme' if self.sex == 'F' else 'M.'} {self.family}"


def draw_patient(number: int, age_years: int, at: datetime.date, rng: np.random.Generator) -> Patient:
    """Return patient ``number`` of the hospital, ``age_years`` old at the date ``at``."""
    sex = "F" if rng.random() < 0.52 else "M"
    birth_date = at - datetime.timedelta(days=int(age_years * 365.25 + rng.integers(5, 360)))
    check = int(rng.integers(100, 98_000))
    return Patient(
        given=str(rng.choice(FEMALE if sex == "F" else MALE)),
        family=str(rng.choice(FAMILY)),
        sex=sex,
        birth_date=birth_date,
        patient_id=f"{20_000_000 + 1_313 * number + int(rng.integers(1_000))}",
        niss=f"{birth_date:%y.%m.%d}-{check % 997:03d}.{check % 97:02d}",
        address=f"{rng.integers(1, 180)} {rng.choice(STREETS)}, {rng.choice(TOWNS)}",
        phone=f"04{rng.integers(70, 100)} 55 {rng.integers(10, 100)} {rng.integers(10, 100)}",
    )


def draw_physician(rng: np.random.Generator) -> Physician:
    given = str(rng.choice(FEMALE + MALE))
    number = int(rng.integers(10_000, 100_000))
    return Physician(given, str(rng.choice(FAMILY)), f"1-{number}-{number % 97:02d}-{rng.integers(100, 1_000)}")
