"""The ``radsweep`` command. Each verb checks, works with its progress in sight, and says where its result is."""

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..datasets.records import make_folder
from ..datasets.refusal import UserError

if TYPE_CHECKING:
    from .launch import Outcome
    from .sweep import Sweep

app = typer.Typer(
    help="From a hospital export of X-rays and reports to ablation tables that can be trusted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

KeyFile = Annotated[
    Path,
    typer.Option("--key-file", help="Secret key of all pseudonyms; made with mode 0600 if it does not exist. Keep it."),
]
Address = Annotated[str | None, typer.Option("--address", help="A running Ray cluster; by default Ray starts on this machine.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the question; may be repeated. An axis is fixed."),
]
TrackingUri = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow store; default sqlite:///OUT/mlflow.db.")]
Store = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow store of the sweep; default the one in its RUN.")]


@app.command(epilog="radsweep demo --out demo")
def demo(
    out: Annotated[Path, typer.Option(help="Everything goes here; an interrupted demo goes on where it was.")] = Path("demo"),
    patients: Annotated[int, typer.Option(help="Patients of the phantom hospital.")] = 600,
    seed: Annotated[int, typer.Option(help="Of the phantom hospital.", min=0)] = 0,
    settings: Settings = None,
) -> None:
    """Run everything once on a synthetic hospital: export, pairs, sweep, report. Eight to twenty minutes on 2 cores."""
    from ..analysis.report import write_report
    from ..datasets.build import Preparation
    from ..datasets.gather import from_export
    from ..datasets.phantom.hospital import write_hospital
    from ..datasets.prepare import prepare
    from ..datasets.pseudonyms import Key
    from ..datasets.records import read_object, write_whole
    from ..datasets.splits import Splits
    from .code import stage
    from .display import say_answer
    from .steps import Steps, console

    make_folder(out)
    hospital, pairs, run = out / "hospital", out / "pairs", out / "run"
    sweep = _question("demo", settings)
    asked, record = {"patients": patients, "seed": seed}, out / "demo.json"
    if hospital.exists():
        told = read_object(record, "choose another --out", asked)
        if told != asked:
            made = " ".join(f"--{name} {value}" for name, value in told.items())
            raise UserError(f"{out} holds a hospital of {made}: go on with these, or choose another --out")
    else:
        write_whole(record, json.dumps(asked) + "\n")
        console.print("[bold]1/4  A phantom hospital[/]: DICOM files, French reports, planted truth")
        with Steps() as progress:
            write_hospital(hospital, patients, seed, progress)
    with _ray(None, stage(out / "code")):
        if not pairs.exists():
            console.print("[bold]2/4  Pairs[/]: de-identify, pair, split, tokenize")
            # Many patients validate: an ablation needs the precision more than the demo needs the training data.
            preparation = Preparation(max_side=160, splits=Splits(val=0.24, test=0.12))
            with Steps() as progress:
                inputs, audit = from_export(
                    hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", progress
                )
                key = Key.load(out / "key")
                manifest = prepare(inputs, audit, pairs, key, preparation, "phantom hospital", progress)
            _say_prepared(manifest, pairs)
        console.print(f"[bold]3/4  The question[/]: {sweep.hypothesis}")
        outcome = _sweep(sweep, pairs, run, resume=(run / "sweep.json").exists())
    console.print("[bold]4/4  The report[/]")
    report = write_report(run, truth=hospital / "truth" / "effects.json")
    say_answer(sweep, outcome, run, report)


@app.command(epilog="radsweep phantom hospital --patients 400 --seed 0")
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    patients: Annotated[int, typer.Option(help="How many patients.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 0,
) -> None:
    """Write a synthetic hospital export: DICOM files, French PDF reports, and the truth about both."""
    from ..datasets.phantom.hospital import write_hospital
    from .steps import Steps, console

    make_folder(out.absolute().parent)
    with Steps() as progress:
        counts = write_hospital(out.absolute(), patients, seed, progress)
    console.print(f"{out}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))


@app.command(name="prepare", epilog="radsweep prepare --dicom export/dicom --reports export/reports --out pairs --key-file key")
def prepare_command(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Pairs folder to make.")],
    dicom: Annotated[Path | None, typer.Option(help="Folder of DICOM files, at any depth.")] = None,
    reports: Annotated[Path | None, typer.Option(help="Folder of PDF reports, at any depth.")] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV: accession_number and one 0/1 column per label.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV with one row per image, instead of an export.")] = None,
    image_column: Annotated[str, typer.Option(help="Image path, relative to the CSV.")] = "image",
    text_column: Annotated[str, typer.Option(help="Report or caption.")] = "text",
    patient_column: Annotated[str, typer.Option(help="Patient.")] = "patient_id",
    study_column: Annotated[
        str | None, typer.Option(help="With the patient, names a study; default: one image, one study.")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Each of its values becomes a label.")] = None,
    tokenizer: Annotated[
        list[str] | None, typer.Option(help="tiny-fr, tiny-en, a local folder or a Hugging Face id; may be repeated.")
    ] = None,
    max_side: Annotated[int, typer.Option(help="Longest side of the stored images, px.", min=16)] = 512,
    val: Annotated[float, typer.Option(help="Share of the patients that validate.", min=0.0, max=0.9)] = 0.2,
    test: Annotated[float, typer.Option(help="Share of the patients kept for the final test.", min=0.0, max=0.9)] = 0.1,
    burned_in: Annotated[
        bool, typer.Option("--redact-burned-in/--keep-burned-in", help="Find and blank text in the pictures; markers stay.")
    ] = True,
    key_file: KeyFile = Path("radsweep.key"),
    address: Address = None,
) -> None:
    """Turn a hospital export, or a table of images and texts, into de-identified, split, tokenized pairs."""
    from ..datasets.build import Preparation
    from ..datasets.config import override
    from ..datasets.gather import from_export, from_manifest
    from ..datasets.prepare import check_output, prepare
    from ..datasets.pseudonyms import Key
    from ..datasets.tokens import load_tokenizer
    from .code import stage
    from .steps import Steps

    if manifest is None and (dicom is None or reports is None):
        raise UserError("name an export with --dicom and --reports, or a table with --manifest")
    columns = ("image_column", "text_column", "patient_column", "study_column", "label_column")
    unused = columns if manifest is None else ("dicom", "reports", "labels")
    sources = {f"--{name.replace('_', '-')}": context.get_parameter_source(name) for name in unused}
    if given := [option for option, source in sources.items() if source is not None and source.name == "COMMANDLINE"]:
        of = "a table, and --dicom names an export" if manifest is None else "an export, and --manifest names a table"
        raise UserError(f"{', '.join(given)}: of {of}; leave out what does not belong")
    check_output(out)
    tokenizers = tuple(tokenizer or ("tiny-fr", "tiny-en"))
    preparation = Preparation(max_side=max_side, tokenizers=tokenizers, burned_in=burned_in)
    preparation = override(preparation, "splits", {"val": val, "test": test})
    for name in preparation.tokenizers:
        load_tokenizer(name)
    make_folder(out.absolute().parent)
    key = Key.load(key_file)
    with tempfile.TemporaryDirectory() as code, _ray(address, stage(Path(code))), Steps() as progress:
        if manifest is not None:
            inputs, audit = from_manifest(
                manifest, image_column, text_column, patient_column, study_column, label_column, progress
            )
            source = manifest.name
        else:
            assert dicom is not None
            assert reports is not None
            inputs, audit = from_export(dicom, reports, labels, progress)
            source = "hospital export"
        made = prepare(inputs, audit, out, key, preparation, source, progress)
    _say_prepared(made, out)


@app.command(name="deidentify", epilog="radsweep deidentify export/dicom clean --key-file key")
def deidentify_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Folder of DICOM files, at any depth.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    key_file: KeyFile = Path("radsweep.key"),
    clean_pixel_data: Annotated[bool, typer.Option(help="Blank text that is burned into the picture.")] = True,
    clean_descriptors: Annotated[bool, typer.Option(help="Clean descriptions and comments; else remove them.")] = True,
    modified_dates: Annotated[bool, typer.Option(help="Move dates by the patient's days; else remove them.")] = True,
    patient_characteristics: Annotated[bool, typer.Option(help="Keep sex, age, size and weight.")] = True,
    device_identity: Annotated[bool, typer.Option(help="Keep serial numbers and station names.")] = False,
) -> None:
    """Write the radiographs of a folder without identities: headers by DICOM PS3.15, and the writing in the pictures."""
    from ..datasets.dicom.burned_in import clean_pixels
    from ..datasets.dicom.deidentify import Options, check_folders, deidentify_folder
    from ..datasets.pseudonyms import Key
    from .steps import Steps, console

    options = Options(
        clean_pixel_data=clean_pixel_data,
        clean_descriptors=clean_descriptors,
        modified_dates=modified_dates,
        patient_characteristics=patient_characteristics,
        device_identity=device_identity,
    )
    check_folders(source, out)
    with Steps() as progress:
        told = deidentify_folder(source, out.absolute(), Key.load(key_file), options, progress, clean_pixels)
    console.print(f"{out}: {told['kept']:,} radiographs", soft_wrap=True)
    for reason, count in told["refused"].items():
        console.print(f"  refused {count:,}: {reason}", style="dim", soft_wrap=True)
    if not clean_pixel_data:
        console.print("  nobody looked for text in the pictures: --clean-pixel-data does", soft_wrap=True)


@app.command(epilog="radsweep pseudonymize reports.jsonl clean.jsonl --known-identities header --key-file key")
def pseudonymize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="One JSON object a line, UTF-8.")],
    out: Annotated[Path, typer.Argument(help="File to make: id, text and spans of every line.")],
    text_field: Annotated[str, typer.Option(help="Field that holds the report.")] = "text",
    known_identities: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="Field with names, identifiers, birth_date, people, places; or a list of them."),
    ] = None,
    key_file: KeyFile = Path("radsweep.key"),
) -> None:
    """Replace names, dates, numbers, addresses and institutions in French reports by surrogates."""
    from ..datasets.pseudonyms import Key
    from ..datasets.reports.jsonl import pseudonymize_file
    from .steps import Steps, console

    if not source.is_file():
        raise UserError(f"there is no file {source}")
    if out.is_dir():
        raise UserError(f"{out} is a folder: name the file to make")
    with Steps() as progress:
        counts = pseudonymize_file(source, out, Key.load(key_file), text_field, known_identities, progress)
    console.print(f"{out}: {counts.pop('lines', 0):,} reports", soft_wrap=True)
    for label, count in sorted(counts.items()):
        console.print(f"  {label.lower().replace('_', ' '):12} {count:,}", style="dim")


