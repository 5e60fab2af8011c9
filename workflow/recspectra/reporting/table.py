"""A laid-out table, and one writer for each format: Markdown, LaTeX, HTML, CSV and plain text.

A table holds texts as they are read; the writers escape them. LaTeX has `reporting/latex.py` to itself.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from recspectra.config.scale import CAPPED_MARK
from recspectra.reporting.escape import html, markdown, shorten, to_cell

DASH = "\u2013"
BEST, TIED = 1, 2  # ranks of cells
UP, DOWN = "\u2191", "\u2193"  # signs of cells: above and below the reference model
# What stands for a mark or sign where there is only ASCII.
PLAIN_MARKS = {"\u2020": "!", "\u2021": "?", "\u00a7": "#", "\u2016": "~"}
PLAIN_RANKS, PLAIN_SIGNS = {BEST: "*", TIED: "="}, {UP: "+", DOWN: "-"}
EMPTY = "No run belongs to this table."
KEY_WIDTH, WORD_WIDTH = 44, 24  # characters in a terminal


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    title : str
        What stands over it.
    levels : tuple of str
        Headings over that, outermost first. Columns with equal levels make one part of the table.
    words : bool
        Whether it holds words; others are set flush right.
    """

    title: str
    levels: tuple[str, ...] = ()
    words: bool = False


@dataclass(frozen=True)
class Cell:
    """A text and what stands beside it.

    Attributes
    ----------
    text : str
        The number or words, ready to print.
    error, note : str
        Half of the 95 % interval over users and seeds; seeds that failed.
    published, difference : str
        The printed value and ours minus it.
    mark : str
        Mark of the published value, one of the table's `marks`.
    rank : int
        `BEST` of its column, `TIED` where it cannot be told from the best, else 0.
    sign : str
        `UP` or `DOWN` where it is above or below the table's reference model.
    failed : bool
        Whether the text is a status, not a number.
    """

    text: str
    error: str = ""
    rank: int = 0
    failed: bool = False
    note: str = ""
    published: str = ""
    difference: str = ""
    mark: str = ""
    sign: str = ""

    @property
    def standing(self) -> str:
        """The rank in a word."""
        return {BEST: "best", TIED: "tied"}.get(self.rank, "")


@dataclass(frozen=True)
class Table:
    """A table: nothing in it is escaped.

    Attributes
    ----------
    title, caption : str
        What stands over it.
    columns : list of Column
        The first `keys` of them say what a row is.
    rows : list of list of Cell
        As many cells a row as there are columns.
    notes : list of str
        What must be known beside it, a paragraph each.
    marks : dict
        What each mark of a cell means.
    words : dict
        What its cells show and how to read it: `best`, `tied`, `error`, `sign`, `published`.
    reference : str
        The row that signs refer to.
    keys : int
        Leading columns that are repeated where the table is split.
    """

    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    caption: str = ""
    notes: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    keys: int = 1
    words: dict[str, str] = field(default_factory=dict)
    reference: str = ""

    def parts(self) -> list[tuple[str, list[int]]]:
        """Return a heading and the column numbers, keys left out, of all columns with equal levels."""
        numbers = range(self.keys, len(self.columns))
        groups = groupby(numbers, key=lambda j: self.columns[j].levels)
        return [(", ".join(levels), list(group)) for levels, group in groups]

    def cells(self, columns: Iterable[int] | None = None) -> list[Cell]:
        """Return the cells of some columns (all by default), row by row."""
        chosen = range(len(self.columns)) if columns is None else list(columns)
        return [row[j] for row in self.rows for j in chosen]

    def legend(self, columns: Iterable[int] | None = None) -> list[str]:
        """Return what explains ranks, intervals, signs and marks of some columns (all by default)."""
        cells = self.cells(columns)
        shown = {
            "best": any(cell.rank == BEST for cell in cells),
            "tied": any(cell.rank == TIED for cell in cells),
            "error": any(cell.error for cell in cells),
            "sign": any(cell.sign for cell in cells),
            "published": any(cell.published for cell in cells),
        }
        lines = [text for name, text in self.words.items() if shown[name] and text]
        used = {cell.mark for cell in cells}
        return lines + [f"{mark} {text}." for mark, text in self.marks.items() if mark in used]


