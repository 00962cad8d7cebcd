"""The whole program against a known truth: a phantom hospital, a joint sweep over all four axes, and what its answer claims."""

from dataclasses import replace
from pathlib import Path

import pytest

from radsweep.analysis.answer import check_planted, find_answer
from radsweep.analysis.runs import read_sweep
from radsweep.analysis.words import finding_verdict, verdict
from radsweep.datasets.build import Preparation
from radsweep.datasets.gather import from_export
from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.prepare import prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.splits import Splits
from radsweep.sweeps.axes import Choice, Range
from radsweep.sweeps.launch import run_sweep
from radsweep.sweeps.sweep import Sweep, load_question


def silent(*_: object) -> None:
    """A progress display for tests."""


def joint_on_the_phantom() -> Sweep:
    """The question `joint` with the demo's towers: its four axes, its temperatures, samplings, margin and number of trials.

    A larger budget than the demo's: what is not planted must be learned to the end by every arm, pooled images too. A batch is
    one chunk, which is faster.
    """
    joint, demo = load_question("joint"), load_question("demo")
    for name, value in {"budget_pairs": 24_000, "image_chunk_size": 16, "text_chunk_size": 16}.items():
        demo = demo.set(name, str(value))
    temperature, sampling = joint.axes["objective.temperature"], joint.axes["data.sampling.images"]
    assert isinstance(temperature, Range)
    assert isinstance(sampling, Choice)
    axes = {
        "text": demo.axes["text"],
        "image.resolution": demo.axes["image.resolution"],
        "objective.temperature": temperature,
        "data.sampling.images": sampling,
    }
    return replace(
        demo,
        name="joint",
        hypothesis=joint.hypothesis,
        axes=axes,
        margin=joint.margin,
        design=joint.design,
        tasks=(),
    )


@pytest.mark.timeout(3600)
@pytest.mark.soak
@pytest.mark.usefixtures("cluster")
def test_the_demo_recovers_what_was_planted_and_claims_nothing_else(tmp_path: Path) -> None:
    """Each planted effect has the right sign and an interval without zero; twelve trials need not show it beyond the margin."""
    hospital, pairs, run = (tmp_path / name for name in ("hospital", "pairs", "run"))
    write_hospital(hospital, 600, 0, silent)
    inputs, audit = from_export(hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", silent)
    preparation = Preparation(max_side=160, splits=Splits(val=0.24, test=0.12), burned_in=False)
    prepare(inputs, audit, pairs, Key(bytes(range(32))), preparation, "phantom hospital", silent)
    run_sweep(load_question("demo"), pairs, run)
    sweep = read_sweep(run)
    answer = find_answer(sweep)
    planted, others = check_planted(sweep, answer, hospital / "truth" / "effects.json")
    for one in planted:
        print(f"{one.finding}: {one.verdict}, {one.cell}")
    assert {one.verdict for one in planted} <= {"found", "indicated"}
    assert others == ()
    assert not any(interaction.shown for interaction in answer.interactions)


@pytest.mark.timeout(18000)
@pytest.mark.soak
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("seed", [0, 1])
def test_joint_recovers_what_was_planted_and_claims_nothing_else(seed: int, tmp_path: Path) -> None:
    """Each planted effect is shown with the right sign, and nothing else; chance breaks that 1 in 20."""
    hospital, pairs, run = (tmp_path / name for name in ("hospital", "pairs", "run"))
    write_hospital(hospital, 1200, seed, silent)
    inputs, audit = from_export(hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", silent)
    preparation = Preparation(max_side=160, splits=Splits(val=0.11, test=0.04), burned_in=False)
    prepare(inputs, audit, pairs, Key(bytes(range(32))), preparation, "phantom hospital", silent)
    outcome = run_sweep(joint_on_the_phantom(), pairs, run)
    assert sum(outcome.statuses.values()) == 48
    sweep = read_sweep(run)
    answer = find_answer(sweep)
    planted, others = check_planted(sweep, answer, hospital / "truth" / "effects.json")
    cells = [one.cell for one in planted if one.cell is not None]
    for cell in cells:
        print(f"{cell.metric}: {cell.value:+.3f} ({cell.low:+.3f} to {cell.high:+.3f}), p {cell.p:.4f}")
    for cell in others:
        print(f"claimed, not planted: {finding_verdict(cell)}, p {cell.p:.4f}")
    for effect in answer.effects:
        print(f"{effect.axis.title}: {verdict(effect)}")
    assert [one.verdict for one in planted] == ["found"] * 3
    assert not [cell for cell in cells if cell.low <= 0 <= cell.high]
    assert others == ()
    assert {effect.axis.title for effect in answer.effects if effect.shown} <= {one.title for one in planted}
    assert not any(interaction.shown for interaction in answer.interactions)
