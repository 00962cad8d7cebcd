"""The audit: one line per input, and no identity in the copy that travels."""

import json
import re
from pathlib import Path

import pytest

from radsweep.datasets.audit import Audit, masked_name
from radsweep.datasets.pseudonyms import Key

KEY = Key(bytes(32))


def test_a_refusal_is_final_and_keeping_is_the_rest(tmp_path: Path) -> None:
    """Keeping a refused input leaves it refused; lines are sorted by path; the full copy is for its owner alone."""
    audit = Audit()
    audit.refuse("b", "cut off")
    audit.keep("b")
    audit.keep("a")
    audit.write(tmp_path / "audit.jsonl")
    assert [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()] == [
        {"path": "a", "status": "kept", "reason": ""},
        {"path": "b", "status": "refused", "reason": "cut off"},
    ]
    assert audit.refusals() == {"cut off": 1}
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_parts_of_paths_that_name_a_patient_are_pseudonyms(tmp_path: Path) -> None:
    """Names, in any case and without accents, and numbers of patients are masked; the rest of the path stays."""
    audit = Audit(identities={"Lefèvre", "Zoé", "20000649", "12"})
    for name in ("dicom/LEFEVRE_ZOE/IM01.dcm", "dicom/20000649/RX12/a", "reports/lefevre.pdf", "dicom/PAT1/IM12.dcm"):
        audit.keep(name)
    audit.write_masked(tmp_path / "audit.jsonl", KEY)
    text = (tmp_path / "audit.jsonl").read_text()
    assert "LEFEVRE" not in text
    assert "lefevre" not in text
    assert "20000649" not in text
    paths = [json.loads(line)["path"].split("/") for line in text.splitlines()]
    assert ["dicom", "PAT1", "IM12.dcm"] in paths
    assert all(part[0].endswith(("dicom", "reports")) for part in paths)
    assert any(part[-1].startswith("~") and part[-1].endswith(".pdf") for part in paths)


IDENTITIES = {"Lefèvre", "Zoé", "Anna", "Li", "61.02.04-123.45", "4711", "P001", "RX-2021-0034", "1956-03-02", "7", ""}


@pytest.mark.parametrize(
    "part",
    [
        "61.02.04-123.45",
        "61020412345",
        "PAT_61020412345_1",
        "4711",
        "4711.dcm",
        "RX4711_face",
        "P001",
        "p-001.txt",
        "2021_P001",
        "RX-2021-0034.pdf",
        "rx20210034",
        "Li",
        "LI.pdf",
        "7",
        "LEFEVREZOE",
        "LEFE\u0300VRE",
        "lefevre1956",
        "mrlefevre",
        "ANNALEF",
        "zoe_1",
        "19560302",
        "1956.03.02",
        "02031956",
        "02-03-1956",
        "IM19560302093015",
    ],
)
def test_an_identity_is_masked_however_the_part_is_written(tmp_path: Path, part: str) -> None:
    """Signs, accents and neighbours do not matter, and a date may begin with its day; a short identity is masked alone."""
    audit = Audit(identities=IDENTITIES)
    audit.keep(f"dicom/{part}/IM01.dcm")
    audit.keep(f"dicom/a/{part}")
    audit.write_masked(tmp_path / "audit.jsonl", KEY)
    paths = {json.loads(line)["path"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()}
    ending = part[-4:] if part.endswith((".dcm", ".txt", ".pdf")) else ""
    assert {re.sub("~[a-z2-7]{12}", "~", path) for path in paths} == {f"dicom/~{ending}/IM01.dcm", f"dicom/a/~{ending}"}


@pytest.mark.parametrize(
    "name",
    [
        "dicom/IM01.dcm",
        "reports/RX0001.pdf",
        "dicom/PAT00040/RX01/CT000001.dcm",
        "dicom/1.2.840.10008.5.1.4.1.1.1/series_1/IM7.dcm",
        "export/thorax_face_2020.dcm",
        "dicom/14711/P0012",
        "dicom/limage/olivier_7",
    ],
)
def test_parts_that_name_nobody_stay(name: str) -> None:
    """Digits within a longer number and a short name within a word are nobody's."""
    assert masked_name(name, {"lefevre", "zoe", "anna", "li", "4711", "p001", "7", "19560302"}, KEY) == name


def test_what_follows_a_point_is_no_ending_where_it_could_be_a_name() -> None:
    """Only endings of files are kept behind the pseudonym."""
    for part in ("DUPONT.Zoe", "61.02.04-123.45", "Marie.DUPONT"):
        assert re.fullmatch("~[a-z2-7]{12}", masked_name(part, {"dupont", "61020412345"}, KEY))


def test_an_unknown_person_in_a_path_is_masked_by_its_form() -> None:
    """A surname in capitals beside a common first name is a person even if no header could be read."""
    assert "DUPONT" not in masked_name("dicom/DUPONT_Marie/CT01", set(), KEY)
    assert masked_name("dicom/chest_rg1_j2k.dcm", set(), KEY) == "dicom/chest_rg1_j2k.dcm"
    assert masked_name("dicom/PAT00040/RX01/CT000001.dcm", set(), KEY) == "dicom/PAT00040/RX01/CT000001.dcm"
