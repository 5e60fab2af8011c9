"""Floor 5: tables, figures, audit and report are drawn from files, exactly and safely."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recspectra.schema import ConfigError
from recspectra.studies import escape
from recspectra.studies.audit import audit, read_audit
from recspectra.studies.draw import draw, summary_text
from recspectra.studies.figures import _places, powers_like
from recspectra.studies.footnotes import mode_notes
from recspectra.studies.frames import StudyError, StudyFiles, aggregate, joint_status, read_csv
from recspectra.studies.published import Published
from recspectra.studies.report import METRICS, render
from recspectra.studies.rising import cut_off_notes
from recspectra.studies.series import drawing
from recspectra.studies.tables import layout, read, to_text

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "no<script>alert(1)</script>|a\\b&c$d_e{f}%`g`\nh\x1b[31m"
TITLES = {"ease": "EASE", "sdiff": "S-Diff", "gfcf": "GF-CF", "giffcf": "Giff", "bspm": "BSPM"}
DATASETS = ["ml-1m.diffrec", "tiny"]
VIEWS = [("train", "train+valid"), ("train+valid", "train+valid")]

# (model, variant, group, dataset) -> recall@10 of each seed; a word is a failed run
VALUES: dict[tuple[str, str, str, str], list[float | str]] = {
    ("ease", "default", "main", "ml-1m.diffrec"): [0.15],
    ("sdiff", "default", "main", "ml-1m.diffrec"): [0.12, 0.14],
    ("gfcf", "default", "main", "ml-1m.diffrec"): [0.1, "diverged"],
    ("giffcf", "default", "main", "ml-1m.diffrec"): [0.11],
    ("bspm", "default", "main", "ml-1m.diffrec"): ["oom"],
    ("ease", HOSTILE, "main", "ml-1m.diffrec"): [0.09],
    ("ease", "default", "main", "tiny"): [0.3],
    ("sdiff", "default", "main", "tiny"): [0.2, 0.2],
}


def run_row(model: str, variant: str, group: str, dataset: str, seed: int, **more: object) -> dict:
    row = {
        "dataset": dataset, "model": model, "title": TITLES[model], "kind": "closed-form",
        "variant": variant, "group": group, "key": f"{model}-{len(variant)}",
        "seed": seed, "fit": "train", "status": "ok", "reason": "",
        "spectrum_seconds": 0.5, "fit_seconds": 1.5 + seed,
        "score_seconds": 0.25, "peak_memory_mb": 100.0, "device": "cpu", "threads": 2, "epochs": "",
        "best_epoch": "", "best_validation": "", "mode": "", "gradient_cosine": "",
        "params": '{"rank": 64}', "swept": "{}",
    }  # fmt: skip
    return row | more


def metric_rows(run: dict, recall: float | str) -> list[dict]:
    failed = isinstance(recall, str)
    base = {name: run[name] for name in ("dataset", "model", "variant", "key", "seed", "fit")}
    return [
        base
        | {"protocol": "sdiff", "history": history, "mask": mask, "metric": metric, "k": k}
        | {"value": "" if failed else recall * factor, "status": recall if failed else "ok"}
        for history, mask in VIEWS
        for metric, factor in (("recall", 1.0), ("recall_min", 1.1), ("ndcg", 0.8))
        for k in (10, 20)
    ]


def study_json() -> dict:
    table = {"protocol": "sdiff", "metrics": ["recall", "recall_min"], "k": [10]}
    view = {"history": "train+valid", "mask": "train+valid"}
    figure = {"protocol": "sdiff", "metric": "recall", "k": 10}
    return {
        "name": "fixture",
        "title": "A <script>alert(2)</script> study",
        "description": "First.\n\nSecond.",
        "datasets": DATASETS,
        "seeds": [0, 1],
        "systems": [{"model": "ease"}],
        "tables": [
            table | {"name": "first", "title": "First table", "views": [view], "published": "sdiff/table1"},
            table | {"name": "wide", "title": "Wide & <b>", "k": [10, 20], "caption": "100% of $x_i$ | y"},
        ],
        "figures": [
            figure
            | {"name": "sweep", "title": "Sweep", "kind": "sensitivity", "param": "c", "group": "sweep"},
            figure | {"name": "none", "title": "None", "kind": "sensitivity", "param": "other"},
            {"name": "snr", "title": "Noise", "kind": "snr"},
            {"name": "response", "title": "Gain", "kind": "frequency-response"},
            {"name": "empty", "title": "Empty", "kind": "snr"},
            {"name": "time", "title": "Time", "kind": "timing", "group": "main"},
            {"name": "learn", "title": "Learning", "kind": "learning-curves"},
        ],
        "protocols": {
            "sdiff": {
                "title": "S-Diff",
                "why": "To line up.",
                "target": "test",
                "metrics": ["recall"],
                "k": [10],
            }
        },
        "models": {
            "ease": {
                "title": "EASE",
                "kind": "closed-form",
                "paper": {"title": "Shallow", "venue": "WWW", "citation": "Steck"},
                "notes": ["<script>alert(3)</script>"],
            }
        },
        "provenance": {"recspectra": "0.1.0", "python": "3.11", "machine": "m", "packages": {"numpy": "2"}},
    }


def write_study(folder: Path) -> Path:
    folder.mkdir(parents=True)
    runs, metrics, learning = [], [], []
    for (model, variant, group, dataset), values in VALUES.items():
        for seed, value in enumerate(values):
            failure = {"status": value, "reason": f"why {value}"} if isinstance(value, str) else {}
            runs.append(run_row(model, variant, group, dataset, seed, **failure))
            metrics += metric_rows(runs[-1], value)
    for c, w in ((0.2, 1), (0.4, 1), (0.8, 1), (0.2, 2), (0.4, 2)):
        swept = json.dumps({"c": c, "w": w})
        runs.append(run_row("gfcf", f"c={c},w={w}", "sweep", "tiny", 0, swept=swept))
        metrics += metric_rows(runs[-1], c / w)
    for epoch in (1, 2, 3):
        common = {"dataset": "tiny", "model": "sdiff", "variant": "default", "group": "main", "fit": "train"}
        learning.append(common | {"seed": 0, "curve": "loss", "epoch": epoch, "value": 1 / epoch})
        learning.append(common | {"seed": 0, "curve": "recall@20", "epoch": epoch, "value": epoch / 10})
    spectral = [("snr", "tiny", name, x, y - x) for name, y in (("vp", 9), ("_ve$", 7)) for x in (1, 2, 3)]
    spectral += [("response", "tiny", "low-pass", x / 10, 1.0) for x in range(30)]
    datasets = [
        [
            name,
            f"Title of {name}",
            5949,
            10,
            1e6,
            1,
            1,
            1,
            1,
            0.05,
            3.0,
            True,
            "terms",
            "https://example.org",
            "",
        ]
        for name in DATASETS
    ]
    columns = "dataset title users items interactions train valid test test_users density mean_length"
    tables = {
        "runs": pd.DataFrame(runs),
        "metrics": pd.DataFrame(metrics),
        "learning": pd.DataFrame(learning),
        "spectral": pd.DataFrame(spectral, columns=["figure", "dataset", "series", "x", "y"]),
        "datasets": pd.DataFrame(
            datasets, columns=[*columns.split(), "ordered", "licence", "citation", "notes"]
        ),
    }
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "study.json").write_text(json.dumps(study_json()))
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("studies") / "fixture")
    draw(folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def html(drawn: Path) -> str:
    return render([drawn], ROOT)


@pytest.fixture(scope="module")
def published() -> Published:
    return Published(ROOT)


def grid_of(folder: Path, name: str):
    return layout(read(folder, name), StudyFiles(folder).titles)


def cell(folder: Path, row: str, dataset: str, name: str, table: str = "first"):
    grid = grid_of(folder, table)
    columns = [(c.dataset, c.name) for c in grid.columns]
    return grid.cells[grid.rows.index(row)][columns.index((dataset, name))]


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
    runs = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)
    pd.concat([runs, runs.assign(group="again")]).to_csv(folder / "runs.csv", index=False)
    study = study_json()
    study["tables"][0]["groups"] = ["main", "again"]
    (folder / "study.json").write_text(json.dumps(study))
    draw(folder, ROOT)
    assert cell(folder, "S-Diff", "ml-1m.diffrec", "recall@10").text == "0.1300"
    assert read(folder, "first")["seeds"].max() == 2


def test_best_and_second_best_of_each_column(drawn: Path) -> None:
    ranks = {row: cell(drawn, row, "ml-1m.diffrec", "recall@10").rank for row in grid_of(drawn, "first").rows}
    assert [row for row, rank in ranks.items() if rank == 1] == ["EASE"]
    assert [row for row, rank in ranks.items() if rank == 2] == ["S-Diff"]
    markdown, latex = (drawn / "table-first.md").read_text(), (drawn / "table-first.tex").read_text()
    assert "| EASE | **0.1500**" in markdown
    assert "<ins>0.1300</ins> \u00b1 0.0100" in markdown
    assert r"EASE & \textbf{0.1500}" in latex
    assert r"\underline{0.1300}" in latex


def test_values_equal_as_printed_share_a_rank() -> None:
    point = {"dataset": "d", "history": "train", "mask": "train", "fit": "train", "metric": "recall", "k": 10}
    rest = {"se": np.nan, "seeds": 1, "status": "ok", "published": np.nan, "difference": np.nan}
    means = {"a": 0.10001, "b": 0.10004, "c": 0.05}
    lines = [point | rest | {"row": row, "mean": mean, "same_definition": ""} for row, mean in means.items()]
    grid = layout(pd.DataFrame(lines), {})
    assert [line[0].rank for line in grid.cells] == [1, 1, 2]
    alone = layout(pd.DataFrame(lines[:1]), {})
    assert alone.cells[0][0].rank == 0


def test_published_value_difference_and_definition_marks(drawn: Path) -> None:
    other = cell(drawn, "S-Diff", "ml-1m.diffrec", "recall@10")
    assert (other.published, other.difference, other.mark) == ("0.1277", "+0.0023", "\u2020")
    same = cell(drawn, "S-Diff", "ml-1m.diffrec", "recall_min@10")
    assert (same.published, same.difference, same.mark) == ("0.1277", "+0.0153", "")
    unknown = cell(drawn, "Giff", "ml-1m.diffrec", "recall@10")
    assert (unknown.published, unknown.mark) == ("0.1108", "\u2021")
    assert cell(drawn, "EASE", "ml-1m.diffrec", "recall@10").published == ""
    assert cell(drawn, "S-Diff", "tiny", "recall@10").published == ""
    text = (drawn / "table-first.md").read_text()
    assert "published 0.1277 (+0.0023)\u2020" in text
    assert "another definition" in text
    latex = (drawn / "table-first.tex").read_text()
    assert r"0.1277\dag{}" in latex
    assert "another definition" in latex


def test_a_failed_run_shows_its_status(drawn: Path) -> None:
    failed = cell(drawn, "BSPM", "ml-1m.diffrec", "recall@10")
    assert (failed.text, failed.failed, failed.rank) == ("oom", True, 0)
    assert failed.published == "0.1107"
    partly = cell(drawn, "GF-CF", "ml-1m.diffrec", "recall@10")
    assert (partly.text, partly.note) == ("0.1000", "1/2 diverged")
    missing = cell(drawn, "BSPM", "tiny", "recall@10")
    assert (missing.text, missing.failed) == ("\u2013", False)


def test_a_table_without_chosen_views_shows_all(drawn: Path) -> None:
    columns = grid_of(drawn, "wide").columns
    assert len(columns) == 2 * 2 * 2 * 2
    assert {(c.history, c.mask) for c in columns} == set(VIEWS)


def test_markdown_escapes_hostile_names(drawn: Path) -> None:
    lines = [line for line in (drawn / "table-first.md").read_text().splitlines() if "script" in line]
    assert lines
    for line in lines:
        assert "<script" not in line and "\x1b" not in line
        assert len(re.findall(r"(?<!\\)\|", line)) == (4 if line.startswith("|") else 0)
    assert "100% of \\$x\\_i\\$ \\| y" in (drawn / "table-wide.md").read_text()


def test_latex_escapes_hostile_names(drawn: Path) -> None:
    for name in ("first", "wide"):
        text = (drawn / f"table-{name}.tex").read_text()
        assert text.isascii() and "\x1b" not in text
        assert text.count(r"\begin{table}") == text.count(r"\end{table}") > 0
        plain = re.sub(r"\\[&%$#_{}]", "", text)
        assert plain.count("{") == plain.count("}")
        for table in re.findall(r"\\begin\{tabular\}\{(.*?)\}\n(.*?)\\end\{tabular\}", plain, re.DOTALL):
            for line in table[1].split(r"\\"):
                wide = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
                assert "&" not in line or line.count("&") + wide == table[0].count("r")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(drawn: Path, tmp_path: Path) -> None:
    everything = escape.latex("".join(map(chr, range(33, 0x250))) + "\u03c6\u03a9\u03bf\u65e5\u2020\u00b1")
    body = "\n".join((drawn / f"table-{name}.tex").read_text() for name in ("first", "wide"))
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}%s" "\n\n%s\n\\end{document}"
    (tmp_path / "t.tex").write_text(document % (everything, body))
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


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
    text = summary_text(drawn)
    assert text.isascii() and "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert re.search(r"EASE +0\.1500\*", text)
    assert "[0.1277!]" in text and "[0.1108?]" in text
    wide = to_text(grid_of(drawn, "wide"), StudyFiles(drawn).config.tables[1], 60)
    assert max(map(len, wide.splitlines())) <= 60
    assert wide.count("recall_min@20") == 4


# ---------------------------------------------------------------------------- published


def test_every_published_method_and_dataset_is_mapped(published: Published) -> None:
    for table_id, table in published.tables.items():
        values = published.values(table_id)
        assert set(values["method"]) == set(table.methods)
        assert set(table.datasets) <= set(values["dataset"])
        named = {method for entry in table.evaluators for method in entry.methods}
        assert named <= set(table.methods)
        assert not table.metrics or named == set(table.methods)
    assert set(published.rows["id"]) == set(published.tables)


@pytest.mark.parametrize(
    ("question", "value", "same"),
    [
        (("sdiff/table1", "ml-1m.diffrec", "diffrec", "recall", 10), 0.1058, True),
        (("sdiff/table1", "ml-1m.diffrec", "diffrec", "recall_min", 10), 0.1058, False),
        (("sdiff/table1", "yelp.diffrec", "linkprop", "ndcg", 20), 0.0485, True),
        (("gsprec/table4", "ml-100k.higsp", "higsp", "ndcg", 10), 0.7021, False),
        (("gsprec/table4", "ml-100k.higsp", "higsp", "ndcg_set", 10), 0.7021, True),
        (("gsprec/table4", "amazon-beauty.higsp", "popularity", "ndcg_hit", 20), 0.0256, True),
        (("gsprec/table4", "amazon-beauty.higsp", "jgcf", "mrr", 5), 0.0535, None),
        (("sdiff/table3", "ml-1m.diffrec", "sdiff", "ndcg", 10, "schedule=ve"), 0.0942, True),
    ],
)
def test_lookup(published: Published, question: tuple, value: float, same: bool | None) -> None:
    found = published.lookup(*question)
    assert found is not None
    assert (found.value, found.same_definition) == (value, same)


def test_lookup_of_what_was_not_published(published: Published) -> None:
    assert published.lookup("sdiff/table1", "ml-1m.diffrec", "ease", "recall", 10) is None
    assert published.lookup("sdiff/table1", "tiny", "sdiff", "recall", 10) is None
    assert published.lookup("sdiff/table1", "ml-1m.diffrec", "sdiff", "mrr", 10) is None
    assert published.lookup("sdiff/table3", "ml-1m.diffrec", "sdiff", "ndcg", 10) is None
    with pytest.raises(ConfigError, match=r"sdiff/table9.*did you mean 'sdiff/table"):
        published.lookup("sdiff/table9", "ml-1m.diffrec", "sdiff", "recall", 10)


# -------------------------------------------------------------------------------- audit


def findings(published: Published, table: str, rule: str) -> set[tuple[str, str]]:
    frame = audit(published, [table])
    frame = frame[frame["rule"] == rule]
    return set(zip(frame["dataset"], frame["method"], strict=True))


def test_audit_finds_what_is_known_of_gsprec(published: Published) -> None:
    falling = findings(published, "gsprec/table4", "mrr-decreases")
    assert len(falling) == 39
    assert not [pair for pair in falling if pair[1] in ("GSPRec", "Popularity")]
    assert ("amazon-beauty", "JGCF") not in falling
    assert ("ml-100k", "IMP-GCN") in findings(published, "gsprec/table4", "repeated-cell")


def test_audit_finds_what_is_known_of_sdiff_and_wpgrec(published: Published) -> None:
    odd = findings(published, "sdiff/table1", "recall-ratio")
    assert {("amazon-book", "DiffRec"), ("ml-1m", "LinkProp"), ("ml-1m", "BSPM"), ("ml-1m", "S-Diff")} <= odd
    assert ("ml-1m", "DiffRec") not in odd
    assert findings(published, "sdiff/table3", "misplaced-point") == {("ml-1m", "DDPM in Spectral")}
    impossible = findings(published, "wpgrec/table1", "one-target")
    assert len(impossible) == 19
    assert not [pair for pair in impossible if pair[1] == "BERT4Rec"]


def test_audit_of_the_study_covers_the_papers_it_refers_to(drawn: Path) -> None:
    assert set(read_audit(drawn)["table"]) == {"sdiff/table1", "sdiff/table3"}


# ------------------------------------------------------------------------------ figures


def test_every_figure_has_three_files(drawn: Path) -> None:
    for figure in study_json()["figures"]:
        for suffix in ("svg", "png", "csv"):
            assert (drawn / f"fig-{figure['name']}.{suffix}").stat().st_size > 0
        svg = (drawn / f"fig-{figure['name']}.svg").read_text()
        assert svg.startswith("<?xml") and "<script" not in svg


def test_sensitivity_draws_one_line_for_each_other_value(drawn: Path) -> None:
    frame = pd.read_csv(drawn / "fig-sweep.csv")
    assert list(frame["series"]) == ["w=1"] * 3 + ["w=2"] * 2
    assert list(frame["x"]) == [0.2, 0.4, 0.8, 0.2, 0.4]
    np.testing.assert_allclose(frame["y"], [0.2, 0.4, 0.8, 0.1, 0.2])


def test_sensitivity_prefers_the_full_history(drawn: Path) -> None:
    files = StudyFiles(drawn)
    assert "history train+valid, mask train+valid" in drawing(files, files.config.figures[0]).caption


def test_timing_is_the_median_over_seeds(drawn: Path) -> None:
    frame = pd.read_csv(drawn / "fig-time.csv").set_index(["panel", "series", "stage"])
    line = frame.loc[("Title of ml-1m.diffrec", "S-Diff", "fit")]
    assert (line["seconds"], line["runs"]) == (2.0, 2)
    assert "BSPM" not in frame.index.get_level_values("series")
    files = StudyFiles(drawn)
    assert "cpu, 2 threads" in drawing(files, files.config.figures[5]).caption


def test_spectral_figures_draw_their_own_rows(drawn: Path) -> None:
    assert len(pd.read_csv(drawn / "fig-snr.csv")) == 6
    assert len(pd.read_csv(drawn / "fig-response.csv")) == 30
    assert len(pd.read_csv(drawn / "fig-learn.csv")) == 6


def test_nothing_to_draw_gives_a_reason(drawn: Path, html: str) -> None:
    for number, name in ((1, "none"), (4, "empty")):
        files = StudyFiles(drawn)
        what = drawing(files, files.config.figures[number])
        assert what.frame.empty and what.reason
        assert len((drawn / f"fig-{name}.csv").read_text().splitlines()) == 1
    assert "sweeps &#39;other&#39;" in html


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([32, 64, 128, 256], "log"),
        ([1e-4, 1e-3, 1e-2], "log"),
        ([0.2, 0.4, 0.6, 0.8], "linear"),
        ([0.0, 1e-4, 1e-3, 1e-2], "ordinal"),
        (["vp", "ve"], "ordinal"),
        ([True, False], "ordinal"),
    ],
)
def test_scale_of_the_x_axis(values: list, scale: str) -> None:
    assert _places(pd.Series(values, dtype=object))[0] == scale


def test_powers_like_needs_three_growing_numbers() -> None:
    assert powers_like([1, 2, 4]) and not powers_like([1, 2]) and not powers_like([1, 1.5, 8])


def test_two_draws_give_equal_bytes(drawn: Path, tmp_path: Path) -> None:
    again = write_study(tmp_path / "elsewhere")
    names = draw(again, ROOT)
    assert sorted(names) == sorted(
        p.name for p in drawn.iterdir() if p.name.startswith(("table-", "fig-", "audit"))
    )
    for name in names:
        assert (again / name).read_bytes() == (drawn / name).read_bytes(), name
    assert render([again], ROOT) == render([drawn], ROOT)


# ------------------------------------------------------------------------------- report


class Page(HTMLParser):
    """Collects tags, the resources that a page loads, and its headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.images: list[dict] = []
        self.heads: list[dict] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.loads += [found[name] for name in ("src", "href", "srcset", "data") if found.get(name)]
        self.images += [found] if tag == "img" else []
        self.heads += [found] if tag == "th" else []


