"""Frozen results and the comparison with them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from small_study import write_study
from study_rows import change_study, texts_of

from recspectra.files import write_text
from recspectra.reporting import reference
from recspectra.reporting.results import StudyError, StudyResults, read_csv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = {"processor": "Abacus", "machine": "Linux, 2 cores",
            "packages": {"numpy": "2.4.6", "torch": "2.13.0"}}  # fmt: skip
    return change_study(write_study(tmp_path / "fixture"), provenance=made).folder


@pytest.fixture
def frozen(folder: Path, tmp_path: Path) -> Path:
    reference.freeze(folder, tmp_path / "reference")
    return tmp_path / "reference"


def change(folder: Path, **changes: object) -> None:
    """Set columns of the rows of S-Diff with seed 1 on ml-1m.diffrec."""
    frame = texts_of(folder, "metrics")
    rows = (frame["model"] == "sdiff") & (frame["seed"] == "1") & (frame["dataset"] == "ml-1m.diffrec")
    assert rows.any()
    for name, value in changes.items():
        frame.loc[rows, name] = value
    frame.to_csv(folder / "metrics.csv", index=False)


def outcome(found: pd.DataFrame) -> pd.Series:
    rows = found[(found["model"] == "sdiff") & (found["dataset"] == "ml-1m.diffrec")]
    assert len(rows) == 1
    return rows.iloc[0]


def test_each_dataset_has_a_folder_of_the_rows_that_are_its_own(folder: Path, frozen: Path) -> None:
    places = sorted(p.relative_to(frozen).as_posix() for p in frozen.glob("*/*/*"))
    assert places == ["fixture/only/ml-1m.diffrec", "fixture/only/tiny"]
    judged = read_csv(folder / "claims.csv", []) if (folder / "claims.csv").is_file() else None
    for place in places if judged is not None else []:
        kept = read_csv(frozen / place / "claims.csv", [])
        assert len(kept) == (judged["dataset"] == place.rsplit("/", 1)[1]).sum()
    whole = read_csv(folder / "metrics.csv", [])
    parts = [read_csv(frozen / place / "metrics.csv", []) for place in places]
    assert [set(part["dataset"]) for part in parts] == [{"ml-1m.diffrec"}, {"tiny"}]
    assert (
        pd.concat(parts).sort_values(list(whole)).values.tolist()
        == whole.sort_values(list(whole)).values.tolist()
    )
    assert json.loads((frozen / places[0] / "about.json").read_text())["provenance"]["processor"] == "Abacus"


def test_freezing_twice_gives_the_same_bytes(folder: Path, frozen: Path) -> None:
    before = {path: path.read_bytes() for path in frozen.rglob("*") if path.is_file()}
    reference.freeze(folder, frozen)
    assert before == {path: path.read_bytes() for path in frozen.rglob("*") if path.is_file()}


def test_claims_of_an_earlier_run_of_the_study_are_not_kept(folder: Path, frozen: Path) -> None:
    kept = frozen / "fixture" / "only" / "tiny" / "claims.csv"
    write_text(kept, "dataset\ntiny\n")
    write_text(folder / "claims.csv", "dataset\ntiny\n")  # of a run with more models
    assert not StudyResults(folder).config.claims
    reference.freeze(folder, frozen)
    assert not kept.exists() and (kept.parent / "metrics.csv").is_file()


def test_the_same_study_is_equal_also_where_runs_failed(folder: Path, frozen: Path) -> None:
    found = reference.compare(folder, frozen)
    assert set(found["outcome"]) == {"equal"}
    assert (found["numbers"] == found["equal"]).all()
    assert set(found["model"]) == {"ease", "sdiff", "gfcf", "giffcf", "bspm"}


def test_another_number_is_found_with_its_size_and_place(folder: Path, frozen: Path) -> None:
    change(folder, value="0.5")
    row = outcome(reference.compare(folder, frozen))
    assert (row["outcome"], row["runs"]) == ("differs", 2)
    assert row["equal"] == row["numbers"] / 2
    assert row["largest difference"] == pytest.approx(0.5 - 0.8 * 0.14)
    assert row["of"] == "ndcg@10, seed 1"


def test_a_run_that_fails_now_differs(folder: Path, frozen: Path) -> None:
    change(folder, value="", status="oom")
    row = outcome(reference.compare(folder, frozen))
    assert row["outcome"] == "differs" and row["largest difference"] == math.inf  # beyond any tolerance
    assert row["of"].endswith("seed 1")


def test_another_key_is_another_configuration(folder: Path, frozen: Path) -> None:
    frame = texts_of(folder, "metrics")
    frame.loc[frame["model"] == "sdiff", "key"] = "another"
    frame.to_csv(folder / "metrics.csv", index=False)
    row = outcome(reference.compare(folder, frozen))
    assert (row["outcome"], row["numbers"]) == ("other configuration", 0)


def test_another_key_in_one_of_two_groups_is_another_configuration_too(folder: Path, tmp_path: Path) -> None:
    frame = texts_of(folder, "metrics")
    for key in ("before", "after"):
        both = pd.concat([frame, frame[frame["model"] == "sdiff"].assign(key=key)])
        both.to_csv(folder / "metrics.csv", index=False)
        if key == "before":
            reference.freeze(folder, tmp_path / "kept")
    row = outcome(reference.compare(folder, tmp_path / "kept"))
    assert row["equal"] == row["numbers"] > 0
    assert row["outcome"] == "other configuration"


def test_what_is_new_and_what_was_not_run_is_said(folder: Path, frozen: Path) -> None:
    frame = texts_of(folder, "metrics")
    frame.loc[frame["model"] == "sdiff", "variant"] = "renamed"
    frame.to_csv(folder / "metrics.csv", index=False)
    found = reference.compare(folder, frozen)
    words = found[found["model"] == "sdiff"].groupby("variant")["outcome"].unique().map(list).to_dict()
    assert words == {"renamed": ["new"], "default": ["not run"]}


def test_nothing_frozen_is_an_error_that_says_what_is_there(
    folder: Path, frozen: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="nothing is frozen there.*make freeze"):
        reference.compare(folder, tmp_path / "elsewhere")


def test_about_says_who_made_it(frozen: Path) -> None:
    lines = reference.about(frozen, "fixture")
    assert lines[0] == "ml-1m.diffrec, scale only: Abacus, Linux, 2 cores; numpy 2.4.6, torch 2.13.0"
    assert len(lines) == 2


def test_freezing_a_part_of_the_models_keeps_what_is_there(folder: Path, frozen: Path) -> None:
    """As after MODELS=, which leaves the other models out of every file."""
    kept = {path: path.read_bytes() for path in frozen.rglob("*") if path.is_file()}
    for name in ("metrics", "runs"):
        frame = texts_of(folder, name)
        frame[frame["model"] != "sdiff"].to_csv(folder / f"{name}.csv", index=False)
    with pytest.raises(StudyError, match=r"runs\.csv: keeps sdiff, which this run of the study lacks"):
        reference.freeze(folder, frozen)
    assert {path: path.read_bytes() for path in frozen.rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [("seed", "1", "sdiff default fit train seed 1"), ("variant", "c=0.2", "sdiff c=0.2")],
)
def test_freezing_fewer_seeds_or_variants_keeps_what_is_there(
    folder: Path, tmp_path: Path, column: str, value: str, told: str
) -> None:
    """As after SEEDS=1 or MODEL_GROUPS=."""
    runs = texts_of(folder, "runs")
    added = runs[(runs["model"] == "sdiff") & (runs["group"] == "main") & (runs["seed"] == "0")]
    whole = pd.concat([runs, added.assign(**{column: value})]).drop_duplicates(["dataset", *reference.NAMED])
    whole.to_csv(folder / "runs.csv", index=False)
    reference.freeze(folder, tmp_path / "kept")
    part = whole[(whole[column] != value) | (whole["model"] != "sdiff")]
    part.to_csv(folder / "runs.csv", index=False)
    with pytest.raises(StudyError, match=f"keeps {told}, which this run of the study lacks"):
        reference.freeze(folder, tmp_path / "kept")
