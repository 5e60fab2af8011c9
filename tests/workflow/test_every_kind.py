"""A small study that draws every kind of table, figure and claim."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml
from harness import REPO, TINY, rows

from recspectra import registry
from recspectra.config.study import ClaimConfig

STUDY = TINY.parent / "every_kind.yaml"
CONTENT = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
KNOWN = {
    "tables": {*registry.GENERIC_TABLES, *registry.tables()},
    "figures": {*registry.GENERIC_FIGURES, *registry.figures()},
    "claims": set(get_args(ClaimConfig.model_fields["kind"].annotation)),
}


@pytest.mark.parametrize("part", KNOWN)
def test_the_study_has_every_kind_there_is(part: str) -> None:
    assert {item.get("kind", "metrics") for item in CONTENT[part]} == KNOWN[part]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's folder after a run on the embedded data."""
    work = tmp_path_factory.mktemp("every") / "work"
    done = REPO.snakemake(work, "--config", f"study={STUDY}", "datasets=synthetic")
    assert done.returncode == 0, done.stdout + done.stderr
    return work / "results" / "studies" / CONTENT["name"]


def test_every_drawing_and_its_data_are_there_and_not_empty(drawn: Path) -> None:
    for table in CONTENT["tables"]:
        _drawn(drawn, f"table-{table['name']}", "md", "tex")
    for figure in CONTENT["figures"]:
        _drawn(drawn, f"fig-{figure['name']}", "svg", "png")
        assert "Nothing to draw" not in (drawn / f"fig-{figure['name']}.svg").read_text(encoding="utf-8")
    _drawn(drawn, "claims", "md")
    judged = {row["claim"] for row in rows(drawn / "claims.csv")}
    named = {claim["name"] for claim in CONTENT["claims"]}
    assert named - judged == {"values", "listed"}  # nothing is printed of the embedded data
    report = (drawn.parents[1] / "report" / f"study-{drawn.name}.html").read_text(encoding="utf-8")
    assert "A world is one history, mask" in report
    assert all(item["title"] in report for part in ("figures", "claims") for item in CONTENT[part])


def _drawn(folder: Path, name: str, *endings: str) -> None:
    """Assert that a drawing has rows of data and a file of each ending that is not empty."""
    assert rows(folder / f"{name}.csv"), name
    for ending in endings:
        assert (folder / f"{name}.{ending}").stat().st_size > 100, f"{name}.{ending}"
