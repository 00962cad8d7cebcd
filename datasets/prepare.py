"""From a hospital export, or a table of images and texts, to a pairs folder. Read this first.

Three steps, each visible below: *gather* what belongs to each study (`from_export`, `from_manifest`), *build* the rows of
every study in Ray Data tasks (`build_shard`: decode, de-identify, split, tokenize), *finish* with the leakage gate, the audit
and the manifest. Everything is written beside the output folder and renamed at the end: a pairs folder is whole or absent.
"""

import csv
import datetime
import hashlib
import json
import re
import shutil
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
from PIL import Image, UnidentifiedImageError

from .config import Config
from .dicom.header import Header, read_header
from .dicom.pixels import display_pixels, encode_png, shrink
from .leakage import difference_hash, find_leakage
from .pairing import ReportEntry, pair
from .pairs import token_folder
from .pseudonyms import Key
from .refusal import Refused, UserError
from .reports.identity import read_identity
from .reports.pdf import extract_text
from .reports.pseudonymize import Known, pseudonymize
from .reports.sections import parse, sentences
from .schema import SECTIONS, SPLITS, STUDIES, TOKENS
from .splits import Splits, check_patients
from .tokens import load_tokenizer

SCHEMA_VERSION = 1
STUDIES_PER_SHARD = 64
Progress = Callable[[str, int, int], None]


class Preparation(Config):
    """What the user chooses about a pairs folder."""

    max_side: int = 512
    tokenizers: tuple[str, ...] = ("tiny-fr", "tiny-en")
    splits: Splits = Splits()


@dataclass(frozen=True)
class ImageInput:
    path: str
    view: str | None = None
    laterality: str | None = None
    body_part: str | None = None


@dataclass(frozen=True)
class StudyInput:
    """What one study will be built from. Holds identities: it never leaves the process that prepares."""

    study: str
    patient: str
    report: str
    report_path: str
    images: tuple[ImageInput, ...]
    known: Known | None = None
    labels: dict[str, float] = field(default_factory=dict)
    age_months: int | None = None
    sex: str | None = None


@dataclass
class Audit:
    """One line per input file or row: kept, or refused and why."""

    lines: dict[str, str | None] = field(default_factory=dict)

    def keep(self, path: str) -> None:
        self.lines.setdefault(path, None)

    def refuse(self, path: str, reason: str) -> None:
        self.lines[path] = reason

    def refusals(self) -> Counter[str]:
        return Counter(reason for reason in self.lines.values() if reason is not None)

    def write(self, path: Path) -> None:
        with path.open("w", encoding="utf-8") as file:
            for name, reason in sorted(self.lines.items()):
                line = {"path": name, "status": "kept" if reason is None else "refused", "reason": reason or ""}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def prepare(
    inputs: list[StudyInput], audit: Audit, out: Path, key: Key, preparation: Preparation, source: str, progress: Progress
) -> dict[str, Any]:
    """Write the pairs folder of ``inputs`` to ``out`` and return its manifest.

    Raises:
        UserError: no usable study, or fewer patients than splits.
    """
    if not inputs:
        worst = "; ".join(f"{count} x {reason}" for reason, count in audit.refusals().most_common(3))
        raise UserError(f"no usable study in {source}" + (f": {worst}" if worst else ""))
    patients = {study.patient for study in inputs}
    _check_splits((preparation.splits.of(patient, key) for patient in patients), preparation)
    for name in preparation.tokenizers:
        load_tokenizer(name)
    partial = out.parent / f".{out.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        manifest = _write(inputs, audit, partial, key, preparation, source, progress)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def check_output(out: Path) -> None:
    """Refuse an output folder that already holds something.

    Raises:
        UserError: saying what is there.
    """
    if out.is_file():
        raise UserError(f"{out} is a file: choose a folder that does not exist yet")
    if out.is_dir() and any(out.iterdir()):
        what = "a pairs folder" if (out / "manifest.json").is_file() else "something else"
        raise UserError(f"{out} already holds {what}: choose another folder, or remove this one")


def _check_splits(splits: Iterable[str], preparation: Preparation) -> None:
    check_patients(Counter(splits), preparation.splits)


# --- gather -----------------------------------------------------------------------------------------------------------


