"""Tables of a study: one number a cell, its published counterpart beside it.

A table is a long CSV first (`table-{name}.csv`). Markdown, LaTeX, the terminal summary
and the HTML report lay out that CSV and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.config.scale import CAPPED, CAPPED_MARK, USABLE
from recspectra.config.study import TableConfig
from recspectra.files import write_text
from recspectra.reporting.escape import latex, markdown, one_line, shorten
from recspectra.reporting.footnotes import footnotes
from recspectra.reporting.published import Printed, Published
from recspectra.reporting.results import (
    JOIN,
    POINT,
    StudyFiles,
    aggregate,
    read_csv,
    select_runs,
    write_csv,
)

COLUMNS = [
    "row",
    *POINT,
    "mean",
    "se",
    "seeds",
    "status",
    "published",
    "difference",
    "same_definition",
]
SPOT = ["dataset", "history", "mask", "users", "metric", "k"]  # what makes a column of a table
NUMBERS = ("k", "mean", "se", "seeds", "published", "difference")
DASH = "\u2013"
OTHER, UNKNOWN, ELSEWHERE = "\u2020", "\u2021", "\u00a7"
CAPPED_NOTE = f"{CAPPED_MARK} a cap of the scale ended the fit; a higher one may change the number."
OPEN = "open"  # status of a published system that the study does not run
MARK_NOTES = {
    OTHER: "the published value was made with another definition of this metric",
    UNKNOWN: "nobody knows which definition of this metric the published value was made with",
    ELSEWHERE: "the published value is from other files or another split; for orientation alone",
}
MARKS = {"true": "", "false": OTHER, "elsewhere": ELSEWHERE}


# ----------------------------------------------------------------------------- numbers


def build(files: StudyFiles, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return a table in long form: one line for every row and column, measured or not.

    Rows stand in the order of `runs.csv`; datasets, metrics and cut-offs in the order
    of the configuration.
    """
    datasets = table.datasets or files.config.datasets
    runs = select_runs(files, table.groups, datasets, table.fit)
    runs = runs.drop_duplicates([*JOIN, "label"])
    metrics = pd.concat([files.metrics, files.warm_metrics], ignore_index=True)
    metrics = metrics[metrics["protocol"] == table.protocol]
    metrics = metrics[metrics["metric"].isin(table.metrics) & metrics["k"].isin(table.k)]
    joined = runs[[*JOIN, "label"]].merge(metrics, on=JOIN)
    cells = aggregate(joined, ["label", *POINT])
    systems = runs[["label", "model", "variant", "fit"]].drop_duplicates()
    missing = _open_systems(table, systems, published)
    systems = pd.concat([systems, missing], ignore_index=True) if len(missing) else systems
    full = systems.merge(_columns(files, table, datasets), how="cross")
    full = full.merge(cells, on=["label", *POINT], how="left").rename(columns={"label": "row"})
    full["status"] = full["status"].fillna("missing")
    if len(missing):
        full.loc[full["row"].isin(missing["label"]), "status"] = OPEN
    full["seeds"] = full["seeds"].fillna(0).astype("int64")
    return _beside(full, table, published)[COLUMNS]


def _open_systems(table: TableConfig, systems: pd.DataFrame, published: Published) -> pd.DataFrame:
    """Return a row for each published system that no run of the table is of."""
    columns = ["label", "model", "variant", "fit"]
    if not (table.open_rows and table.published):
        return pd.DataFrame(columns=columns)
    known = set(systems["model"])
    listed = published.table(table.published).methods.items()
    rows = [(method, ours, "default", "train") for method, ours in listed if ours.split("/")[0] not in known]
    return pd.DataFrame(rows, columns=columns)


def _columns(files: StudyFiles, table: TableConfig, datasets: list[str]) -> pd.DataFrame:
    """Return every column of a table: dataset, view, users, metric, k; warm users where some are cold."""
    views = table.views or files.views(table.protocol)
    warm = files.warm_metrics
    split = set(warm.loc[warm["protocol"] == table.protocol, "dataset"])
    own = files.protocols.get(table.protocol, {}).get("users", "all")
    rows = [
        (dataset, view.history, view.mask, users, metric, k)
        for dataset, view in product(datasets, views)
        for users in ([own, "warm"] if dataset in split else [own])
        for metric, k in product(table.metrics, table.k)
    ]
    return pd.DataFrame(rows, columns=SPOT)


