"""What the user sees of a running sweep: the table, the lines of a log, the JSON of a machine, and the last words."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from radsweep.sweeps import display
from radsweep.sweeps.design import balanced_start
from radsweep.sweeps.display import JsonLines, TrialTable, lasting, say_answer
from radsweep.sweeps.launch import Outcome
from radsweep.sweeps.sweep import Sweep, load_question
from radsweep.sweeps.tracking import Tracker

ARM = {"text": "tiny-fr", "image.resolution": "64", "objective.temperature": 0.0616, "data.sampling.images": "all"}


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return load_question("demo")


def at(pairs: int, auroc: float, **more: Any) -> dict[str, Any]:
    """A report as Tune passes it on, with figures of Tune's own."""
    return {"pairs_seen": pairs, "val/auroc": auroc, "time_s": pairs / 50, "training_iteration": 1, "pid": 7, **more}


def screen(monkeypatch: pytest.MonkeyPatch, width: int, height: int) -> io.StringIO:
    """A terminal of this size in place of the real one."""
    said = io.StringIO()
    monkeypatch.setattr(
        display, "console", Console(file=said, width=width, height=height, force_terminal=True, color_system=None)
    )
    return said


def shown_table(table: TrialTable, said: io.StringIO) -> list[str]:
    display.console.print(table._render())
    return [line.rstrip() for line in said.getvalue().splitlines()]


