"""Tokenizers and token tables."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from radsweep.datasets.refusal import UserError
from radsweep.datasets.schema import SECTIONS, STUDIES, TOKENS
from radsweep.datasets.tokens import BUILT_IN, VOCABULARIES, Vocabulary, join, load_tokenizer, write_tokens


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_words_are_one_token_and_foreign_letters_unknown(name: str) -> None:
    """Every word of the list, in any case, is its own id; special tokens are never added; a letter outside is unknown."""
    tokenizer = load_tokenizer(name)
    words = (VOCABULARIES / f"{name}.txt").read_text(encoding="utf-8").split()
    whole = [word for word in words if word.isalpha() and len(word) > 3][:50]
    assert tokenizer.encode([word.upper() for word in whole]) == [[words.index(word)] for word in whole]
    assert tokenizer.encode(["", "語"]) == [[], [tokenizer.vocabulary.unk_id]]
    assert tokenizer.vocabulary.size == len(words) == len(set(words))


def test_vocabulary_survives_parquet(tmp_path: Path) -> None:
    """A token table carries its vocabulary, and ids per sentence in the order of the rows."""
    rows = [{"study_id": "a", "sentences": ["Pas de fracture.", "Arthrose."]}, {"study_id": "b", "sentences": []}]
    write_tokens(rows, "tiny-fr", tmp_path / "t" / "part.parquet")
    table = pq.read_table(tmp_path / "t" / "part.parquet")
    loaded = load_tokenizer("tiny-fr")
    assert Vocabulary.from_metadata(table.schema.metadata) == loaded.vocabulary
    assert table.column("study_id").to_pylist() == ["a", "b"]
    assert table.column("input_ids").to_pylist() == [loaded.encode(rows[0]["sentences"]), []]
    assert table.schema.remove_metadata().equals(TOKENS.remove_metadata())


def test_sentences_are_joined_and_cut() -> None:
    """[CLS] sentence [SEP] sentence [SEP], cut so that the last token is a separator."""
    words = Vocabulary("t", "", 10, pad_id=0, cls_id=2, sep_id=3, unk_id=1)
    assert join([[5, 6], [7]], words, 12).tolist() == [2, 5, 6, 3, 7, 3]
    assert join([[5, 6], [7]], words, 4).tolist() == [2, 5, 6, 3]
    assert join([], words, 4).tolist() == [2]


def test_a_tokenizer_that_cannot_be_had_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Offline, a name that is neither built in, local nor cached is refused with how to get it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nobody/no-such-tokenizer", str(tmp_path)):
        with pytest.raises(UserError, match="hf download"):
            load_tokenizer(name)


def test_a_local_folder_is_a_tokenizer(tmp_path: Path) -> None:
    """A saved tokenizer is loaded by its folder, without special tokens, truncation or padding of its own."""
    from transformers import PreTrainedTokenizerFast

    built_in = load_tokenizer("tiny-fr")
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=built_in.backend, model_max_length=4, **special).save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    text = ["Pas de fracture du genou droit.", "Arthrose."]
    assert loaded.encode(text) == built_in.encode(text)
    assert loaded.vocabulary.cls_id == built_in.vocabulary.cls_id
    assert loaded.vocabulary.size == built_in.vocabulary.size


def test_every_column_of_the_tables_is_documented() -> None:
    """A flat column says what it is about or its unit; sections are those of a report."""
    for field in STUDIES:
        nested = field.name in {"sections", "images"}
        assert nested or field.metadata, field.name
    assert [STUDIES.field("sections").type.field(i).name for i in range(4)] == list(SECTIONS)