@app.command(epilog="radsweep tokenize pairs --tokenizer almanach/camembert-bio-base")
def tokenize(
    pairs: Annotated[Path, typer.Argument(help="Pairs folder.")],
    tokenizer: Annotated[str, typer.Option(help="tiny-fr, tiny-en, a local folder or a Hugging Face id.")],
) -> None:
    """Add one tokenizer's columns to a pairs folder; images are not rewritten."""
    from ..datasets.prepare import add_tokens
    from .steps import Steps, console

    with Steps() as progress:
        add_tokens(pairs, tokenizer, progress)
    console.print(f"{pairs} now has the tokens of {tokenizer}")


@app.command(epilog="radsweep sweep demo --data pairs --out run --set trials=8")
def sweep(
    question: Annotated[str, typer.Argument(help="A shipped question (demo) or a Python file that defines `sweep`.")],
    data: Annotated[str, typer.Option(help="Pairs folder: a path or URL that every node can read.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what OUT holds.")] = False,
    extend: Annotated[int, typer.Option(help="Go on with what OUT holds, with so many trials more.", min=0)] = 0,
    rerun_failed: Annotated[
        bool, typer.Option("--rerun-failed", help="Go on with what OUT holds, and try failed trials again.")
    ] = False,
    checkpoints: Annotated[str | None, typer.Option(help="Where checkpoints go: a path or fsspec URL; OUT/trials.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per event on stdout, for machines.")] = False,
    settings: Settings = None,
    tracking_uri: TrackingUri = None,
    address: Address = None,
) -> None:
    """Run a question: every trial a Ray Train run, chosen by Optuna, stopped at rungs, logged to MLflow."""
    from ..analysis.store import connect, from_root, store_of
    from .code import stage
    from .display import say_answer
    from .launch import check_gpus, check_place, check_resume, check_sweep, only_begun
    from .steps import console
    from .tracking import quiet

    console.stderr = as_json
    quiet()

    chosen = _question(question, settings)
    place = None if checkpoints is None else check_place(checkpoints)
    if chosen.tasks and (far := [where for where in (data, place or "") if "://" in where]):
        raise UserError(
            f"{far[0]} is a URL, and the question's tasks read what is on the machine's disks: name folders, or run it without "
            "tasks (--set tasks=)"
        )
    check_gpus(chosen.resources, address)
    manifest = check_sweep(chosen, data, address)
    resume = (resume and not only_begun(out)) or extend > 0 or rerun_failed
    store = tracking_uri = None if tracking_uri is None else from_root(tracking_uri)
    if resume:
        _, run = check_resume(chosen, manifest, out, place, extend, tracking_uri)
        store = store_of(out, run)
        if extend == 0 and run["sweep"]["trials"] != chosen.trials:
            trials = f"goes on with its {run['sweep']['trials']} trials, not with {chosen.trials}: --extend N adds more"
            console.print(f"{out} {trials}", soft_wrap=True)
    elif out.is_file() or (out.is_dir() and any(out.iterdir()) and not only_begun(out)):
        what = "a sweep: go on with it by --resume, or" if (out / "sweep.json").is_file() else "something else:"
        raise UserError(f"{out} already holds {what} choose another --out")
    if place is not None and "://" not in place:
        make_folder(Path(place))
    make_folder(out)
    if store is not None:
        connect(store, new=not resume)
    console.print(f"[bold]{chosen.name}[/]: {chosen.hypothesis}")
    _warn_of_bf16(chosen, address)
    with _ray(address, stage(out / "code")):
        outcome = _sweep(
            chosen,
            data,
            out,
            as_json=as_json,
            tracking_uri=tracking_uri,
            resume=resume,
            checkpoints=place,
            extend=extend,
            rerun_failed=rerun_failed,
        )
    say_answer(chosen, outcome, out, None, as_json)


