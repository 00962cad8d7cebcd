"""Which words of a report are read: the section of each sentence, a part or two of the report, and what is left of it."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from .config import Config
from .reports.sections import sentences as sentences_of
from .schema import SECTIONS

NO_SECTION = -1
FINDINGS, CONCLUSION = SECTIONS.index("findings"), SECTIONS.index("conclusion")
DROPPED = (SECTIONS.index("technique"), SECTIONS.index("indication"), NO_SECTION, FINDINGS)
"""The order in which sections give way to the conclusion."""


class Text(Config):
    """What is read of a report.

    Attributes:
        part: ``whole``, or its ``findings`` or ``conclusion``, or one ``sentence``, drawn anew at every visit (validation reads
            the whole instead). A report without the wanted part is read whole.
        cut: what goes of a text that is too long: ``head`` keeps its first tokens, ``tail`` its last ones; ``sections`` leaves
            out technique, indication, sentences under no heading, and findings, one after the other until it fits, and
            keeps the first tokens where that is not enough.
    """

    part: Literal["whole", "findings", "conclusion", "sentence"] = "whole"
    cut: Literal["head", "tail", "sections"] = "head"

    def views(self, sections: np.ndarray, num_views: int, rng: np.random.Generator | None) -> list[np.ndarray]:
        """Return the sentences that each of ``num_views`` texts of a report holds, in reading order.

        Two texts of a whole report are its findings (all but the conclusion where it names none) and its conclusion; two
        sentences differ where the report has two. Where there is no second text, the first is given again.

        Args:
            sections: section of each sentence, int [num_sentences].
            num_views: 1 or more.
            rng: of this visit; None reads without chance.
        """
        whole = np.arange(len(sections))
        conclusion = np.flatnonzero(sections == CONCLUSION)
        findings = np.flatnonzero(sections == FINDINGS)
        texts = [whole]
        match self.part:
            case "findings" if len(findings):
                texts = [findings]
            case "conclusion" if len(conclusion):
                texts = [conclusion]
            case "sentence" if rng is not None and len(whole):
                texts = [whole[i : i + 1] for i in rng.permutation(len(whole))]
            case "whole" if num_views > 1 and 0 < len(conclusion) < len(whole):
                texts = [findings if len(findings) else np.flatnonzero(sections != CONCLUSION), conclusion]
        return [texts[view % len(texts)] for view in range(num_views)]

    def shortened(self, text: np.ndarray, sections: np.ndarray, num_tokens: np.ndarray, max_tokens: int) -> np.ndarray:
        """Return the sentences of ``text`` that are left after ``cut`` took whole sections from it.

        Args:
            text: the sentences, int [n].
            sections: section of every sentence of the report, int [num_sentences].
            num_tokens: of every sentence with its separator, int [num_sentences].
            max_tokens: of the text with its first special token.
        """
        for section in DROPPED if self.cut == "sections" else ():
            if 1 + num_tokens[text].sum() <= max_tokens:
                break
            others = text[sections[text] != section]
            text = others if len(others) else text
        return text


def sections_of(sentences: Sequence[str], sections: Mapping[str, str | None]) -> list[int]:
    """Return the section of each sentence of a report, as a place in `SECTIONS`, `NO_SECTION` under no heading.

    Sections are read sentence by sentence along the report. A sentence that two sections wait for belongs to the one the
    sentence before it belongs to. A sentence may carry its heading.

    >>> sections_of(["Chute.", "Fracture.", "Conclusion : Fracture."], {"findings": "Fracture.", "conclusion": "Fracture."})
    [-1, 2, 3]
    """
    waiting = [sentences_of(sections.get(name) or "") for name in SECTIONS]
    found = [NO_SECTION]
    for sentence in sentences:
        bare = {sentence, sentence.partition(":")[2].strip()}
        matching = [section for section, left in enumerate(waiting) if left and left[0] in bare]
        found.append(found[-1] if found[-1] in matching else next(iter(matching), NO_SECTION))
        if matching:
            waiting[found[-1]].pop(0)
    return found[1:]
