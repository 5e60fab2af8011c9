"""Names, texts, paths and files by somebody who means harm: refused, or shown as what they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from harness import REPO, ROOT, TINY, TINY_STUDY, Project, changed, digests, files_below, write_yaml

from recspectra import planning
from recspectra.config.base import ConfigError

pytestmark = [pytest.mark.faults, pytest.mark.slow]
HARMED = "harmed"  # the file that whatever gets executed leaves
HOSTILE = {
    "separator": "a/b",
    "parent folder": "../../outside",
    "absolute": "/outside",
    "quote": "a'b",
    "double quote": 'a"b',
    "newline": "a\nb",
    "line end": "a\n",
    "html": "<script>alert(1)</script>",
    "shell": f"a; touch {HARMED}",
    "substitution": f"$(touch {HARMED})",
    "backtick": f"`touch {HARMED}`",
    "option": "-rf",
    "wildcard": "{model}",
    "glob": "*",
    "hidden": ".hidden",
    "escape": "a\x1b[31mb",
    "direction": "a\u202eb",
    "long": "x" * 300,
    "empty": "",
}
TEXT = (
    """<script>alert(1)</script>'"><img src=x onerror=alert(2)>|\\&$_%#{}"""
    f"$(touch {HARMED})\x1b[31m\u202e"
)
SHORT = {k: v for k, v in TINY_STUDY.items() if k not in ("figures",)}


def plan(root: Path, study: dict[str, Any], place: Path) -> planning.Plan:
    """Load a study as the Snakefile does, and ask for what rules ask for."""
    made = planning.load(root, {"study": str(write_yaml(place / "mine.yaml", study))}, [])
    for name in made.catalog.names("datasets"):
        made.raw_files(name)
    return made


# --------------------------------------------------------------------------------- names

