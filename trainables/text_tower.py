"""Reports to features: a tiny built-in encoder, or any Hugging Face encoder."""

from abc import abstractmethod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..datasets.config import Config
from ..datasets.refusal import UserError
from ..datasets.tokens import Vocabulary


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
    def build(self, vocabulary: Vocabulary) -> "TextModule":
        """Return the tower for the vocabulary its tokens were made with."""


class TextModule(nn.Module):
    """input_ids int64 [n, length], text_mask bool [n, length] -> features [n, num_features]."""

    num_features: int


class TinyText(TextTower):
    """A small transformer with learned positions, trained from scratch; its mean over tokens is the feature."""

    tokenizer: Literal["tiny-fr", "tiny-en"] = "tiny-fr"
    width: int = Field(128, ge=8)
    depth: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    max_tokens: int = Field(256, ge=2)

    def check(self) -> None:
        if self.width % self.heads:
            raise UserError(f"text.width {self.width} is no multiple of text.heads {self.heads}")

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

    def build(self, vocabulary: Vocabulary) -> "TextModule":
        encoder = self._load("AutoModel")
        if vocabulary.size > encoder.config.vocab_size:
            raise UserError(
                f"tokenizer {self.tokenizer!r} has {vocabulary.size} tokens and {self.place!r} knows {encoder.config.vocab_size}: "
                "they do not belong together (text.tokenizer, text.model)"
            )
        return HuggingFaceEncoder(encoder, self.pooling)

    def _load(self, kind: Literal["AutoConfig", "AutoModel"]):
        from . import vision_ops  # noqa: F401  before transformers  # isort: skip
        import transformers

        try:
            return getattr(transformers, kind).from_pretrained(self.place)
        except (OSError, ValueError) as error:
            raise UserError(
                f"text encoder {self.place!r} is neither built in (tiny), nor a local folder, nor in the Hugging Face cache, and "
                f"could not be fetched. On a connected machine: hf download {self.place} --local-dir FOLDER; then "
                "name FOLDER here"
            ) from error


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
