"""One view of one study as a radiograph."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from .anatomy import Frame, Skeleton, solids
from .findings import Appearance, Findings, Places, altered, painted, plate_mm

ANGLES = {"AP": (0.0,), "PA": (0.0,), "LATERAL": (90.0,), "OBLIQUE": (45.0, -40.0)}
SHAPES = ((256, 208), (256, 192), (256, 224), (256, 256), (240, 256), (224, 256))
LOOK = Appearance()
UNLIKE = 0.01
"""How far bones differ from one picture to the next, as a share of the picture."""
MARKED = 0.08
"""Share of the displayed range: several times the noise of a picture."""
CORTEX, SPONGY = 1.0, 0.3
"""Attenuation per mm, relative to compact bone."""


def radiograph(
    skeleton: Skeleton,
    findings: Findings,
    view: str,
    left: bool,
    rng: np.random.Generator,
    look: Appearance = LOOK,
    turn: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a radiograph and where its findings are.

    The radiograph is float32 [height, width] in [0, 1], air dark, bone bright; its longer side has 256 px. Bool of the same
    shape is true where a finding changes it by more than `MARKED`.

    Args:
        skeleton: the body part.
        findings: what is wrong with it; where that sits follows from ``findings.seed``, the same in all views.
        view: ``AP``, ``PA``, ``LATERAL`` or ``OBLIQUE``.
        left: a left limb, and the letter that says so.
        rng: of this view: position, exposure, noise.
        look: how strong and large findings are.
        turn: which of the two oblique angles.
    """
    height, width = SHAPES[int(rng.integers(len(SHAPES)))]
    places = Places.draw(skeleton, findings.seed)
    grown = float(np.interp(findings.age_years, (2, 16), (0.82, 1.0)))
    scale = skeleton.span_mm / 256 * float(rng.uniform(0.94, 1.1))
    angles = ANGLES[view]
    angle = angles[turn % len(angles)] + float(rng.uniform(-5, 5))
    x, y, z = np.array(skeleton.center) + rng.uniform(-0.03, 0.03, size=3) * skeleton.span_mm
    frame = Frame(height, width, scale / grown, angle, (x, y, z), float(rng.uniform(-9, 9)), left)
    # No two people have the same bones: space itself is a little different for each picture.
    frame.x += UNLIKE * skeleton.span_mm * _smooth_noise(rng, height, width, 5)
    frame.y += UNLIKE * skeleton.span_mm * _smooth_noise(rng, height, width, 5)
    shown = altered(skeleton, findings, places, look, skeleton.span_mm / 256)

    cortex, spongy, bone = np.zeros_like(frame.x), np.zeros_like(frame.x), np.zeros_like(frame.x)
    plate = plate_mm(findings, look)
    for one in shown.bones:
        hard, soft = one.paths(frame, plate)
        cortex += hard
        spongy += soft
        np.maximum(bone, np.clip((hard + soft) / 4, 0, 1), out=bone)
    spongy *= 1 + 0.07 * _smooth_noise(rng, height, width, 90) + 0.06 * _smooth_noise(rng, height, width, 22)
    mineral = gaussian_filter(CORTEX * cortex + SPONGY * spongy, 0.7)
    flesh = gaussian_filter(solids(shown.tissue, frame), 2.5)
    image = 0.26 * (flesh / np.quantile(flesh[::4, ::4], 0.95)) ** 0.75 * (1 + 0.05 * _smooth_noise(rng, height, width, 9))
    image += 0.54 * (mineral / np.quantile(mineral[bone > 0.5], 0.93)) ** 0.85
    image = 0.82 * np.tanh(image / 0.82)
    without = image
    image = painted(image, bone, frame, shown, findings, places, look, lateral=view == "LATERAL")
    marked = np.abs(image - without) > MARKED

    image = 0.03 + 0.95 * image * float(rng.uniform(0.9, 1.06)) + 0.02 * _smooth_noise(rng, height, width, 6)
    image = _collimated(image, rng)
    _mark(image, "L" if left else "R", rng)
    image += float(rng.uniform(0.008, 0.016)) * rng.standard_normal((height, width), np.float32)
    return np.clip(image, 0, 1).astype(np.float32), marked


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Noise of unit variance whose spots are a ``cells``-th of the picture wide."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _collimated(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the pictures show the edges of the beam, beyond which there is almost nothing."""
    margins = rng.integers(3, 12, size=4) if rng.random() < 0.5 else np.zeros(4, int)
    top, bottom, left, right = (int(margin) for margin in margins)
    height, width = image.shape
    lit = np.full_like(image, 0.06)
    lit[top : height - bottom, left : width - right] = 1
    return image * lit


def _mark(image: np.ndarray, letter: str, rng: np.random.Generator) -> None:
    """Burn the lead letter of the side into a corner."""
    height, width = image.shape
    size = int(rng.integers(18, 25))
    x = int(rng.integers(12, 20)) if rng.random() < 0.5 else width - size - int(rng.integers(8, 16))
    y = int(rng.integers(10, 22)) if rng.random() < 0.7 else height - size - int(rng.integers(14, 24))
    stamp = Image.new("L", (width, height))
    ImageDraw.Draw(stamp).text((x, y), letter, fill=255, font=ImageFont.load_default(size))
    lead = np.asarray(stamp, np.float32) / 255
    np.maximum(image, 0.55 * lead, out=image)
