"""A pairs folder as batches: Parquet -> Ray Data -> decoded once in the object store -> one stream per rank.

The road of a study: ``load_corpus`` reads a split through Ray Data, decodes its images once and leaves them in the object
store, where every trial of a sweep finds them. ``stream`` then turns an `Order` into batches: Ray Data tasks draw, crop and
resize, the training worker only receives. Nothing here knows of models.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
from pydantic import Field
from ray.data._internal.execution.execution_callback import ExecutionCallback

from .augment import Augment, plain, square
from .config import Config
from .png import decode_png
from .records import object_of
from .refusal import UserError
from .report_text import Text, sections_of
from .sampling import Draw, Order, Sampling
from .tasks import in_tasks
from .tokens import Vocabulary, join

COLUMNS = ("study_id", "patient_id", "report_group", "labels")
WANTED = ["study_id", "images", "sentences", "sections"]


class Reading(Config):
    """How draws become arrays.

    Attributes:
        sampling: which images of a study meet its report.
        augment: random views of an image; training only.
        text: what is read of a report.
        max_tokens: longest text, special tokens counted.
        noisy_validation: a quirk of the reference's code, which validates on one random image of a study in a random view,
            another at each validation.
        tasks: Ray Data tasks that make batches for one training worker at a time; more where it waits for data.
        batches_per_task: batches that one of them makes.
        task_cpus: logical CPUs that one of them holds.
    """

    sampling: Sampling = Sampling()
    augment: Augment = Augment()
    text: Text = Text()
    max_tokens: int = Field(default=256, ge=2)
    noisy_validation: bool = False
    tasks: int = Field(default=2, ge=1)
    batches_per_task: int = Field(default=8, ge=1)
    task_cpus: float = Field(default=0.25, gt=0)


@dataclass(frozen=True)
class Tokens:
    """The token table of one split.

    Attributes:
        vocabulary: of the tokenizer that made it.
        study_starts: sentences of study i are ``study_starts[i] : study_starts[i + 1]``.
        sentence_starts: tokens of sentence j are ``ids[sentence_starts[j] : sentence_starts[j + 1]]``.
        sections: section of each sentence, as `sections_of` numbers them, int8.
        ids: of all sentences, int32, without special tokens.
    """

    vocabulary: Vocabulary
    study_starts: np.ndarray
    sentence_starts: np.ndarray
    sections: np.ndarray
    ids: np.ndarray

    def texts(
        self, study: int, text: Text, max_tokens: int, num_views: int = 1, rng: np.random.Generator | None = None
    ) -> list[np.ndarray]:
        """Return ``num_views`` texts of a report, int32 [length] each; without ``rng`` there is no chance in them."""
        first, last = self.study_starts[study], self.study_starts[study + 1]
        starts, sections = self.sentence_starts[first : last + 1], self.sections[first:last]
        sentences = [self.ids[start:stop].tolist() for start, stop in pairwise(starts)]
        num_tokens = np.diff(starts) + 1
        chosen = [text.shortened(view, sections, num_tokens, max_tokens) for view in text.views(sections, num_views, rng)]
        keep = "tail" if text.cut == "tail" else "head"
        return [join([sentences[i] for i in view], self.vocabulary, max_tokens, keep) for view in chosen]

    def padded(self, texts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return ``texts`` as input_ids int64 [n, length], padded, and text_mask bool [n, length]."""
        lengths = np.array([len(text) for text in texts])
        input_ids = np.full((len(texts), lengths.max()), self.vocabulary.pad_id, np.int64)
        for row, text in zip(input_ids, texts, strict=True):
            row[: len(text)] = text
        return input_ids, np.arange(input_ids.shape[1]) < lengths[:, None]


