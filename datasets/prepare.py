"""From a hospital export, or a table of images and texts, to a pairs folder. Read this first.

Three steps, each visible below: *gather* what belongs to each study (`from_export`, `from_manifest`), *build* the rows of
every study in Ray Data tasks (`build_shard`: decode, de-identify, tokenize), *finish* with the splits, the leakage gate, the
audit and the manifest. All is written beside the output folder and renamed at the end: a pairs folder is whole or absent.
"""

import contextlib
import csv
import datetime
import hashlib
import json
import math
import os
import pickle
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data

from .audit import Audit
from .audit_page import MOST_SAMPLES, write_page
from .build import BUILT, Built, ImageInput, Preparation, StudyInput, build_shard, whole
from .dicom.header import Header, read_header
from .leakage import find_leakage, near_duplicates
from .pairing import PairedStudy, ReportEntry, pair
from .pairs import read_manifest, token_folder
from .pseudonyms import Key
from .refusal import Refused, UserError
from .reports.broken_words import join_words, words_of
from .reports.furniture import Furniture, Letter, letter_of
from .reports.identity import Identity, read_identity
from .reports.pdf import read_pdf, text_of
from .reports.pseudonymize import Known
from .reports.sections import parse
from .schema import SPLITS, STUDIES
from .splits import check_patients, together
from .spool import Spool
from .tokens import load_tokenizer, write_tokens

SCHEMA_VERSION = 1
STUDIES_PER_SHARD, SHARDS = 64, 32
"""At most so many studies a shard; fewer where there would be fewer shards than these, so that every core has work."""
MOST_LABELS = 50
Progress = Callable[[str, int, int], None]


def prepare(
    inputs: Sequence[StudyInput], audit: Audit, out: Path, key: Key, preparation: Preparation, source: str, progress: Progress
) -> dict[str, Any]:
    """Write the pairs folder of ``inputs`` to ``out`` and return its manifest.

    What is written on the way is in ``.OUT.ORDER.partial`` beside it. If the process is killed there, the same call goes on:
    shards that were finished are not built again, unless an input, the key, a choice or radsweep itself has changed since.

    What became of every input is written to ``audit.jsonl`` in the folder, where parts of paths that name a patient are
    pseudonyms, and with the paths as they are to ``OUT.audit.jsonl`` beside it, also where no study could be used.

    Raises:
        UserError: no usable study, or fewer patients than splits.
    """
    check_output(out)
    out = out.absolute()  # the tasks of Ray run in folders of their own
    for name in preparation.tokenizers:
        load_tokenizer(name)
    beside = out.with_name(f"{out.name}.audit.jsonl")
    try:
        if not inputs:
            raise UserError(_nothing_usable(audit, source, beside))
        _check_splits((preparation.splits.of(patient, key) for patient in {i.patient for i in inputs}), preparation)
        with _on_the_way(out, _order(inputs, key, preparation)) as partial:
            manifest = _write(inputs, audit, partial, key, preparation, source, beside, progress)
    finally:
        audit.write(beside)
    return manifest


@contextlib.contextmanager
def _on_the_way(out: Path, order: str) -> Iterator[Path]:
    """Give a folder that becomes ``out``; it holds what a process that was killed over the same work has left."""
    partial = out.with_name(f".{out.name}.{order[:16]}.partial")
    for other in set(out.parent.glob(f".{out.name}.*.partial")) - {partial}:
        shutil.rmtree(other)
    (partial / BUILT).mkdir(mode=0o700, parents=True, exist_ok=True)  # names of inputs may name patients
    try:
        yield partial
    except UserError:
        shutil.rmtree(partial)
        raise
    shutil.rmtree(partial / BUILT)
    for half_written in partial.rglob(".part-*"):
        half_written.unlink()
    if out.exists():
        out.rmdir()
    partial.rename(out)


