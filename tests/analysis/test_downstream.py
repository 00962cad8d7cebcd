"""Downstream tables: what tasks left on the disk becomes arms, intervals and comparisons that a tie cannot win."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radsweep.analysis import comparisons, words
from radsweep.analysis.downstream import arm_names, best_shown, make_tables, read_evaluations
from radsweep.analysis.runs import Axis, Curve, SweepRun, Trial
from radsweep.analysis.statistics import detectable, holm
from radsweep.analysis.tables import Cell, Table, differences_csv, make_task_table, tasks_csv, to_latex, to_markdown
from radsweep.analysis.words import MISSING
from radsweep.datasets.labelled import Target
from radsweep.datasets.refusal import UserError
from radsweep.sweeps.evaluate import write_result
from radsweep.trainables.tasks import metrics
from radsweep.trainables.tasks.linear_probe import LinearProbe
from radsweep.trainables.tasks.retrieval import Retrieval
from radsweep.trainables.tasks.task import Prediction, Result

AXES = (Axis("text", "text encoder", ("fr", "en", "de")),)
PATIENTS = np.array([f"p{i // 2}" for i in range(120)])
RNG = np.random.default_rng(3)
FRACTURE = (RNG.random(120) < 0.4).astype(float)
AGE = RNG.normal(100, 30, 120)


def trial(number: int, label: str, seed: str, score: float = 0.5) -> Trial:
    curves = {"val/auroc": Curve(np.array([10]), np.array([score]))}
    return Trial(number, f"t{number}", {"text": label}, "finished", seed, {}, curves, {"val/auroc": score})


def sweep(folder: Path, labels: tuple[str, ...], seeds: int) -> SweepRun:
    places = [(label, str(seed)) for label in labels for seed in range(seeds)]
    trials = tuple(trial(n, label, seed, 0.5 + 0.01 * n) for n, (label, seed) in enumerate(places))
    return SweepRun(folder, "q", "h", "val/auroc", "max", (10,), AXES, trials, True, 1.0, {})


def leave(run: SweepRun, better: dict[str, float], only: tuple[str, ...] = ("fracture", "age")) -> None:
    """What a probe of a binary label and of a number leaves of every trial; ``better`` arms separate by that much more."""
    shared = np.random.default_rng(0).normal(size=120)
    for one in run.trials:
        noise = 0.6 * shared + np.random.default_rng(one.number + 1).normal(0, 0.5, 120)
        skill = better.get(str(one.labels["text"]), 0.0)
        told = {
            "fracture": Prediction("fracture", Target("binary"), PATIENTS, FRACTURE, (0.8 + skill) * FRACTURE + noise),
            "age": Prediction("age", Target("number", unit="months"), PATIENTS, AGE, AGE + 20 * noise / (1 + 4 * skill)),
        }
        found = Result({"fracture_auroc": 0.5}, tuple(told[name] for name in only), shown={"queries": np.zeros(one.number)})
        write_result(run.folder / "evaluation" / "bone" / one.name, LinearProbe(), {}, found)


def test_results_of_other_settings_are_left_out(tmp_path: Path) -> None:
    """One trial evaluated with other settings, other data or other code is in no mean, no comparison and no bold print."""
    for name, other in (("task", {"prompts": "en"}), ("data", "b2"), ("code", "c2")):
        run = sweep(tmp_path / name, ("fr", "en"), 1)
        usual = {"checkpoint": "a1", "task": {"prompts": "fr"}, "data": "b1", "code": "c1"}
        for one, made_with in zip(run.trials, (usual, usual | {"checkpoint": "a2", name: other}), strict=True):
            skill = 0.3 + 2 * (one.labels["text"] == "en")
            told = Prediction("fracture", Target("binary"), PATIENTS, FRACTURE, skill * FRACTURE + RNG.normal(0, 0.5, 120))
            place = run.folder / "evaluation" / "bone" / one.name
            write_result(place, LinearProbe(), made_with, Result({"fracture_auroc": 0.5}, (told,)))
        (table,) = make_tables(run, read_evaluations(run))
        assert table.arms == {"fr": 1}
        assert table.alone(table.columns[0]) is None
        assert table.notes == ("left out, evaluated with other settings, data or code: trial 1; evaluate again",)
        assert table.absent == ()


def test_means_over_seeds_are_those_of_each_seed(tmp_path: Path) -> None:
    """Two arms at three seeds: the mean AUROC and error of three models, told with both patients and seeds in the interval."""
    run = sweep(tmp_path, ("fr", "en"), 3)
    leave(run, {})
    (table,) = make_tables(run, read_evaluations(run))
    assert table.arms == {"fr": 3, "en": 3}
    assert [(column.name, column.judged and column.judged.title) for column in table.columns] == [
        ("fracture", "AUROC"),
        ("age", "mean absolute error"),
    ]
    for arm in ("fr", "en"):
        runs = [one.predictions for one in read_evaluations(run) if one.trial.labels["text"] == arm]
        for name, metric in (("fracture", metrics.auroc), ("age", metrics.mae)):
            values = [metric(own[name].scored.truth, own[name].scored.scores) for own in runs]
            estimate = table.estimates[arm, name]
            assert estimate.value == pytest.approx(np.mean(values))
            assert estimate.low < estimate.value < estimate.high
            assert (estimate.seeds, estimate.patients) == (3, 60)


def test_an_arm_alone_is_better_than_every_other(tmp_path: Path) -> None:
    """A planted arm is alone in both figures, more of one and less of the other; without it all is a tie."""
    run = sweep(tmp_path / "planted", ("fr", "en", "de"), 3)
    leave(run, {"en": 1.5})
    (table,) = make_tables(run, read_evaluations(run))
    assert [table.alone(column) for column in table.columns] == ["en", "en"]
    shown = make_task_table(table)
    assert [[cell.bold for cell in row] for row in shown.rows] == [[False] * 4, [False, False, True, True], [False] * 4]
    tied = sweep(tmp_path / "tied", ("fr", "en", "de"), 3)
    leave(tied, {})
    (table,) = make_tables(tied, read_evaluations(tied))
    assert [table.alone(column) for column in table.columns] == [None, None]
    assert "**" not in to_markdown(make_task_table(table))


def test_two_better_arms_are_a_tie(tmp_path: Path) -> None:
    """Both beat the third and neither the other: nothing is bold."""
    run = sweep(tmp_path, ("fr", "en", "de"), 3)
    leave(run, {"en": 1.5, "de": 1.5})
    (table,) = make_tables(run, read_evaluations(run))
    assert table.differences["fracture"]["fr", "en"].p < 0.05
    assert [table.alone(column) for column in table.columns] == [None, None]


def test_all_comparisons_of_a_corpus_are_one_family(tmp_path: Path) -> None:
    """Corrected p-values are Holm's over both figures and all pairs of arms at once."""
    run = sweep(tmp_path, ("fr", "en", "de"), 3)
    leave(run, {"en": 0.3})
    (table,) = make_tables(run, read_evaluations(run))
    told = [one for pairs in table.differences.values() for one in pairs.values()]
    assert len(told) == 6
    np.testing.assert_allclose([one.p for one in told], holm(np.array([one.uncorrected for one in told])))
    sizes = [max(detectable(np.array([error]), dof, 6, 0.05, 0.8)[0] for error, dof in one.terms) for one in told]
    np.testing.assert_allclose([one.detectable for one in told], sizes)


