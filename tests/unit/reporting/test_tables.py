"""Floor 5: tables are laid out from files, exactly and safely, with what must be known beside them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import (
    ROOT,
    VIEWS,
    cell,
    draw_numbers,
    laid,
    study_json,
    write_study,
)
from study_rows import change_study, texts_of

from recspectra.papers.wpgrec import way_notes
from recspectra.reporting import escape
from recspectra.reporting.footnotes import footnotes
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, aggregate, joint_status, not_converged, select_runs
from recspectra.reporting.table import to_text
from recspectra.reporting.tables import MARK_NOTES, layout, read

# -------------------------------------------------------------------------- aggregation


def test_aggregate_equals_a_plain_reference() -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"a": random.integers(0, 4, 60).astype(str), "value": random.random(60)})
    rows["status"] = np.where(random.random(60) < 0.2, "oom", "ok")
    result = aggregate(rows, ["a"]).set_index("a")
    for name in rows["a"].unique():
        values = [v for a, v, s in rows.itertuples(index=False) if a == name and s == "ok"]
        mean = sum(values) / len(values)
        spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        assert result.loc[name, "mean"] == pytest.approx(mean)
        assert result.loc[name, "se"] == pytest.approx(spread / math.sqrt(len(values)))
        assert result.loc[name, "seeds"] == len(values)


def test_one_seed_has_no_standard_error() -> None:
    rows = pd.DataFrame({"a": ["x"], "value": [0.5], "status": ["ok"]})
    assert np.isnan(aggregate(rows, ["a"])["se"].iloc[0])


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["ok", "ok"], "ok"),
        (["oom", "oom"], "oom"),
        (["timeout", "oom"], "oom+timeout"),
        (["ok", "oom", "ok"], "ok (1/3 oom)"),
    ],
)
def test_joint_status(statuses: list[str], expected: str) -> None:
    assert joint_status(statuses) == expected


# ------------------------------------------------------------------------------- tables


def test_mean_and_standard_error_are_in_the_csv(drawn: Path) -> None:
    frame = read(drawn, "first")
    line = frame[(frame["row"] == "S-Diff") & (frame["dataset"] == "ml-1m.diffrec")].iloc[0]
    assert (line["mean"], line["seeds"]) == (pytest.approx(0.13), 2)
    assert line["se"] == pytest.approx(0.01)


def test_a_key_in_two_groups_is_counted_once(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    runs = texts_of(folder, "runs")
    pd.concat([runs, runs.assign(group="again")]).to_csv(folder / "runs.csv", index=False)
    change_study(folder, tables=[study_json()["tables"][0] | {"groups": ["main", "again"]}])
    draw_numbers(folder)
    assert cell(folder, "S-Diff", "ml-1m.diffrec", "recall@10").text == "0.1300"
    assert read(folder, "first")["seeds"].max() == 2


def test_the_best_of_each_column_is_marked(drawn: Path) -> None:
    names = [row[0].text for row in laid(drawn, "first").rows]
    ranks = {row: cell(drawn, row, "ml-1m.diffrec", "recall@10").rank for row in names}
    assert [row for row, rank in ranks.items() if rank == 1] == ["EASE"]
    markdown, latex = (drawn / "table-first.md").read_text(), (drawn / "table-first.tex").read_text()
    assert "| EASE | **0.1500**" in markdown
    assert r"EASE & \textbf{0.1500}" in latex


def test_values_equal_as_printed_share_a_rank() -> None:
    point = {"dataset": "d", "history": "train", "mask": "train", "users": "all", "fit": "train"}
    point |= {"metric": "recall", "k": 10}
    rest = {"se": np.nan, "seeds": 1, "status": "ok", "published": np.nan, "difference": np.nan}
    means = {"a": 0.10001, "b": 0.10004, "c": 0.05}
    lines = [point | rest | {"row": row, "mean": mean, "same_definition": ""} for row, mean in means.items()]
    grid = layout(pd.DataFrame(lines), {})
    assert [row[1].rank for row in grid.rows] == [1, 1, 0]
    alone = layout(pd.DataFrame(lines[:1]), {})
    assert alone.rows[0][1].rank == 0


def test_published_value_difference_and_definition_marks(drawn: Path) -> None:
    other = cell(drawn, "S-Diff", "ml-1m.diffrec", "recall@10")
    assert (other.published, other.difference, other.mark) == ("0.1277", "+0.0023", "\u2020")
    same = cell(drawn, "S-Diff", "ml-1m.diffrec", "recall_min@10")
    assert (same.published, same.difference, same.mark) == ("0.1277", "+0.0153", "")
    giff = [cell(drawn, "Giff", "ml-1m.diffrec", f"{name}@10") for name in ("recall", "recall_min")]
    assert [(c.published, c.mark) for c in giff] == [("0.1108", ""), ("0.1108", "\u2020")]
    frame = read(drawn, "first")
    unknown = layout(frame.assign(same_definition="none"), {}).cells()
    assert {cell.mark for cell in unknown if cell.published} == {"\u2021"}
    assert cell(drawn, "EASE", "ml-1m.diffrec", "recall@10").published == ""
    assert cell(drawn, "S-Diff", "tiny", "recall@10").published == ""
    text = (drawn / "table-first.md").read_text()
    assert "published 0.1277 (+0.0023)\u2020" in text
    assert "another definition" in text
    latex = (drawn / "table-first.tex").read_text()
    assert r"0.1277\dag{}" in latex
    assert "another definition" in latex


def test_a_value_printed_under_another_protocol_has_a_sign_and_both_names(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    tables = [table | {"protocol": "standard"} for table in study_json()["tables"]]
    change_study(folder, tables=tables, figures=[])
    texts_of(folder, "metrics").assign(protocol="standard").to_csv(folder / "metrics.csv", index=False)
    draw_numbers(folder)
    same = cell(folder, "S-Diff", "ml-1m.diffrec", "recall_min@10")
    assert (same.published, same.mark) == ("0.1277", "\u2016")
    assert cell(folder, "S-Diff", "ml-1m.diffrec", "recall@10").mark == "\u2020", "the definition comes first"
    note = "another protocol: printed under sdiff, ours under standard"
    assert note in (folder / "table-first.md").read_text()
    latex = (folder / "table-first.tex").read_text()
    assert note in latex and r"0.1277$\Vert$" in latex


def test_the_sign_of_other_files_is_printed_in_latex() -> None:
    assert [escape.latex(mark) for mark in MARK_NOTES] == [r"\dag{}", r"\ddag{}", r"\S{}", r"$\Vert$"]


def test_a_failed_run_shows_its_status(drawn: Path) -> None:
    failed = cell(drawn, "BSPM", "ml-1m.diffrec", "recall@10")
    assert (failed.text, failed.failed, failed.rank) == ("oom", True, 0)
    assert failed.published == "0.1107"
    partly = cell(drawn, "GF-CF", "ml-1m.diffrec", "recall@10")
    assert (partly.text, partly.note) == ("0.1000", "1/2 diverged")
    missing = cell(drawn, "BSPM", "tiny", "recall@10")
    assert (missing.text, missing.failed) == ("\u2013", False)


def test_a_table_without_chosen_views_shows_all(drawn: Path) -> None:
    columns = laid(drawn, "wide").columns[1:]
    assert len(columns) == 2 * 2 * 2 * 2
    assert {c.levels[1] for c in columns} == {f"history {history}, mask {mask}" for history, mask in VIEWS}


def test_hostile_names_are_escaped_in_the_files(drawn: Path) -> None:
    markdown, latex = (drawn / "table-first.md").read_text(), (drawn / "table-first.tex").read_text()
    assert "script" in markdown and "<script" not in markdown and "\x1b" not in markdown + latex
    assert "100% of \\$x\\_i\\$ \\| y" in (drawn / "table-wide.md").read_text()
    assert latex.isascii() and r"100\% of \$x\_i\$" in (drawn / "table-wide.tex").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b&c%$#{}", r"a\_b\&c\%\$\#\{\}"),
        (
            "\\~^<>|",
            r"\textbackslash{}\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}",
        ),
        ("\u00e9\u03c6\u65e5", r"\'{e}$\phi$?"),
        ("one\r\n two\u2028three\x00", "one two three"),
    ],
)
def test_latex_of_special_characters(text: str, expected: str) -> None:
    assert escape.latex(text) == expected


def test_summary_is_narrow_ascii(drawn: Path) -> None:
    text = (drawn / "summary.txt").read_text()
    assert "why oom" in text  # below the table: each status with its reason
    assert text.isascii() and "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert re.search(r"EASE +0\.1500\*", text)
    assert "[0.1277!]" in text and "[0.1108!]" in text
    wide = to_text(laid(drawn, "wide"), 60)
    assert max(map(len, wide.splitlines())) <= 60
    assert wide.count("recall_min@20") == 4


# -------------------------------------------------------------------------------- notes


@pytest.mark.parametrize(
    ("values", "cut"),
    [([0.1, 0.2, 0.3], True), ([0.1, 0.3, 0.3], False), ([0.1, 0.3, 0.2], False), ([], False)],
)
def test_a_table_names_the_models_whose_epochs_ran_out(tmp_path: Path, values: list, cut: bool) -> None:
    folder = write_study(tmp_path / "study")
    curves = pd.read_csv(folder / "learning.csv")
    rises = curves[curves["curve"] == "recall@20"]
    curves = pd.concat([curves.drop(rises.index), rises.head(len(values)).assign(value=values)])
    curves.to_csv(folder / "learning.csv", index=False)
    files = StudyResults(folder)
    said = "Still gaining on validation when the epochs ran out, so more of them may lift these: "
    notes = [note for note in notes_of(files) if note.startswith("Still gaining")]
    assert notes == ([f"{said}Title of tiny: S-Diff."] if cut else [])
    assert not any(note.startswith("Still gaining") for note in notes_of(files, groups=["sweep"]))


def test_runs_that_had_no_epochs_left_are_told_by_variant(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    names = ("runs", "learning")
    runs, curves = (pd.read_csv(folder / f"{name}.csv", keep_default_na=False) for name in names)

    def found(**values: list[float]) -> set[str]:
        frames = [[t[t["model"] == "sdiff"].assign(variant=v) for t in (runs, curves)] for v in values]
        for _, frame in frames:
            frame.loc[frame["curve"] == "recall@20", "value"] = values[frame["variant"].iloc[0]]
        for name, parts in zip(names, zip(*frames, strict=True), strict=True):
            pd.concat(parts).to_csv(folder / f"{name}.csv", index=False)
        files = StudyResults(folder)
        return set(not_converged(files, select_runs(files))["label"])

    rising, falling = [0.1, 0.2, 0.3], [0.3, 0.2, 0.1]
    assert found(default=falling, other=falling) == set()
    assert found(default=falling, other=rising) == {"S-Diff (other)"}
    assert found(default=rising, other=rising) == {"S-Diff", "S-Diff (other)"}
    assert found(default=[0.1, 0.3, 0.3], other=[0.2, 0.2, 0.2]) == set()


def test_a_table_says_how_a_model_was_trained_that_has_a_cheaper_way(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    runs = texts_of(folder, "runs")
    own = (runs["model"] == "sdiff") & (runs["dataset"] == "tiny") & (runs["group"] == "main")
    runs.loc[own, "mode"], runs.loc[own, "gradient_cosine"] = "cached", ["0.987", "0.998"]
    runs.to_csv(folder / "runs.csv", index=False)
    (note,) = way_notes(StudyResults(folder), ["main"], ["tiny"], ["train"])
    assert note.startswith("S-Diff was trained with the summaries") and "(cached; Title of tiny)" in note
    assert note.endswith("was 0.98 or more.")
    assert way_notes(StudyResults(folder), ["main"], ["ml-1m.diffrec"], ["train"]) == []


def notes_of(files: StudyResults, **changes: object) -> list[str]:
    table = files.config.tables[0].model_copy(update={"datasets": ["tiny"]} | changes)
    return footnotes(files, table, Published(ROOT))
