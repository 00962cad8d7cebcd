"""Public corpora are read in the layout they are published in; here a few made-up rows of each, with images of a few pixels."""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from radsweep.datasets.corpora import (
    chexpert,
    covidx,
    files,
    fracatlas,
    grazpedwri,
    mimic_cxr,
    mura,
    nih14,
    oai,
    padchest,
    phantom,
    rsna_bone_age,
    rsna_pneumonia,
    siim,
    table,
    vindr_cxr,
)
from radsweep.datasets.corpora.files import Published
from radsweep.datasets.labelled import Box, Labelled, LabelledImage, Target, split_of
from radsweep.datasets.refusal import Refused, UserError

WIDTH, HEIGHT = 8, 4


def image(path: Path) -> None:
    """An image file of 8 x 4 pixels; what it is, its content says, so a PNG stands for DICOM too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(path, "PNG")


def sheet(path: Path, header: Sequence[str] | None, *lines: Sequence[object]) -> None:
    """A CSV file, gzipped where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text).writerows([*([header] if header else []), *lines])
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def by_study(corpus: Labelled) -> dict[str, LabelledImage]:
    return {one.study: one for one in corpus.images}


def make_mura(folder: Path) -> None:
    studies = {
        "train": ["XR_WRIST/patient00001/study1_positive", "XR_HAND/patient00001/study1_negative"],
        "valid": ["XR_ELBOW/patient11185/study1_negative"],
    }
    for part, names in studies.items():
        paths = [f"MURA-v1.1/{part}/{name}/image{number}.png" for name in names for number in (1, 2)]
        for path in paths:
            image(folder / path)
        sheet(folder / f"MURA-v1.1/{part}_image_paths.csv", None, *([path] for path in paths))
        labels = [[f"MURA-v1.1/{part}/{name}/", int("positive" in name)] for name in names]
        sheet(folder / f"MURA-v1.1/{part}_labeled_studies.csv", None, *labels)


def make_bone_age(folder: Path) -> None:
    sheet(folder / "boneage-training-dataset.csv", ["id", "boneage", "male"], [1377, 180, "False"], [1378, "", "True"])
    validation = folder / "Bone Age Validation Set"
    sheet(
        validation / "Validation Dataset.csv",
        ["Image ID", "male", "Bone Age (months)"],
        [1386, "TRUE", 168.9],
        [10018, "FALSE", 12],
    )
    for name in (1377, 1378):
        image(folder / f"boneage-training-dataset/{name}.png")
    image(validation / "boneage-validation-dataset-1/1386.png")
    image(validation / "boneage-validation-dataset-2/10018.png")


def make_fracatlas(folder: Path) -> None:
    root = folder / "FracAtlas"
    header = ["image_id", "hand", "hardware", "multiscan", "fractured", "fracture_count"]
    sheet(root / "dataset.csv", header, ["IMG1.jpg", 1, 0, 0, 1, 2], ["IMG2.jpg", 0, 1, 0, 0, 0], ["IMG3.jpg", 0, 0, 0, 1, 1])
    coco = {
        "images": [{"id": 7, "file_name": "IMG1.jpg", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "fractured"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [1, 1, 3, 2]},
            {"image_id": 7, "category_id": 1, "bbox": [5, 0, 1, 1]},
        ],
    }
    (root / "Annotations/COCO JSON").mkdir(parents=True)
    (root / "Annotations/COCO JSON/COCO_fracture_masks.json").write_text(json.dumps(coco))
    for name in ("Fractured/IMG1", "Non_fractured/IMG2", "Fractured/IMG3"):
        image(root / f"images/{name}.jpg")


def make_grazpedwri(folder: Path) -> None:
    header = ["filestem", "patient_id", "gender", "cast", "diagnosis_uncertain", "osteopenia", "fracture_visible", "metal"]
    stems = ["0001_1_01_WRI-L1_M014", "0001_1_01_WRI-L2_M014", "0002_2_01_WRI-R1_F009"]
    sheet(
        folder / "dataset.csv",
        header,
        [stems[0], 1, "M", "", "", "", "1.0", ""],
        [stems[1], 1, "M", "1.0", "1.0", "", "", ""],
        [stems[2], 2, "F", "", "", "", "", ""],
    )
    for part, stem in zip((1, 2, 4), stems, strict=True):
        image(folder / f"images_part{part}/{stem}.png")
    labels = folder / "folder_structure/yolov5/labels"
    labels.mkdir(parents=True)
    (labels / f"{stems[0]}.txt").write_text("8 0.1 0.1 0.1 0.1\n3 0.5 0.5 0.25 0.5\n")
    (labels / f"{stems[1]}.txt").write_text("8 0.1 0.1 0.1 0.1\n")


def make_oai(folder: Path) -> None:
    kl, hka = ["ID", "RXRKL", "LXRKL", "file"], ["ID", "RHKA", "LHKA", "Rfemlen", "file"]
    for split, patient in (("train", 9000001), ("val", 9000002), ("test", 9000003)):
        sheet(folder / f"kl_{split}.csv", kl, [patient, 2, "" if split == "test" else 0, f"knee{patient}.png"])
        sheet(folder / f"hka_{split}.csv", hka, [patient, -3.5, 1.25, 44, f"leg{patient}.png"])
        image(folder / f"images/knee{patient}.png")
        image(folder / f"images/leg{patient}.png")


def make_pneumonia(folder: Path) -> None:
    sheet(
        folder / "stage_2_train_labels.csv",
        ["patientId", "x", "y", "width", "height", "Target"],
        ["a1", "", "", "", "", 0],
        ["b2", 1.0, 1.0, 2.0, 3.0, 1],
        ["b2", 5.0, 0.0, 2.0, 2.0, 1],
    )
    for name in ("a1", "b2"):
        image(folder / f"stage_2_train_images/{name}.dcm")


def make_chexpert(folder: Path) -> None:
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *chexpert.FINDINGS]
    unsaid = [""] * (len(chexpert.FINDINGS) - 3)
    root = "CheXpert-v1.0-small"
    train = [f"{root}/train/patient00001/study1/view{view}.jpg" for view in ("1_frontal", "2_lateral")]
    valid = f"{root}/valid/patient64541/study1/view1_frontal.jpg"
    sheet(folder / root / "train.csv", header, *([path, "Female", 68, "", "", "1.0", "0.0", "-1.0", *unsaid] for path in train))
    sheet(folder / root / "valid.csv", header, [valid, "Male", 73, "Frontal", "AP", *["0.0"] * len(chexpert.FINDINGS)])
    for path in (*train, valid):
        image(folder / path)


def make_covidx(folder: Path) -> None:
    lists = {
        "train": ["3 a b.jpeg positive cohen", "3 c.png negative rsna"],
        "test": ["419639-003251 MIDRC-0.png positive ricord"],
    }
    for part, lines in lists.items():
        for line in lines:
            image(folder / part / line.split(maxsplit=1)[1].rsplit(maxsplit=2)[0])
        (folder / f"{part}.txt").write_text("\n".join(lines) + "\n")