def test_arms_are_told_by_all_their_digits(tmp_path: Path) -> None:
    """Two temperatures that agree to three digits are two arms at one seed, and no arm at two."""
    axis = Axis("temperature", "temperature", low=0.01, high=1.0, log=True)
    values = (0.10001, 0.10002, 0.2, 0.3)
    trials = tuple(replace(trial(n, "fr", "0"), labels={"text": "fr", "temperature": v}) for n, v in enumerate(values))
    run = replace(sweep(tmp_path, (), 1), axes=(axis,), trials=trials)
    leave(run, {})
    (table,) = make_tables(run, read_evaluations(run))
    assert table.arms == {"0.10001": 1, "0.10002": 1, "0.2": 1, "0.3": 1}
    assert all(math.isnan(one.p) for one in table.differences["fracture"].values())


def test_labels_that_read_alike_in_a_row_are_quoted(tmp_path: Path) -> None:
    """Two arms whose labels, one behind the other, make the same words are still two arms."""
    axes = (Axis("text", "text", labels=("a · b", "a")), Axis("image", "image", labels=("c", "b · c")))
    arms = (("a · b", "c"), ("a", "b · c"))
    trials = tuple(replace(trial(n, "", "0"), labels={"text": text, "image": image}) for n, (text, image) in enumerate(arms))
    names = arm_names(replace(sweep(tmp_path, (), 1), axes=axes, trials=trials))
    assert list(names.values()) == ["'a · b' · 'c'", "'a' · 'b · c'"]