@app.command(epilog="radsweep quote demo --data pairs --price-per-hour 2.50 --watts 700")
def quote(
    question: Annotated[str, typer.Argument(help="A shipped question (demo) or a Python file that defines `sweep`.")],
    data: Annotated[str, typer.Option(help="Pairs folder: a path or URL that every node can read.")],
    price: Annotated[float | None, typer.Option("--price-per-hour", help="Of one GPU (or CPU) for one hour.", min=0)] = None,
    watts: Annotated[
        float | None, typer.Option(help="That one GPU (or CPU) draws, its share of the machine included.", min=0)
    ] = None,
    scratch: Annotated[Path | None, typer.Option(help="On several machines: a folder that all of them share.")] = None,
    settings: Settings = None,
    address: Address = None,
) -> None:
    """Say what a question will cost on this cluster, after a short calibration of its arms."""
    from .code import stage
    from .launch import check_gpus, check_sweep
    from .quote import quote_sweep
    from .steps import console

    chosen = _question(question, settings)
    check_gpus(chosen.resources, address)
    check_sweep(chosen, data, address)
    if scratch is not None:
        make_folder(scratch)
    _warn_of_bf16(chosen, address)
    with tempfile.TemporaryDirectory() as code, _ray(address, stage(Path(code))), console.status("calibrating"):
        told = quote_sweep(chosen, data, scratch and scratch.absolute())
    rows = [(f"{told.device}-hours", told.device_hours), ("wall hours", told.wall_hours), ("whole budgets", told.finished)]
    rows += [] if price is None else [("price", told.money(price))]
    rows += [] if watts is None else [("kWh", told.kwh(watts))]
    for name, figure in rows:
        console.print(f"  {name:14} {figure.middle:10,.2f}   ({figure.low:,.2f} to {figure.high:,.2f})")


