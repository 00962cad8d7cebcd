"""From an export or a table to a pairs folder: everything kept or refused, nothing half-written, nobody named."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from radsweep.datasets import build
from radsweep.datasets.build import ImageInput, Preparation, StudyInput, build_shard, report_group
from radsweep.datasets.dicom.header import read_header
from radsweep.datasets.gather import from_export, from_manifest
from radsweep.datasets.images import read_pixels
from radsweep.datasets.pairs import read_manifest
from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.png import decode_png
from radsweep.datasets.prepare import _on_the_way, _order, add_tokens, check_output, prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.refusal import Refused, UserError
from radsweep.datasets.schema import STUDIES
from radsweep.datasets.splits import Splits
from radsweep.datasets.tokens import load_tokenizer, write_tokens

KEY = Key(bytes(range(32)))
TRAIN_ONLY = Preparation(max_side=64, splits=Splits(val=0, test=0), burned_in=False)


def silent(*_: object) -> None:
    """A progress display for tests."""


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A manifest CSV with noise images of 40 x 30."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        if row.get("image") and row.get("make", True):
            seed = row.get("seed", number)
            noise = np.random.default_rng(seed).integers(0, 256, (30, 40), np.uint8)
            Image.fromarray(noise).save(folder / row["image"])
    names = ["image", "text", "patient", "day", "finding", "view"]
    with (folder / "m.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder / "m.csv"


def gather(path: Path, label: str | None = "finding") -> Any:
    return from_manifest(path, "image", "text", "patient", "day", label, silent)


def test_text_in_pictures_is_blanked_and_its_place_recorded(cluster: None, tmp_path: Path) -> None:  # noqa: ARG001
    """A name is gone, its box in the row in stored pixels; a side marker stays; a page of text is refused; all are counted."""
    rng = np.random.default_rng(0)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 24)
    texts = {"name.png": ["Kuvozrax Emma"], "marker.png": ["D"], "page.png": ["Renseignements du dossier administratif"] * 16}
    for name, said in texts.items():
        seen = Image.fromarray((90 + gaussian_filter(rng.normal(0, 30, (600, 600)), 12) * 6).clip(0, 255).astype(np.uint8))
        for number, line in enumerate(said):
            ImageDraw.Draw(seen).text((30, 30 + 34 * number), line, fill=255, font=font)
        seen.save(tmp_path / name)
    rows = [{"image": name, "text": "Radiographie du genou.", "patient": name, "make": False} for name in texts]
    inputs, audit = gather(table(tmp_path, rows), None)
    preparation = Preparation(max_side=300, splits=Splits(val=0, test=0))
    manifest = prepare(inputs, audit, tmp_path / "out", KEY, preparation, "m.csv", silent)
    told = {row["path"]: row for row in lines(tmp_path / "out.audit.jsonl")}
    assert told["page.png"]["status"] == "refused"
    assert "text" in told["page.png"]["reason"]
    assert (told["name.png"]["boxes"], told["marker.png"]["boxes"]) == ({"text": 1}, {"marker": 1})
    assert manifest["deidentification"]["boxes"] == {"marker": 1, "text": 1}
    images = {row["patient_id"]: row["images"][0] for row in pq.read_table(tmp_path / "out" / "studies").to_pylist()}
    (box,) = images[KEY.pseudonym("patient", "name.png")]["boxes"]
    assert box["kind"] == "text"
    assert (box["top"], box["left"]) <= (18, 16)
    assert box["bottom"] >= 26
    assert box["right"] >= 100
    pixels = decode_png(images[KEY.pseudonym("patient", "name.png")]["bytes"])
    assert pixels[box["top"] : box["bottom"], box["left"] : box["right"]].max() < 200
    assert decode_png(images[KEY.pseudonym("patient", "marker.png")]["bytes"]).max() > 200


# --- the phantom hospital ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(cluster: None, hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """The pairs folder of the phantom hospital under a known key."""
    out = tmp_path_factory.mktemp("prepared") / "pairs"
    inputs, audit = from_export(hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", silent)
    prepare(inputs, audit, out, KEY, Preparation(max_side=96, burned_in=False), "phantom hospital", silent)
    return out


def test_every_file_is_kept_or_refused_and_every_trap_is_refused(prepared: Path, hospital: Path) -> None:
    """The audit has one line per file of the export; what was planted as a trap, and nothing else, is refused."""
    audit = {line["path"]: line for line in lines(prepared.with_name("pairs.audit.jsonl"))}
    files = {
        str(path.relative_to(hospital))
        for name in ("dicom", "reports")
        for path in (hospital / name).rglob("*")
        if path.is_file()
    }
    traps = {line["path"] for line in lines(hospital / "truth" / "traps.jsonl")}
    assert audit.keys() == files
    assert {path for path, line in audit.items() if line["status"] == "refused"} == traps
    assert all(bool(line["reason"]) == (line["status"] == "refused") for line in audit.values())
    inside = Counter(line["status"] for line in lines(prepared / "audit.jsonl"))
    manifest = read_manifest(prepared)["audit"]
    assert inside == {"kept": manifest["kept"], "refused": sum(manifest["refused"].values())}
    assert inside["kept"] == len(files) - len(traps)


def test_nothing_planted_is_left_in_the_reports(prepared: Path, hospital: Path) -> None:
    """No string planted as an identity of a report or of its DICOM files stands in that study's text or anywhere else in it."""
    planted: dict[str, set[str]] = {}
    for line in lines(hospital / "truth" / "identities.jsonl"):
        planted.setdefault(line["document"], set()).add(line["string"])
    by_study: dict[str, set[str]] = {}
    reports: set[str] = set()
    for path in sorted((hospital / "dicom").rglob("*")):
        if path.is_file():
            try:
                header = read_header(path)
            except Refused:
                continue
            study = by_study.setdefault(KEY.pseudonym("study", header.study_instance_uid), set())
            study |= planted.get(str(path.relative_to(hospital)), set())
            for document, strings in planted.items():
                if document.startswith("reports/") and header.accession_number in strings:
                    study |= strings
                    reports.add(document)
    for row in pq.read_table(prepared / "studies").to_pylist():
        told = json.dumps({name: value for name, value in row.items() if name != "images"}, ensure_ascii=False, default=str)
        for string in by_study[row["study_id"]]:
            assert not re.search(rf"(?<!\w){re.escape(string)}(?!\w)", told), string
    assert len(reports) >= read_manifest(prepared)["counts"]["studies"]


