"""Words broken at the end of a line."""

from collections import Counter

import pytest

from radsweep.datasets.reports.broken_words import join_words, words_of


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("Espace L5-\nS1", "Espace L5-S1"),
        ("de D4-\n  D5", "de D4-D5"),
        ("bord antéro-\npostérieur", "bord antéro-postérieur"),
        ("interligne fémoro-\ntibial", "interligne fémoro-tibial"),
        ("arthrose radio-\ncarpienne", "arthrose radio-carpienne"),
        ("contrôle post-opéra-\ntoire", "contrôle post-opératoire"),
        ("contrôle post-\nopératoire", "contrôle post-opératoire"),
        ("espace sous-\nacromial", "espace sous-acromial"),
        ("radio-\ngraphie", "radiographie"),
        ("ostéo-\nphytes", "ostéophytes"),
        ("chondro-\ncalcinose", "chondrocalcinose"),
        ("tête fémo-\nrale", "tête fémorale"),
        ("un épanche-\nment", "un épanchement"),
        ("Dr Jean-\nPierre Roy", "Dr Jean-Pierre Roy"),
        ("FRAC-\nTURE", "FRACTURE"),
        ("long de 2-\n3 mm", "long de 2-3 mm"),
        ("soft\xad\nware", "software"),
        ("un\xadbroken", "unbroken"),
        ("épanche\ufffe\nment", "épanchement"),
        ("scapho\x02\nlunaire", "scapho-lunaire"),
        ("Pas de fracture -\nrotule centrée", "Pas de fracture -\nrotule centrée"),
        ("- rotule\n- fémur", "- rotule\n- fémur"),
    ],
)
def test_a_broken_word_is_made_whole(broken: str, whole: str) -> None:
    """Levels, names and adjectives of places keep their hyphen; other words lose it; a dash between words is no hyphen."""
    assert join_words(broken) == whole


def test_the_corpus_decides_where_it_knows() -> None:
    """Written whole elsewhere, or with its hyphen elsewhere, a word is written so here: the more frequent way."""
    seen = Counter({"interligne": 90, "inter-ligne": 1, "hallux-valgus": 7, "sacroiliaque": 3})
    assert join_words("l'inter-\nligne", seen) == "l'interligne"
    assert join_words("un hallux-\nvalgus", seen) == "un hallux-valgus"
    assert join_words("sacro-\niliaque", seen) == "sacroiliaque"


def test_broken_words_are_no_evidence() -> None:
    """Words of a line count as they are written; halves of broken ones do not count."""
    assert list(words_of("Interligne fémoro-tibial inter-\nligne L5")) == ["interligne", "fémoro-tibial", "l"]
