"""Saliency: where a model looks, and whether that is where the finding is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.refusal import UserError
from ..encode import Reader
from ..image_tower import ImageModule, TimmEncoder, TinyConvNet
from .dense import look, pointed, reader_of, searched
from .task import SHOWN, Encoded, Result, Task

CHUNK = 16
"""Images whose gradients, or attention, are held at once."""
EXAMPLES = 6
"""Images that the report shows."""


class Saliency(Task):
    """Where does a model look, and is it where readers marked a region?

    Maps that a checkpoint may have: ``gradient``, of the similarity of image and text; ``norm``, the length of what the tower
    sees at each place; ``rollout``, of a ViT's attention.

    Attributes:
        prompt: the sentence that images are compared with; empty takes the report of each.
        labels: of the boxes that count; none means all, and masks.
        most: test images at most, drawn once for all checkpoints.
        seed: of the draw.
    """

    prompt: str = ""
    labels: tuple[str, ...] = ()
    most: int = Field(default=2000, ge=1)
    seed: int = 0

    def run(self, encoded: Encoded) -> Result:
        """Return of each map ``<map>_pointing``, ``<map>_inside`` and ``<map>_peak``; ``area`` is the first two by chance.

        Pointing is the share of images whose hottest pixel is in a region; inside is the share of the map's sum that is, and
        area that of the square. Peak is the share that the hottest tenth of the pixels holds, 0.1 of a map that is even. A map
        that is 0 everywhere points nowhere: its image is left out. Without regions there are peaks alone.

        Raises:
            UserError: no test image has a region although images were searched for some, or there is no test image.
        """
        reader = reader_of(encoded, self.name)
        tower, resolution = reader.pretrained.model.image, reader.pretrained.config.image.resolution
        regions = any(image.boxes is not None or image.mask is not None for image in encoded.corpus.images)
        if regions or self.labels:
            places = searched(encoded.corpus, self.labels, self.name)["test"]
        else:
            places = np.array([place for place, image in enumerate(encoded.corpus.images) if image.split == "test"], int)
        drawn = np.random.default_rng(self.seed).permutation(places)
        told: dict[str, list[tuple[float, float, float]]] = {"norm": []}
        shown: dict[str, np.ndarray] = {}
        areas: list[float] = []
        absent = [] if regions else ["pointing and inside: nobody marked a region in this corpus"]
        if not reads(reader):
            absent.append("gradient: the checkpoint never learned from text")
        elif not isinstance(tower, TinyConvNet | TimmEncoder):
            absent.append(f"gradient: {type(tower).__name__} keeps no map that its features are made of")
        else:
            told["gradient"] = []
        if is_vit(tower):
            told["rollout"] = []
        else:
            absent.append("rollout: the image tower is no ViT")
        for seen in self._batches(encoded, drawn, resolution, regions):
            pixels, inside = np.stack([one for one, _, _ in seen]), [marked for _, marked, _ in seen]
            texts = [text for _, _, text in seen]
            areas += [float(marked.mean()) for marked in inside]
            maps = {"norm": list(norms(reader, pixels))}
            if "gradient" in told:
                read = [place for place, text in enumerate(texts) if text]
                own = gradients(reader, pixels[read], [str(texts[place]) for place in read]) if read else ()
                maps["gradient"] = [None] * len(seen)
                for place, one in zip(read, own, strict=True):
                    maps["gradient"][place] = one
            if "rollout" in told:
                maps["rollout"] = list(rollout(reader, pixels))
            shown = shown or small(pixels, inside, maps)
            for name, own in maps.items():
                told[name] += [
                    (peak(one), pointed(one, marked), float(one[marked].sum() / one.sum()))
                    for one, marked in zip(own, inside, strict=True)
                    if one is not None and one.any()
                ]
        if not areas:
            raise UserError(f"{encoded.corpus.name}: no test image has a region that saliency could point to")
        metrics = {"area": float(np.mean(areas))} if regions else {}
        for name, own in told.items():
            if own:
                found = dict(
                    zip((f"{name}_peak", f"{name}_pointing", f"{name}_inside"), np.mean(own, axis=0).tolist(), strict=True)
                )
                metrics |= found if regions else {f"{name}_peak": found[f"{name}_peak"]}
            if len(own) < len(areas):
                absent.append(
                    f"{name}: {len(areas) - len(own)} of {len(areas)} images have no text, or a map that is 0 everywhere"
                )
        return Result(metrics, (), tuple(absent), shown)

    def _batches(
        self, encoded: Encoded, places: np.ndarray, resolution: int, regions: bool
    ) -> Iterator[list[tuple[np.ndarray, np.ndarray, str | None]]]:
        """Yield views, marked pixels and texts, `CHUNK` images at a time, `most` in all; each has a region if ``regions``."""
        found = 0
        batch = []
        for place in places:
            pixels, own = look(encoded.corpus, int(place), resolution, self.labels)
            marked = own.cells(resolution, resolution)
            if regions and not marked.any():
                continue
            batch.append((pixels, marked, self.prompt or encoded.corpus.images[place].report))
            found += 1
            if len(batch) == CHUNK or found == self.most:
                yield batch
                batch = []
            if found == self.most:
                return
        if batch:
            yield batch


def peak(heat: np.ndarray) -> float:
    """Return the share of a map's sum that its hottest tenth of pixels holds."""
    values = np.sort(heat, axis=None)
    return float(values[-max(round(len(values) / 10), 1) :].sum() / values.sum())


