"""The command for files of reports: what comes out, what is refused, and that nothing is half-written."""

import json
from pathlib import Path

import pytest

from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.refusal import UserError
from radsweep.datasets.reports.jsonl import known_from, pseudonymize_file

KEY = Key(bytes(range(32)))


def written(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_line_comes_back_with_its_id_its_new_text_and_places_in_the_old_one(tmp_path: Path) -> None:
    """Replacing the spans in the original gives the new text; other fields, which may hold anything, are gone."""
    text = "Mme DUPONT, née le 12/03/1956, genou droit."
    source = written(tmp_path / "in.jsonl", {"id": "a", "text": text, "name": "DUPONT"}, {"text": "Genou normal."})
    counts = pseudonymize_file(source, tmp_path / "out.jsonl", KEY)
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
    assert first.keys() == second.keys() == {"id", "text", "spans"}
    assert [text[span["start"] : span["end"]] for span in first["spans"]] == ["DUPONT", "12/03/1956"]
    assert [span["label"] for span in first["spans"]] == ["PERSON", "BIRTH_DATE"]
    rebuilt = text
    for span in reversed(first["spans"]):
        rebuilt = rebuilt[: span["start"]] + span["surrogate"] + rebuilt[span["end"] :]
    assert rebuilt == first["text"]
    assert (first["id"], second) == ("a", {"id": 2, "text": "Genou normal.", "spans": []})
    assert counts == {"lines": 2, "PERSON": 1, "BIRTH_DATE": 1}


def test_lines_of_one_patient_move_alike(tmp_path: Path) -> None:
    """The patient decides on days and names, whatever the number of the report."""
    lines = [{"id": number, "patient_id": "p", "text": "Mme Dupont, vue le 12/03/2020."} for number in (1, 2)]
    pseudonymize_file(written(tmp_path / "in.jsonl", *lines), tmp_path / "out.jsonl", KEY)
    texts = {json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()}
    assert len(texts) == 1


def test_the_known_identities_of_a_line_are_used(tmp_path: Path) -> None:
    """What no rule would find is found where the header says it; a list of texts will do."""
    text = "petit et rose vont mieux, B12 aussi."
    known = {"names": ["PETIT", "Rose"]}
    source = written(tmp_path / "in.jsonl", {"text": "rose petit va mieux", "k": known}, {"text": text, "k": ["B12-77"]})
    pseudonymize_file(source, tmp_path / "out.jsonl", KEY, known_field="k")
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines())
    assert [(span["start"], span["end"]) for span in first["spans"]] == [(0, 4), (5, 10)]
    assert second["text"] == text


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "line 2: is no JSON"),
        ("[1]", "line 2: is no JSON object"),
        ({"texte": "a"}, "line 2: has no field 'text'; it has 'texte'; choose with --text-field"),
        ({"text": 3}, "line 2: the field 'text' holds no text"),
    ],
)
def test_a_bad_line_is_refused_with_its_place_and_nothing_is_left(tmp_path: Path, line: object, what: str) -> None:
    """The message names file and line; neither a new output nor a partial one appears, and an old one stays."""
    source = written(tmp_path / "in.jsonl", {"text": "Genou normal."}, line)
    (tmp_path / "old.jsonl").write_text("old")
    with pytest.raises(UserError, match=r"in\.jsonl, ") as refused:
        pseudonymize_file(source, tmp_path / "old.jsonl", KEY)
    assert what in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "old.jsonl"]
    assert (tmp_path / "old.jsonl").read_text() == "old"


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    """The original is the user's."""
    source = written(tmp_path / "in.jsonl", {"text": "a"})
    with pytest.raises(UserError, match="is the input"):
        pseudonymize_file(source, source, KEY)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (3, "give an object or a list of texts"),
        ({"name": "x"}, "'name' is no field"),
        ({"names": [1]}, "give a list of texts"),
        ({"birth_date": "hier"}, "the birth date cannot be read"),
    ],
)
def test_known_identities_are_checked(value: object, what: str) -> None:
    """A field that would be silently ignored is refused."""
    with pytest.raises(UserError, match=what):
        known_from(value, "x")