def test_other_test_cases_are_left_out_and_said(tmp_path: Path) -> None:
    """One trial was scored on a table that had grown since: the others are compared, and it is named."""
    run = sweep(tmp_path, ("fr", "en"), 2)
    leave(run, {})
    told = Prediction("fracture", Target("binary"), PATIENTS[:100], FRACTURE[:100], FRACTURE[:100])
    write_result(run.folder / "evaluation" / "bone" / "t3", LinearProbe(), {}, Result({"fracture_auroc": 1.0}, (told,)))
    (table,) = make_tables(run, read_evaluations(run))
    assert table.estimates["en", "fracture"].seeds == 1
    assert table.differences["fracture"] == {}
    assert table.notes == (
        "fracture: left out, scored on other test cases: trial 3; evaluate again",
        "fracture, age: not compared, for they ran at fewer or other seeds than 0, 1: en",
        "fracture, age: mean of 1 of 2 seeds (en)",
    )
    assert table.absent == ()
    (run.folder / "evaluation" / "bone" / "t0" / "linear_probe.json").write_text("{")
    with pytest.raises(UserError, match="delete it, and evaluate again"):
        read_evaluations(run)


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_result_says_how_to_mend_it(tmp_path: Path, suffix: str, share: float) -> None:
    """Empty, half, or short of its end: the file is named, and what to do."""
    run = sweep(tmp_path, ("fr", "en"), 1)
    leave(run, {})
    path = run.folder / "evaluation" / "bone" / "t1" / f"linear_probe.{suffix}"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    _, damaged = read_evaluations(run)
    with pytest.raises(UserError, match=rf"linear_probe.{suffix} is damaged .*delete linear_probe.json beside it, and eval"):
        assert damaged.predictions if suffix == "parquet" else damaged.shown


def test_numbers_are_told_with_their_unit(tmp_path: Path) -> None:
    """Months stand under the figure; an area has none."""
    run = sweep(tmp_path, ("fr", "en"), 1)
    leave(run, {})
    (table,) = make_tables(run, read_evaluations(run))
    assert make_task_table(table).below == ("", "", "AUROC", "mean absolute error, months")


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    """However far apart: two models are no two arms, which is told once; what else an interval lacks is noted of them too.

    Arms with fewer seeds than others are shown and not compared.
    """
    run = sweep(tmp_path / "one", ("fr", "en"), 1)
    leave(run, {"en": 3.0})
    (table,) = make_tables(run, read_evaluations(run))
    assert all(math.isnan(one.p) for one in table.differences["fracture"].values())
    assert "one seed" in table.differences["fracture"]["fr", "en"].note
    assert table.notes == (f"fracture: {comparisons.UNMOVED} (en)",)
    assert [table.alone(column) for column in table.columns] == [None, None]
    run = sweep(tmp_path / "more", ("fr", "en", "de"), 2)
    leave(run, {"en": 3.0})
    fewer = replace(run, trials=tuple(one for one in run.trials if (one.labels["text"], one.seed) != ("de", "1")))
    (table,) = make_tables(fewer, read_evaluations(fewer))
    assert table.arms == {"fr": 2, "en": 2, "de": 1}
    assert set(table.differences["fracture"]) == {("fr", "en")}
    assert table.alone(table.columns[0]) is None


def test_answers_that_say_how_right_they_are_are_averaged(tmp_path: Path) -> None:
    """Recall by case has a mean with an interval; metrics that are of no single case stand beside it without one."""
    run = sweep(tmp_path, ("fr", "en"), 2)
    hits = np.random.default_rng(5).random((4, 120))
    for own, one in zip(hits, run.trials, strict=True):
        told = Prediction("recall_at_5", None, PATIENTS, np.ones(120), own)
        found = Result({"recall_at_5": float(own.mean()), "median_rank": 3.0}, (told,))
        write_result(run.folder / "evaluation" / "bone" / one.name, Retrieval(), {}, found)
    (table,) = make_tables(run, read_evaluations(run))
    assert [column.name for column in table.columns] == ["recall_at_5", "median_rank"]
    recall, rank = table.estimates["fr", "recall_at_5"], table.estimates["fr", "median_rank"]
    assert recall.value == pytest.approx(hits[:2].mean())
    assert recall.low < recall.value < recall.high
    assert (rank.value, math.isnan(rank.low)) == (3, True)
    assert set(table.differences) == {"recall_at_5"}


