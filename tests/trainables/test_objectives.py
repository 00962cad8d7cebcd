"""Objectives against their equations, written out pair by pair in float64."""

import math
from collections.abc import Callable, Iterable
from dataclasses import fields, replace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.contrast import SameReport, Tempered
from radsweep.trainables.objectives.convirt import ConVIRT
from radsweep.trainables.objectives.cxr_clip import CxrClip
from radsweep.trainables.objectives.dlilp import Dlilp
from radsweep.trainables.objectives.objective import Features, Needs, Objective, ObjectiveModule
from radsweep.trainables.objectives.siglip import SigLip
from radsweep.trainables.objectives.unicl import UniCL
from radsweep.trainables.objectives.unimodal import Unimodal

GROUPS = torch.tensor([0, 1, 0, 2, 1, 0, 3])
LABELS = torch.tensor(
    [
        [1.0, 0.0, math.nan],
        [0.0, 0.0, 0.0],
        [1.0, 1.0, 0.0],
        [math.nan, math.nan, math.nan],
        [0.0, 1.0, math.nan],
        [0.0, 0.0, 1.0],
        [math.nan, 1.0, 1.0],
    ]
)
DIM = 5
TREATMENTS: tuple[SameReport, ...] = ("masked", "negative", "positive")


def draws(needs: Needs, groups: Tensor = GROUPS, labels: Tensor = LABELS, seed: int = 0) -> Features:
    """Random unit vectors in float64; exactly what the objective says that it needs, and nothing where it needs nothing."""
    generator = torch.Generator().manual_seed(seed)

    def unit(views: int) -> Tensor:
        vectors = torch.randn(len(groups), views, DIM, dtype=torch.float64, generator=generator)
        return nn.functional.normalize(vectors, dim=-1).requires_grad_()

    return Features(
        image_features=unit(needs.image_views),
        text_features=unit(needs.text_views),
        label_features=unit(needs.image_views if needs.label_head else 0),
        report_group=groups,
        labels=labels if needs.labels else torch.empty(len(groups), 0),
    )


def build(objective: Objective) -> ObjectiveModule:
    """In float64, with the same random prototypes every time."""
    torch.manual_seed(1)
    return objective.build(DIM, LABELS.shape[1]).double()


