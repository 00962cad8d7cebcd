"""A pairs folder written by hand, as batches: pixels, tokens, order, and who gets what."""

import importlib.util
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radsweep.datasets.augment import Augment
from radsweep.datasets.pairs import (
    Batch,
    Corpus,
    Reading,
    Unhurried,
    label_cases,
    load_corpus,
    read_manifest,
    read_vocabulary,
    reports,
    stream,
    studies,
)
from radsweep.datasets.png import encode_png
from radsweep.datasets.refusal import UserError
from radsweep.datasets.report_text import Text
from radsweep.datasets.sampling import Order, Sampling
from radsweep.datasets.schema import STUDIES
from radsweep.datasets.tokens import load_tokenizer, write_tokens

SIDE = 20
SENTENCES = (["Fracture."], ["Pas de fracture.", "Arthrose du genou."], [])
SECTIONS = ({}, {"findings": "Pas de fracture.", "conclusion": "Arthrose du genou."}, {})
STILL = Reading(sampling=Sampling(images="pooled"), augment=Augment(crop=1, affine=0, jitter=0))


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
        "sections": SECTIONS[study % 3],
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


def ids_of(study: int, some: slice = slice(None)) -> list[int]:
    """[CLS] sentence [SEP] ..., straight from the tokenizer."""
    tokenizer = load_tokenizer("tiny-fr")
    words = tokenizer.vocabulary
    sentences = tokenizer.encode(SENTENCES[study % 3][some])
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


