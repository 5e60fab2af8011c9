"""Small tables of words and numbers, laid out once for Markdown, LaTeX, terminal and HTML."""

from __future__ import annotations

from dataclasses import dataclass, field

from recspectra.reporting.escape import latex, markdown, one_line, shorten

NAME_WIDTH = 32  # of the first column in a terminal
WORD_WIDTH = 24


@dataclass(frozen=True)
class Plain:
    """A table of texts, nothing escaped.

    Attributes
    ----------
    header : list of str
        Names of the columns.
    rows : list of list of str
        As many texts a row as there are columns.
    words : set of int
        Columns that hold words; all others are set flush right.
    bold : set of (int, int)
        (row, column) of what is printed in bold.
    """

    header: list[str]
    rows: list[list[str]]
    words: set[int] = field(default_factory=set)
    bold: set[tuple[int, int]] = field(default_factory=set)


def to_markdown(table: Plain) -> str:
    """Return a pipe table."""
    rule = ["---" if j in table.words else "---:" for j in range(len(table.header))]
    lines = [_pipes(map(markdown, table.header)), _pipes(rule)]
    for i, row in enumerate(table.rows):
        cells = [markdown(text) for text in row]
        lines.append(_pipes(f"**{c}**" if (i, j) in table.bold else c for j, c in enumerate(cells)))
    return "\n".join(lines)


def _pipes(cells: object) -> str:
    return "| " + " | ".join(cells) + " |"


def to_latex(table: Plain, caption: str, label: str, notes: list[str]) -> str:
    r"""Return a `table` environment; it needs `\usepackage{booktabs}` alone."""
    kinds = "".join("l" if j in table.words else "r" for j in range(len(table.header)))
    lines = [
        "% Drawn by RecSpectra; needs \\usepackage{booktabs}.",
        "",
        r"\begin{table}[htbp]",
        r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{latex(caption)}}}",
        rf"\label{{tab:{label}}}\par\smallskip",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        _ampersands([latex(name) for name in table.header]),
        r"\midrule",
    ]
    for i, row in enumerate(table.rows):
        cells = [latex(text) for text in row]
        lines.append(_ampersands([rf"\textbf{{{c}}}" if (i, j) in table.bold else c
                                  for j, c in enumerate(cells)]))  # fmt: skip
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {latex(note)}}}" for note in notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _ampersands(cells: list[str]) -> str:
    # A cell that starts with "[" would be read as the option of the "\\" before it.
    return " & ".join(f"{{}}{cell}" if cell.startswith(("[", "*")) else cell for cell in cells) + r" \\"


def to_text(table: Plain, width: int = 100) -> str:
    """Return aligned ASCII, no line longer than `width`: columns that do not fit go below."""
    columns = [_column(table, j) for j in range(len(table.header))]
    first, rest = columns[0], columns[1:]
    parts: list[list[list[str]]] = [[]]
    for column in rest:
        used = len(first[0]) + sum(2 + len(c[0]) for c in parts[-1])
        if parts[-1] and used + 2 + len(column[0]) > width:
            parts.append([])
        parts[-1].append(column)
    blocks = [
        "\n".join("  ".join(cells).rstrip() for cells in zip(first, *part, strict=True)) for part in parts
    ]
    return "\n\n".join(blocks).encode("ascii", "replace").decode("ascii")


def _column(table: Plain, j: int) -> list[str]:
    most = NAME_WIDTH if j == 0 else WORD_WIDTH
    texts = [shorten(one_line(text), most) for text in [table.header[j], *(row[j] for row in table.rows)]]
    wide = max(map(len, texts))
    return [text.ljust(wide) if j in table.words else text.rjust(wide) for text in texts]