def test_the_tables_are_what_the_schema_says(prepared: Path) -> None:
    """Columns, types and order; images decode to their size; sections are stretches of the report; tokens fit the rows."""
    studies = pq.read_table(prepared / "studies")
    assert studies.schema.remove_metadata().equals(STUDIES.remove_metadata())
    rows = studies.to_pylist()
    assert len({row["study_id"] for row in rows}) == len(rows)
    for row in rows:
        for image in row["images"]:
            assert decode_png(image["bytes"]).shape == (image["height"], image["width"])
            assert max(image["height"], image["width"]) <= 96
            assert image["view"]
            assert image["body_part"]
        assert row["sections"]["findings"] in row["report"]
        assert row["sections"]["conclusion"] in row["report"]
        assert row["sentences"]
    for name in ("tiny-fr", "tiny-en"):
        tokens = pq.read_table(prepared / "tokens" / name).to_pylist()
        assert [row["study_id"] for row in tokens] == [row["study_id"] for row in rows]
        assert tokens[3]["input_ids"] == load_tokenizer(name).encode(rows[3]["sentences"])


def test_labels_pixels_and_splits_are_those_of_the_truth(prepared: Path, hospital: Path) -> None:
    """Labels follow the accession number; the first image of a study is its first file; a patient has one split."""
    with (hospital / "truth" / "labels.csv").open(newline="", encoding="utf-8") as file:
        truth = {row["accession_number"]: row for row in csv.DictReader(file)}
    rows = {row["study_id"]: row for row in pq.read_table(prepared / "studies").to_pylist()}
    checked = 0
    for path in sorted((hospital / "dicom").rglob("IM000001*")):
        header = read_header(path)
        row = rows.get(KEY.pseudonym("study", header.study_instance_uid))
        if row:
            assert dict(row["labels"])["fracture"] == float(truth[header.accession_number]["fracture"])
            assert row["patient_id"] == KEY.pseudonym("patient", header.patient_id)
            assert row["split"] == Splits().of(header.patient_id, KEY)
            assert row["images"][0]["view"] == header.view
            checked += 1
    assert checked == len(rows)
    manifest = read_manifest(prepared)
    assert manifest["leakage"]["passed"]
    assert manifest["counts"]["studies"] == len(rows)
    assert sum(split["patients"] for split in manifest["counts"]["by_split"].values()) == manifest["counts"]["patients"]


