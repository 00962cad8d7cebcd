"""Retrieval at study level: image to image, text to image, image to text. Chance depends on the studies it is done on.

Which item comes first among equals is chance; every figure is the mean over all orders of the ties.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt

from ...datasets.config import FILE
from ...datasets.refusal import UserError
from ..encode import view
from .task import SHOWN, Encoded, Prediction, Result, Task
from .zero_shot import read_prompts, unit

EXAMPLES, FOUND = 5, 6
"""Queries that the report shows, and studies that are found for each."""


class Retrieval(Task):
    """Reports find their study and studies their report (recall); images, or sentences, find images of their class (precision).

    A candidate is a hit if it has the query's class. Image queries are validation studies, text queries the prompts that state
    the class. A finding that is not said to be present counts as not there, be it unknown or, as CheXpert has it, uncertain.

    With ``findings`` "No Finding", "Atelectasis", "Cardiomegaly", "Edema", "Fracture", "Pleural Effusion", "Pneumonia" and
    "Pneumothorax" on CheXpert, ``candidates="train"``, ``alone=True``, ``per_class=200``, ``queries=10`` and
    ``precision_at=(5, 10, 50)`` it is the protocol of ConVIRT, on studies and draws of its own: the candidates that are
    published are images of train.csv without any other observation, not even an uncertain one, the prompts five a class.
    Source: Y. Zhang et al. (ConVIRT, MLHC 2022), section 4; github.com/yuhaozhang/convirt, CheXpert 8 x 200.

    Attributes:
        recall_at, precision_at: lengths of the lists.
        classes: target of kind ``classes`` to retrieve by; none takes ``findings``, or else the first, or else all findings.
        findings: binary targets to retrieve by, of which a study then has exactly one; none takes all.
        alone: whether it has no other finding of the corpus either.
        candidates: the split of the studies that are found by class; recall is always of test studies.
        per_class: candidates of each class at most; 0 for all.
        queries: image queries of each class at most; 0 for all.
        prompts: of the text queries, see `ZeroShot`.
        seed: of the draws, the same for every checkpoint.
    """

    recall_at: tuple[PositiveInt, ...] = (1, 5, 10)
    precision_at: tuple[PositiveInt, ...] = (1, 5, 10, 50)
    classes: str = ""
    findings: tuple[str, ...] = ()
    alone: bool = False
    candidates: Literal["train", "test"] = "test"
    per_class: int = Field(default=0, ge=0)
    queries: int = Field(default=0, ge=0)
    prompts: Annotated[str, FILE] = "fr"
    seed: int = 0

    def run(self, encoded: Encoded) -> Result:
        """Return recalls, median ranks and precisions, those as means over the classes that can be asked for and found.

        ``image_text_recall_at_1``, ``text_image_median_rank``, ``image_image_precision_at_1`` ...

        Raises:
            UserError: there are neither reports nor classes to retrieve by, or not the target that was asked for.
        """
        of_reports, why_none, predictions = self._reports(encoded)
        of_classes, why, shown = self._classes(encoded)
        metrics, absent = of_reports | of_classes, why_none + why
        if not metrics:
            raise UserError(f"{encoded.corpus.name} has nothing to retrieve: {'; '.join(absent)}")
        return Result(metrics, tuple(predictions), tuple(absent), shown)

    def _reports(self, encoded: Encoded) -> tuple[dict[str, float], list[str], list[Prediction]]:
        test = np.flatnonzero(encoded.studies.splits == "test")
        texts = encoded.reports()
        rows = np.array([place for place in test if texts[place]], int)
        if encoded.encode_texts is None or len(rows) < 2:
            return {}, ["recall: no two test studies have reports, or the checkpoint reads none"], []
        own = [str(texts[place]) for place in rows]
        scores = unit(encoded.by_study(encoded.features))[rows] @ vectors(encoded.encode_texts, own).T
        _, groups = np.unique([same_words(text) for text in own], return_inverse=True)
        hits = groups[:, None] == groups[None, :]
        metrics, predictions, patients = {}, [], encoded.studies.patients[rows]
        for name, side in (("image_text", scores), ("text_image", scores.T)):
            places = _places(side, hits)
            for k in self.recall_at:
                found = _recall(*places, k)
                metrics[f"{name}_recall_at_{k}"] = float(np.mean(found))
                predictions.append(Prediction(f"{name}_recall_at_{k}", None, patients, np.ones(len(found)), found))
            above, others, equals = places
            metrics[f"{name}_median_rank"] = float(np.median(1 + above + others / (equals + 1)))
        return metrics, [], predictions

    def _classes(self, encoded: Encoded) -> tuple[dict[str, float], list[str], dict[str, np.ndarray]]:
        names, member = self._membership(encoded)
        if len(names) < 2:
            return {}, ["precision: there are no classes, and not two findings to tell apart"], {}
        rng = np.random.default_rng(self.seed)
        images, splits = unit(encoded.by_study(encoded.features)), encoded.studies.splits
        of_class = member == np.arange(len(names))[:, None]
        offered, asking = of_class & (splits == self.candidates), of_class & (splits == "val")
        candidates = np.concatenate([_some(rng, own, self.per_class) for own in offered])
        if not len(candidates):
            return {}, [f"precision: no {self.candidates} study has a class"], {}
        prompts = read_prompts(self.prompts) if encoded.encode_texts is not None else {}
        sentences = [prompts.get(target, {}).get(level, []) for target, _, level in (name.rpartition(":") for name in names)]
        found: dict[str, list[float]] = {}
        for place in range(len(names)):
            relevant = member[candidates] == place
            if not relevant.any():
                continue
            asked = {"image_image": images[_some(rng, asking[place], self.queries)]}
            if encoded.encode_texts is not None and sentences[place]:
                asked["text_image"] = encoded.encode_texts(sentences[place])
            for kind, rows in asked.items():
                for k in self.precision_at:
                    if len(rows) and k <= len(candidates):
                        value = precision(rows @ images[candidates].T, np.broadcast_to(relevant, (len(rows), len(relevant))), k)
                        found.setdefault(f"{kind}_precision_at_{k}", []).append(float(value.mean()))
        shown = examples(encoded, images, candidates, member, names, rng)
        absent = _lacking("precision", "candidates", names, offered.sum(axis=1), self.per_class)
        absent += _lacking("image_image_precision", "queries", names, asking.sum(axis=1), self.queries)
        if encoded.encode_texts is None:
            absent.append("text_image_precision: the checkpoint reads no text")
        else:
            absent += _lacking("text_image_precision", f"prompts in {self.prompts}", names, [len(own) for own in sentences])
        if long := [str(k) for k in self.precision_at if k > len(candidates)]:
            absent.append(f"precision at {', '.join(long)}: there are fewer candidates ({len(candidates)})")
        return {name: float(np.mean(values)) for name, values in found.items()}, absent, shown

    def _membership(self, encoded: Encoded) -> tuple[list[str], np.ndarray]:
        """Return the classes as ``target:level`` and which one each study has, -1 for none or several."""
        corpus, targets = encoded.corpus.name, encoded.corpus.targets
        if self.classes and self.findings:
            raise UserError("retrieval is by classes or by findings: set one of the two")
        if self.classes and (self.classes not in targets or targets[self.classes].kind != "classes"):
            raise UserError(f"{corpus} has no classes {self.classes!r}; it has {', '.join(targets) or 'no target'}")
        every = [name for name, target in targets.items() if target.kind == "binary"]
        if missing := [name for name in self.findings if name not in every]:
            raise UserError(f"{corpus} has no finding {', '.join(missing)}; it has {', '.join(every) or 'none'}")
        first = next((name for name, target in targets.items() if target.kind == "classes"), "")
        if named := self.classes or ("" if self.findings else first):
            truth = encoded.truth(named)
            return [f"{named}:{level}" for level in targets[named].levels], np.where(np.isnan(truth), -1, truth).astype(int)
        findings = list(dict.fromkeys(self.findings)) or every
        if not findings:
            return [], np.empty(0, int)
        present = {name: encoded.truth(name) == 1 for name in every}
        own = np.stack([present[name] for name in findings])
        all_told = np.stack(list(present.values())) if self.alone else own
        member = np.where(own.any(axis=0) & (all_told.sum(axis=0) == 1), own.argmax(axis=0), -1)
        return [f"{name}:present" for name in findings], member


def examples(
    encoded: Encoded, images: np.ndarray, candidates: np.ndarray, member: np.ndarray, names: list[str], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return a validation study of some classes and the candidates whose images lie nearest, for the report's figure.

    ``queries`` uint8 [n, side, side] and ``found`` [n, k, side, side] are the first images of the studies; ``classes`` [n]
    names the queries' classes, ``hits`` bool [n, k] says which of those found have it. Empty where features came without a
    model that made them of images.
    """
    with_queries = [i for i in range(len(names)) if ((encoded.studies.splits == "val") & (member == i)).any()]
    if encoded.reader is None or not with_queries:
        return {}
    chosen = sorted(rng.permutation(with_queries)[:EXAMPLES])
    asked = np.concatenate([_some(rng, (encoded.studies.splits == "val") & (member == i), 1) for i in chosen])
    nearest = candidates[np.argsort(-(images[asked] @ images[candidates].T), axis=1, kind="stable")[:, :FOUND]]

    def seen(study: int) -> np.ndarray:
        return view(encoded.corpus, int(encoded.studies.images[study][0]), SHOWN)

    return {
        "queries": np.stack([seen(study) for study in asked]),
        "found": np.stack([[seen(study) for study in row] for row in nearest]),
        "hits": member[nearest] == member[asked][:, None],
        "classes": np.array([_shown(names[i]) for i in chosen]),
    }