def _beside(cells: pd.DataFrame, table: TableConfig, published: Published) -> pd.DataFrame:
    """Add the published value, the difference and whether the metric is the same."""
    found: list[Printed | None] = [None] * len(cells)
    if table.published:
        columns = cells[["dataset", "model", "metric", "k", "variant"]]
        found = [
            published.lookup(table.published, *point, printed=table.printed.get(point.dataset))
            if users == "all"  # papers print means over all test users
            else None
            for point, users in zip(columns.itertuples(index=False), cells["users"], strict=True)
        ]
    values = pd.Series([f.value if f else np.nan for f in found], index=cells.index, dtype="float64")
    same = [("elsewhere" if not f.same_data else f.same_definition) if f else None for f in found]
    return cells.assign(
        published=values,
        difference=cells["mean"] - values,
        same_definition=["" if s is None else str(s).lower() for s in same],
    )


def read(folder: Path, name: str) -> pd.DataFrame:
    """Read a table's long form back from disk."""
    hint = "draw the study first: `python workflow/scripts/draw.py --folder <study folder>`"
    return read_csv(Path(folder) / f"table-{name}.csv", COLUMNS, NUMBERS, hint)


# ------------------------------------------------------------------------------ layout


@dataclass(frozen=True)
class Column:
    """A column of a laid-out table."""

    dataset: str
    title: str
    history: str
    mask: str
    users: str
    metric: str
    k: int

    @property
    def name(self) -> str:
        """Metric and cut-off, `ndcg@10`."""
        return f"{self.metric}@{self.k}"

    @property
    def view(self) -> str:
        """What the system saw, what was not recommended and, unless they are all, whose mean it is."""
        whose = "" if self.users == "all" else f", {self.users} users only"
        return f"history {self.history}, mask {self.mask}{whose}"

    @property
    def block(self) -> str:
        """Dataset and view in one line."""
        return f"{self.title}, {self.view}"


@dataclass(frozen=True)
class Cell:
    """A laid-out number: texts ready to print, nothing escaped.

    `rank` is 1 for the best of its column, 2 for the second best, else 0; `mark` flags
    a published value of another or unknown metric definition.
    """

    text: str
    error: str = ""
    rank: int = 0
    failed: bool = False
    note: str = ""
    published: str = ""
    difference: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Grid:
    """A laid-out table: `cells[row][column]`."""

    rows: list[str]
    columns: list[Column]
    cells: list[list[Cell]]

    @property
    def marks(self) -> list[str]:
        """Marks that need a footnote."""
        used = {cell.mark for line in self.cells for cell in line}
        return [mark for mark in MARK_NOTES if mark in used]

    @property
    def compared(self) -> bool:
        """Whether any published value is shown."""
        return any(cell.published for line in self.cells for cell in line)

    def blocks(self, most: int = 10_000) -> list[list[int]]:
        """Return the column numbers of each dataset and view, at most `most` in one block."""
        numbers = range(len(self.columns))
        parts = [list(part) for _, part in groupby(numbers, key=lambda j: self.columns[j].block)]
        return [part[i : i + most] for part in parts for i in range(0, len(part), most)]

    def wins(self) -> dict[str, int]:
        """Return how many columns each row is best in, most first; none that wins nothing."""
        counts = {
            row: sum(c.rank == 1 for c in line) for row, line in zip(self.rows, self.cells, strict=True)
        }
        return {row: n for row, n in sorted(counts.items(), key=lambda item: -item[1]) if n}


def layout(frame: pd.DataFrame, titles: dict[str, str]) -> Grid:
    """Lay out a table's long form; `titles` gives the human names of datasets."""
    rows = list(dict.fromkeys(frame["row"]))
    spots = frame[SPOT].itertuples(index=False, name=None)
    points = list(spots)
    ordered = list(dict.fromkeys(points))
    lines = frame.assign(rank=_ranks(frame, points)).itertuples(index=False)
    places = zip(frame["row"], points, strict=True)
    cells = {place: _cell(line) for place, line in zip(places, lines, strict=True)}
    columns = [Column(p[0], titles.get(p[0], p[0]), *p[1:5], int(p[5])) for p in ordered]
    blank = Cell(DASH)
    return Grid(rows, columns, [[cells.get((row, p), blank) for p in ordered] for row in rows])


def _ranks(frame: pd.DataFrame, points: list[tuple]) -> pd.Series:
    """Return 1 for the best and 2 for the second best of each column, as printed."""
    shown = frame["mean"].round(4)
    groups = shown.groupby(pd.Series(points, index=frame.index))
    order = groups.rank(method="dense", ascending=False)
    alone = groups.transform("count") < 2
    return order.where((order <= 2) & ~alone, 0).fillna(0).astype("int64")


