"""A synthetic hospital export: DICOM files, French PDF reports, and the truth about both. Read this first.

Everything is a function of ``(num_patients, seed)``: the same arguments give the same bytes, and patient i of a seed is the
same person in a hospital of any size.
"""

import contextlib
import csv
import datetime
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ..png import encode_png
from ..refusal import UserError
from .anatomy import SKELETONS, Skeleton
from .dicom_files import Storage, StudyHeader, as_ct, build, identities, save, stored
from .effects import EFFECTS
from .findings import LABELS, Findings
from .french import Planted, ReportBody, Visit, side, write_body
from .identities import HOSPITALS, Hospital, Patient, Physician, draw_patient, draw_physician
from .pdf_files import Letter, write_pdf
from .radiograph import radiograph

CHILDREN = 0.18
SECOND_STUDY = 0.5
PREVALENCE = {"fracture": 0.22, "hairline_fracture": 0.25, "implant": 0.2, "enostosis": 0.23, "effusion": 0.3}
GRADES = (0.71, 0.05, 0.08, 0.08, 0.08)
"""Of osteoarthritis in adults, grade 0 to 4."""
NUM_VIEWS = (0.06, 0.36, 0.48, 0.1)
"""Shares of studies with 1 to 4 views; only a study of two or more has its lateral view."""
NUM_PHYSICIANS = 12
PATIENTS_PER_TASK = 16


@dataclass(frozen=True)
class Study:
    """One visit, before anything is written."""

    visit: Visit
    header: StudyHeader
    letter: Letter
    seed: tuple[int, int, int]