def _some(rng: np.random.Generator, among: np.ndarray, most: int) -> np.ndarray:
    places = np.flatnonzero(among)
    return np.sort(rng.permutation(places)[:most]) if most else places


def _shown(name: str) -> str:
    return name.removesuffix(":present")


def _lacking(figure: str, what: str, names: Sequence[str], counts: Sequence[int] | np.ndarray, wanted: int = 0) -> list[str]:
    """Return a sentence on the classes that have fewer than ``wanted``, or none; empty if there is no such class."""
    few = {_shown(name): count for name, count in zip(names, counts, strict=True) if count < max(wanted, 1)}
    if not few:
        return []
    if wanted <= 1:
        return [f"{figure}: no {what} of {', '.join(few)}"]
    return [f"{figure}: fewer than {wanted} {what} of {', '.join(f'{name} ({count})' for name, count in few.items())}"]


def vectors(encode_texts: Callable[[Sequence[str]], np.ndarray], texts: Sequence[str]) -> np.ndarray:
    """Return the vectors of ``texts``, [n, width], to the last bit the same for the same text.

    A text that is encoded twice, beside longer and shorter ones, is rounded in two ways, and would not be equal to itself.
    """
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return encode_texts(list(place))[[place[text] for text in texts]]


def same_words(text: str) -> str:
    """Return a report without case, accents and spacing: two that are equal so are hits for each other."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(sign for sign in plain if not unicodedata.combining(sign)).split())


def precision(scores: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Return the share of relevant items among the first ``k`` of each query, float [queries].

    Args:
        scores: [queries, items].
        relevant: bool [queries, items].

    >>> precision(np.array([[0.9, 0.5, 0.5, 0.1]]), np.array([[True, False, True, True]]), 2)
    array([0.75])
    """
    last = np.sort(scores, axis=1)[:, -k][:, None]
    above, tied = scores > last, scores == last
    places = k - above.sum(axis=1)
    return ((relevant & above).sum(axis=1) + places * (relevant & tied).sum(axis=1) / tied.sum(axis=1)) / k


