"""Folders of ours, and what they say in JSON: written whole, and read back whole or refused by file, line and what to do."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .refusal import UserError


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; one that is there stays as it is.

    Raises:
        UserError: it cannot be made, or nothing can be written to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made ({error.strerror}): choose another folder") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written: make it writable, or choose another folder")


def check_new(out: Path) -> None:
    """Refuse an output folder in whose place another could not be put at the end, whole, by renaming it.

    Raises:
        UserError: it is a file, a link, or where a disk is mounted, or it holds something.
    """
    if out.is_file():
        raise UserError(f"{out} is a file: choose a folder that does not exist yet")
    if out.is_symlink() or os.path.ismount(out):
        raise UserError(f"{out} is {'a link' if out.is_symlink() else 'where a disk is mounted'}: name a folder inside it")
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} already holds something: choose another folder, or remove this one")


def read_object(path: Path, remedy: str, holds: Iterable[str] = ()) -> dict[str, Any]:
    """Return the object in a file.

    Raises:
        UserError: it cannot be read, there is no object in it, or one without all that it ``holds``; says ``remedy``.
    """
    return object_of(_read(path, remedy), path, remedy, holds)


def object_of(written: bytes | str, where: Path | str, remedy: str, holds: Iterable[str] = ()) -> dict[str, Any]:
    """Return the object that was read from ``where``.

    Raises:
        UserError: as `read_object`.
    """
    told = _object(written, holds)
    if told is None:
        raise UserError(f"{where} is damaged: {remedy}")
    return told


def read_lines(path: Path, remedy: str, holds: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the objects in a file, one a line, oldest first; none if there is no such file.

    A last line that was cut short is cut off: its process died before it had written what it meant to.

    Raises:
        UserError: it cannot be read, or a line is no object, or one without all that it ``holds``; says which, and ``remedy``.
    """
    whole, newline, cut = (_read(path, remedy) if path.exists() else b"").rpartition(b"\n")
    if cut:
        os.truncate(path, len(whole + newline))
    told = []
    for number, line in enumerate(whole.splitlines(), 1):
        one = _object(line, holds)
        if one is None:
            raise UserError(f"{path}, line {number}, is damaged ({line[:40].decode(errors='replace')!r} ...): {remedy}")
        told.append(one)
    return told


def _read(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {remedy}") from error


def _object(written: bytes | str, holds: Iterable[str]) -> dict[str, Any] | None:
    try:
        told = json.loads(written)
    except ValueError:
        return None
    return told if isinstance(told, dict) and told.keys() >= {*holds} else None


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` beside ``path`` and rename: the file is old or new, never half."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
