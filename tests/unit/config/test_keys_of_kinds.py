"""A table or claim with a key that its kind does not use, or without one it needs, is refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from own_study import load, refused

from recspectra.config.study import OF_ALL, ClaimConfig, TableConfig
from recspectra.config.yaml_io import validate

ROOT = Path(__file__).resolve().parents[3]
EVERY_KIND: dict[str, Any] = yaml.safe_load((ROOT / "tests/workflow/every_kind.yaml").read_text())
NOTHING = None  # a key that is left out


def shown(part: str, kind: str, **change: Any) -> dict[str, Any]:
    """The first table or claim of a kind of the study that has every kind, with other values."""
    first = next(item for item in EVERY_KIND[part] if item.get("kind", "metrics") == kind)
    return {name: value for name, value in (first | change).items() if value is not NOTHING}


@pytest.mark.parametrize(
    ("part", "kind", "change", "said"),
    [
        ("tables", "runtime", {"metrics": ["recall"]}, "'runtime' does not use `metrics`; it takes "),
        ("tables", "datasets", {"protocol": "higsp"}, "'datasets' does not use `protocol`; it takes "),
        ("tables", "activity", {"published": "sdiff/table1"}, "does not use `published`; it takes "),
        ("tables", "metrics", {"figure": "snr"}, "'metrics' does not use `figure`; it takes "),
        ("tables", "convergence", {"k": [10]}, "'convergence' does not use `k`; it takes "),
        ("tables", "snr", {"groups": ["parts"]}, "'snr' does not use `groups`; it takes "),
        ("tables", "complexity", {"datasets": ["synthetic"]}, "does not use `datasets`; it takes "),
        ("tables", "stability", {"open_rows": True}, "'stability' does not use `open_rows`; it takes "),
        ("tables", "ratios", {"reference": NOTHING}, "a table of kind ratios needs `reference`"),
        ("tables", "stability", {"reference": NOTHING}, "a table of kind stability needs `reference`"),
        ("tables", "ratios", {"metrics": ["ndcg"]}, "a table of kind ratios needs `metrics`, 2 of them"),
        ("claims", "listed", {"paper": "nobody"}, "'listed' does not use `paper`; it takes "),
        ("claims", "listed", {"papers": ["wprec"]}, "nothing of 'wprec'; config/published/claims.csv has "),
        ("claims", "ablation", {"variant": "full"}, "'ablation' does not use `variant`; it takes "),
        ("claims", "gain", {"margin": 0.1}, "'gain' does not use `margin`; it takes "),
        ("claims", "optimum", {"settings": ["center"]},
         "[0].settings: must be a mapping such as `{center: ...}`"),
        ("claims", "optimum", {"settings": {"center": None}},
         "[0].settings.center: must be a number, a text, true or false, not nothing"),
        ("claims", "optimum", {"settings": {"center": []}}, "[0].settings.center: must not be empty"),
        ("claims", "optimum", {"groups": []}, "[0].groups: must not be empty; write one entry or more"),
        ("tables", "metrics", {"datasets": []}, "[0].datasets: must not be empty; write one entry or more"),
        ("tables", "metrics", {"views": []}, "[0].views: must not be empty; write one entry or more"),
        ("tables", "metrics", {"published": NOTHING, "printed": {"synthetic": "ml-1m"}},
         "[0].printed: nothing is printed without `published`"),
        ("tables", "metrics", {"published": "sdiff/table1", "printed": {"synthetc": "ml-1m"}},
         "[0].printed: 'synthetc' is not among the study's datasets: "),
        ("claims", "gain", {"published": "sdiff/table1", "printed": {"synthetc": "ml-1m"}},
         "[0].printed: 'synthetc' is not among the study's datasets: "),
        ("tables", "metrics", {"published": "sdiff/table1", "printed": {"synthetic": "ml-1"}},
         "[0].printed: sdiff/table1 prints nothing for a dataset 'ml-1'; it has "),
    ],
)  # fmt: skip
def test_what_a_kind_does_not_use_or_lacks_is_named(
    part: str, kind: str, change: dict, said: str, tmp_path: Path
) -> None:
    found = refused(tmp_path, **EVERY_KIND | {part: [shown(part, kind, **change)]})
    assert f"{part}[0]" in found and said in found


@pytest.mark.parametrize("key", ["models", "datasets", "protocols", "seeds"])
def test_an_empty_list_is_refused(key: str, tmp_path: Path) -> None:
    assert f"{key}: must not be empty; write one entry or more" in refused(tmp_path, **EVERY_KIND | {key: []})


def test_a_table_that_shows_no_runs_needs_no_group(tmp_path: Path) -> None:
    """Its groups are the default, `main`, which the study may not have."""
    table = shown("tables", "datasets")
    entry = {"model": "popularity", "group": "other"}
    found = load(tmp_path, tables=[table], models=[entry])
    assert found.config.tables[0].kind == "datasets"


@pytest.mark.parametrize(("part", "schema"), [("tables", TableConfig), ("claims", ClaimConfig)])
def test_what_a_study_json_holds_is_read_again(part: str, schema: type) -> None:
    for item in EVERY_KIND[part]:
        whole = validate(schema, item, "study.yaml").model_dump(mode="json")
        assert set(whole) > set(OF_ALL) and validate(schema, whole, "study.json").name == item["name"]