def test_survivors_are_flagged_and_repeated_cases_are_told(tmp_path: Path) -> None:
    """An arm of which one seed was stopped says so; two images of a patient that score nearly alike count for little more."""
    run = sweep(tmp_path, ("fr", "en"), 2)
    stopped = replace(run, trials=(*run.trials[:3], replace(run.trials[3], status="stopped")))
    leave(replace(run, trials=run.trials[:3]), {})
    (table,) = make_tables(stopped, read_evaluations(stopped))
    assert table.unfinished == {"en": "1 of 2 trials finished (1 stopped)"}
    assert table.clustering is not None
    assert (table.clustering.cases, table.clustering.patients) == (120, 60)
    scores = next(iter(read_evaluations(run)[0].predictions.values())).scored.scores
    told = words.clustering(comparisons.intraclass(np.repeat(scores, 2), np.repeat(np.arange(120), 2)))
    assert told.replace("\N{NO-BREAK SPACE}", " ") == " with 240 cases, worth 120 independent ones (ICC 1.00)"
    assert words.clustering(comparisons.intraclass(scores, np.arange(120))) == ""


def test_patients_and_cases_are_of_one_figure(tmp_path: Path) -> None:
    """The figure of the most patients tells both; where its scores are no single numbers, cases are not told."""
    run = sweep(tmp_path, ("fr",), 1)
    few = Prediction("few", Target("binary"), PATIENTS[:40], FRACTURE[:40], FRACTURE[:40])
    many = Prediction("many", Target("binary"), PATIENTS, FRACTURE, FRACTURE + AGE / 1000)
    for told, expected in (((few, many), (60, 120)), ((few,), (20, 40))):
        write_result(run.folder / "evaluation" / "bone" / "t0", LinearProbe(), {}, Result({"auroc": 1.0}, told))
        (table,) = make_tables(run, read_evaluations(run))
        assert table.clustering is not None
        assert (table.patients, table.clustering.cases) == expected
    levels = Prediction("levels", Target("grade", ("0", "1")), PATIENTS, FRACTURE, np.stack([1 - FRACTURE, FRACTURE], axis=1))
    write_result(run.folder / "evaluation" / "bone" / "t0", LinearProbe(), {}, Result({"auroc": 1.0}, (few, levels)))
    assert make_tables(run, read_evaluations(run))[0].clustering is None


def test_signs_of_other_languages_are_letters_in_tables() -> None:
    """What Markdown and LaTeX would take for orders is escaped; a line break in a label breaks no row."""
    table = Table(("Arm", "p"), ((Cell("[CLS] <b>|*x*\n$5", "a"), Cell("< 0.001", 0.0)),))
    assert "| \\<b\\> " not in to_markdown(table)
    assert to_markdown(table).splitlines()[2] == r"| [CLS] \<b\>\|\*x\* $5 | \< 0.001 |"
    assert r"{[}CLS{]} $<$b$>$\textbar{}*x*" in to_latex(table, "signs")
    assert r"& $<$ 0.001 \\" in to_latex(table, "signs")