def from_export(dicom: Path, reports: Path, labels: Path | None, progress: Progress) -> tuple[list[StudyInput], Audit]:
    """Return the studies of a folder of DICOM files and a folder of PDF reports, and what was kept or refused so far.

    Args:
        dicom: searched for files at any depth.
        reports: searched for ``*.pdf`` at any depth.
        labels: optional CSV with a column ``accession_number`` and one 0/1 column per label, empty where unknown.
        progress: called with (what, done, total).

    Raises:
        UserError: a folder is missing or empty, or the labels cannot be read.
    """
    images, texts = _files(dicom, "DICOM", "*"), _files(reports, "report", "*.pdf")
    truth = _read_labels(labels) if labels else {}
    audit = Audit()
    headers: list[Header] = []
    for path, header, reason in _in_tasks(_header, images, "reading DICOM headers", progress):
        if header is None:
            audit.refuse(path, reason)
        else:
            headers.append(header)
    entries: list[ReportEntry] = []
    text_of: dict[str, str] = {}
    for path, text, reason in _in_tasks(_text, texts, "reading reports", progress):
        if text is None:
            audit.refuse(path, reason)
        else:
            text_of[path] = text
            entries.append(ReportEntry(path, read_identity(parse(text).preamble)))
    identity_of = {entry.path: entry.identity for entry in entries}
    pairing = pair(headers, entries)
    for path, reason in pairing.refused.items():
        audit.refuse(path, reason)
    studies = []
    for study in pairing.studies:
        first = study.headers[0]
        identity = identity_of[study.report_path]
        known = Known(
            names=tuple(dict.fromkeys([*(name for name in first.patient_name if name), *identity.names])),
            identifiers=tuple(
                dict.fromkeys(
                    text
                    for text in (first.patient_id, first.accession_number, identity.patient_id, identity.accession_number)
                    if text
                )
            ),
            birth_date=first.birth_date or identity.birth_date,
            people=tuple(dict.fromkeys([*first.people, *identity.people])),
            places=tuple(place for place in {first.institution, identity.institution} if place),
        )
        studies.append(
            StudyInput(
                study=study.study_instance_uid,
                patient=first.patient_id,
                report=text_of[study.report_path],
                report_path=study.report_path,
                images=tuple(ImageInput(h.path, h.view, h.laterality, h.body_part) for h in study.headers),
                known=known,
                labels=truth.get(first.accession_number, {}),
                age_months=first.age_months,
                sex=first.sex,
            )
        )
    return studies, audit


def from_manifest(
    manifest: Path,
    image_column: str,
    text_column: str,
    patient_column: str,
    study_column: str | None,
    label_column: str | None,
    progress: Progress,
) -> tuple[list[StudyInput], Audit]:
    """Return the studies of a CSV with one row per image; a study is a patient and a value of the study column.

    Image paths are relative to the CSV. Rows without text, or whose image is missing, are refused one by one. Each value of
    the label column becomes a 0/1 label of its own; an empty cell is unknown.

    Raises:
        UserError: the file or a column is missing.
    """
    if not manifest.is_file():
        raise UserError(f"there is no file {manifest}: name the CSV with --manifest")
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        present = reader.fieldnames or []
        wanted = [image_column, text_column, patient_column, *filter(None, [study_column, label_column])]
        missing = [column for column in wanted if column not in present]
        if missing:
            raise UserError(f"{manifest} has no column {', '.join(missing)}; its columns are {', '.join(present)}")
        rows = list(reader)
    audit = Audit()
    by_study: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for number, row in enumerate(rows):
        progress("reading the table", number + 1, len(rows))
        path = str(manifest.parent / row[image_column])
        if not row[patient_column]:
            audit.refuse(path, f"no patient: column {patient_column} is empty")
        elif not row[text_column].strip():
            audit.refuse(path, f"no text: column {text_column} is empty")
        elif not Path(path).is_file():
            audit.refuse(path, "no such image file")
        else:
            study = row[study_column] if study_column else row[image_column]
            by_study[row[patient_column], study].append(row)
    values = sorted({row[label_column] for row in rows if row[label_column]}) if label_column else []
    studies = []
    for (patient, study), members in by_study.items():
        texts = list(dict.fromkeys(row[text_column].strip() for row in members))
        known = {row[label_column] for row in members if row[label_column]} if label_column else set()
        studies.append(
            StudyInput(
                study=f"{patient}|{study}",
                patient=patient,
                report="\n".join(texts),
                report_path=str(manifest.parent / members[0][image_column]),
                images=tuple(
                    ImageInput(str(manifest.parent / row[image_column]), view=row.get("view") or None) for row in members
                ),
                labels={value: float(value in known) for value in values} if known else {},
                sex=members[0].get("sex") or None,
            )
        )
    return studies, audit


def _files(folder: Path, what: str, pattern: str) -> list[str]:
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: name the folder of {what} files")
    found = sorted(str(path) for path in folder.rglob(pattern) if path.is_file())
    if not found:
        raise UserError(f"{folder} holds no {what} file ({pattern})")
    return found