def _cell(line: tuple) -> Cell:
    """Turn one line of the long form into texts."""
    published = "" if pd.isna(line.published) else f"{line.published:.4f}"
    difference = "" if pd.isna(line.difference) else f"{round(line.difference, 4) + 0.0:+.4f}"
    mark = MARKS.get(str(line.same_definition).lower(), UNKNOWN) if published else ""
    extra = {"published": published, "difference": difference, "mark": mark}
    if pd.isna(line.mean):
        failed = not line.status.startswith(USABLE) and line.status != "missing"
        return Cell(line.status if failed else DASH, failed=failed, **extra)
    error = f"{line.se:.4f}" if line.seeds > 1 and line.se > 0 else ""
    note = line.status.removeprefix("ok").removeprefix(CAPPED).strip(" ()")
    text = f"{line.mean:.4f}" + (CAPPED_MARK if CAPPED in line.status else "")
    return Cell(text, error, line.rank, note=note, **extra)


# ---------------------------------------------------------------------------- Markdown


def to_markdown(grid: Grid, table: TableConfig, notes: list[str]) -> str:
    """Return a Markdown document: one table for each dataset and view."""
    lines = [f"### {markdown(table.title)}", ""]
    lines += [markdown(table.caption), ""] if table.caption else []
    for block in grid.blocks():
        names = [markdown(grid.columns[j].name) for j in block]
        lines += [f"**{markdown(grid.columns[block[0]].block)}**", ""]
        lines += [_pipes(["system", *names]), _pipes(["---", *["---:"] * len(block)])]
        for row, cells in zip(grid.rows, grid.cells, strict=True):
            lines.append(_pipes([markdown(row), *(_markdown_cell(cells[j]) for j in block)]))
        lines.append("")
    if not grid.rows:
        lines += ["No run belongs to this table.", ""]
    lines += [f"{markdown(note)}\n" for note in legend(grid, notes)]
    return "\n".join(lines)


def _pipes(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    text = {1: f"**{cell.text}**", 2: f"<ins>{cell.text}</ins>"}.get(cell.rank, markdown(cell.text))
    text += f" \u00b1 {cell.error}" if cell.error else ""
    text += f" ({markdown(cell.note)})" if cell.note else ""
    if cell.published:
        gap = f" ({cell.difference})" if cell.difference else ""
        text += f"<br>published {cell.published}{gap}{cell.mark}"
    return text


def legend(grid: Grid, notes: list[str]) -> list[str]:
    """Return the sentences that explain a table's marks, plain text."""
    lines = ["Best in bold, second best underlined, \u00b1 standard error over seeds."]
    if grid.compared:
        lines.append("Published values as printed; in parentheses ours minus published.")
        lines += [f"{mark} {MARK_NOTES[mark]}." for mark in grid.marks]
    if any(cell.text.endswith(CAPPED_MARK) for line in grid.cells for cell in line):
        lines.append(CAPPED_NOTE)
    if any(cell.text == OPEN for line in grid.cells for cell in line):
        lines.append(f"{OPEN}: published, but not run by this study.")
    return [*lines, *notes]


# ------------------------------------------------------------------------------- LaTeX


def to_latex(grid: Grid, table: TableConfig, study: str, notes: list[str]) -> str:
    r"""Return `table` environments, one a block; they need `\usepackage{booktabs}` alone."""
    head = ["% Drawn by RecSpectra from metrics.csv; needs \\usepackage{booktabs}.", ""]
    blocks = grid.blocks(most=6) if grid.rows else []
    parts = [_latex_block(grid, block, table, f"{study}-{table.name}", i) for i, block in enumerate(blocks)]
    foot = [f"% {latex(note)}" for note in legend(grid, notes)]
    if not parts:
        foot.append("% No run belongs to this table.")
    return "\n".join([*head, *parts, *foot]) + "\n"


def _latex_block(grid: Grid, block: list[int], table: TableConfig, label: str, number: int) -> str:
    first = grid.columns[block[0]]
    caption = " ".join(filter(None, [table.title + ".", table.caption, first.block + "."]))
    marks = [f"{mark} {MARK_NOTES[mark]}." for mark in grid.marks if _has_mark(grid, block, mark)]
    first_column = "l" if max(map(len, grid.rows)) <= 28 else "p{4cm}"
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{latex(caption)}}}",
        rf"\label{{tab:{label}-{number + 1}}}\par\smallskip",
        rf"\begin{{tabular}}{{{first_column}{'r' * len(block)}}}",
        r"\toprule",
        *_latex_head([grid.columns[j] for j in block]),
        r"\midrule",
    ]
    for row, cells in zip(grid.rows, grid.cells, strict=True):
        lines += _latex_rows(row, [cells[j] for j in block])
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {latex(mark)}}}" for mark in marks]
    return "\n".join([*lines, r"\end{table}", ""])


def _has_mark(grid: Grid, block: list[int], mark: str) -> bool:
    return any(cells[j].mark == mark for cells in grid.cells for j in block)


def _ampersands(cells: list[str]) -> str:
    # A cell that starts with "[" would be read as the option of the "\\" before it.
    return " & ".join(f"{{}}{cell}" if cell.startswith(("[", "*")) else cell for cell in cells) + r" \\"