def plain_table(
    header: list[str], rows: list[list[str]], words: set[int] | None = None, title: str = "",
    caption: str = "", notes: list[str] | None = None, keys: int = 1,
) -> Table:  # fmt: skip
    """Return a table of texts without anything beside them; `words` are the columns that hold words."""
    columns = [Column(name, words=j in (words or ())) for j, name in enumerate(header)]
    return Table(title, columns, [[Cell(text) for text in row] for row in rows], caption, notes or [],
                 keys=keys)  # fmt: skip


# ---------------------------------------------------------------------------- Markdown


def to_markdown(table: Table) -> str:
    """Return a Markdown document: a pipe table for each part, legend and notes below."""
    blocks = [f"### {markdown(table.title)}"] if table.title else []
    blocks += [markdown(table.caption)] if table.caption else []
    for heading, columns in table.parts() if table.rows else []:
        blocks += [f"**{markdown(heading)}**"] if heading else []
        blocks.append(_pipe_table(table, columns))
    blocks += [] if table.rows else [EMPTY]
    blocks += [markdown(text) for text in (*table.legend(), *table.notes)]
    return "\n\n".join(blocks) + "\n"


def _pipe_table(table: Table, columns: list[int]) -> str:
    shown = [*range(table.keys), *columns]
    lines = [_pipes(markdown(table.columns[j].title) for j in shown)]
    lines.append(_pipes("---" if table.columns[j].words else "---:" for j in shown))
    lines += [_pipes(_markdown_cell(row[j]) for j in shown) for row in table.rows]
    return "\n".join(lines)


def _pipes(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    text = markdown(cell.text)
    text = {BEST: f"**{text}**", TIED: f"<ins>{text}</ins>"}.get(cell.rank, text) + cell.sign
    text += f" \u00b1 {cell.error}" if cell.error else ""
    text += f" ({markdown(cell.note)})" if cell.note else ""
    if cell.published:
        gap = f" ({cell.difference})" if cell.difference else ""
        text += f"<br>published {cell.published}{gap}{cell.mark}"
    return text


# -------------------------------------------------------------------------------- HTML


def to_html(table: Table) -> str:
    """Return a table element in a box that scrolls, legend and notes below; all text is escaped.

    Headings over a column stand in its title; `pages.boards` lays out tables of metrics.
    """
    if not table.rows:
        return f"<p>{EMPTY}</p>"
    head = "".join(_html_title(column) for column in table.columns)
    body = [f"<tr>{''.join(_html_cells(table, row))}</tr>" for row in table.rows]
    lines = [
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html(table.title)}">',
        '<table class="wrap">',
        "<thead>", f"<tr>{head}</tr>", "</thead>", "<tbody>", *body, "</tbody>", "</table>", "</div>",
    ]  # fmt: skip
    told = [f"<li>{html(text)}</li>" for text in (*table.legend(), *table.notes)]
    return "\n".join([*lines, *(['<ul class="caption">', *told, "</ul>"] if told else [])])


def _html_title(column: Column) -> str:
    kind = "" if column.words else ' class="number"'
    return f'<th scope="col"{kind}>{html(_whole_title(column))}</th>'


def _html_cells(table: Table, row: list[Cell]) -> list[str]:
    first = f'<th scope="row">{html(row[0].text)}</th>'
    return [first, *(_html_cell(table.columns[j], row[j]) for j in range(1, len(row)))]


def html_value(cell: Cell) -> str:
    """Return a cell's text in HTML with its rank and sign."""
    text = html(cell.text)
    text = {BEST: f"<strong>{text}</strong>", TIED: f"<u>{text}</u>"}.get(cell.rank, text)
    return text + (f'<span class="sign">{html(cell.sign)}</span>' if cell.sign else "")


def _html_cell(column: Column, cell: Cell) -> str:
    names = ["" if column.words else "number", "failed" if cell.failed else "", cell.standing]
    text = html_value(cell)
    text += f' <span class="error">\u00b1 {cell.error}</span>' if cell.error else ""
    below = [html(cell.note)] if cell.note else []
    if cell.published:
        below.append(f"published {html(cell.published)}" + (f"<sup>{cell.mark}</sup>" if cell.mark else ""))
        below += [f"difference {cell.difference}"] if cell.difference else []
    text += "".join(f'<span class="printed">{line}</span>' for line in below)
    kind = " ".join(filter(None, names))
    return f'<td class="{kind}">{text}</td>' if kind else f"<td>{text}</td>"


# --------------------------------------------------------------------------------- CSV


