"""A file of reports, one JSON object a line, to the same lines without identities."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from ..progress import Progress
from ..pseudonyms import Key
from ..refusal import UserError
from .dates import read_date
from .pseudonymize import Known, pseudonymize

LISTS = ("names", "identifiers", "people", "places")


def pseudonymize_file(
    source: Path,
    target: Path,
    key: Key,
    text_field: str = "text",
    known_field: str | None = None,
    progress: Progress | None = None,
) -> Counter[str]:
    """Write ``id``, the new ``text`` and ``spans`` of every line; return how many spans of each label, and of ``lines``.

    Surrogates and days are those of the line's ``patient_id``, or of its ``id``; a line without one has its number, from 1 on.
    ``spans`` are {start, end, label, surrogate} in the original text. No other field is written: nobody knows what it holds.
    ``target`` appears when it is whole.

    Args:
        progress: called with (what, lines done, all lines).
        known_field: holds what is known of a line: an object with the fields of `Known`, or a list of names and numbers.

    Raises:
        UserError: a file cannot be read or written, or a line is no JSON object or lacks a field.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    counts: Counter[str] = Counter()
    try:
        if target.exists() and target.samefile(source):
            raise UserError(f"{target} is the input: name another output")
        with source.open("rb") as file, partial.open("w", encoding="utf-8") as out:
            total = sum(1 for _ in file)
            file.seek(0)
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    written = _line(raw, f"{source}, line {number}", number, key, text_field, known_field)
                    counts.update(span["label"] for span in written["spans"])
                    counts["lines"] += 1
                    out.write(json.dumps(written, ensure_ascii=False) + "\n")
                if progress:
                    progress("pseudonymizing reports", number, total)
        partial.replace(target)
    except OSError as error:
        raise UserError(f"{error.filename or target}: {error.strerror}; name files that can be read and written") from error
    finally:
        partial.unlink(missing_ok=True)
    return counts


def _line(raw: bytes, where: str, number: int, key: Key, text_field: str, known_field: str | None) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: is not UTF-8; convert the file") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: is no JSON ({error.msg}, column {error.colno}); one object a line") from error
    if not isinstance(line, dict):
        raise UserError(f'{where}: is no JSON object; write {{"id": ..., "{text_field}": ...}}')
    if text_field not in line:
        raise UserError(f"{where}: has no field {text_field!r}; it has {_listed(line)}; choose with --text-field")
    text = line[text_field]
    if not isinstance(text, str):
        raise UserError(f"{where}: the field {text_field!r} holds no text; choose another with --text-field")
    known = None
    if known_field is not None:
        if known_field not in line:
            raise UserError(
                f"{where}: has no field {known_field!r}; write {{}} where nothing is known, or drop --known-identities"
            )
        known = known_from(line[known_field], f"{where}: {known_field}")
    name = line.get("id", number)
    changed, spans = pseudonymize(text, key, str(line.get("patient_id", name)), known)
    return {
        "id": name,
        "text": changed,
        "spans": [{"start": span.start, "end": span.end, "label": span.label, "surrogate": span.surrogate} for span in spans],
    }


def _listed(line: dict[str, Any]) -> str:
    return ", ".join(map(repr, line)) or "none"


def known_from(value: object, where: str) -> Known:
    """Return what an object with the fields of `Known`, or a list of names and numbers, says; ``where`` is for messages.

    Raises:
        UserError: it is neither, has another field, or its birth date cannot be read.
    """
    if isinstance(value, list):
        entries = _texts(value, where)
        numbers = tuple(entry for entry in entries if any(letter.isdigit() for letter in entry))
        return Known(names=tuple(entry for entry in entries if entry not in numbers), identifiers=numbers)
    if not isinstance(value, dict):
        raise UserError(f"{where}: give an object or a list of texts")
    strange = value.keys() - {*LISTS, "birth_date"}
    if strange:
        raise UserError(f"{where}: {sorted(strange)[0]!r} is no field; there are {', '.join(LISTS)} and birth_date")
    birth = value.get("birth_date")
    date = read_date(birth) if isinstance(birth, str) else None
    if birth and date is None:
        raise UserError(f"{where}: the birth date cannot be read; write it as 1961-02-04 or 04/02/1961")
    return Known(**{name: _texts(value.get(name) or [], f"{where}.{name}") for name in LISTS}, birth_date=date)


def _texts(value: object, where: str) -> tuple[str, ...]:
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise UserError(f"{where}: give a list of texts")
    return tuple(entries)
