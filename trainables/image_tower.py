"""Images to features: a tiny built-in network, or any timm model."""

import difflib
import math
import textwrap
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from ..datasets.config import FILE
from ..datasets.refusal import UserError
from .tower import Tower, TowerModule


class ImageTower(Tower):
    """What every image tower says of itself.

    Attributes:
        resolution: side of the square input, px.
    """

    resolution: int = Field(default=224, ge=16)

    @abstractmethod
    def check(self) -> None:
        """Refuse a tower that cannot be built.

        Raises:
            UserError: what, and what to do.
        """

    @abstractmethod
    def build(self) -> "ImageModule":
        """Return the tower, with weights."""


class ImageModule(TowerModule):
    """uint8 images [n, height, width] -> features [n, num_features]."""

    @abstractmethod
    def maps(self, images: Tensor) -> Tensor:
        """Return what stands at each place before places are pooled: [n, height, width] -> [n, depth, rows, columns].

        Raises:
            UserError: the tower keeps no places.
        """


class TinyImage(ImageTower):
    """Four convolutions trained from scratch, for the demo and for tests: seconds on a CPU.

    The stem's stride grows with the resolution, so that every resolution ends in the same 16 x 16 grid, as patch sizes do for
    a ViT: arms differ in what the pixels hold and not in the depth behind them.

    Mean *and* maximum over the last feature map: a small finding moves the maximum at once and the mean hardly, and with a few
    hundred steps that decides whether it is learned (docs/decisions.md).
    """

    width: int = Field(default=16, ge=8, multiple_of=8)

    def check(self) -> None:
        if self.grad_checkpointing:
            raise UserError("the tiny network has no gradient checkpointing: leave image.grad_checkpointing out")
        with torch.device("meta"):
            self.build()

    def build(self) -> "ImageModule":
        return TinyConvNet(self.resolution, self.width).freeze(self.freeze)


class TinyConvNet(ImageModule):
    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        before = 1
        stem = max(1, round(resolution / 64))
        for stride, channels in ((stem, width), (2, 2 * width), (2, 4 * width), (1, 4 * width)):
            kernel = 2 * stem + 1 if before == 1 else 3
            convolution = nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False)
            blocks.append(nn.Sequential(convolution, nn.GroupNorm(8, channels), nn.ReLU()))
            before = channels
        self.blocks = nn.Sequential(*blocks)
        self.num_features = 2 * before

    def forward(self, images: Tensor) -> Tensor:
        maps = self.maps(images)
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)

    def maps(self, images: Tensor) -> Tensor:
        return self.blocks((images.float() / 127.5 - 1.0).unsqueeze(1))

    def layers(self) -> list[list[nn.Parameter]]:
        return [list(block.parameters()) for block in self.blocks]