def write_hospital(out: Path, num_patients: int, seed: int, progress: Callable[[str, int, int], None]) -> dict[str, int]:
    """Write the export to ``out`` and return how much of what is in it.

    ``dicom/`` and ``reports/`` are what a hospital hands over; ``truth/`` is what only a phantom can tell: ``labels.csv`` of
    studies, ``images.csv`` and ``masks/`` (where an image shows findings), ``identities.jsonl``, ``effects.json``, and
    ``traps.jsonl``, the inputs that must be refused and why. Beyond the
    patients asked for, a few more stand in traps alone: their studies have no report, or their reports no study.

    Raises:
        UserError: ``out`` holds something already, or fewer than one patient is asked for.
    """
    if num_patients < 1:
        raise UserError(f"a hospital needs at least one patient, not {num_patients}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not an empty folder: name another one, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        beside.chmod(0o755)
        counts = _Export(beside, seed).write(num_patients, progress)
        if out.exists():
            out.rmdir()
        beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return counts


class _Export:
    """The folder being written, and the truth gathered on the way; reports are numbered on from ``num_reports``."""

    def __init__(self, folder: Path, seed: int, num_reports: int = 0) -> None:
        self.folder = folder
        self.seed = seed
        self.labels: list[dict[str, str]] = []
        self.images: list[dict[str, str]] = []
        self.identities: list[dict[str, str]] = []
        self.traps: list[dict[str, str]] = []
        self.num_images = 0
        self.num_reports = num_reports
        rng = np.random.default_rng((seed, 2**32))
        self.physicians = tuple(draw_physician(rng) for _ in range(NUM_PHYSICIANS))
        for name in ("dicom", "reports", "truth/masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def write(self, num_patients: int, progress: Callable[[str, int, int], None]) -> dict[str, int]:
        tasks = [
            range(first, min(first + PATIENTS_PER_TASK, num_patients)) for first in range(0, num_patients, PATIENTS_PER_TASK)
        ]
        studies = [sum(len(draw_studies(number, self.seed, self.physicians)) for number in task) for task in tasks]
        progress("writing the phantom hospital", 0, num_patients)
        with _over_cores(len(tasks)) as over:
            parts = over(partial(_write_patients, self.folder, self.seed), tasks, accumulate(studies[:-1], initial=0))
            for task, part in zip(tasks, parts, strict=True):
                self.labels += part.labels
                self.images += part.images
                self.identities += part.identities
                self.num_images += part.num_images
                self.num_reports = part.num_reports
                progress("writing the phantom hospital", task.stop, num_patients)
        self._traps(num_patients)
        self._truth()
        return {
            "patients": num_patients,
            "studies": len(self.labels),
            "images": self.num_images,
            "reports": self.num_reports,
            "traps": len(self.traps),
        }

    def patients(self, numbers: range) -> None:
        for number in numbers:
            for study in draw_studies(number, self.seed, self.physicians):
                self._images(study, number)
                self._report(study, write_body(study.visit, np.random.default_rng((*study.seed, 2))))
                self._label(study)

    def _study_folder(self, study: Study, number: int) -> Path:
        # Real exports name folders after patients; these do not, because paths go into the audit.
        return self.folder / "dicom" / f"PAT{number:05d}" / f"RX{study.seed[2] + 1:02d}"

    def _images(self, study: Study, number: int) -> list[Path]:
        folder = self._study_folder(study, number)
        folder.mkdir(parents=True)
        rng = np.random.default_rng((*study.seed, 1))
        digital, suffix = bool(rng.random() < 0.6), "" if rng.random() < 0.25 else ".dcm"
        paths = []
        for i, view in enumerate(study.visit.views):
            visit = study.visit
            turn = visit.views[:i].count(view)
            pixels, marked = radiograph(visit.skeleton, visit.findings, view, visit.left, rng, turn=turn)
            storage = Storage.draw(digital, rng)
            path = folder / f"IM{i + 1:06d}{suffix}"
            save(build(study.header, view, i + 1, stored(pixels, storage), storage), path)
            self._identities(path, identities(study.header))
            self._mark(study, number, path, view, marked)
            paths.append(path)
        self.num_images += len(paths)
        return paths

    def _mark(self, study: Study, number: int, path: Path, view: str, marked: np.ndarray) -> None:
        mask = ""
        if marked.any():
            mask = f"masks/{number:05d}-{study.seed[2] + 1:02d}-{path.name.removesuffix('.dcm')}.png"
            (self.folder / "truth" / mask).write_bytes(encode_png(np.where(marked, 255, 0).astype(np.uint8)))
        facts = {"image": self._relative(path), "accession_number": study.header.accession_number, "view": view}
        self.images.append(facts | {"patient": f"PAT{number:05d}", "mask": mask})

    def _report(self, study: Study, body: ReportBody) -> Path:
        self.num_reports += 1
        path = self.folder / "reports" / f"CR{self.num_reports:06d}.pdf"
        self._identities(path, write_pdf(path, study.letter, body))
        return path

    def _label(self, study: Study) -> None:
        findings = study.visit.findings
        self.labels.append(
            {"accession_number": study.header.accession_number}
            | {label: str(int(present)) for label, present in findings.labels().items()}
            | {"kl_grade": "" if findings.grade is None else str(findings.grade), "body_part": study.visit.skeleton.name}
        )

    def _identities(self, path: Path, planted: list[Planted]) -> None:
        document = self._relative(path)
        self.identities += [{"document": document, "kind": one.kind, "string": one.string} for one in planted]

    def _trap(self, path: Path, why: str) -> None:
        self.traps.append({"path": self._relative(path), "why": why})

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _traps(self, num_patients: int) -> None:
        """Plant what every real export holds: inputs that must be refused one by one, without stopping at them."""
        extra = [draw_studies(num_patients + i, self.seed, self.physicians)[0] for i in range(5)]
        rng = np.random.default_rng((self.seed, 2**32 + 1))
        for i in (0, 1):
            for path in self._images(extra[i], num_patients + i):
                self._trap(path, "its study has no report")
        for i in (2, 3):
            body = write_body(extra[i].visit, np.random.default_rng((*extra[i].seed, 2)))
            self._trap(self._report(extra[i], body), "its study has no image")
        for path in self._images(extra[4], num_patients + 4):
            self._trap(path, "the report of its study is empty")
        self._trap(self._report(extra[4], ReportBody((), ())), "empty: it has letterhead and patient block, and no body")

        header = extra[0].header
        folder = self._study_folder(extra[0], num_patients)
        storage = Storage(True, 12, False, True, False, "1.2.840.10008.1.2.1", latin=False)
        pixels = stored(np.float32(0.4) + 0.1 * rng.standard_normal((64, 64), np.float32), storage)
        for name, why in (
            ("CT000001.dcm", "a CT slice"),
            ("SR000001.dcm", "no pixels: a header alone"),
            ("IM000090.dcm", "cut off in the middle of its pixels"),
        ):
            number = {"CT": 91, "SR": 92, "IM": 90}[name[:2]]
            dataset, path = build(header, "AP", number, pixels, storage), folder / name
            if name.startswith("CT"):
                dataset = as_ct(dataset)
            if name.startswith("SR"):
                del dataset.PixelData
            save(dataset, path)
            if name.startswith("IM"):
                whole = path.read_bytes()
                path.write_bytes(whole[: len(whole) - pixels.nbytes // 2])
            self._identities(path, identities(header))
            self._trap(path, why)
        note = self.folder / "dicom" / "LISEZMOI.txt"
        note.write_text("Export du PACS. Ne pas diffuser.\n", encoding="utf-8")
        self._trap(note, "a text file")

    def _truth(self) -> None:
        truth = self.folder / "truth"
        labels = ["accession_number", *LABELS, "kl_grade", "body_part"]
        images = ["image", "accession_number", "view", "patient", "mask"]
        for name, columns, rows in (("labels", labels, self.labels), ("images", images, self.images)):
            with (truth / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        for name, lines in (("identities", self.identities), ("traps", self.traps)):
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            (truth / f"{name}.jsonl").write_text(text, encoding="utf-8")
        text = json.dumps(EFFECTS, ensure_ascii=False, indent=1)
        (truth / "effects.json").write_text(text + "\n", encoding="utf-8")


def _write_patients(folder: Path, seed: int, numbers: range, num_reports: int) -> _Export:
    part = _Export(folder, seed, num_reports)
    part.patients(numbers)
    return part


@contextlib.contextmanager
def _over_cores(tasks: int) -> Iterator[Callable[..., Iterable[_Export]]]:
    """Give a ``map`` that spreads tasks over the cores of this machine, in processes that inherit nothing."""
    cores = min(os.cpu_count() or 1, tasks)
    if cores == 1:
        yield map
        return
    # Ctrl-C is the first process's to answer: it waits for what is being written, and for nothing more.
    pool = ProcessPoolExecutor(cores, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def draw_studies(number: int, seed: int, physicians: tuple[Physician, ...]) -> list[Study]:
    """Return the one or two studies of patient ``number``: findings, people and dates; nothing is drawn in pixels yet."""
    rng = np.random.default_rng((seed, number))
    age_years = int(rng.integers(4, 15)) if rng.random() < CHILDREN else int(rng.integers(20, 90))
    first = datetime.date(2021, 1, 4) + datetime.timedelta(days=int(rng.integers(900)))
    patient = draw_patient(number, age_years, first, rng)
    hospital = HOSPITALS[int(rng.integers(len(HOSPITALS)))]
    count = 1 + int(rng.random() < SECOND_STUDY)
    days = [0, int(rng.integers(14, 420))][:count]
    return [
        _draw_study(number, seed, i, patient, hospital, first + datetime.timedelta(days=day), physicians, rng)
        for i, day in enumerate(days)
    ]


def _draw_study(
    number: int,
    seed: int,
    which: int,
    patient: Patient,
    hospital: Hospital,
    date: datetime.date,
    physicians: tuple[Physician, ...],
    rng: np.random.Generator,
) -> Study:
    skeleton = SKELETONS[int(rng.integers(len(SKELETONS)))]
    age_years = (date - patient.birth_date).days * 100 // 36525
    views = _draw_views(skeleton, rng)
    findings = _draw_findings(age_years, "LATERAL" in views, rng)
    prescriber, radiologist, operator = (physicians[i] for i in rng.permutation(len(physicians))[:3])
    left = bool(rng.random() < 0.5)
    accession_number = f"{date:%Y}{seed % 100:02d}{number:05d}{which + 1}"
    when = datetime.datetime.combine(
        date, datetime.time(int(rng.integers(8, 19)), int(rng.integers(60)), int(rng.integers(60)))
    )
    header = StudyHeader(
        hospital=hospital,
        patient=patient,
        prescriber=prescriber,
        radiologist=radiologist,
        operator=operator,
        accession_number=accession_number,
        when=when,
        age_years=age_years,
        body_part=skeleton.name,
        description=f"RX {skeleton.french} {side(skeleton, left)}".upper(),
        left=left,
        uid_seed=f"{seed}/{number}/{which}",
    )
    visit = Visit(patient, prescriber, hospital, date, skeleton, left, views, findings)
    letter = Letter(hospital, patient, prescriber, radiologist, accession_number, date)
    return Study(visit, header, letter, (seed, number, which))


def _draw_views(skeleton: Skeleton, rng: np.random.Generator) -> tuple[str, ...]:
    return skeleton.views[: 1 + int(rng.choice(len(NUM_VIEWS), p=NUM_VIEWS))]


def _draw_findings(age_years: int, has_lateral: bool, rng: np.random.Generator) -> Findings:
    """Each finding on its own: neither the body part nor another finding tells that it is there."""
    present = {name: bool(rng.random() < share) for name, share in PREVALENCE.items()}
    grade = int(rng.choice(len(GRADES), p=GRADES))
    child = age_years < 17
    return Findings(
        fracture=present["fracture"],
        hairline_fracture=present["hairline_fracture"],
        grade=None if child else grade,
        open_growth_plates=child,
        implant=present["implant"],
        enostosis=present["enostosis"],
        effusion=present["effusion"] and has_lateral,
        age_years=age_years,
        seed=int(rng.integers(2**31)),
    )
