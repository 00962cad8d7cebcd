"""Who and what a report is about, read from its letterhead and patient block."""

import datetime
import re
import unicodedata
from dataclasses import dataclass

from .dates import read_date
from .found import any_of

NUMBER = r"(?:n[°ºo]|nr|num[ée]ro|no)\.?_?(?:de_|du_|d['’])?(?:la_|l['’])?"
AFTER = r"[ \xa0]*(?::|(?=[ \xa0]{2}|[ \xa0]\d|\n))"
"""A label is followed by a colon, a gap, a number, or the end of its line."""
LABELS = {
    "name": any_of(
        "nom_(?:et|,|/|&)_?pr[ée]noms? noms?(?:_(?:de_famille|d['’]usage|usuel|marital|de_naissance|de_jeune_fille))?",
        r"noms?_(?:du_patient|de_la_patiente|patient) patient(?:e|\(e\))? identit[ée] patient_name",
    ),
    "given": "pr[ée]noms?(?: du patient)?",
    "birth_date": any_of(r"n[ée](?:e|\(e\))?_le date_de_naiss(?:ance|\.)? d\.?d\.?n\.? naissance date_of_birth dob"),
    "patient_id": any_of(
        rf"{NUMBER}(?:dossier|patient|ipp|nip)(?:_(?:patient|m[ée]dical))?(?:_*/_*ipp)? (?:dossier|patient)_n[°º] ipp nip pid",
        "id(?:entifiant)?(?:_du)?_patient identifiant(?:_permanent)? dossier(?:_(?:m[ée]dical|patient))? patient_id",
    ),
    "accession": any_of(
        rf"{NUMBER}(?:examen|acc[èe]s(?:sion)?|ordre|demande|acte|[ée]tude|venue|prescription|bon)(?:_radiologique)?",
        r"(?:examen|demande|ordre|bon)_n[°ºo]\.? accession(?:_number|_n[°º]|_no\.?)?",
        r"r[ée]f(?:[ée]rence)?\.?(?:_(?:de_l['’])?examen)?",
    ),
    "study_date": any_of(
        "dates?(?:_et_heure)?_(?:de_|d['’])?(?:la_|l['’])?(?:examen|radiographie|r[ée]alisation|acte|[ée]tude|consultation)",
        "examen_(?:du|r[ée]alis[ée]_le|effectu[ée]_le) (?:r[ée]alis|effectu)[ée]e?_le date study_date",
    ),
    "person": any_of(
        "(?:m[ée]decin|docteur|dr)s?(?:_(?:prescripteur|traitant|demandeur|r[ée]f[ée]rent|correspondant|adresseur|radiologue))?",
        "prescripteurs? demandeurs? prescrit_par demand[ée]_par adress[ée]_par correspondant radiologues? technologue",
        "op[ée]rat(?:eur|rice) manipulat(?:eur|rice) infirmi(?:er|ère) secr[ée]taire chef_de_service",
    ),
    "identifier": any_of(
        rf"niss nir insz nss nda (?:{NUMBER})?(?:registre_national|s[ée]curit[ée]_sociale|mutuelle|inami|rpps|adeli|s[ée]jour)",
        rf"{NUMBER}(?:niss|nir) t[ée]l(?:[ée]phone)?\.? gsm mobile portable",
    ),
    "examination": any_of("(?:type_d['’]|nature_de_l['’])?examens?(?:_(?:demand|r[ée]alis|pratiqu)[ée]s?)? exam acte"),
    "other": any_of("sexe [âa]ge adresse service fax e-?mail courriel unit[ée] chambre h[ôo]pital site"),
}
FIELD = re.compile(
    rf"(?<!\w)(?:{'|'.join(f'(?P<{name}>{label})' for name, label in LABELS.items())}){AFTER}"
    r"|(?<!\w)(?:(?P<born>n[ée](?:e|\(e\))? le)|(?P<examined>examen (?:du|r[ée]alis[ée] le)))(?= \d)",
    re.IGNORECASE,
)
CIVILITY = re.compile(
    r"(?<!\w)(?:M|Mr|Mme|Mlle|Monsieur|Madame|Mademoiselle|Enfant|Dr|Docteur|Pr|Professeur)\b\.?", re.IGNORECASE
)
INSTITUTION = re.compile(
    "(?i:"
    + any_of(
        "cliniques? h[ôo]pita(?:l|ux) polyclinique CHU CHR CHRU CHC CHIREC institut cabinet fondation groupe_hospitalier",
        "centre_(?:hospitalier|m[ée]dical|d['’]imagerie) maison_m[ée]dicale",
    )
    + r")\b[^\n,;|]*"
)
BORN = re.compile(rf"{CIVILITY.pattern} (?P<name>[^\n,;:]{{2,60}}),? n[ée]e? le", re.IGNORECASE)
OF_PATIENT = {"name", "given", "birth_date", "born", "patient_id", "accession", "study_date", "examined"}
STUDY_UID = re.compile(r"(?<![\d.])[0-2](?:\.(?:0|[1-9]\d*)){5,}(?![\d.]*\d)")
SPACED_NUMBER = re.compile(r"[^\W\d_]{0,5}[ .\-/]?\d+(?:[ .\-/]\d+)*")
WORD = re.compile(r"[^\W\d_][\w'’\-]*\.?")


