"""Six body parts as solids in space, and how much of each kind of tissue an X-ray crosses on its way to every pixel.

Millimetres; x points to the lateral side of a right limb, y to the feet, z to the front; the joint is at the origin. A view is
an angle about y: 0 looks from the front (AP, PA), 90 from the side (LATERAL). Bones are hollow: the path through the cortex
is longest at the edges, which is why an X-ray shows a bone as a bright outline around a grayer inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator

Point = tuple[float, float, float]
SAMPLES = 256


class Frame:
    """A picture's pixels in millimetres of the body, seen at ``angle`` degrees about y.

    Args:
        height, width: px.
        scale: mm per px.
        angle: of the view, degrees.
        center: the point of the body in the middle of the picture, mm.
        rotation: of the picture, degrees.
        mirror: a left limb.
    """

    def __init__(
        self, height: int, width: int, scale: float, angle: float, center: Point, rotation: float, mirror: bool
    ) -> None:
        self.scale = scale
        self.turn = np.deg2rad(angle)
        down, right = np.indices((height, width), np.float32)
        right = (right - (width - 1) / 2) * scale * (-1 if mirror else 1)
        down = (down - (height - 1) / 2) * scale
        cos, sin = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
        x, y = self.project(center)
        self.x = (right * cos + down * sin + x).astype(np.float32)
        self.y = (down * cos - right * sin + y).astype(np.float32)

    def project(self, point: Point) -> tuple[float, float]:
        """Return where a point of the body falls, in the plane of the picture, mm."""
        x, y, z = point
        return x * float(np.cos(self.turn)) + z * float(np.sin(self.turn)), y

    def window(self, x: tuple[float, float], y: tuple[float, float]) -> tuple[slice, slice] | None:
        """Return the smallest block of pixels that covers a box of the picture plane, or nothing if it is out of sight."""
        rows = np.flatnonzero(((self.y >= y[0]) & (self.y <= y[1]) & (self.x >= x[0]) & (self.x <= x[1])).any(axis=1))
        if not len(rows):
            return None
        inside = (self.x[rows] >= x[0]) & (self.x[rows] <= x[1]) & (self.y[rows] >= y[0]) & (self.y[rows] <= y[1])
        columns = np.flatnonzero(inside.any(axis=0))
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@cache
def _smooth(profile: tuple[tuple[float, float, float], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return a shaft's half-widths and half-depths at `SAMPLES` places along it, without overshoot between the given ones."""
    table = np.array(profile)
    widths, depths = (PchipInterpolator(table[:, 0], table[:, i])(np.linspace(0, 1, SAMPLES)) for i in (1, 2))
    return widths, depths


@dataclass(frozen=True)
class Break:
    """A displaced fracture of a shaft: a gap at ``at`` (share of its length), the part towards ``loose`` moved away."""

    at: float
    gap_mm: float
    tilt: float
    shift: Point
    loose: int


