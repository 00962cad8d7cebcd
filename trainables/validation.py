"""How good a model is at this moment: loss, retrieval at study level, and zero-shot findings."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from ..datasets.pairs import Batch, Corpus, reports, studies
from .grad_cache import Autocast
from .model import DualEncoder
from .objectives.objective import Features, Needs
from .tasks.metrics import auroc, auroc_influence
from .tasks.retrieval import by_study, retrieval
from .tasks.zero_shot import prototype_scores

if TYPE_CHECKING:
    from .pretrain import PretrainConfig

BATCH_SIZE = 64
MOST_PROTOTYPES = 8192
"""Training reports that prototypes are made of, at most: evenly spread over the corpus, the same at every validation."""
PATIENT_GROUPS = 20
"""Groups of validation patients at most, the same in all trials on the same pairs; see `shares_of_patients`."""


def metrics_of(labels: Iterable[str], needs: Needs) -> list[str]:
    """Return the names that `validate` can report on a corpus with these labels, for an objective with these needs."""
    findings = [f"val/auroc/{label}" for label in labels]
    retrieved = ["val/recall_at_1", "val/recall_at_5", "val/median_rank"] if needs.text_views else []
    return [*(["val/auroc"] if findings else []), *findings, *retrieved, "val/loss"]


@torch.no_grad()
def validate(
    model: DualEncoder,
    train: Corpus,
    val: Corpus,
    config: "PretrainConfig",
    precise: Autocast,
    device: torch.device,
    visit: int = 0,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return the metrics of the validation split, the same on all ranks; what cannot be computed is absent.

    Of areas and recalls it also returns what each group of patients adds to them, see `shares_of_patients`.

    A study is all its images together and its report, without augmentation. Findings are scored by the objective itself if it
    classifies, otherwise against prototypes of the *training* reports (`prototype_scores`); ``val/auroc`` is the mean over
    findings. ``val/loss`` is the mean over batches of the configuration's own size: do not compare it across batch sizes.
    """
    rank = dist.get_rank() if dist.is_initialized() else 0
    world_size = dist.get_world_size() if dist.is_initialized() else 1
    tokenizer, with_texts = config.text.tokenizer, bool(model.needs.text_views)
    model.eval()
    rows, image_features, text_features = [], [], []
    for batch in studies(val, tokenizer, config.image.resolution, config.data, BATCH_SIZE, rank, world_size, visit):
        with precise():
            images = [model.encode_images(part.to(device)) for part in torch.from_numpy(batch.images).split(BATCH_SIZE)]
            if with_texts:
                text_features.append(model.encode_texts(_on(batch.input_ids, device), _on(batch.text_mask, device)))
        image_features.append(model.pool(torch.cat(images), _on(batch.image_counts, device)))
        rows.append(batch.study)
    images = _whole(rows, image_features, len(val.study_ids))
    texts = _whole(rows, text_features, len(val.study_ids)) if with_texts else np.empty((0, images.shape[-1]))
    features = _features(model, images, texts, val, device)
    metrics = {"val/loss": _loss(model, features, config.batch_size)}
    influence = {}
    if with_texts:
        found = by_study(images[:, 0] @ texts.T, val.report_group)
        metrics |= {f"val/{name}": value for name, value in retrieval(found).items()}
        influence |= {f"val/{name}": (each - each.mean()) / len(each) for name, each in found.items() if name != "rank"}

    own = model.objective.label_scores(features)
    if own is not None:
        scores = own.double().cpu().numpy()
    else:
        among = np.unique(np.linspace(0, len(train.study_ids) - 1, MOST_PROTOTYPES).astype(int))
        train_rows, train_texts = [], []
        for study, input_ids, text_mask in reports(train, tokenizer, config.data, among[rank::world_size], 4 * BATCH_SIZE):
            with precise():
                train_texts.append(model.encode_texts(_on(input_ids, device), _on(text_mask, device)))
            train_rows.append(np.searchsorted(among, study))
        prototypes = _whole(train_rows, train_texts, len(among))
        scores = prototype_scores(images[:, 0], prototypes, train.labels[among])
    model.train()
    areas, of_areas = {}, {}
    for column, name in enumerate(val.label_names):
        truth, told = val.labels[:, column], scores[:, column]
        if not np.isnan(area := auroc(truth, told)):
            areas[f"val/auroc/{name}"], of_areas[f"val/auroc/{name}"] = area, auroc_influence(truth, told)
    if areas:
        metrics["val/auroc"] = float(np.mean(list(areas.values())))
        influence["val/auroc"] = np.mean(list(of_areas.values()), axis=0)
    of_patients = {name: shares_of_patients(one, val.patient_ids) for name, one in (influence | of_areas).items()}
    return metrics | areas, of_patients


def shares_of_patients(influence: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """Return what each of `PATIENT_GROUPS` groups of patients, or each of fewer patients, adds to a metric; the sum is 0.

    Trials that validate on the same studies have the same groups. How a difference between trials would scatter over other
    patients is read off them: groups in which it is large do not cancel.

    Args:
        influence: of each study on the metric, float [num_studies].
        patients: one per study.

    Source: B. Efron and C. Stein, Annals of Statistics 9 (1981), jackknife; groups as in J. Shao and D. Tu, "The Jackknife and
    Bootstrap" (1995), section 5.1.
    """
    known, patient = np.unique(np.asarray(patients), return_inverse=True)
    groups = min(PATIENT_GROUPS, len(known))
    return np.bincount(patient % groups, influence, groups)


def _features(model: DualEncoder, images: np.ndarray, texts: np.ndarray, val: Corpus, device: torch.device) -> Features:
    """What the objective sees of the whole split; where it wants several views of a study, they are all the same one."""
    views = np.repeat(images, model.needs.image_views, axis=0)
    whole = Batch(
        images=None,
        image_counts=None,
        input_ids=None,
        text_mask=None,
        report_group=_on(val.report_group, device),
        labels=_on(val.labels, device),
        study=_on(np.arange(len(images)), device),
    )
    repeated = np.repeat(texts, max(1, model.needs.text_views), axis=0)
    return model.features(_on(views, device).float(), _on(repeated, device).float(), whole)


def _loss(model: DualEncoder, features: Features, batch_size: int) -> float:
    """Mean loss of the batches of ``batch_size`` studies in corpus order; an incomplete last one counts only if it is alone."""
    count = len(features)
    starts = range(0, max(1, count - batch_size + 1), batch_size)
    parts = [features.part(slice(first, min(first + batch_size, count))) for first in starts]
    return float(np.mean([model.objective(part, slice(0, len(part))).item() for part in parts]))


def _on(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device)


def _whole(rows: list[np.ndarray], features: list[Tensor], count: int) -> np.ndarray:
    """Return the features of all ranks in row order, float64 [count, ...]; float64 so that no sum depends on the ranks."""
    mine = (np.concatenate(rows), torch.cat(features).double().cpu().numpy()) if rows else None
    parts = [mine]
    if dist.is_initialized():
        parts = [None] * dist.get_world_size()
        dist.all_gather_object(parts, mine)
    known = [part for part in parts if part is not None]
    whole = np.empty((count, *known[0][1].shape[1:]))
    for places, values in known:
        whole[places] = values
    return whole