@dataclass(frozen=True)
class Identity:
    """What a patient block says; empty or None where it says nothing. Never leaves the process that prepares.

    Attributes:
        names: the parts of the patient's name, each word of its own except particles (``VAN DEN BROECK``).
        people: physicians and staff, as written, without titles.
        accession_number: the number of the examination, its order or its request, as it is printed: the first of them.
        other_numbers: the others.
        study_uids: DICOM unique identifiers anywhere in the block.
        examination: what was examined, where a label says so.
        identifiers: other numbers that lead to a person: national numbers, telephone, stay.
    """

    names: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    patient_id: str | None = None
    accession_number: str | None = None
    birth_date: datetime.date | None = None
    study_date: datetime.date | None = None
    institution: str | None = None
    identifiers: tuple[str, ...] = ()
    other_numbers: tuple[str, ...] = ()
    study_uids: tuple[str, ...] = ()
    examination: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        return (*filter(None, [self.accession_number]), *self.other_numbers)


def read_identity(preamble: str) -> Identity:
    r"""Return the identity in a French patient block; each field from the first label that announces it.

    A value ends at the next label, at three spaces (another column), or at the end of its line; a label alone on its line has
    its value on the next one.

    >>> block = "Nom : DUPONT   Prénom : Zoé\nN° dossier : 0042   Née le 2/3/1956"
    >>> identity = read_identity(block)
    >>> identity.names, identity.patient_id, identity.birth_date
    (('DUPONT', 'Zoé'), '0042', datetime.date(1956, 3, 2))
    """
    text = unicodedata.normalize("NFC", preamble)
    values = _values(text)
    institution = INSTITUTION.search(text)
    names = [name for value in values["name"] + values["given"] for name in _names(value)]
    if not names:
        names = [name for found in BORN.finditer(text) for name in _names(found["name"])]
    numbers = tuple(dict.fromkeys(filter(None, map(_examination_number, values["accession"]))))
    return Identity(
        names=tuple(dict.fromkeys(names)),
        people=tuple(dict.fromkeys(name for value in values["person"] for name in _people(value))),
        patient_id=next(filter(None, map(_number, values["patient_id"])), None),
        accession_number=next(iter(numbers), None),
        birth_date=next(filter(None, map(read_date, values["birth_date"])), None),
        study_date=next(filter(None, map(read_date, [*values["study_date"], *values["examination"]])), None),
        institution=institution[0].split("   ")[0].split(" - ")[0].strip(" .-") if institution else None,
        identifiers=tuple(dict.fromkeys(filter(None, map(_long_number, values["identifier"])))),
        other_numbers=numbers[1:],
        study_uids=tuple(dict.fromkeys(STUDY_UID.findall(text))),
        examination=tuple(dict.fromkeys(filter(None, values["examination"]))),
    )


def is_patient_field(line: str) -> bool:
    """Whether a line labels who the patient is, or which examination it was."""
    return any(label.lastgroup in OF_PATIENT for label in FIELD.finditer(line))


def _values(text: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {name: [] for name in LABELS}
    labels = [label for label in FIELD.finditer(text) if text[label.end() : label.end() + 1] != "\n" or _opens(text, label)]
    ends = [label.start() for label in labels[1:]] + [len(text)]
    for label, end in zip(labels, ends, strict=False):
        value = re.split(r"\n|   |\t|\|", text[label.end() : end].strip(" \xa0\t\n"), maxsplit=1)[0].strip(" ,;:")
        name = {"born": "birth_date", "examined": "study_date"}.get(str(label.lastgroup), str(label.lastgroup))
        values[name].append(value)
    return values


def _opens(text: str, label: re.Match[str]) -> bool:
    """Whether a label has a colon or stands alone on its line: `radiologue` at the end of a sentence is no label."""
    return ":" in label[0] or not text[: label.start()].rpartition("\n")[2].strip()


def _names(value: str) -> list[str]:
    """Split a patient's name into family and given names; particles stay with what follows them."""
    value = re.sub(r"\([^)]*\)?|\b\d.*|\bn[ée](?:e|\(e\))? .*", " ", CIVILITY.sub(" ", value), flags=re.IGNORECASE)
    names: list[str] = []
    particle = ""
    for word in WORD.findall(value):
        if re.fullmatch(r"(?i:van|von|de|den|der|du|des|di|la|le|ter|ten|el|al|ben|d['’])", word):
            particle += f"{word} "
        elif len(word) > 1:
            names.append(particle + word)
            particle = ""
    return names


def _people(value: str) -> list[str]:
    """Return each person of a value such as ``Dr A. Petit, Pr Grand``; words that open in lower case are roles."""
    people = []
    for piece in re.split(r"[,;/]| et |\bDrs?\b\.?|\bPr\b\.?|\bDocteur\b|\bProfesseur\b", CIVILITY.sub(" , ", value)):
        words = [word for word in WORD.findall(piece) if word[0].isupper() or re.fullmatch("de|du|van|den|der|le|la|von", word)]
        if any(len(word) > 2 and word[0].isupper() for word in words):
            people.append(" ".join(words))
    return people


def _number(value: str) -> str | None:
    """Return the first word with a digit in it: an identifier, whatever its form."""
    found = re.search(r"[\w./\-]*\d[\w./\-]*", value)
    return found[0].strip("./-") if found else None


def _examination_number(value: str) -> str | None:
    """Return a number that may be printed in groups (``RX 2021 0034``), see `_number`."""
    return value if SPACED_NUMBER.fullmatch(value) and read_date(value) is None else _number(value)


def _long_number(value: str) -> str | None:
    found = re.search(r"[+(\dA-Z][\d .\-/()A-Z]{4,}\d", value)
    return found[0] if found else None
