"""The ablation report of a run folder: one page that opens from a file, its tables and its figures."""

import math
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..datasets.refusal import UserError
from . import words
from .answer import Answer, check_planted, find_answer
from .downstream import Evaluation, best_shown, make_tables, read_evaluations
from .figures import (
    costs,
    effects,
    findings,
    importance,
    interactions,
    learning_curves,
    maps,
    parallel,
    pareto,
    ranges,
    retrieved,
    saliency,
    stopping,
)
from .figures.style import Draw, save
from .runs import ABSENT, SweepRun, read_sweep
from .tables import (
    Table,
    differences_csv,
    effects_csv,
    make_effect_table,
    make_table,
    make_task_table,
    status_text,
    tasks_csv,
    to_csv,
    to_latex,
    to_markdown,
)


@dataclass(frozen=True)
class Check:
    """One line of the trust page: what was checked, what came out; ``passed`` is None where nothing can pass or fail."""

    title: str
    told: str
    passed: bool | None


def write_report(
    run: Path,
    truth: Path | None = None,
    tracking_uri: str | None = None,
    price: float | None = None,
    watts: float | None = None,
) -> Path:
    """Write ``run/report/`` and return its ``index.html``; the folder is replaced as a whole.

    Args:
        run: run folder of a sweep, ended or still running.
        truth: planted effects (``truth/effects.json`` of a phantom hospital) to be compared with what was found.
        tracking_uri: where the MLflow store is now, if not where the sweep left it.
        price: of one GPU (or, without any, one trial's CPUs) for one hour, in any currency; None tells no cost.
        watts: that one draws, its share of the machine included; None tells no energy.

    Raises:
        UserError: no run folder, store or comparable trial; the folder cannot be written. Also where the truth or a result
            cannot be read: the page is then written, without them, and says so.
    """
    sweep = read_sweep(run, tracking_uri)
    answer = find_answer(sweep)
    lacking: list[str] = []
    try:
        planted, others = check_planted(sweep, answer, truth) if truth else ((), ())
    except UserError as error:
        planted, others, truth = (), (), None
        lacking.append(str(error))
    try:
        evaluations = read_evaluations(sweep)
        tasks, pictures = make_tables(sweep, evaluations), pictures_of(sweep)
    except UserError as error:
        evaluations, tasks, pictures = [], [], {}
        lacking.append(str(error))
    partial, final, old = run / "report.partial", run / "report", run / "report.old"
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        (partial / "figures").mkdir(parents=True)
    except OSError as error:
        raise UserError(f"the report cannot be written to {final} ({error.strerror}): make {run} writable") from error
    figures = {}
    for name, draw in drawable(sweep, answer, pictures).items():
        save(draw, sweep, answer, partial / "figures" / f"{name}.png")
        save(draw, sweep, answer, partial / "figures" / f"{name}.svg")
        figures[name] = inline_svg((partial / "figures" / f"{name}.svg").read_text(encoding="utf-8"))
    table = make_table(sweep, answer)
    task_tables = [make_task_table(one) for one in tasks]
    page = render(
        run=sweep,
        answer=answer,
        figures=figures,
        table=table,
        tasks=list(zip(tasks, task_tables, strict=True)),
        checks=trust(sweep, answer),
        planted=planted,
        others=others,
        truth=truth is not None,
        cost=words.cost(sweep, price, watts),
        pictures=pictures,
        lacking=lacking,
        one_seed=all(seeds == 1 for one in tasks for seeds in one.arms.values()),
    )
    (partial / "index.html").write_text(page, encoding="utf-8")
    (partial / "table.csv").write_text(to_csv(sweep, answer), encoding="utf-8")
    (partial / "effects.csv").write_text(effects_csv(answer), encoding="utf-8")
    _write_tables(partial / "table", [(f"Trials of the question {sweep.question}, best first.", table)])
    of_effects = [
        (f"What each axis changes: {sweep.question}.", make_effect_table(sweep, answer.effects)),
        (f"What each axis changes, finding by finding: {sweep.question}.", make_effect_table(sweep, answer.cells)),
    ]
    _write_tables(partial / "effects", [(title, one) for title, one in of_effects if one.rows])
    if tasks:
        titles = [f"{words.figure_name(one.task)} on {one.corpus}. {one.about}" for one in tasks]
        (partial / "tasks.csv").write_text(tasks_csv(sweep, evaluations), encoding="utf-8")
        (partial / "differences.csv").write_text(differences_csv(tasks), encoding="utf-8")
        titled = zip(titles, task_tables, tasks, strict=True)
        _write_tables(partial / "tasks", [(title, shown) for title, shown, one in titled if one.columns])
    if final.exists():
        final.rename(old)
    partial.rename(final)
    shutil.rmtree(old, ignore_errors=True)
    if lacking:
        raise UserError(f"{final / 'index.html'} is written, without what cannot be read: {'; '.join(lacking)}")
    return final / "index.html"


