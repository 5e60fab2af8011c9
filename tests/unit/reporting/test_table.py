"""One table in every format: what it says, and that no text can change its layout."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from small_study import HOSTILE

from recspectra.reporting import escape
from recspectra.reporting.latex import to_latex
from recspectra.reporting.results import read_csv, write_csv
from recspectra.reporting.table import (
    EMPTY,
    Cell,
    Column,
    Table,
    plain_table,
    to_csv,
    to_html,
    to_markdown,
    to_text,
)

NOTE = "Effort cpu: 2 trials & 50% of the epochs."
FORMULAS = ["=1+1", "+SUM(A1)", "-cmd|' /C calc'!A0", "@here", "'=quoted", "\t=tab"]
WRITERS = {
    "markdown": to_markdown,
    "latex": lambda table: to_latex(table, "label"),
    "csv": to_csv,
    "html": to_html,
}
PDFLATEX = shutil.which("pdflatex")


def many(rows: int = 3, datasets: int = 3, columns: int = 9) -> Table:
    """A table with published values under some names that are long or hostile."""
    names = [HOSTILE, *(f"Model {i} of the longest names that there are" for i in range(rows - 1))]
    heads = [Column(f"ndcg_hit@{5 * (k + 1)}", (f"Data {d}", "history train, mask train+valid"))
             for d in range(datasets) for k in range(columns)]  # fmt: skip
    cell = Cell(
        "0.1234", "0.0012", 1, note="1/3 oom", published="0.1255", difference="-0.0021", mark="\u2020"
    )
    lines = [[Cell(name), *[cell] * len(heads)] for name in names]
    marks = {"\u2020": "made with another definition", "\u2021": "never used"}
    return Table("A title", [Column("model", words=True), *heads], lines, "100% of $x$.", [NOTE], marks)


def small(*texts: str) -> Table:
    rows = [[text, "0.5", "ok"] for text in texts]
    return plain_table(["name", "number", "status"], rows, {0, 2}, "Small", notes=[NOTE])


# ------------------------------------------------------------------------------ all formats


@pytest.mark.parametrize("name", WRITERS)
def test_notes_and_used_marks_are_text_in_every_format(name: str) -> None:
    text = WRITERS[name](many())
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert "50" in shown and "of the epochs" in shown
    assert "made with another definition" in shown and "never used" not in shown


@pytest.mark.parametrize("name", ["markdown", "latex", "html"])
def test_a_table_without_rows_says_so(name: str) -> None:
    assert EMPTY in WRITERS[name](small())


def test_the_best_is_marked() -> None:
    table = plain_table(["a", "b"], [["x", "1"]], {0})
    table.rows[0][1] = Cell("1", rank=1)
    assert "| x | **1** |" in to_markdown(table)
    assert r"x & \textbf{1}" in to_latex(table, "t")
    assert "<strong>1</strong>" in to_html(table)
    assert "x  1*" in to_text(table)


def test_markdown_splits_by_dataset_and_escapes() -> None:
    text = to_markdown(many())
    assert text.count("**Data ") == 3
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {11}
    assert "<script" not in text and "\x1b" not in text


def test_text_wraps_columns() -> None:
    text = to_text(plain_table(["name", "x" * 20, "y" * 20], [["a|b", "1", "2"]], {0}), 30)
    assert max(map(len, text.splitlines())) <= 30 and text.count("a|b") == 2


# ------------------------------------------------------------------------------------- CSV


@pytest.mark.parametrize("text", [*FORMULAS, "", "plain", "'plain", "a=b", "-0.5", "+1e3", "NA"])
def test_to_cell_is_no_formula_and_comes_back(text: str) -> None:
    written = escape.to_cell(text)
    number = text in ("-0.5", "+1e3")
    assert number or not written.startswith(("=", "+", "-", "@", "\t"))
    assert (written == text) == (text not in FORMULAS)
    assert escape.from_cell(written) == text


def test_drawn_csv_keeps_numbers_and_defuses_formulas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": [*FORMULAS, "-0.25"], "value": [-0.5] * 7})
    write_csv(tmp_path / "t.csv", frame)
    with (tmp_path / "t.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert not any(line["name"].startswith(("=", "+", "-", "@", "\t")) for line in lines[:-1])
    assert lines[-1]["name"] == "-0.25" and {line["value"] for line in lines} == {"-0.5"}
    back = read_csv(tmp_path / "t.csv", ["name", "value"], ["value"])
    assert list(back["name"]) == list(frame["name"]) and list(back["value"]) == [-0.5] * 7


def test_sheet_has_a_column_for_what_stands_beside_a_number() -> None:
    table = many(rows=2, datasets=1, columns=1)
    lines = list(csv.reader(io.StringIO(to_csv(table))))
    head = "Data 0, history train, mask train+valid, ndcg_hit@5"
    assert lines[0] == ["model", head, *(f"{head}: {n}" for n in ("error", "standing", "note", "published",
                                                                   "difference", "mark"))]  # fmt: skip
    assert lines[1][1:] == ["0.1234", "0.0012", "best", "1/3 oom", "0.1255", "-0.0021", "\u2020"]
    assert [NOTE] in lines
    assert list(csv.reader(io.StringIO(to_csv(small("=A1")))))[1] == ["'=A1", "0.5", "ok"]


# ------------------------------------------------------------------------------------ HTML


class Balance(HTMLParser):
    """Checks that tags are closed in order; counts the cells of each row with their spans."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.rows: list[int] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.open.append(tag)
        self.seen.add(tag)
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += int(dict(attrs).get("colspan", 1))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_well_formed_and_harmless() -> None:
    page = Balance(to_html(many()))
    assert page.rows == [28] * 4
    assert "script" not in page.seen
    assert Balance(to_html(small("<b>", '"x" onload="y'))).rows == [3, 3, 3]


