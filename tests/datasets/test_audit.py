"""The audit: one line per input, and no identity in the copy that travels."""

import json
from pathlib import Path

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


def test_an_unknown_person_in_a_path_is_masked_by_its_form() -> None:
    """A surname in capitals beside a common first name is a person even if no header could be read."""
    assert "DUPONT" not in masked_name("dicom/DUPONT_Marie/CT01", set(), KEY)
    assert masked_name("dicom/chest_rg1_j2k.dcm", set(), KEY) == "dicom/chest_rg1_j2k.dcm"
    assert masked_name("dicom/PAT00040/RX01/CT000001.dcm", set(), KEY) == "dicom/PAT00040/RX01/CT000001.dcm"
