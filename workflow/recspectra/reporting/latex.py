r"""Tables in LaTeX, for `\usepackage{booktabs,longtable}`.

A table may be longer than a page (`longtable`) and is split where it is wider than the text of an
`article`: one part for each dataset and view, and several where their columns do not fit.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from recspectra.reporting.escape import latex, one_line
from recspectra.reporting.table import BEST, EMPTY, TIED, Cell, Column, Table, fitting

HEAD = "% Drawn by RecSpectra; needs \\usepackage{booktabs,longtable}."
ROOM = 42.0  # em of \footnotesize in the text of an article, 345 pt at 8 pt each, less a little
GAP = 0.75  # em between two columns: twice \tabcolsep
EM = 0.53  # of a character, on average
WORDS, KEYS, TITLE = 30, 22, 14  # most characters of a line of words, of one of several keys, of a title
PIECES = re.compile(r"\w{1,20}\W?|\W")  # of a long name, which may go on in the next line after each


def to_latex(table: Table, label: str) -> str:
    """Return a `longtable` for each part, its legend and then the notes as text below.

    Parameters
    ----------
    table : Table
        What is printed.
    label : str
        Parts are called `tab:{label}-1` and so on.
    """
    parts = [
        (heading, columns)
        for heading, whole in (table.parts() if table.rows else [])
        for columns in _fitting(table, whole)
    ]
    lines = [HEAD, ""]
    for number, (heading, columns) in enumerate(parts, 1):
        caption = " ".join(
            text if text.endswith((".", "?", "!")) else f"{text}."
            for text in (_own_title(table.title), table.caption, heading) if text
        )  # fmt: skip
        lines += [_part(table, columns, caption, f"tab:{label}-{number}"), ""]
    lines += [] if parts else [latex(f"{table.title}: {EMPTY}"), ""]
    return "\n".join([*lines, *map(_note, table.notes)]) + "\n"


def _own_title(title: str) -> str:
    """Return a title that may stand behind LaTeX's `Table 3: ` without reading as `Table 3: Table 1`."""
    return f"The paper's {title}" if re.match(r"(Table|Figure)s? \d", title) else title


def _note(text: str) -> str:
    return rf"\par\noindent{{\footnotesize\raggedright {latex(text)}\par}}"


def _part(table: Table, columns: list[int], caption: str, label: str) -> str:
    shown = [*range(table.keys), *columns]
    titles = _row(_title(table.columns[j]) for j in shown)
    kinds = "".join(_kind(table, j) for j in shown)
    lines = [
        r"{\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\LTcapwidth}{\textwidth}",
        rf"\begin{{longtable}}{{{kinds}}}",
        rf"\caption{{{latex(caption)}}}\label{{{label}}}\\",
        r"\toprule", titles, r"\midrule", r"\endfirsthead",
        r"\toprule", titles, r"\midrule", r"\endhead",
        r"\bottomrule", r"\endfoot",
    ]  # fmt: skip
    for row in table.rows:
        lines += _rows(table, row, columns)
    lines += [r"\end{longtable}", *map(_note, table.legend(columns)), "}"]
    return "\n".join(lines)


def _row(cells: Iterable[str], end: str = r"\\") -> str:
    # A cell that starts with "[" or "*" would be read as belonging to the "\\" before it.
    return " & ".join(f"{{}}{cell}" if cell.startswith(("[", "*")) else cell for cell in cells) + f" {end}"


def _rows(table: Table, row: list[Cell], columns: list[int]) -> list[str]:
    """Return a row; below it intervals, notes, published values, differences if any."""
    cells = [row[j] for j in columns]
    below = {
        r"95\,\% interval": [f"$\\pm${cell.error}" if cell.error else "" for cell in cells],
        "note": [latex(cell.note) for cell in cells],
        "published": [latex(cell.published + cell.mark) for cell in cells],
        "difference": [f"${cell.difference}$" if cell.difference else "" for cell in cells],
    }
    under = {name: texts for name, texts in below.items() if any(texts)}
    keys = [_words(row[j].text) for j in range(table.keys)]
    shown = [_words(c.text) if table.columns[j].words else _number(c)
             for j, c in zip(columns, cells, strict=True)]  # fmt: skip
    lines = [[*keys, *shown]]
    for name, texts in under.items():
        rest = [""] * (table.keys - 1)
        small = [rf"\scriptsize {text}" if text else "" for text in texts]
        lines.append([rf"\quad\scriptsize {name}", *rest, *small])
    # "\\*" keeps a row and what stands below it on one page.
    return [*(_row(line, r"\\*") for line in lines[:-1]), _row(lines[-1])]


def _number(cell: Cell) -> str:
    text = {BEST: r"\textbf{%s}", TIED: r"\underline{%s}"}.get(cell.rank, "%s") % latex(cell.text)
    return text + latex(cell.sign)


def _words(text: str) -> str:
    words = (PIECES.findall(word) for word in one_line(text).split())
    return " ".join(r"\allowbreak{}".join(map(latex, pieces)) for pieces in words)


def _title(column: Column) -> str:
    lines = _title_lines(column)
    side = "l" if column.words else "r"
    text = r" \\ ".join(map(latex, lines))
    return rf"\shortstack[{side}]{{{text}}}" if len(lines) > 1 else text


def _title_lines(column: Column) -> list[str]:
    return textwrap.wrap(one_line(column.title), TITLE) or [""]


# ------------------------------------------------------------------------------- widths


def _characters(table: Table, j: int) -> int:
    """Return the characters of the widest line of a column; words have at most `WORDS` a line."""
    texts = [one_line(row[j].text + row[j].sign) for row in table.rows]
    under = [max(map(len, (c.note, c.published + c.mark, c.error))) for c in (row[j] for row in table.rows)]
    widest = max([*map(len, texts), *under])
    if table.columns[j].words:
        most = KEYS if j < table.keys > 1 else WORDS
        widest = max(min(widest, most), 12 if j == 0 else 0)  # 12: "95 % interval"
    return max([widest, *map(len, _title_lines(table.columns[j]))])


def _width(table: Table, j: int) -> float:
    return EM * _characters(table, j) + GAP


def _kind(table: Table, j: int) -> str:
    """Return how a column is set: words in lines where they are long."""
    if not table.columns[j].words:
        return "r"
    longest = max((len(one_line(row[j].text)) for row in table.rows), default=0)
    return "l" if longest <= _characters(table, j) else f"p{{{EM * _characters(table, j):.1f}em}}"


def _fitting(table: Table, columns: list[int]) -> list[list[int]]:
    """Split columns into groups that fit beside the keys into the width of a page."""
    room = ROOM - sum(_width(table, j) for j in range(table.keys))
    parts = fitting([_width(table, j) for j in columns], room)
    return [[columns[i] for i in part] for part in parts]