class TimmImage(ImageTower):
    """A timm model without its classifier.

    Pretrained weights are loaded strictly and resized once: the patch kernel so that patches of another size give the features
    of the old ones, position embeddings by bicubic interpolation. ViT-B/16 at 224 px, B/24 at 336 and B/32 at 448 so keep their
    14 x 14 tokens; B/16 at 336 grows the grid.

    Attributes:
        name: of the timm model.
        patch_size: of a ViT; None keeps the model's own.
        in_chans: 1 for grayscale (pretrained RGB kernels are summed), 3 repeats the image.
        pretrained: True takes timm's weights from the hub cache, a path takes a local checkpoint, False starts at random.
        pixel_std: standard deviation that pixels in [0, 1] are divided by; None is the weights' own. A quirk of the reference's
            code, which divides by 0.25 what expects 0.5.
        freeze_batch_norm: whether batch normalization uses its pretrained statistics, unchanged, also in training; its scale
            and shift are trained. Without it such models are refused.
        drop_path: share of residual branches left out in training, image by image, growing to this at the last block.
        patch_dropout: share of a ViT's patches left out in training, other ones for each image.
    """

    name: str
    patch_size: int | None = Field(default=None, ge=1)
    in_chans: Literal[1, 3] = 1
    pretrained: bool | Annotated[Path, FILE] = False
    pixel_std: float | None = Field(default=None, gt=0)
    freeze_batch_norm: bool = False
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    patch_dropout: float = Field(default=0.0, ge=0, lt=1)

    def check(self) -> None:
        """Refuse a model that cannot be built or must not be chunked; random weights are not even allocated.

        Raises:
            UserError: what, and what to do.
        """
        if not _timm().is_model(self.name):
            near = difflib.get_close_matches(self.name, _timm().list_models(), n=3) or ["vit_base_patch16_224"]
            raise UserError(f"timm has no model {self.name!r}; did you mean {' or '.join(near)}?")
        if self.patch_size is not None and not self._has_grid():
            raise UserError(f"{self.name} has no patch size to choose: leave image.patch_size out")
        with torch.device("meta"):
            try:
                model = self._create().eval()
                model(torch.empty(1, self.in_chans, self.resolution, self.resolution))
            except TypeError as error:
                raise UserError(f"{self.name} has not what image.drop_path or image.patch_dropout ask: {error}") from error
            except (RuntimeError, AssertionError, ValueError) as error:
                raise UserError(f"{self.name} does not take images of {self.resolution} px: {error}") from error
        if running_statistics(model):
            self._check_batch_norm()
        self._encoder(model)
        if self.pretrained:
            self.build()

    def build(self) -> "ImageModule":
        """Return the tower, with weights.

        Raises:
            UserError: pretrained weights are wanted and cannot be had.
        """
        try:
            if isinstance(self.pretrained, Path):
                # Given as a state, timm loads it strictly: a file of another model is an error and not a random start.
                state = _timm().models.load_state_dict(str(self.pretrained))
                overlay = {
                    "state_dict": {k: v for k, v in state.items() if not k.startswith(self._classifier())},
                    "num_classes": 0,
                }
                model = self._create(pretrained=True, pretrained_cfg_overlay=overlay)
            else:
                model = self._create(pretrained=self.pretrained)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"the weights of {self.name} ({self.pretrained}) cannot be loaded ({textwrap.shorten(str(error), 200)}). "
                "On a connected machine: "
                f"python -c \"import timm; timm.create_model('{self.name}', pretrained=True)\"; copy its hub cache here, "
                "or name a local file (image.pretrained=FILE), or start at random (image.pretrained=false)"
            ) from error
        return self._encoder(model)

    def _create(self, **options: Any) -> Any:
        if self._has_grid():
            options["img_size"] = self.resolution
            if self.patch_size is not None:
                options["patch_size"] = self.patch_size
        for field, argument in (("drop_path", "drop_path_rate"), ("patch_dropout", "patch_drop_rate")):
            if share := getattr(self, field):
                options[argument] = share
        return _timm().create_model(self.name, in_chans=self.in_chans, num_classes=0, **options)

    def _encoder(self, model: Any) -> "TimmEncoder":
        """Return the tower around ``model``, frozen and checkpointed as asked for.

        Raises:
            UserError: it has fewer layers, or cannot be checkpointed.
        """
        if self.grad_checkpointing:
            try:
                model.set_grad_checkpointing()
            except AssertionError as error:
                raise UserError(
                    f"{self.name} has no gradient checkpointing: leave image.grad_checkpointing out, and take a smaller "
                    "image_chunk_size if memory is short"
                ) from error
        return TimmEncoder(model, self._normalization()).freeze(self.freeze)

    def _check_batch_norm(self) -> None:
        if not self.freeze_batch_norm:
            raise UserError(
                f"{self.name} has batch normalization: its statistics would depend on the chunk size and the number of "
                "workers; choose a model with layer or group normalization (ConvNeXt, ViT, resnet50_gn), or keep the "
                "statistics of pretrained weights (image.freeze_batch_norm=true)"
            )
        if not self.pretrained:
            raise UserError(
                f"image.freeze_batch_norm keeps the statistics of {self.name}'s weights, but they start at random and have "
                "seen no data: name weights (image.pretrained=true or a file)"
            )

    def _normalization(self) -> list[tuple[float, float]]:
        """Return the mean and standard deviation that the weights expect of each channel, for pixels in [0, 1]."""
        config = _timm().get_pretrained_cfg(self.name)
        if not self.pretrained or config is None:
            return [(0.5, self.pixel_std or 0.5)] * self.in_chans
        means = config.mean
        stds = config.std if self.pixel_std is None else (self.pixel_std,) * len(means)
        if self.in_chans == 1:
            means, stds = (sum(means) / len(means),), (sum(stds) / len(stds),)
        return list(zip(means, stds, strict=True))

    def _has_grid(self) -> bool:
        """Whether the model's parameters depend on the input size, as position embeddings do."""
        config = _timm().get_pretrained_cfg(self.name)
        return config is not None and config.fixed_input_size

    def _classifier(self) -> tuple[str, ...]:
        config = _timm().get_pretrained_cfg(self.name)
        names = config.classifier if config is not None else ()
        return (names,) if isinstance(names, str) else tuple(names or ())


def _timm():
    """timm, which costs every process seconds and 200 MiB, only where a question names one of its models."""
    from . import vision_ops  # noqa: F401  before timm  # isort: skip
    import timm

    return timm


class TimmEncoder(ImageModule):
    """A timm backbone.

    Args:
        normalization: mean and standard deviation of each input channel.
    """

    def __init__(self, backbone: Any, normalization: list[tuple[float, float]]) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.normalization = normalization
        self.num_features = backbone.head_hidden_size

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(self.normalized(images))

    def maps(self, images: Tensor) -> Tensor:
        return self.placed(self.backbone.forward_features(self.normalized(images)))

    def placed(self, seen: Tensor) -> Tensor:
        """Return tokens or maps of the backbone as maps [n, depth, rows, columns], without tokens that stand nowhere.

        Raises:
            UserError: the rest is no square grid.
        """
        if seen.ndim == 4:
            return seen.permute(0, 3, 1, 2) if getattr(self.backbone, "output_fmt", "NCHW") == "NHWC" else seen
        tokens = seen[:, getattr(self.backbone, "num_prefix_tokens", 0) :]
        side = math.isqrt(tokens.shape[1])
        if side**2 != tokens.shape[1]:
            raise UserError(f"{type(self.backbone).__name__} ends in {tokens.shape[1]} tokens, which are no square grid")
        return tokens.transpose(1, 2).unflatten(2, (side, side))

    def normalized(self, images: Tensor) -> Tensor:
        """Return the channels that the backbone takes: uint8 [n, height, width] -> float32 [n, channels, height, width]."""
        pixels = images.float() / 255
        return torch.stack([(pixels - mean) / std for mean, std in self.normalization], dim=1)

    def layers(self) -> list[list[nn.Parameter]]:
        matcher = self.backbone.group_matcher(coarse=False)
        return list(_timm().models.group_parameters(self.backbone, matcher, return_values=True).values())

    def train(self, mode: bool = True) -> Self:
        """Return the tower in training mode, except for running statistics: those are used and never updated."""
        super().train(mode)
        for module in running_statistics(self):
            module.eval()
        return self


def running_statistics(model: nn.Module) -> list[nn.Module]:
    """Return the modules that normalize by statistics of past batches."""
    return [module for module in model.modules() if "running_var" in dict(module.named_buffers(recurse=False))]
