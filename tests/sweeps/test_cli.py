"""The command's own refusals: what it will not take, and that it says so before anything is touched."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from radsweep.datasets.refusal import UserError
from radsweep.sweeps import display, launch
from radsweep.sweeps.cli import app

SMALL = {"batch_size": "16", "budget_pairs": "64", "validations": "2", "image.resolution": "64", "precision": "fp32"}


def set_small() -> list[str]:
    """The demo question as small as it gets, in options."""
    return [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]


def refused(*given: str | Path) -> str:
    """Run ``radsweep`` as given, which ends with a mistake of the user's; return what it says."""
    result = CliRunner().invoke(app, [str(one) for one in given])
    if isinstance(result.exception, UserError):
        return str(result.exception)
    assert result.exit_code == 2, (result.output, result.exception)
    return " ".join(result.output.replace("│", " ").split())


def accepted(*given: str | Path) -> None:
    """Run ``radsweep`` as given to its end."""
    result = CliRunner().invoke(app, [str(one) for one in given])
    assert result.exit_code == 0, (result.output, result.exception)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts Ray fails."""

    def start_ray(*_: Any, **__: Any) -> None:
        pytest.fail("Ray was started")

    monkeypatch.setattr(launch, "start_ray", start_ray)


def test_stage_replaces_nothing_but_what_it_made(tmp_path: Path) -> None:
    """A folder called radsweep may be somebody's checkout: it is left alone. What was staged is staged anew, question too."""
    own = tmp_path / "own"
    (own / "radsweep").mkdir(parents=True)
    (own / "radsweep" / "mine.txt").write_text("mine")
    assert "holds something else" in refused("stage", own)
    assert [path.name for path in own.rglob("*")] == ["radsweep", "mine.txt"]
    question, staged = tmp_path / "question.py", tmp_path / "staged"
    question.write_text("sweep = None\n")
    staged.mkdir()
    accepted("stage", staged, question)
    stale = staged / "radsweep" / "sweeps" / "gone.py"
    stale.touch()
    accepted("stage", staged, question)
    assert (staged / "radsweep" / "sweeps" / "cli.py").is_file()
    assert not stale.exists()


def test_prepare_leaves_patients_to_train(tmp_path: Path) -> None:
    """Validation and test that take all patients are refused before anything is read."""
    said = refused("prepare", "--manifest", tmp_path / "none.csv", "--out", tmp_path / "pairs", "--val", "0.5", "--test", "0.5")
    assert "val and test leave nobody to train: choose shares of less than 1 together" in said


def test_a_store_that_does_not_answer_is_refused_before_ray(pairs: Path, tmp_path: Path, no_ray: None) -> None:  # noqa: ARG001
    """An address where nobody listens, and no store of one's own in the run folder."""
    store = ("--tracking-uri", "http://127.0.0.1:9")
    said = refused("sweep", "demo", "--data", pairs, "--out", tmp_path / "run", *store, *set_small())
    assert "the MLflow store http://127.0.0.1:9 cannot be used" in said
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    ("place", "words"),
    [("file.txt", "is a file: name a folder"), ("file.txt/kept", "cannot be made"), ("nobody://kept", "Protocol not known")],
)
def test_a_place_that_keeps_no_checkpoints_is_refused_before_ray(
    place: str,
    words: str,
    pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_ray: None,  # noqa: ARG001
) -> None:
    """A file, a folder below one, a URL that nothing opens: each is named, and no sweep is begun."""
    monkeypatch.chdir(tmp_path)
    Path("file.txt").touch()
    said = refused("sweep", "demo", "--data", pairs, "--out", "run", "--checkpoints", place, *set_small())
    assert place in said
    assert words in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("far", [("--data", "file:///pairs"), ("--checkpoints", "memory://kept")])
def test_tasks_that_would_not_find_their_data_are_refused_before_ray(
    far: tuple[str, str],
    pairs: Path,
    tmp_path: Path,
    no_ray: None,  # noqa: ARG001
) -> None:
    """Pairs or checkpoints at a URL, and a question whose tasks read the disk: told at once, not after the sweep."""
    given = {"--data": str(pairs), "--out": str(tmp_path / "run")} | dict([far])
    said = refused("sweep", "demo", *(part for pair in given.items() for part in pair), *set_small())
    assert f"{far[1]} is a URL, and the question's tasks read what is on the machine's disks" in said
    assert not (tmp_path / "run").exists()


