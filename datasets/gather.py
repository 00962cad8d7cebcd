"""What belongs to each study: of a hospital export (headers, reports, pairing) or of a table with one row per image."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from .audit import Audit
from .body_parts import body_parts, sides
from .build import ImageInput, StudyInput
from .corpora.files import table
from .dicom.header import Header, read_header
from .folder import files_below
from .pairing import ReportEntry, pair
from .progress import Progress
from .refusal import Refused, UserError
from .reports.broken_words import join_words, words_of
from .reports.furniture import Furniture, Letter, letter_of
from .reports.identity import Identity, read_identity
from .reports.pdf import read_pdf, text_of
from .reports.pseudonymize import Known
from .reports.sections import parse
from .spool import Spool
from .tasks import in_tasks

MOST_LABELS = 50
FILES_PER_TASK = 128
SHORTEST_NUMBER, SHORTEST_CODE = 5, 4
"""A table's number of a patient is looked for in reports from so many digits, or letters and digits, on."""
Content = TypeVar("Content")


def from_export(dicom: Path, reports: Path, labels: Path | None, progress: Progress) -> tuple[Sequence[StudyInput], Audit]:
    """Return the studies of a folder of DICOM files and a folder of PDF reports, and what was kept or refused so far.

    Args:
        dicom: every file at any depth counts as an image, whatever its name.
        reports: every file at any depth counts as a report; only ``*.pdf`` where it is the same folder, or inside ``dicom``.
        labels: optional CSV with a column ``accession_number`` and one 0/1 column per label, empty where unknown.
        progress: called with (what, done, total).

    Raises:
        UserError: a folder is missing or cannot be read, there is no DICOM file, or the labels cannot be read.
    """
    found, texts = files_below(dicom, "DICOM files"), files_below(reports, "PDF reports")
    if reports.resolve().is_relative_to(dicom.resolve()):
        texts = [path for path in texts if path.lower().endswith(".pdf")]
    of_reports = {*texts}
    images = [path for path in found if path not in of_reports]
    if not images:
        raise UserError(f"{dicom} holds no file: name the folder of DICOM files with --dicom")
    truth = _read_labels(labels) if labels else {}
    called = {folder: _called(folder, other) for folder, other in ((dicom, reports), (reports, dicom))}

    def name_of(path: str) -> str:
        folder = reports if path in of_reports else dicom
        return f"{called[folder]}{path.removeprefix(str(folder.absolute()))}"

    audit = Audit()
    headers: list[Header] = []
    once: dict[Any, Any] = {}
    for path, header, reason in _in_tasks(_header, images, "reading DICOM headers", progress):
        if header is None:
            audit.refuse(name_of(path), reason)
        else:
            headers.append(_shared(header, once))
            audit.tell(name_of(path), device=header.device)
            numbers = [header.patient_id, header.accession_number or "", str(header.birth_date or "")]
            audit.identities.update([*header.patient_name, *numbers])
    letters: Spool[tuple[str, Letter]] = Spool()
    for path, letter, reason in _in_tasks(_letter, texts, "reading reports", progress):
        if letter is None:
            audit.refuse(name_of(path), reason)
        else:
            letters.append((path, letter))
            audit.tell(name_of(path), read=", ".join(letter.read_by))
    bodies: Spool[str] = Spool()
    entries: dict[str, tuple[int, ReportEntry]] = {}
    for text, entry in gather_reports(letters):
        entries[entry.path] = len(bodies), entry
        bodies.append(text)
        numbers = [entry.identity.patient_id or "", *entry.identity.numbers, str(entry.identity.birth_date or "")]
        audit.identities.update([*entry.identity.names, *numbers])
    pairing = pair(headers, [entry for _, entry in entries.values()])
    for path, reason in pairing.refused.items():
        audit.refuse(name_of(path), reason)
    studies: Spool[StudyInput] = Spool()
    for study in pairing.studies:
        first = study.headers[0]
        place, entry = entries[study.report_path]
        for path in (study.report_path, *(header.path for header in study.headers)):
            audit.tell(name_of(path), paired_by=study.rule)
        studies.append(
            StudyInput(
                study=study.study_instance_uid,
                patient=first.patient_id,
                report=bodies[place],
                report_name=name_of(study.report_path),
                images=tuple(ImageInput(h.path, name_of(h.path), h.view, h.laterality, h.body_part) for h in study.headers),
                known=_known([first.patient_id, first.accession_number], study.headers, [entry.identity]),
                labels=truth.get(first.accession_number or "", {}),
                age_months=first.age_months,
                sex=first.sex,
            )
        )
    return studies, audit