def _latex_head(columns: list[Column]) -> list[str]:
    """Return two header lines: metrics over their columns, cut-offs below."""
    names, rules, start = [""], "", 2
    for metric, part in groupby(columns, key=lambda column: column.metric):
        width = len(list(part))
        names.append(rf"\multicolumn{{{width}}}{{c}}{{{latex(metric)}}}")
        rules += rf"\cmidrule(lr){{{start}-{start + width - 1}}}"
        start += width
    return [_ampersands(names), rules, _ampersands(["System", *(f"@{c.k}" for c in columns)])]


def _latex_rows(row: str, cells: list[Cell]) -> list[str]:
    """Return a row; below it errors, failed seeds, published values, differences if any."""
    below = {
        "standard error": [f"$\\pm${cell.error}" if cell.error else "" for cell in cells],
        "failed seeds": [latex(cell.note) for cell in cells],
        "published": [latex(cell.published + cell.mark) for cell in cells],
        "difference": [f"${cell.difference}$" if cell.difference else "" for cell in cells],
    }
    lines = [_ampersands([latex(row), *map(_latex_cell, cells)])]
    for name, texts in below.items():
        small = [rf"\scriptsize {text}" if text else "" for text in texts]
        lines += [_ampersands([rf"\quad\scriptsize {name}", *small])] if any(texts) else []
    return lines


def _latex_cell(cell: Cell) -> str:
    wrap = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(cell.rank, "%s")
    return wrap % latex(cell.text)


# ---------------------------------------------------------------------------- terminal


def to_text(grid: Grid, table: TableConfig, width: int = 100) -> str:
    """Return a table in aligned ASCII, no line longer than `width`."""
    label = min(44, max([len("system"), *(len(one_line(row)) for row in grid.rows)]))
    lines = [shorten(table.title, width)]
    for block in grid.blocks():
        columns = [_text_column(grid, j) for j in block]
        lines += ["", shorten(grid.columns[block[0]].block, width)]
        for part in _fitting(columns, width - label):
            names = ["system", *(shorten(row, label) for row in grid.rows)]
            lines += [
                "  ".join([n.ljust(label), *cells]).rstrip() for n, *cells in zip(names, *part, strict=True)
            ]
    return _ascii("\n".join([*lines, "", *_text_legend(grid)]) + "\n")


def _text_column(grid: Grid, column: int) -> list[str]:
    cells = [line[column] for line in grid.cells]
    beside = any(cell.published for cell in cells)
    texts = [_text_cell(cell, beside) for cell in cells]
    texts = [grid.columns[column].name + " " * (1 + 10 * beside), *texts]
    wide = max(map(len, texts))
    return [text.rjust(wide) for text in texts]


def _text_cell(cell: Cell, beside: bool) -> str:
    text = shorten(cell.text, 16) + ("*" if cell.rank == 1 else " ")
    flag = {OTHER: "!", UNKNOWN: "?"}.get(cell.mark, " ")
    printed = f" [{cell.published}{flag}]" if cell.published else " " * 10
    return text + printed if beside else text


def _fitting(columns: list[list[str]], room: int) -> list[list[list[str]]]:
    """Split columns into groups that fit into `room` characters."""
    parts: list[list[list[str]]] = [[]]
    for column in columns:
        used = sum(len(c[0]) + 2 for c in parts[-1])
        if parts[-1] and used + len(column[0]) + 2 > room:
            parts.append([])
        parts[-1].append(column)
    return parts


def _text_legend(grid: Grid) -> list[str]:
    lines = ["* best of its column"]
    if any(cell.text.endswith(CAPPED_MARK) for line in grid.cells for cell in line):
        lines.append(_ascii(CAPPED_NOTE))
    if grid.compared:
        lines.append("[ ] published; ! made with another definition of the metric; ? definition unknown")
    return lines


def _ascii(text: str) -> str:
    return text.replace(DASH, "-").replace(CAPPED_MARK, "^").encode("ascii", "replace").decode("ascii")


# ----------------------------------------------------------------------------- writing


def draw_table(files: StudyFiles, table: TableConfig, published: Published) -> list[str]:
    """Write `table-{name}.csv`, `.md` and `.tex`; return their names."""
    path = files.folder / f"table-{table.name}.csv"
    write_csv(path, build(files, table, published))
    grid = layout(read(files.folder, table.name), files.titles)
    notes = footnotes(files, table, published)
    write_text(path.with_suffix(".md"), to_markdown(grid, table, notes))
    write_text(path.with_suffix(".tex"), to_latex(grid, table, files.config.name, notes))
    return [path.with_suffix(suffix).name for suffix in (".csv", ".md", ".tex")]
