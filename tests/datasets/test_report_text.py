"""What is read of a report, on reports small enough to count."""

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from radsweep.datasets.report_text import NO_SECTION, Text, sections_of
from radsweep.datasets.schema import SECTIONS

INDICATION, TECHNIQUE, FINDINGS, CONCLUSION = range(4)
# Six sentences: indication, technique, a comparison, two findings, the conclusion.
REPORT = np.array([INDICATION, TECHNIQUE, NO_SECTION, FINDINGS, FINDINGS, CONCLUSION])
NUM_TOKENS = np.array([3, 4, 2, 5, 6, 3])  # 23 with separators, 24 with the first token


def views(text: Text, sections: np.ndarray, num_views: int = 1, seed: int | None = None) -> list[list[int]]:
    """Sentences of each text."""
    rng = None if seed is None else np.random.default_rng(seed)
    return [view.tolist() for view in text.views(sections, num_views, rng)]


@pytest.mark.parametrize(
    ("part", "sentences"),
    [("whole", [0, 1, 2, 3, 4, 5]), ("findings", [3, 4]), ("conclusion", [5]), ("sentence", [0, 1, 2, 3, 4, 5])],
)
def test_a_part_without_chance(part: str, sentences: list[int]) -> None:
    """Each part is its section's sentences; a sentence at random is the whole report in validation."""
    text = Text.model_validate({"part": part})
    assert views(text, REPORT) == [sentences]
    assert views(text, np.array([NO_SECTION, INDICATION])) == [[0, 1]]
    assert views(text, np.array([], int)) == [[]]


def test_two_texts_of_a_whole_report() -> None:
    """Findings and conclusion; all but the conclusion where nothing is called findings; the whole twice where there is one."""
    whole = Text()
    assert views(whole, REPORT, 2) == [[3, 4], [5]]
    assert views(whole, np.array([INDICATION, NO_SECTION, CONCLUSION, CONCLUSION]), 2) == [[0, 1], [2, 3]]
    for alone in ([FINDINGS, FINDINGS], [CONCLUSION], [NO_SECTION]):
        everything = list(range(len(alone)))
        assert views(whole, np.array(alone), 2) == [everything, everything]
    assert views(Text(part="conclusion"), REPORT, 2) == [[5], [5]]


def test_sentences_are_drawn_evenly_and_differ() -> None:
    """Each of six sentences a sixth of the time, the second never the first; a report of one sentence gives it twice."""
    sentence = Text(part="sentence")
    drawn = [views(sentence, REPORT, 2, seed) for seed in range(1200)]
    counts = np.bincount([first[0] for first, _ in drawn], minlength=6)
    assert all(abs(counts - 200) < 4 * (1200 / 6 * 5 / 6) ** 0.5)
    assert all(first != second and len(first) == len(second) == 1 for first, second in drawn)
    assert views(sentence, np.array([FINDINGS]), 2, 0) == [[0], [0]]
    assert views(sentence, np.array([], int), 2, 0) == [[], []]


@pytest.mark.parametrize(
    ("max_tokens", "left"),
    [
        (24, [0, 1, 2, 3, 4, 5]),
        (23, [0, 2, 3, 4, 5]),
        (20, [0, 2, 3, 4, 5]),
        (19, [2, 3, 4, 5]),
        (17, [2, 3, 4, 5]),
        (16, [3, 4, 5]),
        (15, [3, 4, 5]),
        (14, [5]),
        (3, [5]),
    ],
)
def test_sections_give_way_to_the_conclusion(max_tokens: int, left: list[int]) -> None:
    """Technique goes first, then the indication, what has no heading, the findings; each one whole, and only if it must."""
    assert Text(cut="sections").shortened(np.arange(6), REPORT, NUM_TOKENS, max_tokens).tolist() == left
    assert Text(cut="head").shortened(np.arange(6), REPORT, NUM_TOKENS, max_tokens).tolist() == [0, 1, 2, 3, 4, 5]


def test_the_last_section_stays() -> None:
    """Where all that is left is of one section there is nothing to leave out: the tokens are cut."""
    sections = np.array([INDICATION, FINDINGS, FINDINGS])
    assert Text(cut="sections").shortened(np.arange(3), sections, np.array([5, 5, 5]), 6).tolist() == [1, 2]


def test_a_sentence_of_two_sections_belongs_to_where_one_is() -> None:
    """What findings and conclusion both say is first the findings', then the conclusion's; a heading may stand before it."""
    sections = {"findings": "Cal osseux. Pas de fracture.", "conclusion": "Pas de fracture.", "technique": None}
    sentences = ["Comparaison du 3 mai.", "Cal osseux.", "Pas de fracture.", "Conclusion : Pas de fracture."]
    assert sections_of(sentences, sections) == [NO_SECTION, FINDINGS, FINDINGS, CONCLUSION]


def test_findings_that_go_on_after_the_conclusion() -> None:
    """A section in two places is followed in both."""
    sections = {"findings": "Cal osseux.\nPas de fracture.", "conclusion": "Guérison."}
    assert sections_of(["Cal osseux.", "Guérison.", "Pas de fracture."], sections) == [FINDINGS, CONCLUSION, FINDINGS]


def words(text: str) -> list[str]:
    """Without lone numbers and dashes, which are no sentences."""
    return re.findall(r"[^\W\d_]{2,}", text)


def test_every_sentence_of_a_prepared_report_finds_its_section(pairs: Path) -> None:
    """In a whole phantom hospital: the sentences of a section, joined, are the section again."""
    rows = pq.read_table(pairs / "studies", columns=["sentences", "sections"]).to_pylist()
    for row in rows:
        found = sections_of(row["sentences"], row["sections"])
        for place, name in enumerate(SECTIONS):
            joined = " ".join(sentence for sentence, section in zip(row["sentences"], found, strict=True) if section == place)
            assert words(joined) == words(row["sections"][name] or "")
    assert sum(row["sections"]["conclusion"] is not None for row in rows) > len(rows) / 2