def _shared(header: Header, once: dict[Any, Any]) -> Header:
    """Return an equal header whose values are the ones in ``once``: images of a study repeat most of theirs."""
    repeated = [field.name for field in fields(Header) if field.name not in ("path", "sop_instance_uid")]
    values = {name: getattr(header, name) for name in repeated}
    return replace(header, **{name: once.setdefault(value, value) for name, value in values.items()})


def gather_reports(letters: Iterable[tuple[str, Letter]]) -> Iterator[tuple[str, ReportEntry]]:
    """Yield the text of every report without the hospital's furniture, and what pairing needs to know of it.

    What is furniture, and how broken words are written whole, is learned from all of them first. The furniture that is cut
    still tells whose report it is.

    Args:
        letters: with the paths of their files; they are gone through twice.
    """
    furniture, seen = Furniture(), Counter[str]()
    for _, letter in letters:
        furniture.learn(letter)
        seen.update(words_of(text_of(letter.pages)))
    for path, letter in letters:
        cut = furniture.cut(letter)
        text = join_words(cut.text, seen)
        report = parse(text)
        identity = read_identity(f"{report.preamble}\n{cut.furniture}")
        yield text, ReportEntry(path, identity, report.title, body_parts(report.body), sides(report.body))


def _known(numbers: Iterable[str | None], headers: Sequence[Header], identities: Sequence[Identity]) -> Known:
    """Return what ``numbers``, the headers and the patient blocks of a study say about people and places."""
    names = [name for one in headers for name in one.patient_name] + [name for one in identities for name in one.names]
    blocks = [number for one in identities for number in (one.patient_id, *one.numbers, *one.study_uids, *one.identifiers)]
    firsts = [*headers[:1], *identities]
    return Known(
        names=_once(names),
        identifiers=_once([*numbers, *blocks]),
        birth_date=next((one.birth_date for one in firsts if one.birth_date), None),
        people=_once(person for one in (*headers, *identities) for person in one.people),
        places=_once(one.institution for one in firsts),
    )


