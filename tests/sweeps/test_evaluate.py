"""Evaluation: what it is asked, what it finds and keeps, what MLflow is told, and what it refuses."""

import csv
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from PIL import Image

from radsweep.analysis.store import connect
from radsweep.datasets.labelled import Labelled, LabelledImage, Target, split_as
from radsweep.datasets.png import encode_png
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.refusal import UserError
from radsweep.datasets.schema import STUDIES
from radsweep.sweeps import cli, launch
from radsweep.sweeps import evaluate as module
from radsweep.sweeps.cli import main
from radsweep.sweeps.evaluate import Evaluated, evaluate, evaluate_run, labels_of, read_labelled, tasks_of
from radsweep.sweeps.sweep import load_question
from radsweep.trainables.tasks.few_shot import FewShot
from radsweep.trainables.tasks.linear_probe import LinearProbe
from radsweep.trainables.tasks.report_retrieval import ReportRetrieval
from radsweep.trainables.tasks.task import Result, Task
from radsweep.trainables.tasks.zero_shot import ZeroShot

COLUMNS = ["image", "patient", "fold", "fracture", "stage", "age"]


def silent(*_: object) -> None:
    """A progress display for tests."""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty patients of one image each in a CSV file; fractures are bright on the left, and ages are the gray beside them."""
    folder = tmp_path_factory.mktemp("bone")
    rng = np.random.default_rng(0)
    rows = []
    for place in range(60):
        fracture, stage, age = int(rng.integers(2)), int(rng.integers(3)), int(rng.integers(20, 200))
        pixels = np.full((32, 32), age, np.uint8)
        pixels[:, :16] = 255 * fracture
        Image.fromarray(pixels).save(folder / f"{place}.png")
        rows.append([f"{place}.png", f"p{place}", ("train", "train", "val", "test")[place % 4], fracture, stage, age])
    with (folder / "bone.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder / "bone.csv"


@pytest.fixture
def corpus(manifest: Path) -> Labelled:
    return read_labelled(
        str(manifest), patient="patient", split="fold", targets={"fracture": None, "stage": "grade", "age": None}
    )


def run(tasks: Sequence[Task], checkpoint: Path, corpus: Labelled, where: Path) -> list[Evaluated]:
    return evaluate(checkpoint, corpus, tasks, silent, out=where)


def test_tasks_are_named_with_their_settings() -> None:
    """In order and each once; several values of a field are separated by commas."""
    told = tasks_of(
        " few_shot ,linear_probe,few_shot,,",
        ["linear_probe.repeats=3", "linear_probe.shares=0.5,1", "few_shot.targets=fracture,side", "linear_probe.sex=true"],
    )
    assert told == [FewShot(targets=("fracture", "side")), LinearProbe(repeats=3, shares=(0.5, 1.0), sex=True)]


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        ("linear_prob", [], r"no task 'linear_prob': there are .*few_shot.*linear_probe.*zero_shot"),
        ("metrics", [], r"no task 'metrics'"),
        ("task", [], r"no task 'task'"),
        (" , ", [], r"--tasks names none"),
        ("linear_probe", ["linear_probe.repeat=3"], r"LinearProbe has no field 'repeat'; did you mean repeats"),
        ("linear_probe", ["linear_probe.repeats=0"], r"repeats cannot be '0'"),
        ("linear_probe", ["linear_probe.shares=some"], r"shares cannot be \('some',\)"),
        ("linear_probe", ["few_shot.shots=3"], r"--set few_shot.shots=3: name a task that is run"),
        ("linear_probe", ["repeats=3"], r"--set repeats=3: name a task that is run and its field"),
        ("linear_probe", ["linear_probe=3"], r"name a task that is run and its field"),
    ],
)
def test_tasks_that_are_not_there_are_refused(names: str, settings: list[str], message: str) -> None:
    """What is wrong and what there is instead."""
    with pytest.raises(UserError, match=message):
        tasks_of(names, settings)


def test_labels_may_have_kinds() -> None:
    """A kind after the last colon is one; any other colon belongs to the column's name."""
    told = labels_of(["fracture", "stage:grade", "view:left", "angle:left:number"])
    assert told == {"fracture": None, "stage": "grade", "view:left": None, "angle:left": "number"}


