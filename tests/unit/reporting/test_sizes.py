"""Tables of datasets: what they hold, next to what a paper prints, digit by digit."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_rows import write_files

from recspectra.reporting.draw import draw_table, lay_out
from recspectra.reporting.published import Published
from recspectra.reporting.results import COLUMNS, StudyResults

ROOT = Path(__file__).resolve().parents[3]
COUNTS = {"lastfm.loo": (1090, 3646, 52551), "amazon-sports.loo": (35598, 18357, 296337), "mine": (4, 5, 10)}
TABLE = {"name": "sizes", "title": "Table 2", "kind": "datasets", "published": "wpgrec/table1"}


@pytest.fixture
def files(tmp_path: Path) -> StudyResults:
    rows = [
        dict.fromkeys(COLUMNS["datasets"].split(), "")
        | {"dataset": name, "title": name.upper(), "users": u, "items": i, "interactions": n}
        for name, (u, i, n) in COUNTS.items()
    ]
    study = {
        "name": "s",
        "title": "S",
        "datasets": list(COUNTS),
        "tables": [TABLE],
        "protocols": ["standard"],
    }
    return write_files(tmp_path, study, {}, datasets=rows)


def test_printed_counts_stand_next_to_ours_and_slips_are_named(files: StudyResults) -> None:
    published, (table,) = Published(ROOT), files.config.tables
    assert f"table-{table.name}.csv" in draw_table(files, table, published)
    laid = lay_out(files, table, published)
    rows = {row[0].text: row[1:] for row in laid.rows}
    users, items, interactions, sparsity, length = rows["LASTFM.LOO"]
    assert (users.text, users.published, users.difference) == ("1,090", "1,090", "")
    assert (interactions.text, interactions.published) == ("52,551", "")
    assert (sparsity.text, sparsity.published, sparsity.difference) == ("98.68", "98.68", "")
    assert (length.text, length.published, length.difference) == ("48.2", "48.2", "")
    assert (items.text, items.published) == ("3,646", "3,646")
    slip = rows["AMAZON-SPORTS.LOO"][0]
    assert (slip.text, slip.published, slip.difference) == ("35,598", "25,598", "+10,000")
    assert [cell.published for cell in rows["MINE"]] == [""] * 5
    assert laid.notes == ["7 of 8 printed numbers agree; others: users of AMAZON-SPORTS.LOO."]


def test_a_table_of_datasets_without_print_has_ours_alone(files: StudyResults) -> None:
    table = files.config.tables[0].model_copy(update={"published": None})
    published = Published(ROOT)
    draw_table(files, table, published)
    laid = lay_out(files, table, published)
    assert laid.notes == []
    assert [cell.text for cell in laid.rows[2]] == ["MINE", "4", "5", "10", "50.00", "2.5"]
