"""The recipes of docs/cluster/: each parses, agrees with the pins, asks for a token and carries no secret."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from ray.scripts.symmetric_run import curate_and_validate_ray_start_args

from radsweep.sweeps.cli import app

ROOT = Path(__file__).parent.parent
CLUSTER = ROOT / "docs" / "cluster"
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
RECIPES = [ROOT / "cluster.yaml", *sorted(CLUSTER.iterdir())]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, argument), continued lines joined."""
    text = "\n".join(line for line in (CLUSTER / "Dockerfile").read_text().splitlines() if not line.startswith("#"))
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def test_the_image_holds_the_pins_and_runs_as_nobody_special() -> None:
    """Python as pyproject.toml wants it, every version from constraints.txt, no root, and nothing that reports home."""
    told = instructions()
    assert {word for word, _ in told} <= {"FROM", "RUN", "COPY", "USER", "WORKDIR", "ENV"}
    base = next(rest for word, rest in told if word == "FROM")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert re.fullmatch(rf"python:{wanted}-[a-z-]+", base)
    copied = [shlex.split(rest) for word, rest in told if word == "COPY"]
    assert [source for source, _ in copied] == ["constraints.txt"]
    assert any(f"--requirement {target}" in rest for word, rest in told for _, target in copied if word == "RUN")
    assert [rest for word, rest in told if word == "USER"][-1] != "root"
    settings = dict(part.split("=") for word, rest in told if word == "ENV" for part in shlex.split(rest))
    assert settings["HF_HUB_OFFLINE"] == "1"
    assert settings["RAY_USAGE_STATS_ENABLED"] == "0"
    assert settings["MLFLOW_DISABLE_TELEMETRY"] == "true"


def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_kubernetes_cluster_is_one_that_kuberay_takes() -> None:
    """What KubeRay's schema asks for: Ray's version, a token, parameters that are text, one image and one volume for all."""
    cluster = yaml.safe_load((CLUSTER / "kuberay.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert cluster["spec"].keys() == {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
    assert cluster["spec"]["rayVersion"] == PINS["ray"]
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    for group in groups[1:]:
        assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]
    containers = [container for pod in pods(cluster) for container in pod["containers"]]
    assert {container["image"] for container in containers} == {f"registry.example/radsweep:ray{PINS['ray']}"}
    for pod, container in zip(pods(cluster), containers, strict=True):
        claims = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= claims
        assert container["resources"]["requests"] == container["resources"]["limits"]
        for variable in container["env"]:
            assert isinstance(variable["value"], str)


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """A Slurm of one's own: `srun` runs its command here, and `ray` writes down what it was asked and which secrets it saw."""
    programs = {
        "scontrol": '[ "$1 $2" = "show hostnames" ] && printf "node7\\nnode8\\n"',
        "srun": 'exec "$@"',
        "ray": 'printf "%s\\n" "$@" > "$ASKED"; env | grep -E "^(RAY|HF|MLFLOW)_" > "$SETTINGS"',
    }
    (tmp_path / "bin").mkdir()
    for name, body in programs.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "ASKED": str(tmp_path / "asked"),
        "SETTINGS": str(tmp_path / "settings"),
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_JOB_ID": "12345",
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "32",
    }


def submit(slurm: dict[str, str], out: Path, *more: str) -> tuple[list[str], list[str]]:
    """Run the batch script; return what `ray` was asked before and after ``--``."""
    command = ["bash", CLUSTER / "slurm.sh", "demo", "/shared/pairs", out, *more, "--set", "trials=64"]
    done = subprocess.run(command, env=slurm, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = Path(slurm["ASKED"]).read_text().splitlines()
    cut = asked.index("--")
    return asked[:cut], asked[cut + 1 :]


def test_the_slurm_job_starts_ray_on_all_nodes_and_the_sweep_on_one(slurm: dict[str, str], tmp_path: Path) -> None:
    """What reaches `ray symmetric-run` is what it takes, the sweep names the same head, and the head wants a token."""
    before, sweep = submit(slurm, tmp_path / "run")
    assert before[:5] == ["symmetric-run", "--address", "node7:22345", "--min-nodes", "2"]
    assert curate_and_validate_ray_start_args(before[1:]) == ["--num-cpus", "32"]
    assert sweep == ["radsweep", "sweep", "demo", "--data", "/shared/pairs", "--out", str(tmp_path / "run"),
                     "--address", "node7:22345", "--set", "trials=64"]  # fmt: skip
    settings = dict(line.split("=", 1) for line in Path(slurm["SETTINGS"]).read_text().splitlines())
    assert settings["RAY_AUTH_MODE"] == "token"
    assert settings["HF_HUB_OFFLINE"] == "1"


def test_a_slurm_job_that_is_queued_again_goes_on(slurm: dict[str, str], tmp_path: Path) -> None:
    """With a sweep in the run folder the same submission resumes it, and does not extend it once more."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "sweep.json").write_text("{}")
    extended = submit(slurm, run, "--extend", "8")[1]
    assert extended[-5:] == ["--resume", "--extend", "8", "--set", "trials=64"]
    again = submit(slurm | {"SLURM_RESTART_COUNT": "1"}, run, "--extend", "8")[1]
    assert again == [one for one in extended if one not in ("--extend", "8")]


def test_nodes_with_ssh_start_with_a_token() -> None:
    """Each `ray start` of cluster.yaml asks for the token, and models come from the cache alone."""
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    for command in starts:
        assert "RAY_AUTH_MODE=token" in command
        assert "HF_HUB_OFFLINE=1" in command


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_carries_no_secret_and_no_real_machine(recipe: Path) -> None:
    """Addresses are those set aside for documentation, names end in .example, and a token is named by its place only."""
    text = recipe.read_text()
    for address in re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text):
        assert address.startswith("192.0.2.") or address in ("0.0.0.0", "127.0.0.1")
    assert not re.findall(r"(?:TOKEN|PASSWORD|SECRET)=\S", text)
    assert not re.findall(r"\b[0-9a-f]{32,}\b", text)
    assert not re.findall(r"BEGIN [A-Z ]*PRIVATE KEY", text)
    assert "stringData" not in text


def test_what_the_page_says_to_type_exists() -> None:
    """Every `radsweep` command on the page is a verb with those options, and every file it links to is there."""
    page = (CLUSTER / "README.md").read_text()
    verbs = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    lines = page.replace("\\\n", " ").splitlines()
    typed = [line[match.end() :].split() for line in lines if (match := re.search(r"(?:^|-m )radsweep ", line))]
    assert typed
    for verb, *rest in typed:
        known = {option for parameter in verbs[verb].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, verb
    for target in re.findall(r"\]\(([^)]+)\)", page):
        assert (CLUSTER / target).resolve().is_file()
    for path in re.findall(r"`((?:docs|tests)/[^`* ]+)`", page):
        assert (ROOT / path).exists()
