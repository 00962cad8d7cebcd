"""Tokenizers, built in or from the hub cache, and the token table of a corpus.

Sentences are tokenized once, without special tokens and without padding; truncation and special tokens are decided while
training. One table serves every text encoder with the same vocabulary.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator
from tokenizers import Tokenizer as BackendTokenizer
from tokenizers import models, normalizers, pre_tokenizers

from .config import from_root
from .refusal import UserError
from .schema import TOKENS

T = TypeVar("T")

VOCABULARIES = Path(__file__).parent / "vocabularies"
BUILT_IN = ("tiny-fr", "tiny-en")


def named(tokenizer: str) -> str:
    """Return the name that a tokenizer's table is kept under: of a local folder its path from the root on."""
    return tokenizer if tokenizer in BUILT_IN else from_root(tokenizer, os.path.isdir)


TokenizerName = Annotated[str, AfterValidator(named)]


@dataclass(frozen=True)
class Vocabulary:
    """What a text encoder must know of the tokenizer its table was made with."""

    tokenizer: str
    sha256: str
    size: int
    pad_id: int
    cls_id: int
    sep_id: int
    unk_id: int

    def to_metadata(self) -> dict[str, str]:
        return {"radsweep.vocabulary": json.dumps(asdict(self))}

    @classmethod
    def from_metadata(cls, metadata: dict[bytes, bytes]) -> "Vocabulary":
        return cls(**json.loads(metadata[b"radsweep.vocabulary"]))


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer with its vocabulary; ``encode`` gives token ids without special tokens."""

    vocabulary: Vocabulary
    backend: BackendTokenizer

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.backend.encode_batch(list(sentences), add_special_tokens=False)]


@cache
def load_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer ``name``: ``tiny-fr``, ``tiny-en``, a local folder, or a Hugging Face id in the hub cache.

    Raises:
        UserError: it is none of these and cannot be fetched, saying how to get it, or it cannot tokenize for an encoder.
    """
    if name in BUILT_IN:
        return _built_in(name)
    from transformers import AutoTokenizer, MLukeTokenizer, PreTrainedTokenizerFast

    try:
        loaded = local_first(lambda **where: AutoTokenizer.from_pretrained(name, **where))
    except (OSError, ValueError) as error:
        raise UserError(
            f"tokenizer {name!r} is neither built in ({', '.join(BUILT_IN)}), nor a local folder, nor in the Hugging Face "
            f"cache, and could not be fetched. On a connected machine: hf download {name} --include 'tokenizer*' "
            f"'*.json' '*.model' --local-dir FOLDER; then name FOLDER here."
        ) from error
    if isinstance(loaded, MLukeTokenizer):
        loaded = _words_of_mluke(name)
    if not isinstance(loaded, PreTrainedTokenizerFast):
        raise UserError(
            f"tokenizer {name!r} is a {type(loaded).__name__}, which works in Python alone: radsweep needs a fast tokenizer "
            "(tokenizer.json); choose an encoder that has one"
        )
    backend = loaded.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    ids = {
        "pad_id": loaded.pad_token_id,
        "cls_id": loaded.cls_token_id if loaded.cls_token_id is not None else loaded.bos_token_id,
        "sep_id": loaded.sep_token_id if loaded.sep_token_id is not None else loaded.eos_token_id,
        "unk_id": loaded.unk_token_id if loaded.unk_token_id is not None else -1,
    }
    missing = [role for role, token in ids.items() if token is None]
    if missing:
        raise UserError(
            f"tokenizer {name!r} has no {', '.join(missing)}: radsweep needs an encoder's tokenizer (BERT, RoBERTa ...)"
        )
    return Tokenizer(Vocabulary(name, _sha256(backend), len(loaded), **ids), backend)


def _words_of_mluke(name: str):
    """Return the XLM-R tokenizer of mLUKE's words.

    mLUKE's word pieces and their ids are XLM-R's; `transformers.MLukeTokenizer` (version 5) numbers them as sentencepiece does,
    one too low, and reads entity names such as ``[MASK]`` in running text.
    """
    from transformers import XLMRobertaTokenizer
    from transformers.utils.hub import cached_file

    try:
        pieces = local_first(lambda **where: cached_file(name, "sentencepiece.bpe.model", **where))
    except OSError as error:
        raise UserError(f"the mLUKE tokenizer {name!r} has no sentencepiece.bpe.model, which holds its words") from error
    assert pieces is not None
    return XLMRobertaTokenizer.from_pretrained(pieces)


def local_first(load: Callable[..., T]) -> T:
    """Return ``load(local_files_only=True)`` or, where that finds nothing, what ``load()`` fetches from the hub.

    What is here is not asked for: a sweep goes on without network, and with the same files.
    """
    try:
        return load(local_files_only=True)
    except (OSError, ValueError):
        return load()


def _built_in(name: str) -> Tokenizer:
    """WordPiece over a small word list: lower case, accents kept; a letter outside the list makes its word ``[UNK]``."""
    words = (VOCABULARIES / f"{name}.txt").read_text(encoding="utf-8").split()
    ids = {word: i for i, word in enumerate(words)}
    backend = BackendTokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    vocabulary = Vocabulary(name, _sha256(backend), len(words), ids["[PAD]"], ids["[CLS]"], ids["[SEP]"], ids["[UNK]"])
    return Tokenizer(vocabulary, backend)


def _sha256(backend: BackendTokenizer) -> str:
    return hashlib.sha256(backend.to_str().encode()).hexdigest()


def write_tokens(rows: Sequence[Mapping[str, Any]], tokenizer: str, path: Path) -> None:
    """Write the token table of ``rows`` (each with ``study_id`` and ``sentences``) to ``path``."""
    loaded = load_tokenizer(tokenizer)
    table = pa.Table.from_pylist(
        [{"study_id": row["study_id"], "input_ids": loaded.encode(row["sentences"])} for row in rows], TOKENS
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(loaded.vocabulary.to_metadata()), path, compression="zstd")


def join(
    sentences: Sequence[Sequence[int] | np.ndarray],
    vocabulary: Vocabulary,
    max_length: int,
    keep: Literal["head", "tail"] = "head",
) -> np.ndarray:
    """Return ``[CLS] sentence [SEP] sentence [SEP] ...``, int32 [length], of at most ``max_length`` tokens.

    A text that is too long keeps its first tokens and the last separator, or its last tokens and the first ``[CLS]``.

    >>> words = Vocabulary("t", "", 10, pad_id=0, cls_id=2, sep_id=3, unk_id=1)
    >>> join([[5, 6], [7]], words, 12).tolist(), join([[5, 6], [7]], words, 4).tolist()
    ([2, 5, 6, 3, 7, 3], [2, 5, 6, 3])
    >>> join([[5, 6], [7]], words, 4, keep="tail").tolist()
    [2, 3, 7, 3]
    """
    ids = [vocabulary.cls_id]
    for sentence in sentences:
        ids += [*sentence, vocabulary.sep_id]
    if len(ids) > max_length:
        tail = [vocabulary.cls_id, *ids[len(ids) - max_length + 1 :]]
        ids = tail if keep == "tail" else [*ids[: max_length - 1], vocabulary.sep_id]
    return np.array(ids, np.int32)
