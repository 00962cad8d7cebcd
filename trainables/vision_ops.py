"""Lets timm and transformers import beside a torch that torchvision's compiled library was not built for.

Import this module before either of them. Both import torchvision, whose pure-Python part registers fake kernels for two
operators of its compiled library; where that library cannot be loaded (a CPU build of torch beside the ordinary
torchvision wheel) the registration fails with ``operator torchvision::nms does not exist`` and takes every model with
it. Declaring the two signatures is enough: radsweep never calls them, and a call would still fail loudly.
"""

import importlib.util
from pathlib import Path

import torch

SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def compiled_operators_load() -> bool:
    """Return whether torchvision's compiled operators work with this torch (True when torchvision is not installed)."""
    spec = importlib.util.find_spec("torchvision")  # finds it without importing it
    if spec is None or spec.origin is None:
        return True
    libraries = [path for path in Path(spec.origin).parent.glob("_C.*") if path.suffix in (".so", ".pyd", ".dylib")]
    if not libraries:
        return False
    try:
        torch.ops.load_library(str(libraries[0]))
    except (ImportError, OSError):
        return False
    return True


# Held at module level: the declarations end with the object that made them.
declarations = torch.library.Library("torchvision", "FRAGMENT")
if not compiled_operators_load():
    for schema in SCHEMAS.values():
        declarations.define(schema)