PLACES: dict[str, Callable[[dict, str], Any]] = {
    "study": lambda s, name: s.update(name=name),
    "dataset": lambda s, name: s.update(datasets=[name]),
    "protocol": lambda s, name: s.update(protocols=[name]),
    "model": lambda s, name: s["models"][0].update(model=name),
    "table": lambda s, name: s["tables"][0].update(name=name),
    "figure": lambda s, name: s.update(figures=[{"name": name, "title": "T", "kind": "timing"}]),
}


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize("place", PLACES)
def test_hostile_names_in_a_study_are_refused(place: str, word: str, tmp_path: Path) -> None:
    study = changed(SHORT | {"name": "mine", "datasets": ["synthetic"]}, lambda s: None)
    assert plan(ROOT, study, tmp_path / "before").default == "mine"
    PLACES[place](study, HOSTILE[word])
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        plan(ROOT, study, tmp_path)


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_hostile_names_inside_a_dataset_or_model_are_refused(kind: str, word: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    file = {"datasets": "synthetic", "models": "ease"}[kind]
    path = tmp_path / "config" / kind / f"{file}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    write_yaml(path, content | {"name": HOSTILE[word]})
    with pytest.raises(ConfigError, match=rf"{kind}/{file}\.yaml"):
        plan(tmp_path, SHORT | {"name": "mine", "datasets": ["synthetic"]}, tmp_path)


@pytest.mark.parametrize("word", [w for w in HOSTILE if w not in ("separator", "parent folder", "absolute")])
@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_hostile_file_names_are_refused(kind: str, word: str, tmp_path: Path) -> None:
    name = HOSTILE[word][:240]  # a file system takes no more
    shutil.copytree(ROOT / "config", tmp_path / "config")
    file = {"datasets": "synthetic", "models": "ease"}[kind]
    content = yaml.safe_load((ROOT / "config" / kind / f"{file}.yaml").read_text(encoding="utf-8"))
    write_yaml(tmp_path / "config" / kind / f"{name}.yaml", content | {"name": name})
    used = {"datasets": [name]} if kind == "datasets" else {"models": [{"model": name}]}
    made = SHORT | {"name": "mine", "datasets": ["synthetic"]} | used
    with pytest.raises(ConfigError):
        plan(tmp_path, made, tmp_path)


def with_source(place: Path, change: Callable[[dict], Any]) -> None:
    """Plan a study on a dataset whose source was changed."""
    shutil.copytree(ROOT / "config", place / "config")
    path = place / "config" / "datasets" / "ml-100k.higsp.yaml"
    write_yaml(path, changed(yaml.safe_load(path.read_text(encoding="utf-8")), change))
    plan(place, SHORT | {"name": "mine", "datasets": ["ml-100k.higsp"]}, place)


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_names_of_a_source_are_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ml-100k\.higsp\.yaml"):
        with_source(tmp_path, lambda d: d["source"].update(name=HOSTILE[word]))


# What stays in the mirror is a path like others.
@pytest.mark.parametrize("word", [w for w in HOSTILE if w not in ("separator", "hidden", "long")])
def test_hostile_paths_of_raw_files_are_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ml-100k\.higsp\.yaml"):
        with_source(tmp_path, lambda d: d["source"]["files"][0].update(path=HOSTILE[word]))


@pytest.mark.parametrize("word", ["separator", "newline", "html", "shell", "substitution", "long"])
def test_snakemake_refuses_hostile_names_without_harm(word: str, tmp_path: Path, figure: Callable) -> None:
    study = SHORT | {"name": HOSTILE[word], "datasets": [HOSTILE[word]]}
    file = write_yaml(tmp_path / "mine.yaml", study)
    done = REPO.snakemake(tmp_path / "work", "--config", f"study={file}")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "configuration error" in done.stderr
    unharmed(tmp_path)
    assert not (tmp_path / "work" / "results").exists()
    figure("refused")


def unharmed(*places: Path) -> None:
    """Assert that nothing was executed."""
    for place in (*places, ROOT):
        found = place.rglob(HARMED) if place != ROOT else ROOT.glob(HARMED)
        assert list(found) == []


# ---------------------------------------------------------------------------- YAML and files

TAGS = [
    f"!!python/object/apply:os.system ['touch {HARMED}']",
    f"!!python/object/new:os.system ['touch {HARMED}']",
    "!!python/name:os.system",
    "!!python/module:os",
    "!mine x",
]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize(
    "file", ["mine", "datasets/synthetic", "models/ease", "protocols/standard", "config"]
)
def test_tags_in_any_yaml_are_refused_and_run_nothing(
    file: str, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    study = write_yaml(tmp_path / "mine.yaml", SHORT | {"name": "mine", "datasets": ["synthetic"]})
    path = study if file == "mine" else tmp_path / "config" / f"{file}.yaml"
    path.write_text(path.read_text(encoding="utf-8") + f"\nmore: {tag}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{path.name}: not valid YAML"):
        planning.load(tmp_path, {"study": str(study)}, [])
    unharmed(tmp_path)


@pytest.mark.parametrize("tag", TAGS[:2])
def test_tags_on_the_command_line_run_nothing(tag: str, tmp_path: Path, figure: Callable) -> None:
    done = REPO.snakemake(tmp_path / "work", "--config", f"study={tag}")
    assert done.returncode != 0
    unharmed(tmp_path)
    figure("refused")


@pytest.mark.parametrize("key", ["study", "mirror", "datasets"])
@pytest.mark.parametrize("word", ["newline", "substitution", "backtick", "option", "escape", "direction"])
def test_hostile_words_on_the_command_line_are_refused(
    key: str, word: str, tmp_path: Path, figure: Callable
) -> None:
    done = REPO.snakemake(tmp_path / "work", "--config", f"{key}={HOSTILE[word]}")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"configuration error: --config {key}: " in done.stderr
    unharmed(tmp_path)
    figure("refused")


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


class Evil:
    """What unpickling would execute."""

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {HARMED}",)


@pytest.mark.parametrize("where", ["train.npz", "rankings.npz", "pairs.npy"])
def test_pickles_are_refused_and_run_nothing(where: str, tmp_path: Path, figure: Callable) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copy(TINY / "dataset.yaml", tmp_path / "config" / "datasets" / "tiny.yaml")
    evil = np.array([Evil()], dtype=object)
    variables = {"RECSPECTRA_ROOT": str(tmp_path)}
    if where == "pairs.npy":
        files = [{"path": "pairs.npy", "part": part} for part in ("train", "valid", "test")]
        source = {"name": "pairs", "licence": "none", "citation": "none", "files": files}
        dataset = {"name": "pairs", "title": "P", "source": source, "reader": {"format": "pairs-npy"}}
        write_yaml(tmp_path / "config/datasets/pairs.yaml",
                   dataset | {"split": {"recipe": "shipped"}, "ordered": True})  # fmt: skip
        (tmp_path / "raw/pairs").mkdir(parents=True)
        np.save(tmp_path / "raw/pairs/pairs.npy", evil, allow_pickle=True)
        done = REPO.script("prepare", tmp_path, "--dataset", "pairs", "--raw", "raw", "--output", "p.npz",
                           **variables)  # fmt: skip
    else:
        for name in ("train", "valid", "test"):
            (tmp_path / "data/tiny").mkdir(parents=True, exist_ok=True)
            np.savez(tmp_path / f"data/tiny/{name}.npz", indptr=evil)
        run = json.dumps({"model": "popularity", "params": {}})
        script, arguments = "fit", ["--data", "data/tiny", "--run", run, "--folder", "made"]
        if where == "rankings.npz":
            (tmp_path / "run/KEY/seed-0").mkdir(parents=True)
            np.savez(tmp_path / "run/KEY/seed-0/rankings.npz", status=evil)
            script, arguments = "check", ["--results", "."]
        done = REPO.script(script, tmp_path, *arguments, **variables)
    assert done.returncode == 1, done.stdout + done.stderr
    assert where in done.stderr + done.stdout and "Traceback" not in done.stderr
    unharmed(tmp_path)
    figure("refused")


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
