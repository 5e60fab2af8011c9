"""Write a laid-out table in every format beside its long form."""

from __future__ import annotations

from recspectra.files import write_text
from recspectra.reporting.latex import to_latex
from recspectra.reporting.results import StudyResults
from recspectra.reporting.table import Table, to_csv, to_markdown

TABLE_FILES = ("table-{name}.csv", "table-{name}.md", "table-{name}.tex", "sheet-{name}.csv")


def write(files: StudyResults, name: str, table: Table) -> list[str]:
    """Write `table-{name}.md`, `.tex` and `sheet-{name}.csv`; return the names of all files of the table."""
    names = [pattern.format(name=name) for pattern in TABLE_FILES]
    texts = [to_markdown(table), to_latex(table, f"{files.config.name}-{name}"), to_csv(table)]
    for file, text in zip(names[1:], texts, strict=True):
        write_text(files.folder / file, text)
    return names