@dataclass(frozen=True)
class Vectors:
    """Features of whole reports in place of their tokens: what a frozen text tower made of them, once.

    Attributes:
        path: ``.npy`` of float32 [num_studies, width], read as memory that all processes of a machine share.
    """

    vocabulary: Vocabulary
    path: Path

    def texts(
        self, study: int, text: Text, max_tokens: int, num_views: int = 1, rng: np.random.Generator | None = None
    ) -> list[np.ndarray]:
        """Return the feature of the report, float32 [width], for each view."""
        del text, max_tokens, rng
        return [_mapped(self.path)[study]] * num_views

    def padded(self, texts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return ``texts`` as they are, float32 [n, width], and a mask that is True, bool [n, 1]."""
        return np.stack(texts), np.ones((len(texts), 1), bool)


@cache
def _mapped(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r")


@dataclass(frozen=True)
class Corpus:
    """One split, ready to be drawn from, from any Ray process of the job.

    Attributes:
        study_ids, patient_ids: one per study.
        report_group: int64 [num_studies].
        labels: float32 [num_studies, len(label_names)], NaN where unknown.
        image_starts: images of study i are rows ``image_starts[i] : image_starts[i + 1]`` of the decoded blocks.
        tokens: object reference of `Tokens`, or of `Vectors` in their place, by tokenizer.
        blocks: references of decoded uint8 images [rows, side, side], and the first row of each.
    """

    study_ids: list[str]
    patient_ids: list[str]
    report_group: np.ndarray
    label_names: tuple[str, ...]
    labels: np.ndarray
    image_starts: np.ndarray
    tokens: dict[str, ray.ObjectRef]
    blocks: tuple[ray.ObjectRef, ...]
    block_starts: np.ndarray

    @property
    def num_images(self) -> np.ndarray:
        return np.diff(self.image_starts)

    def image(self, study: int, image: int) -> np.ndarray:
        """Return one decoded image, uint8 [side, side]; a view into the object store."""
        row = int(self.image_starts[study]) + image
        block = int(np.searchsorted(self.block_starts, row, side="right")) - 1
        return _fetch(self.blocks[block])[row - int(self.block_starts[block])]


@dataclass(frozen=True)
class Batch:
    """Draws ready for the towers; numpy here, torch after ``to_torch`` in the worker.

    Attributes:
        images: uint8 [num_images, resolution, resolution], of all views of the first draw, then of the second ...
        image_counts: int64 [num_draws * image_views], images of each view.
        input_ids: int64 [num_draws * text_views, length], padded, all texts of the first draw, then of the second ...
        text_mask: bool [num_draws * text_views, length], True on real tokens.
        report_group: int64 [num_draws].
        labels: float32 [num_draws, num_labels], NaN where unknown.
        study: int64 [num_draws], rows of the corpus.
    """

    images: Any
    image_counts: Any
    input_ids: Any
    text_mask: Any
    report_group: Any
    labels: Any
    study: Any


_objects: dict[ray.ObjectRef, Any] = {}


def _fetch(ref: ray.ObjectRef) -> Any:
    """``ray.get`` once per process: repeated reads of a block cost a dictionary look-up and share its memory."""
    if ref not in _objects:
        _objects[ref] = ray.get(ref)
    return _objects[ref]


def files_of(pairs: Path | str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system that holds a pairs folder, and the folder's path there: a local path or any fsspec URL.

    Raises:
        UserError: nothing that is installed reads such a URL.
    """
    try:
        return fsspec.core.url_to_fs(str(pairs))
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{pairs} cannot be read ({error}): name a folder, or a URL whose fsspec package is installed on every node"
        ) from error


