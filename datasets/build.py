"""The rows of a pairs folder, built shard by shard: decode, redact, pseudonymize, tokenize.

A shard is the unit of work and of going on: what it told is kept beside its files, so that it is never built twice.
"""

import contextlib
import hashlib
import json
import math
import os
import pickle
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .audit_page import Sample, samples
from .config import Config
from .dicom.burned_in import Box, redact
from .dicom.pixels import shrink
from .images import read_pixels
from .leakage import picture_signature
from .pairs import token_folder
from .png import encode_png
from .pseudonyms import Key
from .refusal import Refused
from .reports.pseudonymize import Known, Span, place_after, pseudonymize
from .reports.sections import Report, parse, sentences
from .schema import SECTIONS, STUDIES
from .splits import Splits
from .tokens import TokenizerName, write_tokens

OLDEST_MONTHS = 90 * 12
"""Ages from 90 on are all 90: so few people are older that the number is a name."""
BUILT = "built"
"""Folder, inside the one that is built, of what each finished shard told."""


class Preparation(Config):
    """What the user chooses about a pairs folder.

    Attributes:
        max_side: of the stored images, px.
        burned_in: whether text in the pictures is looked for and blanked.
    """

    max_side: int = 512
    tokenizers: tuple[TokenizerName, ...] = ("tiny-fr", "tiny-en")
    splits: Splits = Splits()
    burned_in: bool = True


@dataclass(frozen=True)
class ImageInput:
    """One image file; ``name`` is what the audit calls it."""

    path: str
    name: str
    view: str | None = None
    laterality: str | None = None
    body_part: str | None = None


@dataclass(frozen=True)
class StudyInput:
    """What one study will be built from. Holds identities: it never leaves the process that prepares."""

    study: str
    patient: str
    report: str
    report_name: str
    images: tuple[ImageInput, ...]
    known: Known | None = None
    labels: dict[str, float] = field(default_factory=dict)
    age_months: int | None = None
    sex: str | None = None


@dataclass(frozen=True)
class Built:
    """What a shard tells of its kept studies and of its inputs; no identity in any but what the names of inputs hold.

    Attributes:
        refused: from the name of an input to the reason.
        facts: from the name of an input to what was done to it, see `audit.Audit`.
    """

    studies: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def tell(self, name: str, **facts: Any) -> None:
        """Add to the facts of an input."""
        self.facts.setdefault(name, {}).update(facts)


def build_shard(shard: int, inputs: Sequence[StudyInput], folder: Path, key: Key, preparation: Preparation) -> Built:
    """Write one file of ``studies/`` and one of each token table; return what `Built` says.

    A shard that was finished is not built again.
    """
    finished = folder / BUILT / f"{shard:05d}"
    if finished.is_file():
        return pickle.loads(finished.read_bytes())
    built = Built()
    rows = [row for study in inputs if (row := _row(study, key, preparation, built)) is not None]
    if rows:
        name = f"part-{shard:05d}.parquet"
        with whole(folder / "studies" / name) as path:
            pq.write_table(pa.Table.from_pylist(rows, STUDIES), path, compression="zstd")
        for tokenizer in preparation.tokenizers:
            with whole(token_folder(folder, tokenizer) / name) as path:
                write_tokens(rows, tokenizer, path)
    with whole(finished) as path:
        path.write_bytes(pickle.dumps(built))
    return built


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a name of this process's own, which becomes ``path``; a task of a killed run may still write the same file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    yield partial
    partial.replace(path)


