"""What a study shows, drawn once per study, and how each finding looks in the pixels of every view.

All contrasts are shares of the displayed range, all sizes pixels of a radiograph whose longer side is 256. Change how well a
finding can be learned here and nowhere else.
"""

from dataclasses import dataclass

import numpy as np

from .anatomy import Break, Frame, Point, Shaft, Skeleton

LABELS = (
    "fracture",
    "hairline_fracture",
    "osteoarthritis",
    "open_growth_plates",
    "implant",
    "enostosis",
    "effusion",
)


@dataclass(frozen=True)
class Appearance:
    """How strong and how large findings are.

    Attributes:
        hairline_contrast: of a ripple across the bone, dark in the middle, its bright flanks as strong.
        hairline_period: of that ripple, px at 256. Half of it is the width of the dark line. A picture of 64 px holds no period
            below 8 px, one of 128 px none below 4 px: in between lies what the planted effect needs.
        hairline_spread: standard deviation of the ripple's envelope, px: more periods fit into a wider one.
        hairline_length: of the crack, times the width of the bone.
        fracture_gap, fracture_shift: px.
        fracture_lucency, fracture_density: share of the bone's brightness lost in the break, and what is added where fragments
            overlap around it; fracture_radius: of the loss, px.
        enostosis_contrast, enostosis_radius: of the dense island; radius in px.
        effusion_contrast, effusion_size: of the bulge in the lateral view; size times the recess of the joint.
        implant_level: displayed brightness of metal.
        sclerosis_contrast: of the joint margins at grade 4.
        osteophyte_size: at grade 4, px.
        arthritis: share of both at grades 0 to 4: what is called osteoarthritis begins at grade 2, and plainly.
        plate_mm_at_3, plate_mm_at_15: width of a growth plate at these ages, mm.
        plate_rim_contrast: of the dense bands that border it; plate_rim_mm: from their edge to their middle.
    """

    hairline_contrast: float = 1.0
    hairline_period: float = 5.4
    hairline_spread: float = 12.0
    hairline_length: float = 1.3
    fracture_gap: float = 12.0
    fracture_lucency: float = 0.75
    fracture_density: float = 0.6
    fracture_radius: float = 12.0
    fracture_shift: float = 14.0
    enostosis_contrast: float = 0.7
    enostosis_radius: float = 12.0
    effusion_contrast: float = 0.8
    effusion_size: float = 1.5
    implant_level: float = 0.98
    sclerosis_contrast: float = 0.6
    osteophyte_size: float = 9.0
    arthritis: tuple[float, ...] = (0.0, 0.1, 0.6, 0.8, 1.0)
    plate_mm_at_3: float = 8.0
    plate_mm_at_15: float = 5.5
    plate_rim_mm: float = 2.5
    plate_rim_contrast: float = 0.5


@dataclass(frozen=True)
class Findings:
    """The truth of one study.

    Attributes:
        grade: of osteoarthritis, 0 to 4 after Kellgren and Lawrence; missing in children.
        age_years: open growth plates narrow with it.
        seed: of where the findings sit: the same in all views.
    """

    fracture: bool
    hairline_fracture: bool
    grade: int | None
    open_growth_plates: bool
    implant: bool
    enostosis: bool
    effusion: bool
    age_years: int
    seed: int

    def labels(self) -> dict[str, bool]:
        """Return present or absent for each of `LABELS`."""
        return {
            "fracture": self.fracture,
            "hairline_fracture": self.hairline_fracture,
            "osteoarthritis": self.grade is not None and self.grade >= 2,
            "open_growth_plates": self.open_growth_plates,
            "implant": self.implant,
            "enostosis": self.enostosis,
            "effusion": self.effusion,
        }


@dataclass(frozen=True)
class Places:
    """Where the findings of a study sit, in the body: each view projects the same places."""

    fracture: tuple[str, float, int]
    tilt: float
    crack: tuple[Point, float]
    crack_slope: float
    island: Point
    shaft: tuple[str, float, float]
    nail: bool
    plate_side: int

    @classmethod
    def draw(cls, skeleton: Skeleton, seed: int) -> "Places":
        rng = np.random.default_rng((seed, 1))

        def pick(options: tuple) -> tuple:
            return options[int(rng.integers(len(options)))]

        bone, at, loose = pick(skeleton.breaks)
        return cls(
            fracture=(bone, at + float(rng.uniform(-0.05, 0.05)), loose),
            tilt=float(rng.uniform(-0.5, 0.5)),
            crack=pick(skeleton.cracks),
            crack_slope=float(rng.uniform(-0.35, 0.35)),
            island=pick(skeleton.islands),
            shaft=pick(skeleton.shafts),
            nail=bool(rng.random() < 0.4),
            plate_side=1 if rng.random() < 0.7 else -1,
        )


