"""Findings at the border: p-values that a correction over the family moves across the level."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recspectra.evaluation.significance import compare, holm
from recspectra.reporting.findings import build, sentences, user_values
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyFiles

ROOT = Path(__file__).resolve().parents[2]
USERS = 60
VIEW = {"history": "train", "mask": "train"}
WHERE = {"protocol": "standard", **VIEW, "fit": "train", "metric": "ndcg", "k": 10}
FINDING = {"name": "best", "title": "Best?", "kind": "claim-best", "model": "ours", "view": VIEW}
Family = dict[str, dict[str, float]]  # dataset -> rival -> p-value of our gain over it


def gaps_with(p: float, seed: int) -> np.ndarray:
    """Gaps of users, mean above 0, whose paired t-test gives exactly this p-value."""
    noise = np.random.default_rng(seed).normal(size=USERS)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return noise + stats.t.isf(p / 2, USERS - 1) / np.sqrt(USERS)


def write_study(folder: Path, family: Family) -> StudyFiles:
    """Write a study in which `ours` is above every rival, by so much as its p-value says."""
    (folder / "per_user").mkdir(parents=True)
    runs = []
    for dataset, rivals in family.items():
        values = {"ours": np.linspace(0.4, 0.6, USERS)}
        for seed, (name, p) in enumerate(rivals.items()):
            values[name] = values["ours"] - 0.01 * gaps_with(p, seed)
        parts = []
        for name, column in values.items():
            head = {"dataset": dataset, "model": name, "variant": "default", "key": name}
            part = pd.DataFrame({"user": np.arange(USERS), "value": column})
            parts.append(part.assign(**head, **WHERE, seed=0))
            runs.append(head | {"title": name, "kind": "closed-form", "group": "main", "seed": 0,
                                "fit": "train", "status": "ok", "params": "{}", "swept": "{}"})  # fmt: skip
        pd.concat(parts).to_parquet(folder / "per_user" / f"{dataset}.parquet", index=False)
    write_frames(folder, pd.DataFrame(runs), list(family))
    return StudyFiles(folder)


def write_frames(folder: Path, runs: pd.DataFrame, datasets: list[str]) -> None:
    left_out = "reason spectrum_seconds fit_seconds score_seconds peak_memory_mb device threads epochs "
    left_out += "best_epoch best_validation mode gradient_cosine"
    runs.assign(**dict.fromkeys(left_out.split(), "")).to_csv(folder / "runs.csv", index=False)
    columns = "dataset model variant group seed fit curve epoch value"
    pd.DataFrame(columns=columns.split()).to_csv(folder / "learning.csv", index=False)
    columns = "dataset title users items interactions train valid test test_users density mean_length "
    columns += "ordered licence citation notes"
    rows = [{"dataset": name, "title": name.upper(), "density": 0.1, "mean_length": 5} for name in datasets]
    pd.DataFrame(rows, columns=columns.split()).to_csv(folder / "datasets.csv", index=False)
    study = {"name": "ties", "title": "Near ties", "datasets": datasets, "systems": [{"model": "ease"}],
             "findings": [FINDING], "protocols": ["standard"]}  # fmt: skip
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")


def told(folder: Path, family: Family) -> tuple[pd.DataFrame, str]:
    """Return the numbers of the finding by dataset and rival, and what is said of them."""
    files = write_study(folder, family)
    config, published = files.config.findings[0], Published(ROOT)
    frame = build(files, config, published)
    text = " ".join(sentences(files, config, frame, published))
    return frame.set_index(["dataset", "second"]), text


# ------------------------------------------------------------------------------ the family


@pytest.mark.parametrize("p", [1e-6, 0.02, 0.03, 0.04, 0.5])
def test_the_fixture_has_the_p_value_that_it_is_asked_for(p: float) -> None:
    (one,) = compare(gaps_with(p, 1), np.zeros((USERS, 1)), resamples=10)
    assert one.p == pytest.approx(p) and one.difference > 0


def test_near_ties_are_corrected_for_the_comparisons_of_all_datasets(tmp_path: Path) -> None:
    """Each is below .05 raw, and below it for its dataset alone; of the family none is."""
    frame, text = told(tmp_path / "s", {"one": {"a": 0.02, "b": 0.03}, "two": {"a": 0.04}})
    raw = [0.02, 0.03, 0.04]
    np.testing.assert_allclose(frame["p"].to_numpy(dtype=float), raw)
    np.testing.assert_allclose(frame["p_holm"].to_numpy(dtype=float), [0.06] * 3)
    assert (holm(np.array(raw[:2])) < 0.05).all()  # what a dataset by itself would say
    assert (frame["difference"] > 0).all()
    assert frame["verdict"].tolist() == ["not distinguishable"] * 3
    assert text.count("is not decided") == 2 and "holds" not in text
    assert "above 0 of 2, not distinguishable from 2, below 0" in text
    assert "above 0 of 1, not distinguishable from 1, below 0" in text
    assert "corrected by Holm for 3 comparisons" in text


def test_a_claim_holds_only_where_every_comparison_is_decided(tmp_path: Path) -> None:
    frame, text = told(tmp_path / "s", {"one": {"a": 0.01, "b": 0.04}, "two": {"a": 0.001, "b": 0.012}})
    np.testing.assert_allclose(frame["p_holm"].to_numpy(dtype=float), [0.03, 0.04, 0.004, 0.03])
    assert frame["verdict"].tolist() == ["above"] * 4
    assert text.count("holds: above 2 of 2") == 2
    frame, text = told(tmp_path / "t", {"one": {"a": 0.01, "b": 0.04}, "two": {"a": 0.001, "b": 0.03}})
    assert frame["verdict"].tolist() == ["above", "not distinguishable"] * 2
    assert text.count("is not decided: above 1 of 2, not distinguishable from 1") == 2
    assert "holds" not in text


def test_a_corrected_p_value_of_a_twentieth_and_more_decides_nothing(tmp_path: Path) -> None:
    frame, text = told(tmp_path / "s", {"one": {"a": 0.0501}, "two": {}})
    assert frame["verdict"].tolist() == ["not distinguishable"] and "is not decided" in text
    frame, text = told(tmp_path / "t", {"one": {"a": 0.0499}, "two": {}})
    assert frame["verdict"].tolist() == ["above"] and "holds: above 1 of 1" in text


# ------------------------------------------------------------------------ what is compared


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("protocol", "sdiff"),
        ("fit", "train+valid"),
        ("history", "train+valid"),
        ("mask", "train+valid"),
        ("metric", "recall"),
        ("k", 20),
    ],
)
def test_values_of_users_are_those_that_the_finding_names(tmp_path: Path, column: str, other: object) -> None:
    """Rows that differ in one thing alone stand in the same file, with other values."""
    files = write_study(tmp_path / "s", {"one": {"a": 0.02}})
    finding = files.config.findings[0]
    before = user_values(files, finding, finding.view, "one")
    assert before.shape == (USERS, 2)
    path = files.folder / "per_user" / "one.parquet"
    frame = pd.read_parquet(path)
    changed = frame.assign(value=frame["value"] + 0.3, **{column: other})
    pd.concat([changed, frame, changed]).to_parquet(path, index=False)
    pd.testing.assert_frame_equal(user_values(files, finding, finding.view, "one"), before)
    chosen = finding.model_copy(update={column: other})
    view = finding.view.model_copy(update={column: other} if column in VIEW else {})
    np.testing.assert_allclose(user_values(files, chosen, view, "one"), before + 0.3)