def read_manifest(pairs: Path | str) -> dict[str, Any]:
    """Return ``manifest.json`` of a pairs folder.

    Raises:
        UserError: the folder is not one, or its manifest is damaged or cannot be read.
    """
    files, root = files_of(pairs)
    path = f"{root}/manifest.json"
    if not files.isfile(path):
        raise UserError(f"{pairs} holds no manifest.json: make a pairs folder with `radsweep prepare ... --out {pairs}`")
    try:
        written = files.cat_file(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    return object_of(written, path, "restore it, or prepare the pairs again", ("labels", "tokenizers"))


def read_vocabulary(pairs: Path | str, tokenizer: str) -> Vocabulary:
    """Return the vocabulary that the token table of ``tokenizer`` was made with.

    Raises:
        UserError: the pairs folder has no such table, or a damaged one.
    """
    files, root = files_of(pairs)
    parts = sorted(files.glob(f"{token_folder(Path(root), tokenizer)}/*.parquet"))
    try:
        return Vocabulary.from_metadata(pq.read_schema(parts[0], filesystem=files).metadata)
    except (pa.ArrowException, OSError, LookupError, TypeError) as error:
        raise UserError(
            f"the token table of {tokenizer!r} in {pairs} is missing or damaged: make it anew with "
            f"`radsweep tokenize {pairs} --tokenizer {tokenizer}`"
        ) from error


def _read_studies(pairs: Path | str, split: str, *columns: str) -> pa.Table:
    files, root = files_of(pairs)
    if not files.glob(f"{root}/studies/*.parquet"):
        raise UserError(f"{pairs} holds no studies: restore them, or prepare the pairs again")
    try:
        return pq.read_table(f"{root}/studies", columns=list(columns), filters=[("split", "==", split)], filesystem=files)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{pairs}/studies is damaged ({error}): restore it, or prepare the pairs again") from error


def load_corpus(pairs: Path | str, split: str, tokenizers: Sequence[str]) -> Corpus:
    """Return a split of a pairs folder, its images decoded once into the object store.

    Raises:
        UserError: no such folder or a damaged one, no studies in the split, or no token table of a wanted tokenizer.
    """
    manifest = read_manifest(pairs)
    for name in tokenizers:
        if name not in manifest["tokenizers"]:
            raise UserError(
                f"{pairs} has no tokens of {name!r} (it has {', '.join(manifest['tokenizers'])}): "
                f"add them with `radsweep tokenize {pairs} --tokenizer {name}`"
            )
    side = int(manifest["max_side"])
    files, root = files_of(pairs)
    small = _read_studies(pairs, split, *COLUMNS, "split")
    if not small.num_rows:
        raise UserError(f"{pairs} has no study in its {split} split")
    names = tuple(sorted(manifest["labels"]))
    paths = sorted(str(path) for path in files.glob(f"{root}/studies/*.parquet"))

    def decode(path: str) -> Decoded:
        return _decode(pq.read_table(path, columns=WANTED, filters=[("split", "==", split)], filesystem=files), side)

    counts: list[int] = []
    study_ids: list[str] = []
    sections: list[list[int]] = []
    blocks, sizes = [], []
    for part in in_tasks(decode, paths, len(paths)):
        study_ids += part.study_ids
        counts += part.counts
        sections += part.sections
        if len(part.pixels):
            sizes.append(len(part.pixels))
            blocks.append(ray.put(part.pixels))
    if study_ids != small.column("study_id").to_pylist():
        raise RuntimeError(f"the files of {pairs} were decoded in another order than they are read")
    return Corpus(
        study_ids=study_ids,
        patient_ids=small.column("patient_id").to_pylist(),
        report_group=small.column("report_group").to_numpy().astype(np.int64),
        label_names=names,
        labels=_labels(small.column("labels"), names),
        image_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        tokens={name: ray.put(_read_tokens(files, root, name, study_ids, sections)) for name in tokenizers},
        blocks=tuple(blocks),
        block_starts=np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64),
    )


@dataclass(frozen=True)
class Decoded:
    """The studies of a split in one file; ``pixels`` of all their images, uint8 [num_images, side, side]."""

    study_ids: list[str]
    counts: list[int]
    pixels: np.ndarray
    sections: list[list[int]]


