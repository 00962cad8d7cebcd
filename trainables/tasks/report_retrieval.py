"""Reports by retrieval: the training report, or the training sentences, nearest to the image are what the model "writes".

Source: M. Endo et al. (CXR-RePaiR, ML4H 2021), which takes the best report or the K best sentences of the training corpus.
"""

import re

import numpy as np
from pydantic import Field, PositiveInt

from ...datasets.refusal import UserError
from ...datasets.reports.sections import sentences
from .metrics import f1
from .retrieval import same_words, vectors
from .task import Encoded, Prediction, Result, Task
from .zero_shot import unit


class ReportRetrieval(Task):
    """Scores retrieved reports against the true ones: in words (ROUGE-L) and in findings (F1 of the retrieved study's labels).

    Of reports, or sentences, that are equally near an image, chance takes one, image by image.

    Attributes:
        sentences: K of the sentence variants.
        most: training reports that are candidates at most, drawn once for all checkpoints.
        seed: of the draws, of candidates, of random reports and among equals.
    """

    sentences: tuple[PositiveInt, ...] = (1, 2, 4)
    most: int = Field(default=20_000, ge=1)
    seed: int = 0

    def run(self, encoded: Encoded) -> Result:
        """Return ``report_rouge_l``, ``report_macro_f1``, ``<K>_sentences_rouge_l``, and ``chance_rouge_l`` of a random report.

        For the F1 a report says that a finding is there, or it does not: what it leaves open it does not claim.

        Raises:
            UserError: training or test studies have no reports, or the checkpoint reads none.
        """
        texts, splits = encoded.reports(), encoded.studies.splits
        known = np.array([bool(text) for text in texts])
        train, test = np.flatnonzero(known & (splits == "train")), np.flatnonzero(known & (splits == "test"))
        if encoded.encode_texts is None or not len(train) or not len(test):
            raise UserError(
                f"report_retrieval needs reports of training and test studies ({len(train)} and {len(test)} in "
                f"{encoded.corpus.name}) and a checkpoint that learned from reports"
            )
        rng, among_equals = np.random.default_rng(self.seed), np.random.default_rng((self.seed, 1))
        train = np.sort(rng.permutation(train)[: self.most])
        own = [str(texts[place]) for place in train]
        true = [str(texts[place]) for place in test]
        images = unit(encoded.by_study(encoded.features))[test]
        best = nearest(images @ vectors(encoded.encode_texts, own).T, 1, among_equals)[:, 0]
        near_words = np.array([rouge_l(own[i], text) for i, text in zip(best, true, strict=True)])
        words = Prediction("report_rouge_l", None, encoded.studies.patients[test], np.ones(len(test)), near_words)
        metrics = {
            "report_rouge_l": float(near_words.mean()),
            "chance_rouge_l": float(
                np.mean([rouge_l(own[i], text) for i, text in zip(rng.integers(len(own), size=len(true)), true, strict=True)])
            ),
        }
        scores, absent = [], []
        for name, target in encoded.corpus.targets.items():
            if target.kind == "binary":
                claimed = (encoded.truth(name) == 1).astype(float)
                scores.append(f1(claimed[test], claimed[train][best]))
        if scores := [score for score in scores if not np.isnan(score)]:
            metrics["report_macro_f1"] = float(np.mean(scores))
        else:
            absent.append("report_macro_f1: no test study has a finding")
        pool = list(dict.fromkeys(sentence for text in own for sentence in sentences(text)))
        if not pool:
            absent.append("sentences_rouge_l: no training report has a sentence")
            return Result(metrics, (words,), tuple(absent))
        near = nearest(images @ encoded.encode_texts(pool).T, max(self.sentences, default=0), among_equals)
        for count in self.sentences:
            written = [" ".join(pool[i] for i in row[:count]) for row in near]
            name = f"{count}_sentences_rouge_l"
            metrics[name] = float(np.mean([rouge_l(one, text) for one, text in zip(written, true, strict=True)]))
        return Result(metrics, (words,), tuple(absent))


def nearest(scores: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return the columns of the ``most`` highest scores of each row, highest first; the order of equal ones is drawn anew."""
    found = []
    for row in scores:
        order = rng.permutation(len(row))
        found.append(order[np.argsort(-row[order], kind="stable")[:most]])
    return np.stack(found)


def rouge_l(written: str, true: str) -> float:
    """Return the F1 of the longest common subsequence of words, whatever their punctuation; 0 where one text is empty.

    Source: C.-Y. Lin, "ROUGE" (ACL workshop 2004), section 3, with beta = 1.

    >>> rouge_l("pas de fracture visible", "Pas de luxation ni de fracture")
    0.6
    """
    one, other = (re.findall(r"\w+", same_words(text)) for text in (written, true))
    best = np.zeros(len(other) + 1, int)
    for word in one:
        row = best.copy()
        for place, its in enumerate(other):
            row[place + 1] = best[place] + 1 if word == its else max(row[place], best[place + 1])
        best = row
    common = int(best[-1])
    return 2 * common / (len(one) + len(other)) if common else 0.0
