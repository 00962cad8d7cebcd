"""A frozen text tower runs once per report: its features are kept and read by every trial that shares them."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import ray
import torch
from filelock import FileLock

from ..datasets.config import flatten
from ..datasets.pairs import Corpus, Tokens, Vectors, reports
from .grad_cache import Autocast
from .model import DualEncoder

if TYPE_CHECKING:
    from .pretrain import PretrainConfig

BATCH_SIZE = 256


def can_be_remembered(config: "PretrainConfig") -> bool:
    """Return whether a report always gives the same feature: the tower is frozen, and always reads the same one text."""
    return config.text.freeze == "all" and config.objective.needs.text_views == 1 and config.data.text.part != "sentence"


@torch.no_grad()
def remembered(
    model: DualEncoder, corpus: Corpus, config: "PretrainConfig", folder: Path, precise: Autocast, device: torch.device
) -> Corpus:
    """Return ``corpus`` with the text tower's features in place of tokens, from ``folder`` if any trial made them before.

    Whoever comes first computes them, for all studies; others wait. They are found by the tower's own weights, what it reads
    of a report, precision and the reports themselves: another of these makes them anew.
    """
    tokenizer = config.text.tokenizer
    tokens: Tokens = ray.get(corpus.tokens[tokenizer])
    digest = hashlib.sha256()
    reading = [flatten(config.text), flatten(config.data.text), config.data.max_tokens, config.precision]
    digest.update(json.dumps(reading, default=str).encode())
    for name, weights in model.text.state_dict().items():
        digest.update(name.encode() + weights.cpu().numpy().tobytes())
    for array in (tokens.study_starts, tokens.sentence_starts, tokens.sections, tokens.ids):
        digest.update(array.tobytes())
    path = folder / f"text-{digest.hexdigest()[:32]}.npy"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            rows, features = [], []
            for row, input_ids, text_mask in reports(
                corpus, tokenizer, config.data, np.arange(len(corpus.study_ids)), BATCH_SIZE
            ):
                with precise():
                    states = model.text(torch.from_numpy(input_ids).to(device), torch.from_numpy(text_mask).to(device))
                rows.append(row)
                features.append(states.float().cpu().numpy())
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.save(file, np.concatenate(features)[np.argsort(np.concatenate(rows))])
            partial.replace(path)
    return dataclasses.replace(corpus, tokens=corpus.tokens | {tokenizer: ray.put(Vectors(tokens.vocabulary, path))})
