"""A report on the hospital's paper: letterhead, patient block, body, signature, footer."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from .french import Planted, ReportBody, french_date
from .identities import Hospital, Patient, Physician

LEFT, RIGHT, LINE = 62.0, A4[0] - 62.0, 14.5
GLUE = "\x01"
"""Stands for the spaces inside an identity while lines are broken: a name never spans two lines."""


@dataclass(frozen=True)
class Letter:
    """Everything on one report's paper besides its body."""

    hospital: Hospital
    patient: Patient
    prescriber: Physician
    radiologist: Physician
    accession_number: str
    date: datetime.date


def write_pdf(path: Path, letter: Letter, body: ReportBody) -> list[Planted]:
    """Write the report to ``path``; return every identity in it. The same arguments give the same bytes."""
    page = Canvas(str(path), pagesize=A4, invariant=1)
    hospital, patient, radiologist = letter.hospital, letter.patient, letter.radiologist
    page.setFont("Helvetica-Bold", 14)
    page.drawString(LEFT, 780, hospital.name)
    page.setFont("Helvetica", 9)
    page.drawString(LEFT, 766, hospital.service)
    page.drawString(LEFT, 754, hospital.address)
    page.drawString(LEFT, 742, f"Tél. : {hospital.phone} - E-mail : {hospital.email}")
    page.line(LEFT, 734, RIGHT, 734)

    born = "Née le" if patient.sex == "F" else "Né le"
    name = f"{letter.prescriber.given} {letter.prescriber.family}"
    fields = (
        ("Nom", patient.family.upper()),
        ("Prénom", patient.given),
        (born, f"{patient.birth_date:%d/%m/%Y}"),
        ("Sexe", patient.sex),
        ("N° dossier", patient.patient_id),
        ("NISS", patient.niss),
        ("Adresse", patient.address),
        ("Tél.", patient.phone),
        ("N° d'examen", letter.accession_number),
        ("Date de l'examen", f"{letter.date:%d/%m/%Y}"),
        ("Médecin prescripteur", f"Dr {name}"),
    )
    y = 716.0
    for label, value in fields:
        page.setFont("Helvetica", 9.5)
        page.drawString(LEFT, y, f"{label} : {value}")
        y -= 12.5
    page.rect(LEFT - 8, y + 6, RIGHT - LEFT + 16, 728 - y - 6)
    y -= 18

    for heading, text in body.sections:
        page.setFont("Helvetica-Bold", 11)
        page.drawString(LEFT, y, heading)
        y -= LINE
        page.setFont("Helvetica", 11)
        for line in _wrapped(text, [planted.string for planted in body.planted]):
            page.drawString(LEFT, y, line)
            y -= LINE
        y -= 7

    signed = f"{radiologist.given} {radiologist.family}"
    page.drawString(LEFT, y - 12, f"Dr {signed}, radiologue")
    page.setFont("Helvetica", 9)
    page.drawString(LEFT, y - 25, f"N° INAMI : {radiologist.inami}")
    page.drawString(LEFT, y - 38, f"Signé électroniquement le {french_date(letter.date)}")
    page.setFont("Helvetica", 8)
    page.drawCentredString(A4[0] / 2, 40, "Page 1/1")
    page.save()
    return [
        Planted("institution", hospital.name),
        Planted("address", hospital.address),
        Planted("phone", hospital.phone),
        Planted("email", hospital.email),
        Planted("name", patient.family.upper()),
        Planted("name", patient.given),
        Planted("birth_date", f"{patient.birth_date:%d/%m/%Y}"),
        Planted("id", patient.patient_id),
        Planted("id", patient.niss),
        Planted("address", patient.address),
        Planted("phone", patient.phone),
        Planted("id", letter.accession_number),
        Planted("date", f"{letter.date:%d/%m/%Y}"),
        Planted("date", french_date(letter.date)),
        Planted("name", name),
        Planted("name", signed),
        Planted("id", radiologist.inami),
        *body.planted,
    ]


def _wrapped(text: str, together: list[str]) -> list[str]:
    """Return the lines of ``text`` in the body's font, never broken inside a string of ``together``."""
    for string in together:
        text = text.replace(string, string.replace(" ", GLUE))
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if stringWidth(longer, "Helvetica", 11) > RIGHT - LEFT:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line.replace(GLUE, " ") for line in lines]