def _row(study: StudyInput, key: Key, preparation: Preparation, built: Built) -> dict[str, Any] | None:
    """Return the row of a study, or None where it has no text or no usable image; tell ``built`` what was done."""
    report = parse(study.report)
    if not sentences(report.body):
        reason = "the report of its study is empty"
        built.refused.update(dict.fromkeys((study.report_name, *(image.name for image in study.images)), reason))
        return None
    images, signatures = _images(study, preparation, built)
    if not images:
        built.refused.setdefault(study.report_name, "its study has no usable image")
        return None
    clean, spans = pseudonymize(report.body, key, study.patient, study.known)
    built.tell(study.report_name, replaced=dict(Counter(span.label for span in spans)))
    built.samples.extend(samples(report.body, spans, {sample.label for sample in built.samples}))
    row = {
        "study_id": key.pseudonym("study", study.study),
        "patient_id": key.pseudonym("patient", study.patient),
        "split": preparation.splits.of(study.patient, key),
        "report": clean,
        "sections": _sections(report, clean, spans),
        "sentences": sentences(clean),
        "report_group": report_group(clean),
        "images": images,
        "labels": list(study.labels.items()),
        "age_months": None if study.age_months is None else min(study.age_months, OLDEST_MONTHS),
        "sex": study.sex,
    }
    built.studies.append(
        {name: row[name] for name in ("study_id", "patient_id", "split", "report_group")}
        | {"images": len(images), "signatures": signatures, "labels": study.labels, "fingerprint": _fingerprint(row)}
    )
    return row


def _images(study: StudyInput, preparation: Preparation, built: Built) -> tuple[list[dict[str, Any]], list[bytes]]:
    images, signatures = [], []
    for image in study.images:
        try:
            whole = read_pixels(Path(image.path))
            clean, boxes = redact(whole, study.known) if preparation.burned_in else (whole, None)
        except Refused as refusal:
            built.refused[image.name] = str(refusal)
            continue
        except Exception as error:  # noqa: BLE001 - whatever foreign pixels make a library say, the file is at fault.
            built.refused[image.name] = f"its pixels cannot be used ({type(error).__name__})"
            continue
        pixels = shrink(clean, preparation.max_side)
        height, width = pixels.shape
        if boxes is not None:
            built.tell(image.name, boxes=dict(Counter(box.kind for box in boxes)))
        images.append(
            {
                "bytes": encode_png(pixels),
                "height": height,
                "width": width,
                "view": image.view,
                "laterality": image.laterality,
                "body_part": image.body_part,
                "boxes": None if boxes is None else [_scaled(box, height / whole.shape[0]) for box in boxes],
            }
        )
        signatures.append(picture_signature(pixels))
    return images, signatures


def _scaled(box: Box, scale: float) -> dict[str, Any]:
    """Return a box in pixels of the smaller image, whole pixels outwards."""
    low = {side: int(getattr(box, side) * scale) for side in ("top", "left")}
    return low | {side: math.ceil(getattr(box, side) * scale) for side in ("bottom", "right")} | {"kind": box.kind}


def _sections(report: Report, clean: str, spans: Sequence[Span]) -> dict[str, str | None]:
    """Return the sections of a pseudonymized body, cut from it so that both say the same."""
    pieces: dict[str, list[str]] = defaultdict(list)
    start = 0
    for part in report.parts:
        end = start + len(part.text)
        pieces[part.name or ""].append(clean[place_after(start, spans) : place_after(end, spans)])
        start = end + 1
    return {name: "\n".join(pieces[name]) if name in pieces else None for name in SECTIONS}


def report_group(text: str) -> int:
    """Return the same number for reports that say the same: case, accents, digits, punctuation and spacing do not count.

    >>> report_group("Radiographie NORMALE.") == report_group("radiographie  normale")
    True
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    words = re.findall(r"[a-z]+", "".join(letter for letter in plain if not unicodedata.combining(letter)))
    return int.from_bytes(hashlib.sha256(" ".join(words).encode()).digest()[:8], "big", signed=True)


def _fingerprint(row: dict[str, Any]) -> str:
    digest = hashlib.sha256(row["study_id"].encode() + row["report"].encode())
    for image in row["images"]:
        digest.update(image["bytes"])
    digest.update(json.dumps(sorted(row["labels"])).encode())
    return digest.hexdigest()
