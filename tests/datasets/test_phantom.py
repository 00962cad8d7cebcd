"""The phantom hospital: what is planted is there, where it should be, and only there."""

import csv
import hashlib
import itertools
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pypdfium2
import pytest
from numpy.testing import assert_array_equal

from radsweep.datasets.augment import plain, square
from radsweep.datasets.corpora import phantom
from radsweep.datasets.dicom.pixels import shrink
from radsweep.datasets.images import read_pixels
from radsweep.datasets.phantom.anatomy import SKELETONS, Ellipsoid, Frame, Shaft
from radsweep.datasets.phantom.dicom_files import SYNTAXES, Storage, StudyHeader, build, save, stored
from radsweep.datasets.phantom.effects import EFFECTS
from radsweep.datasets.phantom.findings import LABELS, Findings
from radsweep.datasets.phantom.french import ALL_CLEAR, NORMAL, WHERE, WHERE_BY_PART, write_body
from radsweep.datasets.phantom.hospital import draw_studies, write_hospital
from radsweep.datasets.phantom.identities import draw_physician
from radsweep.datasets.phantom.radiograph import radiograph
from radsweep.datasets.refusal import UserError
from radsweep.datasets.tokens import load_tokenizer

NUM_PATIENTS = 12
HEALTHY = Findings(
    fracture=False,
    hairline_fracture=False,
    grade=0,
    open_growth_plates=False,
    implant=False,
    enostosis=False,
    effusion=False,
    age_years=40,
    seed=5,
)


