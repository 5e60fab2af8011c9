"""GSPRec's table of spectral radii: what fits found, and whether Lemma 1's condition holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import study_rows

from recspectra.config.study import TableConfig
from recspectra.papers import gsprec
from recspectra.reporting.draw import draw_table, lay_out
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults

ROOT = Path(__file__).resolve().parents[3]
TABLE = TableConfig(name="lemma", title="Lemma 1", kind="convergence")


def files_of(folder: Path, *runs: dict) -> StudyResults:
    """A study's folder with runs of GSPRec."""
    found = [study_rows.run_row("d", "gsprec", title="GSPRec", **own) for own in runs]
    study = {"name": "s", "title": "S", "tables": [TABLE.model_dump(mode="json")],
             "protocols": {"standard": {}}}  # fmt: skip
    return study_rows.write_files(folder, study, {"d": "D"}, runs=found)


def run(key: str, decay: float, radius: float | None, depth: int = 2, **more: str) -> dict:
    limit = 1 / radius if radius else None
    params = json.dumps({"depth": depth, "decay": decay, "rank": 8})
    return {"key": key, "params": params, "spectral_radius": radius, "alpha_limit": limit} | more


def test_a_line_a_dataset_depth_and_decay_says_whether_the_condition_holds(tmp_path: Path) -> None:
    runs = [run("a", 0.4, 250.0), run("b", 0.4, 250.0, variant="again"), run("c", 0.002, 250.0, variant="c"),
            run("e", 0.4, None, depth=1, variant="e")]  # fmt: skip
    files = files_of(tmp_path / "s", *runs)
    names = draw_table(files, TABLE, Published(ROOT))
    assert all((files.folder / name).stat().st_size > 0 for name in names)
    table = lay_out(files, TABLE, Published(ROOT))
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows == [["D", "2", "0.4", "250.0", "0.004", "100.0", "no"],
                    ["D", "2", "0.002", "250.0", "0.004", "0.5", "yes"]]  # fmt: skip


def test_without_any_run_the_table_is_empty(tmp_path: Path) -> None:
    files = files_of(tmp_path / "s", run("e", 0.4, None, depth=1))
    draw_table(files, TABLE, Published(ROOT))
    assert lay_out(files, TABLE, Published(ROOT)).rows == []


def test_what_a_fit_writes_down_is_what_the_column_holds() -> None:
    log = {"spectral_radius": 250.0, "alpha_limit": 0.004}
    assert gsprec.radius_of({"log": log | {"eigenvalues": [0.1]}}) == log
    assert gsprec.radius_of({"status": "oom"}) == {"spectral_radius": None, "alpha_limit": None}


def test_a_table_of_this_kind_needs_no_figure_and_one_of_snr_does() -> None:
    with pytest.raises(ValueError, match="needs `figure`, the name of a figure of kind snr"):
        TableConfig(name="t", title="T", kind="snr")