def _order(inputs: Sequence[StudyInput], key: Key, preparation: Preparation) -> str:
    """Return what stands for the work to be done: the same only where a finished shard would come out the same."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.is_file() and path.parent.name != "__pycache__":
            digest.update(path.read_bytes())
    digest.update(repr(preparation).encode())
    for study in inputs:
        digest.update(repr(study).encode())
        for path in (Path(image.path) for image in study.images):
            if path.is_file():
                digest.update(f"{path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return key.digest("order", digest.hexdigest()).hex()


def _nothing_usable(audit: Audit, source: str, beside: Path) -> str:
    worst = "; ".join(f"{count} x {reason}" for reason, count in audit.refusals().most_common(6))
    return f"no usable study in {source}" + (f" ({worst}): {beside} says why, input by input" if worst else "")


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


def from_export(dicom: Path, reports: Path, labels: Path | None, progress: Progress) -> tuple[Sequence[StudyInput], Audit]:
    """Return the studies of a folder of DICOM files and a folder of PDF reports, and what was kept or refused so far.

    Args:
        dicom: every file at any depth counts as an image, whatever its name.
        reports: every file at any depth counts as a report; only ``*.pdf`` where it is the same folder, or inside ``dicom``.
        labels: optional CSV with a column ``accession_number`` and one 0/1 column per label, empty where unknown.
        progress: called with (what, done, total).

    Raises:
        UserError: a folder is missing, there is no DICOM file, or the labels cannot be read.
    """
    found, texts = _files(dicom, "DICOM files"), _files(reports, "PDF reports")
    if reports.resolve().is_relative_to(dicom.resolve()):
        texts = [path for path in texts if path.suffix.lower() == ".pdf"]
    images = sorted({*found} - {*texts})
    if not images:
        raise UserError(f"{dicom} holds no file: name the folder of DICOM files with --dicom")
    truth = _read_labels(labels) if labels else {}
    name_of = {str(path): _name(path, dicom, reports) for path in images}
    name_of |= {str(path): _name(path, reports, dicom) for path in texts}
    audit = Audit()
    headers: list[Header] = []
    once: dict[Any, Any] = {}
    for path, header, reason in _in_tasks(_header, images, "reading DICOM headers", progress):
        if header is None:
            audit.refuse(name_of[path], reason)
        else:
            headers.append(_shared(header, once))
            audit.tell(name_of[path], device=header.device)
            audit.identities.update([*header.patient_name, header.patient_id, header.accession_number or ""])
    letters: Spool[tuple[str, Letter]] = Spool()
    for path, letter, reason in _in_tasks(_letter, texts, "reading reports", progress):
        if letter is None:
            audit.refuse(name_of[path], reason)
        else:
            letters.append((path, letter))
            audit.tell(name_of[path], read=", ".join(letter.read_by))
    bodies: Spool[str] = Spool()
    entries: dict[str, tuple[int, ReportEntry]] = {}
    for text, entry in gather_reports(letters):
        entries[entry.path] = len(bodies), entry
        bodies.append(text)
        audit.identities.update([*entry.identity.names, entry.identity.patient_id or "", *entry.identity.numbers])
    pairing = pair(headers, [entry for _, entry in entries.values()])
    for path, reason in pairing.refused.items():
        audit.refuse(name_of[path], reason)
    studies: Spool[StudyInput] = Spool()
    for study in pairing.studies:
        first = study.headers[0]
        place, entry = entries[study.report_path]
        for path in (study.report_path, *(header.path for header in study.headers)):
            audit.tell(name_of[path], paired_by=study.rule)
        studies.append(
            StudyInput(
                study=study.study_instance_uid,
                patient=first.patient_id,
                report=bodies[place],
                report_name=name_of[study.report_path],
                images=tuple(ImageInput(h.path, name_of[h.path], h.view, h.laterality, h.body_part) for h in study.headers),
                known=_known(study, entry.identity),
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
        yield text, ReportEntry(path, identity, report.title, report.body)


def _known(study: PairedStudy, identity: Identity) -> Known:
    """Return what the headers and the patient block of a study say about people and places."""
    first = study.headers[0]
    numbers = [first.patient_id, first.accession_number, identity.patient_id, *identity.numbers, *identity.study_uids]
    return Known(
        names=tuple(dict.fromkeys([name for header in study.headers for name in header.patient_name] + [*identity.names])),
        identifiers=tuple(dict.fromkeys([number for number in numbers if number] + [*identity.identifiers])),
        birth_date=first.birth_date or identity.birth_date,
        people=tuple(dict.fromkeys([name for header in study.headers for name in header.people] + [*identity.people])),
        places=tuple(dict.fromkeys(place for place in (first.institution, identity.institution) if place)),
    )


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
    different texts of one study are joined. Each value of the label column becomes a 0/1 label of its own; an empty cell is
    unknown. Columns ``view`` and ``sex`` are taken along where they exist.

    Raises:
        UserError: the file or a column is missing, or the label column has too many values for labels.
    """
    rows = _read_table(manifest, "--manifest")
    present = list(rows[0]) if rows else []
    wanted = [image_column, text_column, patient_column, *filter(None, [study_column, label_column])]
    missing = [column for column in wanted if column not in present]
    if rows and missing:
        raise UserError(f"{manifest} has no column {', '.join(missing)}; its columns are {', '.join(present)}")
    audit = Audit()
    by_study: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    seen: set[tuple[str, str, str]] = set()
    for number, row in enumerate(rows, start=1):
        progress("reading the table", number, len(rows))
        name = row[image_column] or f"row {number}"
        row["name"] = name if name not in audit.lines else f"{name} (row {number})"
        study = (row[patient_column], row[study_column] if study_column else row[image_column])
        audit.keep(row["name"])
        if not row[image_column]:
            audit.refuse(row["name"], f"no image: column {image_column} is empty")
        elif not row[patient_column]:
            audit.refuse(row["name"], f"no patient: column {patient_column} is empty")
        elif not row[text_column]:
            audit.refuse(row["name"], f"no text: column {text_column} is empty")
        elif not (manifest.parent / row[image_column]).is_file():
            audit.refuse(row["name"], "no such image file")
        elif (*study, row[image_column]) in seen:
            audit.refuse(row["name"], "a copy: another row names the same image for the same study")
        else:
            seen.add((*study, row[image_column]))
            by_study[study].append(row)
            audit.identities.add(row[patient_column])
    values = sorted({row[label_column] for row in rows if row[label_column]}) if label_column else []
    if len(values) > MOST_LABELS:
        raise UserError(
            f"column {label_column} of {manifest} has {len(values)} values: a label column has at most {MOST_LABELS}"
        )
    studies = []
    for (patient, study), members in by_study.items():
        known = {row[label_column] for row in members if row[label_column]} if label_column else set()
        studies.append(
            StudyInput(
                study=f"{patient}|{study}",
                patient=patient,
                report="\n".join(dict.fromkeys(row[text_column] for row in members)),
                report_name=members[0]["name"],
                images=tuple(
                    ImageInput(str(manifest.absolute().parent / row[image_column]), row["name"], view=row.get("view") or None)
                    for row in members
                ),
                labels={value: float(value in known) for value in values} if known else {},
                sex=next((row["sex"] for row in members if row.get("sex") in ("F", "M", "O")), None),
            )
        )
    return studies, audit