def make_siim(folder: Path) -> None:
    # 10 pixels down the third column from row 5 on; then one pixel in the next column, in row 7.
    region = f"{2 * 1024 + 5} 10 {1024 - 8} 1"
    sheet(
        folder / "train-rle.csv",
        ["ImageId", " EncodedPixels"],
        ["1.2.4.1", f" {region}"],
        ["1.2.4.1", "0 3"],
        ["1.2.4.2", " -1"],
    )
    for name in ("1.2.4.1", "1.2.4.2", "1.2.4.3"):
        image(folder / f"dicom-images-train/1.2.2/1.2.3/{name}.dcm")


def make_nih14(folder: Path) -> None:
    sheet(
        folder / "Data_Entry_2017_v2020.csv",
        ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Sex", "View Position"],
        ["00000001_000.png", "Cardiomegaly|Emphysema", 0, 1, 57, "M", "PA"],
        ["00000001_001.png", "No Finding", 1, 1, 58, "M", "PA"],
        ["00000003_000.png", "Infiltration", 0, 3, 74, "F", "AP"],
    )
    (folder / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000003_000.png,Infiltrate,1.5,2,3,1,,,\n"
    )
    (folder / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (folder / "test_list.txt").write_text("00000003_000.png")
    image(folder / "images_001/images/00000001_000.png")
    image(folder / "images_001/images/00000001_001.png")
    image(folder / "images_002/images/00000003_000.png")


def make_vindr_cxr(folder: Path) -> None:
    corners = ["x_min", "y_min", "x_max", "y_max"]
    sheet(
        folder / "annotations/image_labels_train.csv",
        ["image_id", "rad_id", "Cardiomegaly", "Edema", "Other diseases", "No finding"],
        ["a", "R1", 1, 1, "", 0],
        ["a", "R2", 1, 0, "", 0],
        ["a", "R3", 0, 0, "", 1],
    )
    sheet(
        folder / "annotations/annotations_train.csv",
        ["image_id", "rad_id", "class_name", *corners],
        ["a", "R1", "Cardiomegaly", 1, 1, 5, 3],
        ["a", "R1", "Edema", 0, 0, 1, 1],
        ["a", "R2", "Cardiomegaly", 1, 0, 6, 3],
        ["a", "R3", "No finding", "", "", "", ""],
    )
    sheet(
        folder / "annotations/image_labels_test.csv",
        ["image_id", "Cardiomegaly", "Edema", "Other disease", "No finding"],
        ["b", 0, 0, 1, 0],
    )
    sheet(folder / "annotations/annotations_test.csv", ["image_id", "class_name", *corners])
    image(folder / "train/a.dicom")
    image(folder / "test/b.dicom")


def make_mimic_cxr(folder: Path) -> None:
    ids = [("d1", 50414267, 10000032, "train"), ("d2", 50414267, 10000032, "train"), ("d3", 5, 10000764, "validate")]
    ids.append(("d4", 6, 19000001, "test"))
    sheet(folder / "mimic-cxr-2.0.0-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], *ids)
    findings = sorted(chexpert.FINDINGS)
    said = ["1.0", "0.0", "-1.0", *[""] * (len(findings) - 3)]
    sheet(
        folder / "mimic-cxr-2.0.0-chexpert.csv.gz",
        ["subject_id", "study_id", *findings],
        [10000032, 50414267, *said],
        [19000001, 6, *[""] * len(findings)],
    )
    for dicom, study, patient, _ in ids:
        image(folder / f"files/p{str(patient)[:2]}/p{patient}/s{study}/{dicom}.jpg")
    (folder / "files/p10/p10000032/s50414267.txt").write_text("  FINAL REPORT\n Normal heart.\n")


def make_padchest(folder: Path) -> None:
    header = ["", "ImageID", "ImageDir", "StudyID", "PatientID", "PatientSex_DICOM", "Report", "MethodLabel", "Labels"]
    sheet(
        folder / f"{padchest.TABLE}.gz",
        header,
        [0, "1.png", 0, "s1", "p1", "M", "cardiomegali . ", "Physician", "['cardiomegaly', ' pleural effusion', '']"],
        [1, "2.png", 0, "s1", "p1", "M", "cardiomegali . ", "Physician", "['cardiomegaly', ' pleural effusion', '']"],
        [2, "3.png", 54, "s2", "p2", "F", "sin hallazg . ", "RNN_model", "['normal', 'unchanged']"],
        [3, "4.png", 54, "s3", "p3", "O", "", "RNN_model", "['exclude', 'normal']"],
        [4, "5.png", 54, "s4", "p4", "F", "torax", "RNN_model", "nan"],
    )
    for path in ("0/1", "0/2", "54/3", "54/4", "54/5"):
        image(folder / f"{path}.png")


MAKERS: Mapping[ModuleType, tuple[Callable[[Path], None], str]] = {
    mura: (make_mura, "MURA-v1.1/train_image_paths.csv"),
    rsna_bone_age: (make_bone_age, "Bone Age Validation Set/Validation Dataset.csv"),
    fracatlas: (make_fracatlas, "FracAtlas/Annotations/COCO JSON/COCO_fracture_masks.json"),
    grazpedwri: (make_grazpedwri, "dataset.csv"),
    oai: (make_oai, "kl_test.csv"),
    rsna_pneumonia: (make_pneumonia, "stage_2_train_labels.csv"),
    chexpert: (make_chexpert, "CheXpert-v1.0-small/valid.csv"),
    covidx: (make_covidx, "test.txt"),
    siim: (make_siim, "train-rle.csv"),
    nih14: (make_nih14, "test_list.txt"),
    vindr_cxr: (make_vindr_cxr, "annotations/annotations_train.csv"),
    mimic_cxr: (make_mimic_cxr, "mimic-cxr-2.0.0-split.csv.gz"),
    padchest: (make_padchest, f"{padchest.TABLE}.gz"),
}


def made(module: ModuleType, folder: Path) -> Labelled:
    MAKERS[module][0](folder)
    return module.read(folder)


@pytest.fixture(params=MAKERS, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


def test_every_module_has_a_test() -> None:
    """Each module of the folder but the shared one, the table and the phantom (test_phantom.py) is in the list above."""
    folder = Path(files.__file__).parent
    others = {Path(str(module.__file__)) for module in (files, table, phantom)}
    assert {Path(str(module.__file__)) for module in MAKERS} == set(folder.glob("*.py")) - others


def test_missing_folder_says_where_to_get_it(module: ModuleType, tmp_path: Path) -> None:
    """The error names the corpus, the folder, the source and its terms."""
    with pytest.raises(UserError) as error:
        module.read(tmp_path / "nowhere")
    assert all(part in str(error.value) for part in (module.TITLE, str(tmp_path / "nowhere"), module.WHERE))
    assert "http" in module.WHERE


def test_missing_table_says_where_it_was_looked_for(module: ModuleType, tmp_path: Path) -> None:
    """Without one of its tables a corpus is refused, with the place of that table and the source."""
    make, lost = MAKERS[module]
    make(tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(UserError) as error:
        module.read(tmp_path)
    assert str(tmp_path / lost).removesuffix(".gz") in str(error.value)
    assert module.WHERE in str(error.value)


def test_missing_images_are_counted(module: ModuleType, tmp_path: Path) -> None:
    """Image files that the tables name and the disk lacks are refused with the first one and their number."""
    sources = [one.source for one in made(module, tmp_path).images]
    lost = [path for path in sources[-2:] if isinstance(path, Path)]
    for path in lost:
        path.unlink()
    with pytest.raises(UserError) as error:
        module.read(tmp_path)
    assert f"{len(lost)} image files" in str(error.value)
    assert lost[0].name in str(error.value)
    assert module.WHERE in str(error.value)


def test_a_few_missing_images_are_left_out(tmp_path: Path) -> None:
    """One of fifty is missing from the archive: a note counts it and names nothing; two of fifty are refused."""
    paths = [tmp_path / f"{i}.png" for i in range(50)]
    for path in paths:
        path.write_bytes(b"an image")
    images = [LabelledImage(path, path.stem, path.stem, "test") for path in paths]
    corpus = Published("Bones", "From there.", tmp_path)
    assert corpus.labelled("bones", {}, images, "A note.").notes == ("A note.",)
    paths[7].unlink()
    told = corpus.labelled("bones", {}, images, "A note.")
    assert [one.study for one in told.images] == [path.stem for path in paths if path != paths[7]]
    assert told.notes == ("A note.", "1 of 50 images that its tables name are not there, and are left out")
    paths[9].unlink()
    with pytest.raises(UserError, match=r"2 image files that its tables name are missing, first .*7\.png\. From there\."):
        corpus.labelled("bones", {}, images)


def test_images_can_be_seen_and_patients_stay_together(module: ModuleType, tmp_path: Path) -> None:
    """Every image decodes; no patient is in two splits; labels have a target, and classes and grades one of their levels."""
    corpus = made(module, tmp_path)
    splits: dict[str, set[str]] = {}
    for one in corpus.images:
        assert one.pixels().shape == (HEIGHT, WIDTH)
        splits.setdefault(one.patient, set()).add(one.split)
        for name, value in one.labels.items():
            target = corpus.targets[name]
            assert target.kind == "number" or value in range(len(target.levels) or 2)
    assert all(len(own) == 1 for own in splits.values())
    assert set().union(*splits.values()) <= {"train", "val", "test"}


def test_mura_labels_studies(tmp_path: Path) -> None:
    """Images of a study share its label; validation studies are the test set; the region is the one of the path."""
    corpus = made(mura, tmp_path)
    assert len(corpus.images) == 6
    studies = by_study(corpus)
    wrist = studies["train/XR_WRIST/patient00001/study1_positive"]
    hand = studies["train/XR_HAND/patient00001/study1_negative"]
    elbow = studies["valid/XR_ELBOW/patient11185/study1_negative"]
    assert (wrist.labels["abnormal"], hand.labels["abnormal"], elbow.labels["abnormal"]) == (1, 0, 0)
    assert corpus.targets["region"].levels[int(wrist.labels["region"])] == "wrist"
    assert wrist.patient == hand.patient == "patient00001"
    assert (wrist.split, elbow.split) == (split_of("patient00001", val=0.1, test=0.0), "test")
    assert corpus == mura.read(tmp_path / "MURA-v1.1")


def test_bone_age_is_in_months_with_the_sex(tmp_path: Path) -> None:
    """Both validation sets are the test set; an empty age is unknown."""
    corpus = made(rsna_bone_age, tmp_path)
    assert corpus.targets == {"bone_age": Target("number", unit="months")}
    assert [(one.labels.get("bone_age"), one.sex, one.split == "test") for one in corpus.images] == [
        (180, "F", False),
        (None, "M", False),
        (168.9, "M", True),
        (12, "F", True),
    ]


def test_bone_age_of_the_rsna_archive_and_of_kaggle(tmp_path: Path) -> None:
    """The table may be called train.csv, the training folder may be twice, and the validation set beside the others."""
    make_bone_age(tmp_path)
    (tmp_path / "boneage-training-dataset.csv").rename(tmp_path / "train.csv")
    (tmp_path / "boneage-training-dataset").rename(tmp_path / "inner")
    (tmp_path / "boneage-training-dataset").mkdir()
    (tmp_path / "inner").rename(tmp_path / "boneage-training-dataset/boneage-training-dataset")
    for path in (tmp_path / "Bone Age Validation Set").iterdir():
        path.rename(tmp_path / path.name)
    assert len(rsna_bone_age.read(tmp_path).images) == 4
    unpacked = tmp_path / "Bone Age Training Set"
    unpacked.mkdir()
    (tmp_path / "train.csv").rename(unpacked / "train.csv")
    (tmp_path / "boneage-training-dataset/boneage-training-dataset").rename(unpacked / "boneage-training-dataset")
    assert len(rsna_bone_age.read(tmp_path).images) == 4


def test_fracatlas_has_boxes(tmp_path: Path) -> None:
    """Boxes are those of the COCO file: none where nothing is broken, unknown where a fracture is not outlined."""
    studies = by_study(made(fracatlas, tmp_path))
    assert studies["IMG1.jpg"].boxes == (Box("fractured", 1, 1, 4, 3), Box("fractured", 5, 0, 6, 1))
    assert studies["IMG2.jpg"].boxes == ()
    assert studies["IMG3.jpg"].boxes is None
    assert studies["IMG2.jpg"].labels == {"fractured": 0, "hardware": 1}


def test_grazpedwri_ticks(tmp_path: Path) -> None:
    """An empty cell is absence, but an uncertain diagnosis leaves the fracture unknown; boxes of side markers are left out."""
    studies = by_study(made(grazpedwri, tmp_path))
    first, second, third = (studies[name] for name in sorted(studies))
    assert first.labels == {"fracture_visible": 1, "osteopenia": 0, "cast": 0, "metal": 0}
    assert second.labels == {"osteopenia": 0, "cast": 1, "metal": 0}
    assert (first.patient, second.patient, third.patient) == ("1", "1", "2")
    assert (first.sex, third.sex) == ("M", "F")
    assert first.boxes == (Box("fracture", 3, 1, 5, 3),)
    assert second.boxes == ()
    assert third.boxes is None


def test_grazpedwri_leaves_out_what_cannot_be_measured(tmp_path: Path) -> None:
    """A missing PNG is noted as in other corpora; of a damaged one the boxes are unknown, and whoever looks at it is told."""
    header = ["filestem", "patient_id", "gender", "cast", "diagnosis_uncertain", "osteopenia", "fracture_visible", "metal"]
    stems = [f"{i:04}_1_01_WRI-L1_M014" for i in range(60)]
    sheet(tmp_path / "dataset.csv", header, *([stem, stem[:4], "M", "", "", "", "", ""] for stem in stems))
    labels = tmp_path / "folder_structure/yolov5/labels"
    labels.mkdir(parents=True)
    for stem in stems:
        image(tmp_path / f"images_part1/{stem}.png")
        (labels / f"{stem}.txt").write_text("3 0.5 0.5 0.25 0.5\n")
    (tmp_path / f"images_part1/{stems[0]}.png").unlink()
    (tmp_path / f"images_part1/{stems[1]}.png").write_bytes(b"no image")
    corpus = grazpedwri.read(tmp_path)
    assert corpus.notes == ("1 of 60 images that its tables name are not there, and are left out",)
    damaged, *whole = corpus.images
    assert [one.study for one in corpus.images] == stems[1:]
    assert damaged.boxes is None
    with pytest.raises(Refused):
        damaged.pixels()
    assert {one.boxes for one in whole} == {(Box("fracture", 3, 1, 5, 3),)}


def test_oai_reads_grades_and_angles(tmp_path: Path) -> None:
    """Grades of both knees and angles of both legs; files name the split; an empty grade is unknown."""
    corpus = made(oai, tmp_path)
    assert corpus.targets["left_kl"] == Target("grade", ("0", "1", "2", "3", "4"))
    assert corpus.targets["right_hka"] == Target("number", unit="degrees")
    studies = by_study(corpus)
    assert studies["knee9000001.png"].labels == {"right_kl": 2, "left_kl": 0}
    assert studies["knee9000003.png"].labels == {"right_kl": 2}
    assert studies["leg9000002.png"].labels == {"right_hka": -3.5, "left_hka": 1.25}
    assert [one.split for one in corpus.images[:3]] == ["train", "val", "test"]


def test_oai_reads_one_of_the_groups_alone(tmp_path: Path) -> None:
    """Without tables of angles only grades are read; without any table the folder is refused; a fifth grade is none."""
    make_oai(tmp_path)
    for path in tmp_path.glob("hka_*.csv"):
        path.unlink()
    assert set(oai.read(tmp_path).targets) == {"right_kl", "left_kl"}
    sheet(tmp_path / "kl_val.csv", ["ID", "RXRKL", "LXRKL", "file"], [9000002, 5, 0, "knee9000002.png"])
    with pytest.raises(UserError, match="no Kellgren-Lawrence grade"):
        oai.read(tmp_path)
    for path in tmp_path.glob("kl_*.csv"):
        path.unlink()
    with pytest.raises(UserError, match=r"hka_train\.csv"):
        oai.read(tmp_path)


def test_oai_merges_what_two_tables_say_of_a_film(tmp_path: Path) -> None:
    """One film of knees and legs is one study with grades and angles; of two participants or with two grades it is refused."""
    make_oai(tmp_path)
    sheet(tmp_path / "hka_test.csv", ["ID", "RHKA", "LHKA", "file"], [9000003, 1.5, -2, "knee9000003.png"])
    corpus = oai.read(tmp_path)
    (film,) = (one for one in corpus.images if one.patient == "9000003")
    assert {"right_hka", "left_hka"} < film.labels.keys()
    assert {"right_kl", "left_kl"} & film.labels.keys()
    sheet(tmp_path / "hka_test.csv", ["ID", "RHKA", "LHKA", "file"], [9000009, 1.5, -2, "knee9000003.png"])
    with pytest.raises(UserError, match=r"study knee9000003\.png is of two patients"):
        oai.read(tmp_path)
    twice = [[9000003, grade, "", "knee9000003.png"] for grade in (2, 3)]
    sheet(tmp_path / "kl_test.csv", ["ID", "RXRKL", "LXRKL", "file"], *twice)
    with pytest.raises(UserError, match=r"kl_test\.csv: the rows of knee9000003\.png disagree"):
        oai.read(tmp_path)


def test_oai_refuses_a_participant_in_two_splits(tmp_path: Path) -> None:
    """Knees in train and legs of the same participant in test are not accepted."""
    make_oai(tmp_path)
    sheet(tmp_path / "hka_test.csv", ["ID", "RHKA", "LHKA", "file"], [9000001, 0, 0, "leg9000001.png"])
    with pytest.raises(UserError, match="9000001 is in two splits"):
        oai.read(tmp_path)


def test_rsna_pneumonia_gathers_the_boxes_of_an_image(tmp_path: Path) -> None:
    """Rows of one image become its boxes; an image without pneumonia has none."""
    studies = by_study(made(rsna_pneumonia, tmp_path))
    assert studies["a1"].labels == {"pneumonia": 0}
    assert studies["a1"].boxes == ()
    assert studies["b2"].labels == {"pneumonia": 1}
    assert studies["b2"].boxes == (Box("pneumonia", 1, 1, 3, 4), Box("pneumonia", 5, 0, 7, 2))


def test_rsna_pneumonia_knows_patients_by_the_mapping(tmp_path: Path) -> None:
    """With RSNA's mapping beside the table, two images of one NIH patient are of one patient."""
    make_pneumonia(tmp_path)
    mapping = [{"subset_img_id": "a1", "img_id": "00013118_008.png"}, {"subset_img_id": "b2", "img_id": "00013118_009.png"}]
    (tmp_path / rsna_pneumonia.MAPPING).write_text(json.dumps(mapping))
    assert {one.patient for one in rsna_pneumonia.read(tmp_path).images} == {"00013118"}


def test_chexpert_is_read_in_the_batches_it_comes_in(tmp_path: Path) -> None:
    """Tables and validation images in the first, training patients without their folder in another: as if put together."""
    expected = made(chexpert, tmp_path / "together")
    (whole,) = (tmp_path / "together").iterdir()
    first, second = (tmp_path / "apart" / f"CheXpert-v1.0 batch {name}" for name in ("1 (validate & csv)", "2 (train 1)"))
    first.parent.mkdir()
    shutil.copytree(whole, first, ignore=shutil.ignore_patterns("train"))
    shutil.copytree(whole / "train", second)
    told = chexpert.read(tmp_path / "apart")
    assert [(one.study, one.labels, one.split) for one in told.images] == [
        (one.study, one.labels, one.split) for one in expected.images
    ]
    assert {one.source.parents[2].name for one in told.images if one.split != "test"} == {second.name}
    shutil.rmtree(second)
    with pytest.raises(UserError, match="image files that its tables name are missing"):
        chexpert.read(tmp_path / "apart")


def test_chexpert_leaves_out_what_is_uncertain_or_unsaid(tmp_path: Path) -> None:
    """-1 and an empty cell are no labels; views of a study are one study; the radiologists' set is the test set."""
    corpus = made(chexpert, tmp_path)
    frontal, lateral, valid = corpus.images
    assert frontal.labels == lateral.labels == {"No Finding": 1, "Enlarged Cardiomediastinum": 0}
    assert frontal.study == lateral.study == "train/patient00001/study1"
    assert set(valid.labels) == set(corpus.targets)
    assert len(corpus.targets) == 14
    assert (valid.split, valid.sex, frontal.sex) == ("test", "M", "F")
    assert frontal.split == split_of("patient00001", val=0.1, test=0.0)


def test_covidx_reads_its_lists(tmp_path: Path) -> None:
    """File names may hold spaces; equal numbers in two collections are two patients; without val.txt train is carved."""
    corpus = made(covidx, tmp_path)
    assert corpus.targets == {"covid19": Target("binary")}
    assert [one.labels["covid19"] for one in corpus.images] == [1, 0, 1]
    assert [one.patient for one in corpus.images] == ["cohen:3", "rsna:3", "ricord:419639-003251"]
    assert corpus.images[0].split == split_of("cohen:3", val=0.1, test=0.0)
    assert corpus.images[2].split == "test"


def test_covidx_says_which_collections_name_no_patients(tmp_path: Path) -> None:
    """Lines of fig1, rsna and sirm begin with the image's name: a note counts them, and is left out where all name patients."""
    make_covidx(tmp_path)
    uuid = "47c78742-4998-4878-aec4-37b11b1354ac"
    lines = [
        f"{uuid} {uuid}.png negative rsna",
        "COVID_254 COVID(254).png positive sirm",
        "COVID_255 COVID(255).png positive sirm",
        "COVID-00003a COVID-00003a.jpg positive fig1",
        "101 1.jpg negative cohen",
        "101 2.jpg negative cohen",
    ]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    for line in lines:
        image(tmp_path / "train" / line.split()[1])
    corpus = covidx.read(tmp_path)
    assert corpus.notes == (f"of 4 images (fig1, rsna, sirm) {files.NAMELESS}",)
    assert len({one.patient for one in corpus.images}) == 6
    (tmp_path / "train.txt").write_text("\n".join(lines[-2:]))
    assert covidx.read(tmp_path).notes == ()


def test_covidx_with_a_validation_list_and_three_classes(tmp_path: Path) -> None:
    """A published val.txt is kept as it is; three classes are one target; another line is refused."""
    make_covidx(tmp_path)
    (tmp_path / "train.txt").write_text("3 a b.jpeg COVID-19 cohen\n3 c.png normal rsna\n")
    (tmp_path / "test.txt").write_text("419639-003251 MIDRC-0.png COVID-19 ricord\n")
    (tmp_path / "val.txt").write_text("x v.png pneumonia rsna\n")
    image(tmp_path / "val/v.png")
    corpus = covidx.read(tmp_path)
    assert corpus.targets == {"diagnosis": Target("classes", ("COVID-19", "normal", "pneumonia"))}
    assert {one.patient: (one.split, one.labels["diagnosis"]) for one in corpus.images} == {
        "cohen:3": ("train", 0),
        "rsna:3": ("train", 1),
        "rsna:x": ("val", 2),
        "ricord:419639-003251": ("test", 0),
    }
    (tmp_path / "val.txt").write_text("x v.png\n")
    with pytest.raises(UserError, match=r"val\.txt"):
        covidx.read(tmp_path)


def test_covidx_knows_its_classes(tmp_path: Path) -> None:
    """In any case of letters; another spelling is no third class."""
    make_covidx(tmp_path)
    (tmp_path / "train.txt").write_text("3 a b.jpeg Positive cohen\n3 c.png NEGATIVE rsna\n")
    assert [one.labels["covid19"] for one in covidx.read(tmp_path).images] == [1, 0, 1]
    (tmp_path / "train.txt").write_text("3 a b.jpeg positive cohen\n3 c.png none rsna\n")
    with pytest.raises(UserError, match=r"train\.txt: the line '3 c\.png none rsna' is of the class none; .*positive or"):
        covidx.read(tmp_path)
    (tmp_path / "train.txt").write_text("3 a b.jpeg positive cohen\n3 c.png normal rsna\n")
    with pytest.raises(UserError, match=r"mix classes .normal, positive.: they are negative, positive or covid-19, normal"):
        covidx.read(tmp_path)


COCO = "Annotations/COCO JSON/COCO_fracture_masks.json"
COCO_OF_WORDS = json.dumps(
    {
        "images": [{"id": 7, "file_name": "IMG1.jpg"}],
        "categories": [{"id": 1, "name": "fractured"}],
        "annotations": [{"image_id": 7, "category_id": 1, "bbox": ["left", "top", "width", "height"]}],
    }
)
DAMAGES: list[tuple[ModuleType, str, str | bytes, str]] = [
    (mura, "train_labeled_studies.csv", "MURA-v1.1/train/XR_WRIST/p1/study1_positive/\n", "has 1 cells; 2 are expected"),
    (mura, "train_labeled_studies.csv", "train/XR_WRIST/p1/study1_positive/,1\n", "train/XR_WRIST/p1/.* is no study of MURA"),
    (mura, "train_image_paths.csv", "train/XR_WRIST/p1/study1_positive/image1.png\n", "is no study of MURA"),
    (mura, "train_image_paths.csv", "MURA-v1.1/train/XR_KNEE/p1/study1_positive/image1.png\n", "is no study of MURA"),
    (mimic_cxr, "mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,split\nd,1,10,dev\n", "split 'dev', which is none"),
    (fracatlas, COCO, "{", r"COCO_fracture_masks\.json is not of the published form"),
    (fracatlas, COCO, '{"images": []}', "is not of the published form .KeyError: 'categories'"),
    (fracatlas, COCO, COCO_OF_WORDS, "is not of the published form .ValueError: .*'left'"),
    (rsna_pneumonia, rsna_pneumonia.MAPPING, '{"a": 1}', "is not of the published form"),
    (nih14, "BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,1,2\n", "has 4 cells; 6 are"),
    (vindr_cxr, "annotations/annotations_train.csv", "imag\xe9".encode("latin-1"), "is not in UTF-8 .*iconv"),
    (padchest, f"{padchest.TABLE}.gz", b"no archive", "cannot be read as a table"),
    (padchest, f"{padchest.TABLE}.gz", gzip.compress(b"\xe9"), r"is not in UTF-8 .*zcat '.*\.gz' . iconv"),
    (nih14, "test_list.txt", b"\xe9.png", r"test_list\.txt is not in UTF-8"),
    (covidx, "train.txt", b"3 \xe9.png positive cohen", r"train\.txt is not in UTF-8"),
    (mimic_cxr, "s50414267.txt", b"\xe9panchement", r"s50414267\.txt is not in UTF-8"),
    (grazpedwri, "0001_1_01_WRI-L1_M014.txt", b"\xe9", r"M014\.txt is not in UTF-8"),
    (grazpedwri, "0001_1_01_WRI-L1_M014.txt", "-1 0.5 0.5 0.1 0.1", r"M014\.txt: '-1 .*' is no box"),
]


@pytest.mark.parametrize(("module", "name", "content", "said"), DAMAGES)
def test_damaged_files_are_named(module: ModuleType, name: str, content: str | bytes, said: str, tmp_path: Path) -> None:
    """A row that is cut, a path, a split, a box or a JSON of another form, another encoding: which file, and what is wrong."""
    folder = tmp_path / "MURA-v1.1" if module is mura else tmp_path
    MAKERS[module][0](tmp_path)
    for packed in tmp_path.glob(f"**/{Path(name).name}.gz"):
        packed.unlink()
    place = next(iter(tmp_path.glob(f"**/{Path(name).name}")), folder / name)
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=said):
        module.read(tmp_path)


def test_chexpert_names_a_path_of_another_form(tmp_path: Path) -> None:
    """A path without its folders."""
    make_chexpert(tmp_path)
    (path,) = tmp_path.glob("**/train.csv")
    path.write_text(path.read_text().replace("/patient", "_patient"))
    with pytest.raises(UserError, match="is no image of CheXpert"):
        chexpert.read(tmp_path)


def test_who_is_who_is_noted_where_nobody_says(tmp_path: Path) -> None:
    """Corpora without patients say so with their results, the pneumonia challenge until RSNA's mapping has every image."""
    for module in (fracatlas, siim, vindr_cxr):
        assert made(module, tmp_path / module.__name__).notes == (files.NAMELESS,)
    assert made(mura, tmp_path / "mura").notes == ()
    make_pneumonia(tmp_path / "rsna")
    (note,) = rsna_pneumonia.read(tmp_path / "rsna").notes
    assert note.startswith(f"of 2 images {files.NAMELESS} ({rsna_pneumonia.MAPPING} from RSNA")
    mapping = [{"subset_img_id": name, "img_id": "00013118_008.png"} for name in ("a1", "b2")]
    for told, notes in ((mapping[:1], 1), (mapping, 0)):
        (tmp_path / "rsna" / rsna_pneumonia.MAPPING).write_text(json.dumps(told))
        assert len(rsna_pneumonia.read(tmp_path / "rsna").notes) == notes


@pytest.mark.parametrize("line", ["-1 0.5 0.5 0.1 0.1", "2 0.5 0.5 0.1 0.1", "0 nan 0.5 0.1 0.1", "0 0.5 0.5 inf 0.1"])
def test_a_box_has_a_class_of_the_names_and_finite_shares(line: str) -> None:
    """A class is neither counted from the end nor beyond it; the file is named."""
    with pytest.raises(UserError, match=r"^boxes\.txt: '.*' is no box"):
        files.yolo_box(line, Path("boxes.txt"), 10, 10, ("fracture", "text"))


@pytest.mark.parametrize("cell", ["inf", "-inf", "nan", "1e999", "x"])
def test_a_number_is_finite(cell: str) -> None:
    """What is none is said with its column."""
    with pytest.raises(UserError, match="which is no number"):
        files.number(cell, Path("t.csv"), "age")


def test_a_study_is_of_one_patient() -> None:
    """Two patients who share a study's name are told, and not taken for one case."""
    images = tuple(LabelledImage(b"", "s1", patient, "train") for patient in ("a", "b"))
    with pytest.raises(UserError, match="study s1 is of two patients"):
        Labelled("bone", {}, images)


def test_siim_bounds_the_outlined_regions(tmp_path: Path) -> None:
    """Each row of runs is a box, counted down the columns; -1 is absence; a file without a row is left out."""
    studies = by_study(made(siim, tmp_path))
    assert studies.keys() == {"1.2.4.1", "1.2.4.2"}
    assert studies["1.2.4.1"].labels == {"pneumothorax": 1}
    assert studies["1.2.4.1"].boxes == (Box("pneumothorax", 2, 5, 4, 15), Box("pneumothorax", 0, 0, 1, 3))
    assert studies["1.2.4.2"].labels == {"pneumothorax": 0}
    assert studies["1.2.4.2"].boxes == ()


def test_siim_box_equals_that_of_the_mask() -> None:
    """The box of random runs is the one of the mask that they draw, runs over several columns included."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        runs = rng.integers(1, 20, 6)
        mask = np.zeros(400, bool)
        place = 0
        for gap, length in runs.reshape(3, 2):
            mask[place + gap : place + gap + length] = True
            place += gap + length
        rows, columns = np.nonzero(mask.reshape(20, 20).T)
        expected = Box("pneumothorax", columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert siim.box_of(" ".join(map(str, runs)), side=20) == expected


@pytest.mark.parametrize(
    ("runs", "message"),
    [("", "no run-length"), ("1 2 3", "no run-length"), ("a b", "no run-length"), ("5 -3", "no run-length"),
     ("5 0", "no run-length"), ("1048570 7", "1048577 pixels and gaps")],
)  # fmt: skip
def test_siim_names_the_image_of_a_broken_region(runs: str, message: str, tmp_path: Path) -> None:
    """No pairs of gap and length, or one pixel more than the image has: the table, the image and what is wrong."""
    folder = tmp_path / "siim"
    folder.mkdir()
    (folder / "train-rle.csv").write_text(f"ImageId, EncodedPixels\n1.2.3,{runs}\n")
    with pytest.raises(UserError, match=rf"train-rle\.csv: image 1\.2\.3: .*{message}"):
        siim.read(folder)
    assert siim.box_of("1048570 6").bottom == siim.SIDE


def test_nih14_means_absence_by_not_listing(tmp_path: Path) -> None:
    """Findings that are not listed are absent; the test list is kept; boxes exist where someone drew them."""
    corpus = made(nih14, tmp_path)
    first, second, third = corpus.images
    assert {name for name, value in first.labels.items() if value} == {"Cardiomegaly", "Emphysema"}
    assert len(second.labels) == 14
    assert not any(second.labels.values())
    assert (first.boxes, third.boxes) == (None, (Box("Infiltration", 1.5, 2, 4.5, 3),))
    assert (first.split == second.split == split_of("1", val=0.1, test=0.0), third.split) == (True, "test")
    assert (first.sex, third.sex) == ("M", "F")


def test_nih14_refuses_a_finding_it_does_not_know(tmp_path: Path) -> None:
    """A name that is none of the 14 findings is not taken as absence of all."""
    make_nih14(tmp_path)
    header = ["Image Index", "Finding Labels", "Patient ID"]
    sheet(tmp_path / "Data_Entry_2017_v2020.csv", header, ["00000001_000.png", "Efusion", 1])
    with pytest.raises(UserError, match="Efusion"):
        nih14.read(tmp_path)


def test_vindr_takes_the_majority_of_readers(tmp_path: Path) -> None:
    """Two of three readers decide; what none answered is unknown; boxes of the minority are left out; one name per finding."""
    corpus = made(vindr_cxr, tmp_path)
    train, test = corpus.images
    assert train.labels == {"Cardiomegaly": 1, "Edema": 0, "No finding": 0}
    assert train.boxes == (Box("Cardiomegaly", 1, 1, 5, 3), Box("Cardiomegaly", 1, 0, 6, 3))
    assert test.labels == {"Cardiomegaly": 0, "Edema": 0, "Other diseases": 1, "No finding": 0}
    assert (test.split, test.boxes) == ("test", ())


def test_vindr_files_say_what_they_are_in_their_file_meta_alone(tmp_path: Path, save: Callable) -> None:
    """Published files keep sex, age and pixels: they are seen, and their SOP class is that of the file meta information."""
    make_vindr_cxr(tmp_path)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.PatientSex, dataset.PatientAge = "F", "061Y"
    dataset.Rows, dataset.Columns, dataset.PixelSpacing = HEIGHT, WIDTH, [0.14, 0.14]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME1"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = 16, 32
    stored = np.arange(WIDTH * HEIGHT, dtype="<u2").reshape(HEIGHT, WIDTH)
    dataset.PixelData = stored.tobytes()
    path = save(dataset, tmp_path / "train/a.dicom")
    assert "SOPClassUID" not in pydicom.dcmread(path)
    seen = vindr_cxr.read(tmp_path).images[0].pixels()
    assert (seen[0, 0], seen[-1, -1]) == (255, 0)
    assert (np.diff(seen.astype(int).ravel()) < 0).all()
    assert files.size(path) == (WIDTH, HEIGHT)


def test_mimic_cxr_has_reports_and_the_official_split(tmp_path: Path) -> None:
    """Both films of a study have its report and labels; a study without a report has None; validate is val."""
    first, second, third, fourth = made(mimic_cxr, tmp_path).images
    assert first.labels == second.labels == {"Atelectasis": 1, "Cardiomegaly": 0}
    assert first.report == second.report == "FINAL REPORT\n Normal heart."
    assert (third.report, third.labels, fourth.labels) == (None, {}, {})
    assert [one.split for one in (first, third, fourth)] == ["train", "val", "test"]


def test_padchest_reads_lists_and_reports(tmp_path: Path) -> None:
    """Listed findings are present and others absent; excluded and unlabelled studies have no labels but keep their report."""
    corpus = made(padchest, tmp_path)
    assert set(corpus.targets) == {"cardiomegaly", "pleural effusion", "normal"}
    first, second, third, fourth, fifth = corpus.images
    assert first.labels == second.labels == {"cardiomegaly": 1, "pleural effusion": 1, "normal": 0}
    assert third.labels == {"cardiomegaly": 0, "pleural effusion": 0, "normal": 1}
    assert (fourth.labels, fifth.labels) == ({}, {})
    assert (first.report, fourth.report, fifth.report) == ("cardiomegali .", None, "torax")
    assert (first.sex, third.sex, fourth.sex) == ("M", "F", None)
    assert first.study == second.study
    assert third.split == split_of("p2")


def listing(folder: Path, *cells: str) -> Labelled:
    """A PadChest with one study for each list of findings."""
    header = ["ImageID", "ImageDir", "StudyID", "PatientID", "PatientSex_DICOM", "Report", "Labels"]
    rows = [[f"{i}.png", 0, f"s{i}", f"p{i}", "F", "torax", cell] for i, cell in enumerate(cells)]
    sheet(folder / f"{padchest.TABLE}.gz", header, *rows)
    for i in range(len(cells)):
        image(folder / f"0/{i}.png")
    return padchest.read(folder)


@pytest.mark.parametrize(
    ("listed", "present"),
    [
        ("rib fracture", {"rib fracture", "fracture"}),
        ("vertebral fracture", {"vertebral fracture", "fracture"}),
        ("callus rib fracture", {"callus rib fracture", "rib fracture", "fracture"}),
        ("hydropneumothorax", {"hydropneumothorax", "pleural effusion", "pneumothorax"}),
        ("consolidation", {"consolidation", "alveolar pattern", "infiltrates"}),
        ("loculated fissural effusion", {"loculated fissural effusion", "fissure thickening", "pleural effusion"}),
        ("calcified pleural thickening", {"calcified pleural thickening", "calcified densities", "pleural thickening"}),
        ("adenopathy", {"adenopathy"}),
        ("fracture", {"fracture"}),
    ],
)
def test_padchest_lists_leaves_of_a_tree(listed: str, present: set[str], tmp_path: Path) -> None:
    """What comprises a listed finding is present, though no study lists it.

    What it comprises itself, and what stands beside it, stays absent.
    """
    everything = sorted({*padchest.TREE, *padchest.PARENTS} - {"fracture"})
    first, _ = listing(tmp_path, f"['{listed}']", str(everything)).images
    assert {name for name, value in first.labels.items() if value} == present
    assert first.labels.keys() == {*everything, "fracture"}


def test_padchest_tree_has_roots() -> None:
    """No finding comprises itself, and names are as the reader spells them."""
    TopologicalSorter(padchest.PARENTS).prepare()
    assert all(name == name.lower().strip() for name in padchest.PARENTS.keys() | padchest.TREE.keys())


@pytest.mark.parametrize("cell", ["['unchanged']", "['suboptimal study']", "['']", "[]", "['unchanged', ' suboptimal study']"])
def test_padchest_lists_without_a_finding_say_nothing(cell: str, tmp_path: Path) -> None:
    """Unchanged since a film that nobody describes, or badly taken, is not healthy: no labels. ``normal`` is."""
    silent, normal, _ = listing(tmp_path, cell, "['normal']", "['cardiomegaly']").images
    assert silent.labels == {}
    assert normal.labels == {"normal": 1, "cardiomegaly": 0}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's table of three images of two patients."""
    sheet(
        tmp_path / "own.csv",
        ["image", "patient_id", "visit", "broken", "bone", "angle", "stage", "fold", "note", "gender", "marks"],
        ["a.png", "p1", 1, 1, "wrist", -1.5, 2, "train", "cassé", "F", "f 0.5 0.5 0.25 0.5|g 0.25 0.5 0.5 1;f 0.5 0.5 1 1"],
        ["b.png", "p1", 1, "", "wrist", -1.5, 2, "train", "cassé", "F", ""],
        ["c.png", "p2", 1, 0, "elbow", "NA", 10, "validation", "", "", ""],
    )
    for name in "abc":
        image(tmp_path / f"{name}.png")
    return tmp_path / "own.csv"


def test_table_infers_kinds(own: Path) -> None:
    """0 and 1 are binary, words are classes, other numbers are numbers; a given kind is kept, and grades sort as numbers."""
    corpus = table.read(own, targets={"broken": None, "bone": None, "angle": None, "stage": "grade"})
    assert corpus.targets == {
        "broken": Target("binary"),
        "bone": Target("classes", ("elbow", "wrist")),
        "angle": Target("number"),
        "stage": Target("grade", ("2", "10")),
    }
    first, second, third = corpus.images
    assert first.labels == {"broken": 1, "bone": 1, "angle": -1.5, "stage": 0}
    assert second.labels == {"bone": 1, "angle": -1.5, "stage": 0}
    assert third.labels == {"broken": 0, "bone": 0, "stage": 1}
    assert (first.boxes, first.sex, first.report) == (None, None, None)
    assert first.split == second.split == split_of("p1")


def test_table_reads_every_column_it_is_told_of(own: Path) -> None:
    """Studies share labels that one of their rows lacks; splits, text, sex and boxes are read; boxes are in pixels."""
    corpus = table.read(own, study="visit", split="fold", targets={"broken": None}, text="note", sex="gender", boxes="marks")
    first, second, third = corpus.images
    assert first.study == second.study != third.study
    assert first.labels == second.labels == {"broken": 1}
    assert (first.split, third.split) == ("train", "val")
    assert (first.report, third.report, first.sex, third.sex) == ("cassé", None, "F", None)
    assert first.boxes == (Box("f", 3, 1, 5, 3), Box("g", 0, 0, 4, 4), Box("f", 0, 0, 8, 4))
    assert third.boxes == ()


def test_table_reads_the_size_of_dicom(own: Path, make_radiograph: Callable, save: Callable) -> None:
    """Boxes of a DICOM file are scaled by its rows and columns."""
    save(make_radiograph(np.zeros((6, 12), np.uint16)), own.parent / "a.png")
    boxes = table.read(own, boxes="marks").images[0].boxes
    assert boxes == (Box("f", 4.5, 1.5, 7.5, 4.5), Box("g", 0, 0, 6, 6), Box("f", 0, 0, 12, 6))
    (own.parent / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a\.png"):
        table.read(own, boxes="marks")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"patient": "patient"}, "did you mean patient_id"),
        ({"targets": {"brokn": None}}, "did you mean broken"),
        ({"boxes": "xyz"}, "Its columns: image, patient_id, visit"),
        ({"targets": {"angle": "binary"}}, "a binary target is 0 or 1"),
        ({"targets": {"bone": "number"}}, "no number"),
        ({"targets": {"bone": "grade"}}, "nothing says which grade comes after it: number them"),
        ({"split": "bone"}, "train, val or test"),
        ({"boxes": "bone"}, "class cx cy w h"),
        ({"image": "bone"}, "3 image files"),
        ({"patient": "gender"}, "names no patient"),
        ({"patient": "visit", "study": "visit", "targets": {"stage": None}}, "disagree on 'stage'"),
        ({"patient": "visit", "split": "fold"}, "in two splits"),
    ],
)
def test_table_refuses_with_a_reason(own: Path, arguments: dict, said: str) -> None:
    """A column that is not there brings up the nearest; values that do not fit name column and value."""
    with pytest.raises(UserError, match=said):
        table.read(own, **arguments)


