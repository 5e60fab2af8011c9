"""The page of all keys is that of the schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from recspectra.config import keys
from recspectra.config.catalog import Catalog


def test_the_page_is_what_the_schema_makes(root: Path) -> None:
    assert (root / "docs/studies.md").read_text(encoding="utf-8") == keys.page(root), "run `make docs`"


def test_the_example_of_a_sweep_is_a_study(root: Path, tmp_path: Path) -> None:
    head = "name: example\ntitle: X\ndatasets: [synthetic]\ntuning: {trials: 2}\n"
    (tmp_path / "example.yaml").write_text(head + keys.MODELS_EXAMPLE)
    planned = Catalog(root).study(str(tmp_path / "example.yaml"))
    assert {run.group for run in planned.runs} == {"main", "ranks"} and len(planned.runs) == 4


@pytest.mark.parametrize("schema", keys.MEANINGS, ids=lambda schema: schema.__name__)
def test_every_key_has_a_meaning_and_no_other(schema: type) -> None:
    assert set(keys.MEANINGS[schema]) == set(schema.model_fields)


@pytest.mark.parametrize("part", ["tables", "figures", "claims"])
def test_every_kind_is_told_with_an_example(root: Path, part: str) -> None:
    page = keys.page(root)
    for kind in keys.known_kinds(part):
        text = page.partition(f"### {part[:-1].capitalize()} of kind `{kind}`\n")[2]
        about, _, example = text.partition("```yaml\n")
        assert about.strip().endswith(".") and example.startswith(f"{part}:\n")
