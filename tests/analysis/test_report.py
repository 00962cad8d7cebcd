"""The report as a reader meets it: on disk, in a browser, and on a sweep that still runs."""

import csv
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from mlflow.tracking import MlflowClient

from radsweep.analysis.answer import find_answer
from radsweep.analysis.figures import importance, learning_curves, maps
from radsweep.analysis.figures.style import save
from radsweep.analysis.report import drawable, pictures_of, trust, write_report
from radsweep.analysis.runs import read_sweep
from radsweep.datasets.refusal import UserError

TRUTH = [
    {"finding": "hairline_fracture", "axis": "image.resolution", "better": "128", "reason": "Two <pixels> wide."},
    {"finding": "effusion", "axis": "data.sampling.images", "better": "all", "reason": "Seen from the side only."},
]
FIGURES = {
    *("costs", "effects", "findings", "importance", "interactions", "learning_curves", "maps", "parallel", "pareto", "ranges"),
    *("retrieved", "saliency", "stopping"),
}


@pytest.fixture(scope="module")
def report(sweep_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an ended sweep with its truth."""
    truth = tmp_path_factory.mktemp("truth") / "effects.json"
    truth.write_text(json.dumps(TRUTH))
    return write_report(sweep_run, truth, price=2.5)


class Links(HTMLParser):
    """Collects everything a page would load or lead to, and the words it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("iframe", "object", "embed")
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action") and value]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: Path) -> Links:
    parser = Links()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_everything_is_written(report: Path) -> None:
    """The page, the tables and every figure as SVG and PNG, in one folder without a leftover beside it."""
    folder = report.parent
    tables = {f"{name}.{form}" for name in ("effects", "table", "tasks") for form in ("csv", "md", "tex")} | {"differences.csv"}
    assert {path.name for path in folder.iterdir()} == {"index.html", "figures"} | tables
    assert {path.name for path in (folder / "figures").iterdir()} == {f"{n}.{s}" for n in FIGURES for s in ("svg", "png")}
    assert {path.name for path in folder.parent.iterdir() if path.name.startswith("report")} == {"report"}
    assert report.stat().st_size < 3 * 2**20


def test_the_page_stands_alone(report: Path) -> None:
    """Nothing is loaded from anywhere: links lead into the page itself, and the page forbids the rest to the browser."""
    page = read(report)
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    text = report.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text


def test_the_page_answers_in_words(report: Path) -> None:
    """Question, answer per axis, what was planted and found, trust; markup in the data is text."""
    words = " ".join(" ".join(read(report).words).split()).replace("\N{NO-BREAK SPACE}", " ")
    assert "Which of text encoder, resolution, temperature" in words
    assert re.search(r"Resolution \(px\): 128 beats 64 by 0\.0\d+ AUROC \(95 % interval", words)
    assert re.search(r"Temperature: no effect could be shown: 0\.5 against 0\.02", words)
    assert re.search(r"Images of a study: all beats one by", words)
    assert "Nothing else was claimed for any finding." in words
    assert words.count(" found ") >= 2
    assert "Two <pixels> wide." in words
    assert "phantom <hospital>" in words
    assert "one seed (0): no variance between seeds was measured" in words
    assert "1 of 14 trials failed" in words
    assert "The sweep has not ended" not in words
    assert "No interaction could have been shown from 13 trials, however large." in words
    assert "Identities removed noted replaced in reports: 163 person, 97 date; 5 texts blanked in pictures; 16 inputs" in words
    assert "trial-hours" in words


def test_the_page_tells_what_the_arms_are_worth_downstream(report: Path) -> None:
    """Arms by figures with intervals, what is absent and why; one seed each, so nothing is bold; no patient is named."""
    words = " ".join(" ".join(read(report).words).split())
    assert "Linear probe on bone" in words
    assert re.search(r"40 test patients with 80 cases, worth \d+ independent ones \(ICC", words)
    assert "Every arm was trained at one seed" in words
    assert "Absent: age: nobody told it." in words
    assert "Zero shot on bone" in words
    assert "the checkpoint reads no <text>" in words
    assert re.search(r"Fracture at 10 AUROC tiny-.*? 1 0\.\d{3} 0\.\d{3} to 0\.\d{3}", words)
    text = report.read_text(encoding="utf-8")
    assert not re.search(r'class="best"', text[text.index("Downstream") : text.index("<h2>Trials")])
    assert not re.search(r"\bp\d+\b", (report.parent / "tasks.csv").read_text())
    in_paper = (report.parent / "tasks.tex").read_text()
    assert in_paper.count(r"\toprule") == 4
    assert "Zero shot" not in in_paper


def test_a_factorial_of_named_arms_has_a_report(factorial_sweep: Path) -> None:
    """No range, no search, three seeds, which are no difference between settings: the page is made and says what it is of."""
    page = write_report(factorial_sweep)
    words = " ".join(" ".join(read(page).words).split())
    assert "Across the range" not in words
    assert "Adaptive search" not in words
    assert "Seeds noted 3 seeds: 0, 1, 2" in words
    assert "Only the axes differ passed" in words
    assert not (page.parent / "figures" / "ranges.svg").exists()


def test_the_tables_hold_every_effect(report: Path) -> None:
    """Four effects on the metric and 28 on findings, with p-values; what is shown is bold, and nothing else."""
    folder = report.parent
    rows = list(csv.DictReader((folder / "effects.csv").read_text().splitlines()))
    assert len(rows) == 4 + 28
    shown = {(row["metric"], row["axis"]) for row in rows if row["shown"] == "True"}
    assert ("val/auroc/hairline_fracture", "image.resolution") in shown
    assert all(0 <= float(row["p_corrected"]) <= 1 and float(row["detectable"]) > 0 for row in rows)
    markdown = (folder / "effects.md").read_text()
    assert sum(line.startswith("| **") for line in markdown.splitlines()) == len(shown)
    assert "| AUROC | Temperature | 0.5 vs 0.02 |" in markdown
    assert (folder / "effects.tex").read_text().count(r"\toprule") == 2


def test_the_tables_hold_every_trial_and_no_false_zero(report: Path) -> None:
    """Fourteen rows, best first; the failed trial's missing score is empty or a dash; a tie is not bold; LaTeX is escaped."""
    folder = report.parent
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert len(rows) == 14
    scores = [float(row["val/auroc"]) for row in rows if row["status"] == "finished"]
    assert scores == sorted(scores, reverse=True)
    assert rows[-1]["status"] == "failed"
    assert rows[-1]["val/auroc at 3000 pairs"] == ""
    markdown = (folder / "table.md").read_text()
    assert "**" not in markdown
    assert "\N{EN DASH}" in markdown
    latex = (folder / "table.tex").read_text()
    assert latex.count(r" \\") == 15
    assert r"\toprule" in latex
    assert "recall@1" in latex.lower()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_sets_the_tables_within_the_page(report: Path, tmp_path: Path) -> None:
    """LaTeX itself reads both files without an error, and no table is wider than a line of an article on A4."""
    for name in ("table", "effects", "tasks"):
        shutil.copy(report.parent / f"{name}.tex", tmp_path)
    packages = "\\usepackage[T1]{fontenc}\\usepackage{booktabs,graphicx}"
    body = "\\begin{document}\\input{table}\\input{effects}\\input{tasks}\\end{document}"
    (tmp_path / "all.tex").write_text(f"\\documentclass[a4paper]{{article}}{packages}{body}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout
    assert "Overfull \\hbox" not in done.stdout
    assert (tmp_path / "all.pdf").is_file()


def test_the_same_store_gives_the_same_bytes(report: Path, sweep_run: Path) -> None:
    """Writing again replaces the report as a whole; figures hold neither a date nor a random name."""
    before = {path.name: path.read_bytes() for path in (report.parent / "figures").iterdir()}
    table = (report.parent / "table.csv").read_bytes()
    (report.parent / "stale").write_text("")
    write_report(sweep_run)
    after = {path.name: path.read_bytes() for path in (report.parent / "figures").iterdir()}
    assert before == after
    assert table == (report.parent / "table.csv").read_bytes()
    assert not (report.parent / "stale").exists()
    assert "What was planted" not in report.read_text(encoding="utf-8")


def test_a_running_sweep_has_a_report_that_says_so(running_sweep: Path) -> None:
    """The page of a sweep in progress names what still runs."""
    words = " ".join(" ".join(read(write_report(running_sweep)).words).split())
    assert "The sweep has not ended. This page shows the 9 trials begun so far, 3 of them still running" in words


def test_an_interrupted_sweep_has_a_report_that_says_so(running_sweep: Path, tmp_path: Path) -> None:
    """Nothing runs any more: trials were interrupted, on the page, in its table and in its figure."""
    told = json.loads((running_sweep / "sweep.json").read_text())
    shutil.copy(running_sweep / "mlflow.db", tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "sweep.json").write_text(json.dumps(told | {"tracking_uri": uri}))
    MlflowClient(uri).set_terminated(told["parent_run_id"], "KILLED")
    words = " ".join(" ".join(read(write_report(tmp_path)).words).split())
    said = "The sweep was interrupted. This page shows the 9 trials begun so far; the answer may change when it is resumed."
    assert said in words
    assert "3 interrupted" in words
    assert "still running" not in words


def test_labels_are_drawn_letter_by_letter(sweep_run: Path, tmp_path: Path) -> None:
    """Dollars are no formulas, and a label that begins with an underscore has its place in the legend."""
    run = read_sweep(sweep_run)
    axes = (replace(run.axes[0], labels=("$5$", "_$^$")), *run.axes[1:])
    new = dict(zip(run.axes[0].labels, axes[0].labels, strict=True))
    trials = tuple(replace(one, labels={**one.labels, "text": new[str(one.labels["text"])]}) for one in run.trials)
    run = replace(run, axes=axes, trials=trials)
    answer = find_answer(run)
    for name, draw in drawable(run, answer, pictures_of(run)).items():
        save(draw, run, answer, tmp_path / f"{name}.png")
    legend = learning_curves.draw(run, answer).axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["$5$", "_$^$"]


def test_what_cannot_be_read_takes_nothing_else_away(sweep_run: Path, tmp_path: Path) -> None:
    """A damaged result and a wrong truth: the page is written without them and says so, and the command fails."""
    folder = tmp_path / "run"
    shutil.copytree(sweep_run, folder, ignore=shutil.ignore_patterns("report"))
    (folder / "evaluation" / "bone" / "t0" / "linear_probe.parquet").write_bytes(b"PAR1")
    truth = tmp_path / "effects.json"
    truth.write_text("{")
    with pytest.raises(UserError, match=r"index.html is written, without what cannot be read: .*effects.json .*damaged"):
        write_report(folder, truth)
    told = " ".join(" ".join(read(folder / "report" / "index.html").words).split())
    assert "Not everything could be read" in told
    assert "delete linear_probe.json beside it, and evaluate again" in told
    assert "Downstream" not in told
    assert "Equal budgets" in told
    assert (folder / "report" / "effects.csv").is_file()


def test_a_label_that_stood_for_two_things_is_told(sweep_run: Path) -> None:
    """A resolution that one trial of an arm had otherwise is no difference of the axis; what the axis sets is."""
    run = read_sweep(sweep_run)
    axis = "image.resolution"
    asked = [replace(one, params={**one.params, axis: str(one.labels[axis])}) for one in run.trials]
    other = [*asked[:3], replace(asked[3], params={**asked[3].params, axis: "65"}), *asked[4:]]
    right, wrong = (
        next(one for one in trust(replace(run, trials=tuple(trials)), find_answer(run)) if one.title == "Only the axes differ")
        for trials in (asked, other)
    )
    assert right.passed
    assert (wrong.passed, wrong.told) == (False, "also different between trials: image.resolution")


def test_where_budgets_differ_no_mean_curve_is_drawn(sweep_run: Path) -> None:
    """One trial of a label with a tenth of the budget: its mean line would end with the shortest and run backwards."""
    run = read_sweep(sweep_run)
    answer = find_answer(run)
    text = run.axes[0]
    first = next(one for one in answer.compared if one.labels["text"] == text.labels[0])
    short = replace(first, budget=Fraction(1, 10))
    compared = tuple(short if one is first else one for one in answer.compared)
    before, after = (
        [line for line in learning_curves.draw(run, told).axes[0].get_lines() if line.get_linewidth() == 3.0]
        for told in (answer, replace(answer, compared=compared))
    )
    assert (len(before), len(after)) == (2, 1)


def test_a_sweep_whose_axes_vary_nothing_has_its_curves(sweep_run: Path) -> None:
    """One arm at several seeds: one panel with every trial and its band, and no legend of labels that there are not."""
    run = read_sweep(sweep_run)
    same = tuple(replace(one, labels={}, seed=str(number)) for number, one in enumerate(run.trials))
    alone = replace(run, axes=(), trials=same)
    (panel,) = learning_curves.draw(alone, find_answer(run)).axes
    drawn = [line for line in panel.get_lines() if len(line.get_xydata()) > 2]
    assert len(drawn) == sum(len(one.curves[run.metric].pairs) > 2 for one in run.trials) == 13
    assert len(panel.collections) == 1
    assert panel.get_legend() is None


def test_labels_beyond_the_colours_look_otherwise(sweep_run: Path) -> None:
    """Fourteen labels, one a trial: no two lines of the learning curves share both colour and style."""
    run = read_sweep(sweep_run)
    labels = tuple(f"arm {number}" for number in range(len(run.trials)))
    axis = replace(run.axes[0], labels=labels)
    trials = tuple(replace(one, labels={axis.name: label}) for label, one in zip(labels, run.trials, strict=True))
    many = replace(run, axes=(axis,), trials=trials)
    legend = learning_curves.draw(many, find_answer(run)).axes[0].get_legend()
    assert legend is not None
    looks = {(line.get_color(), str(line._dash_pattern)) for line in legend.get_lines()}
    assert len(looks) == len(labels)


def test_levels_beyond_the_colours_have_other_marks() -> None:
    """Twenty levels of a label on a map: each has a mark and colour of its own."""
    panel = Figure().add_subplot()
    places = np.random.default_rng(0).normal(size=(20, 2))
    maps._draw_map(panel, places, np.arange(20.0), [f"level {number}" for number in range(20)])
    drawn = [points for points in panel.collections if len(points.get_offsets())]
    looks = {(tuple(points.get_facecolor()[0]), points.get_paths()[0].vertices.tobytes()) for points in drawn}
    assert len(looks) == 20


def test_axes_of_one_title_have_a_bar_each(sweep_run: Path) -> None:
    """Two axes that a question calls alike are two rows of the importance."""
    run = read_sweep(sweep_run)
    alike = replace(run, axes=tuple(replace(axis, title="size") for axis in run.axes))
    panel = importance.draw(alike, find_answer(run)).axes[0]
    assert {bar.get_y() for bar in panel.patches} == {row - 0.28 for row in range(len(run.axes) + 1)}
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["Size"] * len(run.axes) + ["Unexplained"]


def test_nothing_is_left_when_there_is_nothing_to_report(tmp_path: Path) -> None:
    """A folder that is no run stays as it was."""
    with pytest.raises(UserError, match="not a run folder"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_each_figure_is_drawn_from_the_command_line(sweep_run: Path, tmp_path: Path) -> None:
    """A figure alone, as SVG; a mistake ends with exit code 2 and one line."""
    out = tmp_path / "effects.svg"
    command = [sys.executable, "-m", "radsweep.analysis.figures.effects"]
    subprocess.run([*command, str(sweep_run), str(out)], check=True, capture_output=True)
    assert "<svg" in out.read_text()
    wrong = subprocess.run([*command, str(tmp_path), str(out)], check=False, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.strip().endswith("name what `radsweep sweep --out` made")
    assert len(wrong.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_every_figure_is_drawn_alone(name: str, sweep_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a module of its own, also from a store that has moved."""
    store = tmp_path / "moved.db"
    store.write_bytes((sweep_run / "mlflow.db").read_bytes())
    monkeypatch.setattr(sys, "argv", [name, str(sweep_run), str(tmp_path / "one.png"), f"sqlite:///{store}"])
    monkeypatch.delitem(sys.modules, f"radsweep.analysis.figures.{name}", raising=False)
    runpy.run_module(f"radsweep.analysis.figures.{name}", run_name="__main__")
    assert (tmp_path / "one.png").stat().st_size > 1000


SORT = """
<script>
const shown = () => [...document.querySelectorAll("#trials tbody tr")].map(row => row.cells[0].textContent).join(",");
const click = name => [...document.querySelectorAll("#trials button")].find(one => one.textContent === name).click();
const arms = [...document.querySelectorAll("table.tasks")][0];
arms.querySelectorAll("button")[2].click();
const column = [...arms.tBodies[0].rows].map(row => Number(row.cells[2].dataset.key));
console.assert(column.length > 2 && column.every((key, i) => !i || column[i - 1] <= key), "tasks are not sorted");
const told = [shown()];
click("Trial"); told.push(shown());
click("Trial"); told.push(shown());
click("AUROC at 3,000 pairs"); told.push(shown());
document.title = told.join(" ");
</script>
"""


def test_a_browser_opens_it_and_sorts_the_table(report: Path, tmp_path: Path, truth: Callable[[list], Path]) -> None:
    """In Chromium: nothing on the console, nothing blocked, and a click sorts by number with missing values last."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: the page was not opened in a browser")
    write_report(report.parent.parent, truth(TRUTH))
    page = tmp_path / "index.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", SORT + "</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-logging=stderr"]
    command = [chromium, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title
    first, up, down, by_score = (text.split(",") for text in title.group(1).split(" "))
    assert sorted(first, key=int) == up == down[::-1]
    assert up == [str(number) for number in range(1, 15)]
    rows = {row["trial"]: row for row in csv.DictReader((report.parent / "table.csv").read_text().splitlines())}
    scores = [rows[number]["val/auroc at 3000 pairs"] for number in by_score]
    assert scores[-1] == ""
    assert [float(score) for score in scores[:-1]] == sorted(float(score) for score in scores[:-1])
