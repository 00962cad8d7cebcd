"""The audit for people: one page that says what was removed, kept and refused, and shows it without showing anyone."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from .audit import Audit
from .reports.pseudonymize import Span

MOST_SAMPLES = 3
"""Of each kind of identity."""
LONGEST_LINE = 160
"""Letters of a sample."""
KINDS = {
    "NAME": "patient's name",
    "PERSON": "other people's names",
    "ID": "numbers of patients, stays, examinations and staff",
    "BIRTH_DATE": "dates of birth",
    "DATE": "dates, moved",
    "AGE": "ages from 90 on",
    "PHONE": "telephone numbers",
    "EMAIL": "e-mail addresses",
    "URL": "web addresses",
    "ADDRESS": "addresses",
    "TOWN": "towns and postcodes",
    "INSTITUTION": "hospitals and practices",
}
BOXES = {
    "identity": "text that is an identity of the study, blanked",
    "text": "other text, blanked",
    "marker": "side and view markers, kept",
}


@dataclass(frozen=True)
class Sample:
    """A line of a report as pieces of text, each with the label of what it replaced, or without; never the original.

    Attributes:
        label: of the identity that the line was chosen for.
    """

    label: str
    pieces: tuple[tuple[str, str | None], ...]


def samples(text: str, spans: Sequence[Span], known: set[str]) -> Iterator[Sample]:
    """Yield a line of ``text`` for the first span of each label that is not in ``known``."""
    seen = set(known)
    for span in spans:
        if span.label not in seen:
            seen.add(span.label)
            start = max(text.rfind("\n", 0, span.start) + 1, text.rfind(" ", 0, max(0, span.start - LONGEST_LINE // 2)) + 1)
            ends = (text.find("\n", span.end), text.find(" ", span.end + LONGEST_LINE // 2), len(text))
            end = min(end for end in ends if end >= 0)
            yield Sample(span.label, tuple(_pieces(text, start, end, spans)))


def _pieces(text: str, start: int, end: int, spans: Sequence[Span]) -> Iterator[tuple[str, str | None]]:
    """Yield what stands in ``[start, end)`` after replacement; spans that reach over an edge are whole."""
    at = start
    for span in spans:
        if span.end > start and span.start < end:
            yield text[at : span.start], None
            yield span.surrogate, span.label
            at = span.end
    yield text[at:end], None


def write_page(path: Path, manifest: Mapping[str, Any], audit: Audit, shown: Sequence[Sample]) -> None:
    """Write the page of a pairs folder.

    Args:
        manifest: of the folder.
        audit: of every input.
        shown: sample lines; the first `MOST_SAMPLES` of each label are taken.
    """
    by_label: dict[str, list[Sample]] = defaultdict(list)
    for sample in shown:
        if len(by_label[sample.label]) < MOST_SAMPLES and sample.pieces not in [s.pieces for s in by_label[sample.label]]:
            by_label[sample.label].append(sample)
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    ).get_template("audit.html")
    page = template.render(
        manifest=manifest,
        kinds=KINDS,
        boxes=BOXES,
        devices=by_device(audit),
        samples={label: by_label[label] for label in KINDS if label in by_label},
    )
    path.write_text(page, encoding="utf-8")


def by_device(audit: Audit) -> list[tuple[str, Counter[str]]]:
    """Return, of every maker and model, how many images were kept and refused, and of how many text was blanked."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, facts in audit.facts.items():
        if "device" in facts:
            told = counts[facts["device"] or "not named in the file"]
            told["kept" if audit.lines.get(name) is None else "refused"] += 1
            told["blanked"] += any(facts.get("boxes", {}).get(kind) for kind in ("identity", "text"))
    return sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
