"""Body parts and sides in the words of headers and of reports."""

import pytest

from radsweep.datasets.body_parts import body_parts, neighbours, sides


@pytest.mark.parametrize(
    ("header", "report"),
    [
        ("WRIST", "Radiographie du poignet droit"),
        ("HAND", "RX MAINS F + 3/4"),
        ("FINGER", "clichés du pouce gauche"),
        ("FOREARM", "avant-bras"),
        ("ELBOW", "Coude de face et de profil"),
        ("SHOULDER", "épaule gauche"),
        ("CLAVICLE", "articulation acromio-claviculaire"),
        ("CSPINE", "rachis cervical"),
        ("TSPINE", "Tassement de D12"),
        ("LSPINE", "colonne lombaire"),
        ("PELVIS", "Bassin de face"),
        ("HIP", "hanche D"),
        ("FEMUR", "cuisse"),
        ("KNEE", "gonarthrose fémoro-tibiale"),
        ("TIB_FIB", "jambe"),
        ("ANKLE", "malléole externe"),
        ("FOOT", "2e métatarsien"),
        ("CALCANEUS", "talon"),
        ("TOE", "hallux valgus"),
        ("CHEST", "Radiographie pulmonaire"),
        ("RIBS", "gril costal"),
        ("SKULL", "crâne"),
        ("ABDOMEN", "ASP"),
    ],
)
def test_header_and_report_speak_of_the_same_part(header: str, report: str) -> None:
    """A code of (0018,0015) and French words for it."""
    assert body_parts(header) & body_parts(report)


def test_words_that_sound_like_a_part_are_none() -> None:
    """Views (de face), sides (côté gauche) and indices are no parts, and an avant-bras is no bras."""
    assert body_parts("Clichés de face du côté gauche, index de Caton-Deschamps.") == set()
    assert "ARM" not in body_parts("avant-bras")
    assert body_parts("EXTREMITY") == set()


def test_neighbours_are_not_told_apart_and_others_are() -> None:
    """Wrist and hand may be one image; knee and wrist may not, nor wrist and elbow."""
    assert "HAND" in neighbours(body_parts("poignet"))
    assert not neighbours(body_parts("poignet")) & {"KNEE", "ELBOW"}
    assert "LSPINE" in neighbours(body_parts("rachis entier"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RADIOGRAPHIE DU GENOU DROIT", "R"),
        ("Main gauche, face et oblique", "L"),
        ("RX GENOU G", "L"),
        ("XR KNEE RT 3 VIEWS", "R"),
        ("genoux bilatéral", "LR"),
        ("Radiographie des deux mains", "LR"),
        ("Radiographie du genou, deux clichés", ""),
        ("hanche droite, comparaison à gauche", "LR"),
        ("Rachis L5-S1", ""),
        ("Thorax", ""),
    ],
)
def test_sides(text: str, expected: str) -> None:
    """Words, letters after a word, and words for both."""
    assert sides(text, letters=True) == set(expected)
