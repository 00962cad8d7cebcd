"""Which report belongs to which study: by accession number, else by patient and day, and never by guessing."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from .dicom.header import Header
from .reports.identity import Identity

NO_REPORT = "no report has the accession number, or the patient and day, of its study"
NO_STUDY = "no study has the accession number, or the patient and day, of this report"
NO_CLUE = "the report names neither an accession number nor a patient id and an examination date"
SEVERAL_REPORTS = "ambiguous: several reports fit its study"
SEVERAL_STUDIES = "ambiguous: several studies fit this report"
REPORT_NOT_ALONE = "ambiguous: another report fits the same study"
STUDY_NOT_ALONE = "ambiguous: another study fits the same report"
OTHER_PATIENT = "the report has the accession number of a study but names another patient"
TWICE = "a copy: another file has the same instance uid"
MIXED = "its study uid is shared by several patients"


@dataclass(frozen=True)
class ReportEntry:
    """A report file and what its patient block says."""

    path: str
    identity: Identity


@dataclass(frozen=True)
class PairedStudy:
    """One study with its images, in the order of their files, and its report."""

    study_instance_uid: str
    headers: tuple[Header, ...]
    report_path: str


@dataclass(frozen=True)
class Pairing:
    """Paired studies, and every other file with the reason why it is left out."""

    studies: tuple[PairedStudy, ...]
    refused: dict[str, str]


def pair(headers: Sequence[Header], entries: Sequence[ReportEntry]) -> Pairing:
    """Return which report belongs to which study.

    First by accession number, where the report names no other patient; what is left by patient id and day. A match counts only
    if it is the only one on both sides. Order of the arguments does not matter.
    """
    refused: dict[str, str] = {}
    studies = _studies(sorted(headers, key=lambda header: header.path), refused)
    entries = sorted(entries, key=lambda entry: entry.path)
    paired: dict[str, str] = {}
    reports = {entry.path: entry for entry in entries}

    def left() -> tuple[dict[str, tuple[Header, ...]], list[ReportEntry]]:
        taken = {*paired.values(), *refused}
        return {uid: s for uid, s in studies.items() if uid not in paired and s[0].path not in refused}, [
            entry for entry in entries if entry.path not in taken
        ]

    _match(*left(), _accession, _reported_accession, paired, refused)
    for uid, path in list(paired.items()):
        if _contradict(studies[uid][0], reports[path].identity):
            del paired[uid]
            refused[path] = OTHER_PATIENT
            refused.update({header.path: OTHER_PATIENT for header in studies[uid]})
    _match(*left(), _patient_and_day, _reported_patient_and_day, paired, refused)
    studies_left, entries_left = left()
    for members in studies_left.values():
        refused.update({header.path: NO_REPORT for header in members})
    for entry in entries_left:
        has_clue = entry.identity.accession_number or _reported_patient_and_day(entry)
        refused[entry.path] = NO_STUDY if has_clue else NO_CLUE
    return Pairing(tuple(PairedStudy(uid, studies[uid], paired[uid]) for uid in studies if uid in paired), refused)


def _studies(headers: Iterable[Header], refused: dict[str, str]) -> dict[str, tuple[Header, ...]]:
    """Return the images of every study uid; copies and studies of several patients are refused."""
    seen: set[str] = set()
    members: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        if header.sop_instance_uid in seen:
            refused[header.path] = TWICE
            continue
        seen.add(header.sop_instance_uid)
        members[header.study_instance_uid].append(header)
    studies = {}
    for uid, images in members.items():
        if len({image.patient_id for image in images}) > 1:
            refused.update({image.path: MIXED for image in images})
        else:
            studies[uid] = tuple(images)
    return studies


def _match(
    studies: dict[str, tuple[Header, ...]],
    entries: Sequence[ReportEntry],
    of_study: Callable[[Sequence[Header]], Hashable | None],
    of_report: Callable[[ReportEntry], Hashable | None],
    paired: dict[str, str],
    refused: dict[str, str],
) -> None:
    """Pair studies and reports that have the same key and are alone with it; refuse those that are not alone."""
    by_key: dict[Hashable, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for uid, images in studies.items():
        if (key := of_study(images)) is not None:
            by_key[key][0].append(uid)
    for entry in entries:
        if (key := of_report(entry)) is not None:
            by_key[key][1].append(entry.path)
    for uids, paths in by_key.values():
        if len(uids) == len(paths) == 1:
            paired[uids[0]] = paths[0]
        elif uids and paths:
            for uid in uids:
                reason = SEVERAL_REPORTS if len(paths) > 1 else STUDY_NOT_ALONE
                refused.update({image.path: reason for image in studies[uid]})
            for path in paths:
                refused[path] = SEVERAL_STUDIES if len(uids) > 1 else REPORT_NOT_ALONE


def _accession(images: Sequence[Header]) -> str | None:
    """Return the one accession number of a study, or None where it has none or several."""
    numbers = {image.accession_number for image in images if image.accession_number}
    return _number(numbers.pop()) if len(numbers) == 1 else None


def _reported_accession(entry: ReportEntry) -> str | None:
    return _number(entry.identity.accession_number) if entry.identity.accession_number else None


def _patient_and_day(images: Sequence[Header]) -> Hashable | None:
    days = {image.study_date for image in images if image.study_date}
    return (_number(images[0].patient_id), days.pop()) if len(days) == 1 else None


def _reported_patient_and_day(entry: ReportEntry) -> Hashable | None:
    identity = entry.identity
    return (_number(identity.patient_id), identity.study_date) if identity.patient_id and identity.study_date else None


def _contradict(header: Header, identity: Identity) -> bool:
    """Whether header and report name different patients: other patient ids and other birth dates, where both have them.

    Hospitals print one of several numbers of a patient: another number alone is no contradiction.
    """
    other_id = bool(identity.patient_id) and _number(str(identity.patient_id)) != _number(header.patient_id)
    both_born = header.birth_date is not None and identity.birth_date is not None
    return both_born and header.birth_date != identity.birth_date and (other_id or not identity.patient_id)


def _number(text: str | None) -> str:
    """Separators and case do not count in a number."""
    return "".join(letter for letter in str(text).upper() if letter.isalnum())
