"""RSNA Pediatric Bone Age Challenge 2017: left hands of children, with the skeletal age in months.

Layout as published::

    boneage-training-dataset.csv     id,boneage,male (RSNA's own archive calls it train.csv)
    boneage-training-dataset/        1377.png (Kaggle's archive holds this folder twice, one in the other)
    Bone Age Validation Set/         its content may also lie beside the others
        Validation Dataset.csv       Image ID,male,Bone Age (months)
        boneage-validation-dataset-1/  boneage-validation-dataset-2/

Target: ``bone_age``. Both validation sets (1,425 images) are the test set, as in the reference study; validation patients come
out of train. One image per patient; the sex is given.

Source: Halabi et al. 2019, Radiology 290(2), doi 10.1148/radiol.2018180736.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..labelled import Labelled, LabelledImage, Target, split_of
from .files import Published, known, number, table

TITLE = "RSNA Pediatric Bone Age Challenge 2017"
WHERE = (
    "Get both sets from https://www.rsna.org/rsnai/ai-image-challenge/rsna-pediatric-bone-age-challenge-2017 "
    "under RSNA's terms of use: non-commercial research and education, with attribution."
)
TARGETS = {"bone_age": Target("number", unit="months")}
TRAINING, VALIDATION = "boneage-training-dataset", "Bone Age Validation Set"
UNPACKED = "Bone Age Training Set"


def read(folder: Path) -> Labelled:
    """Return the bone age challenge.

    Args:
        folder: holds the layout above.

    Raises:
        UserError: a table or an image is missing.
    """
    corpus = Published.at(TITLE, WHERE, folder)
    train = corpus.file(f"{TRAINING}.csv", "train.csv", f"{UNPACKED}/train.csv")
    test = corpus.file(f"{VALIDATION}/Validation Dataset.csv", "Validation Dataset.csv")
    trained = corpus.by_name(f"{TRAINING}/*.png", f"{TRAINING}/{TRAINING}/*.png", f"{UNPACKED}/{TRAINING}/*.png")
    tested = corpus.by_name("boneage-validation-dataset-[12]/*.png", f"{VALIDATION}/boneage-validation-dataset-[12]/*.png")
    images = [
        *_images(train, "id", "boneage", trained, corpus.folder / TRAINING),
        *_images(test, "Image ID", "Bone Age (months)", tested, test.parent / "boneage-validation-dataset-1", "test"),
    ]
    return corpus.labelled("rsna_bone_age", TARGETS, images)


def _images(
    path: Path, case: str, age: str, files: Mapping[str, Path], folder: Path, split: str | None = None
) -> Iterator[LabelledImage]:
    """Yield the images of a table whose columns are called ``case`` and ``age``; one without a file should be in ``folder``."""
    for row in table(path, case, age, "male"):
        name = row[case]
        yield LabelledImage(
            files.get(f"{name}.png", folder / f"{name}.png"),
            study=name,
            patient=name,
            split=split or split_of(name, val=0.1, test=0.0),
            labels={"bone_age": number(row[age], path, age)} if known(row[age]) else {},
            sex={"true": "M", "false": "F"}.get(row["male"].lower()),
        )
