"""What all tests share: one Ray for the whole suite, and the public data where it is present."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from radsweep.datasets.build import Preparation
from radsweep.datasets.gather import from_export
from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.prepare import prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.tokens import load_tokenizer
from radsweep.sweeps.launch import start_ray
from radsweep.trainables.checkpoint import Progress, save_checkpoint
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import TinyText

DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Ray on this machine, started once per suite."""
    start_ray(num_cpus=2, object_store_memory=512 * 2**20)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data sets; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"the public data sets are not at {DATA}")
    return DATA


def silent(*_: object) -> None:
    """A progress display for tests."""


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom hospital of 40 patients."""
    out = tmp_path_factory.mktemp("hospital") / "hospital"
    write_hospital(out, 40, 1, silent)
    return out


@pytest.fixture(scope="session")
def pairs(cluster: None, hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """The pairs folder of the phantom hospital, images of 96 px."""
    folder = tmp_path_factory.mktemp("pairs")
    inputs, audit = from_export(hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", silent)
    prepare(
        inputs, audit, folder / "pairs", Key(bytes(range(32))), Preparation(max_side=96, burned_in=False), "phantom", silent
    )
    return folder / "pairs"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a trial leaves behind: a tiny model, untrained, that knows fractures by name."""
    folder = tmp_path_factory.mktemp("checkpoint")
    config = PretrainConfig(image=TinyImage(resolution=32, width=8), text=TinyText(width=8, depth=1, heads=2), embed_dim=8)
    vocabulary = load_tokenizer("tiny-fr").vocabulary
    save_checkpoint(folder, {"model": config.model(vocabulary, 1)}, Progress(), config, vocabulary, ["fracture"])
    return folder
