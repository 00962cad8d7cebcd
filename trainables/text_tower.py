"""Reports to features: a tiny built-in encoder, or any Hugging Face encoder."""

from abc import abstractmethod
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..datasets.config import Config
from ..datasets.refusal import UserError
from ..datasets.tokens import BUILT_IN, Vocabulary, load_tokenizer

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
ROBERTA_LIKE = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "luke")


class TextTower(Config):
    """What every text tower says of itself.

    Attributes:
        tokenizer: whose token table it reads.
    """

    tokenizer: str

    @abstractmethod
    def check(self) -> None:
        """Refuse a tower that cannot be built.

        Raises:
            UserError: what, and what to do.
        """

    @abstractmethod
    def positions(self) -> int:
        """Return the longest report the tower can read, in tokens."""

    @abstractmethod
    def build(self, vocabulary: Vocabulary) -> "TextModule":
        """Return the tower for the vocabulary its tokens were made with.

        Raises:
            UserError: the tokens were made with another vocabulary.
        """


class TextModule(nn.Module):
    """input_ids int64 [n, length], text_mask bool [n, length] -> features [n, num_features]."""

    num_features: int


class TinyText(TextTower):
    """A small transformer with learned positions, trained from scratch; its mean over tokens is the feature."""

    tokenizer: str = "tiny-fr"
    width: int = Field(default=128, ge=8)
    depth: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    max_tokens: int = Field(default=256, ge=2)

    def check(self) -> None:
        if self.tokenizer not in BUILT_IN:
            raise UserError(f"text.tokenizer is {self.tokenizer!r}: the tiny encoder reads {' or '.join(BUILT_IN)}")
        if self.width % self.heads:
            raise UserError(f"text.width {self.width} is no multiple of text.heads {self.heads}")

    def positions(self) -> int:
        return self.max_tokens

    def build(self, vocabulary: Vocabulary) -> "TextModule":
        return TinyTransformer(self, vocabulary)


class TinyTransformer(TextModule):
    def __init__(self, config: TinyText, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.num_features = config.width
        self.tokens = nn.Embedding(vocabulary.size, config.width)
        self.positions = nn.Parameter(torch.randn(config.max_tokens, config.width) * 0.02)
        nn.init.normal_(self.tokens.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 4 * config.width, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.depth, nn.LayerNorm(config.width), enable_nested_tensor=False)

    def forward(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        embedded = self.tokens(input_ids) + self.positions[: input_ids.shape[1]]
        return mean_over_tokens(self.layers(embedded, src_key_padding_mask=~text_mask), text_mask)


class HuggingFaceText(TextTower):
    """Any encoder of transformers, by hub id or local folder; ``HF_HUB_OFFLINE`` is respected.

    Attributes:
        model: where the weights are; the tokenizer's own place if not given.
        pooling: ``cls`` takes the first token, ``mean`` the mean over the report.
    """

    model: str | None = None
    pooling: Literal["cls", "mean"] = "cls"

    @property
    def place(self) -> str:
        return self.model or self.tokenizer

    def check(self) -> None:
        self._load("AutoConfig")
        self._weights()

    def positions(self) -> int:
        config = self._load("AutoConfig")
        # RoBERTa counts positions from the padding id on.
        offset = config.pad_token_id + 1 if config.model_type in ROBERTA_LIKE else 0
        return config.max_position_embeddings - offset

    def build(self, vocabulary: Vocabulary) -> "TextModule":
        encoder = self._load("AutoModel")
        known = encoder.config.vocab_size
        pad = encoder.config.pad_token_id
        if vocabulary.size > known or pad not in (None, vocabulary.pad_id):
            raise UserError(
                f"tokenizer {self.tokenizer!r} ({vocabulary.size} tokens, padding {vocabulary.pad_id}) and text encoder "
                f"{self.place!r} ({known} tokens, padding {pad}) do not belong together: see text.tokenizer and text.model"
            )
        if load_tokenizer(self.tokenizer).vocabulary.sha256 != vocabulary.sha256:
            raise UserError(
                f"the token table of {self.tokenizer!r} was made with other tokenizer files than those here: "
                "add it anew with `radsweep tokenize`"
            )
        return HuggingFaceEncoder(encoder, self.pooling)

    def _load(self, kind: Literal["AutoConfig", "AutoModel"]):
        from . import vision_ops  # noqa: F401  before transformers  # isort: skip
        import transformers

        options = {"dtype": torch.float32} if kind == "AutoModel" else {}
        try:
            return getattr(transformers, kind).from_pretrained(self.place, **options)
        except (OSError, ValueError) as error:
            raise self._missing() from error

    def _weights(self) -> None:
        """Find the weight files without reading them."""
        from transformers.utils.hub import cached_file

        for name in WEIGHTS:
            options = {f"_raise_exceptions_for_{kind}": False for kind in ("missing_entries", "connection_errors")}
            if cached_file(self.place, name, **options):
                return
        raise self._missing()

    def _missing(self) -> UserError:
        if Path(self.place).is_dir():
            return UserError(f"the folder {self.place} holds no whole encoder (config.json and model.safetensors)")
        return UserError(
            f"text encoder {self.place!r} is neither built in (tiny), nor a local folder, nor in the Hugging Face cache, and "
            f"could not be fetched. On a connected machine: hf download {self.place} --local-dir FOLDER; then name FOLDER here"
        )


class HuggingFaceEncoder(TextModule):
    def __init__(self, encoder: nn.Module, pooling: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.num_features = encoder.config.hidden_size  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        states = self.encoder(input_ids=input_ids, attention_mask=text_mask.long()).last_hidden_state
        return states[:, 0] if self.pooling == "cls" else mean_over_tokens(states, text_mask)


def mean_over_tokens(states: Tensor, text_mask: Tensor) -> Tensor:
    """Return the mean over real tokens: states [n, length, d], text_mask [n, length] -> [n, d]."""
    weights = text_mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