def small(
    pixels: np.ndarray, inside: Sequence[np.ndarray], maps: Mapping[str, Sequence[np.ndarray | None]]
) -> dict[str, np.ndarray]:
    """Return the first images with what was marked and every map of them, at the size of the report's figures.

    ``views`` uint8 and ``marked`` bool [n, side, side], ``map_<name>`` float32 of the same shape from 0 to 1; NaN where an
    image has no such map.
    """
    first = slice(0, EXAMPLES)

    def shrunk(images: np.ndarray) -> np.ndarray:
        side = min(SHOWN, images.shape[-1])
        return F.interpolate(torch.from_numpy(images)[:, None].float(), (side, side), mode="area")[:, 0].numpy()

    told = {"views": shrunk(pixels[first]).round().astype(np.uint8), "marked": shrunk(np.stack(inside[first])) >= 0.5}
    for name, own in maps.items():
        whole = np.stack([np.full(pixels.shape[1:], np.nan, np.float32) if one is None else one for one in own[first]])
        most = whole.max(axis=(1, 2), keepdims=True)
        told[f"map_{name}"] = shrunk(np.divide(whole, most, out=np.zeros_like(whole), where=~(most <= 0)))
    return told


def reads(reader: Reader) -> bool:
    """Return whether the checkpoint learned from text."""
    return reader.pretrained.model.needs.text_views > 0


def is_vit(tower: ImageModule) -> bool:
    """Return whether the tower is one of timm's plain ViTs, whose blocks all see every patch."""
    if not isinstance(tower, TimmEncoder):
        return False
    from timm.models import Beit, Eva, VisionTransformer

    return isinstance(tower.backbone, VisionTransformer | Eva | Beit)


@torch.no_grad()
def norms(reader: Reader, pixels: np.ndarray) -> np.ndarray:
    """Return the length of what the tower sees at each place, float32 [n, height, width]."""
    tower = reader.pretrained.model.image.to(reader.device)
    return _enlarged([tower.maps(images).norm(dim=1) for images in _chunks(reader, pixels)], pixels)


