"""From a hospital export, or a table of images and texts, to a pairs folder. Read this first.

Three steps: *gather* what belongs to each study (gather.py), *build* the rows of every study in Ray Data tasks (build.py:
decode, de-identify, tokenize), *finish* with the splits, the leakage gate, the audit and the manifest (here). All is written
beside the output folder and renamed at the end: a pairs folder is whole or absent.
"""

import contextlib
import datetime
import hashlib
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from .audit import Audit
from .audit_page import MOST_SAMPLES, write_page
from .build import BUILT, Built, Preparation, StudyInput, build_shard, whole
from .leakage import find_leakage, near_duplicates
from .pairs import read_manifest, read_vocabulary, token_folder
from .progress import Progress
from .pseudonyms import Key
from .records import check_new, write_whole
from .refusal import UserError
from .schema import SPLITS, STUDIES
from .splits import check_patients, together
from .spool import Spool
from .tasks import in_tasks
from .tokens import Vocabulary, load_tokenizer, named, write_tokens

SCHEMA_VERSION = 1
STUDIES_PER_SHARD, SHARDS = 64, 32
"""At most so many studies a shard; fewer where there would be fewer shards than these, so that every core has work."""


def prepare(
    inputs: Sequence[StudyInput], audit: Audit, out: Path, key: Key, preparation: Preparation, source: str, progress: Progress
) -> dict[str, Any]:
    """Write the pairs folder of ``inputs`` to ``out`` and return its manifest.

    What is written on the way is in ``.OUT.ORDER.partial`` beside it. If the process is killed there, the same call goes on:
    shards that were finished are not built again, unless an input, the key, a choice or radsweep itself has changed since.

    What became of every input is written to ``audit.jsonl`` in the folder, where parts of paths that name a patient are
    pseudonyms, and with the paths as they are to ``OUT.audit.jsonl`` beside it, also where no study could be used.

    Raises:
        UserError: no usable study, fewer patients than splits, or no place for the folder.
    """
    check_output(out)
    out = out.absolute()  # the tasks of Ray run in folders of their own
    for name in preparation.tokenizers:
        load_tokenizer(name)
    beside = out.with_name(f"{out.name}.audit.jsonl")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made ({error.strerror}): choose another folder") from error
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
    of_out = re.compile(rf"\.{re.escape(out.name)}\.[0-9a-f]{{16}}\.partial")
    for other in [path for path in out.parent.iterdir() if of_out.fullmatch(path.name) and path != partial]:
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
    """Refuse an output folder that already holds pairs, or that `check_new` refuses.

    Raises:
        UserError: saying what is there.
    """
    if (out / "manifest.json").is_file():
        raise UserError(f"{out} already holds a pairs folder: choose another folder, or remove this one")
    check_new(out)


def _check_splits(splits: Iterable[str], preparation: Preparation) -> None:
    check_patients(Counter(splits), preparation.splits)


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
    built, signatures = _build(inputs, audit, folder, key, preparation, progress)
    told = built.studies
    if not told:
        raise UserError(_nothing_usable(audit, source, beside))
    owner = [place for place, study in enumerate(told) for _ in range(study["images"])]
    linked = sorted({(owner[one], owner[other]) for one, other in near_duplicates(signatures)})
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
) -> tuple[Built, Spool[bytes]]:
    """Return what all shards tell, in order, and the signatures of their images; as many tasks build them as there are CPUs."""
    size = min(STUDIES_PER_SHARD, math.ceil(len(inputs) / SHARDS))
    shards = [ray.put(inputs[start : start + size]) for start in range(0, len(inputs), size)]

    def build(shard: int) -> Built:
        return build_shard(shard, ray.get(shards[shard]), folder, key, preparation)

    every, signatures = Built(), Spool[bytes]()
    progress("building studies", 0, len(inputs))
    for done, one in enumerate(in_tasks(build, range(len(shards)), len(shards)), start=1):
        for study in one.studies:
            for signature in study.pop("signatures"):
                signatures.append(signature)
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
    return every, signatures


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
        "images": sum(study["images"] for study in studies),
    }


def _corpus_fingerprint(studies: Sequence[dict[str, Any]]) -> str:
    """Return a digest of all studies and their splits that does not depend on their order."""
    lines = sorted(study["fingerprint"] + study["split"] for study in studies)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_whole(folder / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")


def add_tokens(pairs: Path, tokenizer: str, progress: Progress) -> None:
    """Add the token table of one more tokenizer to a pairs folder; nothing else of it is rewritten.

    A table that was made with other files of this tokenizer than those here, or is damaged, is made anew.

    Raises:
        UserError: the folder is no pairs folder, is damaged, cannot be written, or has the table already, or there is no such
            tokenizer.
    """
    tokenizer, manifest = named(tokenizer), read_manifest(pairs)
    here = load_tokenizer(tokenizer).vocabulary
    if tokenizer in manifest["tokenizers"] and _is_made_with(pairs, here):
        raise UserError(f"{pairs} has the tokens of {tokenizer} already")
    folder = token_folder(pairs, tokenizer)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    paths = sorted((pairs / "studies").glob("*.parquet"))
    if not paths:
        raise UserError(f"{pairs} holds no studies: restore them, or prepare the pairs again")
    try:
        for done, path in enumerate(paths, start=1):
            rows = pq.read_table(path, columns=["study_id", "sentences"]).to_pylist()
            write_tokens(rows, tokenizer, partial / path.name)
            progress("tokenizing", done, len(paths))
        # A table that is here nevertheless is of no use, or left over from an interrupted run.
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"the studies of {pairs} cannot be read, or their tokens cannot be written ({error}): make the folder writable, "
            "restore it, or prepare the pairs again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _write_manifest(pairs, manifest | {"tokenizers": list(dict.fromkeys([*manifest["tokenizers"], tokenizer]))})


def _is_made_with(pairs: Path, vocabulary: Vocabulary) -> bool:
    """Return whether a tokenizer's table can be read, and was made with this vocabulary of it."""
    try:
        return read_vocabulary(pairs, vocabulary.tokenizer).sha256 == vocabulary.sha256
    except UserError:
        return False