def gradients(module: ObjectiveModule, features: Features, losses: Iterable[Tensor]) -> dict[str, Tensor]:
    """Of the sum of the losses, with respect to every feature and every parameter that is learned."""
    inputs = {field.name: getattr(features, field.name) for field in fields(Features) if field.name.endswith("features")}
    inputs |= {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    found = torch.autograd.grad(torch.stack(list(losses)).sum(), list(inputs.values()), allow_unused=True)
    return {name: torch.zeros_like(inputs[name]) if one is None else one for name, one in zip(inputs, found, strict=True)}


def whole(module: ObjectiveModule, features: Features) -> Tensor:
    return module(features, slice(0, len(features)))


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(
            gradient, expected[name], rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


# The equations, with loops over draws. ``same(i, j)`` is whether two draws have one report.


def info_nce(queries: Tensor, keys: Tensor, scale: Tensor | float, groups: Tensor, same_report: str) -> Tensor:
    """Mean over queries of the cross entropy between their own key, or all of their report, and all keys that count."""
    n, total = len(queries), torch.zeros((), dtype=torch.float64)
    for i in range(n):
        twins = [j for j in range(n) if groups[j] == groups[i] and j != i]
        among = [j for j in range(n) if same_report != "masked" or j not in twins]
        wanted = [i, *twins] if same_report == "positive" else [i]
        denominator = sum(torch.exp(scale * torch.dot(queries[i], keys[j])) for j in among)
        for j in wanted:
            total = total - torch.log(torch.exp(scale * torch.dot(queries[i], keys[j])) / denominator) / len(wanted)
    return total / n


def clip(module: nn.Module, features: Features, same_report: str) -> Tensor:
    scale, groups = module.logit_scale.log.exp(), features.report_group
    image, text = features.image_features[:, 0], features.text_features[:, 0]
    return 0.5 * info_nce(image, text, scale, groups, same_report) + 0.5 * info_nce(text, image, scale, groups, same_report)


def convirt(module: nn.Module, features: Features, same_report: str) -> Tensor:
    del module
    image, text, groups = features.image_features[:, 0], features.text_features[:, 0], features.report_group
    return 0.75 * info_nce(image, text, 10.0, groups, same_report) + 0.25 * info_nce(text, image, 10.0, groups, same_report)


def siglip(module: nn.Module, features: Features, same_report: str) -> Tensor:
    image, text, groups = features.image_features[:, 0], features.text_features[:, 0], features.report_group
    n, total = len(groups), torch.zeros((), dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            twins = i != j and bool(groups[i] == groups[j])
            if twins and same_report == "masked":
                continue
            sign = 1 if i == j or (twins and same_report == "positive") else -1
            logit = module.logit_scale.log.exp() * torch.dot(image[i], text[j]) + module.logit_bias
            total = total + torch.log(1 + torch.exp(-sign * logit))
    return total / n


def unicl(module: nn.Module, features: Features, same_report: str) -> Tensor:
    scale, groups = module.logit_scale.log.exp(), features.report_group
    n, total = len(groups), torch.zeros((), dtype=torch.float64)
    image, text = features.image_features[:, 0], features.text_features[:, 0]
    for queries, keys in ((image, text), (text, image)):
        for i in range(n):
            weights, among = {}, []
            for j in range(n):
                common = any(features.labels[i, k] == 1 and features.labels[j, k] == 1 for k in range(LABELS.shape[1]))
                twins = bool(groups[i] == groups[j])
                if i == j or common or (twins and same_report == "positive"):
                    weights[j] = 1.0
                if j in weights or not twins or same_report != "masked":
                    among.append(j)
            denominator = sum(torch.exp(scale * torch.dot(queries[i], keys[j])) for j in among)
            for j, weight in weights.items():
                share = weight / sum(weights.values())
                total = total - share * torch.log(torch.exp(scale * torch.dot(queries[i], keys[j])) / denominator)
    return total / (2 * n)


def masked_bce(module: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(images)):
        known, entropy = 0, torch.zeros((), dtype=torch.float64)
        for k, prototype in enumerate(module.prototypes):
            if math.isnan(labels[i, k]):
                continue
            known += 1
            cosine = torch.dot(images[i], prototype) / torch.sqrt(torch.dot(prototype, prototype))
            probability = 1 / (1 + torch.exp(-module.logit_scale.log.exp() * cosine))
            entropy = entropy - torch.log(probability if labels[i, k] == 1 else 1 - probability)
        total = total + entropy / (known + 1e-3)
    return total / len(images)


def unimodal(module: nn.Module, features: Features, same_report: str) -> Tensor:
    del same_report
    return masked_bce(module, features.image_features[:, 0], features.labels)


def dlilp(module: nn.Module, features: Features, same_report: str) -> Tensor:
    by_labels = masked_bce(module.labels, features.label_features[:, 0], features.labels)
    return 0.1 * clip(module.reports, features, same_report) + by_labels


def cxr_clip(module: nn.Module, features: Features, same_report: str) -> Tensor:
    scale, groups = module.logit_scale.log.exp(), features.report_group
    one, two = features.image_features[:, 0], features.image_features[:, 1]
    first, second = features.text_features[:, 0], features.text_features[:, 1]

    def symmetric(a: Tensor, b: Tensor, treatment: str) -> Tensor:
        return (info_nce(a, b, scale, groups, treatment) + info_nce(b, a, scale, groups, treatment)) / 2

    across = symmetric(one, first, same_report) + symmetric(one, second, same_report)
    across = across + symmetric(two, first, same_report) + symmetric(two, second, same_report)
    return across / 4 + symmetric(one, two, "negative") + 0.5 * symmetric(first, second, same_report)


Equation = Callable[[nn.Module, Features, str], Tensor]
EQUATIONS: dict[Callable[..., Objective], Equation] = {
    Clip: clip,
    ConVIRT: convirt,
    SigLip: siglip,
    UniCL: unicl,
    CxrClip: cxr_clip,
}
CASES: list[tuple[Objective, Equation, str]] = [
    *((make(same_report=treatment), equation, treatment) for make, equation in EQUATIONS.items() for treatment in TREATMENTS),
    *((Dlilp(reports=Clip(same_report=treatment)), dlilp, treatment) for treatment in TREATMENTS),
    (Unimodal(), unimodal, "without reports"),
]
IDS = [f"{equation.__name__}-{treatment}" for _, equation, treatment in CASES]
OBJECTIVES = [objective for objective, _, _ in CASES]


@pytest.mark.parametrize(("objective", "equation", "same_report"), CASES, ids=IDS)
def test_loss_and_gradients_are_the_equations(objective: Objective, equation: Equation, same_report: str) -> None:
    """With respect to every feature, scale, bias and prototype, however identical reports are treated."""
    module, features = build(objective), draws(objective.needs)
    loss, expected = whole(module, features), equation(module, features, same_report)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert_same(gradients(module, features, [loss]), gradients(module, features, [expected]))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
def test_tiles_sum_to_the_whole(objective: Objective, size: int) -> None:
    """Shares of a few draws at a time, the last one smaller, add up in value and in gradient."""
    module, features = build(objective), draws(objective.needs)
    n = len(features)
    shares = [module(features, slice(first, min(first + size, n))) for first in range(0, n, size)]
    loss = whole(module, features)
    assert sum(share.item() for share in shares) == pytest.approx(loss.item(), rel=1e-12)
    assert_same(gradients(module, features, shares), gradients(module, features, [loss]))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
def test_the_order_of_draws_is_nothing(objective: Objective) -> None:
    """Permuted draws have the same loss, and permuted gradients."""
    module, features = build(objective), draws(objective.needs)
    order = torch.tensor([4, 0, 6, 2, 5, 1, 3])
    moved = Features(**{field.name: getattr(features, field.name)[order] for field in fields(Features)})
    loss, again = whole(module, features), whole(module, moved)
    assert again.item() == pytest.approx(loss.item(), rel=1e-12)
    assert_same(gradients(module, features, [again]), gradients(module, features, [loss]))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=IDS)
def test_float32_is_close(objective: Objective) -> None:
    """In the precision of the loop the loss is that of float64 to six digits."""
    module, features = build(objective), draws(objective.needs)
    single = Features(
        **{field.name: getattr(features, field.name).float() for field in fields(Features) if field.name != "report_group"},
        report_group=features.report_group,
    )
    exact = whole(module, features).item()
    loss = whole(module.float(), single)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-5)


# What is known in closed form.

UNIFORM = math.log(7)
UNIFORM_WITHOUT_TWINS = (3 * math.log(5) + 2 * math.log(6) + 2 * math.log(7)) / 7
COIN = math.log(2) * sum(known / (known + 1e-3) for known in (2, 3, 3, 0, 2, 3, 2)) / 7


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (Clip(), UNIFORM_WITHOUT_TWINS),
        (Clip(same_report="negative"), UNIFORM),
        (Clip(same_report="positive"), UNIFORM),
        (ConVIRT(), UNIFORM_WITHOUT_TWINS),
        (ConVIRT(same_report="negative"), UNIFORM),
        (SigLip(), 41 / 7 * math.log(2)),
        (SigLip(same_report="negative"), 7 * math.log(2)),
        (UniCL(same_report="negative"), UNIFORM),
        (Unimodal(), COIN),
        (Dlilp(), 0.1 * UNIFORM_WITHOUT_TWINS + COIN),
        (CxrClip(), 1.5 * UNIFORM_WITHOUT_TWINS + UNIFORM),
        (CxrClip(same_report="negative"), 2.5 * UNIFORM),
    ],
)
def test_draws_that_cannot_be_told_apart_lose_what_guessing_loses(objective: Objective, expected: float) -> None:
    """The logarithm of how many count, log 2 per pair or known label, times the weights; and scale and bias cancel at first."""
    module, features = build(objective), draws(objective.needs)
    with torch.no_grad():
        for tensor in (features.image_features, features.text_features, features.label_features):
            tensor.copy_(nn.functional.one_hot(torch.zeros(tensor.shape[:2], dtype=torch.long), DIM))
        for name, parameter in module.named_parameters():
            if name.endswith("prototypes"):
                parameter[:, 0] = 0
    assert whole(module, features).item() == pytest.approx(expected, rel=1e-6)