def _once(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def from_manifest(
    manifest: Path,
    image_column: str,
    text_column: str,
    patient_column: str,
    study_column: str | None,
    label_column: str | None,
    progress: Progress,
) -> tuple[Sequence[StudyInput], Audit]:
    """Return the studies of a CSV with one row per image; a study is a patient and a value of the study column.

    Image paths are relative to the CSV. Rows without image, patient or text, or whose image is missing, are refused one by one;
    different texts of one study are joined. An empty study cell is a value as others are: such rows of a patient are one study.
    Each value of the label column becomes a 0/1 label of its own; an empty cell is unknown. Columns ``view`` and ``sex`` are
    taken along where they exist. What the patient blocks of a study's texts say is known of it, and so is its patient's number.

    Raises:
        UserError: the file or a column is missing, or the label column has too many values for labels.
    """
    wanted = [image_column, text_column, patient_column, *filter(None, [study_column, label_column])]
    rows = _read_table(manifest, "--manifest", *wanted)
    audit = Audit()
    by_study: dict[tuple[str, str], list[tuple[str, dict[str, str]]]] = defaultdict(list)
    seen: set[tuple[str, str, str]] = set()
    for number, row in enumerate(rows, start=1):
        progress("reading the table", number, len(rows))
        name = row[image_column] or f"row {number}"
        name = name if name not in audit.lines else f"{name} (row {number})"
        study = (row[patient_column], row[study_column] if study_column else row[image_column])
        audit.keep(name)
        if not row[image_column]:
            audit.refuse(name, f"no image: column {image_column} is empty")
        elif not row[patient_column]:
            audit.refuse(name, f"no patient: column {patient_column} is empty")
        elif not row[text_column]:
            audit.refuse(name, f"no text: column {text_column} is empty")
        elif not (manifest.parent / row[image_column]).is_file():
            audit.refuse(name, "no such image file")
        elif (*study, row[image_column]) in seen:
            audit.refuse(name, "a copy: another row names the same image for the same study")
        else:
            seen.add((*study, row[image_column]))
            by_study[study].append((name, row))
            audit.identities.add(row[patient_column])
    values = sorted({row[label_column] for row in rows if row[label_column]}) if label_column else []
    if len(values) > MOST_LABELS:
        raise UserError(
            f"column {label_column} of {manifest} has {len(values)} values: a label column has at most {MOST_LABELS}"
        )
    studies = []
    for (patient, study), members in by_study.items():
        found = {row[label_column] for _, row in members if row[label_column]} if label_column else set()
        texts = _once(row[text_column] for _, row in members)
        identities = [read_identity(parse(text).preamble) for text in texts]
        known = _known([patient] if _is_identifier(patient) else [], [], identities)
        audit.identities.update([*known.names, *known.identifiers, str(known.birth_date or "")])
        studies.append(
            StudyInput(
                study=f"{patient}|{study}",
                patient=patient,
                report="\n".join(texts),
                report_name=members[0][0],
                images=tuple(
                    ImageInput(str(manifest.absolute().parent / row[image_column]), name, view=row.get("view") or None)
                    for name, row in members
                ),
                known=known,
                labels={value: float(value in found) for value in values} if found else {},
                sex=next((row["sex"] for _, row in members if row.get("sex") in ("F", "M", "O")), None),
            )
        )
    return studies, audit


def _is_identifier(patient: str) -> bool:
    """Whether what a table calls a patient means him where a report says it: 12, T12 and ``fracture`` stand in any report."""
    letters = re.sub(r"[\W_]", "", patient)
    return any(map(str.isdigit, letters)) and len(letters) >= (SHORTEST_NUMBER if letters.isdigit() else SHORTEST_CODE)


def _called(folder: Path, other: Path) -> str:
    """Return what the audit calls a folder: its name, or its whole path where both folders have one name."""
    same = folder.resolve().name == other.resolve().name and folder.resolve() != other.resolve()
    return str(folder.absolute()) if same else folder.resolve().name


def _read_table(path: Path, option: str, *columns: str) -> list[dict[str, str]]:
    """Return the rows of a CSV, every cell a text without blanks around it.

    Raises:
        UserError: there is no such file, it is no CSV in UTF-8, it lacks one of ``columns``, or it has no row.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}: {option} names a CSV")
    rows = list(table(path, *columns))
    if not rows:
        raise UserError(f"{path} has no row under its header: {option} names a CSV with one row per line")
    return rows


def _read_labels(path: Path) -> dict[str, dict[str, float]]:
    """Return the labels of each accession number; rows without a number are left out.

    A column of 0 and 1 is a label, empty where unknown; columns without either, or of numbers above 1 (grades, ages), are none.

    Raises:
        UserError: the file cannot be read, has no accession numbers or no label, a label has another value, or two rows of a
            number disagree.
    """
    rows = _read_table(path, "--labels", "accession_number")
    names = []
    for name in (name for name in rows[0] if name != "accession_number"):
        values = {row[name]: _number(row[name]) for row in rows if row[name]}
        others = sorted(cell for cell, value in values.items() if value not in (0, 1))
        if not others:
            names.append(name)
        elif len(others) < len(values) and not any(value > 1 for value in values.values()):
            raise UserError(
                f"column {name} of {path} holds {others[0]!r} beside 0 and 1: empty those cells if they are unknown"
            )
    if not names:
        raise UserError(f"{path} has no column of 0 and 1; its columns are {', '.join(rows[0])}")
    labels: dict[str, dict[str, float]] = defaultdict(dict)
    for number, row in enumerate(rows, start=1):
        for name in names if row["accession_number"] else ():
            if row[name] and labels[row["accession_number"]].setdefault(name, _number(row[name])) != _number(row[name]):
                raise UserError(f"{path}, row {number}: {name} is {row[name]}, and a row above says otherwise of that number")
    return dict(labels)


def _number(cell: str) -> float:
    """Return what a cell holds, 1 and 0 for True and False, or nan where it is no number."""
    try:
        return float({"true": "1", "false": "0"}.get(cell.lower(), cell))
    except ValueError:
        return math.nan


def _header(path: str) -> tuple[Header | None, str]:
    return _read(read_header, path)


def _letter(path: str) -> tuple[Letter | None, str]:
    return _read(lambda path: letter_of(read_pdf(path)), path)


def _read(read: Callable[[Path], Content], path: str) -> tuple[Content | None, str]:
    """Return what a file holds, or None and why it cannot be used."""
    try:
        return read(Path(path)), ""
    except Refused as refusal:
        return None, str(refusal)
    except OSError:
        return None, "the file cannot be read"
    except Exception as error:  # noqa: BLE001 - whatever foreign bytes make a parser say, the file is at fault.
        return None, f"the file cannot be read ({type(error).__name__})"


def _in_tasks(
    read: Callable[[str], tuple[Content | None, str]], names: Sequence[str], what: str, progress: Progress
) -> Iterator[tuple[str, Content | None, str]]:
    progress(what, 0, len(names))
    tasks = max(16, len(names) // FILES_PER_TASK)
    for done, (name, (content, reason)) in enumerate(zip(names, in_tasks(read, names, tasks), strict=True), start=1):
        progress(what, done, len(names))
        yield name, content, reason
