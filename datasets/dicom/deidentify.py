"""DICOM headers without identities: the Basic Profile of the standard, and then whatever identity is still left in a text.

What happens to an attribute is looked up by its tag (`action`), at every depth. What the table does not know stays, less any
word, number, date or UID that the file itself gives away as an identity (`identities_of`): a name in Study Description goes,
because it stands in Patient's Name. Nothing depends on other files, so that a file can be cleaned anywhere, with the key alone.

Source: DICOM PS3.15 Annex E.
"""

import copy
import datetime
import functools
import io
import json
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID

from ..audit import Audit
from ..config import Config
from ..folder import files_below
from ..progress import Progress
from ..pseudonyms import Key
from ..records import check_new
from ..refusal import Refused, UserError
from ..reports.dates import find_dates
from ..reports.found import plain, words
from ..reports.pseudonymize import GENERIC, PARTICLES, TITLES, Known, find_known, pseudonymize, replace, resolve
from .header import open_dicom, read_header, silence

CleanPixels = Callable[[Dataset, Known], bool]
"""Blanks the writing in the pixels of a data set, in place, and returns whether there was any: `burned_in.clean_pixels`.

It may change the transfer syntax, and raises `Refused` for a picture that it cannot clean.
"""

PROFILE = Path(__file__).with_name("profile.json")
METHOD = "radsweep: DICOM PS3.15 Basic Profile"
IMPLEMENTATION = UID("2.25.16250809340849444156192498071642349326")
REMOVED = "REMOVED"
"""Stands for a text that is an identity, where something has to stand."""
LONGEST_NAMED_AGE = 89
REGISTERED = r"1\.2\.840\.10008\.[\d.]+"
"""The standard's own UIDs name kinds of things, and no thing."""

PIXELS = frozenset({0x00283006, 0x7FE00001, 0x7FE00002, 0x7FE00010})
"""What a radiograph is made of: look-up tables, offsets of fragments, pixels."""
OPAQUE = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN", "UR"})
MOST = {"SH": 16, "CS": 16, "AE": 16, "LO": 64, "ST": 1024, "LT": 10240}
"""Letters of a value. Source: PS3.5 table 6.2-1."""
LINES, PROSE = frozenset({"LO", "SH", "UC", "CS"}), frozenset({"ST", "LT", "UT"})
"""A text of several values, and a text of one."""
DUMMIES: dict[str, Any] = {
    **dict.fromkeys(("AE", "CS", "LO", "SH", "UC", "ST", "LT", "UT", "PN"), REMOVED),
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "AS": "000D",
    **dict.fromkeys(("IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"), 0),
}
CODES = {
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "clean_pixel_data": ("113101", "Clean Pixel Data Option"),
    "clean_descriptors": ("113105", "Clean Descriptors Option"),
    "modified_dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient_characteristics": ("113108", "Retain Patient Characteristics Option"),
    "device_identity": ("113109", "Retain Device Identity Option"),
}
"""Source: PS3.16 CID 7050."""

PATIENT_NUMBERS = {"PatientID", "OtherPatientIDs"}
PLACES = ("Institution", "Address", "Organization", "Department", "Residence", "Location")
"""Parts of the keywords of attributes that say where."""
OF_ANY_PLACE = frozenset(
    words(
        "radiology radiologie radiologique imaging imagerie xray department departement service services unit unite room salle "
        "hospital hospitals medical medicine medecine health sante center centre clinic university universite school research "
        "national general emergency urgences pediatrics pediatric pediatrie orthopedics orthopedic orthopedie trauma surgery "
        "chirurgie oncology oncologie cardiology cardiologie neurology neurologie rheumatology rhumatologie sport sports "
        "mammography mammographie dental dentaire thorax chest hand main foot pied knee genou hip hanche shoulder epaule "
        "wrist poignet elbow coude ankle cheville spine rachis dos breast sein bone bones os bras arm jambe leg bassin pelvis "
        "skull crane street avenue boulevard place chemin building floor north south the and for les des saint"
    )
)
"""Words in the names of hospitals and streets that a description of an examination may hold too (``Institut de la Main``)."""
MARKERS = frozenset(words("ap pa ll rl lr rx xr cr dx no"))
"""Two letters that say more often how a picture was taken than who is on it."""
FIRST_OF_EAST_ASIA = 0x1100
NUMBER = r"[+\-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+\-]?\d+)?"
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OverflowError, UnicodeError)
"""What pydicom raises when a value is not of its value representation."""