def normal_and_others(needs: Needs) -> Features:
    """Ten draws, four of them with the one report of all normal studies; features as well aligned as can be.

    A text points along its report's axis, an image along the axis of its report and one of its own.
    """
    groups = torch.tensor([0, 0, 0, 0, 1, 2, 3, 4, 5, 6])
    axes = torch.eye(17, dtype=torch.float64)
    texts = axes[groups]
    images = (texts + axes[7:]) / math.sqrt(2)
    heads = needs.image_views if needs.label_head else 0
    return Features(
        image_features=images[:, None].expand(-1, needs.image_views, -1),
        text_features=texts[:, None].expand(-1, needs.text_views, -1),
        label_features=images[:, None].expand(-1, heads, -1),
        report_group=groups,
        labels=torch.full((10, 3), torch.nan),
    )


SHARP = 0.01
TWINS = 0.4 * math.log(4)
"""Four of ten queries have four keys that nothing tells apart."""


@pytest.mark.parametrize(
    ("make", "floor"),
    [
        (lambda same_report: Clip(temperature=SHARP, same_report=same_report), TWINS),
        (lambda same_report: ConVIRT(temperature=SHARP, same_report=same_report), TWINS),
        (lambda same_report: UniCL(temperature=SHARP, same_report=same_report), TWINS),
        (lambda same_report: Dlilp(reports=Clip(temperature=SHARP, same_report=same_report)), 0.1 * TWINS),
        (lambda same_report: CxrClip(temperature=SHARP, same_report=same_report), 1.5 * TWINS),
    ],
    ids=["clip", "convirt", "unicl", "dlilp", "cxr_clip"],
)
def test_identical_reports_are_a_floor_unless_masked(make: Callable[[SameReport], Objective], floor: float) -> None:
    """With 40 % identical reports perfect features still lose 0.4 log 4 per contrast with texts, and nothing if masked."""
    objective = make("negative")
    features = normal_and_others(objective.needs)
    negative, masked = (objective.build(17, 3).double(), make("masked").build(17, 3).double())
    assert whole(masked, features).item() == pytest.approx(0, abs=1e-12)
    assert whole(negative, features).item() == pytest.approx(floor, rel=1e-9)
    noise = torch.randn(features.image_features.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for size in (0.01, 0.1, 1.0):
        images = nn.functional.normalize(features.image_features + size * noise, dim=-1)
        assert whole(negative, replace(features, image_features=images)).item() > floor


def test_identical_reports_are_a_floor_of_siglip_unless_masked() -> None:
    """A text that four images share is a match once and three times not: at best each such pair is believed to a quarter."""
    floor = 0.4 * (math.log(4) + 3 * math.log(4 / 3))
    features = normal_and_others(Needs())
    for bias in (-60.0, -43.5, -21.0):
        negative = SigLip(logit_scale=60, logit_bias=bias, same_report="negative").build(17, 3).double()
        assert whole(negative, features).item() > floor
    masked = SigLip(logit_scale=60, logit_bias=-21).build(17, 3).double()
    assert whole(masked, features).item() == pytest.approx(0, abs=1e-6)


# What equals what.


@pytest.mark.parametrize("make", [Clip, ConVIRT, SigLip, UniCL, CxrClip])
def test_where_no_two_reports_are_the_same_all_treatments_are_one(make: Callable[..., Objective]) -> None:
    """Masking and softening have nothing to do."""
    features = draws(make().needs, groups=torch.arange(7))
    masked, *others = (whole(build(make(same_report=treatment)), features).item() for treatment in TREATMENTS)
    assert others == [masked, masked]


def test_nothing_but_one_report_leaves_nothing_to_learn_if_masked() -> None:
    """Then there is no negative: loss and gradient are exactly 0."""
    module, features = build(Clip()), draws(Needs(), groups=torch.zeros(7, dtype=torch.long))
    loss = whole(module, features)
    assert loss.item() == 0.0
    assert all(gradient.count_nonzero() == 0 for gradient in gradients(module, features, [loss]).values())


def equal(one: Objective, features: Features, other: Objective) -> bool:
    return whole(build(one), features).item() == pytest.approx(whole(build(other), features).item(), rel=1e-6)


def test_objectives_contain_each_other() -> None:
    """ConVIRT at equal weights, UniCL without labels and CXR-CLIP with equal views and no other term are CLIP."""
    assert equal(ConVIRT(image_to_text=0.5), draws(Needs()), Clip(temperature=0.1))
    absent = draws(UniCL().needs, labels=torch.tensor([[0.0, math.nan]]).expand(7, 2))
    for treatment in TREATMENTS:
        assert equal(UniCL(same_report=treatment), absent, Clip(same_report=treatment))
    once = draws(Needs())
    twice = replace(
        once, image_features=once.image_features.expand(-1, 2, -1), text_features=once.text_features.expand(-1, 2, -1)
    )
    assert equal(CxrClip(image_weight=0, text_weight=0), twice, Clip())


def test_the_compound_temperature_is_its_product() -> None:
    """1 / 0.07 divided by 0.1 is a temperature of 0.007, unbounded."""
    compound = Clip(divisor=0.1, max_logit_scale=None)
    assert build(compound).state()["logit_scale"] == pytest.approx(142.857, rel=1e-5)
    assert equal(compound, draws(Needs()), Clip(temperature=0.007, max_logit_scale=None))


# Labels.


def test_unknown_labels_teach_nothing() -> None:
    """A label that is unknown everywhere leaves its prototype alone, a draw with no known label leaves its image alone."""
    labels = torch.tensor([[1.0, math.nan, 0.0]] * 6 + [[math.nan] * 3])
    module, features = build(Unimodal()), draws(Unimodal().needs, labels=labels)
    found = gradients(module, features, [whole(module, features)])
    assert [row.count_nonzero() > 0 for row in found["prototypes"]] == [True, False, True]
    assert [row.count_nonzero() > 0 for row in found["image_features"]] == [True] * 6 + [False]


def test_unknown_labels_are_absent_to_unicl() -> None:
    """Draws are positives of each other by what is known of both."""
    known, unknown = draws(UniCL().needs, labels=LABELS.nan_to_num(0.0)), draws(UniCL().needs)
    assert whole(build(UniCL()), known).item() == whole(build(UniCL()), unknown).item()


@pytest.mark.parametrize("objective", [Unimodal(), Dlilp()])
def test_objectives_with_prototypes_score_labels(objective: Objective) -> None:
    """Scale times cosine with each prototype, of the images in the head that learned the labels."""
    module, features = build(objective), draws(objective.needs)
    scores, learner = module.label_scores(features), module.labels if isinstance(objective, Dlilp) else module
    images = features.label_features if isinstance(objective, Dlilp) else features.image_features
    assert isinstance(learner, nn.Module)
    for i in range(7):
        for k, prototype in enumerate(learner.prototypes):
            cosine = torch.dot(images[i, 0], prototype) / prototype.norm()
            assert scores[i, k].item() == pytest.approx(cosine.item() / 0.07, rel=1e-6)


def test_prototypes_start_as_unit_vectors() -> None:
    """As long as the images that they are compared with, so that a learning rate turns both alike."""
    (prototypes,) = (parameter for parameter in build(Unimodal()).parameters() if parameter.ndim)
    torch.testing.assert_close(prototypes.norm(dim=1), torch.ones(3, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("objective", [Clip(), ConVIRT(), SigLip(), UniCL(), CxrClip()])
def test_other_objectives_do_not_classify(objective: Objective) -> None:
    """Findings are then scored some other way."""
    assert build(objective).label_scores(draws(objective.needs)) is None


# Scales.


def logs(module: nn.Module) -> list[nn.Parameter]:
    """The logarithms of all scales."""
    return [parameter for name, parameter in module.named_parameters() if name.endswith("logit_scale.log")]


@pytest.mark.parametrize("make", [Clip, UniCL, Unimodal, CxrClip])
def test_the_scale_starts_at_the_temperature_and_is_clamped(make: Callable[..., Tempered]) -> None:
    """1 / tau at first; after ``clamp`` at most ``max_logit_scale``, and untouched below it."""
    module = build(make(temperature=0.25, max_logit_scale=20.0))
    module.clamp()
    assert module.state() == {"logit_scale": pytest.approx(4.0, rel=1e-6)}
    (log,) = logs(module)
    with torch.no_grad():
        log.fill_(10)
    module.clamp()
    assert module.state() == {"logit_scale": pytest.approx(20.0, rel=1e-6)}


@pytest.mark.parametrize("objective", [CxrClip(), SigLip(), Clip(max_logit_scale=None)])
def test_without_a_bound_the_scale_is_free(objective: Objective) -> None:
    """``clamp`` changes nothing."""
    module = build(objective)
    (log,) = logs(module)
    with torch.no_grad():
        log.fill_(10)
    module.clamp()
    assert log.item() == 10


def test_scales_of_labels_stay_above_one() -> None:
    """The bounds of DLILP's code: 1 and 100, for each of its scales on its own."""
    for objective in (UniCL(), Unimodal()):
        module = build(objective)
        with torch.no_grad():
            logs(module)[0].fill_(-3)
        module.clamp()
        assert module.state() == {"logit_scale": 1.0}
    module = build(Dlilp())
    with torch.no_grad():
        for log in logs(module):
            log.fill_(10)
    module.clamp()
    assert module.state() == {"logit_scale": pytest.approx(100.0), "label_logit_scale": pytest.approx(100.0)}


@pytest.mark.parametrize(
    "objective",
    [
        Clip(learnable=False),
        ConVIRT(),
        SigLip(learnable=False),
        UniCL(learnable=False),
        Unimodal(learnable=False),
        Dlilp(reports=Clip(learnable=False), labels=Unimodal(learnable=False)),
        CxrClip(learnable=False),
    ],
)
def test_a_fixed_temperature_gets_no_gradient(objective: Objective) -> None:
    """It may be part of the state but is not trained; features and prototypes are."""
    module, features = build(objective), draws(objective.needs)
    whole(module, features).backward()
    trained = {name.rpartition(".")[2] for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert trained <= {"prototypes"}
    assert features.image_features.grad is not None


def test_siglip_starts_at_scale_and_bias() -> None:
    """10 and -10 as in the paper, or what the fields say."""
    assert build(SigLip()).state() == {"logit_scale": pytest.approx(10.0), "logit_bias": -10.0}
    other = build(SigLip(logit_scale=1 / 0.07, logit_bias=-5)).state()
    assert other == {"logit_scale": pytest.approx(1 / 0.07), "logit_bias": -5.0}


@pytest.mark.parametrize("make", [Clip, UniCL, Unimodal])
def test_a_temperature_beyond_the_bound_is_refused(make: Callable[..., Tempered]) -> None:
    """1 / tau above ``max_logit_scale`` would be another temperature after the first step, also a fixed one."""
    with pytest.raises(ValidationError, match="max_logit_scale"):
        make(temperature=0.005)
    assert build(make(temperature=0.01)).state()["logit_scale"] == pytest.approx(100.0, rel=1e-5)
    assert build(make(temperature=0.005, max_logit_scale=200.0)).state()["logit_scale"] == pytest.approx(200.0, rel=1e-5)


@pytest.mark.parametrize("make", [UniCL, Unimodal])
def test_a_temperature_above_the_lower_bound_of_the_scale_is_refused(make: Callable[..., Tempered]) -> None:
    """Where 1 / tau is kept at or above 1, tau is at most 1."""
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        make(temperature=1.5)
