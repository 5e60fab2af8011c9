"""The pages in a browser: accessible, nothing cut off, nothing lost on paper, controls do what they say."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from headless import FLAGS, HERE, ROOT, dumped

PAGES = ["guide.html", "index.html", "runs.html", "status.html", "study-fixture.html", "study-hand.html"]
KB = 1024


class Links(HTMLParser):
    """Addresses and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.specs: list[dict] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.links += [found[name] for name in ("href", "src") if found.get(name)]
        self.anchors += [found["id"]] if "id" in found else []
        self.specs += [json.loads(found["data-spec"])] if "data-spec" in found else []


def read(path: Path) -> Links:
    return Links(path.read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------ without a browser


def test_all_pages_are_there(report: Path) -> None:
    assert sorted(path.name for path in report.glob("*.html")) == PAGES


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_anchors_that_are_there(report: Path, name: str) -> None:
    own = read(report / name)
    assert len(own.anchors) == len(set(own.anchors))
    for link in own.links:
        path, _, anchor = link.partition("#")
        target = report / unquote(path) if path else report / name
        assert target.is_file(), link
        assert not anchor or anchor in read(target).anchors, link


def test_the_zip_holds_the_same_report(report: Path) -> None:
    with zipfile.ZipFile(report.with_suffix(".zip")) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    files = {
        path.relative_to(report.parent).as_posix(): path.read_bytes()
        for path in report.rglob("*")
        if path.is_file()
    }
    assert {name: content for name, content in inside.items() if name.startswith("report/")} == files
    assert "studies/hand/metrics.csv" in inside


def test_pages_are_light(report: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in report.glob("*.html")}
    assert max(sizes.values()) < 200 * KB, sizes
    shared = sum(p.stat().st_size for name in ("static", "vendor") for p in (report / name).iterdir())
    assert shared < 1100 * KB
    assert sum(path.stat().st_size for path in report.rglob("*") if path.is_file()) < 2000 * KB
    for name in PAGES:
        heavy = "vendor/vega.min.js" in read(report / name).links
        assert heavy == (name == "index.html"), name


@pytest.mark.parametrize("folder", [ROOT / "workflow" / "report" / "vendor", HERE / "vendor"])
def test_files_of_others_are_those_that_were_taken(folder: Path) -> None:
    listed = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    assert {n: d for n, d in files.items() if n not in ("SHA256SUMS", "README.md")} == listed
    said = (folder / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in said for name in listed if not name.startswith("LICENSE"))


def test_charts_follow_the_schema_of_vega_lite(report: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(gzip.decompress((HERE / "vendor" / "vega-lite-schema.json.gz").read_bytes()))
    check = jsonschema.Draft7Validator(schema)
    specs = read(report / "index.html").specs
    assert len(specs) == 3, "cost in two studies, published against reproduced"
    for spec in specs:
        assert list(check.iter_errors(spec)) == []
        assert not check.is_valid({**spec, "spec": {"mark": "blob"}})


# --------------------------------------------------------------------------------- in a browser


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", PAGES)
def test_no_violation_of_accessibility_and_nothing_cut_off(
    answers: dict[str, Any], name: str, width: int
) -> None:
    said = answers[f"{name} {width}"]
    assert said["axe"] == []
    assert said["clipped"] == []
    assert said["overflow"] <= 0, "the page itself does not scroll sideways"
    assert said["colours"] == [], "colours of charts follow light, dark and paper"
    assert said["unseen"] == [], "every page can be reached without scrolling sideways"
    charts, drawn = said["charts"]
    assert charts == drawn == (3 if name == "index.html" else 0)


def test_a_table_shows_one_metric_and_all_on_demand(answers: dict[str, Any]) -> None:
    said = answers["study"]
    assert said["metrics"] == ["recall@10", "recall_min@10"]
    assert said["first"] == ["recall@10"] and said["other"] == ["recall_min@10"]
    assert said["all"] == ["recall@10", "recall_min@10"]


def test_a_table_sorts_and_filters(answers: dict[str, Any]) -> None:
    said = answers["study"]
    numbers = [float(text) for text in said["down"] if re.match(r"\d", text)]
    assert len(numbers) == 5 and numbers == sorted(numbers, reverse=True)
    assert [float(text) for text in said["up"] if re.match(r"\d", text)] == numbers[::-1]
    assert said["down"][-1] == said["up"][-1] == "oom", "words stay below numbers"
    assert len(said["filtered"]) == 2 < len(said["names"])
    assert all("EASE" in name for name in said["filtered"])


def test_a_cell_tells_what_is_published(answers: dict[str, Any]) -> None:
    assert re.search(r"published 0\.\d{4}.*difference [+-]0\.\d{4}.*key ", answers["study"]["bubble"])


def test_runs_sort_and_filter(answers: dict[str, Any]) -> None:
    said = answers["runs"]
    assert len(said["rows"]) > 10
    assert said["sorted"] == sorted(said["sorted"]) != said["rows"]
    assert 0 < len(said["found"]) < len(said["rows"])


def test_figures_can_be_read_on_a_telephone(answers: dict[str, Any]) -> None:
    widths = answers["study-fixture.html 400"]["pictures"]
    assert len(widths) == 7 and min(widths) >= 600, "their text is as large as on a wide page; they scroll"
    assert max(answers["study-fixture.html print"]["pictures"]) < 600, "two fit on a page of paper"


def test_leaders_scroll_in_their_frame_on_a_telephone_and_say_so(answers: dict[str, Any]) -> None:
    scrolls = {
        "wide": True,
        "told": True,
        "covering": 0,
        "seen": True,
    }  # no cell hides the shadow of the edge
    assert answers["index.html 400"]["leaders"] == [scrolls] * 3
    assert answers["index.html 1280"]["leaders"] == [scrolls | {"wide": False, "told": False}] * 3


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_lost_on_paper(answers: dict[str, Any], name: str) -> None:
    said = answers[f"{name} print"]
    assert said["wide"] == [] and said["folded"] == 0 and said["gone"] == 0
    assert set(said["buttons"]) <= {"contents"}, "Chromium repeats no head of a table that holds a button"


def test_a_printed_page_holds_many_runs(answers: dict[str, Any]) -> None:
    heights = answers["runs.html print"]["heights"]
    assert len(heights) == len(answers["runs"]["rows"])
    assert sum(heights) / len(heights) < 60 and answers["runs.html print"]["narrow"] == 0


def test_without_a_script_a_picture_shows_accuracy_against_cost(report: Path) -> None:
    shown = [link for link in read(report / "index.html").links if link.endswith("standings/costs.svg")]
    assert len(shown) == 2, "one a study"
    assert all("<svg" in (report / link).read_text() for link in shown)


def test_the_first_page_opens_from_a_file(browser: str, report: Path, tmp_path: Path) -> None:
    text = dumped(browser, tmp_path / "profile", (report / "index.html").as_uri(), milliseconds=8_000)
    assert text.count("<svg") >= 3 and "marks" in text, "Vega has drawn under the policy of the page"
    assert 'class="js"' in text


def test_a_pdf_can_be_made(browser: str, report: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.pdf"
    command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={file}"]
    subprocess.run(
        [*command, (report / "study-fixture.html").as_uri()], check=True, capture_output=True, timeout=120
    )
    assert file.read_bytes().startswith(b"%PDF")
