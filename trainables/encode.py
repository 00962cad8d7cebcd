"""A checkpoint looks at a labelled corpus: features of every image, once, kept for every task that reads them."""

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..datasets.augment import plain, square
from ..datasets.labelled import Labelled
from ..datasets.progress import Progress
from ..datasets.refusal import Refused, UserError
from ..datasets.reports.sections import sentences
from ..datasets.tokens import join, load_tokenizer
from .checkpoint import Pretrained
from .tasks.task import Encoded

BATCH_SIZE = 64
UNREADABLE = 0.02
"""Share of a corpus' images that may be damaged: some are in the archives of public ones."""
ROOT = Path(__file__).resolve().parent.parent


def fingerprint(corpus: Labelled) -> str:
    """Return 16 hex digits that change when an image does, what is known of one, or what a label means.

    Files are told by path, size and time.
    """
    told = hashlib.sha256(repr((corpus.name, sorted(corpus.targets.items()))).encode())
    for image in corpus.images:
        files = _state(image.source), _state(image.mask)
        known = (
            image.study,
            image.patient,
            image.split,
            sorted(image.labels.items()),
            image.sex,
            image.boxes,
            image.report,
            image.body_part,
        )
        told.update(repr((files, known)).encode())
    return told.hexdigest()[:16]


def _state(source: Path | bytes | None) -> str:
    if isinstance(source, Path):
        facts = source.stat()
        return f"{source} {facts.st_size} {facts.st_mtime_ns}"
    return hashlib.sha256(source or b"").hexdigest()


def code_of(root: Path) -> str:
    """Return 16 hex digits that change when the code does that makes features: of the images and the towers, not of tasks."""
    told = hashlib.sha256()
    for path in sorted([*(root / "datasets").rglob("*.py"), *(root / "trainables").glob("*.py")]):
        told.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return told.hexdigest()[:16]


def encode(pretrained: Pretrained, corpus: Labelled, kept: Path, device: torch.device, progress: Progress) -> Encoded:
    """Return the features of ``corpus``, read from the folder ``kept`` if this checkpoint and this code have seen it before.

    Images that cannot be read are left out, and a note says how many, if they are few (`UNREADABLE`).

    Raises:
        UserError: more cannot be read; names one.
    """
    reader = Reader(pretrained, device)
    path = kept / f"{pretrained.sha256[:16]}-{fingerprint(corpus)}-{code_of(ROOT)}.npz"
    known = _read_features(path)
    if known is not None:
        states, features, read = known
        progress("images encoded", len(states), len(states))
    else:
        states, features, read = reader.encode_images(corpus, progress)
        kept.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, states=states, features=features, read=read)
        partial.replace(path)
    if not read.all():
        images = tuple(image for image, there in zip(corpus.images, read, strict=True) if there)
        note = f"{(~read).sum():,} of {len(read):,} images cannot be read, and are left out"
        corpus = replace(corpus, images=images, notes=(*corpus.notes, note))
        states, features = states[read], features[read]
    reads = pretrained.model.needs.text_views > 0
    return Encoded(corpus, states, features, reader.encode_texts if reads else None, pretrained.labels, reader)


def _read_features(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return what was kept; None if there is nothing, or nothing whole: it is computed again."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as kept, np.load(kept) as file:
            return file["states"], file["features"], file["read"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


@dataclass(frozen=True)
class Reader:
    """A pretrained model on a device, reading images and texts without chance."""

    pretrained: Pretrained
    device: torch.device

    @torch.no_grad()
    def encode_images(self, corpus: Labelled, progress: Progress) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the tower's features float32 [images, width], unit vectors float32 [images, embed_dim], and which to believe.

        Images are seen whole, on a black square, at the model's resolution. One that cannot be read is black, and False in the
        last, bool [images].

        Raises:
            UserError: more than `UNREADABLE` cannot be read; names one.
        """
        model, resolution = self.pretrained.model.to(self.device), self.pretrained.config.image.resolution
        count = len(corpus.images)
        states, features, read = [], [], np.ones(count, bool)
        for first in range(0, count, BATCH_SIZE):
            places = range(first, min(first + BATCH_SIZE, count))
            views = np.zeros((len(places), resolution, resolution), np.uint8)
            for row, place in enumerate(places):
                try:
                    views[row] = view(corpus, place, resolution)
                except UserError:
                    read[place] = False
                    if (~read).sum() > UNREADABLE * count:
                        raise
            seen = model.image(torch.from_numpy(views).to(self.device))
            states.append(seen.float().cpu().numpy())
            heads = torch.nn.functional.normalize(model.image_projections[0](seen).float(), dim=-1)
            features.append(heads.cpu().numpy())
            progress("images encoded", places.stop, count)
        return np.concatenate(states), np.concatenate(features), read

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the unit vectors of any texts, float32 [n, embed_dim].

        Raises:
            UserError: the tokenizer is not the one of the checkpoint.
        """
        config, vocabulary = self.pretrained.config, self.pretrained.vocabulary
        tokenizer = load_tokenizer(config.text.tokenizer)
        if tokenizer.vocabulary.sha256 != vocabulary.sha256:
            raise UserError(f"the tokenizer {config.text.tokenizer} is not the one that the checkpoint was trained with")
        model = self.pretrained.model.to(self.device)
        told = []
        for first in range(0, len(texts), BATCH_SIZE):
            rows = [
                join(tokenizer.encode(sentences(text) or [text]), vocabulary, config.data.max_tokens)
                for text in texts[first : first + BATCH_SIZE]
            ]
            longest = max(map(len, rows))
            ids = np.full((len(rows), longest), vocabulary.pad_id, np.int64)
            for row, own in zip(ids, rows, strict=True):
                row[: len(own)] = own
            mask = np.arange(longest) < np.array([len(row) for row in rows])[:, None]
            given = torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)
            told.append(model.encode_texts(*given).cpu().numpy())
        return np.concatenate(told)


def view(corpus: Labelled, place: int, resolution: int) -> np.ndarray:
    """Return an image on a black square at ``resolution``, uint8 [resolution, resolution].

    Raises:
        UserError: it cannot be read.
    """
    image = corpus.images[place]
    try:
        pixels = image.pixels()
    except (Refused, OSError) as error:
        where = image.source if isinstance(image.source, Path) else f"an image of study {image.study}"
        raise UserError(
            f"{corpus.name}: {where} cannot be read ({error}): get it again, or leave it out of the table"
        ) from error
    return plain(square(pixels, max(pixels.shape)), resolution)
