"""Which report belongs to which study: by the numbers in it, else by patient, day, body part and side; never by guessing.

The rules of `RULES` are tried one after the other. Each of them pairs a study and a report that point at each other and at
nothing else, and that do not contradict each other: in who the patient is, in the day, in the body part or the side. What no
rule pairs is refused, with the reason.
"""

import datetime
import difflib
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .body_parts import body_parts, neighbours, sides
from .dicom.header import Header
from .reports.dates import read_date
from .reports.found import plain
from .reports.identity import Identity

NO_REPORT = "no report has the accession number, or the patient and day, of its study"
NO_STUDY = "no study has the accession number, or the patient and day, of this report"
NO_CLUE = "the report names neither an accession number nor a patient and an examination date"
SEVERAL_REPORTS = "ambiguous: several reports fit its study"
SEVERAL_STUDIES = "ambiguous: several studies fit this report"
REPORT_NOT_ALONE = "ambiguous: another report fits the same study"
STUDY_NOT_ALONE = "ambiguous: another study fits the same report"
OTHER_PATIENT = "the report has the accession number of a study but names another patient"
OTHER_DAY = "the report has the accession number of a study of another day"
OTHER_PART = "the report fits by number, or by patient and day, but speaks of another body part or side"
OTHER_NUMBER = "the report fits by patient and day, but its number is that of another examination"
TWICE = "a copy: another file has the same instance uid"
MIXED = "its study uid is shared by several patients"

SHORTEST_NUMBER = 5
"""Order numbers and study ids of fewer letters and digits (``1``) are no numbers of one examination."""
MOST_OF_A_DAY = 5
"""Studies of one patient and day of which all ways to give them reports are tried."""
DAYS_BEFORE, DAYS_AFTER = 1, 31
"""A report may be dated a day before its study (midnight), and as many days after it as it waits to be written."""


@dataclass(frozen=True)
class ReportEntry:
    """A report file, what its patient block says, the line that names its examination, and what its text is about."""

    path: str
    identity: Identity
    title: str | None = None
    text_parts: frozenset[str] = frozenset()
    text_sides: frozenset[str] = frozenset()

    @cached_property
    def day(self) -> datetime.date | None:
        return self.identity.study_date or (read_date(self.title) if self.title else None)

    @cached_property
    def numbers(self) -> frozenset[str]:
        return frozenset(filter(None, map(_number, self.identity.numbers)))

    @cached_property
    def titles(self) -> str:
        return ". ".join([*self.identity.examination, *filter(None, [self.title])])

    @cached_property
    def parts(self) -> frozenset[str]:
        """Body parts of the title, or else of the text."""
        return body_parts(self.titles) or self.text_parts

    @cached_property
    def sides(self) -> frozenset[str]:
        return sides(self.titles, letters=True) or self.text_sides


@dataclass(frozen=True)
class Study:
    """All images of a study uid, in the order of their files."""

    uid: str
    headers: tuple[Header, ...]

    @cached_property
    def day(self) -> datetime.date | None:
        """The one day of a study, or None where it has none or several."""
        return _only({header.study_date for header in self.headers if header.study_date})

    @cached_property
    def accession_number(self) -> str | None:
        return _only({_number(header.accession_number) for header in self.headers if header.accession_number})

    @cached_property
    def order_numbers(self) -> frozenset[str]:
        numbers = {_number(number) for header in self.headers for number in header.order_numbers}
        return frozenset(number for number in numbers if len(number) >= SHORTEST_NUMBER)

    @cached_property
    def parts(self) -> frozenset[str]:
        named = {part for header in self.headers for part in body_parts(header.body_part or "")}
        return frozenset(named) or frozenset(part for h in self.headers for part in body_parts(h.description or ""))

    @cached_property
    def sides(self) -> frozenset[str]:
        named = {side for header in self.headers for side in {"B": "LR"}.get(header.laterality or "", header.laterality or "")}
        return frozenset(named or (side for h in self.headers for side in sides(h.description or "", letters=True)))


@dataclass(frozen=True)
class PairedStudy:
    """One study with its images, in the order of their files, its report, and the name of the rule that paired them."""

    study_instance_uid: str
    headers: tuple[Header, ...]
    report_path: str
    rule: str = ""


@dataclass(frozen=True)
class Pairing:
    """Paired studies, and every other file with the reason why it is left out."""

    studies: tuple[PairedStudy, ...]
    refused: dict[str, str]


@dataclass(frozen=True)
class Rule:
    """One way in which a study and a report point at each other.

    Attributes:
        of_study, of_report: their keys: those that share one, and are ``of_one_patient`` where that is asked, are candidates
            for each other.
        contradiction: the reason why two candidates do not belong together, or None.
        by_number: a match is sure where it is the only one on both sides. Without a number, it also must be the only way to
            give each study of the group a report of its own, or else agree in body part or side: silence decides nothing.
    """

    name: str
    of_study: Callable[[Study], Iterable[Hashable]]
    of_report: Callable[[ReportEntry], Iterable[Hashable]]
    contradiction: Callable[[Study, ReportEntry], str | None]
    of_one_patient: Callable[[Study, ReportEntry], bool] | None = None
    by_number: bool = True