def to_csv(table: Table) -> str:
    """Return what is printed as CSV for a spreadsheet; what stands beside a number has its own column.

    Legend and notes are rows of one cell at the end. No text is taken for a formula (see `to_cell`).
    """
    extras = ("error", "standing", "sign", "note", "published", "difference", "mark")
    columns = [
        (j, name) for j in range(len(table.columns))
        for name in ("text", *(n for n in extras if any(getattr(row[j], n) for row in table.rows)))
    ]  # fmt: skip
    titles = [(_whole_title(table.columns[j]), name) for j, name in columns]
    lines = [[title if name == "text" else f"{title}: {name}" for title, name in titles]]
    lines += [[getattr(row[j], name) for j, name in columns] for row in table.rows]
    lines += [[text] for text in (*table.legend(), *table.notes)]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([[to_cell(t) for t in line] for line in lines])
    return stream.getvalue()


def _whole_title(column: Column) -> str:
    return ", ".join([*column.levels, column.title])


# ---------------------------------------------------------------------------- terminal


def to_text(table: Table, width: int = 100, word_width: int = WORD_WIDTH) -> str:
    """Return aligned ASCII, no line longer than `width`: columns that do not fit go below.

    Words are cut at `word_width` characters.
    """
    lines = [shorten(table.title, width)] if table.title else []
    for heading, columns in table.parts():
        lines += ["", shorten(heading, width)] if heading else [""]
        lines += _text_part(table, columns, width, word_width)
    used = {cell.mark for cell in table.cells()}
    capped = any(cell.text.endswith(CAPPED_MARK) for cell in table.cells())
    ranks, signed = {cell.rank for cell in table.cells()}, any(cell.sign for cell in table.cells())
    told = ["* best of its column"] if BEST in ranks else []
    told += ["= cannot be told from the best"] if TIED in ranks else []
    told += [f"+ above {table.reference}, - below it"] if signed else []
    told += ["[ ] published"] if any(cell.published for cell in table.cells()) else []
    told += [f"{CAPPED_MARK} a cap of the scale ended the fit"] if capped else []
    told += [f"{PLAIN_MARKS[mark]} {text}" for mark, text in table.marks.items() if mark in used]
    told = [line for text in told for line in textwrap.wrap(text, width)]
    return _ascii("\n".join([*lines, *(["", *told] if told else [])]) + "\n")


def _text_part(table: Table, columns: list[int], width: int, word_width: int) -> list[str]:
    keys = [_text_column(table, j, word_width) for j in range(table.keys)]
    others = [_text_column(table, j, word_width) for j in columns]
    room = width - sum(len(key[0]) + 2 for key in keys)
    lines: list[str] = []
    for part in fitting([len(column[0]) + 2 for column in others], room + 2):  # none behind the last
        shown = [others[j] for j in part]
        lines += [""] if lines else []
        lines += ["  ".join(cells).rstrip() for cells in zip(*keys, *shown, strict=True)]
    return lines


def _text_column(table: Table, j: int, word_width: int) -> list[str]:
    """Return a column's title and cells, all of one width."""
    column, cells = table.columns[j], [row[j] for row in table.rows]
    ranked = any(c.rank for c in cells) + any(c.sign for c in cells)
    beside = any(c.published for c in cells)
    if column.words:
        most = KEY_WIDTH if j == 0 else word_width
        texts = [shorten(text, most) for text in (column.title, *(c.text for c in cells))]
    else:
        texts = [column.title + " " * (ranked + 10 * beside), *(_text_cell(c, ranked, beside) for c in cells)]
    wide = max(map(len, texts))
    return [text.ljust(wide) if column.words else text.rjust(wide) for text in texts]


def _text_cell(cell: Cell, ranked: int, beside: bool) -> str:
    flags = PLAIN_RANKS.get(cell.rank, "") + PLAIN_SIGNS.get(cell.sign, "")
    text = shorten(cell.text, WORD_WIDTH) + flags.ljust(ranked)
    flag = PLAIN_MARKS.get(cell.mark, " ")
    printed = f" [{cell.published}{flag}]" if cell.published else " " * 10
    return text + printed if beside else text


def fitting(widths: Sequence[float], room: float) -> list[list[int]]:
    """Split columns, by their numbers, into groups that fit side by side into some room."""
    parts: list[list[int]] = [[]]
    for j, width in enumerate(widths):
        if parts[-1] and sum(widths[i] for i in parts[-1]) + width > room:
            parts.append([])
        parts[-1].append(j)
    return parts


def _ascii(text: str) -> str:
    return text.replace(DASH, "-").replace(CAPPED_MARK, "^").encode("ascii", "replace").decode("ascii")