def by_study(scores: np.ndarray, report_group: np.ndarray, ks: tuple[int, ...] = (1, 5)) -> dict[str, np.ndarray]:
    """Return the ``recall_at_k`` of each study, float [n], the mean over both directions, and its ``rank`` in either, [2, n].

    Any member of the query's report group is a hit: studies with the same report cannot be told apart by their text. Where
    items tie with the query's best hit, recall and rank are their means over all orders of the ties, so constant features have
    those of chance.

    Args:
        scores: similarities [num_studies, num_studies], rows images, columns reports.
        report_group: [num_studies].
    """
    hits = report_group[:, None] == report_group[None, :]
    sides = [_places(scores, hits), _places(scores.T, hits)]
    told = {f"recall_at_{k}": np.mean([_recall(*side, k) for side in sides], axis=0) for k in ks}
    return told | {"rank": np.array([1 + above + others / (equals + 1) for above, others, equals in sides])}


def retrieval(found: dict[str, np.ndarray]) -> dict[str, float]:
    """Return ``recall_at_k`` and ``median_rank`` of what `by_study` has found, each the mean over both directions.

    >>> scores = np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1], [0.1, 0.2, 0.7]])
    >>> retrieval(by_study(scores, np.array([0, 1, 2]), ks=(1,)))
    {'recall_at_1': 0.8333333333333334, 'median_rank': 1.0}
    """
    recalls = {name: float(each.mean()) for name, each in found.items() if name != "rank"}
    return recalls | {"median_rank": float(np.median(found["rank"], axis=1).mean())}


def _places(scores: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each query, the items above its best hit, the non-hits that tie with it, and the hits that do."""
    best = np.where(hits, scores, -np.inf).max(axis=1, keepdims=True)
    tied = scores == best
    return (~hits & (scores > best)).sum(axis=1), (~hits & tied).sum(axis=1), (hits & tied).sum(axis=1)


def _recall(above: np.ndarray, others: np.ndarray, equals: np.ndarray, k: int) -> np.ndarray:
    """Return the probability of a hit among the first ``k``: each place after ``above`` is drawn from the ties."""
    missed = np.ones(len(above))
    for place in range(k):
        drawn = np.maximum(place - above, 0)
        missed *= np.where(place < above, 1, np.maximum(others - drawn, 0) / np.maximum(others + equals - drawn, 1))
    return 1 - missed