@app.command(epilog="radsweep simulate --trials 27 --workers 4")
def simulate(
    curves: Annotated[Path | None, typer.Argument(help="Recorded curves; by default those of the phantom hospital.")] = None,
    trials: Annotated[int, typer.Option(help="Arms of the sweep.", min=2)] = 27,
    workers: Annotated[int, typer.Option(help="Trials that run at a time.", min=1)] = 1,
    regret: Annotated[float, typer.Option(help="How far from the best arm is good enough.", min=0)] = 0.01,
    record_run: Annotated[
        Path | None, typer.Option("--record", help="First write the curves of this run folder to CURVES.")
    ] = None,
) -> None:
    """Say what early stopping would have saved: recorded learning curves, replayed through the sweep's own rule."""
    from fractions import Fraction

    from rich import box
    from rich.table import Table

    from ..analysis.runs import read_sweep
    from .simulate import SCHEDULES, SHIPPED, compare, read_curves, record, write_curves
    from .steps import console

    if record_run is not None:
        write_curves(record(read_sweep(record_run)), curves or Path("curves.json"))
        curves = curves or Path("curves.json")
    told = [compare(read_curves(curves or SHIPPED), schedule, trials, workers, regret) for schedule in SCHEDULES]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("one in, at", no_wrap=True)
    for title in ("saves in all", "until found", "missed", "regret"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in sorted(told, key=lambda one: -one.saving.middle):
        rungs = " ".join(str(Fraction(share).limit_denominator(100)) for share in one.schedule.rungs[:-1])
        table.add_row(
            f"{type(one.schedule).__name__} {one.schedule.reduction:g}: {rungs}",
            *(f"{x.middle:.2f} ({x.low:.2f}–{x.high:.2f})" for x in (one.saving, one.sooner)),
            f"{one.missed:.0%}",
            f"{one.regret:.4f}",
        )
    console.print(table)


@app.command(epilog="radsweep verify-grad demo --workers 1,2 --set objective.temperature=0.05")
def verify_grad(
    question: Annotated[str, typer.Argument(help="A shipped question (demo) or a Python file that defines `sweep`.")],
    workers: Annotated[str, typer.Option(help="Numbers of workers to compare with one big batch.")] = "1,2",
    chunks: Annotated[str, typer.Option(help="Chunk sizes to compare.")] = "1,2,4,7",
    draws: Annotated[int, typer.Option(help="Draws of the batch that is compared.", min=2)] = 16,
    settings: Settings = None,
) -> None:
    """Compare the gradient of chunks and workers with that of one plain batch, for every parameter of the question's model.

    Neither Ray nor data are needed: the draws are made up. Exit code 1 if a gradient differs.
    """
    from ..datasets.tokens import load_tokenizer
    from ..trainables.certificate import Case, certify
    from .display import say_certificate
    from .steps import Steps

    config = _question(question, settings).base
    counts, sizes = _numbers("--workers", workers), _numbers("--chunks", chunks)
    for count in counts:
        if draws % count:
            raise UserError(f"--draws {draws} cannot be shared by {count} workers: choose a multiple")
    config.check(gpu=True)
    precisions = ("fp32",) if config.precision == "fp32" else ("fp32", "bf16")
    cases = [
        Case(count, size, precision, dropout)
        for count in sorted(counts)
        for size in sizes
        for precision in precisions
        for dropout in (True, False)
    ]
    vocabulary = load_tokenizer(config.text.tokenizer).vocabulary
    with Steps() as progress:
        told = []
        for comparisons in certify(config, vocabulary, cases, draws):
            told += comparisons
            progress("comparing gradients", len({one.case for one in told}), len(cases))
    if not say_certificate(told):
        raise typer.Exit(1)


@app.command(epilog="radsweep evaluate run --data fracatlas:/data/FracAtlas --tasks linear_probe,few_shot,zero_shot")
def evaluate(
    what: Annotated[Path, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="Run folder of a sweep, or one checkpoint folder.")],
    data: Annotated[
        str, typer.Option("--data", "--manifest", help="Pairs folder, CORPUS:FOLDER (docs/corpora.md), or a CSV file.")
    ],
    tasks: Annotated[
        str, typer.Option(help="Tasks, separated by commas (docs/answers.md).")
    ] = "linear_probe,zero_shot,retrieval",
    out: Annotated[
        Path | None,
        typer.Option(help="Of one checkpoint: where results go; else RUN/evaluation if a finished trial's last, or beside it."),
    ] = None,
    image_column: Annotated[str, typer.Option(help="Of a CSV file: path of the image.")] = "image",
    patient_column: Annotated[str, typer.Option(help="Of a CSV file: patient.")] = "patient_id",
    study_column: Annotated[str | None, typer.Option(help="Of a CSV file: study; else every image is one.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Of a CSV file: train, val or test; else by patient.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Of a CSV file: report.")] = None,
    sex_column: Annotated[str | None, typer.Option(help="Of a CSV file: F or M.")] = None,
    box_column: Annotated[str | None, typer.Option(help="Of a CSV file: boxes as YOLO writes them.")] = None,
    label_column: Annotated[
        list[str] | None, typer.Option(help="Of a CSV file: a label, or label:KIND (binary, classes, grade, number).")
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="Pairs that the checkpoint learned from: their patients keep their splits.")
    ] = None,
    key_file: Annotated[Path, typer.Option(help="Of those pairs.")] = Path("radsweep.key"),
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="TASK.FIELD=VALUE", help="Change one value of a task; may be repeated.")
    ] = None,
    tracking_uri: Store = None,
) -> None:
    """Run downstream tasks on a sweep's finished trials, or on one checkpoint; metrics go to MLflow as TASK/METRIC."""
    from ..datasets.labelled import split_as
    from ..datasets.pseudonyms import Key
    from .display import say_evaluated
    from .evaluate import evaluate as evaluate_one
    from .evaluate import evaluate_run, labels_of, read_labelled, tasks_of
    from .steps import Steps
    from .tracking import quiet

    quiet()
    is_run = (what / "sweep.json").is_file()
    if is_run and out is not None:
        raise UserError(f"--out is of a single checkpoint; results of a run go to {what / 'evaluation'}: leave it out")
    chosen = tasks_of(tasks, settings or [])
    if out is not None:
        make_folder(out)
    corpus = read_labelled(
        data,
        image=image_column,
        patient=patient_column,
        study=study_column,
        split=split_column,
        targets=labels_of(label_column or []),
        text=text_column,
        sex=sex_column,
        boxes=box_column,
    )
    if like is not None:
        if not key_file.is_file():
            raise UserError(f"there is no key file {key_file}: name the one that {like} was prepared with (--key-file)")
        corpus = split_as(corpus, like, Key.load(key_file))
    with Steps() as progress:
        if is_run:
            told = evaluate_run(what, corpus, chosen, progress, tracking_uri)
        else:
            told = evaluate_one(what, corpus, chosen, progress, tracking_uri, out)
    say_evaluated(told)


