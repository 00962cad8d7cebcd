"""The audit for people: what it counts, and that what was replaced cannot be read off it."""

from collections import Counter
from pathlib import Path

from radsweep.datasets.audit import Audit
from radsweep.datasets.audit_page import Sample, by_device, samples, write_page
from radsweep.datasets.reports.pseudonymize import Span

TEXT = "Adressée par le Dr Kuvozrax.\nRevue le 12/03/2021 par le Dr Mibelzyx, de face."


def spans() -> list[Span]:
    places = {"Kuvozrax": "PERSON", "12/03/2021": "DATE", "Mibelzyx": "PERSON"}
    return [Span(TEXT.index(what), TEXT.index(what) + len(what), label, "Oger") for what, label in places.items()]


def test_a_sample_is_the_line_of_the_first_of_its_kind() -> None:
    """Pieces of the line in order, stand-ins with their label; a kind that has been shown is not shown again."""
    assert list(samples(TEXT, spans(), set())) == [
        Sample("PERSON", (("Adressée par le Dr ", None), ("Oger", "PERSON"), (".", None))),
        Sample(
            "DATE",
            (
                ("Revue le ", None),
                ("Oger", "DATE"),
                (" par le Dr ", None),
                ("Oger", "PERSON"),
                (", de face.", None),
            ),
        ),
    ]
    assert [sample.label for sample in samples(TEXT, spans(), {"PERSON"})] == ["DATE"]


def test_devices_are_counted_over_images() -> None:
    """Kept, refused and blanked by maker and model; a file without a device is counted as such, a report is not."""
    audit = Audit(lines={"a": None, "b": "cut off", "c": None, "r": None})
    audit.tell("a", device="Make Model", boxes={"identity": 2})
    audit.tell("b", device="Make Model")
    audit.tell("c", device=None, boxes={"marker": 1})
    audit.tell("r", replaced={"DATE": 1})
    assert by_device(audit) == [
        ("Make Model", Counter(kept=1, refused=1, blanked=1)),
        ("not named in the file", Counter(kept=1, blanked=0)),
    ]


def test_the_page_shows_stand_ins_and_nothing_that_they_stand_for(tmp_path: Path) -> None:
    """Figures, reasons and samples are there, the originals are not, and nothing is loaded from elsewhere."""
    manifest = {
        "source": "hospital export",
        "created": "2026-01-01T00:00:00+00:00",
        "counts": {"studies": 2, "patients": 1},
        "audit": {"kept": 4, "refused": {"cut off <here>": 3}},
        "deidentification": {
            "replaced_in_reports": {"PERSON": 2, "DATE": 1},
            "boxes": None,
            "paired_by": {"day": 2},
            "read_by": {"text": 2},
        },
    }
    write_page(tmp_path / "audit.html", manifest, Audit(), list(samples(TEXT, spans(), set())))
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    for part in ("Oger", "cut off &lt;here&gt;", "de face", "not searched for burned-in text"):
        assert part in page
    for part in ("Kuvozrax", "Mibelzyx", "12/03/2021", "http:", "https:"):
        assert part not in page
