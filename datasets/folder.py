"""The files of a folder that the user names."""

import os
from pathlib import Path
from typing import NoReturn

from .refusal import UserError


def files_below(folder: Path, what: str) -> list[str]:
    """Return the absolute paths of all files at any depth, sorted; links are followed, and every folder is entered once.

    A link to nothing is a file here: whoever reads it will say so.

    Args:
        what: the folder should hold.

    Raises:
        UserError: there is no such folder, or it or something in it cannot be looked at.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: name the folder of {what}")
    found: list[str] = []
    entered: set[Path] = set()
    tops = [folder.absolute()]
    try:
        for top in tops:  # Grows by links: what lies in the folder itself keeps its name.
            for name, folders, files in os.walk(top, onerror=_fail):
                place = Path(name)
                if place.resolve() in entered:
                    folders.clear()
                    continue
                entered.add(place.resolve())
                folders.sort()
                tops += [place / one for one in folders if (place / one).is_symlink()]
                found += [str(path) for path in (place / one for one in files) if path.is_file() or not path.exists()]
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: ask for the right to read the folder of {what}") from error
    return sorted(found)


def _fail(error: OSError) -> NoReturn:
    raise error