def test_levels_that_are_numbers_are_one_however_written(own: Path) -> None:
    """2 and 2.0 are one grade, named 2; halves keep their digits."""
    own.write_text(own.read_text().replace(",-1.5,2,train,cassé,F,\n", ",-1.5,2.0,train,cassé,F,\n").replace(",10,", ",10.5,"))
    corpus = table.read(own, targets={"stage": "grade"})
    assert corpus.targets == {"stage": Target("grade", ("2", "10.5"))}
    assert [one.labels["stage"] for one in corpus.images] == [0, 0, 1]


def test_an_image_whose_study_is_unknown_is_a_study(own: Path) -> None:
    """Images of one patient are not one study because nobody wrote which they are of."""
    own.write_text(own.read_text().replace("p1,1,", "p1,,"))
    assert [one.study for one in table.read(own, study="visit").images] == ["a.png", "b.png", "p2/1"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("b.png,p1,1,,wrist", "b.png,p1,1,-1,wrist", "-1, 0 and 1: if -1 is uncertain"),
        ("b.png,p1,1", "a.png,p1,1", r"a\.png is in several rows of one study"),
        ("elbow", '"elbow" left', "cell that holds quotes stands in quotes"),
        ("visit,broken", "broken,broken", "2 columns 'broken'"),
        ("0.5 0.5 0.25 0.5", "50 50 25 50", "as shares of the image"),
        ("0.5 0.5 0.25 0.5", "0.5 0.5 -0.25 0.5", "as shares of the image"),
    ],
)
def test_a_table_that_means_something_else_is_refused(own: Path, before: str, after: str, said: str) -> None:
    """Uncertain labels, one image twice, stray quotes, two columns of one name, boxes in pixels."""
    written = own.read_text()
    assert before in written
    own.write_text(written.replace(before, after))
    with pytest.raises(UserError, match=said):
        table.read(own, targets={"broken": None}, boxes="marks")


