"""What happens to an image between the corpus and the image tower."""

import math

import numpy as np
from PIL import Image, ImageFilter
from pydantic import Field

from .config import Config

MIN_SIGMA = 0.1
SIGMA_SIDE = 512


class Augment(Config):
    """Random view of an image, drawn anew at every visit.

    Attributes:
        crop: smallest share of the image's area that a random crop keeps (1 switches cropping off).
        ratio: widest crop, width over height; the narrowest is its inverse. Crops of almost all the image are almost square.
        affine: share of visits at which the crop is turned, moved and scaled about its centre.
        rotate: largest rotation to either side, degrees.
        translate: largest shift along either axis, as a share of the crop's side.
        scale: largest relative change of size.
        fill: gray value of what lies outside the image.
        flip: share of visits at which left and right are exchanged; off, since reports say *droite* and *gauche*.
        jitter: share of visits at which brightness and contrast change.
        brightness: largest shift, as a share of the full range.
        contrast: largest relative change of contrast around mid-gray.
        clip_to_unit: a quirk of the reference's code, which shifts and stretches ``x = (gray / 255 - 0.5) / 0.25`` and clips to
            [0, 1] what spans [-2, 2]: where ``jitter`` strikes, all that is darker than mid-gray is lost, and a shift is a
            quarter of what ``brightness`` says.
        blur: share of visits at which the view is blurred.
        blur_sigma: largest standard deviation of the Gaussian, px of a view of 512 px; the smallest is 0.1 px.
    """

    crop: float = Field(default=0.8, gt=0, le=1)
    ratio: float = Field(default=1.0, ge=1)
    affine: float = Field(default=1.0, ge=0, le=1)
    rotate: float = Field(default=5.0, ge=0, le=180)
    translate: float = Field(default=0.0, ge=0, le=1)
    scale: float = Field(default=0.0, ge=0, lt=1)
    fill: int = Field(default=0, ge=0, le=255)
    flip: float = Field(default=0.0, ge=0, le=1)
    jitter: float = Field(default=1.0, ge=0, le=1)
    brightness: float = Field(default=0.1, ge=0, le=1)
    contrast: float = Field(default=0.1, ge=0, le=1)
    clip_to_unit: bool = False
    blur: float = Field(default=0.0, ge=0, le=1)
    blur_sigma: float = Field(default=3.0, ge=MIN_SIGMA)

    def __call__(self, image: np.ndarray, resolution: int, rng: np.random.Generator) -> np.ndarray:
        """Return a random ``resolution`` x ``resolution`` view of a square uint8 image [side, side]."""
        # All numbers are drawn at every visit: arms that differ in one knob see views that differ in nothing else.
        numbers = rng.random(15)
        moved, flipped, jittered, blurred = numbers[:4] < (self.affine, self.flip, self.jitter, self.blur)
        area, left, top, sigma = numbers[4:8].tolist()
        wide, angle, right, down, larger, shift, stretch = (2 * numbers[8:] - 1).tolist()

        area = self.crop + (1 - self.crop) * area
        ratio = math.exp(wide * min(math.log(self.ratio), -math.log(area)))
        side = image.shape[0]
        width, height = min(side, side * math.sqrt(area * ratio)), min(side, side * math.sqrt(area / ratio))
        left, top = (side - width) * left, (side - height) * top
        picture = Image.fromarray(image)
        box = (left, top, left + width, top + height)
        if moved and (self.rotate or self.translate or self.scale):
            turn = math.radians(angle * self.rotate)
            picture = self._moved(picture, box, turn, right * self.translate, down * self.translate, 1 + larger * self.scale)
            box = (0.0, 0.0, float(picture.width), float(picture.height))
        pixels = _resize(picture, resolution, box)
        if flipped:
            pixels = pixels[:, ::-1]
        if jittered:
            pixels = self._grays(shift * self.brightness, 1 + stretch * self.contrast)[pixels]
        if blurred:
            sigma = MIN_SIGMA + (self.blur_sigma - MIN_SIGMA) * sigma
            pixels = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma * resolution / SIGMA_SIDE)))
        return pixels

    def _moved(
        self, picture: Image.Image, box: tuple[float, float, float, float], turn: float, right: float, down: float, scale: float
    ) -> Image.Image:
        """Return what ``box`` shows, turned (clockwise, radians) and scaled about its centre, then moved by shares of it."""
        left, top, width, height = box[0], box[1], box[2] - box[0], box[3] - box[1]
        edge = math.ceil(max(width, height))
        cos, sin = math.cos(turn) / scale, math.sin(turn) / scale
        x, y = 0.5 + right, 0.5 + down  # where the centre goes, in sides of the result
        # Pillow wants the way back: from a pixel of the result to the one it shows.
        inverse = (
            *(cos * width / edge, sin * width / edge, left + width * (0.5 - cos * x - sin * y)),
            *(-sin * height / edge, cos * height / edge, top + height * (0.5 + sin * x - cos * y)),
        )
        return picture.transform((edge, edge), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR, fillcolor=self.fill)

    def _grays(self, shift: float, stretch: float) -> np.ndarray:
        """Return what each of the 256 gray values becomes."""
        grays = np.arange(256)
        if self.clip_to_unit:
            normalised = np.clip((grays / 255 - 0.5) / 0.25 * stretch + shift, 0, 1)
            changed = (normalised * 0.25 + 0.5) * 255
        else:
            changed = np.clip((grays - 127.5) * stretch + 127.5 + 255 * shift, 0, 255)
        return np.rint(changed).astype(np.uint8)


PAPER = Augment(
    crop=0.6,
    ratio=4 / 3,
    affine=0.5,
    rotate=20.0,
    translate=0.1,
    scale=0.05,
    fill=128,
    jitter=0.5,
    brightness=0.2,
    contrast=0.2,
    blur=0.5,
)
"""The augmentation of the bone X-ray paper, as meant: its code adds ``flip=0.5`` and ``clip_to_unit=True``.

What a move uncovers is the image where there is some around the crop, the reference's mid-gray elsewhere; gray values and blur
change at the view's own resolution, not at 512 px.

Source: Zhang et al., *Contrastive Learning of Medical Visual Representations from Paired Images and Text*, MLHC 2022, for the
list; Englebert et al., arXiv 2405.08932, its code, for the values.
"""


def plain(image: np.ndarray, resolution: int) -> np.ndarray:
    """Return the whole square image at ``resolution``, as validation sees it."""
    return _resize(Image.fromarray(image), resolution, (0.0, 0.0, float(image.shape[1]), float(image.shape[0])))


def _resize(picture: Image.Image, resolution: int, box: tuple[float, float, float, float]) -> np.ndarray:
    # Pillow widens the bilinear kernel when it shrinks: what the lower resolution cannot hold is gone, not aliased.
    return np.asarray(picture.resize((resolution, resolution), Image.Resampling.BILINEAR, box=box))


def square(image: np.ndarray, side: int) -> np.ndarray:
    """Return ``image`` [height, width], no larger than ``side``, in the middle of a black ``side`` x ``side`` canvas."""
    height, width = image.shape
    canvas = np.zeros((side, side), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas
