"""What the workflow would do, read off dry runs: nothing here needs data."""

from __future__ import annotations

import importlib.util
import itertools
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import REPO, ROOT, Job, by_rule, changed, fitted, write_yaml

from recspectra import planning
from recspectra.config.base import ConfigError

STUDIES = sorted(p.stem for p in (ROOT / "config" / "studies").glob("*.yaml"))
NUMERICAL = {"torch", "numpy", "scipy", "pandas", "pyarrow", "matplotlib", "seaborn"}


def read(kind: str, name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config" / kind / f"{name}.yaml").read_text(encoding="utf-8"))


def expected_fits(name: str) -> set[str]:
    """Expand a study by hand, at the default scale: the distinct (dataset, model, parameters, fit, seed)."""
    study, scale, found = read("studies", name), read("scales", "laptop"), set()
    present = study["datasets"]  # optional ones are not there: no mirror is named
    for entry, model in ((e, read("models", m)) for e in study["models"] for m in _listed(e["model"])):
        defaults = {k: spec["default"] for k, spec in model.get("params", {}).items()}
        datasets = [d for d in entry.get("datasets", present) if d in present]
        points = list(itertools.product(*entry.get("sweep", {}).values()))
        given = entry.get("params", {})
        for dataset, point in itertools.product(datasets, points):
            swept = dict(zip(entry.get("sweep", {}), point, strict=True))
            best = model.get("best", {}).get(dataset, {}) if entry.get("use_best") else {}
            params = {**defaults, **best, **given, **entry.get("after", {}), **swept}
            if entry.get("tune") and set(model.get("search", {})) - set(given):
                params = {"tuned with": given, **entry.get("after", {}), **swept}
            seeds = study.get("seeds", [0])
            seeds = seeds if isinstance(seeds, list) else seeds.get(dataset, seeds["default"])
            seeds = entry.get("seeds", seeds)[: scale["seeds"]]
            for fit, seed in itertools.product(entry.get("fit", ["train"]), seeds):
                found.add(json.dumps([dataset, model["name"], params, fit, seed], sort_keys=True))
    return found


def _listed(models: str | list[str]) -> list[str]:
    return [models] if isinstance(models, str) else models


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """The jobs of the default target."""
    return REPO.planned(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """The jobs of all studies that are shipped, each named as a target."""
    return REPO.planned(tmp_path_factory.mktemp("everything"), *STUDIES)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """The jobs of the quickstart and of a study file outside the project."""
    place = tmp_path_factory.mktemp("elsewhere")
    study = {
        "name": "mine",
        "title": "Mine",
        "datasets": ["synthetic", "ml-100k.higsp"],
        "models": [
            {"model": "gsprec", "variant": "as in quickstart", "params": {"rank": 64}},
            {"model": "gfcf", "variant": "a rank below 64", "params": {"rank": 50}},
        ],
        "tables": [{"name": "t", "title": "T", "protocol": "standard", "metrics": ["ndcg"], "k": [10]}],
    }
    file = write_yaml(place / "a folder" / "mine.yaml", study)
    return REPO.planned(
        place / "work", "quickstart", "mine", "--config", f"study={file}", f"mirror={place / 'mirror'}"
    )


# ------------------------------------------------------------------------------ parsing


def test_dry_run_imports_no_numerical_library(tmp_path: Path) -> None:
    command = REPO.command(tmp_path, "--dry-run", profile=False)
    command[1:1] = ["-X", "importtime"]
    done = subprocess.run(command, env=REPO.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"snakemake", "recspectra", "pydantic"} <= imported
    others = {"numpy"}  # Snakemake itself imports NumPy for its report
    if importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        others |= {"pandas", "pyarrow"}  # every installed executor is imported
    assert not imported & (NUMERICAL - others)
    assert not (tmp_path / "results").exists()


def test_package_is_that_of_the_checkout() -> None:
    code = "import recspectra; print(recspectra.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=REPO.environment(), capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(ROOT)


# ------------------------------------------------------------------------------ targets


def test_default_target_is_the_quickstart_and_the_report(default: list[Job]) -> None:
    counts = by_rule(default)
    assert counts["all"] == 1
    assert counts["draw_tables_quickstart"] == counts["draw_figures_quickstart"] == counts["report"] == 1
    target = next(job for job in default if job.rule == "all")
    assert "results/report/index.html" in target.inputs
    assert "results/studies/quickstart/table-main.csv" in target.inputs


def test_job_counts_of_the_quickstart(default: list[Job]) -> None:
    counts = by_rule(default)
    once = ("prepare", "split", "evaluate", "worlds", "collect", "draw_tables_quickstart",
            "draw_figures_quickstart", "report", "all")  # fmt: skip
    assert {rule: counts[rule] for rule in once} == dict.fromkeys(once, 1)
    assert counts["fit"] == len(expected_fits("quickstart"))
    operators = {
        (job.wildcards["operator"], job.wildcards["rank"]) for job in default if job.rule == "spectrum"
    }
    assert counts["spectrum"] == len(operators) > 1
    assert counts["gather"] == 3  # of kinds that papers have: snr, frequency-response, bands
    assert set(counts) == {*once, "fit", "spectrum", "gather"}
    assert "fetch" not in counts


def test_every_study_is_a_target(everything: list[Job]) -> None:
    counts = by_rule(everything)
    for name in STUDIES:
        assert counts[name] == counts[f"draw_tables_{name}"] == 1
        assert counts[f"draw_figures_{name}"] == bool(read("studies", name)["figures"])
    fits = set().union(*(expected_fits(name) for name in STUDIES))
    assert counts["fit"] == len(fits)
    assert counts["report"] == 1
    report = next(job for job in everything if job.rule == "report")
    for name in STUDIES:
        assert f"results/studies/{name}" in report.command
        assert f"results/studies/{name}/audit.csv" in report.inputs


def test_figures_and_report_are_targets(tmp_path: Path) -> None:
    jobs = REPO.planned(tmp_path, "figures", "report")
    figures = next(job for job in jobs if job.rule == "figures")
    assert (figures.inputs, figures.outputs) == ([], [])
    assert by_rule(jobs)["report"] == 1


# ---------------------------------------------------------------------------- test data


def test_test_data_are_an_input_of_evaluate_alone(everything: list[Job]) -> None:
    makers = {job.rule for job in everything if any(o.endswith("test.npz") for o in job.outputs)}
    readers = {job.rule for job in everything if any(i.endswith("test.npz") for i in job.inputs)}
    assert makers == {"split"}
    # `worlds` scores stored lists again; it writes no file that a fit, a search or a choice reads.
    assert readers == {"evaluate", "worlds"}
    judged = {o for job in everything if job.rule in readers for o in job.outputs}
    users = {job.rule for job in everything if judged & set(job.inputs)}
    assert all(rule == "collect" or rule.startswith("draw_") for rule in users)


def test_no_fit_can_reach_test_data_through_its_inputs(everything: list[Job]) -> None:
    """Follow the files back: between a fit and raw data only the split has seen test items."""
    maker = {output: job for job in everything for output in job.outputs}
    learning = ("fit", "spectrum", "tune", "measure")
    assert {job.rule for job in everything} >= set(learning)
    for job in everything:
        if job.rule in learning:
            assert job.inputs or job.rule == "measure", job  # what is measured on random data has none
            direct = {maker[i].rule for i in job.inputs}
            assert direct <= {"split", "spectrum"} | ({"tune", "fit"} if job.rule == "fit" else set()), job
            # Of another fit a refit learns how many epochs did best on validation.
            assert {Path(i).name for i in job.inputs if maker[i].rule == "fit"} <= {"run.json"}
            assert {Path(i).name for i in job.inputs if maker[i].rule == "split"} <= {
                "train.npz",
                "valid.npz",
            }


def test_commands_of_fit_and_spectrum_do_not_name_test_data(everything: list[Job]) -> None:
    commands = [job.command for job in everything if job.rule in ("fit", "spectrum", "tune", "measure")]
    assert commands and all(commands)
    for command in commands:
        assert "test.npz" not in command
        assert "results/studies" not in command
        assert "--study" not in command


def test_spectra_for_fits_on_train_are_made_of_train_alone(everything: list[Job]) -> None:
    spectra = [job for job in everything if job.rule == "spectrum"]
    refits = [job for job in spectra if job.wildcards["operator"].endswith("@train_valid")]
    assert 0 < len(refits) < len(spectra)
    for job in spectra:
        used = {Path(i).name for i in job.inputs}
        assert used == ({"train.npz", "valid.npz"} if job in refits else {"train.npz"})
    on_train = [job for job in everything if job.rule == "fit" and '"fit":"train"' in job.command]
    used = {Path(i).name for job in on_train for i in job.inputs if "/spectra/" in i}
    assert used and not [name for name in used if "@train_valid" in name]


# ------------------------------------------------------------------- study files, sharing


def test_a_study_file_anywhere_is_planned(elsewhere: list[Job]) -> None:
    collect = [job for job in elsewhere if job.rule == "collect" and job.wildcards["study"] == "mine"]
    assert "results/studies/mine/metrics.csv" in collect[0].outputs
    assert "a folder/mine.yaml" in collect[0].command
    counts = by_rule(elsewhere)
    assert counts["mine"] == counts["quickstart"] == 1
    assert counts["evaluate"] == 3


def test_without_a_mirror_fetch_is_given_an_empty_one(everything: list[Job]) -> None:
    commands = [job.command for job in everything if job.rule == "fetch"]
    assert commands
    assert all("--mirror=" in shlex.split(command) for command in commands)


def test_the_mirror_reaches_fetch_alone(elsewhere: list[Job]) -> None:
    told = [job for job in elsewhere if "/mirror" in job.command]
    assert {job.rule for job in told} == {"fetch"}
    assert len(told) == len(read("datasets", "ml-100k.higsp")["source"]["files"])


def test_studies_share_runs_and_spectra(elsewhere: list[Job], default: list[Job]) -> None:
    synthetic = [job for job in elsewhere if job.wildcards.get("dataset") == "synthetic"]
    own = [job for job in default if job.wildcards.get("dataset") == "synthetic"]
    added = fitted(synthetic) - fitted(own)
    assert added == {"gfcf": 1}
    assert by_rule(synthetic)["spectrum"] == by_rule(own)["spectrum"]
    reads = {job.wildcards["study"]: set(job.inputs) for job in synthetic if job.rule == "evaluate"}
    shared = {name for name in reads["mine"] & reads["quickstart"] if "/runs/" in name}
    assert [Path(name).parts[3] for name in shared] == ["gsprec"]


def test_what_a_run_does_depends_on_no_study(elsewhere: list[Job], default: list[Job]) -> None:
    def commands(jobs: list[Job]) -> dict[str, str]:
        return {job.outputs[0]: job.command for job in jobs if job.rule in ("fit", "spectrum", "split")}

    alone, together = commands(default), commands(elsewhere)
    assert alone
    assert {name: together[name] for name in alone} == alone


def test_paths_keep_the_artefact_contract(default: list[Job]) -> None:
    for job in default:
        for name in job.outputs:
            assert name.startswith("results/"), name
        if job.rule == "fit":
            w = job.wildcards
            folder = f"results/runs/{w['dataset']}/{w['model']}/{w['key']}/seed-{w['seed']}"
            assert sorted(job.outputs) == [f"{folder}/rankings.npz", f"{folder}/run.json"]


def test_two_configurations_get_two_keys(everything: list[Job]) -> None:
    outputs = [o for job in everything for o in job.outputs]
    assert len(outputs) == len(set(outputs))


# ------------------------------------------------------------------------------ settings


def test_mirror_from_the_environment_and_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RECSPECTRA_MIRROR", raising=False)
    assert planning.load(ROOT, {}, []).mirror == ""
    monkeypatch.setenv("RECSPECTRA_MIRROR", str(tmp_path / "from-environment"))
    assert planning.load(ROOT, {}, []).mirror == str(tmp_path / "from-environment")
    given = planning.load(ROOT, {"mirror": str(tmp_path / "given")}, []).mirror
    assert given == str(tmp_path / "given")


def test_a_study_may_not_take_the_name_of_a_shipped_one(tmp_path: Path) -> None:
    taken = changed(read("studies", "quickstart"), lambda s: s.update(title="Other"))
    file = write_yaml(tmp_path / "quickstart.yaml", taken)
    with pytest.raises(ConfigError, match="give yours another name"):
        planning.load(ROOT, {"study": str(file)}, [])