def test_a_stream_resumed_with_more_workers_continues(corpus: Corpus) -> None:
    """Two views and two texts of one worker's third batch on are, put together, those of two workers that take over."""
    order = Order(corpus.num_images, Sampling(images="pooled", num_images=2), 5, views=2)
    arguments = (corpus, order, "tiny-fr", 16, Reading(text=Text(part="sentence")), 4)
    whole = list(stream(*arguments, range(4), text_views=2))[2:]
    halves = [list(stream(*arguments, range(2, 4), rank, 2, text_views=2)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *halves, strict=True):
        for name in ("images", "image_counts", "study"):
            assert np.array_equal(np.concatenate([getattr(first, name), getattr(second, name)]), getattr(batch, name))
        texts = [half.input_ids[half.text_mask] for half in (first, second)]
        assert np.array_equal(np.concatenate(texts), batch.input_ids[batch.text_mask])


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


def test_views_and_texts_come_draw_by_draw(corpus: Corpus) -> None:
    """Two views of some images and two texts: all of the first draw, then of the second; one value a draw for the rest."""
    reading = STILL.model_copy(update={"sampling": Sampling(images="pooled", num_images=2)})
    order = Order(corpus.num_images, reading.sampling, seed=0, views=2)
    (batch,) = stream(corpus, order, "tiny-fr", SIDE, reading, 4, range(1), text_views=2)
    draws = order.draws(0, 4)
    assert batch.image_counts.tolist() == [len(view) for draw in draws for view in draw.images]
    shown = [(TRAIN[draw.study], image) for draw in draws for view in draw.images for image in view]
    assert np.array_equal(batch.images, np.stack([centred(picture(*one)) for one in shown]))
    texts = [ids[mask].tolist() for ids, mask in zip(batch.input_ids, batch.text_mask, strict=True)]
    expected = []
    for draw in draws:
        study = TRAIN[draw.study]
        sectioned = study % 3 == 1
        expected += [ids_of(study, slice(0, 1)), ids_of(study, slice(1, 2))] if sectioned else [ids_of(study)] * 2
    assert texts == expected
    assert {len(texts)} == {2 * len(batch.study)} == {2 * len(batch.labels)} == {2 * len(batch.report_group)}


def test_ray_datas_loop_rests_while_no_batch_is_wanted(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a step computes for a second, the scheduling thread of its process goes round 55 times at most."""
    rounds, rest = [], Unhurried.on_execution_step

    def counted(self: Unhurried, executor: object) -> None:
        rounds.append(executor)
        rest(self, executor)

    monkeypatch.setattr(Unhurried, "on_execution_step", counted)
    order = Order(corpus.num_images, Sampling(), 5)
    batches = stream(corpus, order, "tiny-fr", 128, Reading(batches_per_task=4), 16, range(400))
    next(batches)
    before = len(rounds)
    time.sleep(1)
    assert 5 < len(rounds) - before <= 55
    batches.close()


def test_without_text_views_a_batch_holds_each_report_once(corpus: Corpus) -> None:
    """An objective of images alone still finds the reports, one a draw."""
    order = Order(corpus.num_images, Sampling(), 5, views=2)
    (batch,) = stream(corpus, order, "tiny-fr", 16, Reading(), 4, range(1), text_views=0)
    texts = [ids[mask].tolist() for ids, mask in zip(batch.input_ids, batch.text_mask, strict=True)]
    assert texts == [ids_of(TRAIN[study]) for study in batch.study]


def test_another_augmentation_reads_the_same_sentences(corpus: Corpus) -> None:
    """Sentences are drawn anew at every visit, one of the report's, whatever happens to the images, and whole in validation."""
    order = Order(corpus.num_images, Sampling(), 5)
    one = Reading(text=Text(part="sentence"))
    other = one.model_copy(update={"augment": STILL.augment})
    read = {reading: list(stream(corpus, order, "tiny-fr", 16, reading, 10, range(12))) for reading in (one, other)}
    drawn = set()
    for batch, beside in zip(*read.values(), strict=True):
        assert np.array_equal(batch.input_ids, beside.input_ids)
        for study, ids, mask in zip(batch.study, batch.input_ids, batch.text_mask, strict=True):
            sentence = ids[mask].tolist()
            choices = [ids_of(TRAIN[study], slice(i, i + 1)) for i in range(len(SENTENCES[TRAIN[study] % 3]))]
            assert sentence in (choices or [ids_of(TRAIN[study])])
            drawn.add((TRAIN[study] % 3, tuple(sentence)))
    assert len(drawn) == 4
    for batch in studies(corpus, "tiny-fr", 16, one, 4):
        for study, ids, mask in zip(batch.study, batch.input_ids, batch.text_mask, strict=True):
            assert ids[mask].tolist() == ids_of(TRAIN[study])


def test_reports_are_cut_at_max_tokens(corpus: Corpus) -> None:
    """A longer report ends with a separator at ``max_tokens``, or begins so many from its end; a shorter one is whole."""
    words = load_tokenizer("tiny-fr").vocabulary
    everything = np.arange(len(TRAIN))
    for cut in ("head", "tail"):
        reading = Reading(max_tokens=4, text=Text(cut=cut))
        for study, input_ids, text_mask in reports(corpus, "tiny-fr", reading, everything, 3):
            assert input_ids.shape[1] <= 4
            for row, ids, mask in zip(study, input_ids, text_mask, strict=True):
                full = ids_of(TRAIN[row])
                cut_ids = [*full[:3], words.sep_id] if cut == "head" else [words.cls_id, *full[-3:]]
                assert ids[mask].tolist() == (full if len(full) <= 4 else cut_ids)
    conclusion = Reading(text=Text(part="conclusion"))
    ((_, input_ids, text_mask),) = reports(corpus, "tiny-fr", conclusion, np.array([2]), 3)
    assert input_ids[text_mask].tolist() == ids_of(TRAIN[2], slice(1, 2))


def test_short_reports_come_first(corpus: Corpus) -> None:
    """Batches go from the shortest report to the longest, each with its own tokens, and are no wider than their longest."""
    mine, lengths = np.array([7, 2, 9, 0, 4, 5]), []
    for study, input_ids, text_mask in reports(corpus, "tiny-fr", Reading(), mine, 2):
        for row, ids, mask in zip(study, input_ids, text_mask, strict=True):
            assert ids[mask].tolist() == ids_of(TRAIN[row])
            lengths.append(int(mask.sum()))
        assert input_ids.shape[1] == lengths[-1]
    assert lengths == sorted(len(ids_of(TRAIN[row])) for row in mine)


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
        mine = np.arange(rank, len(TRAIN), world_size)
        texts += [int(row) for study, _, _ in reports(corpus, "tiny-fr", reading, mine, 4) for row in study]
    assert sorted(rows) == sorted(texts) == list(range(10))


def test_noisy_validation_is_a_function_of_visit_and_study(corpus: Corpus) -> None:
    """The reference's quirk: one image of each study, another at another visit, the same for any number of workers."""
    reading = Reading(sampling=Sampling(images="one"), noisy_validation=True)

    def seen(visit: int, world_size: int = 1) -> dict[int, bytes]:
        parts = [studies(corpus, "tiny-fr", SIDE, reading, 4, rank, world_size, visit) for rank in range(world_size)]
        batches = [batch for part in parts for batch in part]
        assert all(batch.image_counts.tolist() == [1] * len(batch.study) for batch in batches)
        return {int(row): image.tobytes() for batch in batches for row, image in zip(batch.study, batch.images, strict=True)}

    assert seen(0) == seen(0, world_size=2)
    assert sorted(seen(0)) == list(range(10))
    assert all(seen(0)[row] != image for row, image in seen(1).items())


def test_what_is_not_there_is_the_users_mistake(folder: Path, tmp_path: Path) -> None:
    """A folder that is none, a split without studies, and a tokenizer without table, each with what to do."""
    with pytest.raises(UserError, match="radsweep prepare"):
        load_corpus(tmp_path, "train", ["tiny-fr"])
    for damaged in ("{", "[]", '{"labels": []}'):
        (tmp_path / "manifest.json").write_text(damaged)
        with pytest.raises(UserError, match=r"manifest\.json is damaged: restore it, or prepare the pairs again"):
            load_corpus(tmp_path, "train", ["tiny-fr"])
    with pytest.raises(UserError, match="no study in its test split"):
        load_corpus(folder, "test", ["tiny-fr"])
    with pytest.raises(UserError, match=r"no tokens of 'tiny-en' \(it has tiny-fr\).*radsweep tokenize"):
        load_corpus(folder, "train", ["tiny-fr", "tiny-en"])


def test_a_damaged_folder_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    """Studies or tokens that are gone or no Parquet, a token table without its vocabulary: what it is, and what to do."""
    whole = shutil.copytree(folder, tmp_path / "pairs")
    (whole / "studies" / "part-1.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(UserError, match=r"pairs/studies is damaged .*: restore it, or prepare the pairs again"):
        label_cases(whole, "train")
    shutil.rmtree(whole / "studies")
    with pytest.raises(UserError, match=r"pairs holds no studies: restore them, or prepare the pairs again"):
        label_cases(whole, "train")
    table = whole / "tokens" / "tiny-fr" / "part-0.parquet"
    assert read_vocabulary(whole, "tiny-fr") == load_tokenizer("tiny-fr").vocabulary
    again = r"make it anew with `radsweep tokenize .*pairs --tokenizer tiny-fr`"
    pq.write_table(pq.read_table(table).replace_schema_metadata(), table)
    for damage in (lambda: None, lambda: table.write_bytes(b""), lambda: shutil.rmtree(whole / "tokens")):
        damage()
        with pytest.raises(UserError, match=rf"the token table of 'tiny-fr' in .*pairs is missing or damaged: {again}"):
            read_vocabulary(whole, "tiny-fr")


@pytest.mark.parametrize("url", ["foo://bucket/pairs", "s3://bucket/pairs"])
def test_a_file_system_that_is_not_here_is_refused(url: str) -> None:
    """A scheme that nobody knows, and one whose package is not installed: which it is."""
    if url.startswith("s3") and importlib.util.find_spec("s3fs"):
        pytest.skip("s3fs is installed")
    with pytest.raises(UserError, match=rf"{url} cannot be read \(.*(foo|s3fs).*\): name a folder"):
        read_manifest(url)