def test_a_table_is_read_as_told(corpus: Labelled) -> None:
    """Its name is the file's; kinds are given or inferred."""
    assert corpus.name == "bone"
    assert corpus.targets == {
        "fracture": Target("binary"),
        "stage": Target("grade", ("0", "1", "2")),
        "age": Target("number"),
    }
    assert [sum(one.split == split for one in corpus.images) for split in ("train", "val", "test")] == [30, 15, 15]


def test_a_pairs_folder_is_a_labelled_corpus(tmp_path: Path) -> None:
    """Its findings are binary and the age a number in months; all images of a study share report and labels."""
    picture = {"bytes": encode_png(np.zeros((4, 4), np.uint8)), "height": 4, "width": 4, "body_part": "WRIST"}
    study = {"patient_id": "p1", "split": "test", "report": "Fracture.", "sex": "F"}
    rows = [
        study | {"study_id": "s1", "images": [picture] * 2, "labels": [("fracture", 1.0), ("implant", 0.0)], "age_months": 140},
        study | {"study_id": "s2", "images": [picture], "labels": [("fracture", None)]},
    ]
    (tmp_path / "pairs" / "studies").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, STUDIES), tmp_path / "pairs" / "studies" / "part.parquet")
    (tmp_path / "pairs" / "manifest.json").write_text(json.dumps({"labels": {"fracture": {}, "implant": {}}}))
    told = read_labelled(str(tmp_path / "pairs"))
    assert told.name == read_labelled(str(tmp_path / "pairs" / "studies" / "..")).name == "pairs"
    assert told.targets == {
        "fracture": Target("binary"),
        "implant": Target("binary"),
        "age": Target("number", unit="months"),
    }
    first, second, third = told.images
    assert first == second
    assert first.labels == {"fracture": 1, "implant": 0, "age": 140}
    assert (first.study, first.patient, first.split, first.sex, first.report) == ("s1", "p1", "test", "F", "Fracture.")
    assert first.body_part == "WRIST"
    assert (third.study, third.labels) == ("s2", {})


def test_a_damaged_pairs_folder_is_refused(tmp_path: Path) -> None:
    """A manifest that is cut or says nothing of labels, and studies that are not there or no studies, by name."""
    for manifest in ("{", "{}", "[]"):
        (tmp_path / "manifest.json").write_text(manifest)
        with pytest.raises(UserError, match=r"manifest\.json is damaged: restore it"):
            read_labelled(str(tmp_path))
    (tmp_path / "manifest.json").write_text(json.dumps({"labels": {}}))
    with pytest.raises(UserError, match="holds no studies: restore them"):
        read_labelled(str(tmp_path))
    (tmp_path / "studies").mkdir()
    with pytest.raises(UserError, match="holds no studies: restore them"):
        read_labelled(str(tmp_path))
    part = tmp_path / "studies" / "part.parquet"
    part.write_bytes(b"cut")
    for read in (read_labelled, lambda folder: split_as(Labelled("later", {}, ()), Path(folder), Key(bytes(32)))):
        with pytest.raises(UserError, match=r"studies is damaged .*: restore it, or prepare the pairs again"):
            read(str(tmp_path))
    pq.write_table(pa.table({"study_id": ["s1"]}), part)
    with pytest.raises(UserError, match=r"studies is damaged .*patient_id"):
        read_labelled(str(tmp_path))


