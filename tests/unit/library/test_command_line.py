"""`python -m recspectra recommend`: wrong users, and history files that are no table."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import recspectra as rs
from recspectra.api import command


@pytest.fixture
def ask(ease: rs.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Ask a saved model in an empty folder."""
    monkeypatch.chdir(tmp_path)
    ease.save("m.rs")

    def asked(*given: str) -> None:
        monkeypatch.setattr(sys, "argv", ["recspectra", "recommend", "m.rs", *given])
        command.run()

    return asked


def save_model_of(users: list[str]) -> None:
    """Save a model of ten interactions of each user as m.rs."""
    pairs = [(user, f"i{(7 * place + step) % 20}") for place, user in enumerate(users) for step in range(10)]
    rs.fit("popularity", rs.read(pd.DataFrame(pairs, columns=["user", "item"]))).save("m.rs")


@pytest.mark.parametrize("users", ["", ",", "u1,", "u1,,u2"])
def test_an_empty_user_is_not_everybody(users: str, ask: Callable[..., None]) -> None:
    with pytest.raises(rs.DataError, match="is missing .an empty text"):
        ask("--users", users)


def test_a_number_has_no_underscores(ask: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ask("--all", "--k", "1_0")
    assert "'1_0' is no whole number" in capsys.readouterr().err


def test_an_id_with_a_comma_is_named_by_itself(
    ask: Callable[..., None], capsys: pytest.CaptureFixture
) -> None:
    save_model_of(['q"uote,72', "b", "c", "d"])
    ask("--user", 'q"uote,72', "--user", "b", "--k", "1")
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[1:]] == ['q"uote,72', "b"]
    with pytest.raises(rs.DataError, match="unknown user"):
        ask("--users", 'q"uote,72')


HISTORIES = [
    (b"", "h.csv: the file is empty"),
    (b"user,item\n", "h.csv: holds no rows below its header"),
    (b"user,item\na,film 1,film 2\n", "h.csv: line 2: 3 columns, the header has 2"),
    (b"user,item\na\n", "h.csv: line 2: 1 columns, the header has 2"),
    (b"user,item\n\xff,film 1\n", "h.csv, line 2: not UTF-8"),
    (b'user,item\n"a,film 1\n', "line 2: a quote .* is opened"),
    (b"user,item\n,film 1\n", "number 1 is missing"),
    (b"user,item\na,\n", "number 1 is missing"),
    (b"user,item,time\na,film 1,10\na,film 2,\n", "column 'time', row 2: the value is missing"),
    (b"user,item,time\na,film 1,10\na,film 2,x\n", "column 'time', row 2: 'x'"),
    (b'user,item\n"a\rb",film 1\n', "history: user .* holds a line break"),
    (b"who,item\na,film 1\n", "no column 'user'; it has who, item"),
]


@pytest.mark.parametrize(("content", "message"), HISTORIES, ids=range(len(HISTORIES)))
def test_a_history_that_is_no_table_is_named(content: bytes, message: str, ask: Callable[..., None]) -> None:
    """A row that is too long shifted its columns, a time that is missing went last."""
    Path("h.csv").write_bytes(content)
    with pytest.raises((rs.ConfigError, rs.DataError), match=message):
        ask("--history", "h.csv", "--out", "lists.csv")
    assert not Path("lists.csv").exists()


def test_a_pipe_is_not_waited_for(ask: Callable[..., None]) -> None:
    os.mkfifo("pipe")
    with pytest.raises(rs.ConfigError, match="--history: pipe: is not a regular file"):
        ask("--history", "pipe")


def test_times_of_a_file_are_numbers(ask: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    Path("h.csv").write_text(" user ,item,time\na,film 2,10\na,film 1,9\n")
    ask("--history", "h.csv", "--k", "3")
    assert capsys.readouterr().out.count("film") == 3


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_ids_come_back_from_a_written_file(
    ending: str, ask: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    odd = ["@alice", "-minus", "=1+1", "'quoted", 'q"x', "می\u200cخواهم", "a, b", "007", "-1", "p;q", '"lead']
    save_model_of(odd)
    ask("--all", "--seen", "--out", f"lists.{ending}")
    assert set(rs.read_lists(f"lists.{ending}").ids.users) == set(odd)
    told = capsys.readouterr().err
    assert ("a spreadsheet may run ids such as '-minus'" in told) == (ending != "parquet")


def test_a_tab_in_an_id_cannot_stand_in_a_tsv(ask: Callable[..., None]) -> None:
    save_model_of(["a\tb", "c"])
    with pytest.raises(rs.ConfigError, match="an id holds a tab, .*take .csv or .parquet"):
        ask("--all", "--seen", "--out", "lists.tsv")
    assert not Path("lists.tsv").exists()