def _decode(table: pa.Table, side: int) -> Decoded:
    rows = table.to_pylist()
    images = [square(decode_png(image["bytes"]), side) for row in rows for image in row["images"]]
    return Decoded(
        study_ids=[row["study_id"] for row in rows],
        counts=[len(row["images"]) for row in rows],
        pixels=np.stack(images) if images else np.empty((0, side, side), np.uint8),
        sections=[sections_of(row["sentences"], row["sections"] or {}) for row in rows],
    )


def label_cases(pairs: Path | str, split: str) -> dict[str, tuple[int, int]]:
    """Return how many studies of a split have each label, and how many are known not to have it.

    Raises:
        UserError: the folder is none, or damaged.
    """
    table = _read_studies(pairs, split, "labels", "split")
    names = tuple(sorted(read_manifest(pairs)["labels"]))
    values = _labels(table.column("labels"), names)
    return {name: (int((values[:, i] == 1).sum()), int((values[:, i] == 0).sum())) for i, name in enumerate(names)}


def _labels(column: pa.ChunkedArray, names: Sequence[str]) -> np.ndarray:
    values = [dict(row or ()) for row in column.to_pylist()]
    known = [[row.get(name) for name in names] for row in values]
    return np.array([[np.nan if value is None else value for value in row] for row in known], np.float32).reshape(
        len(values), len(names)
    )


def _read_tokens(
    files: fsspec.AbstractFileSystem, root: str, tokenizer: str, study_ids: Sequence[str], sections: Sequence[Sequence[int]]
) -> Tokens:
    table = pq.read_table(str(token_folder(Path(root), tokenizer)), filesystem=files)
    vocabulary = Vocabulary.from_metadata(table.schema.metadata)
    wanted = set(study_ids)
    rows = {row["study_id"]: row["input_ids"] for row in table.to_pylist() if row["study_id"] in wanted}
    reports = [rows[study] for study in study_ids]
    sentences = [sentence for report in reports for sentence in report]
    return Tokens(
        vocabulary=vocabulary,
        study_starts=np.cumsum([0, *map(len, reports)]),
        sentence_starts=np.cumsum([0, *map(len, sentences)]),
        sections=np.array([section for report in sections for section in report], np.int8),
        ids=np.array([token for sentence in sentences for token in sentence], np.int32),
    )


def token_folder(pairs: Path, tokenizer: str) -> Path:
    """Return where the token table of ``tokenizer`` lives; a hub id's slash cannot be in a file name."""
    return pairs / "tokens" / tokenizer.strip("/").replace("/", "--")


def assemble(
    corpus: Corpus, draws: Sequence[Draw], tokenizer: str, resolution: int, reading: Reading, random: bool, text_views: int = 1
) -> Batch:
    """Return the batch of ``draws``; ``random`` augments each image and chooses sentences by its draw's own seed."""
    tokens: Tokens = _fetch(corpus.tokens[tokenizer])
    images, texts = [], []
    for draw in draws:
        # Two generators: another augmentation reads the same sentences, and the other way round.
        rng = np.random.default_rng(draw.seed)
        for image in (image for view in draw.images for image in view):
            pixels = corpus.image(draw.study, image)
            images.append(reading.augment(pixels, resolution, rng) if random else plain(pixels, resolution))
        text_rng = np.random.default_rng((*draw.seed, 2)) if random else None
        texts += tokens.texts(draw.study, reading.text, reading.max_tokens, text_views, text_rng)
    studies = np.array([draw.study for draw in draws], np.int64)
    input_ids, text_mask = tokens.padded(texts)
    return Batch(
        images=np.stack(images),
        image_counts=np.array([len(view) for draw in draws for view in draw.images], np.int64),
        input_ids=input_ids,
        text_mask=text_mask,
        report_group=corpus.report_group[studies],
        labels=corpus.labels[studies],
        study=studies,
    )


class Unhurried(ExecutionCallback):
    """Let Ray Data's scheduling loop, a thread of the training process, look for finished tasks 50 times a second.

    Left alone it does not rest while batches lie ready and none is wanted, which is nearly always, and training waits for the
    interpreter (docs/decisions.md).
    """

    def on_execution_step(self, executor: object) -> None:
        del executor
        time.sleep(0.02)


