"""Write a laid-out table in every format beside its long form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from recspectra.config.study import TableConfig
from recspectra.files import write_text
from recspectra.reporting.latex import to_latex
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, read_csv, write_csv
from recspectra.reporting.table import Table, to_csv, to_markdown

TABLE_FILES = ("table-{name}.csv", "table-{name}.md", "table-{name}.tex", "sheet-{name}.csv")


def write(files: StudyResults, name: str, table: Table) -> list[str]:
    """Write `table-{name}.md`, `.tex` and `sheet-{name}.csv`; return the names of all files of the table."""
    names = [pattern.format(name=name) for pattern in TABLE_FILES]
    texts = [to_markdown(table), to_latex(table, f"{files.config.name}-{name}"), to_csv(table)]
    for file, text in zip(names[1:], texts, strict=True):
        write_text(files.folder / file, text)
    return names


def draw_long(
    files: StudyResults, table: TableConfig, published: Published,
    build: Callable[[StudyResults, TableConfig, Published], pd.DataFrame],
    lay_out: Callable[[StudyResults, TableConfig, Published], Table],
) -> list[str]:  # fmt: skip
    """Write a table's long form, then the table that is laid out from it; return the names of its files."""
    write_csv(files.folder / f"table-{table.name}.csv", build(files, table, published))
    return write(files, table.name, lay_out(files, table, published))


def read_long(
    files: StudyResults, table: TableConfig, columns: Sequence[str], numbers: Sequence[str]
) -> pd.DataFrame:
    """Read a table's long form back from disk."""
    return read_csv(files.folder / f"table-{table.name}.csv", columns, numbers, "draw the study first")
