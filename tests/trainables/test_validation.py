"""Validation of a model whose features are known."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import ray
import torch
from torch import Tensor

from radsweep.datasets.pairs import Corpus, Tokens
from radsweep.datasets.tokens import Vocabulary
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.model import DualEncoder
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.cxr_clip import CxrClip
from radsweep.trainables.objectives.dlilp import Dlilp
from radsweep.trainables.objectives.objective import Needs, Objective
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import TinyText
from radsweep.trainables.validation import PATIENT_GROUPS, metrics_of, shares_of_patients, validate

WORDS = Vocabulary("tiny-fr", "", 12, pad_id=0, cls_id=1, sep_id=2, unk_id=3)
NAMES = ("fracture", "implant")
CONFIG = PretrainConfig(
    image=TinyImage(width=8, resolution=16),
    text=TinyText(width=8, depth=1, heads=1, dropout=0.5),
    objective=Clip(temperature=0.5),
    embed_dim=2,
    batch_size=4,
    image_chunk_size=4,
    text_chunk_size=4,
)


class Planted(DualEncoder):
    """Images and reports as unit vectors of their finding: 4 is the finding's token and 200 its gray value."""

    def __init__(self, objective: Objective = CONFIG.objective) -> None:
        super().__init__(CONFIG.image, CONFIG.text, objective, 2, WORDS, len(NAMES))

    def encode_images(self, images: Tensor) -> Tensor:
        """Return (1, 0) for a dark image, (0, 1) for a bright one, in every head."""
        bright = (images[:, 0, 0] >= 100).long()
        return torch.eye(2)[bright].unsqueeze(1).expand(-1, len(self.image_projections), -1)

    def encode_texts(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        """Return (0, 1) for a report with token 4."""
        named = ((input_ids == 4) & text_mask).any(1).long()
        return torch.eye(2)[named]


def corpus_of(findings: list[int], implants: list[float], num_images: int = 1) -> Corpus:
    """One study per finding, whose pixels and report both show it; implants are labels without a trace in either."""
    count = len(findings)
    pixels = np.repeat(np.where(findings, 200, 20), num_images).astype(np.uint8)
    images = np.broadcast_to(pixels[:, None, None], (count * num_images, 16, 16)).copy()
    return Corpus(
        study_ids=[f"s{study}" for study in range(count)],
        patient_ids=[f"p{study}" for study in range(count)],
        report_group=np.array(findings, np.int64),
        label_names=NAMES,
        labels=np.stack([findings, implants], 1).astype(np.float32),
        image_starts=np.arange(count + 1) * num_images,
        tokens={
            "tiny-fr": ray.put(
                Tokens(
                    vocabulary=WORDS,
                    study_starts=np.arange(count + 1),
                    sentence_starts=np.arange(count + 1) * 2,
                    sections=np.zeros(count, np.int8),
                    ids=np.array([token for finding in findings for token in (7, 4 if finding else 5)], np.int32),
                )
            )
        },
        blocks=(ray.put(images),),
        block_starts=np.array([0]),
    )


def measured(model: DualEncoder, train: Corpus, val: Corpus) -> dict[str, float]:
    """What `validate` reports."""
    return validate(model, train, val, CONFIG, nullcontext, torch.device("cpu"))[0]


@pytest.mark.usefixtures("cluster")
def test_planted_features_are_found() -> None:
    """A model that sees the finding has AUROC 1 and finds every report; a label without a trace has AUROC 0.5."""
    train = corpus_of([0, 1] * 5, [0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
    # Implants half in either kind of study, in training as in validation.
    val = corpus_of([0, 1] * 6, [0, 0, 1, 1] * 3, num_images=2)
    told = measured(Planted(), train, val)
    assert told.pop("val/auroc/implant") == pytest.approx(0.5, abs=1e-6)
    # Batches of two findings twice: a report's other study is masked, its two negatives are orthogonal to it.
    assert told.pop("val/loss") == pytest.approx(math.log(1 + 2 * math.exp(-2)), rel=1e-5)
    assert told == {
        "val/auroc": 0.75,
        "val/auroc/fracture": 1.0,
        "val/recall_at_1": 1.0,
        "val/recall_at_5": 1.0,
        "val/median_rank": 1.0,
    }


@pytest.mark.usefixtures("cluster")
def test_metrics_are_those_announced() -> None:
    """`metrics_of` names what `validate` reports where every label has enough cases; without labels, retrieval alone."""
    corpus = corpus_of([0, 1] * 5, [0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
    assert set(measured(Planted(), corpus, corpus)) == set(metrics_of(NAMES, Needs()))
    assert metrics_of([], Needs()) == ["val/recall_at_1", "val/recall_at_5", "val/median_rank", "val/loss"]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("objective", [Unimodal(), Dlilp(), CxrClip()], ids=lambda objective: type(objective).__name__)
def test_every_objective_is_validated(objective: Objective) -> None:
    """Label prototypes score labels themselves; without texts there is no retrieval; two views of a study are its one."""
    corpus = corpus_of([0, 1] * 5, [0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
    model = Planted(objective)
    told = measured(model, corpus, corpus)
    assert set(told) == set(metrics_of(NAMES, objective.needs))
    assert all(math.isfinite(value) for value in told.values())
    if objective.needs.labels:
        for prototypes in (parameter for name, parameter in model.objective.named_parameters() if "prototypes" in name):
            with torch.no_grad():
                prototypes.copy_(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]))
        # Whatever the reports say: the first prototype points to bright images, the finding; the second away from it.
        assert measured(model, corpus, corpus)["val/auroc/fracture"] == 1.0


@pytest.mark.usefixtures("cluster")
def test_what_cannot_be_computed_is_absent() -> None:
    """No positive, or no training report with the label: no such metric, and the mean is over what is left."""
    train = corpus_of([0, 1] * 5, [np.nan] * 10)
    enough = corpus_of([0, 1] * 5, [0, 1] * 5)
    told = measured(Planted(), train, enough)
    assert "val/auroc/implant" not in told
    assert told["val/auroc"] == told["val/auroc/fracture"] == 1.0
    few = measured(Planted(), train, corpus_of([0] * 6, [0] * 6))
    assert set(few) == set(metrics_of([], Needs()))


@pytest.mark.usefixtures("cluster")
def test_validation_leaves_the_model_as_it_was() -> None:
    """It runs without dropout, twice the same, consumes no random numbers, and training goes on in training mode."""
    torch.manual_seed(0)
    model = DualEncoder(CONFIG.image, CONFIG.text, CONFIG.objective, 4, WORDS)
    model.train()
    corpus = corpus_of([0, 1] * 5, [0, 0, 1, 1, 0, 0, 1, 1, 0, 0], num_images=2)
    before = torch.get_rng_state()
    first = measured(model, corpus, corpus)
    assert first == measured(model, corpus, corpus)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.usefixtures("cluster")
def test_what_groups_of_patients_add_is_told_of_areas_and_recalls() -> None:
    """Every area and recall is told in groups whose sum is 0; without scatter between studies each group adds nothing."""
    train = corpus_of([0, 1] * 5, [0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
    val = corpus_of([0, 1] * 6, [0, 0, 1, 1] * 3, num_images=2)
    scores, groups = validate(Planted(), train, val, CONFIG, nullcontext, torch.device("cpu"))
    assert set(groups) == set(scores) - {"val/loss", "val/median_rank"}
    for name, one in groups.items():
        assert one.shape == (min(PATIENT_GROUPS, len(set(val.patient_ids))),)
        assert one.sum() == pytest.approx(0, abs=1e-12), name
    assert not groups["val/auroc/fracture"].any()
    assert not groups["val/recall_at_1"].any()
    np.testing.assert_allclose(groups["val/auroc"], (groups["val/auroc/fracture"] + groups["val/auroc/implant"]) / 2)


def test_studies_of_a_patient_are_in_one_group() -> None:
    """Influences are added up by patient, whatever order studies are in; patients are spread over the groups evenly."""
    patients = [f"p{number:02}" for number in range(2 * PATIENT_GROUPS)] * 2
    influence = np.arange(len(patients), dtype=float)
    told = shares_of_patients(influence, patients)
    mine = [influence[[int(name[1:]) % PATIENT_GROUPS == group for name in patients]].sum() for group in range(PATIENT_GROUPS)]
    np.testing.assert_allclose(told, mine)
    np.testing.assert_allclose(shares_of_patients(influence[::-1], patients[::-1]), told)


def test_fewer_patients_than_groups_are_a_group_each() -> None:
    """No group is empty: an empty one would pass for a patient without scatter."""
    told = shares_of_patients(np.array([0.5, -0.2, -0.3]), ["b", "a", "b"])
    np.testing.assert_allclose(told, [-0.2, 0.2])
