"""The key: deterministic, domain-separated, evenly spread, and kept well."""

import hashlib
import hmac
from pathlib import Path

import pytest

from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.refusal import UserError

KEY = Key(bytes(range(32)))


def test_a_missing_key_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """A key file that does not exist is made once, with mode 0600, and read back as the same key."""
    made = Key.load(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert Key.load(tmp_path / "key") == made
    assert len(made.secret) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert Key.load(tmp_path / "other") != made


@pytest.mark.parametrize("content", [b"", b"abc", b"g" * 64, b"\xff\xfe" * 32, b"0" * 63, b"0" * 66])
def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """A file with anything but 64 hexadecimal digits is the user's mistake and stays as it is."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a key file"):
        Key.load(path)
    assert path.read_bytes() == content


def test_a_key_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """The folder of the key is never made on the way."""
    with pytest.raises(UserError, match="nowhere/key"):
        Key.load(tmp_path / "nowhere" / "key")
    with pytest.raises(UserError, match="cannot be read"):
        Key.load(tmp_path)
    assert not list(tmp_path.iterdir())


def test_pseudonyms_are_hmac_of_domain_and_value() -> None:
    """A pseudonym is the start of HMAC-SHA256 in lower-case base32, computed here by hand."""
    digest = hmac.new(bytes(range(32)), b"patient|4711", hashlib.sha256).digest()
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    bits = "".join(f"{byte:08b}" for byte in digest[:15])
    expected = "".join(letters[int(bits[place : place + 5], 2)] for place in range(0, 120, 5))
    assert KEY.pseudonym("patient", "4711") == expected


def test_domains_and_keys_separate_pseudonyms() -> None:
    """The same value has unrelated pseudonyms as patient and as study, and under another key."""
    assert KEY.pseudonym("patient", "1") != KEY.pseudonym("study", "1")
    assert KEY.pseudonym("patient", "1") != Key(bytes(32)).pseudonym("patient", "1")
    assert "secret" not in repr(KEY)


def test_fractions_are_evenly_spread() -> None:
    """Of 2,000 patients every tenth of [0, 1) holds about 200, within four standard deviations."""
    counts = [0] * 10
    for number in range(2000):
        counts[int(KEY.fraction("split", str(number)) * 10)] += 1
    assert all(abs(count - 200) < 4 * (2000 * 0.1 * 0.9) ** 0.5 for count in counts)


def test_date_shifts_are_never_small() -> None:
    """Shifts lie 8 to 1000 days to either side, both sides about equally often, the same for the same patient."""
    shifts = [KEY.days(str(number)) for number in range(5000)]
    assert min(map(abs, shifts)) == 8
    assert max(map(abs, shifts)) == 1000
    assert 2300 < sum(shift > 0 for shift in shifts) < 2700
    assert KEY.days("17") == KEY.days("17")