def test_report_is_self_contained_and_harmless(html: str) -> None:
    page = Page(html)
    assert page.loads and all(load.startswith(("#", "data:image/png;base64,")) for load in page.loads)
    assert not re.search(r"url\(|@import", html)
    assert not {"script", "link", "iframe", "object", "b"} & set(page.tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in html
    assert "&lt;script&gt;alert(3)&lt;/script&gt;" in html


def test_report_holds_everything(html: str) -> None:
    study = study_json()
    page = Page(html)
    assert len(page.images) == len(study["figures"])
    assert all(image["alt"] for image in page.images) and all("scope" in head for head in page.heads)
    for item in [*study["tables"], *study["figures"]]:
        prefix = "table" if "metrics" in item else "fig"
        assert f"results/studies/fixture/{prefix}-{item['name']}.csv" in html
    for text in ("why oom", "why diverged", "rank = 64", "0.1500", "published 0.1277", "First.", "terms"):
        assert text in html
    for name, *_ in METRICS:
        assert f"<code>{name}</code>" in html
    assert "<nav" not in html


def test_report_on_two_studies_has_contents(drawn: Path) -> None:
    html = render([drawn, drawn], ROOT)
    assert "<nav" in html and 'href="#study-2"' in html and 'id="study-2"' in html


def test_report_says_when_all_runs_finished(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    runs = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)
    runs.assign(status="ok", reason="").to_csv(folder / "runs.csv", index=False)
    study = study_json() | {"figures": []}
    (folder / "study.json").write_text(json.dumps(study))
    draw(folder, ROOT)
    assert "every run finished" in render([folder], ROOT)


# ------------------------------------------------------------------------------- errors


def test_missing_metrics_names_the_target(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    (folder / "metrics.csv").unlink()
    with pytest.raises(StudyError, match=r"metrics\.csv: file not found; .*snakemake .*fixture/metrics\.csv"):
        draw(folder, ROOT)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    metrics = pd.read_csv(folder / "metrics.csv", dtype=str, keep_default_na=False)
    metrics.drop(columns="mask").to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(StudyError, match=r"metrics\.csv: column mask is missing"):
        _ = StudyFiles(folder).metrics
    metrics.assign(value="a lot").to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(StudyError, match=r"metrics\.csv: column value, line 2: 'a lot' is not a number"):
        _ = StudyFiles(folder).metrics
    pd.concat([metrics, metrics.iloc[:1].assign(value="0.9")]).to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(StudyError, match="two different values"):
        _ = StudyFiles(folder).metrics
    with pytest.raises(StudyError, match=r"study\.json: file not found"):
        StudyFiles(tmp_path / "nowhere")
    with pytest.raises(StudyError, match="draw the study first"):
        render([folder], ROOT)


def test_names_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\nNA,1\n1e3,\n007,2\n")
    frame = read_csv(path, ["a", "b"], ["b"])
    assert list(frame["a"]) == ["NA", "1e3", "007"]
    assert frame["b"].isna().sum() == 1


@pytest.mark.parametrize("script", ["draw", "report"])
def test_scripts_run_and_fail_with_one_message(script: str, drawn: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "workflow" / "scripts" / f"{script}.py")]
    output = tmp_path / "index.html"
    arguments = {"draw": ["--folder"], "report": ["--output", str(output)]}[script]
    environment = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin"}
    good, bad = (
        subprocess.run(
            [*command, *arguments, str(folder)], capture_output=True, text=True, env=environment, check=False
        )
        for folder in (drawn, tmp_path / "nowhere")
    )
    assert good.returncode == 0, good.stderr
    assert output.is_file() or script == "draw"
    assert bad.returncode == 1
    assert "study.json: file not found" in bad.stderr and "Traceback" not in bad.stderr


def test_the_floor_needs_neither_torch_nor_scipy() -> None:
    code = (
        "import sys; from recspectra.studies import draw, report; "
        "sys.exit(bool({'torch', 'scipy'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.parametrize(
    ("values", "cut"),
    [([0.1, 0.2, 0.3], True), ([0.1, 0.3, 0.3], True), ([0.1, 0.3, 0.2], False), ([], False)],
)
def test_a_table_names_the_systems_whose_epochs_ran_out(tmp_path: Path, values: list, cut: bool) -> None:
    folder = write_study(tmp_path / "study")
    curves = pd.read_csv(folder / "learning.csv")
    rises = curves[curves["curve"] == "recall@20"]
    curves = pd.concat([curves.drop(rises.index), rises.head(len(values)).assign(value=values)])
    curves.to_csv(folder / "learning.csv", index=False)
    files = StudyFiles(folder)
    notes = cut_off_notes(files, ["main"], ["tiny"], ["train"])
    assert [note.split("(")[1] for note in notes] == (["Title of tiny: S-Diff)."] if cut else [])
    assert cut_off_notes(files, ["sweep"], ["tiny"], ["train"]) == []


def test_a_table_says_how_a_system_was_trained_that_has_a_cheaper_way(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    runs = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)
    own = (runs["model"] == "sdiff") & (runs["dataset"] == "tiny") & (runs["group"] == "main")
    runs.loc[own, "mode"], runs.loc[own, "gradient_cosine"] = "cached", ["0.987", "0.912"]
    runs.to_csv(folder / "runs.csv", index=False)
    (note,) = mode_notes(StudyFiles(folder), ["main"], ["tiny"], ["train"])
    assert note.startswith("S-Diff was trained with the summaries") and "(cached; Title of tiny)" in note
    assert note.endswith("was 0.91 or more.")
    assert mode_notes(StudyFiles(folder), ["main"], ["ml-1m.diffrec"], ["train"]) == []
