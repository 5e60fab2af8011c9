"""A table of metrics in HTML: one part for each dataset and view, every cell with what is known of it.

The script of the page shows one metric and view at a time; without it, and in print, all columns stand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from recspectra.reporting.escape import html
from recspectra.reporting.table import EMPTY, Cell, Table, html_value

POINTED = "Published values and ours minus published show where you point or tap, and on paper."
OPEN_NOTES = 3  # how many notes stand open below a table


@dataclass(frozen=True)
class Origin:
    """Which runs a row of a table is of, on one dataset.

    Attributes
    ----------
    key : str
        Key of the configuration.
    links : dict
        What is linked (`seed 0`) -> its address.
    """

    key: str = ""
    links: Mapping[str, str] = field(default_factory=dict)


Origins = Mapping[tuple[str, str], Origin]  # (row, title of the dataset) -> its runs


def to_boards(table: Table, origins: Origins) -> str:
    """Return the parts of a table of metrics; all text is escaped."""
    if not table.rows:
        return f"<p>{EMPTY}</p>"
    parts = [_board(table, columns, origins) for _, columns in table.parts()]
    return "\n".join(['<div class="boards">', *parts, "</div>"])


def is_board(table: Table) -> bool:
    """Tell whether a table has columns under headings, by dataset and view."""
    return any(column.levels for column in table.columns)


def metrics_of(table: Table) -> list[str]:
    """Return the titles of a table's columns, keys left out: `ndcg@10`."""
    return list(dict.fromkeys(column.title for column in table.columns[table.keys :]))


def views_of(table: Table) -> list[str]:
    """Return the views of a table's columns in words."""
    return list(dict.fromkeys(_view(column.levels) for column in table.columns[table.keys :]))


def legend_of(table: Table) -> list[str]:
    """Return what explains marks, ranks and intervals; published values show when a cell is pointed at."""
    words = {"published": POINTED} if table.words.get("published") else {}
    return replace(table, words=table.words | words).legend()


def _view(levels: tuple[str, ...]) -> str:
    return ", ".join(levels[1:])


def _board(table: Table, columns: list[int], origins: Origins) -> str:
    levels = table.columns[columns[0]].levels
    dataset, view = levels[0], _view(levels)
    titles = "".join(
        f'<th scope="col" class="number" data-metric="{html(title)}">{html(title)}</th>'
        for title in (table.columns[j].title for j in columns)
    )
    body = [_row(table, row, columns, origins.get((row[0].text, dataset), Origin())) for row in table.rows]
    name = html(f"{table.title}: {dataset}, {view}")
    first = f'<th scope="col">{html(table.columns[0].title)}</th>'
    lines = [
        f'<section class="board" data-view="{html(view)}">',
        f'<h4>{html(dataset)} <span class="soft">{html(view)}</span></h4>',
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">',
        f'<table class="results"><thead><tr>{first}{titles}</tr></thead><tbody>',
        *body,
        "</tbody></table>",
        "</div>",
        "</section>",
    ]
    return "\n".join(lines)


def _row(table: Table, row: list[Cell], columns: list[int], origin: Origin) -> str:
    cells = "".join(_cell(row[j]) for j in columns)
    return f'<tr><th scope="row">{html(row[0].text)}{_runs(origin)}</th>{cells}</tr>'


def _cell(cell: Cell) -> str:
    kinds = ["number", cell.standing, "failed" if cell.failed else ""]
    beside = [f"\u00b1 {html(cell.error)}"] if cell.error else []
    beside += [html(cell.note)] if cell.note else []
    shown = "".join(f' <span class="error">{line}</span>' for line in beside)
    kind = " ".join(filter(None, kinds))
    return f'<td class="{kind}">{html_value(cell)}{shown}{_printed(cell)}</td>'


def _printed(cell: Cell) -> str:
    """Return what the paper prints: shown when a cell is pointed at, and in print."""
    if not cell.published:
        return ""
    mark = f"<sup>{html(cell.mark)}</sup>" if cell.mark else ""
    lines = [f"published {html(cell.published)}{mark}"]
    lines += [f"difference {html(cell.difference)}"] if cell.difference else []
    return _more(lines, "printed")


def _runs(origin: Origin) -> str:
    """Return the key of a row and links to its runs: shown when one of its cells is pointed at."""
    links = "".join(f' <a href="{html(address)}">{html(name)}</a>' for name, address in origin.links.items())
    lines = [f"key <code>{html(origin.key)}</code>"] if origin.key else []
    return _more([*lines, *([f"runs:{links}"] if links else [])], "aside")


def _more(lines: list[str], kind: str) -> str:
    inner = "".join(f'<span class="{kind}">{line}</span>' for line in lines)
    return f'<span class="more">{inner}</span>' if lines else ""
