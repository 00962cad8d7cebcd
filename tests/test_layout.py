"""The guards of the house: what may stand where, and who may import whom."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("datasets", "trainables", "sweeps", "analysis")
MAY_IMPORT = {
    "datasets": {"datasets"},
    "trainables": {"trainables", "datasets"},
    "sweeps": {"sweeps", "trainables", "datasets", "analysis"},
    "analysis": {"analysis", "datasets"},
}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full dotted names of what a module imports, radsweep's own as ``radsweep.<folder>...``."""
    package = ["radsweep", *path.relative_to(ROOT).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return found


def test_no_package_marker_in_the_folders() -> None:
    """A folder named datasets with an __init__.py would shadow Hugging Face datasets on every Ray worker."""
    assert not [path for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py")]


def test_package_list_equals_the_tree() -> None:
    """Every folder with Python in it is listed in pyproject.toml, and nothing else is."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    present = {"radsweep"} | {
        ".".join(["radsweep", *path.parent.relative_to(ROOT).parts]) for folder in FOLDERS for path in modules(folder)
    }
    with_data = {"radsweep.datasets.vocabularies"}
    assert listed == present | with_data


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_run_downwards(folder: str) -> None:
    """Sweeps -> trainables -> datasets, and analysis beside them; sweeps may call the report, nobody calls sweeps."""
    for path in modules(folder):
        own = {name.split(".")[1] for name in imports(path) if name.startswith("radsweep.") and name.count(".") > 0}
        assert own & set(FOLDERS) <= MAY_IMPORT[folder], path


def test_only_sweeps_knows_tune_and_optuna() -> None:
    """Trainables run without a search; analysis runs on a laptop without torch or Ray."""
    for folder in ("datasets", "trainables", "analysis"):
        for path in modules(folder):
            names = imports(path)
            assert not [name for name in names if name.startswith(("ray.tune", "optuna"))], path
            if folder == "analysis":
                assert not [name for name in names if name.split(".")[0] in ("torch", "ray", "timm", "transformers")], path


def test_hugging_face_datasets_wins_from_the_root(tmp_path: Path) -> None:
    """With the repository root on the path, as Ray puts it on its workers, an installed ``datasets`` is still found first."""
    installed = tmp_path / "datasets"
    installed.mkdir()
    (installed / "__init__.py").write_text("name = 'installed'\n")
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]; import datasets; print(datasets.name)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "installed\n"


def test_cluster_file_is_valid_for_ray() -> None:
    """cluster.yaml passes the validation that `ray up` runs."""
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    validate_config(config)
    assert config["provider"]["type"] == "local"
    assert "constraints.txt" in str(config["file_mounts"])


def test_constraints_pin_every_declared_dependency() -> None:
    """constraints.txt holds exact versions only, and one for each dependency of pyproject.toml."""
    lines = (ROOT / "constraints.txt").read_text().split()
    pins = dict(line.split("==") for line in lines)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*declared["dependencies"], *declared["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[<>=~! ]", entry)[0].lower() for entry in wanted}
    assert names - {name.lower() for name in pins} == set()