def gradients(reader: Reader, pixels: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    r"""Return :math:`\mathrm{ReLU}(\sum_k \alpha_k A^k)`, float32 [n, height, width].

    :math:`A^k` are the channels of the tower's last map, and :math:`\alpha_k` the mean over its places of the gradient of the
    similarity of image and text. The last map of a ViT is what its last block takes: what that returns at the patches does not
    reach the class token.

    Source: R. R. Selvaraju et al., "Grad-CAM" (ICCV 2017), equations 1 and 2.
    """
    model = reader.pretrained.model.to(reader.device)
    told, vectors = [], torch.from_numpy(reader.encode_texts(texts)).to(reader.device)
    with torch.enable_grad():
        for images, text in zip(_chunks(reader, pixels), vectors.split(CHUNK), strict=True):
            states, last = _cut(model.image, images)
            heads = F.normalize(model.image_projections[0](states).float(), dim=-1)
            (slope,) = torch.autograd.grad((heads * text).sum(), last)
            if isinstance(model.image, TimmEncoder):
                last, slope = model.image.placed(last), model.image.placed(slope)
            told.append(F.relu((slope.mean((2, 3), keepdim=True) * last).sum(1)).detach())
    return _enlarged(told, pixels)


def _cut(tower: ImageModule, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return a tower's features and the last map, from which on they have a gradient."""
    kept: list[Tensor] = []

    def leaf(seen: Tensor) -> Tensor:
        kept.append(seen.detach().requires_grad_())
        return kept[-1]

    if isinstance(tower, TimmEncoder) and not is_vit(tower):
        with torch.no_grad():
            seen = tower.backbone.forward_features(tower.normalized(images))
        return tower.backbone.forward_head(leaf(seen)), kept[0]
    if isinstance(tower, TimmEncoder):
        handle = tower.backbone.blocks[-1].register_forward_pre_hook(lambda _, given: (leaf(given[0]), *given[1:]))
    else:
        assert isinstance(tower, TinyConvNet)
        handle = tower.blocks.register_forward_hook(lambda *given: leaf(given[-1]))
    try:
        with _set(tower, "grad_checkpointing", False):
            return tower(images), kept[0]
    finally:
        handle.remove()


@torch.no_grad()
def rollout(reader: Reader, pixels: np.ndarray) -> np.ndarray:
    r"""Return how much of each patch arrives in a ViT's features through its attention, float32 [n, height, width].

    :math:`\tilde A_L \cdots \tilde A_1` with :math:`\tilde A = (A + I) / 2` and :math:`A` the mean over heads; the row of the
    class token, or, where features are pooled from patches, the mean of their rows.

    Source: S. Abnar and W. Zuidema, "Quantifying Attention Flow in Transformers" (ACL 2020), section 3.
    """
    tower = reader.pretrained.model.image.to(reader.device)
    assert isinstance(tower, TimmEncoder)
    assert is_vit(tower)
    backbone, told = tower.backbone, []
    for images in _chunks(reader, pixels):
        layers = _attention(tower, images)
        flow = torch.eye(layers[0].shape[-1], device=images.device)
        for attention in layers:
            flow = (attention + torch.eye(attention.shape[-1], device=images.device)) / 2 @ flow
        prefix = backbone.num_prefix_tokens
        row = flow[:, 0] if backbone.global_pool == "token" and prefix else flow[:, prefix:].mean(1)
        told.append(tower.placed(row.unsqueeze(2))[:, 0])
    return _enlarged(told, pixels)


def _attention(tower: TimmEncoder, images: Tensor) -> list[Tensor]:
    """Return the attention of each layer, mean over heads, [n, tokens, tokens]."""
    layers: list[Tensor] = []
    # All attention passes through its dropout, which leaves it as it is in evaluation.
    handles = [
        block.attn.attn_drop.register_forward_hook(lambda *given: layers.append(given[-1].mean(1)))
        for block in tower.backbone.blocks
    ]
    try:
        with _set(tower, "fused_attn", False), _set(tower, "grad_checkpointing", False):
            tower(images)
    finally:
        for handle in handles:
            handle.remove()
    return layers


@contextmanager
def _set(model: nn.Module, name: str, value: bool) -> Iterator[None]:
    """Give the attribute ``name`` of all modules that have it a value, for a while."""
    before = [(module, getattr(module, name)) for module in model.modules() if hasattr(module, name)]
    for module, _ in before:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, own in before:
            setattr(module, name, own)


def _chunks(reader: Reader, pixels: np.ndarray) -> Iterator[Tensor]:
    yield from torch.from_numpy(pixels).to(reader.device).split(CHUNK)


def _enlarged(maps: Sequence[Tensor], pixels: np.ndarray) -> np.ndarray:
    """Return maps [n, rows, columns] at the size of the images."""
    whole = torch.cat(list(maps))[:, None].float()
    return F.interpolate(whole, pixels.shape[1:], mode="bilinear")[:, 0].cpu().numpy()
