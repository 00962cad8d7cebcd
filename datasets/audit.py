"""What became of every input: kept, or refused and why.

Two copies are written. The one inside the pairs folder travels with the data, so that parts of paths that name a patient are
pseudonyms there. The one beside it has the paths as they are, for whoever mends the export; it stays where the export stays.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .pseudonyms import Key
from .reports.found import plain
from .reports.people import people

SHORTEST_WORD = 3
SHORTEST_NUMBER = 5


@dataclass
class Audit:
    """One line per input file or row.

    Names are interned: an export has millions of them, and both dictionaries hold the same texts.

    Attributes:
        lines: from the input's name, relative to the export, to the reason of its refusal; None is kept.
        facts: from the name to what was done to it, without identities: ``device``, ``boxes`` (by kind), ``read`` (how),
            ``paired_by``, ``replaced`` (by label).
        identities: names and numbers of the patients of the export, as far as files could be read.
    """

    lines: dict[str, str | None] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    identities: set[str] = field(default_factory=set)

    def keep(self, name: str) -> None:
        """Keep an input, unless it was refused before."""
        self.lines.setdefault(sys.intern(name), None)

    def refuse(self, name: str, reason: str) -> None:
        self.lines[sys.intern(name)] = reason

    def tell(self, name: str, **facts: Any) -> None:
        """Add to the facts of an input."""
        self.facts.setdefault(sys.intern(name), {}).update(facts)

    def refusals(self) -> Counter[str]:
        return Counter(reason for reason in self.lines.values() if reason is not None)

    def write(self, path: Path) -> None:
        """Write the lines with the names as they are, readable by the owner alone."""
        path.touch(mode=0o600)
        path.write_text("".join(self._lines(lambda name: name)), encoding="utf-8")

    def write_masked(self, path: Path, key: Key) -> None:
        """Write the lines with pseudonyms for the parts of names that hold an identity."""
        words = {word for identity in self.identities for word in re.findall(r"[^\W_]+", plain(identity))}
        words = {word for word in words if len(word) >= (SHORTEST_WORD if word.isalpha() else SHORTEST_NUMBER)}
        path.write_text("".join(self._lines(lambda name: masked_name(name, words, key))), encoding="utf-8")

    def _lines(self, called: Callable[[str], str]) -> Iterator[str]:
        for path, name in sorted((called(name), name) for name in self.lines):
            reason = self.lines[name]
            line = {"path": path, "status": "kept" if reason is None else "refused", "reason": reason or ""}
            yield json.dumps(line | self.facts.get(name, {}), ensure_ascii=False) + "\n"


def masked_name(name: str, words: set[str], key: Key) -> str:
    """Return ``name`` with every part that holds one of ``words``, or reads like a person, as ``~`` and a pseudonym.

    >>> masked_name("dicom/DUPONT_Zoe/IM01.dcm", {"dupont"}, Key(bytes(32))).split("/")[2]
    'IM01.dcm'
    """
    return "/".join(_masked_part(part, words, key) for part in PurePosixPath(name).parts)


def _masked_part(part: str, words: set[str], key: Key) -> str:
    if words.isdisjoint(re.findall(r"[^\W_]+", plain(part))) and not any(people(re.sub(r"[_.^+]+", " ", part))):
        return part
    return f"~{key.pseudonym('path', part)[:12]}{PurePosixPath(part).suffix}"
