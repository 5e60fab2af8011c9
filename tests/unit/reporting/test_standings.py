"""Who leads, and how sure that is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import GAIN, LOO, ROOT, TABLE, Model, above, write
from small_study import draw_numbers
from study_rows import change_study

from recspectra.config.study import TableConfig
from recspectra.reporting import standings
from recspectra.reporting.draw import draw_table
from recspectra.reporting.published import Published
from recspectra.reporting.site import render


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Standings of five models: the second within noise of the best, the third clearly below."""
    base = np.random.default_rng(0).uniform(0.2, 0.4, (1, 200))
    models = {
        "ease": Model(above(base, 0.0, 2, 0.05), kind="closed-form"),
        "sgl": Model(np.concatenate([above(base, -0.0999, 3), above(base, -0.1001, 4)])),
        "wpgrec": Model(above(base, 0.004, 1, 0.05)),
        "dgrec": Model(None, status="oom"),
        "bsarec": Model(above(base, -0.2, 5)),
    }
    folder = tmp_path_factory.mktemp("standings") / "s"
    write(folder, {LOO: models}, [])
    change_study(folder, tables=[TABLE])
    draw_numbers(folder)
    return standings.read(folder).set_index("model")


def test_the_best_stands_first_and_a_model_without_a_number_last(rows: pd.DataFrame) -> None:
    assert list(rows.index) == ["wpgrec", "ease", "sgl", "bsarec", "dgrec"]
    assert list(rows["rank"].iloc[:4]) == [1, 2, 3, 4]
    assert rows.loc["dgrec", "status"] == "oom" and np.isnan(rows.loc["dgrec", "value"])


def test_only_what_cannot_be_told_from_the_best_is_tied(rows: pd.DataFrame) -> None:
    assert list(rows["tied"].iloc[:4]) == [1, 1, 0, 0]


def test_intervals_hold_the_mean_and_places_their_own(rows: pd.DataFrame) -> None:
    own = rows.iloc[:4]
    assert (own["low"] < own["value"]).all() and (own["value"] < own["high"]).all()
    assert (own["rank_low"] <= own["rank"]).all() and (own["rank"] <= own["rank_high"]).all()
    assert tuple(rows.loc["wpgrec", ["rank_low", "rank_high"]]) == (1, 2)
    np.testing.assert_allclose(own["high"] - own["low"], 2 * 1.96 * own["user_error"], rtol=0.15)


def test_seeds_and_their_spread_are_known(rows: pd.DataFrame) -> None:
    assert rows.loc["sgl", "seeds"] == 2
    assert rows.loc["sgl", "seed_spread"] == pytest.approx(0.0002 / np.sqrt(2), abs=1e-6)
    assert np.isnan(rows.loc["ease", "seed_spread"])


def test_without_values_of_users_there_are_places_but_no_intervals(tmp_path: Path) -> None:
    base = np.random.default_rng(0).uniform(0.2, 0.4, (1, 20))
    files = write(tmp_path / "s", {LOO: {"ease": Model(base), "sgl": Model(base - 0.1)}}, [])
    (files.folder / "per_user" / f"{LOO}.parquet").unlink()
    table = TableConfig(**TABLE)
    files.config.tables.append(table)
    draw_table(files, table, Published(ROOT))
    found = standings.build(files)
    assert list(found["rank"]) == [1, 2] and found["low"].isna().all() and found["tied"].isna().all()


def test_a_study_without_a_table_has_no_standings(tmp_path: Path) -> None:
    files = write(tmp_path / "s", {LOO: {"ease": Model(np.ones((1, 3)))}}, [])
    assert standings.build(files).empty


@pytest.mark.parametrize(("seeds", "said"), [(2, False), (6, True)])
def test_the_first_page_speaks_of_other_seeds_only_where_there_are_enough(
    seeds: int, said: bool, tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).uniform(0.2, 0.4, (2, seeds, 50))
    write(tmp_path / "s", {LOO: {"sgl": Model(noise[0]), "wpgrec": Model(noise[1])}}, [])
    change_study(tmp_path / "s", tables=[TABLE])
    draw_numbers(tmp_path / "s")
    page = render([tmp_path / "s"], ROOT)["index.html"]
    assert ("enough seeds, other seeds." in page) is said
    assert "In brackets: the places" in page
    assert "Which recommender wins, and how sure is that?" in page  # nothing published, no claim


@pytest.mark.parametrize(("paper", "said"), [({}, "<p>Claim: "), ({"paper": "P"}, "<p>The paper says: ")])
def test_a_claim_of_no_paper_is_not_said_to_be_of_one(paper: dict, said: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).uniform(0.2, 0.4, (2, 1, 50))
    claim = GAIN | {"rivals": ["sgl"], "statement": "Mine is best."} | paper
    write(tmp_path / "s", {LOO: {"sgl": Model(noise[0]), "wpgrec": Model(noise[1])}}, [claim])
    draw_numbers(tmp_path / "s")
    assert f"{said}Mine is best.</p>" in render([tmp_path / "s"], ROOT)["index.html"]


@pytest.mark.parametrize(
    ("metrics", "k", "first"),
    [
        (["recall", "ndcg"], [10, 20], ("ndcg", 10)),
        (["mrr", "recall"], [20], ("mrr", 20)),
        (["ndcg_hit", "mrr"], [5, 10], ("ndcg_hit", 10)),
        (["novelty", "recall"], [10], ("recall", 10)),  # nobody leads by novelty
        (["coverage"], [10], None),
    ],
)
def test_models_are_ranked_by_ndcg_at_10_or_the_first_metric(
    metrics: list, k: list, first: tuple | None
) -> None:
    assert standings.measure_of(TableConfig(**{**TABLE, "metrics": metrics, "k": k})) == first
