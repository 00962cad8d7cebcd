"""Zero-shot findings: does an image lie nearer to sentences that name a finding than to sentences that deny it?

The sentences are prompts, which are data files (``prompts/fr.json``, ``prompts/en.json``, or one of the user's own), or, while
pretraining, the training reports themselves (`prototype_scores`).
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ...datasets.config import FILE
from ...datasets.labelled import Target
from ...datasets.refusal import UserError
from .metrics import accuracy, auroc, balanced_accuracy, macro_auroc
from .task import Encoded, Prediction, Result, Task

PROMPTS = Path(__file__).parent / "prompts"


class ZeroShot(Task):
    """Classification by prompts, without a label.

    A finding is scored by how much nearer an image lies to the mean of the sentences that state it than to the mean of those
    that deny it; classes by the nearest mean of their sentences. Sentences are unit vectors before they are averaged.

    For findings there is the negation flip: stated and denied sentences differ by a negation, so a model that reads words and
    not sense puts every image on one side. ``flip`` is the share of images on the right side of the pair, balanced over
    present and absent (with two classes, the average class accuracy). It is a half for a model that does not read negations,
    but a half does not prove that: all images may also lie a little nearer to one side, in the right order (``auroc`` tells).

    Attributes:
        prompts: ``fr``, ``en`` or a JSON file: ``{"fracture": {"present": [...], "absent": [...]}, "side": {"left": [...]}}``;
            a target may name another whose sentences it shares, ``"Fracture": "fracture"``.
        targets: to be told; none means all that have prompts. Of a file of one's own every target must be in the corpus.
    """

    prompts: Annotated[str, FILE] = "fr"
    targets: tuple[str, ...] = ()

    def run(self, encoded: Encoded) -> Result:
        """Return ``<finding>_auroc``, ``<finding>_flip``, ``<classes>_accuracy`` ..., and means over findings.

        Findings that the pairs of the checkpoint had labels of are *base*, the others *novel*: ``base_auroc``,
        ``novel_auroc``, and the mean of their flips as ``base_balanced_accuracy`` and ``novel_balanced_accuracy``. Names that
        share prompts are one finding. Source: J. Silva-Rodriguez et al. (DLILP, IPMI 2025).

        Raises:
            UserError: the checkpoint reads no text, prompts name what the corpus does not have, or no target has test cases of
                two levels.
        """
        if encoded.encode_texts is None:
            raise UserError("zero_shot needs a checkpoint that learned from reports; this one never read any")
        prompts = read_prompts(self.prompts)
        targets = encoded.corpus.targets
        asked = self.targets or (() if _shipped(self.prompts).is_file() else tuple(prompts))
        if missing := [name for name in asked if name not in targets or name not in prompts]:
            raise UserError(
                f"zero_shot was asked for {', '.join(missing)}: the corpus has {', '.join(targets) or 'no target'}, "
                f"the prompts {self.prompts} have {', '.join(prompts)}; choose with --set zero_shot.targets=A,B"
            )
        names = asked or tuple(name for name in targets if name in prompts)
        if not names:
            raise UserError(f"the prompts {self.prompts} name no target of {encoded.corpus.name}: {', '.join(targets)}")
        images = unit(encoded.by_study(encoded.features))
        test = encoded.studies.splits == "test"
        metrics: dict[str, float] = {}
        predictions, absent, flips = [], [], {}
        for name in names:
            target, truth = targets[name], encoded.truth(name)
            known = test & ~np.isnan(truth)
            truth = truth[known]
            if why := self._unfit(name, prompts[name], target):
                if asked:
                    raise UserError(why)
                absent.append(why)
                continue
            if len(np.unique(truth)) < 2:
                absent.append(f"{name}: the test cases do not have two levels")
                continue
            levels = ("absent", "present") if target.kind == "binary" else target.levels
            anchors = np.stack([unit(encoded.encode_texts(prompts[name][level])).mean(axis=0) for level in levels])
            near = images[known] @ unit(anchors).T
            if target.kind == "binary":
                scores = near[:, 1] - near[:, 0]
                told = {"auroc": auroc(truth, scores), "flip": balanced_accuracy(truth, (scores > 0).astype(float))}
                flips[name] = told["flip"]
            else:
                scores = near
                told = {
                    "accuracy": accuracy(truth, near),
                    "balanced_accuracy": balanced_accuracy(truth, near),
                    "auroc": macro_auroc(truth, near),
                }
            metrics |= {f"{name}_{metric}": value for metric, value in told.items()}
            predictions.append(Prediction(name, target, encoded.studies.patients[known], truth, scores))
        if not metrics:
            raise UserError(f"{encoded.corpus.name} has nothing for zero shots: {'; '.join(absent)}")
        base = [name for name in flips if any(prompts.get(own) is prompts[name] for own in encoded.known)]
        for group, own in (("mean", list(flips)), ("base", base), ("novel", [name for name in flips if name not in base])):
            if own:
                metrics[f"{group}_auroc"] = float(np.mean([metrics[f"{name}_auroc"] for name in own]))
                metrics[f"{group}_balanced_accuracy"] = float(np.mean([flips[name] for name in own]))
        return Result(metrics, tuple(predictions), tuple(absent))

    def _unfit(self, name: str, levels: Mapping[str, Sequence[str]], target: Target) -> str:
        """Return why prompts cannot tell a target; empty if they can. Of classes they may know more than the corpus has."""
        if target.kind == "number":
            return f"{name} is a number: prompts tell findings and classes apart"
        needed = ("absent", "present") if target.kind == "binary" else target.levels
        if set(needed) <= set(levels) and (target.kind != "binary" or len(levels) == 2):
            return ""
        return f"the prompts {self.prompts} of {name} are for {', '.join(levels)}; the corpus has {', '.join(needed)}"


def _shipped(name: str) -> Path:
    return PROMPTS / f"{name}.json"


def read_prompts(name: str) -> dict[str, dict[str, list[str]]]:
    """Return the sentences of each level of each target of a prompt set, shipped or a file; shared ones are one object.

    Raises:
        UserError: there is no such set, it cannot be read, or it is none.
    """
    path = next((place for place in (_shipped(name), Path(name)) if os.path.isfile(place)), None)  # noqa: PTH113 - any length
    if path is None:
        there = ", ".join(sorted(file.stem for file in PROMPTS.glob("*.json")))
        raise UserError(f"there are no prompts {name!r}: shipped are {there}; or name a JSON file")
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error})") from error
    if not isinstance(told, Mapping) or not all(map(_is_levels, named := _resolved(told))):
        raise UserError(
            f"{path} is no set of prompts: {{target: {{level: [sentence, ...]}}}}, with a sentence for every level, or "
            "{target: another target}"
        )
    return dict(zip(told, named, strict=True))


def _resolved(told: Mapping[str, Any]) -> list[Any]:
    return [told.get(levels) if isinstance(levels, str) else levels for levels in told.values()]


def _is_levels(levels: Any) -> bool:
    return (
        isinstance(levels, Mapping)
        and bool(levels)
        and all(isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts) for texts in levels.values())
    )


def unit(rows: np.ndarray) -> np.ndarray:
    """Return the rows at length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def prototype_scores(image_features: np.ndarray, text_features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return one score per study and label: image . (mean report with the label - mean report without it).

    Works for any labelled corpus in any language: the prompts are the training reports themselves.

    Args:
        image_features: of the studies to score [n, d].
        text_features: of training reports [m, d].
        labels: of the training reports [m, num_labels], NaN where unknown.

    Returns:
        [n, num_labels], NaN where the training reports hold no positive or no negative.
    """
    scores = np.full((len(image_features), labels.shape[1]), np.nan)
    for column in range(labels.shape[1]):
        present, absent = labels[:, column] == 1, labels[:, column] == 0
        if present.any() and absent.any():
            direction = text_features[present].mean(axis=0) - text_features[absent].mean(axis=0)
            scores[:, column] = image_features @ direction
    return scores