def test_a_row_with_more_cells_than_columns_is_refused(own: Path) -> None:
    """A comma in a text that stands in no quotes moves all cells behind it; empty cells behind the last column say nothing.

    Cells that a row lacks at its end, as spreadsheets leave them out, are empty.
    """
    written = own.read_text()
    own.write_text(written.replace("cassé,F", "cassé, déplacé,F", 1))
    with pytest.raises(UserError, match=r"own\.csv, line 2, has 12 cells under 11 columns: a cell that holds commas stands in"):
        table.read(own)
    columns = {"text": "note", "sex": "gender"}
    own.write_text(written)
    expected = table.read(own, **columns)
    short = written.replace(",,,\n", "\n")
    own.write_text(short.replace(";f 0.5 0.5 1 1\n", ";f 0.5 0.5 1 1,,\n"))
    assert own.read_text() != short != written
    assert table.read(own, **columns) == expected


def test_a_table_of_a_french_spreadsheet_is_told_as_what_it_is(own: Path) -> None:
    """Semicolons, tabs and UTF-16 are named, with what to do."""
    written = own.read_text()
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        own.write_text(written.replace(",", mark))
        with pytest.raises(UserError, match=f"separates its columns by {name}: save it with commas"):
            table.read(own)
    own.write_text(written, encoding="utf-16")
    with pytest.raises(UserError, match="iconv -f utf-16 -t utf-8"):
        table.read(own)


