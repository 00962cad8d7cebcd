"""A pairs folder written by hand, as batches: pixels, tokens, order, and who gets what."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radsweep.datasets.augment import Augment
from radsweep.datasets.dicom.pixels import encode_png
from radsweep.datasets.pairs import Batch, Corpus, Reading, load_corpus, reports, stream, studies
from radsweep.datasets.refusal import UserError
from radsweep.datasets.sampling import Order, Sampling
from radsweep.datasets.schema import STUDIES
from radsweep.datasets.tokens import load_tokenizer, write_tokens

SIDE = 20
SENTENCES = (["Fracture."], ["Pas de fracture.", "Arthrose du genou."], [])
STILL = Reading(sampling=Sampling(images="pooled"), augment=Augment(crop=1, rotate=0, brightness=0, contrast=0))


def picture(study: int, image: int) -> np.ndarray:
    """An image of its own size and pixels, uint8."""
    height, width = 10 + (study + image) % 11, SIDE - image
    return np.random.default_rng((study, image)).integers(1, 256, (height, width), dtype=np.uint8)


def study_row(study: int, split: str) -> dict[str, object]:
    """Studies of one to three images; labels known, absent and unknown."""
    images = [
        {"bytes": encode_png(pixels), "height": pixels.shape[0], "width": pixels.shape[1]}
        for pixels in (picture(study, image) for image in range(1 + study % 3))
    ]
    labels = {"fracture": float(study % 2)} | ({"arthrose": 1.0} if study % 4 == 0 else {})
    sentences = SENTENCES[study % 3]
    return {
        "study_id": f"study{study:02}",
        "patient_id": f"patient{study // 2}",
        "split": split,
        "report": " ".join(sentences),
        "sentences": sentences,
        "report_group": study % 3,
        "images": images,
        "labels": list(labels.items()),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten training studies over two files, with four of the validation between them."""
    folder = tmp_path_factory.mktemp("by_hand") / "pairs"
    (folder / "studies").mkdir(parents=True)
    rows = [study_row(study, "val" if study in {2, 3, 8, 9} else "train") for study in range(14)]
    for part, some in enumerate((rows[:6], rows[6:])):
        pq.write_table(pa.Table.from_pylist(some, STUDIES), folder / "studies" / f"part-{part}.parquet")
        write_tokens(some, "tiny-fr", folder / "tokens" / "tiny-fr" / f"part-{part}.parquet")
    manifest = {"tokenizers": ["tiny-fr"], "max_side": SIDE, "labels": ["fracture", "arthrose"]}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


TRAIN = (0, 1, 4, 5, 6, 7, 10, 11, 12, 13)


@pytest.fixture(scope="module")
def corpus(folder: Path, cluster: None) -> Corpus:  # noqa: ARG001
    """Its training split."""
    return load_corpus(folder, "train", ["tiny-fr"])


def ids_of(study: int) -> list[int]:
    """[CLS] sentence [SEP] ..., straight from the tokenizer."""
    tokenizer = load_tokenizer("tiny-fr")
    words = tokenizer.vocabulary
    sentences = tokenizer.encode(SENTENCES[study % 3])
    return [words.cls_id, *(token for sentence in sentences for token in [*sentence, words.sep_id])]


