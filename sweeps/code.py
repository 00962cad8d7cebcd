"""The code that a sweep runs: a copy of radsweep made once, so that no later edit reaches a running trial."""

import hashlib
import shutil
from pathlib import Path

from ..datasets.refusal import UserError

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("datasets", "trainables", "sweeps", "analysis")
SUFFIXES = {".py", ".txt", ".json", ".html", ".xz"}
MARK = ".staged"
"""A file in every folder that `stage` made: in no other one is anything replaced."""


def package_files() -> list[Path]:
    """Return radsweep's own files, relative to the package root, in a fixed order."""
    inside = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return sorted(path.relative_to(ROOT) for path in [*ROOT.glob("__*__.py"), *inside] if path.is_file())


def code_hash() -> str:
    """Return the SHA-256 over names and contents of the package's files."""
    digest = hashlib.sha256()
    for path in package_files():
        digest.update(path.as_posix().encode() + b"\0" + (ROOT / path).read_bytes() + b"\0")
    return digest.hexdigest()


def stage(folder: Path) -> Path:
    """Copy the package to ``folder/radsweep`` and return ``folder``: what Ray ships to every node as its working directory.

    Raises:
        UserError: the folder holds something and `stage` did not make it, or it cannot be made.
    """
    target = folder / "radsweep"
    if target.resolve() == ROOT:
        return folder
    if not (folder / MARK).exists() and folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something else than a copy of radsweep: choose a folder that does not exist yet")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as error:
        raise UserError(f"{folder} cannot be made ({error.strerror}): choose another folder") from error
    shutil.rmtree(target, ignore_errors=True)
    for path in package_files():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target / path)
    return folder