def silent(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "hospital"
    write_hospital(out, NUM_PATIENTS, 3, silent)
    return out


@pytest.fixture(scope="module")
def studies() -> list:
    physicians = tuple(draw_physician(np.random.default_rng(i)) for i in range(5))
    return [study for number in range(400) for study in draw_studies(number, 0, physicians)]


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def labels(hospital: Path) -> list[dict[str, str]]:
    with (hospital / "truth" / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def change(findings: Findings, view: str, side: int = 256, skeleton: int = 4) -> np.ndarray:
    """How far a picture with findings is from the same picture without, as training sees both at ``side`` px, in 1/255."""
    pictures = []
    for one in (HEALTHY, findings):
        image, _ = radiograph(SKELETONS[skeleton], one, view, False, np.random.default_rng(1))
        kept = 256 if side == 256 else 160
        canvas = square(shrink((255 * image).round().astype(np.uint8), kept), kept)
        pictures.append(plain(canvas, side).astype(np.float64))
    return np.abs(pictures[1] - pictures[0])


# --- solids -----------------------------------------------------------------------------------------------------------


def test_a_ray_through_the_middle_of_an_ellipsoid_crosses_its_depth():
    """From the front the path is twice the half-axis in depth, from the side twice the one in width."""
    ball = Ellipsoid((0, 0, 0), (10, 20, 30))
    for angle, depth, half in ((0, 60, 10), (90, 20, 30)):
        frame = Frame(101, 101, 1.0, angle, (0, 0, 0), 0, False)
        path = np.zeros((101, 101))
        for window, whole, _ in ball.thickness(frame):
            path[window] = whole
        assert path[50, 50] == pytest.approx(depth, rel=1e-4)
        assert np.count_nonzero(path[50]) == 2 * half - 1
        # The volume is 4/3 pi abc from every side.
        assert path.sum() == pytest.approx(4 / 3 * np.pi * 6000, rel=0.02)


def test_a_shaft_holds_the_same_volume_from_every_side():
    """An elliptic cylinder of half-axes 6 and 10 mm over 80 mm holds pi * 6 * 10 * 80 mm3."""
    shaft = Shaft((0, -40, 0), (0, 40, 0), ((0, 6, 10), (0.5, 6, 10), (1, 6, 10)))
    for angle in (0, 45, 90):
        path = np.zeros((161, 161))
        for window, whole, inside in shaft.thickness(Frame(161, 161, 1.0, angle, (0, 0, 0), 0, False)):
            path[window] = whole
            assert (inside <= whole + 1e-4).all()
        assert path.sum() == pytest.approx(np.pi * 6 * 10 * 80, rel=0.03)


# --- findings in the pixels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skeleton", range(len(SKELETONS)))
@pytest.mark.parametrize("view", ["AP", "LATERAL", "OBLIQUE"])
def test_every_finding_but_the_effusion_shows_in_every_view(skeleton: int, view: str):
    """Each changes at least 30 px of the picture by more than 15 gray levels, and none changes all of it."""
    for name, findings in {
        "fracture": replace(HEALTHY, fracture=True),
        "hairline_fracture": replace(HEALTHY, hairline_fracture=True),
        "osteoarthritis": replace(HEALTHY, grade=4),
        "open_growth_plates": replace(HEALTHY, open_growth_plates=True),
        "implant": replace(HEALTHY, implant=True),
        "enostosis": replace(HEALTHY, enostosis=True),
    }.items():
        changed = (change(findings, view, skeleton=skeleton) > 15).sum()
        assert 30 <= changed < 0.25 * 256 * 256, name


@pytest.mark.parametrize("skeleton", range(len(SKELETONS)))
def test_a_hairline_fracture_is_gone_at_64_px_and_clear_at_128(skeleton: int):
    """At 64 px less than a third of the change is left where it is strongest, and hardly a pixel moves by 15 grey levels."""
    findings = replace(HEALTHY, hairline_fracture=True)
    at_64, at_128 = (change(findings, "LATERAL", side, skeleton) for side in (64, 128))
    assert np.sort(at_64.ravel())[-20:].mean() < np.sort(at_128.ravel())[-40:].mean() / 3
    assert np.sort(at_128.ravel())[-40:].mean() > 40
    assert (at_128 > 15).sum() > 15 * (at_64 > 15).sum()


@pytest.mark.parametrize("skeleton", range(len(SKELETONS)))
def test_an_effusion_shows_in_the_lateral_view_only(skeleton: int):
    """Other views of the study are equal to the last bit."""
    findings = replace(HEALTHY, effusion=True)
    assert change(findings, "AP", skeleton=skeleton).max() == 0
    assert change(findings, "OBLIQUE", skeleton=skeleton).max() == 0
    assert (change(findings, "LATERAL", 64, skeleton) > 25).sum() > 15


def test_a_mask_is_where_a_finding_is_and_a_healthy_picture_has_none():
    """An enostosis is a disc of its radius, an effusion is marked in the lateral view only; what is marked has changed."""
    _, healthy = radiograph(SKELETONS[4], HEALTHY, "AP", False, np.random.default_rng(1))
    assert not healthy.any()
    _, island = radiograph(SKELETONS[4], replace(HEALTHY, enostosis=True), "AP", False, np.random.default_rng(1))
    rows, columns = np.nonzero(island)
    assert 8 < np.ptp(rows) < 28
    assert 8 < np.ptp(columns) < 28
    swollen = replace(HEALTHY, effusion=True)
    shown = {view: radiograph(SKELETONS[4], swollen, view, False, np.random.default_rng(1))[1] for view in ("AP", "LATERAL")}
    assert not shown["AP"].any()
    assert shown["LATERAL"].any()
    changed = change(replace(HEALTHY, enostosis=True), "AP")
    top, left = ((256 - side) // 2 for side in island.shape)
    inside = np.zeros((256, 256), bool)
    inside[top : top + island.shape[0], left : left + island.shape[1]] = island
    assert changed[inside].mean() > 20 > 10 * changed[~inside].mean()


def test_osteoarthritis_grows_with_its_grade():
    """Each grade changes the picture more than the one below; grade 2, where the label begins, by five times grade 1."""
    amounts = [change(replace(HEALTHY, grade=grade), "AP").sum() for grade in range(5)]
    assert amounts[0] == 0
    assert all(low < high for low, high in itertools.pairwise(amounts))
    assert amounts[2] > 5 * amounts[1]


@pytest.mark.parametrize("skeleton", range(len(SKELETONS)))
@pytest.mark.parametrize("view", ["AP", "LATERAL", "OBLIQUE"])
def test_what_no_axis_was_planted_for_is_plain_at_64_px(skeleton: int, view: str):
    """Growth plates and osteoarthritis from grade 2 on move at least eight pixels by a sixth of the range."""
    for findings in (replace(HEALTHY, open_growth_plates=True), replace(HEALTHY, grade=2)):
        assert (change(findings, view, 64, skeleton) > 42).sum() >= 8


def test_a_left_limb_is_the_mirror_of_a_right_one():
    """But for the letter and what differs from picture to picture, left is right reversed."""
    right, left = (radiograph(SKELETONS[4], HEALTHY, "AP", side, np.random.default_rng(2))[0] for side in (False, True))

    def similar(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a[60:200].ravel(), b[60:200].ravel())[0, 1])

    assert similar(right, left[:, ::-1]) > 0.95 > similar(right, left)


# --- truth ------------------------------------------------------------------------------------------------------------


def test_findings_are_as_frequent_as_they_should_be_and_independent(studies: list):
    """Prevalence 12 to 30 %; no finding tells of another one, or of the body part, beyond chance."""
    truth = np.array([list(study.visit.findings.labels().values()) for study in studies], float)
    assert (truth.mean(axis=0) > 0.12).all()
    assert (truth.mean(axis=0) < 0.30).all()
    correlation = np.corrcoef(truth.T) - np.eye(len(LABELS))
    # Only the growth plates of children exclude the osteoarthritis of adults.
    plates, arthritis = LABELS.index("open_growth_plates"), LABELS.index("osteoarthritis")
    assert correlation[plates, arthritis] < -0.1
    correlation[plates, arthritis] = correlation[arthritis, plates] = 0
    assert np.abs(correlation).max() < 4 / np.sqrt(len(studies))
    parts = np.array([study.visit.skeleton.name for study in studies])
    for part in np.unique(parts):
        assert np.abs(truth[parts == part].mean(axis=0) - truth.mean(axis=0)).max() < 0.17


def test_every_study_has_a_view_without_the_effusion_and_most_have_the_one_with(studies: list):
    """An effusion needs a lateral view, and the first view never is one."""
    assert all(study.visit.views[0] in ("AP", "PA") for study in studies)
    assert np.mean(["LATERAL" in study.visit.views for study in studies]) > 0.8
    assert all("LATERAL" in study.visit.views for study in studies if study.visit.findings.effusion)
    assert {len(study.visit.views) for study in studies} == {1, 2, 3, 4}


def test_children_have_growth_plates_and_no_osteoarthritis(studies: list):
    """The age in the header decides."""
    for study in studies:
        findings = study.visit.findings
        assert findings.open_growth_plates == (findings.age_years < 17) == (findings.grade is None)
        assert study.header.age_years == findings.age_years


# --- reports ----------------------------------------------------------------------------------------------------------


def test_only_the_french_vocabulary_tells_an_enostosis_from_an_all_clear():
    """To tiny-en all these sentences are the same ids, [UNK] [UNK] and a full stop; tiny-fr keeps the word whole."""
    english, french = load_tokenizer("tiny-en"), load_tokenizer("tiny-fr")
    unknown = english.vocabulary.unk_id
    places = {*WHERE, *(place for places in WHERE_BY_PART.values() for place in places)}
    for place in places:
        island, *clear = english.encode([f"Énostose {place}.", *(f"{noun} {place}." for noun in ALL_CLEAR)])
        assert island[:2] == [unknown, unknown]
        assert all(ids == island for ids in clear)
        island, *clear = french.encode([f"Énostose {place}.", *(f"{noun} {place}." for noun in ALL_CLEAR)])
        assert french.backend.id_to_token(island[0]) == "énostose"
        assert all(island[0] not in ids for ids in clear)


def test_a_report_reads_the_same_to_the_english_vocabulary_with_and_without_enostosis(studies: list):
    """In every report the word stands where an all-clear stands otherwise, and nowhere else."""
    english = load_tokenizer("tiny-en")
    place = {"Énostose", *ALL_CLEAR}
    for study in studies[:150]:
        text = [words for _, words in write_body(study.visit, np.random.default_rng(study.seed)).sections]
        has_island = ["Énostose" in part for part in text]
        assert has_island == [False, False, *[study.visit.findings.enostosis] * 2]
        # Results and conclusion hold exactly one sentence of this shape each, whatever was found.
        for part in text[2:]:
            sentences = [sentence for sentence in part.split(". ") if sentence.split()[0] in place]
            assert len(sentences) == 1
            assert len(sentences[0].rstrip(".").split()) == 2
        swapped = [part.replace("Énostose", "Intégrité") for part in text]
        assert english.encode(swapped) == english.encode(text)


def test_every_finding_is_stated_in_results_and_conclusion_and_never_invented(studies: list):
    """One key word per finding stands in both sections exactly when the finding is there; negations aside."""
    keys = {
        "fracture": "racture ",
        "hairline_fracture": "issure",
        "osteoarthritis": "rthrose",
        "open_growth_plates": "croissance",
        "enostosis": "nostose",
        "effusion": "panchement articulaire",
    }
    negated = ("Pas de ", "Absence de ", "Absence d'")
    for study in studies:
        _, _, *told = (text for _, text in write_body(study.visit, np.random.default_rng(study.seed)).sections)
        truth = study.visit.findings.labels()
        for text in told:
            stated = [sentence for sentence in text.split(". ") if not sentence.startswith(negated)]
            for label, key in keys.items():
                found = any(key in sentence.replace("Gonarthrose", "arthrose") for sentence in stated)
                assert found == truth[label], (label, text)


def test_normal_reports_repeat_word_for_word(studies: list):
    """A good part of all studies shows nothing, in as many wordings as there are."""
    bodies: dict[tuple[str, ...], int] = defaultdict(int)
    for study in studies:
        if not any(study.visit.findings.labels().values()) and not study.visit.findings.grade:
            body = write_body(study.visit, np.random.default_rng(study.seed))
            assert not body.planted
            bodies[tuple(text for _, text in body.sections)] += 1
    assert len(bodies) == len(NORMAL)
    assert 0.12 < sum(bodies.values()) / len(studies) < 0.35


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("inverted", [False, True])
def test_stored_pixels_come_back_to_the_last_bit(tmp_path: Path, studies: list, syntax: str, bits: int, inverted: bool):
    """Every transfer syntax is lossless, and pydicom reads what was written."""
    study = studies[0]
    storage = Storage(bits == 12, bits, inverted, True, bits == 16, syntax, latin=inverted)
    pixels = stored(radiograph(study.visit.skeleton, HEALTHY, "AP", True, np.random.default_rng(0))[0], storage)
    save(build(study.header, "AP", 1, pixels, storage), tmp_path / "image")
    read = pydicom.dcmread(tmp_path / "image")
    assert read.file_meta.TransferSyntaxUID == syntax
    assert_array_equal(read.pixel_array, pixels)
    assert str(read.PatientName) == study.header.patient.dicom
    assert read.PhotometricInterpretation == ("MONOCHROME1" if inverted else "MONOCHROME2")


def test_the_window_covers_the_displayed_range(studies: list):
    """Its lower edge is what 0 is stored as, its upper edge what 1 is, after the rescale (PS3.3 C.11.2.1.2)."""
    header: StudyHeader = studies[0].header
    for digital, bits, rescaled in ((True, 12, False), (False, 16, True)):
        storage = Storage(digital, bits, False, True, rescaled, SYNTAXES[0], latin=False)
        dataset = build(header, "AP", 1, stored(np.array([[0.0, 1.0]]), storage), storage)
        values = dataset.pixel_array * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
        c, w = float(dataset.WindowCenter), float(dataset.WindowWidth)
        shown = (values - (c - 0.5)) / (w - 1) + 0.5
        assert shown == pytest.approx(np.array([[0, 1]]), abs=1e-3)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_people(hospital: Path, tmp_path: Path):
    """Byte for byte, in every file."""
    write_hospital(tmp_path / "again", NUM_PATIENTS, 3, silent)
    assert digests(tmp_path / "again") == digests(hospital)
    write_hospital(tmp_path / "other", 2, 4, silent)
    assert not set(digests(tmp_path / "other" / "dicom").values()) & set(digests(hospital / "dicom").values()) - {
        hashlib.sha256((hospital / "dicom" / "LISEZMOI.txt").read_bytes()).hexdigest()
    }


def test_identities_stand_in_their_documents(hospital: Path):
    """Every planted string is in the text of the PDF, or is a value of the DICOM header, exactly as written."""
    planted: dict[str, list[str]] = defaultdict(list)
    for line in lines(hospital / "truth" / "identities.jsonl"):
        planted[line["document"]].append(line["string"])
    for name, strings in planted.items():
        path = hospital / name
        if path.suffix == ".pdf":
            with pypdfium2.PdfDocument(path) as document:
                text = document[0].get_textpage().get_text_range()
        else:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            text = "\n".join(str(element.value) for element in dataset)
        assert [string for string in strings if string not in text] == [], name
    reports = {name for name in planted if name.endswith(".pdf")}
    assert reports == {f"reports/{path.name}" for path in (hospital / "reports").iterdir()}


def test_every_study_is_labelled_and_its_report_names_its_accession_number(hospital: Path):
    """DICOM files that are no traps have a row in labels.csv, and exactly one report."""
    traps = {line["path"] for line in lines(hospital / "truth" / "traps.jsonl")}
    rows = {row["accession_number"]: row for row in labels(hospital)}
    seen = set()
    for path in (hospital / "dicom").rglob("*"):
        if not path.is_file() or path.relative_to(hospital).as_posix() in traps:
            continue
        dataset = pydicom.dcmread(path)
        assert dataset.BodyPartExamined == rows[dataset.AccessionNumber]["body_part"]
        assert dataset.pixel_array.max() > dataset.pixel_array.min()
        seen.add(dataset.AccessionNumber)
    assert seen == set(rows)
    reported = [
        line["string"]
        for line in lines(hospital / "truth" / "identities.jsonl")
        if line["document"].endswith(".pdf") and line["kind"] == "id" and line["document"] not in traps
    ]
    assert all(reported.count(accession_number) == 1 for accession_number in rows)


def test_a_hospital_is_a_labelled_corpus_of_its_own(hospital: Path):
    """Every labelled image, none of a trap; labels of its study; a mask of its size where it shows a finding."""
    corpus = phantom.read(hospital)
    told = {row["accession_number"]: row for row in labels(hospital)}
    assert {image.study for image in corpus.images} == set(told)
    for image in corpus.images:
        assert image.labels["fracture"] == float(told[image.study]["fracture"])
        assert corpus.targets["body_part"].levels[int(image.labels["body_part"])] == told[image.study]["body_part"]
        if image.mask is not None:
            assert image.pixels().shape == read_pixels(image.mask).shape
    healthy = [image for image in corpus.images if not any(image.labels.get(name) for name in LABELS)]
    assert healthy
    assert not any(image.mask for image in healthy if not image.labels["open_growth_plates"])
    assert any(image.mask for image in corpus.images)


def test_traps_are_really_there(hospital: Path):
    """A CT, a header alone, a cut file, a text, reports and images without their counterpart, an empty report."""
    traps = {line["path"]: line["why"] for line in lines(hospital / "truth" / "traps.jsonl")}
    assert all((hospital / path).is_file() for path in traps)
    by_name = {Path(path).name: hospital / path for path in traps}
    assert pydicom.dcmread(by_name["CT000001.dcm"]).Modality == "CT"
    assert "PixelData" not in pydicom.dcmread(by_name["SR000001.dcm"])
    with pytest.raises(ValueError, match="less than expected"):
        _ = pydicom.dcmread(by_name["IM000090.dcm"]).pixel_array
    with pytest.raises(pydicom.errors.InvalidDicomError):
        pydicom.dcmread(by_name["LISEZMOI.txt"])
    assert len([why for why in traps.values() if why == "its study has no image"]) == 2


def test_planted_effects_name_findings_and_arms_of_the_demo(hospital: Path):
    """Each names a label of the phantom; truth/effects.json holds just these."""
    assert [(e["finding"], e["axis"], e["better"]) for e in json.loads((hospital / "truth/effects.json").read_text())] == [
        ("hairline_fracture", "image.resolution", "128"),
        ("effusion", "data.sampling.images", ["all", "one", "pooled"]),
        ("enostosis", "text", "tiny-fr"),
    ]
    assert {effect["finding"] for effect in EFFECTS} <= set(LABELS)


def test_an_output_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path):
    """Nothing is overwritten, nothing half-written stays behind; an empty folder is fine."""
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UserError, match="not an empty folder"):
        write_hospital(tmp_path, 1, 0, silent)
    with pytest.raises(UserError, match="at least one patient"):
        write_hospital(tmp_path / "new", 0, 0, silent)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_hospital(tmp_path / "new", 1, 0, interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    counts = write_hospital(tmp_path / "empty", 1, 0, silent)
    assert counts["patients"] == 1
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {"dicom", "reports", "truth"}
