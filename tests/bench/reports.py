"""Reports on paper: how many belong to their study without a number, how well scans are read, how many pages a second.

``python tests/bench/reports.py [PATIENTS]`` prints figure and bar side by side; exit code 1 if a bar is missed. The hospital is
the phantom's people and findings with other paper and with what exports suffer from: two studies on one day, numbers that are
missing, mistyped or of somebody else, names swapped and without accents, days left out, reports without study, studies without
report, addenda.
"""

import random
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from radsweep.datasets.dicom.header import Header, read_header
from radsweep.datasets.gather import gather_reports
from radsweep.datasets.pairing import Pairing, pair
from radsweep.datasets.phantom.dicom_files import Storage, build, save
from radsweep.datasets.phantom.french import side, write_body
from radsweep.datasets.phantom.hospital import Study, draw_studies
from radsweep.datasets.phantom.identities import draw_physician
from radsweep.datasets.reports import scans
from radsweep.datasets.reports.furniture import letter_of
from radsweep.datasets.reports.layout import Piece, read_lines
from radsweep.datasets.reports.pdf import read_pdf

SEED = 11
SAME_DAY, TITLED, UNREPORTED, UNSEEN, ADDENDA = 0.5, 0.7, 0.04, 0.04, 0.02
SWAPPED, MISTYPED_ID, MISTYPED_NUMBER, NO_DAY = 0.1, 0.03, 0.05, 0.02
ANCHOR = 0.871
"""Share of studies paired by date alone in the reference paper."""
CLEAN = Storage(digital=False, bits=12, inverted=False, window=True, rescaled=False, syntax="1.2.840.10008.1.2.1", latin=True)
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
SENTENCES = """Radiographie du genou gauche de face, de profil et en incidence fémoro-patellaire.
Pincement de l'interligne fémoro-tibial médial mesuré à 2,5 mm en appui bipodal.
Pas d'épanchement intra-articulaire décelable ; les parties molles sont sans particularité.
Fracture de l'extrémité distale du radius, déplacée en arrière de 12°, engrenée.
Contrôle à 6 semaines d'une ostéosynthèse par clou centromédullaire : cal osseux en voie de formation.
Discopathie étagée de L3 à S1 avec arthrose interapophysaire postérieure prédominant en L5-S1.
Âge osseux estimé à 11 ans et 6 mois selon l'atlas de Greulich et Pyle.
Œdème des tissus sous-cutanés en regard de la malléole latérale, sans arrachement osseux.
Hallux valgus bilatéral, plus marqué à droite (angle M1P1 à 32°).
Déminéralisation diffuse ; tassement cunéiforme de D12 d'aspect ancien, recul du mur postérieur absent.
Aucun corps étranger radio-opaque n'est visualisé. Rapports articulaires conservés.
Conclusion : gonarthrose bilatérale de grade 2 selon Kellgren et Lawrence.""".splitlines()


# --- pairing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hospital:
    """An export: headers, report files, and the uid of the study that each report is of."""

    headers: list[Header]
    reports: list[Path]
    truth: dict[str, str]


def write_hospital(folder: Path, num_patients: int, numbered: bool) -> Hospital:
    """Write the export of `num_patients`; ``numbered`` reports print the number of their examination."""
    rng = random.Random(SEED)
    draws = np.random.default_rng((SEED, 2**32))
    physicians = tuple(draw_physician(draws) for _ in range(12))
    studies = [study for number in range(num_patients) for study in on_one_day(draw_studies(number, SEED, physicians), rng)]
    numbers = [study.header.accession_number for study in studies]
    hospital = Hospital([], [], {})
    for index, study in enumerate(studies):
        if rng.random() >= UNSEEN:
            path = folder / f"{index}.dcm"
            save(build(study.header, study.visit.views[0], 1, np.zeros((8, 8), np.uint16), CLEAN), path)
            hospital.headers.append(read_header(path))
        draw = rng.random()
        number = study.header.accession_number if numbered else None
        if numbered and rng.random() < MISTYPED_NUMBER:
            number = rng.choice([transposed(study.header.accession_number, rng), rng.choice(numbers)])
        copies = 0 if draw < UNREPORTED else 2 if draw < UNREPORTED + ADDENDA else 1
        for copy in range(copies):
            path = folder / f"{index}-{copy}.pdf"
            write_report(path, study, number, addendum=copy > 0, rng=rng)
            hospital.reports.append(path)
            hospital.truth[str(path)] = study.header.study_uid
    return hospital


