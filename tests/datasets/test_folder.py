"""Files of a folder: all of them, once each, or a word why not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from radsweep.datasets.folder import files_below
from radsweep.datasets.refusal import UserError


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An export of two folders, and a disk beside it that holds a third."""
    for name in ("export/a/1", "export/b/deep/2", "disk/c/3", "disk/4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def found(disk: Path) -> list[str]:
    """What is below the export, by its name in it."""
    return [os.path.relpath(path, disk / "export") for path in files_below(disk / "export", "DICOM files")]


def test_files_of_any_depth_are_found_in_order(disk: Path) -> None:
    """Absolute paths, sorted, also of an export that is a link itself; what is no file is left out."""
    os.mkfifo(disk / "export" / "pipe")
    (disk / "export" / "to_pipe").symlink_to("pipe")
    assert found(disk) == ["a/1", "b/deep/2"]
    (disk / "link").symlink_to("export")
    assert files_below(disk / "link", "DICOM files") == [str(disk / "link" / "a/1"), str(disk / "link" / "b/deep/2")]


@pytest.mark.parametrize("target", ["../disk", "{disk}/disk"], ids=["relative", "absolute"])
@pytest.mark.parametrize("place", ["0", "b/z"])
def test_folders_behind_links_are_entered(disk: Path, target: str, place: str) -> None:
    """Wherever the link stands and however it is written, files behind it have the name they are reached by."""
    link = disk / "export" / place
    link.symlink_to(target.format(disk=disk) if "{" in target else os.path.relpath(disk / "disk", link.parent))
    assert found(disk) == sorted(["a/1", "b/deep/2", f"{place}/4", f"{place}/c/3"])


def test_every_folder_is_entered_once(disk: Path) -> None:
    """Loops end, several links to a folder are one, and a folder of the export keeps its own name."""
    for name, target in {
        "0": "b", "a/up": "..", "a/self": ".", "b/deep/self": "../deep", "c": "../disk", "d": "../disk", "e": "c",
    }.items():  # fmt: skip
        (disk / "export" / name).symlink_to(target)
    (disk / "disk" / "back").symlink_to("../export")
    assert found(disk) == ["a/1", "b/deep/2", "c/4", "c/c/3"]


def test_links_to_nothing_are_told(disk: Path) -> None:
    """They count as files, which cannot be read; so do links that lead back to themselves. Links to files are files."""
    for name, target in {"gone": "../nowhere/5", "round": "round", "whole": "a/1"}.items():
        (disk / "export" / name).symlink_to(target)
    assert found(disk) == ["a/1", "b/deep/2", "gone", "round", "whole"]


@pytest.mark.parametrize("closed", ["export", "export/b", "export/b/deep", "disk/c"])
def test_a_folder_that_cannot_be_read_is_named(disk: Path, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    """At any depth, also behind a link: nothing is left out in silence."""
    (disk / "export" / "link").symlink_to("../disk")
    listed: Callable = os.scandir

    def scandir(path: str) -> object:
        if os.path.realpath(path) == str((disk / closed).resolve()):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    name = closed.replace("disk", "export/link")
    with pytest.raises(UserError, match=f"{disk / name} cannot be read: ask for the right to read the folder of DICOM files"):
        files_below(disk / "export", "DICOM files")


def test_a_missing_folder_is_the_users_mistake(disk: Path) -> None:
    """Neither a file nor a link to nothing is a folder."""
    (disk / "gone").symlink_to("nowhere")
    for name in ("none", "gone", "disk/4"):
        with pytest.raises(UserError, match=f"there is no folder .*{name}: name the folder of reports"):
            files_below(disk / name, "reports")