def pair(headers: Sequence[Header], entries: Sequence[ReportEntry]) -> Pairing:
    """Return which report belongs to which study, by which rule, and why the others have none.

    Order of the arguments does not matter.
    """
    refused: dict[str, str] = {}
    studies = _studies(sorted(headers, key=lambda header: header.path), refused)
    reports = {entry.path: entry for entry in sorted(entries, key=lambda entry: entry.path)}
    paired: dict[str, tuple[str, str]] = {}
    reasons: dict[str, str] = {}
    closed: set[str] = set()
    for rule in RULES:
        _apply(rule, studies, reports, paired, reasons, closed)
    for uid, study in studies.items():
        if uid not in paired:
            refused.update({header.path: reasons.get(uid, NO_REPORT) for header in study.headers})
    taken = {path for path, _ in paired.values()}
    for path, entry in reports.items():
        if path not in taken:
            has_clue = entry.numbers or entry.identity.study_uids or any(_patient_and_day(entry))
            refused[path] = reasons.get(path) or (NO_STUDY if has_clue else NO_CLUE)
    return Pairing(tuple(PairedStudy(uid, studies[uid].headers, *paired[uid]) for uid in studies if uid in paired), refused)


def _studies(headers: Iterable[Header], refused: dict[str, str]) -> dict[str, Study]:
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
            studies[uid] = Study(uid, tuple(images))
    return studies


def _apply(
    rule: Rule,
    studies: dict[str, Study],
    reports: dict[str, ReportEntry],
    paired: dict[str, tuple[str, str]],
    reasons: dict[str, str],
    closed: set[str],
) -> None:
    """Pair the studies and reports of which ``rule`` is sure; note why the others are not paired.

    Args:
        paired: from study uid to the path of its report and the name of the rule.
        reasons: from the uid of a study, or the path of a report, to why it is not paired.
        closed: uids and paths that are paired, and paths that a number led to a study they contradict: no rule sees them again.
    """
    by_key: dict[Hashable, list[Study]] = defaultdict(list)
    for study in studies.values():
        for key in rule.of_study(study) if study.uid not in closed else ():
            by_key[key].append(study)
    candidates: dict[tuple[str, str], str | None] = {}
    for entry in reports.values():
        found = {study.uid: study for key in rule.of_report(entry) for study in by_key.get(key, ())}
        for study in found.values() if entry.path not in closed else ():
            if rule.of_one_patient is None or rule.of_one_patient(study, entry):
                candidates[study.uid, entry.path] = rule.contradiction(study, entry)
    of_one = Counter(one for couple in candidates for one in couple)
    fitting = Counter(one for couple, reason in candidates.items() if reason is None for one in couple)
    sure = {
        (uid, path)
        for uid, path in candidates
        if fitting[uid] == fitting[path] == 1 and (rule.by_number or _agree(studies[uid], reports[path]))
    }
    if not rule.by_number:
        sure = sure.union(*(_only_assignment(group, candidates) for group in _groups(candidates)))
    for (uid, path), reason in candidates.items():
        if reason is not None:
            reasons.setdefault(uid, reason)
            reasons.setdefault(path, reason)
            closed |= set() if fitting[path] else {path}
        elif (uid, path) in sure:
            paired[uid] = path, rule.name
            closed |= {uid, path}
        else:
            reasons[uid] = SEVERAL_REPORTS if of_one[uid] > 1 else STUDY_NOT_ALONE
            reasons[path] = SEVERAL_STUDIES if of_one[path] > 1 else REPORT_NOT_ALONE


def _groups(couples: Iterable[tuple[str, str]]) -> Iterable[set[tuple[str, str]]]:
    """Return the couples in groups, so that no study or report is in two of them."""
    group_of: dict[str, set[tuple[str, str]]] = {}
    for couple in couples:
        merged = {couple}.union(*(group_of.get(one, ()) for one in couple))
        group_of.update(dict.fromkeys(itertools.chain.from_iterable(merged), merged))
    return {id(group): group for group in group_of.values()}.values()


def _only_assignment(group: set[tuple[str, str]], candidates: dict[tuple[str, str], str | None]) -> set[tuple[str, str]]:
    """Return the couples that give each study of a group a report of its own, if there are as many and it has one way."""
    uids, paths = sorted({uid for uid, _ in group}), sorted({path for _, path in group})
    if len(uids) != len(paths) or len(uids) > MOST_OF_A_DAY:
        return set()
    ways = [list(zip(uids, order, strict=True)) for order in itertools.permutations(paths)]
    ways = [way for way in ways if all(candidates.get(couple, NO_CLUE) is None for couple in way)]
    return set(ways[0]) if len(ways) == 1 else set()


# --- keys and contradictions ------------------------------------------------------------------------------------------


def _studied_patient_and_day(study: Study) -> Iterator[Hashable]:
    if study.day:
        yield study.day, _number(study.headers[0].patient_id)
        yield from ((study.day, born) for born in {header.birth_date for header in study.headers} if born)