def plate_mm(findings: Findings, look: Appearance) -> float:
    """Return the width of the growth plates, mm; 0 once they are closed."""
    if not findings.open_growth_plates:
        return 0.0
    return float(np.interp(findings.age_years, (3, 15), (look.plate_mm_at_3, look.plate_mm_at_15)))


def altered(skeleton: Skeleton, findings: Findings, places: Places, look: Appearance, scale: float) -> Skeleton:
    """Return the skeleton with what changes its shape: the displaced fracture, the narrowed joint; ``scale`` is mm per px."""
    if findings.fracture:
        bone, at, loose = places.fracture
        shift = look.fracture_shift * scale
        # Equal parts sideways and forwards: displaced in every view.
        skeleton = skeleton.with_break(bone, Break(at, look.fracture_gap * scale, places.tilt, (shift, 0, shift), loose))
    if findings.grade:
        skeleton = skeleton.narrowed((0, 0.2, 0.5, 0.75, 1.0)[findings.grade])
    return skeleton


def painted(
    image: np.ndarray,
    bone: np.ndarray,
    frame: Frame,
    skeleton: Skeleton,
    findings: Findings,
    places: Places,
    look: Appearance,
    lateral: bool,
) -> np.ndarray:
    """Return ``image`` [height, width] in [0, 1] with what changes its brightness; ``bone`` is each pixel's share of bone."""
    if findings.grade:
        image = _arthritic(image, bone, frame, skeleton, findings.grade, look)
    if findings.open_growth_plates:
        image = _bordered(image, bone, frame, skeleton, plate_mm(findings, look), look)
    if findings.effusion and lateral:
        image = _swollen(image, frame, skeleton, look)
    if findings.enostosis:
        radius = look.enostosis_radius * frame.scale
        dense = np.clip((radius - _distance(frame, places.island)) / (0.3 * radius), 0, 1)
        image = image + look.enostosis_contrast * dense
    if findings.fracture:
        away = _distance(frame, _break_point(skeleton, places)) / (look.fracture_radius * frame.scale)
        lost, overlap = np.exp(-(away**2)), np.exp(-(((away - 1.6) / 0.5) ** 2))
        image = image * (1 - look.fracture_lucency * lost * bone) + look.fracture_density * overlap * bone
    if findings.hairline_fracture:
        image = image + bone * _ripple(frame, places, look)
    if findings.implant:
        metal = _metal(frame, skeleton, places)
        image = image * (1 - metal) + look.implant_level * metal
    return image


def _distance(frame: Frame, point: Point) -> np.ndarray:
    x, y = frame.project(point)
    return np.hypot(frame.x - x, frame.y - y)


def _break_point(skeleton: Skeleton, places: Places) -> Point:
    name, at, _ = places.fracture
    shaft = skeleton.bone(name).parts[0]
    assert isinstance(shaft, Shaft)
    x, y, z = (float(a + at * (b - a)) for a, b in zip(shaft.start, shaft.end, strict=True))
    return x, y, z


def _ripple(frame: Frame, places: Places, look: Appearance) -> np.ndarray:
    """A crack: one dark line between bright ones, whose mean over any few pixels is zero."""
    (center, half), slope = places.crack, places.crack_slope
    x, y = frame.project(center)
    off = frame.x - x
    away = (frame.y - y - slope * off - 0.9 * np.sin(off / 6)) / (np.hypot(1, slope) * frame.scale)
    envelope = np.exp(-((away / look.hairline_spread) ** 2) / 2)
    reach = half * look.hairline_length
    ends = np.clip((reach - np.abs(off)) / (3 * frame.scale), 0, 1)
    return -look.hairline_contrast * np.cos(2 * np.pi * away / look.hairline_period) * envelope * ends


