"""Floor 5: figures and the report are drawn from files, exactly and safely; wrong files are named."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import (
    ROOT,
    draw_numbers,
    study_json,
    write_study,
)
from study_rows import change_study, texts_of

from recspectra.reporting.draw import draw
from recspectra.reporting.figures import figure_data
from recspectra.reporting.figures.lines import places, powers_like
from recspectra.reporting.pages import pictures
from recspectra.reporting.pages.glossary import METRICS
from recspectra.reporting.results import StudyError, StudyResults, read_csv
from recspectra.reporting.site import render

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
    files = StudyResults(drawn)
    assert "history train+valid, mask train+valid" in figure_data(files, files.config.figures[0]).caption


def test_timing_is_the_median_over_seeds(drawn: Path) -> None:
    frame = pd.read_csv(drawn / "fig-time.csv").set_index(["panel", "series", "stage"])
    line = frame.loc[("Title of ml-1m.diffrec", "S-Diff", "fit")]
    assert (line["seconds"], line["runs"]) == (2.0, 2)
    assert "BSPM" not in frame.index.get_level_values("series")
    files = StudyResults(drawn)
    assert "cpu, 2 threads" in figure_data(files, files.config.figures[5]).caption


def test_spectral_figures_draw_their_own_rows(drawn: Path) -> None:
    assert len(pd.read_csv(drawn / "fig-snr.csv")) == 6
    assert len(pd.read_csv(drawn / "fig-response.csv")) == 30
    assert len(pd.read_csv(drawn / "fig-learn.csv")) == 6


def test_nothing_to_draw_gives_a_reason(drawn: Path, html: str) -> None:
    for number, name in ((1, "none"), (4, "empty")):
        files = StudyResults(drawn)
        what = figure_data(files, files.config.figures[number])
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
    assert places(pd.Series(values, dtype=object))[0] == scale


def test_powers_like_needs_three_growing_numbers() -> None:
    assert powers_like([1, 2, 4]) and not powers_like([1, 2]) and not powers_like([1, 1.5, 8])


def test_two_draws_give_equal_bytes(drawn: Path, tmp_path: Path) -> None:
    again = write_study(tmp_path / drawn.parent.name / drawn.name)
    names = draw(again, ROOT)
    assert sorted(names) == sorted(
        p.name
        for p in drawn.iterdir()
        if p.name.startswith(("table-", "sheet-", "fig-", "audit", "standings", "summary"))
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


OWN = re.compile(
    r"(static|vendor|figures/fixture)/[a-z./-]+|runs/fixture/[\w./-]+\.csv|[a-z-]*\.html(#[\w-]+)?|#[\w-]+|\.\./\w+/fixture/[\w.-]+"
)


def test_report_loads_its_own_files_alone_and_is_harmless(html: str) -> None:
    page = Page(html)
    assert page.loads and [load for load in page.loads if not OWN.fullmatch(load)] == []
    assert not re.search(r"url\(|@import", html)
    assert not {"iframe", "object", "b", "style"} & set(page.tags)
    assert not re.search(r"<script(?! src=\"(?:static|vendor)/[a-z.-]+\.js\" defer></script>)", html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in html
    assert "&lt;script&gt;alert(3)&lt;/script&gt;" in html


def test_report_holds_everything(html: str) -> None:
    study = study_json()
    page = Page(html)
    assert len(page.images) == len(study["figures"]) + 1  # accuracy against cost
    assert all(image["alt"] for image in page.images) and all("scope" in head for head in page.heads)
    for item in [*study["tables"], *study["figures"]]:
        prefix = "table" if "metrics" in item else "fig"
        assert f"results/studies/fixture/{prefix}-{item['name']}.csv" in html
    for text in ("why oom", "why diverged", "rank = 64", "0.1500", "published 0.1277", "First.", "terms"):
        assert text in html
    for name, *_ in METRICS:
        assert f"<code>{name}</code>" in html


def test_every_study_has_a_page_and_a_link_to_it(drawn: Path, tmp_path: Path) -> None:
    other = write_study(tmp_path / "other")
    change_study(other, name="other", figures=[])
    draw_numbers(other)
    pages = render([drawn, other], ROOT)
    assert set(pages) == {"index.html", "study-fixture.html", "study-other.html", "runs.html", "status.html",
                          "guide.html"}  # fmt: skip
    for page in pages.values():
        assert 'href="study-fixture.html"' in page and 'href="study-other.html"' in page
    assert "<code>partial lists</code>" in pages["guide.html"] and "`" not in pages["guide.html"]


def test_report_says_when_all_runs_finished(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    texts_of(folder, "runs").assign(status="ok", reason="").to_csv(folder / "runs.csv", index=False)
    change_study(folder, figures=[])
    draw_numbers(folder)
    assert "every run finished" in "\n".join(render([folder], ROOT).values())


def test_numbers_of_an_earlier_version_of_a_dataset_say_so(tmp_path: Path) -> None:
    """Two studies on one dataset stand in one report, whatever became of the data between them."""
    folder = write_study(tmp_path / "studies" / "s")
    dataset = study_json()["datasets"][0]
    change_study(folder, figures=[], digests={dataset: "a"})
    draw_numbers(folder)
    stats = tmp_path / "data" / dataset / "stats.json"
    stats.parent.mkdir(parents=True)
    for digest, said in (("a", False), ("b", True)):
        stats.write_text(json.dumps({"digests": {"split": digest}}))
        assert ("are of an earlier version of" in "\n".join(render([folder], ROOT).values())) is said


# ------------------------------------------------------------------------------- errors


def test_missing_metrics_names_the_target(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    (folder / "metrics.csv").unlink()
    with pytest.raises(StudyError, match=r"metrics\.csv: file not found; .*snakemake .*fixture/metrics\.csv"):
        draw(folder, ROOT)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    metrics = texts_of(folder, "metrics")
    metrics.drop(columns="mask").to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(StudyError, match=r"metrics\.csv: column mask is missing"):
        _ = StudyResults(folder).metrics
    metrics.assign(value="a lot").to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(StudyError, match=r"metrics\.csv: column value, line 2: 'a lot' is not a number"):
        _ = StudyResults(folder).metrics
    pd.concat([metrics, metrics.iloc[:1].assign(value="0.9")]).to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(StudyError, match="two different values"):
        _ = StudyResults(folder).metrics
    with pytest.raises(StudyError, match=r"study\.json: file not found"):
        StudyResults(tmp_path / "nowhere")
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
    folder = drawn
    if script == "draw":  # one table and one figure
        folder, study = write_study(tmp_path / "small"), study_json()
        change_study(folder, **{part: study[part][:1] for part in ("tables", "figures")})
    arguments = {"draw": ["--folder"], "report": ["--output", str(output)]}[script]
    environment = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin"}
    good, bad = (
        subprocess.run(
            [*command, *arguments, str(given)], capture_output=True, text=True, env=environment, check=False
        )
        for given in (folder, tmp_path / "nowhere")
    )
    assert good.returncode == 0, good.stderr
    assert (output if script == "report" else folder / "fig-sweep.svg").is_file()
    assert bad.returncode == 1
    assert "study.json: file not found" in bad.stderr and "Traceback" not in bad.stderr


def test_the_floor_needs_neither_torch_nor_scipy() -> None:
    code = (
        "import sys; from recspectra.reporting import draw, site; "
        "sys.exit(bool({'torch', 'scipy'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.parametrize(
    ("inside", "taken"),
    [
        ('<g><path d="M0 0"/><use href="#a"/><text>on it = x</text></g>', True),
        ('<image href="data:image/png;base64,AA"/>', True),
        ("<script>alert(1)</script>", False),
        ('<rect onload="alert(1)"/>', False),
        ("<foreignObject><p>x</p></foreignObject>", False),
        ('<a href="javascript:alert(1)">x</a>', False),
        ('<image href="https://example.org/x.png"/>', False),
        ("<style>@import 'x.css';</style>", False),
    ],
)
def test_an_svg_that_does_more_than_show_is_replaced_by_its_png(
    tmp_path: Path, inside: str, taken: bool
) -> None:
    (tmp_path / "fig-x.png").write_bytes(pictures.PNG)
    (tmp_path / "fig-x.svg").write_text(f'<?xml version="1.0"?>\n<svg viewBox="0 0 1 1">{inside}</svg>')
    assert pictures.choose(tmp_path / "fig-x.png").suffix == (".svg" if taken else ".png")