@app.command(epilog="radsweep report run")
def report(
    run: Annotated[Path, typer.Argument(help="Run folder of a sweep, finished or not.")],
    truth: Annotated[
        Path | None, typer.Option(help="effects.json of a phantom hospital: what was planted, what was found.")
    ] = None,
    price: Annotated[
        float | None, typer.Option("--price-per-hour", help="Of one GPU (or trial on CPUs) for one hour.", min=0)
    ] = None,
    watts: Annotated[float | None, typer.Option(help="That it draws, its share of the machine included.", min=0)] = None,
    tracking_uri: Store = None,
) -> None:
    """Write the answer: RUN/report/index.html, its figures, and its tables as CSV, Markdown and LaTeX."""
    from ..analysis.report import write_report
    from .steps import console

    console.print(f"report: {write_report(run, truth, tracking_uri, price, watts)}", soft_wrap=True)


@app.command(epilog="radsweep stage staged && ray job submit --working-dir staged -- python -m radsweep sweep demo ...")
def stage(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    question: Annotated[Path | None, typer.Argument(help="A question of your own to take along.")] = None,
) -> None:
    """Copy radsweep's code to a folder that `ray job submit --working-dir` takes along."""
    from .code import stage as copy_code
    from .steps import console

    if question is not None and not question.is_file():
        raise UserError(f"there is no file {question}")
    copy_code(out)
    if question is not None:
        with contextlib.suppress(shutil.SameFileError):
            shutil.copy(question, out)
    console.print(f"{out} is ready for `ray job submit --working-dir {out}`")


