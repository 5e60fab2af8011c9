"""Paths of results: those that Python builds are those that rules make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recspectra.paths import Paths

HERE = Paths()
MADE = {
    "raw": HERE.raw("movielens", "u.data"),
    "interactions": HERE.interactions("tiny"),
    "part": HERE.part("tiny", "train"),
    "stats": HERE.stats("tiny"),
    "spectrum": HERE.spectrum("tiny", "item", 8),
    "rankings": HERE.run("tiny", "ease", "0ab1", 3) / "rankings.npz",
    "record": HERE.run("tiny", "ease", "0ab1", 3) / "run.json",
    "measured": HERE.measured("energy-tiny"),
    "metrics": HERE.metrics_of("study", "tiny"),
    "per-user": HERE.per_user("study", "tiny"),
}


@pytest.fixture(scope="module")
def outputs(root: Path) -> list[re.Pattern[str]]:
    """What rules make, with any text in place of a wildcard."""
    quoted = "\n".join(path.read_text(encoding="utf-8") for path in sorted((root / "rules").glob("*.smk")))
    found = re.findall(r'^\s*(?:\w+=)?"(results/[^"]+)",?$', quoted, re.M)
    return [re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(text))) for text in found]


@pytest.mark.parametrize("name", list(MADE))
def test_rules_make_what_python_reads(name: str, outputs: list[re.Pattern[str]]) -> None:
    path = str(MADE[name])
    assert any(pattern.fullmatch(path) for pattern in outputs), path


def test_a_path_of_another_kind_is_made_by_no_rule(outputs: list[re.Pattern[str]]) -> None:
    assert not any(pattern.fullmatch("results/runs/tiny/ease/run.json") for pattern in outputs)


def test_all_lie_below_the_folder() -> None:
    there = Paths(Path("/other"))
    assert there.stats("tiny") == Path("/other/data/tiny/stats.json")
    assert there.run("tiny", "ease", "k", "1") == Path("/other/runs/tiny/ease/k/seed-1")