LEFT = ("code/.staged", "code/radsweep/__init__.py", "mlflow.db", ".mlflow.db.partial-journal", "sweep.json.partial")


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_a_sweep_that_was_killed_before_it_was_recorded_starts_anew(
    resume: tuple[str, ...], pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left is no sweep: the same submission starts it, with --resume and without, but not with --extend."""
    for name in LEFT:
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).touch()
    given = ("sweep", "demo", "--data", pairs, "--out", tmp_path / "run", *set_small())
    started: list[bool] = []

    def run_sweep(*_: Any, resume: bool, **__: Any) -> launch.Outcome:
        started.append(resume)
        return launch.Outcome({}, None, None, None)

    monkeypatch.setattr(launch, "start_ray", lambda *_, **__: None)
    monkeypatch.setattr(launch, "run_sweep", run_sweep)
    monkeypatch.setattr(display, "say_answer", lambda *_: None)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    accepted(*given, *resume)
    assert started == [False]
    assert "holds no sweep to resume" in refused(*given, "--extend", "1")
    (tmp_path / "run" / "arms.jsonl").touch()
    assert ("holds no sweep to resume" if resume else "already holds something else") in refused(*given, *resume)


def test_prepare_refuses_options_of_its_other_source(tmp_path: Path) -> None:
    """An option of an export beside a table, or of a table beside an export, would be ignored: each is named."""
    out = ("--out", tmp_path / "pairs")
    table = ("--manifest", tmp_path / "table.csv")
    said = refused("prepare", *table, "--labels", "labels.csv", "--dicom", "dicom", *out)
    assert said == "--dicom, --labels: of an export, and --manifest names a table; leave out what does not belong"
    export = ("--dicom", tmp_path / "dicom", "--reports", tmp_path / "reports")
    said = refused("prepare", *export, "--text-column", "text", "--label-column", "finding", *out)
    assert said == "--text-column, --label-column: of a table, and --dicom names an export; leave out what does not belong"
    assert "--reports" in refused("prepare", *export, *table, *out)
    for nothing in ((), export[:2], export[2:]):
        assert refused("prepare", *nothing, *out) == "name an export with --dicom and --reports, or a table with --manifest"


@pytest.mark.parametrize(
    ("option", "named", "message"),
    [
        ("--key-file", "file", "is not a key file"),
        ("--tokenizer", "none", "is neither built in"),
        ("--out", "file/pairs", "cannot be made (File exists)"),
    ],
)
def test_what_prepare_needs_is_checked_before_ray(
    option: str,
    named: str,
    message: str,
    tmp_path: Path,
    no_ray: None,  # noqa: ARG001
) -> None:
    """A key, a tokenizer and a place that cannot be had are refused before Ray starts and a single input is read."""
    (tmp_path / "file").write_text("not a key")
    given = {"--key-file": "key", "--tokenizer": "tiny-fr", "--out": "pairs", "--manifest": "table.csv"} | {option: named}
    options = (part for name, value in given.items() for part in (name, value if value == "tiny-fr" else tmp_path / value))
    assert message in refused("prepare", *options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("stage", "file"), "file cannot be made (File exists): choose another folder"),
        (("stage", "file/staged"), "cannot be made (Not a directory)"),
        (("phantom", "file/hospital"), "file cannot be made (File exists)"),
        (("phantom", "hospital", "--seed", "-1"), "'--seed'"),
        (("demo", "--out", "demo", "--seed", "-1"), "'--seed'"),
        (("deidentify", "file", "clean"), "there is no folder file"),
        (("deidentify", "folder", "."), ". already holds something"),
        (("pseudonymize", "file", ".", "--key-file", "key"), ". is a folder: name the file to make"),
    ],
)
def test_what_cannot_be_made_is_refused(
    given: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below a file, in its place, a seed below 0: one message, and nothing is left."""
    (tmp_path / "file").write_text("{}")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "IM000001").write_bytes(b"no image")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert message in refused(*given)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_where_one_is_becomes_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``.`` is a name like any other, for what is made beside its place and renamed."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    accepted("phantom", ".", "--patients", "1")
    monkeypatch.chdir(tmp_path)
    assert (tmp_path / "here" / "truth" / "labels.csv").is_file()
    (tmp_path / "clean").mkdir()
    monkeypatch.chdir(tmp_path / "clean")
    accepted("deidentify", "../here/dicom", ".", "--key-file", "../key", "--no-clean-pixel-data")
    assert list((tmp_path / "clean").rglob("*.dcm"))


def test_a_demo_goes_on_with_its_own_hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another number of patients or another seed would get the answer of the hospital that is there: both are told."""

    def start_ray(*_: Any, **__: Any) -> None:
        raise UserError("the hospital is there")

    monkeypatch.setattr(launch, "start_ray", start_ray)
    given = ("demo", "--out", tmp_path / "demo", "--patients", "2", "--seed", "3")
    for _ in range(2):
        assert refused(*given) == "the hospital is there"
    for other in (("--seed", "4"), ("--patients", "1")):
        said = refused(*given, *other)
        assert said.endswith("demo holds a hospital of --patients 2 --seed 3: go on with these, or choose another --out")
    (tmp_path / "demo" / "demo.json").unlink()
    assert "demo.json cannot be read" in refused(*given)