def _files(folder: Path, what: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: name the folder of {what}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder} cannot be read: ask for the right to read the folder of {what}")
    return sorted(path for path in folder.absolute().rglob("*") if path.is_file())


def _name(path: Path, folder: Path, other: Path) -> str:
    """Return how the audit calls a file: its folder's name and the way from there, unless both folders have one name."""
    relative = path.relative_to(folder.absolute())
    same = folder.resolve().name == other.resolve().name and folder.resolve() != other.resolve()
    return str(path if same else Path(folder.resolve().name) / relative)


def _read_table(path: Path, option: str) -> list[dict[str, str]]:
    """Return the rows of a CSV, every cell a text without blanks around it.

    Raises:
        UserError: there is no such file, or it is no CSV in UTF-8 with a header.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}: {option} names a CSV")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = [{name: (row[name] or "").strip() for name in reader.fieldnames or ()} for row in reader]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV in UTF-8 ({error}): export it again as comma-separated text") from error
    if not rows:
        raise UserError(f"{path} has no row under its header: {option} names a CSV with one row per line")
    return rows


def _read_labels(path: Path) -> dict[str, dict[str, float]]:
    rows = _read_table(path, "--labels")
    if "accession_number" not in rows[0]:
        raise UserError(f"{path} has no column accession_number; its columns are {', '.join(rows[0])}")
    names = [name for name in rows[0] if name != "accession_number" and {row[name] for row in rows} - {""} <= {"0", "1"}]
    return {row["accession_number"]: {name: float(row[name]) for name in names if row[name]} for row in rows}


def _header(path: str) -> Header:
    return read_header(Path(path))


def _letter(path: str) -> Letter:
    return letter_of(read_pdf(Path(path)))


def _in_tasks(
    read: Callable[[str], Any], paths: Sequence[Path], what: str, progress: Progress
) -> Iterator[tuple[str, Any, str]]:
    """Yield ``(path, result, "")`` or ``(path, None, reason)`` for every path, read in Ray Data tasks."""

    def read_some(batch: Any) -> Any:
        results: list[tuple[Any, str]] = []
        for path in batch["item"]:
            try:
                results.append((read(str(path)), ""))
            except Refused as refusal:
                results.append((None, str(refusal)))
            except OSError:
                results.append((None, "the file cannot be read"))
        packed = [_pickled(result) for result, _ in results]
        return {"path": list(batch["item"]), "result": packed, "reason": [reason for _, reason in results]}

    if not paths:
        return
    rows = _quiet(ray.data.from_items([str(path) for path in paths], override_num_blocks=min(len(paths), 16)))
    for done, row in enumerate(rows.map_batches(read_some, batch_size=32, num_cpus=1).iter_rows(), start=1):
        progress(what, done, len(paths))
        yield row["path"], _unpickled(row["result"]), row["reason"]


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value)


def _unpickled(value: bytes) -> Any:
    return pickle.loads(value)


def _quiet(dataset: ray.data.Dataset) -> ray.data.Dataset:
    dataset.context.enable_progress_bars = False
    dataset.context.execution_options.preserve_order = True
    dataset.context.op_resource_reservation_enabled = False  # keeps cores from the one step there is, see docs/decisions.md
    return dataset


# --- finish -----------------------------------------------------------------------------------------------------------


def _write(
    inputs: Sequence[StudyInput],
    audit: Audit,
    folder: Path,
    key: Key,
    preparation: Preparation,
    source: str,
    beside: Path,
    progress: Progress,
) -> dict[str, Any]:
    (folder / "studies").mkdir(exist_ok=True)
    built = _build(inputs, audit, folder, key, preparation, progress)
    told = built.studies
    if not told:
        raise UserError(_nothing_usable(audit, source, beside))
    owner = [place for place, study in enumerate(told) for _ in study["signatures"]]
    duplicates = near_duplicates([signature for study in told for signature in study["signatures"]])
    linked = sorted({(owner[one], owner[other]) for one, other in duplicates})
    patients, splits = [study["patient_id"] for study in told], [study["split"] for study in told]
    final = together(patients, splits, linked)
    moved = {patient: new for patient, old, new in zip(patients, splits, final, strict=True) if old != new}
    _move(folder, moved)
    for study, split in zip(told, final, strict=True):
        study["split"] = split
    _check_splits({study["patient_id"]: study["split"] for study in told}.values(), preparation)
    leakage = find_leakage(
        [study["study_id"] for study in told], patients, final, [study["report_group"] for study in told], linked
    )
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": _corpus_fingerprint(told),
        "source": source,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "max_side": preparation.max_side,
        "tokenizers": list(preparation.tokenizers),
        "counts": _counts(told) | {"by_split": {split: _counts([s for s in told if s["split"] == split]) for split in SPLITS}},
        "splits": {
            "val": preparation.splits.val,
            "test": preparation.splits.test,
            "patients_sharing_pictures": len({patients[p] for pair in linked for p in pair if _two(patients, pair)}),
            "patients_moved_to_be_with_them": len(moved),
        },
        "labels": {
            name: {
                "present": sum(study["labels"].get(name) == 1 for study in told),
                "absent": sum(study["labels"].get(name) == 0 for study in told),
            }
            for name in sorted({name for study in told for name in study["labels"]})
        },
        "leakage": leakage.to_json(),
        "deidentification": {
            "replaced_in_reports": _total(audit, "replaced"),
            "boxes": _total(audit, "boxes") if preparation.burned_in else None,
            "paired_by": dict(_kept(audit, "paired_by").most_common()),
            "read_by": dict(_kept(audit, "read").most_common()),
        },
        "audit": {"kept": sum(r is None for r in audit.lines.values()), "refused": dict(audit.refusals().most_common())},
    }
    audit.write_masked(folder / "audit.jsonl", key)
    write_page(folder / "audit.html", manifest, audit, built.samples)
    _write_manifest(folder, manifest)
    return manifest


def _build(
    inputs: Sequence[StudyInput], audit: Audit, folder: Path, key: Key, preparation: Preparation, progress: Progress
) -> Built:
    """Return what all shards tell, in order; they are built by as many tasks as there are CPUs."""
    size = min(STUDIES_PER_SHARD, math.ceil(len(inputs) / SHARDS))
    shards = [ray.put(inputs[start : start + size]) for start in range(0, len(inputs), size)]

    def build(batch: Any) -> Any:
        made = [build_shard(int(i), ray.get(shards[int(i)]), folder, key, preparation) for i in batch["id"]]
        return {"built": [_pickled(one) for one in made]}

    rows = _quiet(ray.data.range(len(shards), override_num_blocks=len(shards)))
    every = Built()
    for done, row in enumerate(rows.map_batches(build, batch_size=1, num_cpus=1).iter_rows(), start=1):
        one: Built = _unpickled(row["built"])
        every.studies.extend(one.studies)
        shown = Counter(sample.label for sample in every.samples)
        every.samples.extend(sample for sample in one.samples if shown[sample.label] < MOST_SAMPLES)
        for name, reason in one.refused.items():
            audit.refuse(name, reason)
        for name, facts in one.facts.items():
            audit.tell(name, **facts)
        progress("building studies", min(done * size, len(inputs)), len(inputs))
    for study in inputs:
        for name in (study.report_name, *(image.name for image in study.images)):
            audit.keep(name)
    return every


def _total(audit: Audit, fact: str) -> dict[str, int]:
    """Return a fact that is a count by kind, summed over all inputs that were kept."""
    counts: Counter[str] = Counter()
    for name, facts in audit.facts.items():
        if audit.lines.get(name) is None:
            counts.update(facts.get(fact, {}))
    return dict(sorted(counts.items()))


def _kept(audit: Audit, fact: str) -> Counter[str]:
    """Return in how many reports that were kept a fact has each of its values."""
    kept = (facts for name, facts in audit.facts.items() if "read" in facts and audit.lines.get(name) is None)
    return Counter(facts[fact] for facts in kept if fact in facts)


def _move(folder: Path, moved: dict[str, str]) -> None:
    """Give patients another split in the studies already written; only the files they stand in are rewritten."""
    for path in sorted((folder / "studies").glob("*.parquet")) if moved else ():
        patients = pq.read_table(path, columns=["patient_id"]).column(0).to_pylist()
        if moved.keys().isdisjoint(patients):
            continue
        table = pq.read_table(path)
        old = table.column("split").to_pylist()
        new = pa.array([moved.get(patient, split) for patient, split in zip(patients, old, strict=True)], pa.string())
        place = table.schema.get_field_index("split")
        with whole(path) as partial:
            pq.write_table(table.set_column(place, STUDIES.field("split"), new), partial, compression="zstd")


def _two(patients: Sequence[str], pair: tuple[int, int]) -> bool:
    return patients[pair[0]] != patients[pair[1]]


def _counts(studies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "patients": len({study["patient_id"] for study in studies}),
        "studies": len(studies),
        "images": sum(len(study["signatures"]) for study in studies),
    }


def _corpus_fingerprint(studies: Sequence[dict[str, Any]]) -> str:
    """Return a digest of all studies and their splits that does not depend on their order."""
    lines = sorted(study["fingerprint"] + study["split"] for study in studies)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    partial = folder / ".manifest.json.partial"
    partial.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / "manifest.json")


def add_tokens(pairs: Path, tokenizer: str, progress: Progress) -> None:
    """Add the token table of one more tokenizer to a pairs folder; nothing else of it is rewritten.

    Raises:
        UserError: the folder is no pairs folder, has the table already, or the tokenizer cannot be had.
    """
    manifest = read_manifest(pairs)
    if tokenizer in manifest["tokenizers"]:
        raise UserError(f"{pairs} has the tokens of {tokenizer} already")
    load_tokenizer(tokenizer)
    folder = token_folder(pairs, tokenizer)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        paths = sorted((pairs / "studies").glob("*.parquet"))
        for done, path in enumerate(paths, start=1):
            rows = pq.read_table(path, columns=["study_id", "sentences"]).to_pylist()
            write_tokens(rows, tokenizer, partial / path.name)
            progress("tokenizing", done, len(paths))
        # A table that the manifest does not name is left over from an interrupted run.
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _write_manifest(pairs, manifest | {"tokenizers": [*manifest["tokenizers"], tokenizer]})
