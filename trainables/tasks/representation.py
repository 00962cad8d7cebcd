"""The geometry of features: what lies near what, how evenly they fill their space, and maps of it for the eye."""

from collections import Counter

import numpy as np
from pydantic import Field
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from ...datasets.refusal import UserError
from .task import Encoded, Result, Task
from .zero_shot import unit

PERPLEXITY = 30.0
PARTS = 6
"""Body parts that are told apart on a map, the most frequent ones."""


class Representation(Task):
    """What can be said of features without fitting a label, and how far labels fall apart on two-dimensional maps.

    Maps are of the image tower's features, averaged over a study; distances are of unit vectors in the space shared with
    reports.
    The body part, the first classes target and all binary targets are looked up on the maps: a silhouette of 1 is levels far
    apart, 0 levels that overlap. LDA learns its axes from training studies; t-SNE sees no label.

    Attributes:
        most: studies of each split at most, drawn once for all checkpoints.
        seed: of the draws and of t-SNE.
    """

    most: int = Field(default=2000, ge=4)
    seed: int = 0

    @threadpool_limits.wrap(limits=1)  # as in probe.fit
    def run(self, encoded: Encoded) -> Result:
        """Return distances, ranks, and of each label ``<target>_tsne_silhouette`` and ``<target>_lda_silhouette``.

        ``image_alignment``, ``text_alignment``, ``image_uniformity``, ``text_uniformity``; ``state_rank`` of the tower's
        features and ``feature_rank`` of those in the shared space.

        Alignment is the mean squared distance of the images of a study, or of an image and its report, each study counting
        once. Uniformity of reports is over distinct texts. Ranks are of features less their mean.

        Raises:
            UserError: fewer than four test studies.
        """
        splits = encoded.studies.splits
        train, test = (self._drawn(np.flatnonzero(splits == split)) for split in ("train", "test"))
        if len(test) < 4:
            raise UserError(f"{encoded.corpus.name}: representation needs four test studies; there are {len(test)}")
        states, images = encoded.by_study(encoded.states).astype(float), unit(encoded.by_study(encoded.features).astype(float))
        metrics = {
            "image_uniformity": uniformity(images[test]),
            "state_rank": effective_rank(states[test] - states[test].mean(axis=0)),
            "feature_rank": effective_rank(images[test] - images[test].mean(axis=0)),
        }
        absent: list[str] = []
        self._align(encoded, test, metrics, absent)
        seen = tsne(states[test], self.seed)
        shown = {"tsne": seen}
        for name, (truth, levels) in mapped(encoded).items():
            metrics[f"{name}_tsne_silhouette"] = silhouette(seen, truth[test])
            shown |= {f"truth_{name}": truth[test], f"levels_{name}": np.array(levels)}
            if len(levels_of(truth[train])) < 2:
                absent.append(f"{name}_lda_silhouette: fewer than two levels have two training studies")
                continue
            learned = np.concatenate([truth[train], np.full(len(test), np.nan)])
            try:
                placed = lda(np.concatenate([states[train], states[test]]), learned)[len(train) :]
            except np.linalg.LinAlgError:
                absent.append(f"{name}_lda_silhouette: too few different training studies to tell levels from scatter")
                continue
            shown[f"lda_{name}"] = placed
            metrics[f"{name}_lda_silhouette"] = silhouette(placed, truth[test])
        absent += [
            f"{name}: cannot be computed from {len(test)} test studies" for name, value in metrics.items() if np.isnan(value)
        ]
        return Result({name: value for name, value in metrics.items() if not np.isnan(value)}, (), tuple(absent), shown)

    def _drawn(self, places: np.ndarray) -> np.ndarray:
        return np.sort(np.random.default_rng(self.seed).permutation(places)[: self.most])

    def _align(self, encoded: Encoded, test: np.ndarray, metrics: dict[str, float], absent: list[str]) -> None:
        features = unit(encoded.features.astype(float))
        own = [features[encoded.studies.images[place]] for place in test]
        several = [float((pdist(rows) ** 2).mean()) for rows in own if len(rows) > 1]
        if several:
            metrics["image_alignment"] = float(np.mean(several))
        else:
            absent.append("image_alignment: no test study has several images")
        reports = encoded.reports()
        read = [(rows, text) for rows, text in zip(own, (reports[place] for place in test), strict=True) if text]
        if encoded.encode_texts is None:
            absent.append("text_alignment and text_uniformity: the checkpoint never learned from text")
        elif not read:
            absent.append("text_alignment and text_uniformity: no test study has a report")
        else:
            texts = list(dict.fromkeys(text for _, text in read))
            vectors = unit(encoded.encode_texts(texts).astype(float))
            place = {text: number for number, text in enumerate(texts)}
            metrics["text_alignment"] = float(
                np.mean([alignment(rows, np.broadcast_to(vectors[place[text]], rows.shape)) for rows, text in read])
            )
            metrics["text_uniformity"] = uniformity(vectors)


