"""Images to features: any timm model."""

import difflib

from . import vision_ops  # noqa: F401  before timm  # isort: skip
import timm
import torch
from pydantic import Field
from torch import Tensor, nn

from ..datasets.config import Config
from ..datasets.refusal import UserError


class TimmImage(Config):
    """A timm model without its classifier.

    Attributes:
        name: of the timm model.
        resolution: side of the square input, px.
        patch_size: of a ViT; None keeps the model's own. Pretrained patch kernels and position embeddings are resized by timm.
        in_chans: 1 for grayscale (pretrained RGB kernels are summed), 3 repeats the image.
        pretrained: True takes timm's weights from the hub cache, a path takes a local checkpoint, False starts at random.
    """

    name: str
    resolution: int = Field(224, ge=16)
    patch_size: int | None = None
    in_chans: int = Field(1, ge=1, le=3)
    pretrained: bool | str = False

    def check(self) -> None:
        """Refuse a model that cannot be built or must not be chunked, without building its weights.

        Raises:
            UserError: what, and what to do.
        """
        if not timm.is_model(self.name):
            near = difflib.get_close_matches(self.name, timm.list_models(), n=3) or ["vit_base_patch16_224"]
            raise UserError(f"timm has no model {self.name!r}; did you mean {' or '.join(near)}?")
        with torch.device("meta"):
            model = self._create(pretrained=False)
            if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
                raise UserError(
                    f"{self.name} has batch normalization: its statistics would depend on the chunk size and the number of "
                    "workers; choose a model with layer or group normalization (ConvNeXt, ViT, resnet50_gn)"
                )
            try:
                model(torch.empty(1, self.in_chans, self.resolution, self.resolution))
            except (RuntimeError, AssertionError, ValueError) as error:
                raise UserError(f"{self.name} does not take images of {self.resolution} px: {error}") from error
        if self.pretrained:
            self.build()

    def build(self) -> "ImageTower":
        """Return the tower, with weights.

        Raises:
            UserError: pretrained weights are wanted and cannot be had.
        """
        try:
            return ImageTower(self._create(self.pretrained), self.in_chans)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"the weights of {self.name} ({self.pretrained}) cannot be loaded: {error}. On a connected machine: "
                f"python -c \"import timm; timm.create_model('{self.name}', pretrained=True)\"; copy its hub cache here, "
                "or name a local file (image.pretrained=FILE), or start at random (image.pretrained=false)"
            ) from error

    def _create(self, pretrained: bool | str) -> nn.Module:
        options: dict[str, object] = {"in_chans": self.in_chans, "num_classes": 0}
        if isinstance(pretrained, str):
            options["pretrained_cfg_overlay"] = {"file": pretrained}
        if self._has_grid():
            options["img_size"] = self.resolution
            if self.patch_size is not None:
                options["patch_size"] = self.patch_size
        elif self.patch_size is not None:
            raise UserError(f"{self.name} has no patch size: leave image.patch_size out")
        return timm.create_model(self.name, pretrained=bool(pretrained), **options)

    def _has_grid(self) -> bool:
        """Whether the model's parameters depend on the input size, as position embeddings do."""
        with torch.device("meta"):
            return hasattr(timm.create_model(self.name), "patch_embed")


class ImageTower(nn.Module):
    """uint8 images [n, height, width] -> features [n, num_features]."""

    def __init__(self, backbone: nn.Module, in_chans: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.in_chans = in_chans
        self.num_features: int = backbone.num_features  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images.float() / 127.5 - 1.0).unsqueeze(1)
        return self.backbone(pixels.expand(-1, self.in_chans, -1, -1))