def test_the_same_export_gives_the_same_corpus(prepared: Path, hospital: Path, tmp_path: Path) -> None:
    """Same key, same tables and fingerprint; another key, other pseudonyms and another fingerprint."""
    inputs, audit = from_export(hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", silent)
    again = prepare(inputs, audit, tmp_path / "again", KEY, Preparation(max_side=96, burned_in=False), "x", silent)
    assert again["fingerprint"] == read_manifest(prepared)["fingerprint"]
    assert pq.read_table(tmp_path / "again" / "studies").equals(pq.read_table(prepared / "studies"))
    other = prepare(inputs, audit, tmp_path / "other", Key(bytes(32)), TRAIN_ONLY, "x", silent)
    assert other["fingerprint"] != again["fingerprint"]


def test_what_was_finished_before_a_stop_is_not_built_again(prepared: Path, hospital: Path, tmp_path: Path) -> None:
    """Stopped amid shards, the same call leaves finished ones alone and ends as an undisturbed one."""
    inputs, audit = from_export(hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", silent)

    def stop(what: str, done: int, total: int) -> None:
        if what == "building studies" and 0 < done < total:
            raise KeyboardInterrupt

    def build(progress: Callable[[str, int, int], None]) -> Any:
        return prepare(inputs, audit, tmp_path / "out", KEY, Preparation(max_side=96, burned_in=False), "x", progress)

    def finished() -> dict[str, int]:
        (partial,) = tmp_path.glob(".out.*.partial")
        numbers = [path.name for path in (partial / "built").glob("[0-9]*")]
        return {number: (partial / "studies" / f"part-{number}.parquet").stat().st_mtime_ns for number in numbers}

    with pytest.raises(KeyboardInterrupt):
        build(stop)
    before = finished()
    assert before
    assert not (tmp_path / "out").exists()
    resumed = build(silent)
    assert resumed["fingerprint"] == read_manifest(prepared)["fingerprint"]
    assert pq.read_table(tmp_path / "out" / "studies").equals(pq.read_table(prepared / "studies"))
    for number, written in before.items():
        assert (tmp_path / "out" / "studies" / f"part-{number}.parquet").stat().st_mtime_ns == written
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in prepared.iterdir()}


def test_work_goes_on_only_if_all_of_it_is_the_same(tmp_path: Path) -> None:
    """Another key, choice, text or image file is other work, in a folder of its own; the same is the same in any process."""
    image = tmp_path / "image.png"
    image.write_bytes(b"1")

    def order(key: Key = KEY, preparation: Preparation = TRAIN_ONLY, report: str = "Fracture.") -> str:
        study = StudyInput("s", "p", report, "r", (ImageInput(str(image), "image.png"),))
        return _order([study], key, preparation)

    before = order()
    orders = [
        before,
        order(key=Key(bytes(32))),
        order(preparation=TRAIN_ONLY.model_copy(update={"max_side": 65})),
        order(report="Fractures."),
    ]
    assert order() == before
    image.write_bytes(b"22")
    orders.append(order())
    image.unlink()
    orders.append(order())
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("name", ["pairs", "pairs.v2", "p[ab]irs", "p*s", "pairs?"])
def test_work_for_another_folder_is_left_alone(tmp_path: Path, name: str) -> None:
    """Of what was left on the way only other orders of the same folder go: names that begin alike, or match, are others'."""
    outs = ["pairs", "pairs.v2", "pairs.v2.v3", "pairs.0123456789abcdef", "p[ab]irs", "pairs?", "pairsX", "p*s", "pXs", "paibs"]
    left = {out: tmp_path / f".{out}.{'0123456789abcdef'}.partial" for out in outs}
    others = [tmp_path / f".{name}.{order}.partial" for order in ("0123", "0123456789abcdef0", "0123456789ABCDEF", "v2")]
    for folder in (*left.values(), *others):
        (folder / "built").mkdir(parents=True)
        (folder / "built" / "00000").write_text("finished shard")
    with _on_the_way(tmp_path / name, "f" * 64):
        gone = {out for out, folder in left.items() if not (folder / "built" / "00000").exists()}
        assert gone == {name}
        assert all(folder.exists() for folder in others)
    assert (tmp_path / name).is_dir()


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_prepare_killed_anywhere_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Three kills, each later: the fourth call finishes what is left, with the fingerprint of an undisturbed one."""
    write_hospital(tmp_path / "hospital", 240, 3, silent)

    def command(out: str) -> subprocess.Popen:
        options = {"--dicom": "dicom", "--reports": "reports"}
        folders = [word for option, folder in options.items() for word in (option, tmp_path / "hospital" / folder)]
        words = [
            "-m",
            "radsweep",
            "prepare",
            *folders,
            "--out",
            tmp_path / out,
            "--key-file",
            tmp_path / "key",
            "--max-side",
            "96",
        ]
        return subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.DEVNULL, start_new_session=True)

    assert command("undisturbed").wait() == 0
    finished, seen = ".out.*.partial/built/[0-9]*", {}
    for shards in (1, 2, 4):
        process = command("out")
        while len(list(tmp_path.glob(finished))) < shards:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for path in tmp_path.glob(finished):
            assert seen.setdefault(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    assert command("out").wait() == 0
    assert read_manifest(tmp_path / "out")["fingerprint"] == read_manifest(tmp_path / "undisturbed")["fingerprint"]


def test_a_tokenizer_is_added_without_touching_images(prepared: Path, tmp_path: Path) -> None:
    """The new table has the rows of the studies, the manifest names it, and adding it twice is refused."""
    from transformers import PreTrainedTokenizerFast

    name = str(tmp_path / "mine")
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=load_tokenizer("tiny-fr").backend, **special).save_pretrained(name)
    before = {path: path.stat().st_mtime_ns for path in (prepared / "studies").iterdir()}
    add_tokens(prepared, name, silent)
    assert {path: path.stat().st_mtime_ns for path in (prepared / "studies").iterdir()} == before
    manifest = read_manifest(prepared)
    assert manifest["tokenizers"] == ["tiny-fr", "tiny-en", name]
    folder = prepared / "tokens" / name.strip("/").replace("/", "--")
    assert pq.read_table(folder).column("input_ids").equals(pq.read_table(prepared / "tokens" / "tiny-fr").column("input_ids"))
    with pytest.raises(UserError, match="already"):
        add_tokens(prepared, name, silent)
    assert not list((prepared / "tokens").glob(".*"))


@pytest.mark.parametrize(
    ("studies", "words"),
    [(b"PAR1", "the studies of .* cannot be read"), (None, "holds no studies")],
)
def test_tokens_of_damaged_studies_are_refused(studies: bytes | None, words: str, tmp_path: Path) -> None:
    """The folder is named, and is left as it was."""
    (tmp_path / "manifest.json").write_text(json.dumps({"labels": {}, "tokenizers": []}))
    (tmp_path / "studies").mkdir()
    if studies is not None:
        (tmp_path / "studies" / "part-0.parquet").write_bytes(studies)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=words):
        add_tokens(tmp_path, "tiny-fr", silent)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", ["stale", "damaged", "missing"])
def test_a_token_table_that_is_of_no_use_is_made_anew(damage: str, tmp_path: Path) -> None:
    """One made with other tokenizer files than those here, a damaged and a lost one are made again; a current one stays."""
    part, sentences = tmp_path / "tokens" / "tiny-fr" / "part-0.parquet", ["Fracture du poignet."]
    (tmp_path / "studies").mkdir()
    row = {"study_id": "a", "sentences": sentences}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "studies" / "part-0.parquet")
    write_tokens([row], "tiny-fr", part)
    (tmp_path / "manifest.json").write_text(json.dumps({"labels": {}, "tokenizers": ["tiny-fr", "tiny-en"]}))
    expected = pq.read_table(part)
    with pytest.raises(UserError, match="has the tokens of tiny-fr already"):
        add_tokens(tmp_path, "tiny-fr", silent)
    if damage == "stale":
        words = json.loads(expected.schema.metadata[b"radsweep.vocabulary"]) | {"sha256": "0" * 64}
        pq.write_table(expected.replace_schema_metadata({"radsweep.vocabulary": json.dumps(words)}), part)
    elif damage == "damaged":
        part.write_bytes(b"PAR1")
    else:
        part.unlink()
    add_tokens(tmp_path, "tiny-fr", silent)
    made = pq.read_table(part)
    assert made.equals(expected)
    assert made.schema.metadata == expected.schema.metadata
    assert read_manifest(tmp_path)["tokenizers"] == ["tiny-fr", "tiny-en"]


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_table_becomes_studies(cluster: None, tmp_path: Path) -> None:  # noqa: ARG001
    """A study is patient and day; rows without text, image or patient are refused one by one; labels are 0, 1 or unknown."""
    rows = [
        {"image": "a.png", "text": "Pneumonia.", "patient": "1", "day": "0", "finding": "Pneumonia", "view": "PA"},
        {"image": "b.png", "text": "Pneumonia.", "patient": "1", "day": "0", "finding": "Pneumonia", "view": "L"},
        {"image": "c.png", "text": "Clear.", "patient": "1", "day": "9", "finding": "No Finding"},
        {"image": "d.png", "text": "Seen.", "patient": "2", "day": "0"},
        {"image": "e.png", "text": "", "patient": "3", "day": "0"},
        {"image": "f.png", "text": "Gone.", "patient": "4", "day": "0", "make": False},
        {"image": "", "text": "No image.", "patient": "5", "day": "0"},
        {"image": "g.png", "text": "Nobody's.", "patient": "", "day": "0"},
        {"image": "a.png", "text": "Again.", "patient": "1", "day": "0"},
        {"image": "h.png", "text": "...", "patient": "6", "day": "0"},
    ]
    inputs, audit = gather(table(tmp_path, rows))
    (tmp_path / "d.png").write_bytes((tmp_path / "d.png").read_bytes()[:300])
    manifest = prepare(inputs, audit, tmp_path / "out", KEY, TRAIN_ONLY, "m.csv", silent)
    studies = {row["report"]: row for row in pq.read_table(tmp_path / "out" / "studies").to_pylist()}
    assert studies.keys() == {"Pneumonia.", "Clear."}
    assert [image["view"] for image in studies["Pneumonia."]["images"]] == ["PA", "L"]
    assert dict(studies["Pneumonia."]["labels"]) == {"No Finding": 0, "Pneumonia": 1}
    assert dict(studies["Clear."]["labels"]) == {"No Finding": 1, "Pneumonia": 0}
    assert manifest["labels"]["Pneumonia"] == {"present": 1, "absent": 1}
    refused = {line["path"]: line["reason"] for line in lines(tmp_path / "out" / "audit.jsonl") if line["status"] == "refused"}
    expected = {
        "e.png": "no text",
        "f.png": "no such image",
        "row 7": "no image",
        "g.png": "no patient",
        "a.png (row 9)": "a copy",
        "d.png": "truncated",
        "h.png": "empty",
    }
    assert refused.keys() == expected.keys()
    assert all(reason in refused[name] for name, reason in expected.items())


def test_patients_with_the_same_picture_are_in_one_split(cluster: None, tmp_path: Path) -> None:  # noqa: ARG001
    """Two patients with one image come together, the manifest says so, and the gate passes."""
    rows = [{"image": f"{n}.png", "text": f"Report {n}.", "patient": str(n), "day": "0", "seed": n % 30} for n in range(34)]
    preparation = Preparation(max_side=64, splits=Splits(val=0.4, test=0.3), burned_in=False)
    inputs, audit = gather(table(tmp_path, rows), None)
    manifest = prepare(inputs, audit, tmp_path / "out", KEY, preparation, "m.csv", silent)
    split_of = {row["report"]: row["split"] for row in pq.read_table(tmp_path / "out" / "studies").to_pylist()}
    alone = {n: preparation.splits.of(str(n), KEY) for n in range(34)}
    assert any(alone[n] != alone[n + 30] for n in range(4))
    assert all(split_of[f"Report {n}."] == split_of[f"Report {n + 30}."] for n in range(4))
    assert all(split_of[f"Report {n}."] == alone[n] for n in range(4, 30))
    assert manifest["splits"]["patients_sharing_pictures"] == 8
    assert manifest["leakage"]["passed"]
    counted = Counter(split_of.values())
    assert {name: part["studies"] for name, part in manifest["counts"]["by_split"].items()} == dict(counted)


def test_an_image_that_nobody_expected_is_refused_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reading an image raises, its row says so by the kind of error, which names nobody, and the others go on."""
    rows = [{"image": f"{n}.png", "text": f"Fracture {n}.", "patient": str(n // 2), "day": "0"} for n in range(4)]
    inputs, _ = gather(table(tmp_path, rows), None)

    def odd(path: Path) -> np.ndarray:
        if path.stem in "023":
            raise ZeroDivisionError(f"{path} of Dupont")
        return read_pixels(path)

    monkeypatch.setattr(build, "read_pixels", odd)
    (tmp_path / "out" / "built").mkdir(parents=True)
    (tmp_path / "out" / "studies").mkdir()
    built = build_shard(0, inputs, tmp_path / "out", KEY, TRAIN_ONLY)
    assert built.refused.keys() == {"0.png", "2.png", "3.png"}
    assert built.refused["0.png"] == "its pixels cannot be used (ZeroDivisionError)"
    assert [study["images"] for study in built.studies] == [1]


def test_a_table_that_cannot_be_used_is_the_users_mistake(tmp_path: Path) -> None:
    """Missing file or column, no row, binary content, a label column with a value per row: what, where, what to do."""
    good = table(
        tmp_path, [{"image": "a.png", "text": "x", "patient": str(n), "day": "0", "finding": str(n)} for n in range(60)]
    )
    with pytest.raises(UserError, match="no file"):
        gather(tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"no column 'report'; .*Its columns: image, text"):
        from_manifest(good, "image", "report", "patient", None, None, silent)
    with pytest.raises(UserError, match="60 values"):
        gather(good)
    head = b"image,text,patient,day,finding\n"
    bad = {
        b"": "Its columns: none",
        head: "no row",
        b"\xff\xfe\x00\x01": "not in UTF-8",
        b"a,b\n\x00\n": "no column 'image'",
        b"image;text;patient\n": "separates its columns by semicolons",
        head + b'a.png,"Fracture" du radius,1,0,x\nb.png,Normal,2,0,x\n': "quotes stands in quotes",
        head + b'a.png,"Fracture du radius,1,0,x\nb.png,Normal,2,0,x\n': "cannot be read as a table",
        head + b"a.png,Fracture, displaced,1,0,x\n": "line 2, has 6 cells under 5 columns",
        b"image,text,text,patient,day,finding\na.png,x,y,1,0,z\n": "2 columns 'text'",
    }
    for content, reason in bad.items():
        (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(UserError, match=reason):
            gather(tmp_path / "bad.csv")


def test_nothing_usable_leaves_an_audit_and_no_folder(tmp_path: Path) -> None:
    """The message counts the reasons and names the audit, whose folder is made; no pairs folder and nothing hidden is left."""
    inputs, audit = gather(table(tmp_path / "in", [{"image": "a.png", "text": "", "patient": "1", "day": "0"}]))
    with pytest.raises(UserError, match=r"no usable study in m.csv \(1 x no text.*out.audit.jsonl"):
        prepare(inputs, audit, tmp_path / "out", KEY, Preparation(), "m.csv", silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.audit.jsonl"]
    assert [line["status"] for line in lines(tmp_path / "out.audit.jsonl")] == ["refused"]
    with pytest.raises(UserError, match=r"no usable study in m.csv"):
        prepare(inputs, audit, tmp_path / "no" / "such" / "out", KEY, Preparation(), "m.csv", silent)
    assert [path.name for path in (tmp_path / "no" / "such").iterdir()] == ["out.audit.jsonl"]


def test_fewer_patients_than_splits_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """One patient cannot fill three splits."""
    inputs, audit = gather(table(tmp_path / "in", [{"image": "a.png", "text": "Clear.", "patient": "1", "day": "0"}]))
    with pytest.raises(UserError, match="1 usable patients"):
        prepare(inputs, audit, tmp_path / "out", KEY, Preparation(), "m.csv", silent)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_an_output_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    """A file, a pairs folder, any other content and a link are told apart; an empty folder is fine."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "manifest.json").write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    told = {"file": "is a file", "pairs": "a pairs folder", "other": "something", "link": "is a link: name a folder inside it"}
    for name, reason in told.items():
        with pytest.raises(UserError, match=reason):
            check_output(tmp_path / name)
    with pytest.raises(UserError, match="a disk is mounted: name a folder inside it"):
        check_output(Path("/proc"))
    check_output(tmp_path / "empty")
    check_output(tmp_path / "new")


def test_relative_paths_are_those_of_the_user(
    cluster: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray's tasks run elsewhere; paths given from where the user stands are found and written there."""
    table(tmp_path / "in", [{"image": "a.png", "text": "Clear.", "patient": "1", "day": "0"}])
    monkeypatch.chdir(tmp_path)
    inputs, audit = gather(Path("in/m.csv"))
    prepare(inputs, audit, Path("out"), KEY, TRAIN_ONLY, "m.csv", silent)
    assert read_manifest(tmp_path / "out")["counts"]["studies"] == 1


# --- exports ----------------------------------------------------------------------------------------------------------


def test_missing_folders_and_labels_are_the_users_mistake(tmp_path: Path) -> None:
    """A folder that does not exist or has no DICOM file, and labels without accession numbers, are named."""
    (tmp_path / "dicom").mkdir()
    (tmp_path / "reports").mkdir()
    with pytest.raises(UserError, match=r"no folder .*none"):
        from_export(tmp_path / "none", tmp_path / "reports", None, silent)
    with pytest.raises(UserError, match=r"no folder .*none"):
        from_export(tmp_path / "dicom", tmp_path / "none", None, silent)
    with pytest.raises(UserError, match="holds no file"):
        from_export(tmp_path / "dicom", tmp_path / "reports", None, silent)
    (tmp_path / "dicom" / "a").write_text("x")
    (tmp_path / "labels.csv").write_text("accession,fracture\n1,0\n")
    with pytest.raises(UserError, match="no column 'accession_number'"):
        from_export(tmp_path / "dicom", tmp_path / "reports", tmp_path / "labels.csv", silent)


def test_an_export_in_one_folder_with_bad_files_is_read(
    cluster: None,  # noqa: ARG001
    tmp_path: Path,
    make_radiograph: Callable,
    save: Callable,
    make_pdf: Callable,
) -> None:
    """Images and reports side by side in a folder named after the patient: paired, masked in the audit, never stopped."""
    folder = tmp_path / "export" / "LEFEVRE_Zoe"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 4096, (64, 48)).astype(np.uint16)
    save(make_radiograph(noise, BitsStored=12, HighBit=11), folder / "image")
    save(make_radiograph(noise, Modality="CT"), folder / "ct.dcm")
    (folder / "notes.txt").write_text("x")
    (folder / "broken.PDF").write_bytes(b"%PDF-1.4 broken")
    make_pdf(
        folder / "report.pdf",
        ["Nom : LEFÈVRE", "N° d'examen : A17", "Indication :", "Zoé est tombée.", "Conclusion :", "Fracture."],
    )
    inputs, audit = from_export(tmp_path / "export", tmp_path / "export", None, silent)
    prepare(inputs, audit, tmp_path / "out", KEY, TRAIN_ONLY, "hospital export", silent)
    (row,) = pq.read_table(tmp_path / "out" / "studies").to_pylist()
    assert row["sections"]["conclusion"] == "Fracture."
    assert re.fullmatch(r"\w+ est tombée\.", row["sections"]["indication"])
    assert "Zoé" not in row["report"]
    assert row["age_months"] == 119
    inside = (tmp_path / "out" / "audit.jsonl").read_text()
    assert "LEFEVRE" not in inside
    beside = {line["path"]: line["reason"] for line in lines(tmp_path / "out.audit.jsonl")}
    assert {path.removeprefix("export/LEFEVRE_Zoe/"): reason[:8] for path, reason in beside.items()} == {
        "image": "",
        "report.pdf": "",
        "ct.dcm": "modality",
        "notes.txt": "not a DI",
        "broken.PDF": "cut off:",
    }


def test_report_groups_ignore_what_does_not_matter() -> None:
    """Case, accents, digits, punctuation and spacing do not make another report; words do."""
    assert report_group("Radiographie normale, 2 clichés.") == report_group("RADIOGRAPHIE  NORMALE 3 cliches")
    assert report_group("Pas de fracture.") != report_group("Fracture.")