def _write_tables(path: Path, titled: Sequence[tuple[str, Table]]) -> None:
    """Write tables with their titles as Markdown and as LaTeX."""
    markdown = "\n".join(f"{title}\n\n{to_markdown(one)}" for title, one in titled)
    path.with_suffix(".md").write_text(markdown, encoding="utf-8")
    path.with_suffix(".tex").write_text("\n".join(to_latex(one, title) for title, one in titled), encoding="utf-8")


def drawable(run: SweepRun, answer: Answer, pictures: Iterable[str]) -> dict[str, Draw]:
    """Return the figures that this sweep has something to show in, by file name; ``pictures`` are those of images, studies."""
    figures: dict[str, Draw] = {"learning_curves": learning_curves.draw, "stopping": stopping.draw}
    if run.axes:
        figures["parallel"] = parallel.draw
    if any(not effect.untold for effect in answer.effects):
        figures["effects"] = effects.draw
    if any(not cell.untold for cell in answer.cells):
        figures["findings"] = findings.draw
    if answer.shares is not None:
        figures["importance"] = importance.draw
    if len(run.axes) > 1:
        figures["interactions"] = interactions.draw
    if len(answer.tradeoff.trials) > 1:
        figures["pareto"] = pareto.draw
    if answer.costs:
        figures["costs"] = costs.draw
    if any(not axis.labels for axis in run.axes):
        figures["ranges"] = ranges.draw
    draws = {"retrieved": retrieved.draw, "saliency": saliency.draw, "maps": maps.draw}
    return figures | {name: draws[name] for name in pictures}


def pictures_of(run: SweepRun) -> dict[str, Evaluation]:
    """Return which evaluation each figure of images or studies is of, by file name."""
    shown = {"retrieved": ("retrieval", "queries"), "saliency": ("saliency", "views"), "maps": ("representation", "tsne")}
    told = {name: best_shown(run, task, array) for name, (task, array) in shown.items()}
    return {name: one for name, one in told.items() if one is not None}


def inline_svg(svg: str) -> Markup:
    """Return the ``<svg>`` element alone, as wide as its place on the page; its caption tells it to screen readers."""
    element = svg[svg.index("<svg") :]
    head, rest = element.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return Markup(f'{head} aria-hidden="true" focusable="false">{re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.S)}')


def trust(run: SweepRun, answer: Answer) -> list[Check]:
    """Return what a reader needs to know before believing the answer."""
    checks = []
    leakage = run.facts.get("leakage")
    if isinstance(leakage, dict):
        found = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in leakage["checks"].items())
        checks.append(Check("No patient in two splits", f"leakage gate: {found}", bool(leakage["passed"])))
    else:
        checks.append(Check("No patient in two splits", "the sweep logged no verdict of the leakage gate", None))
    removed = run.facts.get("deidentification")
    title = "Identities removed"
    if isinstance(removed, dict):
        kinds = ", ".join(f"{count:,} {kind.lower()}" for kind, count in removed["replaced_in_reports"].items())
        blanked = removed.get("boxes")
        pictures = (
            "pictures were not searched for text"
            if blanked is None
            else f"{blanked.get('identity', 0) + blanked.get('text', 0):,} texts blanked in pictures"
        )
        refused = f"{removed['refused_inputs']:,} inputs refused (audit.jsonl)"
        told = f"replaced in reports: {kinds or 'nothing'}; {pictures}; {refused}"
        checks.append(Check(title, told, None))
    else:
        checks.append(Check(title, "the sweep logged no audit of its de-identification", None))
    certificate = run.facts.get("certificate")
    title = "Gradients do not depend on chunks"
    if isinstance(certificate, dict):
        told = f"{words.plural(certificate['models'], 'model')} certified; worst relative error {certificate['worst']:.1e}"
        checks.append(Check(title, f"{told} in {certificate['precision']}", bool(certificate["passed"])))
    else:
        checks.append(Check(title, "the sweep logged no certificate", None))
    checks.append(_budget_check(run, answer))
    checks.append(_difference_check(run))
    failed = run.count("failed")
    told = f"{failed} of {words.plural(len(run.trials), 'trial')} failed"
    checks.append(Check("Every trial ran", told, failed == 0))
    seeds = sorted({trial.seed for trial in run.trials})
    if len(seeds) == 1:
        told = (
            f"one seed ({seeds[0]}): no variance between seeds was measured; the noise is the scatter the axes do not explain"
        )
    else:
        told = f"{len(seeds)} seeds: {', '.join(seeds)}"
    checks.append(Check("Seeds", told, None))
    for title, name in (("Data fingerprint", "data_fingerprint"), ("Code hash", "code_hash")):
        checks.append(Check(title, str(run.facts.get(name, "not logged")), None))
    return checks


