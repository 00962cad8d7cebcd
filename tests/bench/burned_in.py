"""Is text found that was burned into radiographs, and nothing else? ``python tests/bench/burned_in.py [DICOM [SEED ...]]``.

DICOM is the folder of public radiographs; without it only phantom radiographs are looked at. Three questions, each figure
beside its bar, exit code 1 if one is missed: are the known boxes of burned-in identities covered, are 96 French strings a seed
(14 to 48 px, white, gray or black, in the corners of real radiographs) covered, and is anything painted over in radiographs
without text? Then seconds of one core per image, and what looking only where strokes are saves against looking everywhere: four
minutes.
"""

import datetime
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from radsweep.datasets.dicom import burned_in
from radsweep.datasets.images import read_pixels
from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.refusal import Refused
from radsweep.datasets.reports.found import words

STRINGS, SEEDS = 96, (1, 2)
SMALLEST, LARGEST = 14, 48
LEGIBLE = 60
"""Gray levels between a string and what is behind it, on nine tenths of its letters."""
COVERED_BOX, COVERED_STRING = 0.9, 0.8
FONTS = words("DejaVuSans DejaVuSans-Bold DejaVuSansMono DejaVuSansMono-Bold DejaVuSerif STIXGeneral STIXGeneralBol")
FAMILY = words(
    "DUPONT Lefèvre MARTIN Béranger VAN_DEN_BROECK Janssens Müller PEETERS Lambert D'Hondt Nguyen ÉTIENNE Garçon Haddad "
    "Saint-Just O'Brien Gonçalves CHÂTEAU Lemaître Öztürk"
)
GIVEN = words("Gaëlle François Zoé Benoît Élodie Noël Hélène Jean-Luc Aïcha Raphaël MARIE Théo Ines Loïc CÉLINE Wout Anaïs")
PLACES = ("CHU de Liège", "Clinique Saint-Jean", "Hôpital Érasme", "CHR Namur", "Cliniques de l'Europe", "CH Alès")
DAVIDSON = ((0, 0, 37, 241), (0, 262, 36, 492), (0, 510, 45, 570), (1, 588, 36, 814), (47, 145, 82, 363))
KAUFMAN = ((0, 1, 11, 73), (0, 79, 11, 129), (0, 134, 14, 153), (0, 159, 11, 229), (15, 46, 26, 114))
PUBLISHED = {
    "chest_fakephi_burnedin_rle.dcm": DAVIDSON,
    "burned_in_png/pseudo_phi_0.png": DAVIDSON,
    "ct_fakephi_burnedin_NOT_XRAY.dcm": KAUFMAN,
}
"""Top, left, bottom and right of names, sex and dates, less the 25 px that the published boxes stand too far down and right."""
Rectangle = tuple[int, int, int, int]
Line = tuple[str, float, str, float]


@dataclass(frozen=True)
class Case:
    """A radiograph with a string burned in."""

    pixels: np.ndarray
    where: Rectangle
    ink: np.ndarray
    size: int
    text: str


def string(rng: np.random.Generator) -> str:
    """One string as French consoles burn in: names, dates, numbers, places."""
    family, given, place = (str(rng.choice(options)).replace("_", " ") for options in (FAMILY, GIVEN, PLACES))
    day = datetime.date(1925, 1, 1) + datetime.timedelta(days=int(rng.integers(36_000)))
    date = day.strftime(str(rng.choice(["%d/%m/%Y", "%d.%m.%Y", "%d-%m-%y", "%Y%m%d"])))
    number = int(rng.integers(10**5, 10**8))
    written = (
        f"{family} {given}",
        f"{given} {family} ({rng.choice(['M', 'F'])})",
        f"{family.upper()}^{given.upper()}",
        family,
        date,
        f"Né le {date}",
        f"Née : {date}",
        f"IPP {number}",
        f"N° {number}",
        f"Dr {family}",
        place,
        f"{place} {date}",
        f"{rng.integers(24):02}:{rng.integers(60):02}:{rng.integers(60):02}",
    )
    return str(rng.choice(written))


def cases(radiographs: list[np.ndarray], seed: int, count: int) -> Iterator[Case]:
    """Strings in corners; one that could not be read by eye, or does not fit, is drawn anew."""
    rng = np.random.default_rng(seed)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    while count:
        pixels = radiographs[rng.integers(len(radiographs))]
        text, size, margin = string(rng), int(rng.integers(SMALLEST, LARGEST + 1)), int(rng.integers(2, 40))
        font = ImageFont.truetype(str(fonts / f"{rng.choice(FONTS)}.ttf"), size)
        left, top, right, bottom = map(int, font.getbbox(text))
        high, wide = bottom - top, right - left
        height, width = pixels.shape
        x = margin if rng.random() < 0.5 else width - wide - margin
        y = margin if rng.random() < 0.5 else height - high - margin
        shade = int(rng.choice([255, 170, 0]))
        if min(x, y) < 0 or x + wide > width or y + high > height:
            continue
        canvas = Image.new("L", (width, height))
        ImageDraw.Draw(canvas).text((x - left, y - top), text, fill=255, font=font)
        ink = np.asarray(canvas)
        legible = np.abs(pixels[ink > 127].astype(int) - shade) >= LEGIBLE
        if legible.mean() < 0.9:
            continue
        share = ink / 255
        count -= 1
        yield Case(np.round(pixels * (1 - share) + shade * share).astype(np.uint8), (y, x, y + high, x + wide), ink, size, text)


def covered(where: Rectangle, gone: np.ndarray) -> float:
    """Share of a rectangle that is painted over."""
    top, left, bottom, right = where
    return float(gone[top:bottom, left:right].mean())