def test_labels_that_come_later_keep_the_splits_of_the_pairs(tmp_path: Path) -> None:
    """A patient of the pairs is in their split under whatever name the hospital knows him; a stranger stays where he was.

    A note counts them, unless all are in the pairs; where none is, nothing is said but the refusal.
    """
    key = Key(bytes(range(32)))
    rows = [
        {"study_id": f"s{split}", "patient_id": key.pseudonym("patient", split.upper()), "split": split, "report": "Normal."}
        for split in ("train", "val", "test")
    ]
    (tmp_path / "studies").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, STUDIES), tmp_path / "studies" / "part.parquet")
    (tmp_path / "manifest.json").write_text(json.dumps({"labels": {}}))
    images = [LabelledImage(b"", name, name, "train") for name in ("TRAIN", "VAL", "TEST", "STRANGER")]
    told = split_as(Labelled("later", {}, tuple(images), ("noted",)), tmp_path, key)
    inside = f"3 of 4 patients are in {tmp_path.name} and have the splits that they have there; the others keep their own"
    assert told.notes == ("noted", inside)
    assert split_as(Labelled("later", {}, tuple(images[:3]), ("noted",)), tmp_path, key).notes == ("noted",)
    assert [(one.patient, one.split) for one in told.images] == [
        ("TRAIN", "train"),
        ("VAL", "val"),
        ("TEST", "test"),
        ("STRANGER", "train"),
    ]
    with pytest.raises(UserError, match="no patient of later is in"):
        split_as(Labelled("later", {}, tuple(images)), tmp_path, Key(bytes(32)))
    with pytest.raises(UserError, match=r"holds no manifest\.json"):
        split_as(Labelled("later", {}, tuple(images)), tmp_path / "studies", key)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere", r"nowhere is no pairs folder .* no CSV file and no corpus: .*one of .*fracatlas, .*mura, .*vindr_cxr$"),
        ("nowhere.csv", r"no table at nowhere\.csv"),
        ("mura:nowhere", r"MURA.* the folder is not at nowhere"),
        ("lungs:nowhere", r"lungs:nowhere is no pairs folder"),
        ("files:nowhere", r"files:nowhere is no pairs folder"),
        ("", r"is no pairs folder"),
        ("nowhere.CSV", r"no table at nowhere\.CSV"),
        ("nowhere.csv.GZ", r"no table at nowhere\.csv\.GZ"),
        ("s3://bucket/pairs", r"s3://bucket/pairs is a URL, .*: copy it here, .* --data$"),
    ],
)
def test_data_that_is_none_is_refused(data: str, message: str) -> None:
    """What it could have been; a corpus's own reader says what its folder lacks."""
    with pytest.raises(UserError, match=message):
        read_labelled(data)


def test_what_tasks_say_is_kept(checkpoint: Path, corpus: Labelled, tmp_path: Path) -> None:
    """Metrics and what they are of in JSON, and a row for every test case, with one score or one for each grade."""
    task = LinearProbe(shares=(1.0,))
    (told,) = run([task], checkpoint, corpus, tmp_path)
    assert (told.trial, told.task, told.reused) == ("bone", "linear_probe", False)
    assert told.metrics["fracture_auroc_at_100"] == 1
    written = json.loads((tmp_path / "bone" / "linear_probe.json").read_text())
    assert written["metrics"] == told.metrics
    assert written["task"]["shares"] == "(1.0,)"
    rows = pq.read_table(tmp_path / "bone" / "linear_probe.parquet").to_pylist()
    test = [one for one in corpus.images if one.split == "test"]
    for name, kind, levels in (("fracture", "binary", 1), ("stage", "grade", 3), ("age", "number", 1)):
        own = [row for row in rows if row["name"] == f"{name}_at_100"]
        assert [row["patient"] for row in own] == [one.patient for one in test]
        assert [row["truth"] for row in own] == [one.labels[name] for one in test]
        assert {(row["kind"], len(row["scores"])) for row in own} == {(kind, levels)}
    errors = [abs(row["scores"][0] - row["truth"]) for row in rows if row["name"] == "age_at_100"]
    assert told.metrics["age_mae_at_100"] == pytest.approx(np.mean(errors))
    assert not list(tmp_path.rglob("*partial*"))


