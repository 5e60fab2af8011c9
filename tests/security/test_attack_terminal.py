"""Texts of others steer neither a terminal nor a spreadsheet nor a browser."""

from __future__ import annotations

import csv
import io
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from harness import REPO, ROOT

from recspectra.data import download
from recspectra.reporting import escape, results
from recspectra.running import messages, terminal
from snakemake_logger_plugin_recspectra import LogHandler

STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
EVIL = "a\x1b]0;title\x07\x1b[2J\x9b31m\rb\u202ec\u2028d"
FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    '=HYPERLINK("http://x")',
]


def test_escape_sequences_in_a_header_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"u,{EVIL}\n1,2\n".replace("\r", ""), encoding="utf-8")
    (tmp_path / "x.yaml").write_text("name: x\npath: x.csv\n", encoding="utf-8")
    done = REPO.script("preview", tmp_path, "./x.yaml")
    assert done.returncode == 1 and "no column 'user'" in done.stderr
    assert r"a\x1b]0;title\x07" in done.stderr and not STEERS.search(done.stderr + done.stdout)


@pytest.mark.parametrize("key", ["title", "path", EVIL])
def test_escape_sequences_in_yaml_do_not_reach_the_terminal(key: str, tmp_path: Path) -> None:
    lines = {"name": "x", "path": "x.csv", key: EVIL}
    text = "".join(f"{_quoted(k)}: {_quoted(v)}\n" for k, v in lines.items())
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "x.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u in range(9) for i in range(9)))
    done = REPO.script("preview", tmp_path, "./x.yaml")
    assert not STEERS.search(done.stderr + done.stdout)
    assert r"\x1b" in done.stderr + done.stdout


def _quoted(text: str) -> str:
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text) + '"'


def test_what_snakemake_says_is_visible(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        messages.stop(f"error: {EVIL}")
    record = logging.LogRecord("x", logging.ERROR, "x", 1, f"error: {EVIL}", None, None)
    assert messages.explain_targets([])(record)
    handler = LogHandler.__new__(LogHandler)
    handler.live = False
    handler._print(EVIL)
    assert not STEERS.search(capsys.readouterr().err + record.msg)


def test_a_log_that_is_no_file_is_said(tmp_path: Path) -> None:
    def fail(record: logging.LogRecord) -> str:
        return (tmp_path / "missing.log").read_text()

    handler = LogHandler.__new__(LogHandler)
    handler.formatter_ = SimpleNamespace(format=fail)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "Error in rule split", None, None)
    assert (
        handler._formatted(record)
        == f"Error in rule split ({tmp_path / 'missing.log'}: No such file or directory)"
    )


def test_the_reason_of_a_server_is_visible(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal._Visible(sys.stderr))
    print(f"note: {download._reason(ValueError(EVIL))}", file=sys.stderr)
    assert not STEERS.search(capsys.readouterr().err)


def test_a_bar_of_progress_still_moves() -> None:
    stream = io.StringIO()
    guarded = terminal._Visible(stream)
    for text in ("\r 10%", "\r", "\r 20%\n", "", "plain\n"):
        assert guarded.write(text) == len(text)
    guarded.writelines(["a\x1b", "\n"])
    guarded.flush()
    assert stream.getvalue() == "\r 10%\r\r 20%\nplain\na\\x1b\n"


# ------------------------------------------------------------------------------ spreadsheets


@pytest.mark.parametrize("text", [*FORMULAS, EVIL, "'=1+1", "''=1+1", "\\u{1b}", "'", "''", "\\u{", "'-5"])
@pytest.mark.parametrize("write", ["write_csv", "collect"])
def test_no_cell_of_a_table_is_a_formula_and_each_is_read_as_it_was(
    write: str, text: str, tmp_path: Path
) -> None:
    from recspectra.reporting import collect

    path = tmp_path / "table.csv"
    function: Callable = {"write_csv": results.write_csv, "collect": collect._write_csv}[write]
    function(path, pd.DataFrame({"variant": [text, "plain"], "value": [-0.5, 1.0]}))
    raw = path.read_bytes().decode("utf-8")
    cells = [cell for row in csv.reader(io.StringIO(raw, newline="")) for cell in row]
    assert not STEERS.search(raw)
    assert [c for c in cells if c[:1] in "=+@\t\r-" and c not in ("-0.5", "")] == []
    assert results.read_csv(path, ["variant"], ["value"])["variant"].tolist() == [text, "plain"]
    assert "-0.5" in cells


def test_numbers_and_words_stay_as_they_are() -> None:
    plain = ["-0.5", "+1e-3", "-", "-inf", "", "a=b", "x-y", "ö", "it's", "{}", "two\nlines"]
    assert [escape.to_cell(text) for text in plain] == plain
    assert [escape.from_cell(text) for text in plain] == plain


# ------------------------------------------------------------------------------------ browser


def test_the_report_forbids_scripts_and_the_network() -> None:
    folder = ROOT / "workflow" / "report"
    template = (folder / "base.html.j2").read_text(encoding="utf-8")
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', template)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["script-src"] == "'self' file:"
    assert template.index(policy) < template.index("<title>")
    for path in folder.glob("*.html.j2"):
        page = path.read_text(encoding="utf-8")
        assert not re.search(r"<[^>]+\son\w+=", page) and "|safe" not in page.replace("table.boards|safe", "")
        assert all(tag.startswith('<script src="') for tag in re.findall(r"<script[^>]*>", page))


def test_streams_are_guarded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stdout", plain)
    monkeypatch.setattr(sys, "stderr", plain)
    for _ in range(3):
        terminal.guard()
    assert sys.stdout._stream is plain and sys.stderr._stream is plain