def mapped(encoded: Encoded) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """Return what is looked up on maps, by name: the level of each study, float [studies] or NaN, and the names of levels.

    The body part, where files name several and no target does; the first target with classes; all binary ones.
    """
    targets = encoded.corpus.targets
    names = [name for name, target in targets.items() if target.kind == "classes"][:1]
    names += [name for name, target in targets.items() if target.kind == "binary"]
    told = {name: (encoded.truth(name), targets[name].levels) for name in names}
    part_of = [{encoded.corpus.images[place].body_part for place in own} for own in encoded.studies.images]
    parts = [str(*own) if len(own) == 1 and None not in own else "" for own in part_of]
    levels = tuple(part for part, _ in Counter(filter(None, parts)).most_common(PARTS))
    if len(levels) < 2 or "body_part" in told:
        return told
    return {"body_part": (np.array([levels.index(part) if part in levels else np.nan for part in parts]), levels)} | told


def alignment(one: np.ndarray, other: np.ndarray) -> float:
    r"""Return :math:`\mathrm{E}\,\lVert x - y \rVert^2` over pairs of rows.

    Source: T. Wang and P. Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere" (ICML 2020), section 4.1, alpha = 2.
    """
    return float(((one - other) ** 2).sum(axis=1).mean())


def uniformity(rows: np.ndarray) -> float:
    r"""Return :math:`\log \mathrm{E}\, e^{-2 \lVert x - y \rVert^2}` over pairs of different rows; NaN without a pair.

    0 where all rows are the same; the lower, the more even.

    Source: T. Wang and P. Isola (ICML 2020), section 4.1, t = 2.
    """
    return float(np.log(np.exp(-2 * pdist(rows) ** 2).mean())) if len(rows) > 1 else float("nan")


def effective_rank(rows: np.ndarray) -> float:
    """Return the exponential of the entropy of the singular values, taken as shares of their sum; NaN if all are 0.

    Source: O. Roy and M. Vetterli, "The effective rank: a measure of effective dimensionality" (EUSIPCO 2007), equation 4.
    """
    values = np.linalg.svd(rows, compute_uv=False)
    if not values.sum():
        return float("nan")
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def tsne(rows: np.ndarray, seed: int) -> np.ndarray:
    """Return a map of ``rows``, float [n, 2], of at least four; its time grows with their number, so give it 2000 at most.

    Source: L. van der Maaten and G. Hinton, "Visualizing Data using t-SNE" (JMLR 2008).
    """
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    return TSNE(perplexity=perplexity, init="random", random_state=seed).fit_transform(rows.astype(np.float32)).astype(float)


def lda(rows: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the places of ``rows`` on the two axes that separate the levels of ``truth`` best, float [n, 2].

    Rows whose truth is NaN, and those of a level that is known of one row only, are placed without being learned from: only of
    such rows does a map say how well levels fall apart, for with many features any labels can be separated. Two levels have one
    such axis; the second is then the direction in which rows differ most beside it. Covariances are shrunk.

    Raises:
        LinAlgError: there are so few rows, or so many copies, that nothing is known of how they scatter within a level.

    Source: R. A. Fisher (Annals of Eugenics 1936); O. Ledoit and M. Wolf (Journal of Multivariate Analysis 2004).
    """
    levels = levels_of(truth)
    learned = np.isin(truth, levels)
    if not rows[learned].std(axis=0).any():
        return np.zeros((len(rows), 2))
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(rows[learned], truth[learned].astype(int))
    placed = model.transform(rows)[:, :2]
    if placed.shape[1] == 2:
        return placed
    middle, axis = rows[learned].mean(axis=0), model.scalings_[:, 0]
    axis = axis / np.linalg.norm(axis)
    beside = (rows - middle) - np.outer((rows - middle) @ axis, axis)
    return np.column_stack([placed, PCA(1, svd_solver="full").fit(beside[learned]).transform(beside)])


def levels_of(truth: np.ndarray) -> np.ndarray:
    """Return the levels that are known of two rows or more."""
    levels, counts = np.unique(truth[~np.isnan(truth)], return_counts=True)
    return levels[counts > 1]


def silhouette(places: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean silhouette of the levels on a map; NaN unless there are two levels and fewer than rows.

    Source: P. J. Rousseeuw, Journal of Computational and Applied Mathematics 20 (1987).
    """
    known = ~np.isnan(truth)
    if not 2 <= len(np.unique(truth[known])) < known.sum():
        return float("nan")
    return float(silhouette_score(places[known], truth[known].astype(int)))