def test_the_table_holds_arm_rung_score_cost_and_time_left(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a trial that fits 80 columns: rungs passed, what was spent, and what the rest takes at the trial's own pace."""
    said = screen(monkeypatch, 80, 30)
    table = TrialTable(sweep)
    for trial, facts in (("a", at(2000, 0.7)), ("b", at(5408, 0.8, gpu_s=9000.0))):
        table.listen("start", trial, ARM)
        table.listen("report", trial, facts)
    table.listen("end", "b", {"status": "stopped"})
    table.listen("start", "c", ARM)
    rows = [line.split() for line in shown_table(table, said) if "tiny-fr" in line]
    arm = ["tiny-fr", "·", "64", "·", "0.0616", "·", "all"]
    assert rows == [
        ["1", *arm, "0/2", "2,000", "0.700", "40", "s", "≤", "80", "s"],
        ["2", *arm, "1/2", "5,408", "0.800", "2.50", "GPU-h", "waiting"],
        ["3", *arm, "0/2", "0", "–", "–", "–"],
    ]
    assert max(len(line) for line in said.getvalue().splitlines()) <= 80
    table.__exit__(None, None, None)
    assert shown_table(table, said)[-3].split()[-1] == "stopped"


def test_a_low_screen_keeps_what_runs_and_the_best(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty ended trials and one that runs on twelve lines: the running one and the best are there, the rest is counted."""
    said = screen(monkeypatch, 100, 12)
    table = TrialTable(sweep)
    for i in range(40):
        table.listen("start", str(i), ARM)
        table.listen("report", str(i), at(6000, (i * 7 % 40) / 40))
        table.listen("end", str(i), {"status": "finished"})
    table.listen("start", "last", ARM)
    lines = shown_table(table, said)
    numbers = [int(line.split()[0]) for line in lines if "tiny-fr" in line]
    best = sorted(range(40), key=lambda i: i * 7 % 40)[-5:]
    assert numbers == [*sorted(i + 1 for i in best), 41]
    assert "  and 35 that ended with less" in lines
    assert len(lines) < 12


def test_a_log_has_one_line_per_event(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal every event is a line with its trial, its arm and what happened."""
    with TrialTable(sweep) as table:
        table.listen("start", "a", ARM)
        table.listen("report", "a", at(4512, 0.81234))
        table.listen("end", "a", {"status": "stopped"})
    arm = "text=tiny-fr  image.resolution=64  objective.temperature=0.0616  data.sampling.images=all"
    assert capsys.readouterr().out.splitlines() == [
        f"  trial  1/12  {arm}: starts",
        f"  trial  1/12  {arm}: 4,512 pairs, val/auroc 0.812, 2 min",
        f"  trial  1/12  {arm}: waiting at 4,512 pairs, val/auroc 0.812",
    ]


def test_json_is_all_that_a_machine_reads(sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line on stdout: starts, reports without Tune's own figures and with null for NaN, ends, and the answer."""
    with JsonLines(sweep) as lines:
        lines.listen("start", "a", ARM)
        lines.listen("report", "a", at(4512, 0.8) | {"train/loss": float("nan")})
        lines.listen("end", "a", {"status": "finished"})
    run = {"tracking_uri": "http://127.0.0.1:9", "experiment": "1", "parent_run_id": "x"}
    (tmp_path / "sweep.json").write_text(json.dumps(run))
    say_answer(sweep, Outcome({"finished": 1}, ARM, 0.8, None), tmp_path, None, as_json=True)
    told = [json.loads(line, parse_constant=pytest.fail) for line in capsys.readouterr().out.splitlines()]
    assert told == [
        {"event": "start", "trial": "a", "arm": ARM},
        {
            "event": "report",
            "trial": "a",
            "pairs_seen": 4512,
            "metrics": {"val/auroc": 0.8, "time_s": 90.24, "train/loss": None},
        },
        {"event": "end", "trial": "a", "status": "finished"},
        {
            "event": "answer",
            "run": str(tmp_path),
            "report": None,
            "tracking_uri": "http://127.0.0.1:9",
            "trials": {"finished": 1},
            "budget_spent": None,
            "metric": "val/auroc",
            "best": ARM,
            "score": 0.8,
            "shown": [],
        },
    ]


@pytest.mark.parametrize("planted", [0.2, 0.0])
def test_the_last_words_are_what_was_found(
    planted: float, sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best arm, and the effects that are established: a planted one by name and size, none where none is planted."""
    tracker = Tracker.start(sweep, f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts", {})
    rng = np.random.default_rng(0)
    for i, labels in enumerate(balanced_start(sweep.space, 12, 0)):
        tracker.trial_started(f"t{i}", sweep, labels)
        auroc = 0.6 + planted * (labels["image.resolution"] == "128") + rng.normal(0, 0.01)
        tracker.trial_reported(f"t{i}", at(sweep.rung_pairs[0], auroc))
        tracker.trial_ended(f"t{i}", "stopped")
    tracker.end("FINISHED", {})
    told = {"tracking_uri": tracker.tracking_uri, "experiment": tracker.experiment, "parent_run_id": tracker.parent}
    (tmp_path / "sweep.json").write_text(json.dumps(told))
    say_answer(sweep, Outcome({"stopped": 12}, {"text": "tiny-fr", "image.resolution": "128"}, 0.8, None), tmp_path, None)
    *_, best, found = capsys.readouterr().out.splitlines()
    assert best == "  best of 12 stopped: text encoder tiny-fr, resolution (px) 128: val/auroc 0.800"
    if planted:
        assert re.match(r"  shown: resolution \(px\): 128 beats 64 by 0\.(19|20|21)\d* AUROC \(95\s% interval", found)
    else:
        assert found.startswith("  shown: nothing. With 12 trials")


def test_the_last_words_name_single_findings(sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A planted effect on one finding, which the mean over all hides: it is said, and the unplanted finding is not."""
    tracker = Tracker.start(sweep, f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts", {})
    rng = np.random.default_rng(0)
    for i, labels in enumerate(balanced_start(sweep.space, 12, 0)):
        tracker.trial_started(f"t{i}", sweep, labels)
        fracture = 0.6 + 0.2 * (labels["image.resolution"] == "128") + rng.normal(0, 0.01)
        findings = {"val/auroc/fracture": fracture, "val/auroc/effusion": 0.7 + rng.normal(0, 0.01)}
        tracker.trial_reported(f"t{i}", at(sweep.rung_pairs[0], 0.7 + rng.normal(0, 0.05)) | findings)
        tracker.trial_ended(f"t{i}", "stopped")
    tracker.end("FINISHED", {})
    told = {"tracking_uri": tracker.tracking_uri, "experiment": tracker.experiment, "parent_run_id": tracker.parent}
    (tmp_path / "sweep.json").write_text(json.dumps(told))
    say_answer(sweep, Outcome({"stopped": 12}, {"text": "tiny-fr"}, 0.8, None), tmp_path, None)
    found = [line for line in capsys.readouterr().out.splitlines() if "shown:" in line]
    assert len(found) == 1
    assert re.match(r"  shown: resolution \(px\): fracture \+0\.(19|20|21)\d* with 128 instead of 64 \(", found[0])


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")])
def test_times_have_the_unit_a_reader_would_choose(seconds: float, text: str) -> None:
    """Seconds, minutes from a minute and a half on, hours from an hour and a half on."""
    assert lasting(seconds) == text