def on_one_day(studies: list[Study], rng: random.Random) -> list[Study]:
    """Move some second studies to the day of the first."""
    if len(studies) == 1 or rng.random() >= SAME_DAY:
        return studies
    first, second = studies
    when = second.header.when.combine(first.header.when.date(), second.header.when.time())
    header, date = replace(second.header, when=when), first.letter.date
    return [
        first,
        replace(second, header=header, letter=replace(second.letter, date=date), visit=replace(second.visit, date=date)),
    ]


def write_report(path: Path, study: Study, number: str | None, addendum: bool, rng: random.Random) -> None:
    """A report on two pages, with the patient's name over both of them."""
    patient, visit, date = study.letter.patient, study.visit, study.letter.date
    family, given = patient.family.upper(), patient.given
    if rng.random() < SWAPPED:
        family, given = unaccented(given), unaccented(family)
    patient_id = transposed(patient.patient_id, rng) if rng.random() < MISTYPED_ID else patient.patient_id
    day = "" if rng.random() < NO_DAY else f"{date:%d.%m.%Y}"
    fields = [f"Patient : {family} {given}", f"Dossier n° {patient_id}", f"Né(e) le : {patient.birth_date:%d-%m-%Y}"]
    fields += [f"Date de l'examen : {day}"] if day else []
    fields += [f"N° de demande : {number}"] if number else []
    lines = (
        [f"RADIOGRAPHIE : {visit.skeleton.french} {side(visit.skeleton, visit.left)}".upper()] if rng.random() < TITLED else []
    )
    lines += ["ADDENDUM"] if addendum else []
    for heading, text in write_body(visit, np.random.default_rng((*study.seed, 2))).sections:
        lines += [heading, text]
    canvas = Canvas(str(path), pagesize=A4, invariant=1)
    half = len(lines) // 2
    for page, body in enumerate((lines[:half], lines[half:])):
        canvas.setFont("Helvetica", 9)
        canvas.drawString(60, 800, study.letter.hospital.name)
        canvas.drawString(60, 788, study.letter.hospital.address)
        if page:
            canvas.drawRightString(535, 770, f"{family} {given} - {patient_id} - page 2")
        for i, line in enumerate([*(fields if not page else []), *body]):
            canvas.drawString(60, 730 - 14 * i, line)
        canvas.drawString(60, 40, f"{study.letter.hospital.service} - Tél. : {study.letter.hospital.phone}")
        canvas.showPage()
    canvas.save()


def transposed(number: str, rng: random.Random) -> str:
    """The number with two neighbouring digits in the wrong order."""
    places = [i for i in range(len(number) - 1) if number[i] != number[i + 1]]
    i = rng.choice(places)
    return number[:i] + number[i + 1] + number[i] + number[i + 2 :]


