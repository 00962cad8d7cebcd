"""Fine-tuning: what the whole image tower is worth as a beginning, with all the labels, a tenth, a hundredth.

Source: A. Englebert et al., arXiv 2405.08932, the protocol of its downstream code, which the defaults follow.
"""

import copy
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.labelled import Kind, Labelled, Target
from ...datasets.refusal import UserError
from ..encode import Reader, view
from ..image_tower import ImageModule
from .dense import reader_of
from .linear_probe import Share, percent, wanted
from .probe import Cases, averaged, lacking, over_draws, pooled, sexes, share_of
from .task import Encoded, Prediction, Result, Task


class FineTune(Task):
    """A copy of the image tower, trained with a linear head on every target of the corpus, on shares of the training patients.

    Targets of one kind share a head and a training; a label that a study lacks takes no part in the loss. At first the head
    alone is trained, then everything, at the learning rate of the encoder: the head as well, as in the reference's code. The
    weights of the epoch with the lowest validation loss are tested. Images are trained one by one; several images of a study
    are validated and tested together, on the mean of their features.

    Attributes:
        shares: of the training patients, the same for every checkpoint.
        repeats: draws of a share below 1, whose figures are averaged.
        targets: to tune for; none means all.
        sex: whether the head is given the patient's sex as one more feature, as bone-age readers have it.
        frozen_steps: steps of the head alone.
        head_lr: while the tower is frozen; ``number_lr`` where the targets are numbers.
        encoder_lr: of everything from then on.
        plateau: epochs without a lower validation loss after which the learning rate is halved.
        patience: epochs without one after which training ends.
        seed: of the draws, the head, the order of images and dropout.
    """

    shares: tuple[Share, ...] = (0.01, 0.1, 1.0)
    repeats: int = Field(default=1, ge=1)
    targets: tuple[str, ...] = ()
    sex: bool = False
    epochs: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=64, ge=1)
    frozen_steps: int = Field(default=200, ge=0)
    head_lr: float = Field(default=1e-4, gt=0)
    number_lr: float = Field(default=1e-3, gt=0)
    encoder_lr: float = Field(default=1e-6, gt=0)
    weight_decay: float = Field(default=1e-6, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    plateau: int = Field(default=3, ge=0)
    patience: int = Field(default=10, ge=1)
    seed: int = 0

    def run(self, encoded: Encoded) -> Result:
        """Return ``<target>_<metric>_at_<percent>``, and the mean over binary targets as ``mean_auroc_at_<percent>``.

        Targets with the same grades are scored together too, see `pooled`.

        Raises:
            UserError: no target can be learned and tested, or one that was asked for is not there.
        """
        reader = reader_of(encoded, self.name)
        names = wanted(self.targets, encoded)
        metrics: dict[str, float] = {}
        predictions: list[Prediction] = []
        absent: list[str] = []
        with tempfile.TemporaryFile() as file:
            views = Views(encoded.corpus, reader.pretrained.config.image.resolution, file)
            for kind in dict.fromkeys(encoded.corpus.targets[name].kind for name in names):
                group = [name for name in names if encoded.corpus.targets[name].kind == kind]
                for share in self.shares:
                    end = f"_at_{percent(share)}"
                    drawn: dict[str, dict[int, Prediction]] = {}
                    for repeat in range(self.repeats if share < 1 else 1):
                        for one in self._tuned(encoded, reader, views, group, share, repeat, absent):
                            drawn.setdefault(one.name.removesuffix(end), {})[repeat] = one
                    for name, draws in drawn.items():
                        ones = list(draws.values())
                        metrics |= over_draws(name, ones, end)
                        predictions.append(averaged(name + end, ones))
                    for several, ones in pooled(drawn).items():
                        metrics |= over_draws(several, ones, end)
                        predictions.append(averaged(several + end, ones))
        if not metrics:
            raise UserError(f"{encoded.corpus.name} has nothing to tune for: {'; '.join(absent) or 'no target'}")
        for share in self.shares:
            end = f"_auroc_at_{percent(share)}"
            told = [
                metrics[name + end] for name in names if name + end in metrics and encoded.corpus.targets[name].kind == "binary"
            ]
            if len(told) > 1:
                metrics[f"mean{end}"] = float(np.mean(told))
        return Result(metrics, tuple(predictions), tuple(dict.fromkeys(absent)))

    def _tuned(
        self,
        encoded: Encoded,
        reader: Reader,
        views: "Views",
        group: Sequence[str],
        share: float,
        repeat: int,
        absent: list[str],
    ) -> list[Prediction]:
        """Return what a tower tuned for ``group`` says of the test studies."""
        studies = encoded.studies
        truth = {name: encoded.truth(name) for name in group}
        some = np.any([~np.isnan(own) for own in truth.values()], axis=0)
        parts = {split: some & (studies.splits == split) for split in ("train", "val", "test")}
        if share < 1 and parts["train"].any():
            own = np.flatnonzero(parts["train"])
            cases = Cases(own, own, studies.patients[own], studies.splits[own])
            parts["train"][own] = share_of(cases, share, np.random.default_rng((self.seed, repeat)))
        names = []
        for name, own in truth.items():
            known = {split: np.flatnonzero(part & ~np.isnan(own)) for split, part in parts.items()}
            train = known["train"]
            why = lacking(Cases(train, own[train], studies.patients[train], studies.splits[train]))
            if not len(known["val"]):
                why = why or "no validation case has the label, and without one nothing says when to stop"
            if not len(known["test"]):
                why = why or "no test case has the label"
            if why:
                absent.append(f"{name}_at_{percent(share)}: {why}")
            else:
                names.append(name)
        if not names:
            return []
        known = np.any([~np.isnan(truth[name]) for name in names], axis=0)
        train, val, test = (np.flatnonzero(part & known) for part in parts.values())
        tuned = tune(self, encoded, reader, views, names, train, val)
        if tuned.frozen:
            absent.append(f"{', '.join(names)} at {percent(share)} %: no tuning of the tower lowered the validation loss")
        outputs, predictions = tuned(test), []
        for name, scores in zip(names, tuned.head.scores(outputs), strict=True):
            own = truth[name][test]
            told = ~np.isnan(own)
            target, patients = encoded.corpus.targets[name], studies.patients[test][told]
            predictions.append(Prediction(f"{name}_at_{percent(share)}", target, patients, own[told], scores[told]))
        return predictions


def tune(
    task: FineTune, encoded: Encoded, reader: Reader, views: "Views", names: Sequence[str], train: np.ndarray, val: np.ndarray
) -> "Tuned":
    """Return the tower and the head with the lowest loss on the studies ``val``, trained on the images of ``train``.

    While the tower is frozen, its features are those that are known already.
    """
    truth = torch.from_numpy(np.column_stack([encoded.truth(name) for name in names])).float()
    targets = [encoded.corpus.targets[name] for name in names]
    images = np.concatenate([encoded.studies.images[study] for study in train])
    studies = np.repeat(train, [len(encoded.studies.images[study]) for study in train])
    device = reader.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(task.seed)
        tower = copy.deepcopy(reader.pretrained.model.image).to(device).requires_grad_(True).eval()
        tower.frozen = False
        beside = torch.from_numpy(sexes(encoded)[:, None]).float() if task.sex else None
        head = Head(tower.num_features + task.sex, targets, truth[studies], task.dropout).to(device)
        tuned = Tuned(encoded, views, tower, head, task.batch_size, beside)
        optimizer = torch.optim.AdamW(
            [*tower.parameters(), *head.parameters()],
            lr=task.number_lr if targets[0].kind == "number" else task.head_lr,
            weight_decay=task.weight_decay,
        )
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=task.plateau)
        best, lowest, since, steps = tuned.state(), math.inf, 0, 0
        for _ in range(task.epochs):
            head.train()
            for own in torch.randperm(len(images)).split(task.batch_size):
                if steps == task.frozen_steps:
                    tuned.frozen = False
                    for group in optimizer.param_groups:
                        group["lr"] = task.encoder_lr
                tower.train(not tuned.frozen)
                outputs = head(tuned.states(images[own.numpy()]))
                loss = head.losses(outputs, truth[studies[own.numpy()]].to(device)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                steps += 1
            value = float(head.losses(tuned(val), truth[val].to(device)).mean())
            plateau.step(value)
            since += 1
            if value < lowest:
                best, lowest, since = tuned.state(), value, 0
            if since >= task.patience:
                break
        return tuned.load(best)


State = tuple[bool, dict[str, Tensor], dict[str, Tensor]]
"""Whether the tower is frozen, and the weights of tower and head; of a frozen tower, none."""


@dataclass
class Tuned:
    """A tower and a head on their way.

    Attributes:
        beside: what the head is given of each image beside the tower's features, float32 [images, n], or None.
        frozen: whether the tower is still as it was pretrained.
    """

    encoded: Encoded
    views: "Views"
    tower: ImageModule
    head: "Head"
    batch_size: int
    beside: Tensor | None = None
    frozen: bool = True

    @torch.no_grad()
    def __call__(self, studies: np.ndarray) -> Tensor:
        """Return the head's outputs for studies, on the mean of the features of their images."""
        self.tower.eval()
        self.head.eval()
        images = [self.encoded.studies.images[study] for study in studies]
        states = torch.cat([self.states(own) for own in _batches(np.concatenate(images), self.batch_size)])
        return self.head(torch.stack([own.mean(dim=0) for own in states.split([len(own) for own in images])]))

    def states(self, images: np.ndarray) -> Tensor:
        """Return what the head is given of images by their places, float32 [n, width]; a frozen tower's features are known."""
        device = next(self.head.parameters()).device
        if self.frozen:
            states = torch.from_numpy(self.encoded.states[images]).float().to(device)
        else:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                states = self.tower(self.views(images).to(device)).float()
        return states if self.beside is None else torch.cat([states, self.beside[images].to(device)], dim=1)

    def state(self) -> State:
        """Return a copy of the weights."""
        parts = [{name: value.clone() for name, value in part.state_dict().items()} for part in (self.tower, self.head)]
        return self.frozen, {} if self.frozen else parts[0], parts[1]

    def load(self, state: State) -> Self:
        """Return what had these weights."""
        self.frozen, tower, head = state
        if not self.frozen:
            self.tower.load_state_dict(tower)
        self.head.load_state_dict(head)
        return self


def _batches(places: np.ndarray, size: int) -> list[np.ndarray]:
    return [places[first : first + size] for first in range(0, len(places), size)]


class Head(nn.Module):
    """Dropout and a linear layer for targets of one kind, and their loss.

    Binary targets have a cross-entropy whose positives weigh as much as the negatives, classes and grades a cross-entropy over
    their levels, numbers a smooth L1 loss in their unit of ``(W x + c) * scale + bias``, with a scale and a bias that begin at
    the standard deviation and the mean of the training labels.

    Args:
        truth: of the training images, float [n, targets]; NaN where it is unknown. Every target has two levels at least.
    """

    def __init__(self, width: int, targets: Sequence[Target], truth: Tensor, dropout: float) -> None:
        super().__init__()
        self.kind: Kind = targets[0].kind
        self.sizes = [max(1, len(target.levels)) for target in targets]
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, sum(self.sizes))
        known = [own[~own.isnan()] for own in truth.T]
        if self.kind == "number":
            self.scale = nn.Parameter(torch.stack([own.std(correction=0) for own in known]))
            self.bias = nn.Parameter(torch.stack([own.mean() for own in known]))
        if self.kind == "binary":
            self.register_buffer("weight", torch.stack([(own == 0).sum() / (own == 1).sum() for own in known]))

    def forward(self, states: Tensor) -> Tensor:
        outputs = self.linear(self.dropout(states))
        return outputs * self.scale + self.bias if self.kind == "number" else outputs

    def losses(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of every label that is known, in one row: [n, outputs], [n, targets] -> [labels]."""
        known = ~truth.isnan()
        if self.kind == "number":
            return F.smooth_l1_loss(outputs[known], truth[known], reduction="none")
        if self.kind == "binary":
            weight = self.get_buffer("weight").expand_as(outputs)
            return F.binary_cross_entropy_with_logits(outputs[known], truth[known], pos_weight=weight[known], reduction="none")
        rows = zip(outputs.split(self.sizes, dim=1), truth.T, known.T, strict=True)
        return torch.cat([F.cross_entropy(own[there], told[there].long(), reduction="none") for own, told, there in rows])

    def scores(self, outputs: Tensor) -> list[np.ndarray]:
        """Return of each target probabilities, [n] or [n, levels], or numbers in its unit."""
        exact = outputs.detach().double().cpu()
        if self.kind == "number":
            return list(exact.numpy().T)
        if self.kind == "binary":
            return list(exact.sigmoid().numpy().T)
        return [own.softmax(dim=1).numpy() for own in exact.split(self.sizes, dim=1)]


class Views:
    """The images of a corpus as a tower sees them, each read once and then kept in a file.

    Args:
        file: empty; it grows to resolution squared bytes an image that is asked for.
    """

    def __init__(self, corpus: Labelled, resolution: int, file: IO[bytes]) -> None:
        self.corpus, self.resolution = corpus, resolution
        count = len(corpus.images)
        self.kept = np.memmap(file, np.uint8, "w+", shape=(count, resolution, resolution))
        self.known = np.zeros(count, bool)

    def __call__(self, images: np.ndarray) -> Tensor:
        """Return images by their places in the corpus, uint8 [n, resolution, resolution]."""
        for image in images[~self.known[images]]:
            self.kept[image] = view(self.corpus, int(image), self.resolution)
            self.known[image] = True
        return torch.from_numpy(np.array(self.kept[images]))
