"""Reports to features: a tiny built-in encoder, or any Hugging Face encoder."""

import inspect
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..datasets.config import FOLDER
from ..datasets.refusal import UserError
from ..datasets.tokens import BUILT_IN, TokenizerName, Vocabulary, load_tokenizer, local_first
from .tower import Tower, TowerModule

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
ROBERTA_LIKE = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl")

# Torch's shortcut for layers that are not trained takes twice as long on a CPU (docs/decisions.md).
torch.backends.mha.set_fastpath_enabled(False)


class TextTower(Tower):
    """What every text tower says of itself.

    Attributes:
        tokenizer: whose token table it reads.
    """

    tokenizer: TokenizerName

    @abstractmethod
    def check(self) -> None:
        """Refuse a tower that cannot be built.

        Raises:
            UserError: what, and what to do.
        """

    def matches(self, vocabulary: Vocabulary) -> None:
        """Refuse tokens that were made with another tokenizer than the one of this name here; no weights are read.

        Raises:
            UserError: what, and what to do.
        """
        if load_tokenizer(self.tokenizer).vocabulary.sha256 != vocabulary.sha256:
            raise UserError(
                f"the token table of {self.tokenizer!r} was made with other tokenizer files than those here: "
                "add it anew with `radsweep tokenize`"
            )

    @abstractmethod
    def positions(self) -> int:
        """Return the longest report the tower can read, in tokens."""

    @abstractmethod
    def build(self, vocabulary: Vocabulary) -> "TextModule":
        """Return the tower for the vocabulary its tokens were made with.

        Raises:
            UserError: the tokens were made with another vocabulary.
        """