def test_what_is_missing_is_missing(tmp_path: Path) -> None:
    """An arm without a figure has a dash there and no line in the CSV; a task that had nothing to work on says why."""
    run = sweep(tmp_path, ("fr", "en"), 2)
    leave(run, {})
    for one in run.trials[2:]:
        told = next(one.predictions["age"] for one in read_evaluations(run)).scored
        age = Prediction("age", Target("number"), told.patients, told.truth, told.scores)
        write_result(run.folder / "evaluation" / "bone" / one.name, LinearProbe(), {}, Result({"age_mae": 9.0}, (age,)))
        refused = Result({}, absent=("no test study has a class",))
        write_result(run.folder / "evaluation" / "bone" / one.name, Retrieval(), {}, refused)
    write_result(run.folder / "evaluation" / "bone" / "stranger", LinearProbe(), {}, Result({"age_mae": 1.0}))
    evaluations = read_evaluations(run)
    probe, retrieval = make_tables(run, evaluations)
    assert ("en", "fracture") not in probe.estimates
    shown = make_task_table(probe)
    assert [cell.text for cell in shown.rows[1]][:3] == ["en", "2", MISSING]
    assert shown.rows[1][2].key is None
    assert MISSING in to_markdown(shown)
    assert "--" in to_latex(shown, "bone")
    assert "quadratic" not in to_latex(shown, "bone")
    assert (retrieval.columns, retrieval.absent) == ((), ("no test study has a class",))
    lines = tasks_csv(run, evaluations).splitlines()
    assert lines[0] == "corpus,task,trial,seed,text,metric,value"
    assert sum("fracture_auroc" in line for line in lines) == 2
    assert not any(",1.0" in line for line in lines)
    told = differences_csv(make_tables(run, evaluations)).splitlines()
    assert [line.split(",")[:6] for line in told[1:]] == [["bone", "linear_probe", "age", "mean absolute error", "en", "fr"]]


def test_the_best_trial_with_something_to_show_is_shown(tmp_path: Path) -> None:
    """Trials come best first; one that has no such array is passed over."""
    run = sweep(tmp_path, ("fr", "en"), 2)
    leave(run, {})
    best = best_shown(run, "linear_probe", "queries")
    assert best is not None
    assert best.trial.name == "t3"
    assert best.shown["queries"].shape == (3,)
    (run.folder / "evaluation" / "bone" / "t3" / "linear_probe.npz").unlink()
    best = best_shown(run, "linear_probe", "queries")
    assert best is not None
    assert best.trial.name == "t2"
    assert best_shown(run, "saliency", "views") is None


@pytest.mark.parametrize(
    ("weighted", "plain"),
    [
        (comparisons.quadratic_kappa, metrics.quadratic_kappa),
        (comparisons.balanced_accuracy, metrics.balanced_accuracy),
        (comparisons.auroc, metrics.auroc),
        (comparisons.mae, metrics.mae),
    ],
)
def test_a_weight_is_a_repetition(weighted: comparisons.Weighted, plain: metrics.Metric) -> None:
    """A case that weighs three counts as three such cases do in the metric that tasks report; truth that is unknown, never."""
    rng = np.random.default_rng(0)
    levels = 2 if plain is metrics.auroc else 4
    truth = rng.integers(levels, size=60).astype(float)
    truth[:5] = np.nan
    several = plain in (metrics.quadratic_kappa, metrics.balanced_accuracy)
    scores = rng.normal(size=(60, 4)) if several else rng.normal(size=60).round(1)
    weights = rng.integers(0, 4, (7, 60))
    expected = [plain(np.repeat(truth, row), np.repeat(scores, row, axis=0)) for row in weights]
    np.testing.assert_allclose(weighted.weighted(truth, scores, weights), expected)
    assert weighted(truth, scores) == pytest.approx(plain(truth, scores))


def test_a_wide_table_is_turned_for_latex_and_a_narrow_one_is_not() -> None:
    """Arms beside one another, intervals below their values; a table with as many rows as columns stays as it is."""
    value = Cell("0.9", 0.9, bold=True, beside="0.8 to 1.0")
    wide = Table(("Arm", *(f"m{i}" for i in range(9))), ((Cell("fr · 64", "fr"), *[value] * 9),), ("", *["AUROC"] * 9))
    lines = to_latex(wide, "wide").splitlines()
    start = lines.index("\\toprule")
    assert lines[start + 1] == "Arm &  & \\begin{tabular}[t]{@{}l@{}}fr\\\\64\\end{tabular} \\\\"
    assert lines[start + 2] == "\\midrule"
    interval = "\\begin{tabular}[t]{@{}l@{}}\\textbf{0.9}\\\\{\\scriptsize 0.8 to 1.0}\\end{tabular}"
    assert lines[start + 3] == f"m0 & AUROC & {interval} \\\\"
    narrow = Table(("Arm", "m"), ((Cell("fr · 64", "fr"), Cell("0.9", 0.9)),))
    assert "fr · 64 & 0.9 \\\\" in to_latex(narrow, "narrow")
