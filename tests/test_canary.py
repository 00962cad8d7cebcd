"""Canaries: a hospital of unheard-of names goes through all of radsweep with its logs open, then every byte is searched."""

import base64
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

from radsweep.datasets.phantom import identities
from radsweep.datasets.phantom.hospital import write_hospital

ENDINGS = ("rax", "quok", "zyx", "wump", "jolk")
LONGEST_SHORT = 5
"""Canaries of fewer letters and digits would be found by chance."""
TALKATIVE = {
    "RAY_BACKEND_LOG_LEVEL": "debug",
    "RAY_DATA_LOG_LEVEL": "DEBUG",
    "RAY_TRAIN_LOG_LEVEL": "DEBUG",
    "MLFLOW_LOGGING_LEVEL": "DEBUG",
}


def silent(*_: object) -> None:
    """A progress display."""


def unheard_of(rng: np.random.Generator) -> str:
    """Return a name that nobody has: ``Kuvozrax``."""
    pairs = [f"{rng.choice(list('bdfgklmnprstvz'))}{rng.choice(list('aeiou'))}" for _ in range(3)]
    return "".join(pairs).capitalize() + str(rng.choice(ENDINGS))


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A phantom hospital of 30 patients with such names for people, streets and houses."""
    rng = np.random.default_rng(20)
    for pool in ("FAMILY", "FEMALE", "MALE"):
        monkeypatch.setattr(identities, pool, tuple(unheard_of(rng) for _ in getattr(identities, pool)))
    monkeypatch.setattr(identities, "STREETS", tuple(f"rue {unheard_of(rng)}" for _ in identities.STREETS))
    hospitals = tuple(
        identities.Hospital(
            name=f"Clinique {unheard_of(rng)}",
            service="Service de radiologie",
            address=f"{number} rue {unheard_of(rng)}, 1170 Bruxelles",
            phone=f"02 555 {rng.integers(10, 100)} {rng.integers(10, 100)}",
            email=f"rx@{unheard_of(rng).lower()}.example",
        )
        for number in (12, 34, 56)
    )
    monkeypatch.setattr("radsweep.datasets.phantom.hospital.HOSPITALS", hospitals)
    monkeypatch.setattr("radsweep.datasets.phantom.hospital.PATIENTS_PER_TASK", 30)  # this process alone has the names
    folder = tmp_path / "hospital"
    write_hospital(folder, 30, 20, silent)
    return folder


def canaries(hospital: Path) -> set[str]:
    """Return the names, numbers and UIDs of the export, in lower case; dates are not among them, others have the same."""
    found: set[str] = set()
    for line in (hospital / "truth" / "identities.jsonl").read_text(encoding="utf-8").splitlines():
        string = json.loads(line)["string"]
        found |= {word for word in re.findall(r"[^\W\d_]+", string) if word.endswith(ENDINGS)}
        if re.search(r"\d{3}", string) and not re.fullmatch(r"[\d./\-]{8,10}", string):
            found.add(string)
    for path in (hospital / "dicom").rglob("*"):
        if path.is_file():
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            found |= {str(header[name].value) for name in ("StudyInstanceUID", "SOPInstanceUID") if name in header}
    return {word.lower() for word in found if len(re.sub(r"\W", "", word)) > LONGEST_SHORT}


def contents(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, and what is compressed or encoded in it."""
    raw = path.read_bytes()
    yield raw
    if path.suffix == ".parquet":
        for row in pq.read_table(path).to_pylist():
            yield repr(row).encode()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif path.suffix == ".html":
        yield from (base64.b64decode(data) for data in re.findall(rb"base64,([A-Za-z0-9+/=]+)", raw))


def leaks(path: Path, known: set[str]) -> list[str]:
    """Return the canaries in a file, in any of the encodings that something may be written in."""
    found = set()
    for content in contents(path):
        for encoding in ("utf-8", "latin-1", "utf-16-le"):
            text = content.decode(encoding, "ignore").lower()
            found |= {canary for canary in known if canary in text}
    return sorted(found)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_no_identity_is_in_any_byte(hospital: Path, tmp_path: Path) -> None:
    """Export, pairs, sweep and report with debug logs: no name, number or UID of anyone is in any file but the export's own.

    The audit beside the pairs folder has the paths of the export as they are, on purpose, and is left out.
    """
    known = canaries(hospital)
    assert len(known) > 300
    assert sum(word.endswith(ENDINGS) for word in known) > 50
    assert all(leaks(path, known) for path in sorted((hospital / "dicom").rglob("*.dcm"))[:20])  # the search sees
    made = tmp_path / "made"
    made.mkdir()
    logs = Path("/tmp") / f"radsweep-canary-{os.getpid()}"  # Ray's sockets need a short path
    settings = ["trials=2", "budget_pairs=320", "validations=2", "tasks="]
    commands = [
        ["prepare", "--dicom", hospital / "dicom", "--reports", hospital / "reports", "--out", made / "pairs",
         "--labels", hospital / "truth" / "labels.csv", "--key-file", tmp_path / "key", "--max-side", "96"],
        ["sweep", "demo", "--data", made / "pairs", "--out", made / "run", *(f"--set={setting}" for setting in settings)],
        ["report", made / "run"],
    ]  # fmt: skip
    for command in commands:
        told = subprocess.run(
            [sys.executable, "-m", "radsweep", *map(str, command)],
            cwd=made,
            env=os.environ | TALKATIVE | {"RAY_TMPDIR": str(logs)},
            capture_output=True,
            check=False,
        )
        (made / f"{command[0]}.said").write_bytes(told.stdout + told.stderr)
        assert told.returncode == 0, (told.stdout + told.stderr).decode()[-3000:]
    files = [path for folder in (made, logs) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.suffix == ".parquet" for path in files)
    assert any(path.name.startswith("raylet") for path in files)
    found = {str(path): leaked for path in files if path.name != "pairs.audit.jsonl" if (leaked := leaks(path, known))}
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)
