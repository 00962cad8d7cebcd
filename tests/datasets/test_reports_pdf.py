"""The text of PDF reports made here, read as on paper."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

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


def draw(path: Path, pages: list[tuple[int, list[tuple[float, float, str]]]]) -> Path:
    """A PDF in a font with all signs: pages of (rotation, texts at their places)."""
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    pdfmetrics.registerFont(TTFont("DejaVuSans", str(font)))
    canvas = Canvas(str(path), pagesize=A4, invariant=1)
    for rotation, texts in pages:
        canvas.setFont("DejaVuSans", 9)
        canvas.setPageRotation(rotation)
        for x, y, text in texts:
            canvas.drawString(x, y, text)
        canvas.showPage()
    canvas.save()
    return path


def test_signs_of_print_become_letters(tmp_path: Path) -> None:
    """Ligatures are taken apart, œ is one letter, accents join their letter, soft hyphens go."""
    lines = ["fissure ﬁne du fémur, ﬂou, eﬃcace", "œdème du cœur", "fe\u0301mur", "radio\xadlogue", "broken\xad", "word"]
    path = draw(tmp_path / "a.pdf", [(0, [(50, 800 - 20 * i, line) for i, line in enumerate(lines)])])
    assert extract_text(path) == "fissure fine du fémur, flou, efficace\nœdème du cœur\nfémur\nradiologue\nbrokenword"


def test_columns_on_paper_are_read_one_after_the_other(tmp_path: Path) -> None:
    """Two columns of text, with a word broken at the end of a line of each."""
    left = [
        "Pincement de l'interligne fémoro-",
        "tibial médial en charge, sans épan-",
        "chement articulaire.",
        "Rotule centrée.",
        "Pas de lésion osseuse.",
    ]
    right = [
        "Conclusion : gonarthrose débu-",
        "tante du compartiment médial.",
        "Espace L5-",
        "S1 non étudié.",
        "Contrôle clinique.",
    ]
    texts = [(50.0, 700.0 - 14 * i, line) for i, line in enumerate(left)]
    texts += [(320.0, 693.0 - 14 * i, line) for i, line in enumerate(right)]
    assert extract_text(draw(tmp_path / "a.pdf", [(0, texts)])).splitlines() == [
        "Pincement de l'interligne fémoro-tibial médial en charge, sans épanchement articulaire.",
        "Rotule centrée.",
        "Pas de lésion osseuse.",
        "Conclusion : gonarthrose débutante du compartiment médial.",
        "Espace L5-S1 non étudié.",
        "Contrôle clinique.",
    ]


def test_a_page_stored_on_its_side_is_read_upright(tmp_path: Path) -> None:
    """Text that runs upwards on a page shown turned by a quarter is read as it is shown."""
    pdf = Canvas(str(tmp_path / "a.pdf"), pagesize=A4, invariant=1)
    pdf.setPageRotation(90)
    pdf.rotate(90)
    pdf.drawString(100, -100, "Première ligne")
    pdf.drawString(100, -130, "Deuxième ligne")
    pdf.save()
    assert extract_text(tmp_path / "a.pdf") == "Première ligne\nDeuxième ligne"


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
        (empty, "no text in the PDF"),
    ):
        with pytest.raises(Refused, match=reason):
            extract_text(path)
