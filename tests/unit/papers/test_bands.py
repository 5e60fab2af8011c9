"""Figures of WPGRec: what its gate sees and gives, and the cost of a step by size."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from study_rows import run_row, write_files

from recspectra.config.catalog import Catalog
from recspectra.papers import wpgrec
from recspectra.papers.wpgrec import (
    BATCH,
    COLUMNS,
    Sizes,
    costs,
    memory_formula,
    points,
    time_formula,
)
from recspectra.reporting.draw import draw_table, lay_out
from recspectra.reporting.figures import draw_figure, figure_data
from recspectra.reporting.gather import gather
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults

ROOT = Path(__file__).resolve().parents[3]
FIGURES = [
    {"name": "bands", "title": "Bands", "kind": "bands", "group": "main"},
    {"name": "costs", "title": "Costs", "kind": "complexity"},
]
STUDY = {
    "name": "b", "title": "B", "datasets": ["synthetic"], "seeds": [0, 1], "protocols": ["standard"],
    "models": [{"model": "wpgrec", "params": {"levels": 1}}, {"model": "popularity"}],
    "figures": FIGURES,
    "tables": [{"name": "growth", "title": "G", "kind": "complexity", "figure": "costs"}],
}  # fmt: skip


def band_rows(seed: int, shift: float) -> list[dict]:
    head = {"figure": "bands", "dataset": "synthetic", "model": "wpgrec", "title": "WPGRec",
            "variant": "default", "group": "main", "seed": seed, "fit": "train"}  # fmt: skip
    return [
        {**head, "low": low, "high": low + 0.25, "quantity": name, "mean": mean + shift, "sd": 0.1}
        for low, values in ((0.0, (0.7, 0.3, 0.6)), (0.25, (0.3, 0.8, 0.4)))
        for name, mean in zip(("energy", "flatness", "gate"), values, strict=True)
    ]


@pytest.fixture
def files(tmp_path: Path) -> StudyResults:
    sizes = [("users", 10, 2.0, 100), ("users", 20, 6.0, 150), ("bands", 1, 1.0, 50), ("bands", 2, 4.0, 100)]
    costs = [["costs", a, s, m, y, f, "cpu", 1] for m in ("seconds", "megabytes") for a, s, y, f in sizes]
    tables = {
        "runs": [
            run_row("synthetic", "wpgrec", title="WPGRec", status="capped", seed=seed) for seed in (0, 1)
        ],
        "bands": band_rows(0, -0.02) + band_rows(1, 0.02),
        "complexity": pd.DataFrame(costs, columns=["figure", *COLUMNS]),
    }
    return write_files(tmp_path / "b", STUDY, {"synthetic": "Synthetic"}, **tables)


def test_bars_are_means_over_seeds_in_the_order_of_frequency(files: StudyResults) -> None:
    frame = figure_data(files, files.config.figures[0]).frame
    assert frame["x"].tolist() == ["0 to 0.25"] * 3 + ["0.25 to 0.5"] * 3
    assert frame["series"].tolist() == ["share of energy", "gate weight", "spectral flatness"] * 2
    assert frame["y"].tolist() == pytest.approx([0.7, 0.6, 0.3, 0.3, 0.4, 0.8])
    assert set(frame["seeds"]) == {2}


def test_the_caption_names_models_that_a_cap_ended(files: StudyResults) -> None:
    said = "\u00b6 a cap of the scale ended fits of WPGRec."
    assert figure_data(files, files.config.figures[0]).caption.endswith(said)
    assert said not in figure_data(files, files.config.figures[1]).caption


def test_costs_are_relative_to_the_smallest_size(files: StudyResults) -> None:
    drawn = figure_data(files, files.config.figures[1])
    panel = drawn.frame[drawn.frame["panel"] == "seconds against |U|, users"]
    assert panel.groupby("series")["y"].apply(list).to_dict() == {
        "formula of the paper": [1.0, 1.5],
        "measured": [1.0, 3.0],
    }
    assert "the smallest takes 1 s" in drawn.caption


def test_the_table_of_costs_sets_growth_against_the_formula(files: StudyResults) -> None:
    table = files.config.tables[0]
    draw_table(files, table, Published(ROOT))
    laid = lay_out(files, table, Published(ROOT))
    assert [[cell.text for cell in row] for row in laid.rows[:2]] == [
        ["seconds", "|U|, users (10 to 20)", "x 3.00", "x 1.50", "no"],
        ["seconds", "B, bands (1 to 2)", "x 4.00", "x 2.00", "no"],
    ]
    assert laid.notes[0].startswith("A step's cost grows no faster than the formula in 0 of 4 cases")


@pytest.mark.parametrize("number", [0, 1])
def test_figures_are_drawn_and_say_so_where_nothing_is_there(files: StudyResults, number: int) -> None:
    names = draw_figure(files, files.config.figures[number])
    assert all((files.folder / name).stat().st_size > 0 for name in names)
    for name in ("bands.csv", "complexity.csv"):
        (files.folder / name).unlink()
    assert figure_data(StudyResults(files.folder), files.config.figures[number]).reason


def test_band_statistics_are_read_from_the_runs_that_a_figure_shows(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(json.dumps(STUDY))
    study = Catalog(ROOT).study(str(path))
    bands = [{"low": 0.0, "high": 0.5, "energy": 1.0, "energy_sd": 0.0, "flatness": 0.2,
              "flatness_sd": 0.1, "gate": 1.0, "gate_sd": 0.0}]  # fmt: skip
    for r in study.runs:
        folder = tmp_path / "runs" / r.dataset / r.run.model / r.run.key / f"seed-{r.seed}"
        folder.mkdir(parents=True)
        log = {"bands": bands} if r.run.model == "wpgrec" else {}
        (folder / "run.json").write_text(json.dumps({"log": log}))
    gather(study, "bands", tmp_path)
    found = StudyResults.numbers(SimpleNamespace(folder=tmp_path / "studies" / "b"), "bands")
    assert found["seed"].tolist() == [*"000111"]
    assert found["quantity"].tolist() == ["energy", "flatness", "gate"] * 2
    assert found["mean"].tolist() == [1.0, 0.2, 1.0] * 2


# -------------------------------------------------------------------------- complexity


def test_one_size_grows_at_a_time() -> None:
    base = Sizes(users=10, items=20, steps=2, length=8, levels=1)
    found = {(axis, size): sizes for axis, size, sizes in points(base, [1, 2, 4])}
    assert [s.edges for (axis, _), s in found.items() if axis == "users"] == [80, 80, 80]
    assert [s.bands for (axis, _), s in found.items() if axis == "bands"] == [1, 2, 4]
    assert found["steps", 8] == Sizes(10, 20, 8, 8, 1)
    assert found["edges", 320] == Sizes(10, 20, 2, 32, 1)


def test_formulas_are_those_of_the_paper() -> None:
    p = {"dimensions": 4, "graph_layers": 2, "order": 3}
    sizes = Sizes(users=5, items=7, steps=6, length=3, levels=1)
    assert time_formula(sizes, p) == 5 * 2 * 6 * 4 + 2 * 2 * 3 * 15 * 4 + 12 * 16 + BATCH * 7 * 4
    assert memory_formula(sizes, p) == 2 * 4 * 16 + 15 + 2 * 12 * 2 * 4


def test_costs_of_a_step_are_measured_at_every_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """At two points: each costs a process of its own."""
    monkeypatch.setattr(wpgrec, "points", lambda *given: points(*given)[1:3])
    found = costs(Catalog(ROOT).model("wpgrec"), Sizes(20, 30, 4, 4, 1), [1], 1, "cpu", 1)
    assert found["axis"].tolist() == [axis for axis in ("bands", "steps") for _ in range(2)]
    assert (found.loc[found["measure"] == "seconds", "measured"] > 0).all()
    assert np.isfinite(found[["measured", "formula"]].to_numpy()).all()