@dataclass(frozen=True)
class Shaft:
    """A tube from ``start`` to ``end`` with elliptic sections.

    ``profile`` lists (share of the length, half-width along x, half-depth along z in mm); in between the widths run smoothly.
    """

    start: Point
    end: Point
    profile: tuple[tuple[float, float, float], ...]
    cortex: float = 2.2
    fracture: Break | None = None

    def thickness(self, frame: Frame) -> list[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
        """Return where the shaft falls, and the path through all of it and through its inside, mm."""
        (x0, y0), (x1, y1) = frame.project(self.start), frame.project(self.end)
        length = float(np.hypot(x1 - x0, y1 - y0))
        shares = np.linspace(0, 1, SAMPLES)
        along_x, along_z = _smooth(self.profile)
        cos, sin = np.cos(frame.turn), np.sin(frame.turn)
        half = np.hypot(along_x * cos, along_z * sin)
        ends = np.sqrt(np.clip(np.minimum(shares, 1 - shares) * length / 2.5, 0, 1))
        half = np.maximum(half * (0.75 + 0.25 * ends), 0.1)
        depth = along_x * along_z / half
        # The cortex is thick in the middle of a shaft and thin at its ends.
        cortex = self.cortex * (0.3 + 0.7 * np.clip(1.3 * (half.min() / half), 0, 1) ** 2)
        reach = float(half.max()) + (max(map(abs, self.fracture.shift)) * 1.5 if self.fracture else 0)
        window = frame.window((min(x0, x1) - reach, max(x0, x1) + reach), (min(y0, y1) - reach, max(y0, y1) + reach))
        if window is None:
            return []
        x, y = frame.x[window] - x0, frame.y[window] - y0
        u, v = (x1 - x0) / length, (y1 - y0) / length
        along, across = x * u + y * v, y * u - x * v
        whole = np.ones_like(along)
        if self.fracture:
            beyond = along + self.fracture.tilt * across - self.fracture.at * length
            loose = beyond * self.fracture.loose > 0
            away = frame.project(self.fracture.shift)
            across = np.where(loose, across - (away[1] * u - away[0] * v), across)
            whole = np.clip((np.abs(beyond) - self.fracture.gap_mm / 2) / frame.scale + 0.5, 0, 1)
        index = np.clip(along / length * (SAMPLES - 1), 0, SAMPLES - 1).astype(np.int32)
        whole *= np.clip(np.minimum(along, length - along) / frame.scale + 0.5, 0, 1)
        half, depth, cortex = (one.astype(np.float32)[index] for one in (half, depth, cortex))
        outer = 2 * depth * np.sqrt(np.clip(1 - (across / half) ** 2, 0, None))
        inner_half = np.maximum(half - cortex, 0.05)
        inner = 2 * depth * (inner_half / half) * np.sqrt(np.clip(1 - (across / inner_half) ** 2, 0, None))
        return [(window, outer * whole, inner * whole)]


@dataclass(frozen=True)
class Ellipsoid:
    """A rounded bone, or a rounded part of one: half-axes in mm, turned by ``tilt`` degrees in the x-y plane."""

    center: Point
    axes: Point
    tilt: float = 0.0
    cortex: float = 1.3

    def thickness(self, frame: Frame) -> list[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
        """Return where the ellipsoid falls, and the path through all of it and through its inside, mm."""
        a, b = np.cos(np.deg2rad(self.tilt)), np.sin(np.deg2rad(self.tilt))
        cos, sin = np.cos(frame.turn), np.sin(frame.turn)
        to_body = np.array([[a, b, 0], [-b, a, 0], [0, 0, 1]]) @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
        form = to_body.T @ np.diag(1 / np.array(self.axes) ** 2) @ to_body
        # A line of sight leaves the quadratic form's Schur complement: an ellipse in the picture, a root of it in depth.
        flat = form[:2, :2] - np.outer(form[:2, 2], form[2, :2]) / form[2, 2]
        x0, y0 = frame.project(self.center)
        reach = np.sqrt(np.diag(np.linalg.inv(flat)))
        window = frame.window((x0 - reach[0], x0 + reach[0]), (y0 - reach[1], y0 + reach[1]))
        if window is None:
            return []
        x, y = frame.x[window] - x0, frame.y[window] - y0
        q = (flat[0, 0] * x * x + 2 * flat[0, 1] * x * y + flat[1, 1] * y * y).astype(np.float32)
        deepest = float(2 / np.sqrt(form[2, 2]))
        hollow = max(1 - self.cortex / min(self.axes), 0.05)
        outer = deepest * np.sqrt(np.clip(1 - q, 0, None))
        inner = deepest * hollow * np.sqrt(np.clip(1 - q / hollow**2, 0, None))
        return [(window, outer, inner)]


@dataclass(frozen=True)
class Plate:
    """A growth plate: a cut through a bone at ``center``, falling by ``slope`` towards lateral, ``half`` mm to each side."""

    center: Point
    half: float
    slope: float = 0.0

    def away(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Return how far each pixel is from the plate's middle, mm, and its share beside the plate, not past its ends."""
        x, y = frame.project(self.center)
        off = frame.x - x
        slope = self.slope * float(np.cos(frame.turn))
        away = np.abs((frame.y - y - slope * off) / np.hypot(1, slope) + 0.8 * np.sin(off / 5))
        return away, np.clip((self.half - np.abs(off)) / frame.scale, 0, 1)


@dataclass(frozen=True)
class Bone:
    """Parts grown together: where they overlap, the ray crosses the thickest of them, not their sum."""

    name: str
    parts: tuple[Shaft | Ellipsoid, ...]
    plate: Plate | None = None
    density: float = 1.0
    distal: bool = False

    def paths(self, frame: Frame, plate_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the paths through cortex and through spongy bone, mm, float32 [height, width]."""
        outer, inner = np.zeros_like(frame.x), np.zeros_like(frame.x)
        for part in self.parts:
            for window, whole, inside in part.thickness(frame):
                np.maximum(outer[window], whole, out=outer[window])
                np.maximum(inner[window], inside, out=inner[window])
        if self.plate and plate_mm:
            away, beside = self.plate.away(frame)
            lucent = 0.9 * beside * np.clip(0.5 - (away - plate_mm / 2) / frame.scale, 0, 1)
            outer *= 1 - lucent
            inner *= 1 - lucent
        return (outer - np.minimum(inner, outer)) * self.density, np.minimum(inner, outer) * self.density


@dataclass(frozen=True)
class Skeleton:
    """One body part, with the places where a finding can sit.

    Attributes:
        name: DICOM Body Part Examined.
        french: as reports say it.
        bones: ``distal`` ones move when the joint space narrows.
        tissue: the soft parts.
        span_mm: the longer side of the picture.
        closing: the way distal bones move when the joint space closes, one unit long; ``space_mm`` at most.
        margins: where osteophytes grow.
        breaks: (bone, share of its length, -1 if the fragment towards the start is loose, 1 towards the end).
        cracks: (middle, half-length mm) of a crack across a bone.
        islands: inside of a bone, clear of its edges.
        shafts: bones that carry plate or nail: (bone, from, to) in shares of its length.
        pouch: (center, half-axes) of the joint's recess in the lateral view.
    """

    name: str
    french: str
    bones: tuple[Bone, ...]
    tissue: tuple[Shaft | Ellipsoid, ...]
    span_mm: float
    center: Point
    closing: Point
    space_mm: float
    margins: tuple[Point, ...]
    breaks: tuple[tuple[str, float, int], ...]
    cracks: tuple[tuple[Point, float], ...]
    islands: tuple[Point, ...]
    shafts: tuple[tuple[str, float, float], ...]
    pouch: tuple[Point, Point]
    views: tuple[str, ...] = field(default=("AP", "LATERAL", "LATERAL", "OBLIQUE"))

    def bone(self, name: str) -> Bone:
        return next(bone for bone in self.bones if bone.name == name)

    def with_break(self, name: str, fracture: Break) -> "Skeleton":
        """Return the skeleton with the first shaft of one bone broken."""
        broken = []
        for bone in self.bones:
            parts = bone.parts
            if bone.name == name:
                first, *rest = parts
                assert isinstance(first, Shaft)
                parts = (replace(first, fracture=fracture), *rest)
            broken.append(replace(bone, parts=parts))
        return replace(self, bones=tuple(broken))

    def narrowed(self, share: float) -> "Skeleton":
        """Return the skeleton with the joint space closed by ``share`` of its width."""
        move = tuple(step * share * self.space_mm for step in self.closing)
        bones = [replace(b, parts=tuple(_moved(p, move) for p in b.parts)) if b.distal else b for b in self.bones]
        return replace(self, bones=tuple(bones))


def _moved(part: Shaft | Ellipsoid, by: Sequence[float]) -> Shaft | Ellipsoid:
    def shift(point: Point) -> Point:
        return (point[0] + by[0], point[1] + by[1], point[2] + by[2])

    if isinstance(part, Shaft):
        return replace(part, start=shift(part.start), end=shift(part.end))
    return replace(part, center=shift(part.center))


def solids(parts: Sequence[Shaft | Ellipsoid], frame: Frame) -> np.ndarray:
    """Return the path through soft tissue, mm: overlapping parts are one body."""
    path = np.zeros_like(frame.x)
    for part in parts:
        for window, whole, _ in part.thickness(frame):
            np.maximum(path[window], whole, out=path[window])
    return path


def _metacarpal(base: Point, head: Point, half: float) -> Bone:
    profile = (
        (0, half * 1.25, half),
        (0.15, half, half),
        (0.5, half * 0.72, half * 0.8),
        (0.85, half * 1.05, half),
        (1, half, half),
    )
    return Bone("metacarpal", (Shaft(base, head, profile, cortex=1.4),), distal=True)


WRIST = Skeleton(
    name="WRIST",
    french="poignet",
    bones=(
        Bone(
            "radius",
            (
                Shaft(
                    (-6, -95, 0),
                    (-8, -1, 0),
                    ((0, 6.5, 6), (0.55, 7, 6.5), (0.8, 11, 8.5), (0.92, 15, 10.5), (1, 14.5, 9.5)),
                ),
                Ellipsoid((-17, 1, 0), (4.5, 6, 5), 20),
            ),
            Plate((-8, -11, 0), 18, 0.06),
        ),
        Bone(
            "ulna",
            (
                Shaft((15, -95, -3), (16, -4, -4), ((0, 6, 6), (0.7, 5, 5), (0.88, 6.5, 6), (1, 8, 7))),
                Ellipsoid((21, -3, -5), (2.5, 5, 2.5), 10),
            ),
            Plate((16, -12, -4), 9),
        ),
        Bone("scaphoid", (Ellipsoid((-12, 9, 1), (6.5, 10.5, 7), 28),), distal=True),
        Bone("lunate", (Ellipsoid((1, 7, 0), (7.5, 7, 8.5), -6),), distal=True),
        Bone("triquetrum", (Ellipsoid((13, 9.5, -2), (6, 6.5, 6), -15),), distal=True),
        Bone("pisiform", (Ellipsoid((14, 11, 8), (4, 4.5, 4)),), distal=True),
        Bone("trapezium", (Ellipsoid((-20, 23, 4), (6.5, 6.5, 6), 30),), distal=True),
        Bone("trapezoid", (Ellipsoid((-10, 23, 0), (5, 5.5, 6)),), distal=True),
        Bone("capitate", (Ellipsoid((1, 20, 0), (6, 9.5, 7.5)),), distal=True),
        Bone("hamate", (Ellipsoid((11.5, 20, 1), (6.5, 8, 8), -12),), distal=True),
        _metacarpal((-26, 30, 8), (-44, 62, 16), 6.0),
        _metacarpal((-12, 31, 1), (-19, 82, 3), 6.2),
        _metacarpal((0, 32, 1), (-2, 84, 3), 6.0),
        _metacarpal((9, 31, 0), (14, 78, 2), 5.2),
        _metacarpal((16, 30, -1), (28, 73, 1), 5.4),
    ),
    tissue=(
        Shaft((4, -110, -1), (-1, 110, 2), ((0, 29, 22), (0.3, 27, 20), (0.5, 28, 17), (0.7, 39, 15), (1, 44, 13))),
        Ellipsoid((-34, 48, 10), (12, 34, 10), 28),
    ),
    span_mm=138,
    center=(-2, -4, 0),
    closing=(0, -1, 0),
    space_mm=2.0,
    margins=((-21, 3, 3), (8, 1, 6), (-19, -3, -4), (20, 5, -2)),
    breaks=(("radius", 0.62, -1), ("ulna", 0.66, -1)),
    cracks=(((-8, -17, 0), 15), ((-12, 9, 1), 11)),
    islands=((-8, -7, 0), (-5, -20, 0), (1, 20, 0)),
    shafts=(("radius", 0.3, 0.92),),
    pouch=((0, 2, 15), (9, 17, 1)),
    views=("PA", "LATERAL", "LATERAL", "OBLIQUE"),
)

KNEE = Skeleton(
    name="KNEE",
    french="genou",
    bones=(
        Bone(
            "femur",
            (
                Shaft(
                    (2, -150, 2),
                    (0, -13, 0),
                    ((0, 15, 15), (0.5, 16, 15), (0.72, 22, 17), (0.86, 34, 22), (0.95, 39, 25), (1, 37, 25)),
                    cortex=4.5,
                ),
                Ellipsoid((-21, -19, -7), (19.5, 19, 30), 4),
                Ellipsoid((21, -19, -6), (19, 18, 28), -4),
            ),
            Plate((0, -40, 0), 45),
        ),
        Bone(
            "tibia",
            (
                Shaft(
                    (0, 4.5, -2),
                    (-2, 150, 2),
                    ((0, 38, 24), (0.06, 38.5, 25), (0.17, 33, 23), (0.32, 21, 18), (0.6, 15, 16), (1, 14, 15)),
                    cortex=4.2,
                ),
                Ellipsoid((0, 5.5, 0), (8, 5.5, 8)),
            ),
            Plate((0, 21, 0), 42),
            distal=True,
        ),
        Bone(
            "fibula",
            (Shaft((33, 20, -17), (29, 150, -14), ((0, 8, 8), (0.08, 9.5, 9), (0.2, 6, 6), (1, 6, 6.5))),),
            distal=True,
        ),
        Bone("patella", (Ellipsoid((2, -29, 35), (21, 22, 9.5)),)),
    ),
    tissue=(
        Shaft((0, -160, 0), (0, 160, -4), ((0, 68, 66), (0.3, 58, 58), (0.5, 53, 54), (0.7, 52, 55), (1, 49, 52))),
        Ellipsoid((0, 60, -32), (44, 80, 34)),
    ),
    span_mm=205,
    center=(0, -3, 2),
    closing=(0, -1, 0),
    space_mm=4.8,
    margins=((-41, -4, 0), (41, -4, 2), (-41, 8, 2), (41, 8, 0), (0, 6, 24), (0, -52, 33)),
    breaks=(("femur", 0.6, -1), ("tibia", 0.4, 1)),
    cracks=(((0, 32, 0), 27), ((0, -50, 0), 26)),
    islands=((-17, -25, -2), (15, 17, 0), (-14, 30, 0), (18, -27, -2)),
    shafts=(("tibia", 0.06, 0.62), ("femur", 0.4, 0.95)),
    pouch=((0, -62, 34), (12, 27, 1)),
)

ANKLE = Skeleton(
    name="ANKLE",
    french="cheville",
    bones=(
        Bone(
            "tibia",
            (
                Shaft(
                    (-3, -150, 0),
                    (-2, -3, 0),
                    ((0, 13, 14), (0.6, 12.5, 13), (0.82, 17, 16), (0.94, 23, 20), (1, 22.5, 20)),
                    cortex=4,
                ),
                Ellipsoid((-20, 0, 2), (6, 14, 11), -6),
            ),
            Plate((-2, -16, 0), 30),
        ),
        Bone(
            "fibula",
            (Shaft((22, -150, -10), (26, 13, -7), ((0, 6.5, 6.5), (0.7, 6, 6.5), (0.86, 9, 9), (0.94, 9, 10), (1, 5.5, 7))),),
            Plate((25, -8, -8), 12),
        ),
        Bone("talus", (Ellipsoid((1, 14, 4), (19.5, 12.5, 25)), Ellipsoid((-2, 19, 24), (13, 9.5, 12))), distal=True),
        Bone("calcaneus", (Ellipsoid((3, 36, -18), (14, 15, 27)), Ellipsoid((5, 34, 6), (14, 9.5, 24))), distal=True),
        Bone("navicular", (Ellipsoid((-5, 20, 40), (15, 10.5, 6.5)),), distal=True),
        Bone("cuboid", (Ellipsoid((13, 34, 36), (10.5, 9, 13)),), distal=True),
        Bone("cuneiform", (Ellipsoid((-6, 25, 54), (16, 9, 8)),), distal=True),
        Bone(
            "metatarsals", (Ellipsoid((-15, 36, 86), (7, 6, 27)), Ellipsoid((10, 40, 84), (6, 5, 30))), density=0.8, distal=True
        ),
    ),
    tissue=(
        Shaft((0, -160, -4), (0, 20, -4), ((0, 44, 48), (0.5, 34, 38), (0.85, 36, 37), (1, 37, 36))),
        Ellipsoid((1, 25, 0), (38, 30, 54)),
        Ellipsoid((0, 36, 60), (38, 20, 74)),
    ),
    span_mm=178,
    center=(0, -14, 12),
    closing=(0, -1, 0),
    space_mm=3.6,
    margins=((-22, 6, 8), (-14, -2, 20), (18, 3, 18), (0, -2, -20), (-2, 5, 30)),
    breaks=(("tibia", 0.62, -1), ("fibula", 0.78, -1)),
    cracks=(((-2, -28, 0), 20), ((25, -6, -8), 11)),
    islands=((-2, -9, 0), (1, 14, 6), (3, 36, -20), (-4, -26, 0)),
    shafts=(("tibia", 0.45, 0.95), ("fibula", 0.5, 0.97)),
    pouch=((0, -2, 28), (9, 17, 1)),
)

ELBOW = Skeleton(
    name="ELBOW",
    french="coude",
    bones=(
        Bone(
            "humerus",
            (
                Shaft(
                    (0, -130, 0),
                    (0, -7, 1),
                    ((0, 11, 11), (0.45, 11.5, 10), (0.72, 16, 9), (0.9, 28, 8.5), (1, 24, 8)),
                    cortex=3.6,
                ),
                Ellipsoid((-10, -6, 3), (12, 9, 9.5), 8),
                Ellipsoid((13, -6, 5), (10, 9, 10)),
                Ellipsoid((-28, -17, -1), (8, 9, 6), 30),
            ),
            Plate((2, -13, 0), 34, 0.0),
        ),
        Bone(
            "ulna",
            (
                Shaft((-7, 6, -3), (0, 125, -4), ((0, 12.5, 10), (0.14, 10, 9), (0.4, 7.5, 7.5), (1, 6.5, 6.5)), cortex=2.8),
                Ellipsoid((-6, -8, -13), (10, 20, 6.5), 4),
                Ellipsoid((-8, 8, 9), (8, 6, 6)),
            ),
            distal=True,
        ),
        Bone(
            "radius",
            (
                Shaft(
                    (14, 6, 4),
                    (18, 125, 3),
                    ((0, 11, 11), (0.06, 11, 11), (0.15, 7, 7), (0.27, 9, 8), (0.5, 7.2, 7), (1, 7, 7)),
                    cortex=2.6,
                ),
            ),
            Plate((14, 14, 4), 13),
            distal=True,
        ),
    ),
    tissue=(Shaft((0, -140, 0), (4, 140, 0), ((0, 45, 48), (0.35, 41, 40), (0.5, 44, 36), (0.65, 43, 38), (1, 33, 31))),),
    span_mm=165,
    center=(0, -2, 0),
    closing=(0, -1, 0),
    space_mm=3.2,
    margins=((-22, 3, 2), (24, 0, 4), (-8, 4, 15), (-6, -26, -15)),
    breaks=(("humerus", 0.64, -1), ("radius", 0.36, 1), ("ulna", 0.34, 1)),
    cracks=(((0, -28, 0), 17), ((14, 16, 4), 10)),
    islands=((-10, -10, 2), (13, -9, 4), (-6, 16, -2)),
    shafts=(("humerus", 0.3, 0.9), ("ulna", 0.1, 0.8)),
    pouch=((0, -27, 17), (9, 19, 1)),
)

SHOULDER = Skeleton(
    name="SHOULDER",
    french="épaule",
    bones=(
        Bone(
            "humerus",
            (
                Shaft(
                    (8, 6, 0),
                    (20, 165, 0),
                    ((0, 23, 21), (0.12, 21, 18), (0.3, 13.5, 13), (0.6, 12, 12), (1, 12, 12)),
                    cortex=4,
                ),
                Ellipsoid((2, -3, 0), (23, 23, 23)),
                Ellipsoid((21, 2, 2), (9, 15, 13), -12),
            ),
            Plate((10, 14, 0), 30, -0.25),
            distal=True,
        ),
        Bone(
            "scapula",
            (
                Ellipsoid((-32, 4, -2), (8, 21, 13), 6),
                Ellipsoid((-58, 46, -12), (22, 62, 5), -14, cortex=2),
                Ellipsoid((-40, 18, -6), (13, 24, 9), -30),
            ),
            density=0.75,
        ),
        Bone("acromion", (Ellipsoid((4, -37, -8), (25, 5.5, 13), 12), Ellipsoid((-42, -30, -18), (34, 5, 5), -8)), density=0.8),
        Bone("coracoid", (Ellipsoid((-26, -22, 16), (10, 8, 13), 20),), density=0.8),
        Bone("clavicle", (Ellipsoid((-62, -48, 4), (54, 6.5, 6.5), 7, cortex=2.4),)),
        Bone("rib", (Ellipsoid((-108, -18, -20), (62, 7, 12), 24, cortex=2),), density=0.5),
        Bone("rib", (Ellipsoid((-104, 20, -20), (66, 7, 12), 30, cortex=2),), density=0.5),
        Bone("rib", (Ellipsoid((-102, 60, -20), (66, 7, 12), 34, cortex=2),), density=0.5),
    ),
    tissue=(
        Shaft((16, -40, 0), (26, 190, 0), ((0, 4, 6), (0.1, 34, 36), (0.3, 48, 50), (0.6, 40, 44), (1, 38, 40))),
        Ellipsoid((-4, -2, 0), (64, 56, 54)),
        Ellipsoid((-90, 60, 0), (100, 150, 62)),
    ),
    span_mm=205,
    center=(-12, 26, 0),
    closing=(-1, 0, 0),
    space_mm=4.5,
    margins=((-12, 22, 0), (-18, 18, 4), (-14, 24, -8), (-24, 26, 2)),
    breaks=(("humerus", 0.42, 1),),
    cracks=(((10, 26, 0), 19), ((12, 44, 0), 14)),
    islands=((2, -4, 0), (11, 18, 0), (12, 4, 0)),
    shafts=(("humerus", 0.03, 0.68),),
    pouch=((0, 20, 30), (13, 26, 1)),
)

HIP = Skeleton(
    name="HIP",
    french="hanche",
    bones=(
        Bone(
            "femur",
            (
                Shaft(
                    (36, 26, 0),
                    (32, 185, 0),
                    ((0, 18, 16), (0.1, 23, 18), (0.26, 19, 17), (0.45, 16, 16), (1, 15, 15)),
                    cortex=5,
                ),
                Ellipsoid((0, 0, 0), (24, 24, 24), cortex=1.6),
                Ellipsoid((21, 17, 0), (30, 15.5, 15), 40, cortex=2.2),
                Ellipsoid((44, 22, -4), (14, 23, 17), -14),
                Ellipsoid((22, 58, -8), (9, 12, 10)),
            ),
            Plate((10, 9, 0), 15, -1.0),
            distal=True,
        ),
        Bone(
            "pelvis",
            (
                Ellipsoid((-38, -74, -2), (46, 56, 10), 18, cortex=2.2),
                Ellipsoid((-12, -36, 0), (32, 13, 24), 12),
                Ellipsoid((-34, -2, 0), (10, 34, 22), -8),
            ),
            density=0.85,
        ),
        Bone("ischium", (Ellipsoid((-34, 50, -12), (13, 34, 14), -14),), density=0.8),
        Bone("pubis", (Ellipsoid((-62, 18, 12), (34, 9, 9), 14), Ellipsoid((-64, 62, 0), (30, 8, 8), -32)), density=0.75),
    ),
    tissue=(
        Shaft((10, -110, 0), (28, 220, 0), ((0, 5, 8), (0.2, 64, 60), (0.45, 82, 78), (0.7, 76, 74), (1, 68, 70))),
        Ellipsoid((-70, -70, 0), (150, 160, 90)),
    ),
    span_mm=235,
    center=(4, 16, 0),
    closing=(-0.5, -0.87, 0),
    space_mm=4.5,
    margins=((26, -15, 0), (20, -24, 8), (-18, 26, 4), (24, 10, -14), (14, -30, -8)),
    breaks=(("femur", 0.4, 1),),
    cracks=(((22, 18, 0), 16), ((35, 52, 0), 20)),
    islands=((2, 2, 0), (34, 36, 0), (42, 22, -2)),
    shafts=(("femur", 0.05, 0.7),),
    pouch=((0, 12, 34), (14, 28, 1)),
)

SKELETONS = (WRIST, ELBOW, SHOULDER, HIP, KNEE, ANKLE)