@pytest.mark.parametrize("name", ["own.CSV", "own.csv.gz", "own.CSV.GZ"])
def test_table_is_the_same_packed(own: Path, name: str) -> None:
    """Gzipped or not, whatever the case of its letters, also in what it is called."""
    expected = table.read(own, targets={"bone": None})
    content = own.read_bytes()
    own.unlink()
    (own.parent / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    assert table.read(own.parent / name, targets={"bone": None}) == expected


@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz", "own.json"])
def test_a_file_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    """A folder in its place stands for all that the system says no to."""
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=rf"{name} cannot be read: Is a directory"):
        files.read_json(tmp_path / name, dict) if name.endswith("json") else list(files.table(tmp_path / name))


def test_table_that_is_not_there(tmp_path: Path) -> None:
    """A path without a file is said as it is."""
    with pytest.raises(UserError, match=r"no table at .*none\.csv"):
        table.read(tmp_path / "none.csv")


@pytest.mark.real_data
def test_table_reads_real_boxes(real_data: Path) -> None:
    """The public bone set: nine regions, displaced or not with some unknown, and boxes inside their images."""
    corpus = table.read(
        real_data / "bone/manifest.csv",
        patient="subject_id",
        targets={"region": None, "displaced": None, "n_boxes": "number"},
        boxes="boxes_yolo",
    )
    assert len(corpus.images) == 286
    assert len(corpus.targets["region"].levels) == 9
    assert corpus.targets["displaced"].kind == "binary"
    assert sum("displaced" not in one.labels for one in corpus.images) == 12
    for one in corpus.images:
        assert isinstance(one.source, Path)
        width, height = files.size(one.source)
        assert len(one.boxes or ()) == one.labels["n_boxes"]
        for box in one.boxes or ():
            assert -1 <= box.left < box.right <= width + 1
            assert -1 <= box.top < box.bottom <= height + 1
