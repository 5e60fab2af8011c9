"""Names that stand in data, records and results lead nowhere but where they belong."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from harness import REPO, ROOT, TINY_STUDY, digests, write_yaml

from recspectra import planning
from recspectra.config.base import ConfigError, safe_name
from recspectra.config.catalog import Catalog
from recspectra.reporting import reference
from recspectra.reporting.results import StudyError

EVIL = ["../../../outside", "{tmp}/outside", "..", ".", "a/b", "a\n", "", ".hidden", "-rf", "x" * 65, "a b"]
METRICS = "dataset,model,variant,key,seed,protocol,fit,history,mask,users,metric,k,value,status\n"
PLAIN = {k: v for k, v in TINY_STUDY.items() if k not in ("figures", "tables", "claims")}
STUDY = PLAIN | {"name": "mine", "datasets": ["tiny"], "models": [{"model": "ease"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study folder as somebody may send one."""
    made = tmp_path / "work" / "results" / "studies" / "mine"
    made.mkdir(parents=True)
    (made / "study.json").write_text(json.dumps(STUDY))
    return made


def _metrics(folder: Path, dataset: str) -> None:
    labels = ["default", "0123456789", "0", "standard", "train", "train", "train", "all"]
    row = [dataset, "ease", *labels, "ndcg", "10", "0.5", "ok"]
    frame = pd.DataFrame([row], columns=METRICS.strip().split(","))
    frame.to_csv(folder / "metrics.csv", index=False)


@pytest.mark.parametrize("name", EVIL)
def test_freeze_writes_for_names_alone(name: str, folder: Path, tmp_path: Path) -> None:
    _metrics(folder, name.format(tmp=tmp_path))
    before = digests(tmp_path)
    with pytest.raises((ConfigError, StudyError), match=r"metrics\.csv: dataset"):
        reference.freeze(folder, tmp_path / "work/results/reference")
    assert digests(tmp_path) == before


@pytest.mark.parametrize("name", [*EVIL[:5], "a\n"])
def test_freeze_takes_the_name_of_a_study_by_its_schema(name: str, folder: Path, tmp_path: Path) -> None:
    _metrics(folder, "tiny")
    record = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(record | {"name": name.format(tmp=tmp_path)}))
    before = digests(tmp_path)
    done = REPO.script("reference", tmp_path / "work", "freeze", folder)
    assert done.returncode == 1 and "study.json: name" in done.stderr and "Traceback" not in done.stderr
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    "scale", [{"name": "../../../outside"}, {"name": 3}, "../../../outside", [3]], ids=str
)
def test_freeze_takes_the_scale_of_a_study_by_its_schema(scale: object, folder: Path, tmp_path: Path) -> None:
    _metrics(folder, "tiny")
    record = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(record | {"scale": scale}))
    done = REPO.script("reference", tmp_path / "work", "freeze", folder)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("outside*"))


@pytest.mark.parametrize("name", EVIL[:5])
def test_compare_reads_for_names_alone(name: str, folder: Path, tmp_path: Path) -> None:
    _metrics(folder, name.format(tmp=tmp_path))
    with pytest.raises(ConfigError, match=r"metrics\.csv: dataset"):
        reference.compare(folder, tmp_path / "work/results/reference")


def test_names_are_names() -> None:
    for name in ("ml-1m.head", "a", "x" * 64):
        assert safe_name(name, "here") == name
    for name in (*EVIL, None, 3, ["a"]):
        with pytest.raises(ConfigError, match="^here: "):
            safe_name(name, "here")


@pytest.mark.parametrize("name", ["Quickstart", "QUICKSTART", "First-Light"])
def test_a_study_does_not_take_the_folder_of_another_by_case(name: str, tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "mine.yaml", STUDY | {"name": name, "datasets": ["synthetic"]})
    with pytest.raises(ConfigError, match="the same folder on some disks"):
        planning.load(ROOT, {"study": str(file)}, [])


@pytest.mark.parametrize("name", ["draw_quickstart", "draw_x", "all", "fetch"])
def test_a_study_does_not_take_the_name_of_a_rule(name: str, tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "mine.yaml", STUDY | {"name": name, "datasets": ["synthetic"]})
    with pytest.raises(ConfigError, match="is the name of a rule"):
        planning.load(ROOT, {"study": str(file)}, [])


@pytest.mark.parametrize("word", ["a{x}b", "{dataset}", "a{b", "{}", "{{x}}"])
def test_braces_in_the_path_of_own_data_are_said(word: str, project: Path, tmp_path: Path) -> None:
    data = tmp_path / word / "my.csv"
    data.parent.mkdir()
    data.write_text("user,item\n1,2\n")
    write_yaml(project / "config/datasets/mine.yaml", {"name": "mine", "path": str(data)})
    with pytest.raises(ConfigError, match=r"path: .* holds a brace"):
        Catalog(project).dataset("mine")


@pytest.mark.parametrize("name", ["{x}", "a b", "$(touch harmed)", "a\nb", "-x"])
def test_folders_of_studies_that_are_no_names_take_no_part(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (name, "mine"):
        (tmp_path / "results" / "studies" / folder).mkdir(parents=True)
        for file in ("metrics.csv", "audit.csv"):
            (tmp_path / "results" / "studies" / folder / file).touch()
    monkeypatch.chdir(tmp_path)
    plan = planning.load(ROOT, {}, [])
    assert plan.on_disk == plan.finished_others == ["results/studies/mine"]


@pytest.mark.parametrize("word", ["a{x}b", "{dataset}"])
def test_a_working_folder_may_have_braces(word: str, tmp_path: Path) -> None:
    done = REPO.snakemake(tmp_path / word, "results/interactions/synthetic.npz", "--dry-run", profile=False)
    assert done.returncode == 0 and "WildcardError" not in done.stderr + done.stdout


@pytest.mark.parametrize("name", ["a{x}.npz", "{dataset}.npz", "-n.npz", "a\nb.npz", "$(touch harmed).npz"])
def test_a_damaged_file_of_any_name_is_said(name: str, tmp_path: Path) -> None:
    path = tmp_path / "results" / "interactions" / name
    path.parent.mkdir(parents=True)
    path.write_text("damaged")
    words = ["--what", "damaged", "--cores", "1"]
    done = REPO.script("redo", tmp_path, *words, RECSPECTRA_ROOT=str(ROOT))
    assert done.returncode != 0 and "Traceback" not in done.stderr + done.stdout
    assert path.read_text() == "damaged" and not list(tmp_path.rglob("harmed"))
