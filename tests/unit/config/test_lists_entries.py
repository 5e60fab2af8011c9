"""Lists from elsewhere as entries of a study: keys, files, names, identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recspectra import planning
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.lists import name_from
from recspectra.config.planned import Study
from recspectra.config.scale import Choice
from recspectra.config.study import StudyConfig
from recspectra.config.yaml_io import validate

ROOT = Path(__file__).resolve().parents[3]


def study(folder: Path, *entries: dict[str, Any], choice: Choice | None = None, **changes: Any) -> Study:
    plain = {"name": "mine", "title": "Mine", "datasets": ["synthetic"], "seeds": [3, 4],
             "models": [{"model": "popularity"}, *entries]}  # fmt: skip
    (folder / "mine.yaml").write_text(yaml.safe_dump(plain | changes, sort_keys=False), encoding="utf-8")
    return Catalog(ROOT).study(str(folder / "mine.yaml"), choice=choice)


def runs(found: Study) -> list[tuple]:
    return [(r.dataset, r.run.model, r.seed) for r in found.runs if r.run.imported]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "a.csv").write_text("user,item\n1,2\n", encoding="utf-8")


LISTS = {"lists": "a.csv", "title": "RecBole SASRec"}


def test_lists_are_a_run_of_the_first_seed(tmp_path: Path) -> None:
    found = study(tmp_path, LISTS | {"seconds": 812})
    assert runs(found) == [("synthetic", "recbole_sasrec", 3)]
    assert found.catalog.model("recbole_sasrec").title == "RecBole SASRec"
    file = found.list_files[0]
    assert file.path == str(tmp_path / "a.csv") and not file.problem


def test_a_file_for_each_dataset_and_seed(tmp_path: Path) -> None:
    entry = LISTS | {"lists": {"synthetic": "a-{seed}.csv", "ml-1m": "{dataset}/b-{seed}.tsv"}}
    found = study(tmp_path, entry, datasets=["synthetic", "ml-1m", "gowalla"])
    assert runs(found) == [(d, "recbole_sasrec", s) for d in ("synthetic", "ml-1m") for s in (3, 4)]
    assert [Path(f.path).relative_to(tmp_path).as_posix() for f in found.list_files] == [
        "a-3.csv", "a-4.csv", "ml-1m/b-3.tsv", "ml-1m/b-4.tsv",
    ]  # fmt: skip
    assert len({r.run.key for r in found.runs if r.dataset == "ml-1m" and r.run.imported}) == 1
    narrowed = study(
        tmp_path, entry, datasets=["synthetic", "ml-1m"], choice=Choice(datasets=["ml-1m"], seeds=1)
    )
    assert runs(narrowed) == [("ml-1m", "recbole_sasrec", 3)]
    other = study(tmp_path, entry, datasets=["synthetic", "ml-1m"], choice=Choice(models=["recbole_sasrec"]))
    assert {r.run.model for r in other.runs} == {"recbole_sasrec"}


def test_content_is_part_of_the_identity_and_names_are_not(tmp_path: Path) -> None:
    def key(**changes: Any) -> str:
        return next(r.run.key for r in study(tmp_path, LISTS | changes).runs if r.run.imported)

    before = key()
    assert key(title="SASRec, RecBole 1.2", name="recbole_sasrec") == before
    (tmp_path / "b.csv").write_bytes((tmp_path / "a.csv").read_bytes())
    assert key(lists="b.csv") == before
    assert len({before, key(seconds=812), key(history="train"), key(columns={"user": "u"})}) == 4
    (tmp_path / "a.csv").write_text("user,item\n1,3\n", encoding="utf-8")
    assert key() != before


def test_a_relative_path_starts_in_the_studys_folder_then_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "work" / "w.csv").write_text("user,item\n", encoding="utf-8")
    assert study(tmp_path, LISTS | {"lists": "w.csv"}).list_files[0].path == str(tmp_path / "work/w.csv")
    missing = study(tmp_path, LISTS | {"lists": "c.csv"}).list_files[0].problem
    assert f"models[1].lists: there is no file {tmp_path}/c.csv and no file {Path.cwd() / 'c.csv'}" in missing


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"titel": "x"}, r"models\[1\]\.titel: unknown key; allowed: lists, .*did you mean 'title'"),
        ({"model": "ease"}, r"models\[1\]\.model: unknown key"),
        ({"title": "SASRec"}, r"'sasrec' is a model of config/models; .*`name: sasrec_elsewhere`"),
        ({"title": "\u5317\u4eac"}, r"models\[1\]\.name: .*is needed, such as `name: recbole_sasrec`"),
        ({"lists": "a{sed}.csv"}, r"'a\{sed\}\.csv': only \{dataset\} and \{seed\} may stand in braces"),
        ({"seeds": [1, 2]}, r"a file without \{seed\} in its path holds the lists of one seed, not of 2"),
        ({"lists": {"synthetic": "a.csv"}, "datasets": ["gowalla"]}, "`lists` has no file for 'gowalla'"),
        ({"lists": {"synthetik": "a.csv"}}, r"'synthetik' is not among .*did you mean 'synthetic'"),
        ({"columns": {"usr": "u"}}, "unknown 'usr'; allowed: user, item, score, rank; did you mean 'user'"),
        ({"history": "test"}, r"models\[1\]\.history: Input should be 'train' or 'train\+valid'"),
        ({"history": "train", "fit": "train+valid"}, "the model has seen the validation items"),
        ({"seconds": -1.0}, r"models\[1\]\.seconds: .*greater than or equal to 0"),
        ({"lists": 7}, r"models\[1\]\.lists: must be text, not the number 7"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_wrong_entry_is_named(tmp_path: Path, entry: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study(tmp_path, LISTS | entry)


def test_one_name_has_one_title(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("user,item\n1,4\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="'recbole_sasrec' have the title 'RecBole SASRec' already"):
        study(tmp_path, LISTS, LISTS | {"title": "RecBole: SASRec", "lists": "b.csv"})


def test_claims_and_rivals_name_lists(tmp_path: Path) -> None:
    claim = {"name": "c", "title": "C?", "kind": "gain", "statement": "S", "model": "popularity",
             "rivals": ["recbole_sasrec"]}  # fmt: skip
    assert study(tmp_path, LISTS, claims=[claim]).config.claims
    with pytest.raises(ConfigError, match=r"rivals: no model .*did you mean 'recbole_sasrec'"):
        study(tmp_path, LISTS, claims=[claim | {"rivals": ["recbole_sasrek"]}])


def test_a_study_with_lists_comes_back_from_its_record(tmp_path: Path) -> None:
    config = study(tmp_path, LISTS | {"history": ["train", "train+valid"]}).config
    assert validate(StudyConfig, config.model_dump(), "study.json") == config


def test_missing_lists_stop_before_anything_runs(tmp_path: Path) -> None:
    study(tmp_path, LISTS | {"lists": "gone.csv"})
    with pytest.raises(ConfigError, match=r"mine\.yaml: models\[1\]\.lists: there is no file .*gone\.csv"):
        planning.load(ROOT, {"study": str(tmp_path / "mine.yaml")}, [])


def test_names_that_titles_give() -> None:
    titles = ["RecBole SASRec", "LensKit: ALS (k=50)", "3-gram", "Modèle"]
    assert [name_from(title) for title in titles] == [
        "recbole_sasrec",
        "lenskit_als_k_50",
        "lists_3_gram",
        "modele",
    ]