def _arthritic(
    image: np.ndarray, bone: np.ndarray, frame: Frame, skeleton: Skeleton, grade: int, look: Appearance
) -> np.ndarray:
    share = look.arthritis[grade]
    size = look.osteophyte_size * share * frame.scale
    halo = np.zeros_like(image)
    for margin in skeleton.margins:
        distance = _distance(frame, margin)
        # A spur is half bone already: faint where it leaves the margin, not a ball of its own.
        image = np.maximum(image, 0.55 * np.clip((size - distance) / (0.9 * size), 0, 1))
        halo = np.maximum(halo, np.exp(-((distance / (2.2 * look.osteophyte_size * frame.scale)) ** 2)))
    return image + look.sclerosis_contrast * share * halo * bone


def _bordered(
    image: np.ndarray, bone: np.ndarray, frame: Frame, skeleton: Skeleton, width_mm: float, look: Appearance
) -> np.ndarray:
    """A dense band on either side of a growing plate: fresh, still unshaped bone."""
    for plate in (one.plate for one in skeleton.bones if one.plate):
        away, beside = plate.away(frame)
        rim = np.exp(-(((away - width_mm / 2) / look.plate_rim_mm - 1) ** 2))
        image = image + look.plate_rim_contrast * rim * beside * bone
    return image


def _swollen(image: np.ndarray, frame: Frame, skeleton: Skeleton, look: Appearance) -> np.ndarray:
    """Fluid in the recess of the joint: a bright oval, and the fat it pushes ahead as a dark rim."""
    (center, (half_x, half_y, _)) = skeleton.pouch
    x, y = frame.project(center)
    radius = np.hypot((frame.x - x) / (half_x * look.effusion_size), (frame.y - y) / (half_y * look.effusion_size))
    fluid = np.clip((1 - radius) / 0.25, 0, 1)
    rim = np.clip(1 - np.abs(radius - 1.25) / 0.25, 0, 1) * np.clip(image / 0.2, 0, 1)
    return image + look.effusion_contrast * (fluid - 0.4 * rim)


def _metal(frame: Frame, skeleton: Skeleton, places: Places) -> np.ndarray:
    """Share of metal in each pixel: a nail with its locking screws, or a plate with screws across the bone."""
    name, start, end = places.shaft
    shaft = skeleton.bone(name).parts[0]
    assert isinstance(shaft, Shaft)
    a, b = np.array(shaft.start), np.array(shaft.end)
    table = np.array(shaft.profile)

    def axis(at: float) -> np.ndarray:
        return a + at * (b - a)

    def half(at: float) -> tuple[float, float]:
        return float(np.interp(at, table[:, 0], table[:, 1])), float(np.interp(at, table[:, 0], table[:, 2]))

    thin = min(half(start)[0], half(end)[0], half((start + end) / 2)[0])
    side = places.plate_side
    if places.nail:
        metal = _rod(frame, axis(start), axis(end), max(0.42 * thin, 1.6))
        crossed = [start + 0.06 * (end - start), start + 0.14 * (end - start), end - 0.1 * (end - start)]
        for at in crossed:
            across = np.array([half(at)[0], 1.5, 0.5 * half(at)[1]])
            metal = np.maximum(metal, _rod(frame, axis(at) - across, axis(at) + across, 0.17 * thin))
        return metal
    metal = np.zeros_like(frame.x)
    holes = np.linspace(start, end, 6)
    last = None
    for at in holes:
        wide, deep = half(float(at))
        out = np.array([side * wide, 0.0, 0.7 * deep])
        head = axis(float(at)) + out * 1.04
        if last is not None:
            metal = np.maximum(metal, _rod(frame, last, head, max(0.16 * thin, 1.1)))
        metal = np.maximum(metal, _rod(frame, head, axis(float(at)) - out * 0.7, max(0.11 * thin, 0.75)))
        metal = np.maximum(metal, _rod(frame, head, head, max(0.24 * thin, 1.7)))
        last = head
    return metal


def _rod(frame: Frame, start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """Share of each pixel that a rod with round ends covers."""
    (x0, y0), (x1, y1) = frame.project(tuple(start)), frame.project(tuple(end))
    covered = np.zeros_like(frame.x)
    reach = radius + frame.scale
    window = frame.window((min(x0, x1) - reach, max(x0, x1) + reach), (min(y0, y1) - reach, max(y0, y1) + reach))
    if window is None:
        return covered
    x, y = frame.x[window] - x0, frame.y[window] - y0
    dx, dy = x1 - x0, y1 - y0
    at = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    covered[window] = np.clip((radius - np.hypot(x - at * dx, y - at * dy)) / frame.scale + 0.5, 0, 1)
    return covered
