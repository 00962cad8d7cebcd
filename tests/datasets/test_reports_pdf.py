"""The text of PDF reports made here, read as on paper."""

from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib.pdfencrypt import StandardEncryption

from radsweep.datasets.refusal import Refused
from radsweep.datasets.reports.pdf import extract_text

Make = Callable[..., Path]


def test_rows_are_read_from_left_to_right(tmp_path: Path, make_pdf: Make) -> None:
    """Fields beside each other stand on one line, three spaces apart, with their accents."""
    path = make_pdf(tmp_path / "a.pdf", ["Nom : LEFÈVRE", (320, "N° dossier : 42"), "Prénom : Zoé", (320, "Née le : 2/3/1956")])
    assert extract_text(path).splitlines() == ["Nom : LEFÈVRE   N° dossier : 42", "Prénom : Zoé   Née le : 2/3/1956"]


def test_order_on_paper_wins_over_order_in_the_file(tmp_path: Path, make_pdf: Make) -> None:
    """A value drawn before its label is read after it."""
    path = make_pdf(tmp_path / "a.pdf", ["", (200, "DUPONT"), (50, "Nom :")])
    assert extract_text(path).split() == ["Nom", ":", "DUPONT"]


def test_broken_words_are_made_whole_and_compounds_keep_their_hyphen(tmp_path: Path, make_pdf: Make) -> None:
    """épanche- / ment becomes one word, fémoro- / tibial stays a compound."""
    text = extract_text(make_pdf(tmp_path / "a.pdf", ["Pas d'épanche-", "ment. Interligne fémoro-", "tibial normal."]))
    assert "épanchement. Interligne fémoro-tibial normal." in text


def test_pages_follow_each_other(tmp_path: Path, make_pdf: Make) -> None:
    """The second page comes after the first."""
    assert extract_text(make_pdf(tmp_path / "a.pdf", ["un", "\f", "deux"])).split() == ["un", "deux"]


def test_what_cannot_be_read_is_refused(tmp_path: Path, make_pdf: Make) -> None:
    """Encrypted, cut off, damaged, foreign and empty files are refused, each with its reason."""
    locked = make_pdf(tmp_path / "locked.pdf", ["secret"], encrypt=StandardEncryption("user", "owner"))
    whole = make_pdf(tmp_path / "whole.pdf", ["texte"])
    empty = make_pdf(tmp_path / "empty.pdf", [""])
    cut = tmp_path / "cut.pdf"
    cut.write_bytes(whole.read_bytes()[:-200])
    other = tmp_path / "other.pdf"
    other.write_bytes(b"hello")
    damaged = tmp_path / "damaged.pdf"
    damaged.write_bytes(b"%PDF-1.4\n" + bytes(500) + b"%%EOF\n")
    for path, reason in (
        (locked, "encrypted"),
        (cut, "cut off"),
        (other, "not a PDF"),
        (damaged, "damaged"),
        (empty, "scanned: needs OCR, not available yet"),
    ):
        with pytest.raises(Refused, match=reason):
            extract_text(path)