# ----------------------------------------------------------------------------------- LaTeX


def test_latex_is_ascii_and_every_row_has_all_cells() -> None:
    text = to_latex(many(), "label")
    assert text.isascii() and text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") >= 3
    plain = re.sub(r"\\[&%$#_{}]", "", text)
    assert plain.count("{") == plain.count("}")
    pattern = re.compile(r"\\begin\{longtable\}\{([^\n]*)\}\n(.*?)\\end\{longtable\}", re.DOTALL)
    for kinds, body in pattern.findall(plain):
        rows = [line for line in body.splitlines() if "&" in line]
        assert rows and {line.count("&") for line in rows} == {len(re.sub(r"p\{.*?\}", "p", kinds)) - 1}
    assert r"Model 0 of the longest names" in text.replace(r"\allowbreak{}", "")
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert labels == [f"tab:label-{i + 1}" for i in range(len(labels))]


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed")
def test_latex_compiles_and_nothing_falls_off_the_page(drawn: Path, tmp_path: Path) -> None:
    """More rows than a page has, more columns than a line, all characters of the first planes."""
    everything = escape.latex("".join(map(chr, range(33, 0x250))) + "\u03c6\u03a9\u03bf\u65e5\u2020\u00b1")
    words = ["ml-100k.higsp-ordered-and-much-longer/than_any.name", "word " * 40, "x" * 24]
    wide = plain_table(["name", *["a rather long heading"] * 14], [[*words, *["1,234,567"] * 12]] * 3,
                       {0, 1, 2}, "Wide", notes=[NOTE], keys=2)  # fmt: skip
    bodies = [to_latex(table, f"t{i}") for i, table in enumerate([many(60), wide, small(*FORMULAS)])]
    bodies += [path.read_text() for path in sorted(drawn.glob("table-*.tex"))]
    document = (
        r"\documentclass{article}\usepackage{booktabs,longtable}\begin{document}\sloppy "
        f"{everything}\n\n" + "\n\n".join(bodies) + "\n\\end{document}\n"
    )
    (tmp_path / "t.tex").write_text(document)
    command = [PDFLATEX, "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    for _ in range(2):  # a longtable takes its widths from the run before
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    log = (tmp_path / "t.log").read_text(errors="replace")
    tables = log[log.index("[1") :] if "[1" in log else log
    assert not re.findall(r"Overfull \\hbox \((?:[2-9]|\d\d+)[\d.]*pt too wide\) in alignment", tables)