class Options(Config):
    """The options of the profile; all but one are on, so that what a study needs is kept and cleaned.

    Attributes:
        clean_pixel_data: text burned into the picture is looked for and blanked.
        clean_descriptors: descriptions and comments are cleaned, else removed.
        modified_dates: dates are moved by the patient's days, else removed.
        patient_characteristics: sex, age, size and weight stay; ages over 89 are one.
        device_identity: serial numbers and station names stay. Off: they lead to the hospital, and manufacturer and model,
            which are kept anyway, say what a study asks of a device.
    """

    clean_pixel_data: bool = True
    clean_descriptors: bool = True
    modified_dates: bool = True
    patient_characteristics: bool = True
    device_identity: bool = False


@dataclass(frozen=True)
class Deidentified:
    """A clean data set, and how often which rule was applied to which tag: ``{"0010,1040 removed": 1}``."""

    dataset: Dataset
    done: Counter[str]


def deidentify(
    dataset: Dataset, key: Key, options: Options | None = None, clean_pixels: CleanPixels | None = None
) -> Deidentified:
    """Return a copy of ``dataset`` without identities, in UTF-8, with new file meta information and an empty preamble.

    Patient ID becomes the key's pseudonym of it and UIDs become UUID-derived ones, the same in all files; dates move by the
    key's days for this patient, as in reports. Where pixels were not cleaned, Burned In Annotation does not say NO; where
    they were, those of ``dataset`` itself are blanked.

    Raises:
        Refused: without Patient ID or SOP Instance UID, or what `clean_pixels` refuses.
        ValueError: pixels are to be cleaned, and nothing is given that does it.
    """
    options = options or Options()
    if options.clean_pixel_data and clean_pixels is None:
        raise ValueError("clean_pixel_data needs clean_pixels; without it, say Options(clean_pixel_data=False)")
    # Real headers break the rules of their value representations all the time; here they are only read and rewritten.
    with silence(), disable_value_validation():
        for keyword in ("PatientID", "SOPInstanceUID"):
            if not str(dataset.get(keyword) or "").strip():
                raise Refused(f"no {keyword}: it cannot be said whose image this is")
        identities = identities_of(dataset, options)
        cleaner = _Cleaner(key, options, str(dataset.PatientID).strip(), identities)
        if clean_pixels is not None and options.clean_pixel_data and clean_pixels(dataset, identities.known):
            cleaner.done["7FE0,0010 blanked"] += 1
        cleaned = cleaner.dataset(dataset)
        cleaned.SpecificCharacterSet = "ISO_IR 192"
        if options.patient_characteristics and not cleaned.get("PatientAge") and (age := _age(dataset)):
            cleaned.PatientAge = age
        _declare(cleaned, options)
        cleaned.file_meta = _file_meta(cleaned, dataset)
        cleaned.preamble = bytes(128)
    return Deidentified(cleaned, cleaner.done)