def _patient_and_day(entry: ReportEntry) -> Iterator[Hashable]:
    if entry.day and entry.identity.patient_id:
        yield entry.day, _number(entry.identity.patient_id)
    if entry.day and entry.identity.birth_date and entry.identity.names:
        yield entry.day, entry.identity.birth_date


def _contradicts_number(study: Study, entry: ReportEntry) -> str | None:
    """A number is often mistyped, and then that of another examination: what else both say decides."""
    if _other_patient(study.headers[0], entry.identity):
        return OTHER_PATIENT
    if study.day and entry.day and not -DAYS_BEFORE <= (entry.day - study.day).days <= DAYS_AFTER:
        return OTHER_DAY
    titled = body_parts(entry.titles), sides(entry.titles, letters=True)
    return OTHER_PART if _apart(study, *titled) else None


def _is_patient(study: Study, entry: ReportEntry) -> bool:
    """Whether the patient id, or birth date and name, say that both are of one patient."""
    agree, _ = _agreement(study.headers[0], entry.identity)
    return not _other_patient(study.headers[0], entry.identity) and ("id" in agree or agree == {"birth date", "name"})


def _contradicts_day(study: Study, entry: ReportEntry) -> str | None:
    if study.accession_number and any(_of_another(number, study.accession_number) for number in entry.numbers):
        return OTHER_NUMBER
    return OTHER_PART if _apart(study, entry.parts, entry.sides) else None


def _agreement(header: Header, identity: Identity) -> tuple[set[str], set[str]]:
    """Return in what header and report agree about the patient, and in what they differ; what one leaves out is in neither.

    Hospitals print one of several numbers of a patient, birth dates have slips, and names change: no single one decides.
    """
    same: dict[str, bool | None] = {"name": _same_name(header.patient_name, identity.names)}
    if identity.patient_id:
        same["id"] = _number(identity.patient_id) == _number(header.patient_id)
    if identity.birth_date and header.birth_date:
        same["birth date"] = identity.birth_date == header.birth_date
    return {what for what, said in same.items() if said}, {what for what, said in same.items() if said is False}


def _other_patient(header: Header, identity: Identity) -> bool:
    agree, differ = _agreement(header, identity)
    return len(differ) > len(agree) or ("birth date" in differ and "id" not in agree)


def _same_name(one: Iterable[str], other: Iterable[str]) -> bool | None:
    """Whether two names are one, whatever their order, accents, hyphens, small slips, or a name more; None: only a part is.

    >>> _same_name(("Van den Broeck", "Élodie"), ("ELODIE", "VANDENBROECK")), _same_name(("Petit", "Jean"), ("Petit", "Anne"))
    (True, None)
    """
    few, many = sorted((re.findall(r"[^\W\d_]{2,}", plain(" ".join(name))) for name in (one, other)), key=len)
    if not few:
        return None
    shared = sum(any(_alike(word, another) for another in many) for word in few)
    if sorted("".join(few)) == sorted("".join(many)) or (shared == len(few) > 1):
        return True
    return None if shared else False


def _alike(word: str, other: str) -> bool:
    return word == other or (min(len(word), len(other)) > 4 and difflib.SequenceMatcher(None, word, other).ratio() > 0.8)


def _apart(study: Study, parts: frozenset[str], which: frozenset[str]) -> bool:
    """Whether a report names body parts, or one side, that cannot be those of the study."""
    other_part = study.parts and parts and study.parts.isdisjoint(neighbours(parts))
    return bool(other_part or (study.sides and which and study.sides.isdisjoint(which)))


def _agree(study: Study, entry: ReportEntry) -> bool:
    return bool(study.parts & entry.parts or (len(study.sides) == 1 and study.sides == entry.sides))


def _of_another(number: str, own: str) -> bool:
    """Whether two numbers are of one kind, and of two examinations: more than two digits in the wrong order apart."""
    forms = {re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "A", one)) for one in (number, own)}
    differ = [i for i, (one, other) in enumerate(zip(number, own, strict=False)) if one != other]
    swapped = len(differ) == 2 and differ[1] - differ[0] == 1 and sorted(number) == sorted(own)
    return number != own and len(forms) == 1 and not swapped


def _number(text: str | None) -> str:
    """Separators and case do not count in a number."""
    return "".join(letter for letter in str(text or "").upper() if letter.isalnum())


def _only(values: set[Any]) -> Any | None:
    return next(iter(values)) if len(values) == 1 else None


RULES = (
    Rule("study uid", lambda study: [study.uid], lambda entry: entry.identity.study_uids, _contradicts_number),
    Rule(
        "accession number",
        lambda study: filter(None, [study.accession_number]),
        lambda entry: entry.numbers,
        _contradicts_number,
    ),
    Rule("order number", lambda study: study.order_numbers, lambda entry: entry.numbers, _contradicts_number),
    Rule(
        "patient, day, body part and side",
        _studied_patient_and_day,
        _patient_and_day,
        _contradicts_day,
        _is_patient,
        by_number=False,
    ),
)