def unaccented(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def judge(hospital: Hospital, pairing: Pairing) -> tuple[float, float, int]:
    """Share of all studies that got their report, of those that have one, and number that got another one's."""
    seen = {header.study_instance_uid for header in hospital.headers}
    reported = seen & set(hospital.truth.values())
    right = sum(hospital.truth[paired.report_path] == paired.study_instance_uid for paired in pairing.studies)
    return right / len(seen), right / len(reported), len(pairing.studies) - right


# --- scans ------------------------------------------------------------------------------------------------------------


def page_of(number: int) -> tuple[Image.Image, list[str]]:
    """A scanned A4 page at 300 dpi, askew by up to half a degree, blurred and noisy, and its lines."""
    rng = random.Random(number)
    font = ImageFont.truetype(
        str(FONTS / ("DejaVuSans.ttf", "DejaVuSerif.ttf", "STIXGeneral.ttf")[number % 3]), 40 + 2 * (number % 3)
    )
    lines = [line for sentence in rng.sample(SENTENCES, len(SENTENCES)) for line in wrapped(sentence, font)]
    page = Image.new("L", (2480, 3508), 250)
    for i, line in enumerate(lines):
        ImageDraw.Draw(page).text((220, 250 + 75 * i), line, fill=20, font=font)
    turned = page.rotate(rng.uniform(-0.5, 0.5), Image.Resampling.BICUBIC, fillcolor=250)
    blurred = np.asarray(turned.filter(ImageFilter.GaussianBlur(1.2)), np.float32)
    noisy = blurred + np.random.default_rng(number).normal(0, 8, blurred.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), lines


def wrapped(sentence: str, font: ImageFont.FreeTypeFont) -> list[str]:
    lines = [""]
    for word in sentence.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines, word] if font.getlength(longer) > 2000 else [*lines[:-1], longer]
    return lines


def distance(one: str, other: str) -> int:
    """Number of letters to change, add or leave out (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        last, row[0] = row[0], i
        for j, another in enumerate(other, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (letter != another))
    return row[-1]


def error_rate(read: Callable[[np.ndarray], list[Piece]], numbers: range) -> tuple[float, float]:
    """Character error rate of a reader, and seconds a page."""
    wrong = letters = 0
    seconds = 0.0
    for number in numbers:
        page, lines = page_of(number)
        start = time.perf_counter()
        pieces = read(np.asarray(page))
        seconds += time.perf_counter() - start
        found = "\n".join(line.text for line in read_lines(pieces, *page.size))
        wrong += distance(found, "\n".join(lines))
        letters += len("\n".join(lines))
    return wrong / letters, seconds / len(numbers)


# --- all --------------------------------------------------------------------------------------------------------------


def main(num_patients: int) -> int:
    """Measure, print, judge."""
    missed = False

    def show(what: str, figure: float, bar: float, at_least: bool, unit: str) -> None:
        nonlocal missed
        met = figure >= bar if at_least else figure <= bar
        missed |= not met
        scale = 100 if unit == "%" else 1
        print(f"{what:76} {scale * figure:8.2f} {unit:3} bar {scale * bar:6.2f}   {'ok' if met else 'MISSED'}")

    for numbered in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            hospital = write_hospital(Path(folder), num_patients, numbered)
            start = time.process_time()
            letters = {str(path): letter_of(read_pdf(path)) for path in hospital.reports}
            gathered = list(gather_reports(list(letters.items())))
            rate = 2 * len(letters) / (time.process_time() - start)
            pairing = pair(hospital.headers, [entry for _, entry in gathered])
            left = sum("page 2" in text or "Tél." in text for text, _ in gathered)
        share, of_reported, wrong = judge(hospital, pairing)
        said = "with numbers, 5 % of them mistyped" if numbered else "without numbers"
        show(f"studies paired with their report, reports {said}", share, ANCHOR, True, "%")
        show(f"studies paired with another report, reports {said}", wrong, 0, False, "")
        show(f"reports with a running header or footer in their text, {said}", left, 0, False, "")
        print(f"  of the studies that have a report {100 * of_reported:.2f} %")
        print(f"  by rule: {dict(Counter(paired.rule for paired in pairing.studies))}")
        for reason, count in Counter(pairing.refused.values()).most_common():
            print(f"  refused: {count:5} x {reason}")
        show("pages of text read per second of one core, furniture cut, identities found", rate, 50, True, "/s")
    if scans.has_tesseract():
        rate, seconds = error_rate(scans.by_tesseract, range(6))
        show(f"characters misread by Tesseract on 6 scans ({seconds:.1f} s a page)", rate, 0.005, False, "%")
    else:
        print("Tesseract with French is not installed: scans are read by RapidOCR")
    rate, seconds = error_rate(scans.by_rapidocr, range(1))
    show(f"characters misread by RapidOCR on 1 scan ({seconds:.1f} s a page)", rate, 0.02, False, "%")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 400))