def _declare(dataset: Dataset, options: Options) -> None:
    """Write what was done. Source: PS3.15 E.2 and E.3, PS3.3 C.7.1.1 and C.7.6.1."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    dataset.DeidentificationMethodCodeSequence = Sequence(
        [_code(*CODES[name]) for name in ("basic", *(name for name, on in options if on))]
    )
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if options.modified_dates else "REMOVED"
    if options.clean_pixel_data:
        dataset.BurnedInAnnotation = "NO"
    elif "BurnedInAnnotation" in dataset:
        # Where nobody looked, text has to be expected.
        dataset.BurnedInAnnotation = "YES"


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _file_meta(dataset: Dataset, original: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = original.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "RADSWEEP"
    return meta


# --- the table --------------------------------------------------------------------------------------------------------


@functools.cache
def _profile() -> dict[int, dict[str, str]]:
    """Return the rows of the table by tag; its four patterns of tags are in `action`."""
    rows = json.loads(PROFILE.read_text(encoding="utf-8"))["rows"]
    return {int(tag, 16): row for tag, row in rows.items() if re.fullmatch("[0-9A-F]{8}", tag)}


def action(tag: BaseTag, vr: str, options: Options) -> str:
    """Return what happens to an attribute: X removed, Z emptied, D replaced by a dummy, U new UID, C cleaned, K kept.

    Of alternatives (X/Z/D) the table leaves the choice to what the object requires. A dummy is valid whatever is required,
    and so is taken first, then an empty value. A sequence has no dummy: it is emptied, or removed, or for U* kept with
    new UIDs inside. K and C are both less than kept, see `_Cleaner`.
    """
    if tag.group % 2 or tag.group in (0x0000, 0x0002) or tag.element == 0 or 0x5000 <= tag.group <= 0x501E:
        return "X"
    if 0x6000 <= tag.group <= 0x601E or (vr in OPAQUE and tag not in PIXELS):
        # Overlays, and content that cannot be looked into: foreign types, links, bytes.
        return "X"
    row = _profile().get(tag)
    if row is None:
        return _unlisted(tag, vr)
    chosen = {row[name] for name, on in options if on and name in row}
    if "K" in chosen:
        return "K"
    if "C" in chosen and vr not in ("AE", "PN"):
        return "C"
    if vr != "SQ":
        return next(letter for letter in "UDZX" if letter in row["basic"])
    if "U" in row["basic"]:
        return "K"
    return "Z" if row["basic"] in ("Z", "X/Z", "D") else "X"


def _unlisted(tag: BaseTag, vr: str) -> str:
    """Return the action for an attribute that the table does not know: of some kinds none is harmless."""
    if not dictionary_has_tag(tag):
        return "X"
    if vr == "UI":
        names_a_kind = re.search("SOPClass|TransferSyntax|CodingSchemeUID|ContextUID|MappingResourceUID", keyword_for_tag(tag))
        return "K" if names_a_kind else "U"
    return {"PN": "Z", "AE": "D"}.get(vr, "K")


# --- what the file gives away -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Identities:
    """What the removed attributes of a data set say about people and places. Never leaves the process.

    Attributes:
        known: for the finders of reports.
        words: in the form of `plain`, wherever they stand in a text.
        dates: all dates of the header.
    """

    known: Known
    words: frozenset[str]
    dates: frozenset[datetime.date]


def identities_of(dataset: Dataset, options: Options) -> Identities:
    """Return the identities in all attributes, at any depth, that ``options`` do not keep."""
    names: list[str] = []
    people: list[str] = []
    places: list[str] = []
    numbers: list[str] = []
    tokens: set[str] = set()
    dates: set[datetime.date] = set()
    for element in _elements(dataset):
        keyword, values = element.keyword, [text for text in _texts(element) if text]
        if element.VR in ("DA", "DT"):
            dates.update(date for text in values if (date := _day(text)))
        elif element.VR == "PN":
            parts = [_name(text) for text in values]
            if element.tag.group == 0x0010:
                names += [part for name in parts for part in name]
            else:
                people += [" ".join(name) for name in parts]
        elif (
            element.VR in LINES | PROSE
            and not element.tag.is_private
            and action(element.tag, element.VR, options) in ("X", "Z", "D")
        ):
            if any(part in keyword for part in PLACES):
                places += values
                least = 3 if keyword == "InstitutionName" else 5
                tokens |= {word for word in _words(*values) if word.isalpha() and len(word) >= least} - GENERIC - OF_ANY_PLACE
            if keyword in PATIENT_NUMBERS:
                tokens |= {word for word in _words(*values) if word.isalpha() and len(word) > 2}
            if keyword in PATIENT_NUMBERS or keyword == "AccessionNumber":
                numbers += values
            tokens |= {word for word in _words(*values) if _tells(word)}
            numbers += [value for value in values if sum(map(str.isdigit, value)) > 4]
    tokens |= {word for name in (*names, *people) for word in _of_name(name)}
    tokens |= {word for word in _words(*names) if len(word) == 2} - MARKERS - PARTICLES - TITLES
    tokens |= {f"{date:%Y%m%d}" for date in dates}
    known = Known(
        names=tuple(dict.fromkeys(names)),
        identifiers=tuple(dict.fromkeys(numbers)),
        birth_date=_day(str(dataset.get("PatientBirthDate") or "")),
        people=tuple(dict.fromkeys(people)),
        places=tuple(dict.fromkeys(places)),
    )
    return Identities(known, frozenset(tokens), frozenset(dates))


def _of_name(name: str) -> set[str]:
    """Return the words of a name less particles and titles, unless it is nothing else (``Ben``)."""
    told = {word for word in _words(name) if len(word) > 2 or not word.isascii()}
    return told - PARTICLES - TITLES or told


def _tells(word: str) -> bool:
    """Whether a word with digits in it is rather a number of somebody than a measure."""
    return len(word) > (4 if word.isdigit() else 3) and any(map(str.isdigit, word))


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"[^\W_]+", plain(text))}


def _name(text: str) -> tuple[str, ...]:
    """Return family, given and middle names of a person name, in all its alphabets; titles stay out (PS3.5 6.2.1)."""
    return tuple(part for group in text.split("=") for part in map(str.strip, group.split("^")[:3]) if part)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for tag in sorted(dataset.keys()):
        element = _read(dataset, BaseTag(tag))
        if element is None:
            continue
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)


def _read(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    """Return an element with its text as it was meant, or None where its value cannot be read.

    Source: PS3.5 6.1 on character sets. Beyond that, bytes that do not fit the set that the file names are UTF-8 where they
    are valid UTF-8, and Latin-1 where not.
    """
    raw = dataset.get_item(tag)
    try:
        element = dataset[tag]
        _ = element.value
    except UNREADABLE:
        return None
    if element.VR not in LINES | PROSE and element.VR != "PN":
        return element
    texts = [_as_meant(text) for text in _texts(element)]
    if any("\ufffd" in text for text in texts) and isinstance(raw, RawDataElement) and raw.value is not None:
        text = raw.value.rstrip(b"\0 ").decode("iso8859-1")
        texts = [_as_meant(part) for part in (text.split("\\") if element.VR not in PROSE else [text])]
    if texts != _texts(element):
        dataset[tag] = element = DataElement(tag, element.VR, texts if len(texts) > 1 else texts[0])
    return element


def _as_meant(text: str) -> str:
    """Return UTF-8 that was read as Latin-1, as UTF-8; the bytes of accented Latin-1 text are next to never valid UTF-8."""
    try:
        return text.encode("iso8859-1").decode("utf-8")
    except UnicodeError:
        return text


def _texts(element: DataElement) -> list[str]:
    """Return the values of an element as texts; of bytes and items none."""
    value = element.value
    if value is None or isinstance(value, bytes | Sequence):
        return []
    return [str(one) for one in value] if isinstance(value, MultiValue | list) else [str(value)]


# --- cleaning ---------------------------------------------------------------------------------------------------------


@dataclass
class _Cleaner:
    """Cleans the data set of one file, item by item."""

    key: Key
    options: Options
    patient: str
    identities: Identities
    done: Counter[str] = field(default_factory=Counter)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    def dataset(self, dataset: Dataset) -> Dataset:
        cleaned = Dataset()
        for tag in sorted(dataset.keys()):
            tag = BaseTag(tag)
            if tag.group % 2:
                self.done["private removed"] += 1
                continue
            element = _read(dataset, tag)
            if element is None:
                self._count(tag, "unreadable, removed")
            elif element.keyword != "SpecificCharacterSet" and (kept := self.element(element)) is not None:
                cleaned[tag] = kept
        return cleaned

    def element(self, element: DataElement) -> DataElement | None:
        """Return what stands in the place of an element, or None."""
        tag, vr = element.tag, element.VR
        if element.keyword in ("PatientID", "PatientName"):
            named = self.patient if element.keyword == "PatientName" else str(element.value or "").strip()
            return self._changed(element, "pseudonym", [self.key.pseudonym("patient", named)] if named else [])
        what = action(tag, vr, self.options)
        if what == "X":
            self._count(tag, "removed")
            return None
        if vr == "SQ":
            if what == "Z":
                return self._changed(element, "emptied", [])
            return DataElement(tag, "SQ", Sequence([self.dataset(item) for item in element.value]))
        if element.is_empty:
            return element
        if what == "D" and vr in DUMMIES:
            return self._changed(element, "replaced", [DUMMIES[vr]])
        if what in "ZD":
            return self._changed(element, "emptied", [])
        if what == "U":
            return self._changed(element, "new UID", [new_uid(self.key, text) for text in _texts(element)])
        return self._cleaned(element, what)

    def _cleaned(self, element: DataElement, what: str) -> DataElement | None:
        """Return an element that is kept (K) or cleaned (C), by the kind of its value."""
        vr, texts = element.VR, _texts(element)
        if vr in ("DA", "DT") and self.options.modified_dates:
            days = self.key.days(self.patient)
            return self._changed(element, "moved", [shifted(text, days) for text in texts])
        if vr in ("DA", "DT", "TM") and not self.options.modified_dates:
            return self._changed(element, "emptied", [])
        if vr == "TM":
            return self._changed(element, "emptied", [text if re.fullmatch(r"[\d:. \-]*", text) else "" for text in texts])
        if vr in ("DS", "IS") and not all(re.fullmatch(NUMBER, text.strip()) for text in texts):
            return self._changed(element, "emptied", [])
        if vr == "UI":
            return self._changed(element, "emptied", [text if re.fullmatch(r"[\d.]*", text) else "" for text in texts])
        if vr == "AS":
            return self._changed(element, "capped", [capped(text) for text in texts])
        if vr in PROSE or vr in LINES:
            free = (what == "C" and vr != "CS") or (vr in PROSE and re.search("Comment|Notes", element.keyword) is not None)
            finders = "known" if not free else "prose" if vr in PROSE else "line"
            return self._changed(element, "cleaned", [self.text(text, finders)[: MOST.get(vr)] for text in texts])
        return copy.copy(element)

    def text(self, text: str, finders: str) -> str:
        """Return ``text`` without identities.

        Args:
            finders: ``known`` looks for what the header knows, ``prose`` for whatever reads like an identity as well, and so
                does ``line``, but not by capital letters: in a description all words may have them.
        """
        if (text, finders) not in self.texts:
            self.texts[text, finders] = self._without_identities(text, finders)
        return self.texts[text, finders]

    def _without_identities(self, text: str, finders: str) -> str:
        known = self.identities.known
        clean = re.sub(r"(?<![\d.])\d+(?:\.\d+){5,}(?![\d.])", REMOVED, text)
        for found in reversed(resolve(clean, find_known(clean, known)) if finders != "prose" else []):
            clean = clean[: found.start] + REMOVED + clean[found.end :]
        if finders == "prose":
            clean, _ = pseudonymize(clean, self.key, self.patient, known)
        elif finders == "line" and len(clean.lower()) == len(clean):
            clean = replace(clean, pseudonymize(clean.lower(), self.key, self.patient)[1])
        for date in sorted(find_dates(clean), key=lambda date: -date.start):
            if date.date in self.identities.dates:
                clean = clean[: date.start] + REMOVED + clean[date.end :]
        return re.sub(r"[^\W_]+", lambda word: REMOVED if self._names(plain(word[0])) else word[0], clean)

    def _names(self, word: str) -> bool:
        """Whether a word is an identity, or has one inside (``lefevrezoe``)."""
        words = self.identities.words
        return word in words or any(one in word and len(one) >= _least_inside(one) for one in words)

    def _changed(self, element: DataElement, rule: str, values: list[Any]) -> DataElement:
        """Return ``element`` with ``values``, counted if they differ."""
        if values == _texts(element):
            return element
        self._count(element.tag, rule)
        value = values if element.VR == "SQ" or len(values) > 1 else values[0] if values else None
        return DataElement(element.tag, element.VR, Sequence(value) if element.VR == "SQ" else value)

    def _count(self, tag: BaseTag, rule: str) -> None:
        self.done[f"{tag.group:04X},{tag.element:04X} {rule}"] += 1


def _least_inside(word: str) -> int:
    """Return how many letters an identity needs to be seen inside a longer word: Chinese and Korean do not part words."""
    if word and ord(word[0]) >= FIRST_OF_EAST_ASIA:
        return 2
    return 6 if word.isalpha() else 5


def new_uid(key: Key, uid: str) -> str:
    """Return the UID that stands for ``uid`` in all files: a UUID of version 8, made of the key. The standard's own stay.

    Source: PS3.5 B.2, RFC 9562 5.8.
    """
    uid = uid.strip(" \0")
    if not uid or re.fullmatch(REGISTERED, uid):
        return uid
    number = int.from_bytes(key.digest("uid", uid)[:16], "big")
    number = number & ~(0xF << 76) | 0x8 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return f"2.25.{uuid.UUID(int=number).int}"


DATE = re.compile(r"(?P<year>\d{4})(?:(?P<dot>\.?)(?P<month>\d\d)(?:(?P=dot)(?P<day>\d\d))?)?")
DATE_TIME = re.compile(rf"{DATE.pattern}(?P<rest>(?:\d{{2}}){{0,3}}(?:\.\d{{1,6}})?(?:[+\-](?:0\d|1[0-4])[0-5]\d)?)")


def shifted(text: str, days: int) -> str:
    """Return a DA or DT value moved by ``days``, as exact as it was; a range moves at both ends. What is no date is empty.

    The dots of old dates (PS3.5 6.2) are left out. A year or month alone moves as its middle does.

    >>> shifted("20200228", 8), shifted("202002281530+0100", 8), shifted("2020", 300), shifted("20200228-", 8)
    ('20200307', '202003071530+0100', '2021', '20200307-')
    """
    text = text.strip(" \0")
    if (whole := _shifted(text, days)) is not None:
        return whole
    for hyphen in (place for place, letter in enumerate(text) if letter == "-"):
        ends = [_shifted(end.strip(), days) if end.strip() else "" for end in (text[:hyphen], text[hyphen + 1 :])]
        if any(ends) and None not in ends:
            return "-".join(map(str, ends))
    return ""


def _shifted(text: str, days: int) -> str | None:
    found = DATE_TIME.fullmatch(text)
    day = _day(text)
    if found is None or day is None:
        return None
    try:
        moved = day + datetime.timedelta(days=days)
    except OverflowError:
        return None
    return f"{moved.year:04d}{moved:%m%d}"[: 8 if found["day"] else 6 if found["month"] else 4] + found["rest"]


def _day(text: str) -> datetime.date | None:
    found = DATE_TIME.fullmatch(text.strip(" \0"))
    if found is None:
        return None
    try:
        return datetime.date(int(found["year"]), int(found["month"] or 7), int(found["day"] or 15))
    except ValueError:
        return None


def capped(age: str) -> str:
    """Return an age string, 090Y for everybody over 89; what is no age is empty.

    >>> capped("037Y"), capped("093Y"), capped("018M"), capped("old")
    ('037Y', '090Y', '018M', '')
    """
    found = re.fullmatch(r"(\d{3})([DWMY])", age.strip())
    if not found:
        return ""
    return f"{LONGEST_NAMED_AGE + 1:03d}Y" if found[2] == "Y" and int(found[1]) > LONGEST_NAMED_AGE else found[0]


def _age(dataset: Dataset) -> str | None:
    """Return the age at the study from both dates, months under two years."""
    birth, study = (_day(str(dataset.get(keyword) or "")) for keyword in ("PatientBirthDate", "StudyDate"))
    if birth is None or study is None or birth > study:
        return None
    months = (study.year - birth.year) * 12 + study.month - birth.month - (study.day < birth.day)
    return f"{months:03d}M" if months < 24 else capped(f"{min(months // 12, 999):03d}Y")


# --- a folder ---------------------------------------------------------------------------------------------------------


def deidentify_folder(
    source: Path,
    out: Path,
    key: Key,
    options: Options,
    progress: Progress,
    clean_pixels: CleanPixels | None = None,
) -> dict[str, Any]:
    """Write every radiograph below ``source``, clean, to ``OUT/<study UID>/<instance UID>.dcm``; return what was done.

    Every file at any depth counts, whatever its name, and what cannot be used is refused by itself. All is written beside the
    output folder and renamed at the end. ``audit.jsonl`` in it says what became of each file, with pseudonyms for the parts of
    paths that name a patient; ``OUT.audit.jsonl`` beside it has the paths as they are, also where no file could be used.

    Raises:
        UserError: the folder is missing, empty or cannot be read, the output folder holds something, or no file could be used.
    """
    paths = check_folders(source, out)
    partial = out.with_name(f".{out.name}.partial")
    beside = out.with_name(f"{out.name}.audit.jsonl")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made ({error.strerror}): choose another folder") from error
    audit, done = Audit(), Counter()
    try:
        progress("de-identifying", 0, len(paths))
        for number, path in enumerate(paths, start=1):
            name = str(path.relative_to(source.absolute()))
            try:
                device, made = _deidentify_file(path, partial, key, options, clean_pixels, audit)
            except Refused as refusal:
                audit.refuse(name, str(refusal))
            else:
                audit.keep(name)
                audit.tell(name, device=device, changed=_by_rule(made))
                done.update(made)
            progress("de-identifying", number, len(paths))
        kept, refused = sum(reason is None for reason in audit.lines.values()), dict(audit.refusals().most_common())
        if not kept:
            worst = "; ".join(f"{count} x {reason}" for reason, count in refused.items())
            raise UserError(f"no usable radiograph in {source} ({worst}): {beside} says why, file by file")
        told = {"kept": kept, "refused": refused, "options": options.model_dump(), "done": dict(sorted(done.items()))}
        (partial / "deidentification.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        audit.write_masked(partial / "audit.jsonl", key)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        audit.write(beside)
        shutil.rmtree(partial, ignore_errors=True)
    return told


def _by_rule(done: Counter[str]) -> dict[str, int]:
    """Return how many attributes each rule was applied to, whichever they are."""
    rules: Counter[str] = Counter()
    for what, count in done.items():
        rules[what.partition(" ")[2]] += count
    return dict(sorted(rules.items()))


def check_folders(source: Path, out: Path) -> list[Path]:
    """Return the files below ``source``, if they may be cleaned into ``out``.

    Raises:
        UserError: the folder is missing, empty or cannot be read, or the output folder holds something.
    """
    paths = sorted(map(Path, files_below(source, "DICOM files")))
    if not paths:
        raise UserError(f"{source} holds no file: name the folder of DICOM files")
    check_new(out)
    return paths


def _deidentify_file(
    path: Path, out: Path, key: Key, options: Options, clean_pixels: CleanPixels | None, audit: Audit
) -> tuple[str, Counter[str]]:
    """Write the clean copy of one file, named after its new UIDs; return its device and what was done."""
    with silence():
        header = read_header(path)
        numbers = [header.patient_id, header.accession_number or "", str(header.birth_date or "")]
        audit.identities.update([*header.patient_name, *numbers])
        try:
            made = deidentify(open_dicom(path), key, options, clean_pixels)
            with disable_value_validation():
                content = io.BytesIO()
                made.dataset.save_as(content, enforce_file_format=True)
        except Refused:
            raise
        except Exception as error:  # Whatever foreign values make the parser and the writer say, the file is at fault.
            raise Refused(f"its values cannot be rewritten ({type(error).__name__})") from error
    target = out / str(made.dataset.StudyInstanceUID) / f"{made.dataset.SOPInstanceUID}.dcm"
    if target.exists():
        raise Refused("a copy: another file has the same instance uid")
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content.getbuffer())
    device = " ".join(str(made.dataset.get(keyword) or "") for keyword in ("Manufacturer", "ManufacturerModelName")).strip()
    return device, made.done
