"""How good a model is at this moment: retrieval at study level, and zero-shot findings."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from ..datasets.pairs import Corpus, Reading, reports, studies
from .model import DualEncoder, pool
from .tasks.retrieval import retrieval
from .tasks.zero_shot import auroc, prototype_scores

BATCH_SIZE = 64


def metrics_of(labels: Iterable[str]) -> list[str]:
    """Return the names that `validate` can report on a corpus with these labels."""
    findings = [f"val/auroc/{label}" for label in labels]
    return [*(["val/auroc"] if findings else []), *findings, "val/recall_at_1", "val/recall_at_5", "val/median_rank"]


@torch.no_grad()
def validate(
    model: DualEncoder,
    train: Corpus,
    val: Corpus,
    tokenizer: str,
    resolution: int,
    reading: Reading,
    autocast: Callable[[], AbstractContextManager],
    device: torch.device,
) -> dict[str, float]:
    """Return the metrics of the validation split, the same on all ranks; what cannot be computed is absent.

    A study is all its images together and its report, without augmentation. Findings are scored against prototypes of the
    *training* reports (`prototype_scores`); ``val/auroc`` is the mean over findings.
    """
    rank = dist.get_rank() if dist.is_initialized() else 0
    world_size = dist.get_world_size() if dist.is_initialized() else 1
    model.eval()
    rows, image_features, text_features = [], [], []
    for batch in studies(val, tokenizer, resolution, reading, BATCH_SIZE, rank, world_size):
        with autocast():
            images = [model.encode_images(part.to(device)) for part in torch.from_numpy(batch.images).split(BATCH_SIZE)]
            texts = model.encode_texts(_on(batch.input_ids, device), _on(batch.text_mask, device))
        image_features.append(pool(torch.cat(images), _on(batch.image_counts, device)))
        text_features.append(texts)
        rows.append(batch.study)
    train_rows, train_texts = [], []
    for study, input_ids, text_mask in reports(train, tokenizer, reading, 4 * BATCH_SIZE, rank, world_size):
        with autocast():
            train_texts.append(model.encode_texts(_on(input_ids, device), _on(text_mask, device)))
        train_rows.append(study)
    model.train()
    images, texts = _whole(rows, image_features, len(val.study_ids)), _whole(rows, text_features, len(val.study_ids))
    prototypes = _whole(train_rows, train_texts, len(train.study_ids))

    metrics = {f"val/{name}": value for name, value in retrieval(images @ texts.T, val.report_group).items()}
    scores = prototype_scores(images, prototypes, train.labels)
    found = {
        name: value
        for column, name in enumerate(val.label_names)
        if (value := auroc(scores[:, column], val.labels[:, column])) is not None
    }
    if found:
        metrics["val/auroc"] = float(np.mean(list(found.values())))
    return metrics | {f"val/auroc/{name}": value for name, value in found.items()}


def _on(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device)


def _whole(rows: list[np.ndarray], features: list[Tensor], count: int) -> np.ndarray:
    """Return the features of all ranks in row order, float64 [count, d]; float64 so that no sum depends on the ranks."""
    mine = (np.concatenate(rows), torch.cat(features).double().cpu().numpy()) if rows else None
    parts = [mine]
    if dist.is_initialized():
        parts = [None] * dist.get_world_size()
        dist.all_gather_object(parts, mine)
    known = [part for part in parts if part is not None]
    whole = np.empty((count, known[0][1].shape[1]))
    for places, values in known:
        whole[places] = values
    return whole
