"""The words of French, first names, family names and towns, as published lists have them; see lists/SOURCES.md.

Every list is in plain letters (`found.plain`), is read when it is first asked for, and then stays in memory.
"""

import functools
import lzma
from pathlib import Path

LISTS = Path(__file__).with_name("lists")


def _lines(name: str) -> list[str]:
    return lzma.decompress((LISTS / f"{name}.txt.xz").read_bytes()).decode().splitlines()


@functools.cache
def vocabulary() -> frozenset[str]:
    """Return the words that French writes small, with all their endings."""
    return frozenset(_lines("vocabulary"))


@functools.cache
def given_names() -> dict[str, str]:
    """Return first names and whose they are: ``F``, ``M``, ``FM`` or an empty text where nobody knows."""
    parts = (line.partition(" ") for line in _lines("given"))
    return {name: sex for name, _, sex in parts}


@functools.cache
def family_names() -> frozenset[str]:
    return frozenset(_lines("family"))


@functools.cache
def towns() -> frozenset[str]:
    """Return towns of Belgium, France, Luxembourg, Switzerland, and large ones of the world."""
    return frozenset(_lines("towns"))