def _read_labels(path: Path) -> dict[str, dict[str, float]]:
    if not path.is_file():
        raise UserError(f"there is no file {path}: --labels names a CSV with a column accession_number")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or "accession_number" not in rows[0]:
        raise UserError(f"{path} has no row or no column accession_number")
    names = [name for name in rows[0] if all((row[name] or "0") in ("0", "1") for row in rows)]
    return {
        row["accession_number"]: {name: float(row[name]) for name in names if row[name] in ("0", "1")} for row in rows
    }


def _header(path: str) -> Header:
    return read_header(Path(path))


def _text(path: str) -> str:
    return extract_text(Path(path))


def _in_tasks(
    read: Callable[[str], Any], paths: Sequence[str], what: str, progress: Progress
) -> Iterable[tuple[str, Any, str]]:
    """Yield ``(path, result, "")`` or ``(path, None, reason)`` for every path, read in Ray Data tasks."""

    def read_some(batch: dict[str, np.ndarray]) -> dict[str, list]:
        results: list[tuple[Any, str]] = []
        for path in batch["item"]:
            try:
                results.append((read(str(path)), ""))
            except Refused as refusal:
                results.append((None, str(refusal)))
        packed = [_pickled(result) for result, _ in results]
        return {"path": list(batch["item"]), "result": packed, "reason": [reason for _, reason in results]}

    rows = _quiet(ray.data.from_items(list(paths), override_num_blocks=min(len(paths), 16)))
    for done, row in enumerate(rows.map_batches(read_some, batch_size=32, num_cpus=1).iter_rows(), start=1):
        progress(what, done, len(paths))
        yield row["path"], _unpickled(row["result"]), row["reason"]


def _pickled(value: Any) -> bytes:
    return ray.cloudpickle.dumps(value)


def _unpickled(value: bytes) -> Any:
    return ray.cloudpickle.loads(value)


def _quiet(dataset: ray.data.Dataset) -> ray.data.Dataset:
    dataset.context.enable_progress_bars = False
    dataset.context.execution_options.preserve_order = True
    return dataset


# --- build ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Built:
    """What a shard tells of each kept study, and of each input it had to refuse; no identity in either."""

    studies: list[dict[str, Any]]
    refused: dict[str, str]


def build_shard(shard: int, inputs: Sequence[StudyInput], folder: Path, key: Key, preparation: Preparation) -> Built:
    """Write one file of ``studies/`` and one of each token table; return what `Built` says."""
    rows, told, refused = [], [], {}
    for study in inputs:
        images, hashes = [], []
        for image in study.images:
            try:
                pixels = shrink(read_pixels(Path(image.path)), preparation.max_side)
            except Refused as refusal:
                refused[image.path] = str(refusal)
                continue
            height, width = pixels.shape
            images.append(
                {
                    "bytes": encode_png(pixels),
                    "height": height,
                    "width": width,
                    "view": image.view,
                    "laterality": image.laterality,
                    "body_part": image.body_part,
                }
            )
            hashes.append(difference_hash(pixels))
        report = parse(study.report)
        text = report.body
        if not images:
            refused.setdefault(study.report_path, "its study has no usable image")
            continue
        if not re.search(r"\w", text):
            reason = "the report of its study is empty"
            refused |= {study.report_path: reason} | {image.path: reason for image in study.images}
            continue
        clean, _ = pseudonymize(text, key, study.patient, study.known)
        parts = {
            name: pseudonymize(section, key, study.patient, study.known)[0] if section else None
            for name in SECTIONS
            for section in [getattr(report, name)]
        }
        row = {
            "study_id": key.pseudonym("study", study.study),
            "patient_id": key.pseudonym("patient", study.patient),
            "split": preparation.splits.of(study.patient, key),
            "report": clean,
            "sections": parts,
            "sentences": sentences(clean),
            "report_group": report_group(clean),
            "images": images,
            "labels": list(study.labels.items()),
            "age_months": study.age_months,
            "sex": study.sex,
        }
        rows.append(row)
        told.append(
            {name: row[name] for name in ("study_id", "patient_id", "split", "report_group")}
            | {"hashes": hashes, "labels": study.labels, "fingerprint": _fingerprint(row)}
        )
    if rows:
        name = f"part-{shard:05d}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, STUDIES), folder / "studies" / name, compression="zstd")
        for tokenizer in preparation.tokenizers:
            write_tokens(rows, tokenizer, token_folder(folder, tokenizer) / name)
    return Built(told, refused)


