"""Images to features: a tiny built-in network, or any timm model."""

import difflib
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..datasets.config import Config
from ..datasets.refusal import UserError


class ImageTower(Config):
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


class ImageModule(nn.Module):
    """uint8 images [n, height, width] -> features [n, num_features]."""

    num_features: int


class TinyImage(ImageTower):
    """Four convolutions trained from scratch, for the demo and for tests: seconds on a CPU.

    The stem's stride grows with the resolution, so that every resolution ends in the same 16 x 16 grid, as patch sizes do for
    a ViT: arms differ in what the pixels hold and not in the depth behind them.

    Mean *and* maximum over the last feature map: a small finding moves the maximum at once and the mean hardly, and with a few
    hundred steps that decides whether it is learned (docs/decisions.md).
    """

    width: int = Field(default=16, ge=8, multiple_of=8)

    def check(self) -> None:
        """Every width and resolution that validates can be built."""

    def build(self) -> "ImageModule":
        return TinyConvNet(self.resolution, self.width)


class TinyConvNet(ImageModule):
    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        stem = max(1, round(resolution / 64))
        for stride, channels in ((stem, width), (2, 2 * width), (2, 4 * width), (1, 4 * width)):
            kernel = 2 * stem + 1 if before == 1 else 3
            layers += [nn.Conv2d(before, channels, kernel, stride, kernel // 2), nn.GroupNorm(8, channels), nn.ReLU()]
            before = channels
        self.layers = nn.Sequential(*layers)
        self.num_features = 2 * before

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layers((images.float() / 127.5 - 1.0).unsqueeze(1))
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)


class TimmImage(ImageTower):
    """A timm model without its classifier.

    Attributes:
        name: of the timm model.
        patch_size: of a ViT; None keeps the model's own. Pretrained patch kernels and position embeddings are resized by timm.
        in_chans: 1 for grayscale (pretrained RGB kernels are summed), 3 repeats the image.
        pretrained: True takes timm's weights from the hub cache, a path takes a local checkpoint, False starts at random.
    """

    name: str
    patch_size: int | None = Field(default=None, ge=1)
    in_chans: Literal[1, 3] = 1
    pretrained: bool | Path = False

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
            except (RuntimeError, AssertionError, ValueError, TypeError) as error:
                raise UserError(f"{self.name} does not take images of {self.resolution} px: {error}") from error
        if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
            raise UserError(
                f"{self.name} has batch normalization: its statistics would depend on the chunk size and the number of "
                "workers; choose a model with layer or group normalization (ConvNeXt, ViT, resnet50_gn)"
            )
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
                return TimmEncoder(self._create(pretrained=True, pretrained_cfg_overlay=overlay), self.in_chans)
            return TimmEncoder(self._create(pretrained=self.pretrained), self.in_chans)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"the weights of {self.name} ({self.pretrained}) cannot be loaded: {error}. On a connected machine: "
                f"python -c \"import timm; timm.create_model('{self.name}', pretrained=True)\"; copy its hub cache here, "
                "or name a local file (image.pretrained=FILE), or start at random (image.pretrained=false)"
            ) from error

    def _create(self, **options: Any) -> nn.Module:
        if self._has_grid():
            options["img_size"] = self.resolution
            if self.patch_size is not None:
                options["patch_size"] = self.patch_size
        return _timm().create_model(self.name, in_chans=self.in_chans, num_classes=0, **options)

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
    def __init__(self, backbone: nn.Module, in_chans: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.in_chans = in_chans
        self.num_features = backbone.head_hidden_size  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images.float() / 127.5 - 1.0).unsqueeze(1)
        return self.backbone(pixels.expand(-1, self.in_chans, -1, -1))
