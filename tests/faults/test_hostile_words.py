"""Texts, paths and archives by somebody who means harm: nothing runs, and they are shown as what they are."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from harness import REPO, ROOT, Project, digests, files_below, write_yaml

pytestmark = [pytest.mark.faults, pytest.mark.slow]
HARMED = "harmed"  # the file that whatever gets executed leaves
TEXT = (
    """<script>alert(1)</script>'"><img src=x onerror=alert(2)>|\\&$_%#{}"""
    f"$(touch {HARMED})\x1b[31m\u202e"
)


def unharmed(*places: Path) -> None:
    """Assert that nothing was executed."""
    for place in (*places, ROOT):
        found = place.rglob(HARMED) if place != ROOT else ROOT.glob(HARMED)
        assert list(found) == []


@pytest.mark.parametrize("member", ["../evil.csv", "/evil.csv", "a/../../evil.csv", "inside.csv"])
def test_nothing_leaves_an_archive(member: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    rows = "".join(f"{u},{u + k},5,{k}\n" for u in range(9) for k in range(6))
    (tmp_path / "raw" / "zipped").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "raw" / "zipped" / "a.zip", "w") as archive:
        for name in ("../evil.csv", "/evil.csv", "a/../../evil.csv", "inside.csv"):
            archive.writestr(name, rows)
    files = [{"path": "a.zip", "member": member}]
    source = {"name": "zipped", "licence": "none", "citation": "none", "files": files}
    dataset = {"name": "zipped", "title": "Z", "source": source, "reader": {"format": "delimited"}}
    write_yaml(tmp_path / "config/datasets/zipped.yaml",
               dataset | {"split": {"recipe": "temporal-user"}, "ordered": True})  # fmt: skip
    before, around = digests(tmp_path), set(tmp_path.parent.iterdir())
    arguments = ["--dataset", "zipped", "--raw", "raw", "--output", "made/zipped.npz"]
    done = REPO.script("prepare", tmp_path, *arguments, RECSPECTRA_ROOT=str(tmp_path))
    assert "Traceback" not in done.stderr
    after = digests(tmp_path)
    assert {name for name in after if name not in before} <= {"made/zipped.npz"}
    assert {name: after[name] for name in before} == before
    assert set(tmp_path.parent.iterdir()) == around and not Path("/evil.csv").exists()


# -------------------------------------------------------------------------- a whole study

WORDS = f'we\'ird "folder"; $(touch {HARMED}) & (b)`touch {HARMED}`'


# What a page may lead to: its own files, and those of the results.
OWN = re.compile(
    r"(static|vendor|figures/shown)/[a-z.-]+|[a-z-]+\.html(#[\w-]+)?|#[\w-]+|\.\./(runs|logs|studies)/[\w./-]+"
)


class Page(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}


def hostile_ids(place: Path) -> Path:
    """Write interactions whose users and items have hostile ids."""
    ids = [
        "<script>alert(1)</script>",
        "a'b",
        'a"b',
        "../../x",
        "=cmd()",
        "\u202e",
        "x" * 500,
        f"$(touch {HARMED})",
    ]
    lines = ["user,item,time"]
    for user in range(40):
        for step in range(12):
            item = (user * 5 + step * 3) % 29
            name = ids[item] if item < len(ids) else f"item {item}"
            quoted = name.replace('"', '""')
            lines.append(f'"<b>{user}</b>","{quoted}",{step}')
    path = place / f"{WORDS.replace('/', '')}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class Shown:
    """A folder with a hostile name where a study full of hostile texts ran, and what was printed."""

    place: Path
    printed: str

    @property
    def results(self) -> Path:
        return self.place / "work" / "results"

    def text(self, name: str) -> str:
        return (self.results / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    place = tmp_path_factory.mktemp("hostile") / WORDS.replace("/", "")
    place.mkdir()
    project = Project.copied(place / "checkout")
    data = {"name": "hostile", "title": TEXT, "path": str(hostile_ids(place)), "notes": [TEXT]}
    columns = {"columns": {"user": "user", "item": "item", "time": "time"}}
    write_yaml(project.root / "config" / "datasets" / "hostile.yaml", data | columns)
    study = {
        "name": "shown", "title": TEXT, "description": TEXT, "datasets": ["hostile"],
        "models": [
            {"model": "popularity", "variant": TEXT},
            {"model": "ease", "variant": "x" * 2000, "group": TEXT},
            {"model": "gfcf", "params": {"rank": 8}, "variant": "two\nlines"},
        ],
        "tables": [{"name": "main", "title": TEXT, "caption": TEXT, "metrics": ["ndcg"], "k": [10],
                    "groups": ["main", TEXT]}],
        "figures": [{"name": "timing", "title": TEXT, "caption": TEXT, "kind": "timing"}],
        "claims": [{"name": "best", "title": TEXT, "statement": TEXT, "caption": TEXT, "place": TEXT,
                    "kind": "gain", "model": "gfcf", "variant": "two\nlines", "groups": ["main", TEXT]}],
    }  # fmt: skip
    write_yaml(place / "it's & {shown}; (b).yaml", study)
    work = place / "work"
    done = project.snakemake(work, "--config", "study=../it's & {shown}; (b).yaml", "mirror=../mirror")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = (work / "results/studies/shown/summary.txt").read_text(encoding="utf-8")
    return Shown(place, done.stdout + done.stderr + summary)


def test_hostile_paths_and_texts_execute_nothing(shown: Shown, figure: Callable) -> None:
    unharmed(shown.place)
    figure(f"{len(files_below(shown.results))} files made in a folder named {WORDS!r}")


def test_the_report_shows_hostile_texts_as_texts(shown: Shown) -> None:
    for path in (shown.results / "report").glob("*.html"):
        html = path.read_text(encoding="utf-8")
        page = Page(html)
        assert not page.tags & {"iframe", "object", "embed", "base", "form", "style"}, path.name
        assert not {name for name in page.attributes if name.startswith("on")}, path.name
        assert [link for link in page.links if not OWN.fullmatch(link)] == [], path.name
        assert not re.search(r"<script(?! src=\"(?:static|vendor)/[a-z.-]+\.js\" defer></script>)", html), (
            path.name
        )
        assert path.name == "guide.html" or "&lt;script&gt;alert(1)&lt;/script&gt;" in html, path.name
        assert "\x1b" not in html and "\u202e" not in html, path.name


@pytest.mark.parametrize("name", ["table-main.md", "table-main.tex", "claims.md"])
def test_tables_keep_their_layout(shown: Shown, name: str) -> None:
    text = shown.text(f"studies/shown/{name}")
    assert "<script>" not in text and "\x1b" not in text
    if name == "claims.md":
        assert len(text.split("\n\n")) == 5, "title, caption, verdict, how it was measured, table"
    if name.endswith(".md"):
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len(rows) >= 4
        assert len({len(line.replace("\\|", "").split("|")) for line in rows}) == 1
    else:
        assert not re.search(r"(?<!\\)\$", text.replace("$\\pm$", "")), "TeX would take it for mathematics"


def test_the_terminal_gets_no_control_characters(shown: Shown) -> None:
    assert "\x1b" not in shown.printed and "\u202e" not in shown.printed


def test_hostile_ids_stay_out_of_what_is_written(shown: Shown) -> None:
    """Items and users are numbers in all results; their names stay in the source."""
    for name, path in files_below(shown.results).items():
        if path.suffix in (".csv", ".md", ".tex", ".html", ".log"):
            assert "=cmd()" not in path.read_text(encoding="utf-8"), name
