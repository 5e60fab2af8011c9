"""What jobs run in: the conda environment, its pins, the profile, and what rules may rely on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from harness import ROOT
from snakemake.settings.types import DeploymentMethod

from recspectra.planning.place import uses_environments

BASH = shutil.which("bash")
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "seaborn": "seaborn-base"}
NOT_IN_JOBS = {"snakemake"}
RULE_FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
ENV_FILES = sorted((ROOT / "envs").glob("*.yaml"))
# Written in two pieces, so that this file is not itself what the last tests look for.
REGISTRIES = [
    "pypi" + ".org", "python" + "hosted.org", "conda.ana" + "conda.org", "repo.ana" + "conda.com",
    "download.py" + "torch.org", "npmjs" + ".org",
]  # fmt: skip
MACHINE = [r"(?<![\w.])/" + r"(?:work|root|home|Users|opt)/\w", r"(?<![\w.])/" + r"tmp/\w+/"]


def pins(path: Path) -> dict[str, str]:
    """Read `name==version` lines; names in lower case."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def dependencies(path: Path) -> dict[str, str]:
    """Read the dependencies of a conda environment as name -> condition."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    assert all(isinstance(entry, str) for entry in entries), "pip sections bypass the solver"
    split = [re.fullmatch(r"([a-z0-9-]+)\s*(.*)", entry).groups() for entry in entries]
    assert len(dict(split)) == len(split), "a package stands twice"
    return dict(split)


def rules() -> dict[str, tuple[Path, str]]:
    """Return the text of every rule that runs something, by file and name."""
    found = {}
    for path in RULE_FILES:
        blocks = re.split(r"^\s*rule\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        found |= {f"{path.name}#{i}": (path, b) for i, b in enumerate(blocks) if "shell:" in b}
    return found


# ------------------------------------------------------------------------- conda environments


def test_there_is_an_environment() -> None:
    assert ROOT / "envs" / "recspectra.yaml" in ENV_FILES


@pytest.mark.parametrize("path", ENV_FILES, ids=lambda p: p.name)
def test_environment_is_well_formed(path: Path) -> None:
    env = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(env) <= {"name", "channels", "dependencies"}
    assert env["channels"][0] == "conda-forge" and env["channels"][-1] == "nodefaults"
    assert re.fullmatch(r"=3\.1[1-9]", dependencies(path)["python"])
    assert "pip" in dependencies(path)


@pytest.mark.parametrize("path", ENV_FILES, ids=lambda p: p.name)
def test_pins_agree_with_the_constraints(path: Path) -> None:
    constraints, compared = pins(ROOT / "constraints.txt"), 0
    other = {conda: name for name, conda in CONDA_NAMES.items()}
    for name, condition in dependencies(path).items():
        if name in ("python", "pip", "setuptools"):
            continue
        assert re.fullmatch(r"=[\w.]+", condition), f"{name} is not pinned"
        assert condition.lstrip("=") == constraints[other.get(name, name)], name
        compared += 1
    assert compared >= 10


def test_environment_has_every_dependency_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.match(r"[\w-]+", d)[0] for d in project["dependencies"]} - NOT_IN_JOBS
    assert {"numpy", "torch"} <= wanted
    assert {CONDA_NAMES.get(name, name) for name in wanted} <= set(dependencies(ENV_FILES[0]))
    constraints = pins(ROOT / "constraints.txt")
    assert wanted | NOT_IN_JOBS <= set(constraints)
    extras = {re.match(r"[\w-]+", d)[0] for d in project["optional-dependencies"]["test"]}
    assert {name.replace("_", "-") for name in extras} <= set(constraints)


# ------------------------------------------------------------------------------------- rules


def test_every_rule_that_runs_something_names_an_environment_and_a_log() -> None:
    assert len(rules()) >= 9
    for name, (path, text) in rules().items():
        named = re.search(r"conda:\s*\"([^\"]+)\"", text)
        assert named, f"{name} names no environment"
        assert (path.parent / named[1]).resolve() in ENV_FILES, name
        assert re.search(r"^\s*log:", text, flags=re.MULTILINE), f"{name} keeps no log"
        assert "{log:q}" in text, f"{name} does not write its log"


def test_rules_start_python_the_same_way() -> None:
    for name, (_, text) in rules().items():
        shell = text.partition("shell:")[2]
        assert "{resources.python}/" in shell, name
        assert not re.search(r"\bpython3?\s", shell), name


def test_rules_do_not_rely_on_the_search_path() -> None:
    """Snakemake drops the variable in conda environments."""
    texts = {path: path.read_text(encoding="utf-8") for path in [*RULE_FILES, *(ROOT / "envs").iterdir()]}
    assert not [path for path, text in texts.items() if "PYTHON" + "PATH" in text]


def test_interpreter_follows_the_deployment() -> None:
    def answer(*methods: DeploymentMethod) -> bool:
        settings = SimpleNamespace(deployment_method=set(methods))
        return uses_environments(SimpleNamespace(deployment_settings=settings))

    assert answer(DeploymentMethod.CONDA)
    assert not answer()
    assert not answer(DeploymentMethod.ENV_MODULES)


# ----------------------------------------------------------------------------------- profile


@pytest.mark.parametrize(
    "path", sorted((ROOT / "workflow" / "profiles").glob("*/config*.yaml")), ids=lambda p: p.parent.name
)
def test_profile_is_read_and_fits_every_machine(path: Path) -> None:
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(profile, dict) and profile
    assert profile.get("rerun-incomplete") is True
    if path.parent.name == "default":
        assert profile["logger"] == "recspectra"
        assert not {"cores", "jobs", "executor", "config", "configfile"} & set(profile)


# ------------------------------------------------------------------------------- post-deploy


@pytest.fixture
def scripts() -> list[Path]:
    """Post-deploy scripts, each beside the environment that it belongs to."""
    found = [path.with_name(f"{path.stem}.post-deploy.sh") for path in ENV_FILES]
    assert all(path.is_file() for path in found)
    return found


def deploy(script: Path, folder: Path, tools: Path, **extra: str) -> subprocess.CompletedProcess:
    """Run a post-deploy script with a `python` that only writes down what it was asked."""
    tools.mkdir()
    fake = tools / "python"
    fake.write_text(f'#!{BASH}\necho "$@" >> "{tools}/asked"\n', encoding="utf-8")
    fake.chmod(0o755)
    variables = {"PATH": f"{tools}:{os.environ['PATH']}", **extra}
    return subprocess.run(
        [BASH, str(script)], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def test_post_deploy_scripts_are_valid_bash(scripts: list[Path]) -> None:
    for script in scripts:
        assert script.read_text(encoding="utf-8").startswith("#!")
        subprocess.run([BASH, "-n", str(script)], check=True)


def test_post_deploy_installs_the_project(scripts: list[Path], tmp_path: Path) -> None:
    for number, (folder, extra) in enumerate([(ROOT, {}), (tmp_path, {"RECSPECTRA_ROOT": str(ROOT)})]):
        tools = tmp_path / f"tools{number}"
        done = deploy(scripts[0], folder, tools, **extra)
        assert done.returncode == 0, done.stderr
        asked = (tools / "asked").read_text(encoding="utf-8")
        assert asked.startswith("-m pip install --no-deps") and asked.strip().endswith(f"-e {ROOT}")


def test_post_deploy_outside_the_project_says_so(scripts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pyproject.toml").write_text('name = "other"\n', encoding="utf-8")
    for number, folder in enumerate((tmp_path, tmp_path / "elsewhere")):
        done = deploy(scripts[0], folder, tmp_path / f"tools{number}")
        assert done.returncode == 1
        assert "RECSPECTRA_ROOT" in done.stderr and str(folder) in done.stderr
        assert not (tmp_path / f"tools{number}" / "asked").exists()


# ------------------------------------------------------------------------------ tracked files


@pytest.fixture(scope="module")
def tracked() -> dict[str, str]:
    """The text of every tracked file that is text."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    texts = {}
    for name in filter(None, done.stdout.decode().split("\0")):
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in content[:8192]:
            texts[name] = content.decode("utf-8")
    assert len(texts) > 50
    return texts


def test_no_file_names_a_package_registry(tracked: dict[str, str]) -> None:
    found = [(name, host) for name, text in tracked.items() for host in REGISTRIES if host in text]
    assert found == []


def test_no_file_names_a_place_on_one_machine(tracked: dict[str, str]) -> None:
    found = [
        (name, match[0])
        for name, text in tracked.items()
        for pattern in MACHINE
        for match in re.finditer(pattern, text)
    ]
    assert found == []


def test_results_are_not_tracked(tracked: dict[str, str]) -> None:
    generated = [n for n in tracked if n.startswith("results/") and not n.startswith("results/reference/")]
    assert generated == []