def _budget_check(run: SweepRun, answer: Answer) -> Check:
    """All trials are compared after the same pairs, up to the one batch that passes the rung."""
    title = "Equal budgets"
    pairs = [
        int(curve.pairs[curve.pairs.searchsorted(math.ceil(answer.rung * trial.budget))])
        for trial in answer.compared
        for curve in [trial.curves[run.metric]]
    ]
    budgets = {trial.params.get("budget_pairs") for trial in run.trials}
    low, high = min(pairs), max(pairs)
    told = f"compared after {low:,} to {high:,} pairs" if low < high else f"compared after {low:,} pairs each"
    if run.own_budgets:
        return Check(title, f"the budget is an axis: {told}, {words.point(run, answer)}", None)
    if len(budgets) > 1:
        return Check(title, f"{told}; full budgets differ: {', '.join(sorted(map(str, budgets)))}", False)
    equal = high - answer.rung <= 0.1 * answer.rung
    return Check(title, f"{told}; all planned for the same full budget of {run.rungs[-1]:,} pairs", equal)


def _difference_check(run: SweepRun) -> Check:
    """Nothing but the axes and the seed, which has its own line, may differ; one label of an axis sets the same everywhere."""
    title = "Only the axes differ"
    names = sorted({name for trial in run.trials for name in trial.params} - {"seed"})
    stray = []
    for name in names:
        above = [axis for axis in run.named if f"{name}.".startswith(f"{axis.name}.")]
        axis = max(above, key=lambda one: len(one.name), default=None)
        told: dict[str | float, set[str | None]] = {}
        for trial in run.trials:
            told.setdefault(trial.labels[axis.name] if axis else "", set()).add(trial.params.get(name))
        if any(len(values) > 1 for label, values in told.items() if label != ABSENT):
            stray.append(name)
    if stray:
        return Check(title, f"also different between trials: {', '.join(stray)}", False)
    return Check(
        title, f"{len(names)} settings logged per trial; all but the axes and the seed are the same in every trial", True
    )


def data_words(run: SweepRun) -> str:
    """Return where the data came from and how much of it there was; empty if the sweep did not log it."""
    data: dict[str, Any] = run.facts.get("data", {})
    parts = [str(data["source"])] if "source" in data else []
    parts += [f"{data[name]:,} {name}" for name in ("patients", "studies", "images") if name in data]
    for split, counts in data.get("by_split", {}).items():
        if isinstance(counts, dict) and "studies" in counts:
            parts.append(f"{split} {counts['studies']:,} studies")
    return ", ".join(parts)


def render(**values: Any) -> str:
    """Return the page; everything but our own figures is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    run: SweepRun = values["run"]
    answer: Answer = values["answer"]
    return environment.get_template("report.html").render(
        values,
        words=words,
        data=data_words(run),
        statuses=Counter(sorted(status_text(run, trial) for trial in run.trials)),
        pairs=sum(trial.pairs_seen for trial in run.trials),
        compute_s=_sum(trial.time_s for trial in run.trials),
        left_out=len(run.trials) - len(answer.compared) - len(answer.replicates),
        comparisons=words.comparisons(answer.effects),
        cells=words.comparisons(answer.cells),
        best_score=answer.best.latest.get(run.metric, math.nan),
        at_full=answer.best.progress >= run.rungs[-1],
        findings_of={axis.name: [c for c in answer.cells if c.axis.name == axis.name and c.shown] for axis in run.axes},
        costs_of={axis.name: [c for c in answer.costs if c.axis.name == axis.name] for axis in run.axes},
        noise=sum(answer.noise_shares.values()),
    )


def _sum(values: Sequence[float] | Any) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) if known else math.nan
