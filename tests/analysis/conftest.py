"""A sweep that never ran, in a real MLflow store: fourteen trials with effects planted by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from radsweep.datasets.labelled import Target
from radsweep.sweeps.evaluate import write_result
from radsweep.trainables.tasks.linear_probe import LinearProbe
from radsweep.trainables.tasks.representation import Representation
from radsweep.trainables.tasks.retrieval import Retrieval
from radsweep.trainables.tasks.saliency import Saliency
from radsweep.trainables.tasks.task import Prediction, Result
from radsweep.trainables.tasks.zero_shot import ZeroShot

AXES = {
    "text": {"title": "text encoder", "values": ["tiny-fr", "tiny-en"]},
    "image.resolution": {"title": "resolution (px)", "values": ["64", "128"]},
    "objective.temperature": {"title": "temperature", "low": 0.02, "high": 0.5, "log": True},
    "data.sampling.images": {"title": "images of a study", "values": ["one", "all"]},
}
FINDINGS = ("effusion", "enostosis", "fracture", "hairline_fracture", "implant", "open_growth_plates", "osteoarthritis")
PLANTED = {("hairline_fracture", "image.resolution"): 0.22, ("effusion", "data.sampling.images"): 0.2}
TRUTH = [
    {"finding": "hairline_fracture", "axis": "image.resolution", "better": "128", "reason": "Two pixels wide."},
    {"finding": "effusion", "axis": "data.sampling.images", "better": "all", "reason": "Lateral view only."},
    {"finding": "enostosis", "axis": "text", "better": "tiny-fr", "reason": "One word, one vocabulary."},
]
STEPS = (1_000, 2_000, 3_000, 4_000, 5_000, 6_000)


def write_sweep(
    folder: Path, trials: int = 14, ended: bool = True, question: str = "demo", axes: dict = AXES, seeds: int = 1
) -> Path:
    """Write a run folder as `radsweep sweep` leaves it: the last trial failed early, five were stopped at the first rung.

    Args:
        axes: some of `AXES`.
        seeds: trials take turns at.
    """
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment(question, (folder / "artifacts").as_uri())
    rng = np.random.default_rng(7)
    tags = {
        "radsweep.kind": "sweep",
        "radsweep.question": question,
        "radsweep.hypothesis": "Which of text encoder, resolution, temperature and one against all images of a study changes "
        "what a model pretrained on image-report pairs can find?",
        "radsweep.metric": "val/auroc",
        "radsweep.direction": "max",
        "radsweep.budget_pairs": "6000",
        "radsweep.rungs": "[3000, 6000]",
        "radsweep.axes": json.dumps(axes),
        "radsweep.design": "search" if seeds == 1 else "factorial",
        "radsweep.data_fingerprint": "5b1e" * 16,
        "radsweep.data": json.dumps(
            {
                "source": "phantom <hospital>",
                "patients": 400,
                "studies": 602,
                "images": 1514,
                "by_split": {"train": {"studies": 301}, "val": {"studies": 181}},
            }
        ),
        "radsweep.leakage": json.dumps(
            {"passed": True, "checks": {"patients": 0, "studies": 0, "images": 0, "shared_report_groups": 3}}
        ),
        "radsweep.deidentification": json.dumps(
            {
                "replaced_in_reports": {"PERSON": 163, "DATE": 97},
                "boxes": {"identity": 4, "text": 1, "marker": 90},
                "refused_inputs": 16,
            }
        ),
        "radsweep.code_hash": "c0de" * 16,
    }
    parent = client.create_run(experiment, tags=tags, start_time=1_700_000_000_000).info.run_id
    for number in range(trials):
        arm = {
            "text": ("tiny-fr", "tiny-en")[number % 2],
            "image.resolution": ("64", "128")[number // 2 % 2],
            "objective.temperature": float(0.02 * 25 ** rng.uniform()),
            "data.sampling.images": ("one", "all")[(number // 4 + number // 2 + number) % 2],
        }
        arm |= {name: AXES[name].get("values", [0.1])[0] for name in AXES.keys() - axes.keys()}
        levels = {name: float(arm[name] == axis["values"][1]) for name, axis in AXES.items() if "values" in axis}
        status = "failed" if number == trials - 1 else "stopped" if number in (1, 4, 6, 9, 12) else "finished"
        seed = str(number // 4 % seeds)
        tags = {"mlflow.parentRunId": parent, "radsweep.kind": "trial", "radsweep.trial": f"t{number}", "radsweep.seed": seed}
        if not ended and number >= trials - 3:
            status = "running"
        run = client.create_run(experiment, tags=tags, start_time=1_700_000_000_000 + 60_000 * number).info.run_id
        params = {"seed": seed, "budget_pairs": "6000", "objective": "Clip"} | {n: str(v) for n, v in arm.items()}
        params |= {"text.tokenizer": arm["text"]} | {f"axis.{name}": str(label) for name, label in arm.items() if name in axes}
        metrics = []
        last = {"stopped": 3_000, "failed": 1_000, "running": 4_000}.get(status, 6_000)
        quality = {finding: rng.normal(0, 0.012) for finding in FINDINGS}
        for step in (step for step in STEPS if step <= last):
            grown = 1 - np.exp(-step / 2_500)
            scores = {}
            for finding in FINDINGS:
                effect = sum(PLANTED.get((finding, name), 0.0) * level for name, level in levels.items())
                scores[finding] = 0.5 + grown * (0.22 + effect + quality[finding])
            time_s = step / 60 * (1 + 1.1 * levels["image.resolution"]) * np.exp(rng.normal(0, 0.02))
            told = {f"val/auroc/{finding}": score for finding, score in scores.items()}
            told |= {
                "val/auroc": float(np.mean(list(scores.values()))),
                "val/recall_at_1": 0.02 + 0.05 * grown,
                "time_s": time_s,
            }
            told |= {"val/recall_at_5": 0.1 + 0.2 * grown, "val/loss": 4.0 - grown, "train/loss": 3.9 - 1.4 * grown}
            told |= {"train/logit_scale": 14.0, "pairs_per_s": 55.0, "data_wait_fraction": 0.04}
            metrics += [Metric(name, float(value), 1_700_000_000_000 + step, step) for name, value in told.items()]
        for start in range(0, len(metrics), 900):
            client.log_batch(run, metrics[start : start + 900])
        client.log_batch(run, params=[Param(name, value) for name, value in params.items()])
        if status != "running":
            client.set_tag(run, "radsweep.status", status)
            client.set_terminated(run, "FAILED" if status == "failed" else "FINISHED")
    if ended:
        client.set_tag(parent, "radsweep.trials", json.dumps({"finished": trials - 6, "stopped": 5, "failed": 1}))
        client.set_terminated(parent, "FINISHED", end_time=1_700_000_000_000 + 1_900_000)
    told = {"question": question, "data": "5b1e" * 16, "sweep": {}, "tracking_uri": uri}
    told |= {"experiment": experiment, "parent_run_id": parent}
    (folder / "sweep.json").write_text(json.dumps(told))
    return folder


def evaluate_sweep(folder: Path, trials: int = 14) -> None:
    """Leave what `radsweep evaluate` would of every finished trial: a probe, and something to look at."""
    rng = np.random.default_rng(11)
    patients = np.array([f"p{i // 2}" for i in range(80)])
    truth = (rng.random(80) < 0.4).astype(float)
    maps = np.outer(np.hanning(96), np.hanning(96)).astype(np.float32)[None].repeat(4, axis=0)
    images = (255 * maps).astype(np.uint8)
    for number in sorted(set(range(trials - 1)) - {1, 4, 6, 9, 12}):
        scores = truth + rng.normal(0, 0.7, 80)
        place = folder / "evaluation" / "bone" / f"t{number}"
        told = Prediction("fracture_at_10", Target("binary"), patients, truth, scores)
        write_result(place, LinearProbe(), {}, Result({"fracture_auroc_at_10": 0.8}, (told,), ("age: nobody told it",)))
        shown = {"queries": images[:2], "found": images[None, :3].repeat(2, axis=0)}
        shown |= {"hits": np.array([[True, False, True]] * 2), "classes": np.array(["fracture", "side:left"])}
        write_result(place, Retrieval(), {}, Result({"image_image_precision_at_1": 0.5}, shown=shown))
        shown = {"views": images, "marked": maps > 0.9, "map_norm": maps, "map_gradient": maps}
        write_result(place, Saliency(), {}, Result({"norm_peak": 0.3}, shown=shown))
        shown = {"tsne": rng.normal(size=(80, 2)), "truth_fracture": truth, "levels_fracture": np.array(["absent", "present"])}
        write_result(place, Representation(), {}, Result({"state_rank": 9.0}, shown=shown))
        write_result(place, ZeroShot(), {}, Result({}, absent=("the checkpoint reads no <text>",)))


@pytest.fixture(scope="session")
def sweep_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of an ended sweep whose finished trials were evaluated."""
    folder = write_sweep(tmp_path_factory.mktemp("ended"))
    evaluate_sweep(folder)
    return folder


@pytest.fixture(scope="session")
def factorial_sweep(sweep_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of an ended factorial of two axes with named arms at three seeds, in the same store."""
    folder = tmp_path_factory.mktemp("factorial")
    (folder / "mlflow.db").write_bytes((sweep_run / "mlflow.db").read_bytes())
    axes = {name: AXES[name] for name in ("image.resolution", "data.sampling.images")}
    return write_sweep(folder, question="factorial", axes=axes, seeds=3)


@pytest.fixture(scope="session")
def running_sweep(sweep_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of a sweep that still runs, in the same store (making a store costs seconds)."""
    folder = tmp_path_factory.mktemp("running")
    (folder / "mlflow.db").write_bytes((sweep_run / "mlflow.db").read_bytes())
    return write_sweep(folder, trials=9, ended=False, question="running")


@pytest.fixture
def truth(tmp_path: Path) -> Callable[[list], Path]:
    """Write planted effects to a file."""

    def write(rows: list) -> Path:
        path = tmp_path / "effects.json"
        path.write_text(json.dumps(rows))
        return path

    return write