def _question(name: str, settings: list[str] | None) -> "Sweep":
    from .sweep import load_question

    question = load_question(name)
    for setting in settings or ():
        key, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting}: give it as key=value")
        question = question.set(key, value)
    return question


def _numbers(option: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UserError(f"{option} {text}: give numbers from 1 on, separated by commas")
    return numbers


def _warn_of_bf16(question: "Sweep", address: str | None) -> None:
    from .launch import emulates_bf16
    from .steps import console

    if emulates_bf16(question, address):
        console.print(
            "[yellow]bf16 is slow here[/]: this CPU has no instructions for it; --set precision=fp32 can be ten times as fast",
            soft_wrap=True,
        )


@contextlib.contextmanager
def _ray(address: str | None, code: Path) -> Iterator[None]:
    """Ray for the time inside, with the staged code on every worker."""
    from rich.console import Console

    # On stderr: with --json, stdout is for machines.
    with Console(stderr=True).status("starting Ray"):
        import ray

        from .launch import start_ray

        start_ray(address, code)
    try:
        yield
    finally:
        ray.shutdown()


def _sweep(question: "Sweep", data: Path | str, out: Path, as_json: bool = False, **options: Any) -> "Outcome":
    from .display import JsonLines, TrialTable
    from .evaluate import evaluate_run, read_labelled
    from .launch import run_sweep
    from .steps import console
    from .tracking import quiet

    quiet()
    try:
        with (JsonLines if as_json else TrialTable)(question) as table:
            outcome = run_sweep(question, data, out, **options, listen=table.listen, progress=table.step)
            if question.tasks and outcome.finalists:
                uri, only = options.get("tracking_uri"), outcome.finalists
                try:
                    corpus = read_labelled(str(data))
                    evaluate_run(out, corpus, question.tasks, table.step, uri, only, question.resources)
                except UserError as error:
                    names = ",".join(task.name for task in question.tasks)
                    again = f"`radsweep evaluate {out} --data PAIRS --tasks {names}` tries again"
                    console.print(f"downstream: {error}; {again}", soft_wrap=True)
            return outcome
    except KeyboardInterrupt:
        console.print(
            f"stopped; what is done is kept in {out}: `radsweep demo` goes on by itself, `radsweep sweep` with --resume"
        )
        raise typer.Exit(130) from None


def _say_prepared(manifest: dict, pairs: Path) -> None:
    from .steps import console

    counts = manifest["counts"]
    console.print(
        f"  {pairs}: {counts['patients']:,} patients, {counts['studies']:,} studies, {counts['images']:,} images; "
        + ", ".join(f"{split} {part['studies']:,}" for split, part in counts["by_split"].items()),
        soft_wrap=True,
    )
    for reason, count in manifest["audit"]["refused"].items():
        console.print(f"  refused {count:,}: {reason}", style="dim", soft_wrap=True)
    console.print(f"  what was done to every input: {pairs / 'audit.html'}", soft_wrap=True)


def main() -> None:
    """Run the command; a user's mistake ends with exit code 2 and one message, anything else with its traceback and 1."""
    try:
        app()
    except UserError as error:
        print(f"radsweep: {error}", file=sys.stderr)
        sys.exit(2)