def test_what_is_known_is_not_computed_again(
    checkpoint: Path, corpus: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights, data and task read their file: no image is encoded and nothing fitted; what has changed is.

    A file that a task is given counts with what is in it, and so does radsweep's own code.
    """
    task = LinearProbe(shares=(1.0,), targets=("fracture",))
    first = run([task], checkpoint, corpus, tmp_path)
    encoded, ran = [], []
    encode, probe = module.encode, LinearProbe.run
    monkeypatch.setattr(module, "encode", lambda *given: encoded.append(given) or encode(*given))
    monkeypatch.setattr(LinearProbe, "run", lambda own, given: ran.append(own) or probe(own, given))
    again = run([task], checkpoint, corpus, tmp_path)
    assert (encoded, ran) == ([], [])
    assert [one.reused for one in again] == [True]
    assert (again[0].metrics, again[0].absent) == (first[0].metrics, first[0].absent)

    assert not run([LinearProbe(shares=(0.5,), targets=("fracture",))], checkpoint, corpus, tmp_path)[0].reused
    assert not run([task], checkpoint, corpus, tmp_path)[0].reused
    other = Labelled(corpus.name, corpus.targets, corpus.images[:56])
    assert not run([task], checkpoint, other, tmp_path)[0].reused
    assert len(ran) == 3
    told = run([task, FewShot(shots=(1,), repeats=1)], checkpoint, other, tmp_path)
    assert [one.reused for one in told] == [True, False]

    prompts = tmp_path / "own prompts"
    prompts.write_text(json.dumps({"fracture": {"present": ["Fracture."], "absent": ["Normal."]}}))
    zero = ZeroShot(prompts=str(prompts))
    assert [run([zero], checkpoint, corpus, tmp_path)[0].reused for _ in range(2)] == [False, True]
    prompts.write_text(json.dumps({"fracture": {"present": ["Fracture."], "absent": ["Pas de fracture."]}}))
    assert not run([zero], checkpoint, corpus, tmp_path)[0].reused
    monkeypatch.setattr(module, "code_hash", lambda: "another")
    assert not run([zero], checkpoint, corpus, tmp_path)[0].reused


def test_features_that_were_cut_short_are_computed_again(checkpoint: Path, corpus: Labelled, tmp_path: Path) -> None:
    """What is kept to save time is never what stops an evaluation."""
    task = LinearProbe(shares=(1.0,), targets=("fracture",))
    first = run([task], checkpoint, corpus, tmp_path)
    (kept,) = tmp_path.glob("**/features/*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    shutil.rmtree(tmp_path / "bone")
    assert run([task], checkpoint, corpus, tmp_path)[0].metrics == first[0].metrics


def test_columns_of_a_table_are_refused_where_there_is_none(tmp_path: Path) -> None:
    """Labels named for a folder that is no table would be passed over without a word."""
    (tmp_path / "manifest.json").write_text("{}")
    for data in (str(tmp_path), f"mura:{tmp_path}"):
        with pytest.raises(UserError, match=r"columns were named \(split, targets\) and --data is no CSV file"):
            read_labelled(data, image="image", patient="patient_id", split="fold", targets={"fracture": None}, study=None)


def test_two_corpora_of_one_name_are_kept_apart(checkpoint: Path, corpus: Labelled, tmp_path: Path) -> None:
    """The second, from another folder, is refused, and the first's results stay; the same one, moved or grown, is not."""
    first = replace(corpus, source="/here")
    evaluate(checkpoint, first, [FewShot()], lambda *_: None, out=tmp_path)
    place = tmp_path / "bone" / "few_shot.json"
    before = place.read_bytes()
    assert json.loads(before)["source"] == "/here"
    fewer = replace(corpus, images=corpus.images[1:])
    with pytest.raises(UserError, match="holds results on /here, and /there goes by the same name, bone: rename"):
        evaluate(checkpoint, replace(fewer, source="/there"), [LinearProbe()], lambda *_: None, out=tmp_path)
    assert place.read_bytes() == before
    for other in (replace(corpus, source="/there"), replace(fewer, source="/here")):
        assert evaluate(checkpoint, other, [FewShot()], lambda *_: None, out=tmp_path)


def test_a_task_that_refuses_does_not_stop_the_others(checkpoint: Path, corpus: Labelled, tmp_path: Path) -> None:
    """The corpus has no reports: said with the task's name after the others are done, and kept as why there is nothing."""
    with pytest.raises(UserError, match=r"^report_retrieval: .*needs reports.* \(the other tasks are done: .*bone\)$"):
        run([ReportRetrieval(), FewShot(shots=(1,), repeats=1)], checkpoint, corpus, tmp_path)
    few, none = (json.loads((tmp_path / "bone" / f"{task}.json").read_text()) for task in ("few_shot", "report_retrieval"))
    assert "fracture_auroc_shots_1" in few["metrics"]
    assert none["metrics"] == {}
    assert "needs reports" in none["absent"][0]
    assert pq.read_table(tmp_path / "bone" / "report_retrieval.parquet").num_rows == 0
    with pytest.raises(UserError, match=r"^report_retrieval: (?!.*are done).*; zero_shot: .*$"):
        run([ReportRetrieval(), ZeroShot(targets=("stage",))], checkpoint, corpus, tmp_path)


def test_no_checkpoint_is_refused(corpus: Labelled, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(UserError, match="is no checkpoint"):
        run([LinearProbe()], tmp_path / "none", corpus, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{path}", new=True)
    return path


@pytest.fixture
def sweep_run(empty_store: Path, checkpoint: Path, tmp_path: Path) -> Path:
    """The run folder of a sweep whose trials ``a`` and ``b`` saw their whole budget, and ``c`` was stopped at a rung."""
    folder = tmp_path / "run"
    (folder / "ended").mkdir(parents=True)
    uri = f"sqlite:///{shutil.copy(empty_store, folder)}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("demo", (folder / "artifacts").as_uri())
    parent = client.create_run(experiment).info.run_id
    for name in "abc":
        tags = {"mlflow.parentRunId": parent, "radsweep.trial": name, "radsweep.kind": "trial"}
        child = client.create_run(experiment, tags=tags).info.run_id
        client.log_batch(child, [Metric("pairs_seen", 6000, 1, 6000), Metric("val/auroc", 0.7, 1, 6000)])
        (folder / "ended" / f"{name}.json").write_text(json.dumps({"stopped": name == "c"}))
        for number in (1, 2):
            where = folder / "trials" / name / f"checkpoint_2026-01-0{number}"
            shutil.copytree(checkpoint, where)
        (where.with_name("checkpoint_2026-01-01") / "state.pt").write_bytes(b"older")
    told = {"tracking_uri": uri, "parent_run_id": parent, "experiment": experiment}
    (folder / "sweep.json").write_text(json.dumps(told))
    return folder


def test_some_trials_alone_are_evaluated(sweep_run: Path, corpus: Labelled) -> None:
    """Those that are named, of those that saw their whole budget."""
    task = FewShot(shots=(1,), repeats=1, targets=("fracture",))
    assert [one.trial for one in evaluate_run(sweep_run, corpus, [task], silent, only={"b", "c"})] == ["b"]
    with pytest.raises(UserError, match="holds no finished trial"):
        evaluate_run(sweep_run, corpus, [task], silent, only={"c"})


def told_mlflow(folder: Path) -> dict[str, Any]:
    """What MLflow has of every trial: its metrics, and of each how often and at which steps."""
    told = json.loads((folder / "sweep.json").read_text())
    client = MlflowClient(told["tracking_uri"])
    children = client.search_runs([told["experiment"]], f"tags.`mlflow.parentRunId` = '{told['parent_run_id']}'")
    return {
        one.data.tags["radsweep.trial"]: {
            name: (value, [point.step for point in client.get_metric_history(one.info.run_id, name)])
            for name, value in one.data.metrics.items()
            if not name.startswith("val/") and name != "pairs_seen"
        }
        for one in children
    }


def test_a_sweeps_trials_are_evaluated_into_their_runs(sweep_run: Path, corpus: Labelled) -> None:
    """Newest checkpoints of finished trials; ``<task>/<metric>`` at the pairs that the trial has seen, once however often."""
    tasks = [LinearProbe(shares=(1.0,)), FewShot(shots=(2,), repeats=2)]
    told = evaluate_run(sweep_run, corpus, tasks, silent)
    assert [(one.trial, one.task, one.reused) for one in told] == [
        (trial, task, False) for trial in "ab" for task in ("linear_probe", "few_shot")
    ]
    assert {path.parent.name for path in (sweep_run / "evaluation" / "bone").glob("*/*.json")} == {"a", "b"}
    kept = told_mlflow(sweep_run)
    expected = {f"{one.task}/{name}": (value, [6000]) for one in told[:2] for name, value in one.metrics.items()}
    assert len(expected) > 5
    assert kept == {"a": expected, "b": expected, "c": {}}
    assert all(one.reused for one in evaluate_run(sweep_run, corpus, tasks, silent))
    assert told_mlflow(sweep_run) == kept
    # Both trials have the same weights: the tower saw the images once.
    assert len(list((sweep_run / "features").iterdir())) == 1


def saw(pairs: int, path: Path) -> Path:
    """Say in a checkpoint how many pairs it had seen; return it."""
    state = torch.load(path / "state.pt", weights_only=True)
    state["progress"]["metrics"] = {"pairs_seen": pairs, "val/auroc": 0.7}
    torch.save(state, path / "state.pt")
    return path


def test_a_checkpoint_of_a_sweep_is_told_to_its_trials_run(sweep_run: Path, corpus: Labelled, checkpoint: Path) -> None:
    """The newest of a finished trial as with the run; an older one, or a stopped trial's, beside itself; others tell nobody."""
    task = FewShot(shots=(1,), repeats=1, targets=("fracture",))
    newest = sweep_run / "trials" / "a" / "checkpoint_2026-01-02"
    assert [one.trial for one in evaluate(newest, corpus, [task], silent)] == ["a"]
    assert (sweep_run / "evaluation" / "bone" / "a" / "few_shot.json").is_file()
    stopped = saw(4000, sweep_run / "trials" / "c" / "checkpoint_2026-01-02")
    (told,) = evaluate(stopped, corpus, [task], silent)
    assert (stopped / "evaluation" / "bone" / "few_shot.json").is_file()
    assert {path.name for path in (sweep_run / "evaluation" / "bone").iterdir()} == {"a"}
    for trial, steps in (("a", [6000]), ("b", []), ("c", [4000])):
        expected = {f"few_shot/{name}": (value, steps) for name, value in told.metrics.items()} if steps else {}
        assert told_mlflow(sweep_run)[trial] == expected
    elsewhere = shutil.copytree(checkpoint, sweep_run.parent / "checkpoint")
    assert len(evaluate(elsewhere, corpus, [task], silent)) == 1


def test_an_older_checkpoint_does_not_stand_for_its_trial(
    sweep_run: Path, corpus: Labelled, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow has it at the pairs that it had seen, and shows the newest, whichever was evaluated last."""
    older, newest = sorted((sweep_run / "trials" / "a").iterdir())
    saw(3000, shutil.copytree(checkpoint, older, dirs_exist_ok=True))
    scores = iter((0.9, 0.6))
    monkeypatch.setattr(FewShot, "run", lambda *_: Result({"auroc": next(scores)}))
    for one in (newest, older):
        evaluate(one, corpus, [FewShot()], silent)
    value, steps = told_mlflow(sweep_run)["a"]["few_shot/auroc"]
    assert (value, sorted(steps)) == (0.9, [3000, 6000])


def test_results_of_a_checkpoint_go_where_they_are_told(sweep_run: Path, corpus: Labelled, tmp_path: Path) -> None:
    """Also of a finished trial's newest, and of one that was copied here from where the sweep kept it; MLflow is told."""
    task = FewShot(shots=(1,), repeats=1, targets=("fracture",))
    newest = saw(6000, sweep_run / "trials" / "a" / "checkpoint_2026-01-02")
    evaluate(newest, corpus, [task], silent, out=tmp_path / "own")
    assert (tmp_path / "own" / "bone" / "few_shot.json").is_file()
    assert not (sweep_run / "evaluation").exists()
    told = json.loads((sweep_run / "sweep.json").read_text())
    (sweep_run / "sweep.json").write_text(json.dumps(told | {"checkpoints": "s3://bucket/trials"}))
    copied = saw(6000, sweep_run / "trials" / "b" / "checkpoint_2026-01-02")
    evaluate(copied, corpus, [task], silent)
    assert (copied / "evaluation" / "bone" / "few_shot.json").is_file()
    kept = told_mlflow(sweep_run)
    assert kept["a"] == kept["b"] != {}


def test_notes_of_a_corpus_stand_with_its_results(checkpoint: Path, corpus: Labelled, tmp_path: Path) -> None:
    """What a reader must know of the data is said first of what is absent, also where a task finds nothing."""
    noted = replace(corpus, notes=("no patient is named",))
    (told,) = run([FewShot(shots=(1,), repeats=1)], checkpoint, noted, tmp_path)
    assert told.absent[0] == "no patient is named"
    assert any("age" in reason for reason in told.absent[1:])
    assert json.loads((tmp_path / "bone" / "few_shot.json").read_text())["absent"] == list(told.absent)
    with pytest.raises(UserError, match="needs reports"):
        run([ReportRetrieval()], checkpoint, noted, tmp_path)
    first, second = json.loads((tmp_path / "bone" / "report_retrieval.json").read_text())["absent"]
    assert first == "no patient is named"
    assert "needs reports" in second


def test_finalists_are_evaluated_when_a_sweep_ends(sweep_run: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the tasks that the question names, and on the pairs that it learned from; no other trial is."""
    question = replace(load_question("demo"), tasks=(FewShot(shots=(1,), repeats=1),))
    monkeypatch.setattr(launch, "run_sweep", lambda *_, **__: SimpleNamespace(finalists=("b",)))
    cli._sweep(question, pairs, sweep_run)
    assert {path.name for path in (sweep_run / "evaluation" / "pairs").iterdir()} == {"b"}
    assert json.loads((sweep_run / "evaluation" / "pairs" / "b" / "few_shot.json").read_text())["metrics"]
    told = told_mlflow(sweep_run)
    assert {name.partition("/")[0] for name in told["b"]} == {"few_shot"}
    assert not told["a"]
    assert not told["c"]


def test_finalists_of_a_sweep_on_a_url_are_left_with_a_word(
    sweep_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sweep's outcome stands; what to copy and which command then evaluates them are said."""
    question, outcome = replace(load_question("demo"), tasks=(FewShot(), LinearProbe())), SimpleNamespace(finalists=("b",))
    monkeypatch.setattr(launch, "run_sweep", lambda *_, **__: outcome)
    assert cli._sweep(question, "s3://bucket/pairs", sweep_run) is outcome
    said = " ".join(capsys.readouterr().out.split())
    assert "downstream: s3://bucket/pairs is a URL" in said
    assert f"`radsweep evaluate {sweep_run} --data PAIRS --tasks few_shot,linear_probe`" in said
    assert not (sweep_run / "evaluation").exists()


def test_mlflow_shows_what_was_found_last(sweep_run: Path, corpus: Labelled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that finds less with other settings takes the place of what it found before."""
    monkeypatch.setattr(LinearProbe, "run", lambda task, _: Result({"fracture_auroc_at_100": 0.9 - task.seed / 2}))
    for seed, expected in ((0, 0.9), (1, 0.4)):
        evaluate_run(sweep_run, corpus, [LinearProbe(seed=seed)], silent)
        assert told_mlflow(sweep_run)["a"]["linear_probe/fracture_auroc_at_100"][0] == expected


def test_a_refusal_keeps_nothing_from_mlflow(sweep_run: Path, corpus: Labelled) -> None:
    """A task that refuses and a trial whose checkpoint is damaged are said at the end; the rest is evaluated and logged."""
    (sweep_run / "trials" / "a" / "checkpoint_2026-01-02" / "state.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"^2 of 2 checkpoints: .*does not hold the weights.*report_retrieval: .*needs reports"):
        evaluate_run(sweep_run, corpus, [ReportRetrieval(), FewShot(shots=(1,), repeats=1)], silent)
    told = told_mlflow(sweep_run)
    assert told["a"] == {}
    assert {name.partition("/")[0] for name in told["b"]} == {"few_shot"}


def test_a_name_that_mlflow_forbids_is_said(sweep_run: Path, corpus: Labelled) -> None:
    """A label's name may hold what a metric's may not: the results are kept, and where."""
    images = tuple(replace(one, labels={"fracture (new)": one.labels["fracture"]}) for one in corpus.images)
    odd = Labelled("bone", {"fracture (new)": Target("binary")}, images)
    with pytest.raises(UserError, match=r"MLflow does not take what is in .*bone/a .*fracture \(new\).*rename the label"):
        evaluate_run(sweep_run, odd, [LinearProbe(shares=(1.0,))], silent)
    assert all((sweep_run / "evaluation" / "bone" / trial / "linear_probe.json").is_file() for trial in "ab")


def test_what_cannot_be_kept_is_not_computed(sweep_run: Path, corpus: Labelled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for features or results that cannot be made is refused before any image is encoded."""
    monkeypatch.setattr("radsweep.sweeps.evaluate.encode", lambda *_: pytest.fail("images were encoded"))
    for folder in ("evaluation", "features"):
        (sweep_run / folder).touch()
        with pytest.raises(UserError, match=rf"2 of 2 checkpoints: .*{folder}.* cannot be made"):
            evaluate_run(sweep_run, corpus, [LinearProbe()], silent)
        (sweep_run / folder).unlink()


def test_a_run_without_finished_trials_is_refused(sweep_run: Path, empty_store: Path, corpus: Labelled, tmp_path: Path) -> None:
    """Stopped trials only, checkpoints elsewhere, no sweep at all, no MLflow, or one that knows nothing of the sweep."""
    with pytest.raises(UserError, match="is not a run folder"):
        evaluate_run(tmp_path, corpus, [LinearProbe()], silent)
    with pytest.raises(UserError, match="--tracking-uri"):
        evaluate_run(sweep_run, corpus, [LinearProbe()], silent, "sqlite:////proc/nowhere/mlflow.db")
    with pytest.raises(UserError, match=r"has no run of this sweep: name the one it was logged to with --tracking-uri"):
        evaluate_run(sweep_run, corpus, [LinearProbe()], silent, f"sqlite:///{empty_store}")
    told = json.loads((sweep_run / "sweep.json").read_text())
    (sweep_run / "sweep.json").write_text(json.dumps(told | {"checkpoints": "s3://bucket/trials"}))
    with pytest.raises(UserError, match=r"the checkpoints are at s3://bucket/trials: copy them here"):
        evaluate_run(sweep_run, corpus, [LinearProbe()], silent)
    (sweep_run / "sweep.json").write_text(json.dumps(told))
    for name in "ab":
        (sweep_run / "ended" / f"{name}.json").write_text(json.dumps({"stopped": True}))
    with pytest.raises(UserError, match="holds no finished trial with a checkpoint"):
        evaluate_run(sweep_run, corpus, [LinearProbe()], silent)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run ``radsweep evaluate``; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["radsweep", "evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


READ = ("--patient-column", "patient", "--split-column", "fold", "--label-column", "fracture", "--label-column", "stage:grade")


def test_the_command_evaluates_a_checkpoint_on_a_table(
    checkpoint: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every metric is shown and kept below --out by corpus and task; a second time all is known."""
    asked = (checkpoint, "--data", manifest, *READ, "--tasks", "linear_probe,few_shot", "--out", tmp_path)
    asked += ("--set", "linear_probe.shares=1", "--set", "few_shot.shots=1,2", "--set", "few_shot.repeats=2")
    assert command(monkeypatch, *asked) == 0
    shown = capsys.readouterr().out
    written = [json.loads((tmp_path / "bone" / f"{task}.json").read_text()) for task in ("linear_probe", "few_shot")]
    assert written[0]["metrics"]["fracture_auroc_at_100"] == 1
    assert "stage_quadratic_kappa_shots_2" in written[1]["metrics"]
    assert all(name in shown for one in written for name in one["metrics"])
    assert "known already" not in shown
    assert command(monkeypatch, *asked) == 0
    assert capsys.readouterr().out.count("1 of 1 were known already") == 2


def test_the_command_evaluates_a_sweep(
    sweep_run: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column for each trial, and MLflow has them."""
    asked = (sweep_run, "--manifest", manifest, *READ, "--tasks", "linear_probe", "--set", "linear_probe.shares=1")
    assert command(monkeypatch, *asked) == 0
    header = next(line for line in capsys.readouterr().out.splitlines() if "metric" in line)
    assert header.split() == ["metric", "a", "b"]
    assert told_mlflow(sweep_run)["b"]["linear_probe/fracture_auroc_at_100"] == (1, [6000])
    assert command(monkeypatch, *asked, "--out", sweep_run.parent / "own") == 2
    assert "--out is of a single checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tasks", "linear_prob"), "there is no task 'linear_prob'"),
        (("--set", "linear_probe.repeats=none"), "repeats cannot be 'none'"),
        (("--label-column", "fractur"), "has no column 'fractur'; did you mean fracture"),
        (("--patient-column", "fracture"), "is in two splits"),
        (("--data", "nowhere"), "nowhere is no pairs folder"),
        (("--out", __file__), "cannot be made"),
        (("--tasks", "zero_shot", "--set", f"zero_shot.prompts={'p' * 300}"), "there are no prompts"),
        (("--tasks", "report_retrieval"), "report_retrieval needs reports"),
        ((), "is no checkpoint"),
    ],
)
def test_a_mistake_ends_with_one_message(
    arguments: tuple[str, ...],
    message: str,
    checkpoint: Path,
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, and what is wrong on stderr without a traceback."""
    asked = ("--data", manifest, *READ, "--tasks", "linear_probe", "--out", tmp_path, *arguments)
    assert command(monkeypatch, checkpoint if arguments else tmp_path, *asked) == 2
    said = capsys.readouterr().err
    assert said.startswith("radsweep: ")
    assert message in said
    assert "Traceback" not in said
