"""Tokenizers and token tables."""

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from radsweep.datasets.build import Preparation
from radsweep.datasets.refusal import UserError
from radsweep.datasets.schema import SECTIONS, STUDIES, TOKENS
from radsweep.datasets.tokens import BUILT_IN, VOCABULARIES, Vocabulary, join, load_tokenizer, named, write_tokens
from radsweep.trainables.text_tower import HuggingFaceText


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


def test_a_local_tokenizer_is_kept_under_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tokenizes, and whoever reads the table, calls a folder by its path from the root on; built-in names stay."""
    for name in ("mine", "tiny-fr"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    names = ("mine", "tiny-fr", "almanach/camembert-base")
    kept = (str(tmp_path / "mine"), "tiny-fr", "almanach/camembert-base")
    assert tuple(map(named, names)) == Preparation(tokenizers=names).tokenizers == kept
    assert tuple(HuggingFaceText(tokenizer=name).tokenizer for name in names) == kept


def test_saved_tokenizers_keep_their_roles(tmp_path: Path) -> None:
    """BERT's special ids are found under their own names, those of a Gemma-like vocabulary under begin and end of text."""
    from tokenizers import Tokenizer, models
    from transformers import BertTokenizerFast, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "pas", "de", "fracture", "arth", "##rose", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    gemma = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "pas"])}, "<unk>")
    )
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=gemma, **special).save_pretrained(tmp_path / "gemma")

    one, other = load_tokenizer(str(tmp_path / "bert")), load_tokenizer(str(tmp_path / "gemma"))
    roles = [(v.size, v.pad_id, v.unk_id, v.cls_id, v.sep_id) for v in (one.vocabulary, other.vocabulary)]
    assert roles == [(len(words), 0, 1, 2, 3), (5, 0, 3, 2, 1)]
    assert one.encode(["Pas de fracture.", "arthrose"]) == [[5, 6, 7, 10], [8, 9]]
    assert other.encode(["pas", "autre"]) == [[4], [3]]


@pytest.mark.parametrize(
    ("kind", "shift", "roles"),
    [
        ("XLMRobertaTokenizer", 1, (1, 3, 0, 2)),
        ("MLukeTokenizer", 1, (1, 3, 0, 2)),
        ("CamembertTokenizer", 4, (1, 3, 5, 6)),
    ],
)
def test_sentencepiece_words_have_the_ids_of_the_weights(
    kind: str, shift: int, roles: tuple[int, int, int, int], tmp_path: Path
) -> None:
    """XLM-R and mLUKE number words one above sentencepiece, CamemBERT four; special tokens in between have their own ids.

    The oracle is sentencepiece itself, its normalization of ligatures included. Of mLUKE's entity names none is a token.
    """
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    model = io.BytesIO()
    sentences = iter(["pas de fracture.", "arthrose débutante, fibrose", "radiographie normale du genou droit"] * 5)
    SentencePieceTrainer.train(
        sentence_iterator=sentences, model_writer=model, vocab_size=45, hard_vocab_limit=False, minloglevel=2
    )
    (tmp_path / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    (tmp_path / "entity_vocab.json").write_text(json.dumps({"[MASK2]": 0, "[PAD]": 1, "[UNK]": 2, "[MASK]": 3}))
    special = {"additional_special_tokens": ["<ent>", "<ent2>"], "entity_mask_token": "[MASK]"} if "Luke" in kind else {}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind} | special))

    pieces = SentencePieceProcessor(model_proto=model.getvalue())
    loaded = load_tokenizer(str(tmp_path))
    v = loaded.vocabulary
    assert (v.pad_id, v.unk_id, v.cls_id, v.sep_id) == roles
    texts = ["Pas de  fracture du genou.", "arthrose débutante", "ﬁbrose <ent> [MASK] 語"]
    expected = [[piece + shift if piece else v.unk_id for piece in pieces.encode(text)] for text in texts]
    assert loaded.encode(texts) == expected
    assert v.size == pieces.vocab_size() + shift + 1  # and the mask


def test_tokenizers_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    """One that works in Python alone, one of a decoder without padding, and mLUKE's without its words."""
    from tokenizers import Tokenizer, models
    from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

    ByT5Tokenizer().save_pretrained(tmp_path / "byt5")
    with pytest.raises(UserError, match=r"ByT5Tokenizer.*fast tokenizer"):
        load_tokenizer(str(tmp_path / "byt5"))
    decoder = Tokenizer(models.WordLevel({"<unk>": 0, "<bos>": 1, "<eos>": 2}, "<unk>"))
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=decoder, **special).save_pretrained(tmp_path / "decoder")
    with pytest.raises(UserError, match="no pad_id"):
        load_tokenizer(str(tmp_path / "decoder"))
    (tmp_path / "mluke").mkdir()
    (tmp_path / "mluke" / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MLukeTokenizer"}))
    with pytest.raises(UserError, match=r"mluke.*sentencepiece\.bpe\.model"):
        load_tokenizer(str(tmp_path / "mluke"))


def test_every_column_of_the_tables_is_documented() -> None:
    """A flat column says what it is about or its unit; sections are those of a report."""
    for field in STUDIES:
        nested = field.name in {"sections", "images"}
        assert nested or field.metadata, field.name
    assert [STUDIES.field("sections").type.field(i).name for i in range(4)] == list(SECTIONS)