def centred(pixels: np.ndarray) -> np.ndarray:
    """On black, the odd pixel below and to the right."""
    down, right = SIDE - pixels.shape[0], SIDE - pixels.shape[1]
    return np.pad(pixels, ((down // 2, down - down // 2), (right // 2, right - right // 2)))


def same(one: Batch, other: Batch) -> bool:
    """Every array equal, NaN to NaN."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "labels")
        for name in Batch.__dataclass_fields__
    )


def test_a_split_is_decoded_pixel_by_pixel(corpus: Corpus) -> None:
    """Studies come in the order of the files, each image as it was written, centred on black."""
    assert corpus.study_ids == [f"study{study:02}" for study in TRAIN]
    assert corpus.patient_ids == [f"patient{study // 2}" for study in TRAIN]
    assert corpus.num_images.tolist() == [1 + study % 3 for study in TRAIN]
    assert corpus.report_group.tolist() == [study % 3 for study in TRAIN]
    for row, study in enumerate(TRAIN):
        for image in range(1 + study % 3):
            assert np.array_equal(corpus.image(row, image), centred(picture(study, image)))


def test_labels_are_by_name_and_unknown_ones_missing(corpus: Corpus) -> None:
    """Columns in alphabetical order; a label a study does not have is NaN and not 0."""
    assert corpus.label_names == ("arthrose", "fracture")
    expected = [[1.0 if study % 4 == 0 else np.nan, study % 2] for study in TRAIN]
    assert np.array_equal(corpus.labels, np.array(expected, np.float32), equal_nan=True)


def test_a_batch_holds_its_draws(corpus: Corpus) -> None:
    """Images in draw order, the report of each draw padded to the longest, its group and labels."""
    order = Order(corpus.num_images, STILL.sampling, seed=0)
    (batch,) = stream(corpus, order, "tiny-fr", SIDE, STILL, 4, range(1, 2))
    draws = order.draws(4, 8)
    chosen = [TRAIN[draw.study] for draw in draws]
    assert batch.study.tolist() == [draw.study for draw in draws]
    assert batch.image_counts.tolist() == [1 + study % 3 for study in chosen]
    pixels = [centred(picture(study, image)) for study in chosen for image in range(1 + study % 3)]
    assert np.array_equal(batch.images, np.stack(pixels))
    texts = [ids_of(study) for study in chosen]
    length = max(map(len, texts))
    pad = load_tokenizer("tiny-fr").vocabulary.pad_id
    assert batch.input_ids.tolist() == [text + [pad] * (length - len(text)) for text in texts]
    assert batch.text_mask.tolist() == [[True] * len(text) + [False] * (length - len(text)) for text in texts]
    assert batch.report_group.tolist() == [study % 3 for study in chosen]
    assert np.array_equal(batch.labels, corpus.labels[batch.study], equal_nan=True)
    assert (batch.images.dtype, batch.input_ids.dtype, batch.labels.dtype) == (np.uint8, np.int64, np.float32)


@pytest.fixture(scope="module")
def uninterrupted(corpus: Corpus) -> list[Batch]:
    """Seven steps of four draws, augmented: almost three epochs of ten studies."""
    return list(stream(corpus, Order(corpus.num_images, Sampling(), 5), "tiny-fr", 16, Reading(), 4, range(7)))


def test_epochs_follow_without_a_gap(uninterrupted: list[Batch]) -> None:
    """Every ten draws are every study once, wherever batches begin; visits of a study differ in their view."""
    visits = np.concatenate([batch.study for batch in uninterrupted])
    assert sorted(visits[:10]) == sorted(visits[10:20]) == list(range(10))
    assert len(set(visits[20:])) == 8
    images = np.concatenate([batch.images for batch in uninterrupted])
    assert len({image.tobytes() for image in images}) == 28


def test_a_resumed_stream_continues_with_the_very_next_batch(corpus: Corpus, uninterrupted: list[Batch]) -> None:
    """From a later step on, every pixel of every batch is the uninterrupted stream's."""
    order = Order(corpus.num_images, Sampling(), 5)
    resumed = list(stream(corpus, order, "tiny-fr", 16, Reading(batches_per_task=1), 4, range(3, 7)))
    assert len(resumed) == 4
    assert all(same(one, other) for one, other in zip(resumed, uninterrupted[3:], strict=True))


def test_two_ranks_see_what_one_sees(corpus: Corpus, uninterrupted: list[Batch]) -> None:
    """Rank 0 of 2 has the first half of every batch, rank 1 the second, to the last pixel and token."""
    order = Order(corpus.num_images, Sampling(), 5)
    halves = [list(stream(corpus, order, "tiny-fr", 16, Reading(), 4, range(3), rank, 2)) for rank in (0, 1)]
    for step, whole in enumerate(uninterrupted[:3]):
        for rank in (0, 1):
            half, rows = halves[rank][step], slice(2 * rank, 2 * rank + 2)
            for name in ("images", "image_counts", "report_group", "labels", "study"):
                assert np.array_equal(getattr(half, name), getattr(whole, name)[rows], equal_nan=name == "labels")
            # Each rank pads to its own longest report.
            length = half.input_ids.shape[1]
            assert np.array_equal(half.input_ids, whole.input_ids[rows, :length])
            assert not whole.text_mask[rows, length:].any()


def test_reports_are_cut_at_max_tokens(corpus: Corpus) -> None:
    """A longer report ends with a separator at ``max_tokens``; a shorter one is whole."""
    sep = load_tokenizer("tiny-fr").vocabulary.sep_id
    for study, input_ids, text_mask in reports(corpus, "tiny-fr", Reading(max_tokens=4), 3):
        assert input_ids.shape[1] <= 4
        for row, ids, mask in zip(study, input_ids, text_mask, strict=True):
            full = ids_of(TRAIN[row])
            assert ids[mask].tolist() == (full if len(full) <= 4 else [*full[:3], sep])


@pytest.mark.parametrize("world_size", [1, 3])
def test_validation_visits_every_study_once(corpus: Corpus, world_size: int) -> None:
    """Over all ranks: each study whole, with all its images up to the cap, and each report once."""
    reading = Reading(sampling=Sampling(images="one", max_images=2))
    rows, texts = [], []
    for rank in range(world_size):
        for batch in studies(corpus, "tiny-fr", SIDE, reading, 3, rank, world_size):
            assert batch.image_counts.tolist() == [min(2, 1 + TRAIN[row] % 3) for row in batch.study]
            first = int(batch.study[0])
            assert np.array_equal(batch.images[0], centred(picture(TRAIN[first], 0)))
            rows += batch.study.tolist()
        texts += [int(row) for study, _, _ in reports(corpus, "tiny-fr", reading, 4, rank, world_size) for row in study]
    assert sorted(rows) == sorted(texts) == list(range(10))


def test_what_is_not_there_is_the_users_mistake(folder: Path, tmp_path: Path) -> None:
    """A folder that is none, a split without studies, and a tokenizer without table, each with what to do."""
    with pytest.raises(UserError, match="radsweep prepare"):
        load_corpus(tmp_path, "train", ["tiny-fr"])
    with pytest.raises(UserError, match="no study in its test split"):
        load_corpus(folder, "test", ["tiny-fr"])
    with pytest.raises(UserError, match=r"no tokens of 'tiny-en' \(it has tiny-fr\).*radsweep tokenize"):
        load_corpus(folder, "train", ["tiny-fr", "tiny-en"])