class TextModule(TowerModule):
    """input_ids int64 [n, length], text_mask bool [n, length] -> features [n, num_features]."""


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
        if self.grad_checkpointing:
            raise UserError("the tiny encoder has no gradient checkpointing: leave text.grad_checkpointing out")
        with torch.device("meta"):
            self.build(load_tokenizer(self.tokenizer).vocabulary)

    def positions(self) -> int:
        return self.max_tokens

    def build(self, vocabulary: Vocabulary) -> "TextModule":
        return TinyTransformer(self, vocabulary).freeze(self.freeze)


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
        self.encoder = nn.TransformerEncoder(layer, config.depth, nn.LayerNorm(config.width), enable_nested_tensor=False)

    def forward(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        embedded = self.tokens(input_ids) + self.positions[: input_ids.shape[1]]
        return mean_over_tokens(self.encoder(embedded, src_key_padding_mask=~text_mask), text_mask)

    def layers(self) -> list[list[nn.Parameter]]:
        return layers_around(self, self.encoder.layers)


class HuggingFaceText(TextTower):
    """Any encoder of transformers, by hub id or local folder; ``HF_HUB_OFFLINE`` is respected.

    What is in the hub's cache is taken from there without asking the network. mLUKE is read on its word path.

    Attributes:
        model: where the weights are; the tokenizer's own place if not given.
        pooling: ``cls`` takes the first token, ``mean`` the mean over the report.
    """

    model: Annotated[str, FOLDER] | None = None
    pooling: Literal["cls", "mean"] = "cls"

    @property
    def place(self) -> str:
        return self.model or self.tokenizer

    def check(self) -> None:
        kind, config, built_with = self._architecture()
        with torch.device("meta"):
            self._encoder(kind(config, **built_with))
        self._find_weights()

    def matches(self, vocabulary: Vocabulary) -> None:
        """Refuse tokens of another vocabulary than the encoder's, or of other tokenizer files; no weights are read.

        Raises:
            UserError: what, and what to do.
        """
        config = self._config()
        if vocabulary.size > config.vocab_size or config.pad_token_id not in (None, vocabulary.pad_id):
            raise UserError(
                f"tokenizer {self.tokenizer!r} ({vocabulary.size} tokens, padding {vocabulary.pad_id}) and text encoder "
                f"{self.place!r} ({config.vocab_size} tokens, padding {config.pad_token_id}) do not belong together: "
                "see text.tokenizer and text.model"
            )
        super().matches(vocabulary)

    def positions(self) -> int:
        config = self._config()
        # RoBERTa counts positions from the padding id on.
        offset = config.pad_token_id + 1 if config.model_type in ROBERTA_LIKE else 0
        return config.max_position_embeddings - offset

    def build(self, vocabulary: Vocabulary) -> "TextModule":
        """Return the tower for the vocabulary its tokens were made with.

        Raises:
            UserError: the tokens were made with another vocabulary, or the weights are not those of the encoder.
        """
        self.matches(vocabulary)
        kind, config, built_with = self._architecture()

        def load(**where: bool):
            # Of LUKE the checkpoint has the word path under its own name; its entities are left behind.
            options = built_with | {"config": config, "dtype": torch.float32, "key_mapping": {r"^luke\.": ""}}
            return kind.from_pretrained(self.place, output_loading_info=True, **options, **where)

        try:
            model, report = local_first(load)
        except (OSError, ValueError, RuntimeError) as error:
            raise self._missing(error) from error
        if report["missing_keys"]:
            raise UserError(
                f"the weights of {self.place!r} lack {', '.join(sorted(report['missing_keys'])[:3])}: they are not those of "
                f"its config.json ({config.model_type}); fetch the folder anew"
            )
        return self._encoder(model)

    def _config(self) -> Any:
        """Return the encoder's configuration; LUKE's is that of the RoBERTa which its word path is."""
        from . import vision_ops  # noqa: F401  before transformers  # isort: skip
        from transformers import AutoConfig, XLMRobertaConfig

        try:
            config = local_first(lambda **where: AutoConfig.from_pretrained(self.place, **where))
        except (OSError, ValueError) as error:
            raise self._missing(error) from error
        if config.model_type == "luke":
            return XLMRobertaConfig.from_dict(config.to_dict() | {"model_type": "xlm-roberta"})
        return config

    def _architecture(self) -> tuple[Any, Any, dict[str, Any]]:
        """Return the class of the encoder, its configuration and what else it is built with."""
        config = self._config()
        from transformers import MODEL_MAPPING

        kind: Any = MODEL_MAPPING[type(config)]
        # A pooler that nobody reads would have parameters without a gradient.
        has_pooler = "add_pooling_layer" in inspect.signature(kind).parameters
        return kind, config, {"add_pooling_layer": False} if has_pooler else {}

    def _encoder(self, model: Any) -> "HuggingFaceEncoder":
        """Return the tower around ``model``, frozen and checkpointed as asked for.

        Raises:
            UserError: it has fewer layers, or cannot be checkpointed.
        """
        if self.grad_checkpointing:
            if not model.supports_gradient_checkpointing:
                raise UserError(
                    f"{self.place!r} has no gradient checkpointing: leave text.grad_checkpointing out, and take a smaller "
                    "text_chunk_size if memory is short"
                )
            model.activation_checkpointing_enable()
        return HuggingFaceEncoder(model, self.pooling).freeze(self.freeze)

    def _find_weights(self) -> None:
        """Find the weight files without reading them."""
        from transformers.utils.hub import cached_file

        options = {f"_raise_exceptions_for_{kind}": False for kind in ("missing_entries", "connection_errors")}
        for local in (True, False):
            for name in WEIGHTS:
                if cached_file(self.place, name, local_files_only=local, **options):
                    return
        raise self._missing("no weights")

    def _missing(self, reason: Exception | str) -> UserError:
        if Path(self.place).is_dir():
            return UserError(f"the folder {self.place} holds no whole encoder (config.json and model.safetensors): {reason}")
        return UserError(
            f"text encoder {self.place!r} is neither built in (tiny), nor a local folder, nor in the Hugging Face cache, and "
            f"could not be fetched. On a connected machine: hf download {self.place} --local-dir FOLDER; then name FOLDER "
            f"here ({reason})"
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

    def layers(self) -> list[list[nn.Parameter]]:
        blocks = max((part for part in self.encoder.modules() if isinstance(part, nn.ModuleList)), key=len)
        return layers_around(self.encoder, blocks)


def layers_around(model: nn.Module, blocks: nn.ModuleList) -> list[list[nn.Parameter]]:
    """Return the parameters before ``blocks``, then one layer per block; what follows the blocks goes with the last of them."""
    before: list[nn.Parameter] = []
    layers = [list(block.parameters()) for block in blocks]
    inside = {id(parameter) for layer in layers for parameter in layer}
    place = before
    for parameter in model.parameters():
        if id(parameter) in inside:
            place = layers[-1]
        else:
            place.append(parameter)
    return [before, *layers]


def mean_over_tokens(states: Tensor, text_mask: Tensor) -> Tensor:
    """Return the mean over real tokens: states [n, length, d], text_mask [n, length] -> [n, d]."""
    weights = text_mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