def stream(
    corpus: Corpus,
    order: Order,
    tokenizer: str,
    resolution: int,
    reading: Reading,
    batch_size: int,
    steps: range,
    rank: int = 0,
    world_size: int = 1,
    text_views: int = 1,
) -> Iterator[Batch]:
    """Yield this rank's part of the batches at ``steps``, made ahead of time by Ray Data tasks.

    Step s holds the draws at positions ``s * batch_size`` to ``(s + 1) * batch_size``; rank r of n takes the r-th n-th of
    them. One stream runs over all epochs, so there is no restart between them; starting at another step, or with another
    number of workers, gives the same draws. Without text views a batch still holds each report once.
    """
    local = batch_size // world_size
    shared = ray.put((corpus, order))

    def make(rows: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        corpus, order = _fetch(shared)
        for step in rows["item"]:
            first = int(step) * batch_size + rank * local
            draws = order.draws(first, first + local)
            batch = assemble(corpus, draws, tokenizer, resolution, reading, random=True, text_views=max(1, text_views))
            yield {name: getattr(batch, name)[None] for name in Batch.__dataclass_fields__}

    tasks = max(1, -(-len(steps) // reading.batches_per_task))
    # Not `ray.data.range`: its read tasks ask for a whole CPU each, which two trials on two CPUs never have left.
    batches = ray.data.from_items(list(steps), override_num_blocks=tasks)
    batches.context.enable_progress_bars = False
    batches.context.execution_options.preserve_order = True
    # A batch is a block of its own: it leaves its task as soon as it is made, and arrives without a copy.
    batches.context.target_max_block_size = 1
    batches.context.custom_execution_callback_classes.append(Unhurried)
    made = batches.map_batches(
        make,  # pyright: ignore[reportArgumentType]
        batch_size=None,
        num_cpus=reading.task_cpus,
        compute=ray.data.TaskPoolStrategy(min(reading.tasks, tasks)),
    )
    for block in made.iter_batches(batch_size=None, prefetch_batches=2):
        for row in range(len(block["study"])):
            yield Batch(**{str(name): values[row] for name, values in block.items()})


def studies(
    corpus: Corpus,
    tokenizer: str,
    resolution: int,
    reading: Reading,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    visit: int = 0,
) -> Iterator[Batch]:
    """Yield every study of this rank's part once, without chance: one view of all its images, and one text of its report.

    With ``reading.noisy_validation`` it is one random image in a random view instead, a function of ``visit`` and study.
    """
    mine = range(rank, len(corpus.study_ids), world_size)
    counts = np.minimum(corpus.num_images, reading.sampling.max_images)
    for first in range(0, len(mine), batch_size):
        rows = mine[first : first + batch_size]
        draws = [Draw(study, (tuple(range(int(counts[study]))),), (0, visit, study)) for study in rows]
        if reading.noisy_validation:
            chosen = [int(np.random.default_rng((*draw.seed, 1)).integers(len(draw.images[0]))) for draw in draws]
            draws = [replace(draw, images=((image,),)) for draw, image in zip(draws, chosen, strict=True)]
        yield assemble(corpus, draws, tokenizer, resolution, reading, random=reading.noisy_validation)


def reports(
    corpus: Corpus, tokenizer: str, reading: Reading, studies: np.ndarray, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (study, input_ids, text_mask) over the reports of ``studies``, read without chance, without images.

    The shortest come first: a batch has little padding, which costs a text tower as much as words do.
    """
    tokens: Tokens = _fetch(corpus.tokens[tokenizer])
    texts = [tokens.texts(int(row), reading.text, reading.max_tokens)[0] for row in studies]
    order = np.argsort([len(text) for text in texts], kind="stable")
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        yield studies[batch], *tokens.padded([texts[at] for at in batch])