def gone(pixels: np.ndarray) -> np.ndarray:
    """Where something is painted over: bool [height, width]."""
    mask = np.zeros(pixels.shape, bool)
    for box in burned_in.find_text(pixels):
        if box.kind != "marker":
            mask[box.top : box.bottom, box.left : box.right] = True
    return mask


def paint_overs(images: dict[str, np.ndarray]) -> tuple[int, float]:
    """Boxes painted over in images, each told, and seconds per image."""
    total, start = 0, time.process_time()
    for name, pixels in images.items():
        try:
            boxes = [box for box in burned_in.find_text(pixels) if box.kind != "marker"]
        except Refused as refused:
            print(f"    {name}: refused, {refused}")
            total += 1
            continue
        total += len(boxes)
        for box in boxes:
            print(f"    {name} {pixels.shape}: {box}")
    return total, (time.process_time() - start) / max(len(images), 1)


def looked_at(images: dict[str, np.ndarray]) -> tuple[float, float]:
    """Mean share of the image that the detector sees, and share of images that it need not see at all."""
    shares = []
    for pixels in images.values():
        working, _ = burned_in.working_copy(pixels)
        shares.append(sum(wide * high for _, _, wide, high in burned_in.windows(working)) / working.size)
    return float(np.mean(shares)), float(np.mean([share == 0 for share in shares]))


def read_all(paths: list[Path]) -> dict[str, np.ndarray]:
    """Readable images by name."""
    images = {}
    for path in paths:
        try:
            images[f"{path.parent.name}/{path.name}"] = read_pixels(path)
        except Refused:
            continue
    return images


def everywhere(working: np.ndarray) -> list[Rectangle]:
    """One window: the whole image."""
    return [(0, 0, working.shape[1], working.shape[0])]


def planted(folder: Path, plain: dict[str, np.ndarray], seeds: Sequence[int]) -> Iterator[Line]:
    """Published boxes of burned-in identities, and strings of our own in the corners of plain radiographs: what is covered."""
    found, total = 0, 0
    for name, boxes in PUBLISHED.items():
        pixels = read_pixels(folder / name)
        mask = gone(pixels)
        total += len(boxes)
        found += sum(covered(box, mask) >= COVERED_BOX for box in boxes)
    yield f"identities burned into public images, of {total}, covered by 90 %", found, ">=", total
    for seed in seeds:
        shares, inks, missed, seconds = [], [], [], 0.0
        for case in cases(list(plain.values()), seed, STRINGS):
            start = time.process_time()
            mask = gone(case.pixels)
            seconds += time.process_time() - start
            shares.append(covered(case.where, mask))
            inks.append(mask[case.ink > 127].mean())
            if shares[-1] < COVERED_STRING:
                missed.append(f"{case.size} px, {shares[-1]:.2f}")
        print(
            f"seed {seed}: {seconds / STRINGS:.2f} s per image, touched {np.mean(np.array(shares) > 0):.1%}, "
            f"ink gone {np.mean(inks):.2%}, missed: {'; '.join(missed) or 'none'}"
        )
        yield f"strings covered by 80 %, seed {seed}", float(np.mean(np.array(shares) >= COVERED_STRING)), ">=", 0.99


def main() -> int:
    """Measure, print, judge."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    seeds = [int(seed) for seed in sys.argv[2:]] or SEEDS
    burned_in.find_text(np.zeros((64, 64), np.uint8))  # loads the models
    lines: list[Line] = []
    sets: dict[str, dict[str, np.ndarray]] = {}
    if folder is None:
        print("no folder of public radiographs is named: phantom radiographs only")
    else:
        plain = read_all([path for path in sorted(folder.glob("*.dcm")) if "burnedin" not in path.name])
        sets["real radiographs"] = {name: pixels for name, pixels in plain.items() if min(pixels.shape) > 400}
        lines += planted(folder, sets["real radiographs"], seeds)

    with tempfile.TemporaryDirectory() as temporary:
        write_hospital(Path(temporary) / "hospital", 12, seeds[0], lambda *_: None)
        sets["phantom radiographs"] = read_all(sorted((Path(temporary) / "hospital" / "dicom").rglob("IM*")))
    for name, images in sets.items():
        count, seconds = paint_overs(images)
        lines.append((f"paint-overs in {len(images)} {name} without text ({seconds:.2f} s per image)", count, "<=", 0))

    for beside in ("chest_eval", "bone"):
        if folder is not None and (folder.parent / beside / "images").is_dir():
            sets[beside] = read_all(sorted((folder.parent / beside / "images").iterdir())[::8])
    narrow = burned_in.windows
    for name, images in sets.items():
        share, none = looked_at(images)
        start = time.process_time()
        for pixels in images.values():
            list(burned_in.lines(pixels))
        quick = time.process_time() - start
        burned_in.windows = everywhere
        start = time.process_time()
        for pixels in images.values():
            list(burned_in.lines(pixels))
        slow = time.process_time() - start
        burned_in.windows = narrow
        print(
            f"{name}: the detector sees {share:.0%} of an image, nothing at all of {none:.0%} of images; "
            f"{quick / len(images):.2f} s per image against {slow / len(images):.2f} s everywhere"
        )
    for what, figure, relation, bar in lines:
        good = figure >= bar if relation == ">=" else figure <= bar
        print(f"{what:80} {figure:7.3f}   bar {relation} {bar:.2f}   {'ok' if good else 'MISSED'}")
    return int(any(figure < bar if relation == ">=" else figure > bar for _, figure, relation, bar in lines))


if __name__ == "__main__":
    sys.exit(main())
