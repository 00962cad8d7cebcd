"""The secret key that every pseudonym, split and date shift is derived from.

Nothing is stored beside the key: the same key gives the same answers in every run, on every machine, and without it no answer
can be traced back. Each purpose has its own domain, so that a patient's pseudonym tells nothing about their date shift.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from .refusal import UserError

KEY_BYTES = 32
SHORTEST_SHIFT, LONGEST_SHIFT = 8, 1000
"""Days. A shift of a week or less would be given away by the day of the week."""

OptionT = TypeVar("OptionT")


@dataclass(frozen=True)
class Key:
    """A secret of 32 bytes; all methods are functions of it and of their arguments alone."""

    secret: bytes = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> "Key":
        """Return the key of a file; a file that does not exist is made first, readable by its owner alone (mode 0600).

        Raises:
            UserError: the folder is missing or read-only, or the file is unreadable or holds no key.
        """
        try:
            if not path.exists():
                _make(path)
            text = path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise UserError(
                f"the key file {path} cannot be read or made ({error.strerror}): choose another --key-file"
            ) from error
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path} is not a key file: name the file that radsweep made, or one that does not exist yet"
            ) from error
        if not re.fullmatch(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", text):
            raise UserError(
                f"{path} is not a key file ({2 * KEY_BYTES} hexadecimal digits): name the file that radsweep made, "
                f"or one that does not exist yet"
            )
        return cls(bytes.fromhex(text))

    def digest(self, domain: str, value: str) -> bytes:
        """Return HMAC-SHA256 of ``value``, another one in every domain; 32 bytes."""
        return hmac.digest(self.secret, f"{domain}|{value}".encode(), hashlib.sha256)

    def pseudonym(self, domain: str, value: str) -> str:
        """Return 24 letters and digits (120 bits) that stand for ``value``."""
        return base64.b32encode(self.digest(domain, value)[:15]).decode().lower()

    def fraction(self, domain: str, value: str) -> float:
        """Return a number in [0, 1), evenly spread over values."""
        return int.from_bytes(self.digest(domain, value)[:8], "big") / 2**64

    def choose(self, domain: str, value: str, options: Sequence[OptionT]) -> OptionT:
        """Return one of ``options``."""
        return options[int.from_bytes(self.digest(domain, value)[:8], "big") % len(options)]

    def days(self, patient: str) -> int:
        """Return by how many days all dates of a patient are moved: 8 to 1000, to either side."""
        number = int.from_bytes(self.digest("days", patient)[:8], "big")
        size = SHORTEST_SHIFT + number // 2 % (LONGEST_SHIFT - SHORTEST_SHIFT + 1)
        return size if number % 2 else -size


def _make(path: Path) -> None:
    """Write beside, then link: two runs that start together end with the same key, and no key is ever half-written."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            return
    finally:
        Path(partial).unlink()