def read_pixels(path: Path) -> np.ndarray:
    """Return the displayed grayscale pixels of a DICOM, PNG, JPEG or TIFF file, uint8 [height, width].

    Raises:
        Refused: the file is truncated or not an image.
    """
    if path.suffix.lower() in {".dcm", ".dicom", ""} or path.suffix[1:].isdigit():
        return display_pixels(path)
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                deep = np.asarray(picture, np.float64)
                low, high = np.percentile(deep, (0.5, 99.5))
                return (np.clip((deep - low) / max(high - low, 1e-9), 0, 1) * 255).round().astype(np.uint8)
            return np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError) as error:
        raise Refused("truncated or not an image (PNG, JPEG, TIFF or DICOM): export the file again") from error


def report_group(text: str) -> int:
    """Return the same number for reports that say the same: case, accents, digits, punctuation and spacing do not count.

    >>> report_group("Radiographie NORMALE.") == report_group("radiographie  normale")
    True
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    words = re.findall(r"[a-z]+", "".join(letter for letter in plain if not unicodedata.combining(letter)))
    return int.from_bytes(hashlib.sha256(" ".join(words).encode()).digest()[:8], "big", signed=True)


def write_tokens(rows: Sequence[dict[str, Any]], tokenizer: str, path: Path) -> None:
    """Write the token table of ``rows`` (each with ``study_id`` and ``sentences``) to ``path``."""
    loaded = load_tokenizer(tokenizer)
    table = pa.Table.from_pylist(
        [{"study_id": row["study_id"], "input_ids": loaded.encode(row["sentences"])} for row in rows], TOKENS
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(loaded.vocabulary.to_metadata()), path, compression="zstd")


def _fingerprint(row: dict[str, Any]) -> str:
    digest = hashlib.sha256(row["study_id"].encode() + row["split"].encode() + row["report"].encode())
    for image in row["images"]:
        digest.update(image["bytes"])
    digest.update(json.dumps(sorted(row["labels"])).encode())
    return digest.hexdigest()


# --- finish -----------------------------------------------------------------------------------------------------------


def _write(
    inputs: list[StudyInput],
    audit: Audit,
    folder: Path,
    key: Key,
    preparation: Preparation,
    source: str,
    progress: Progress,
) -> dict[str, Any]:
    (folder / "studies").mkdir()
    shards = [inputs[first : first + STUDIES_PER_SHARD] for first in range(0, len(inputs), STUDIES_PER_SHARD)]
    inputs_ref = ray.put(shards)

    def build(batch: dict[str, np.ndarray]) -> dict[str, list[bytes]]:
        mine = ray.get(inputs_ref)
        built = [build_shard(int(i), mine[int(i)], folder, key, preparation) for i in batch["id"]]
        return {"built": [_pickled(one) for one in built]}

    rows = _quiet(ray.data.range(len(shards), override_num_blocks=len(shards)))
    told: list[dict[str, Any]] = []
    for done, row in enumerate(rows.map_batches(build, batch_size=1, num_cpus=1).iter_rows(), start=1):
        built: Built = _unpickled(row["built"])
        told += built.studies
        for path, reason in built.refused.items():
            audit.refuse(path, reason)
        progress("building studies", min(done * STUDIES_PER_SHARD, len(inputs)), len(inputs))
    for study in inputs:
        for path in (study.report_path, *(image.path for image in study.images)):
            audit.keep(path)
    _check_splits({study["patient_id"]: study["split"] for study in told}.values(), preparation)
    leakage = find_leakage(
        *([study[name] for study in told] for name in ("study_id", "patient_id", "split", "report_group", "hashes"))
    )
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": hashlib.sha256("".join(sorted(study["fingerprint"] for study in told)).encode()).hexdigest(),
        "source": source,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "max_side": preparation.max_side,
        "tokenizers": list(preparation.tokenizers),
        "counts": {
            "patients": len({study["patient_id"] for study in told}),
            "studies": len(told),
            "images": sum(len(study["hashes"]) for study in told),
            "by_split": {
                split: {
                    "patients": len({s["patient_id"] for s in told if s["split"] == split}),
                    "studies": sum(s["split"] == split for s in told),
                    "images": sum(len(s["hashes"]) for s in told if s["split"] == split),
                }
                for split in SPLITS
            },
        },
        "labels": {
            name: {
                "present": sum(study["labels"].get(name) == 1 for study in told),
                "absent": sum(study["labels"].get(name) == 0 for study in told),
            }
            for name in sorted({name for study in told for name in study["labels"]})
        },
        "leakage": leakage.to_json(),
        "audit": {"kept": sum(r is None for r in audit.lines.values()), "refused": dict(audit.refusals().most_common())},
    }
    audit.write(folder / "audit.jsonl")
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return manifest
