"""What happens to an image between the corpus and the image tower."""

import numpy as np
from PIL import Image
from pydantic import Field

from .config import Config


class Augment(Config):
    """Random view of an image, drawn anew at every visit.

    There is no horizontal flip: reports say *droite* and *gauche*.

    Attributes:
        crop: smallest share of the image's area that a random crop keeps (1 switches cropping off).
        rotate: largest rotation to either side, degrees.
        brightness: largest shift, as a share of the full range.
        contrast: largest relative change of contrast around mid-gray.
    """

    crop: float = Field(default=0.8, gt=0, le=1)
    rotate: float = Field(default=5.0, ge=0, le=180)
    brightness: float = Field(default=0.1, ge=0, le=1)
    contrast: float = Field(default=0.1, ge=0, le=1)

    def __call__(self, image: np.ndarray, resolution: int, rng: np.random.Generator) -> np.ndarray:
        """Return a random ``resolution`` x ``resolution`` view of a square uint8 image [side, side]."""
        side = image.shape[0]
        picture = Image.fromarray(image)
        if self.rotate:
            picture = picture.rotate(float(rng.uniform(-self.rotate, self.rotate)), Image.Resampling.BILINEAR)
        edge = side * float(np.sqrt(rng.uniform(self.crop, 1.0)))
        left, top = rng.uniform(0.0, side - edge, size=2)
        pixels = _resize(picture, resolution, (left, top, left + edge, top + edge)).astype(np.float32)
        shift = 255 * float(rng.uniform(-self.brightness, self.brightness))
        stretch = 1 + float(rng.uniform(-self.contrast, self.contrast))
        return np.rint(np.clip((pixels - 127.5) * stretch + 127.5 + shift, 0, 255)).astype(np.uint8)


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
