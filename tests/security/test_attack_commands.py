"""Text that somebody else wrote never becomes a command of a shell, of make or of Snakemake."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import REPO, ROOT, TINY_STUDY, write_yaml
from snakemake_interface_executor_plugins.utils import format_cli_arg

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.settings import TEXTS, check_texts
from recspectra.planning.place import check_spawned
from recspectra.running import command, redo

WORDS = {
    "substitution": "$(touch {harmed})",
    "backtick": "`touch {harmed}`",
    "end of quotes": '"; touch {harmed}; "',
    "single quotes": "'; touch {harmed}; '",
    "function of make": "$(shell touch {harmed})",
    "second line": "quickstart\n\ttouch {harmed}\n",
    "blanks": "my study.yaml",
    "glob": "*",
}
# target -> the variables whose text it takes
TARGETS = {
    "study": (
        "STUDY", "MIRROR", "SCALE", "TRIALS", "SEEDS", "EPOCHS", "MINUTES", "DATASETS", "MODELS",
        "MODEL_GROUPS", "KEEP", "GPUS",
    ),
    "preview": ("DATA", "MIRROR"),
    "freeze": ("STUDY",),
    "compare": ("STUDY",),
    "redo": ("WHAT", "STUDY", "DATASETS"),
    "unlock": ("CORES",),
    "test-fast": ("CORES",),
}  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A Makefile whose `.venv/bin/python` writes down its words."""
    place = tmp_path / "checkout"
    (place / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, place)
    shutil.copytree(ROOT / "locks", place / "locks")
    for name in ("installed", "installed-test", "installed-cluster"):
        (place / ".venv" / name).touch()
    python = place / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >> words\n', encoding="utf-8")
    python.chmod(0o755)
    return place


def make(checkout: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
    """Call make with nothing of an outer make."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *words], cwd=checkout, env=kept | variables, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("target", TARGETS)
def test_make_hands_text_on_as_it_is(target: str, word: str, checkout: Path, harmed: Path) -> None:
    text = WORDS[word].format(harmed=harmed)
    given = {"DATA": "x", "WHAT": "x"} | dict.fromkeys(TARGETS[target], text)
    for words, variables in (([f"{k}={v}" for k, v in given.items()], {}), ([], given)):
        (checkout / "words").unlink(missing_ok=True)
        if words and "\n" in text:
            continue  # on its command line make itself reads lines
        done = make(checkout, target, *words, **variables)
        assert done.returncode == 0, done.stderr
        handed = (checkout / "words").read_text(encoding="utf-8").split("\0")
        found = [part for part in handed if part == text or part.endswith(f"={text}")]
        assert len(found) == len(TARGETS[target]), handed
        assert not harmed.exists()


@pytest.mark.parametrize("what", ["freeze", "compare"])
@pytest.mark.parametrize("style", ["lines", "flow", "block"])
def test_the_name_of_a_study_is_read_by_the_schema(
    what: str, style: str, tmp_path: Path, harmed: Path
) -> None:
    evil = f"$(touch {harmed})"
    texts = {
        "lines": f'title: "x\nname: {evil}\n"\nname: mine\n',
        "flow": f"{{title: T, name: '{evil}'}}\n",
        "block": f"title: |\n  x\n  name: {evil}\nname: mine\n",
    }
    file = tmp_path / "evil.yaml"
    file.write_text(texts[style], encoding="utf-8")
    done = REPO.script("reference", tmp_path, what, "--study", file)
    assert done.returncode == 1 and done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr and not harmed.exists()


@pytest.mark.parametrize(
    "name", ["--snakefile=evil.smk", "--delete-all-output", "$(touch x)", "../x", "a b", "-n"]
)
def test_the_name_in_a_study_never_becomes_an_option_of_snakemake(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make redo` builds the study of a file by its name."""
    monkeypatch.chdir(tmp_path)  # in the checkout a workflow of another test may be at work
    file = write_yaml(tmp_path / "mine.yaml", TINY_STUDY | {"name": name, "datasets": ["synthetic"]})
    mark = tmp_path / "built"
    workflow = command.Workflow([sys.executable, "-c", f"open({str(mark)!r}, 'w')"])
    (tmp_path / "results/runs/synthetic/ease").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"mine\.yaml: name"):
        redo.redo("ease", tmp_path / "results", Catalog(ROOT), workflow, str(file))
    assert not mark.exists()
    assert (tmp_path / "results/runs/synthetic/ease").is_dir()


# --------------------------------------------------------- what Snakemake hands to jobs it spawns

HANDED = [
    "it's $(touch {harmed}).yaml",
    "it's `touch {harmed}`.yaml",
    "it's $HOME.yaml",
    "a\\b.yaml",
    "both ' and \".yaml",
    "it's \\$(touch {harmed}).yaml",
    "a\n.yaml",
    "a\x1b.yaml",
    "'; touch {harmed}; '",
    "'x' $(touch {harmed}) 'y'",
    "my study.yaml",
    "it's.yaml",
    'quoted "text".yaml',
    "a;b&c|d>e<f*?~#.yaml",
    "'quoted'",
    '"quoted"',
]


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("text", HANDED)
def test_what_reaches_a_spawned_job_is_what_was_given_or_is_refused(
    key: str, text: str, tmp_path: Path, harmed: Path
) -> None:
    """As Snakemake writes the words of a job: by `repr`, for a shell."""
    value = text.format(harmed=harmed)
    try:
        check_texts({key: value}, [f"{key}={value}"])
    except ConfigError as error:
        assert key in str(error)
        return
    line = format_cli_arg("--config", {key: value})
    done = subprocess.run(
        f"printf '%s\\0' {line}", shell=True, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert not harmed.exists()
    words = done.stdout.split("\0")
    assert words[:-1] == ["--config", f"{key}={value}"]
    assert shlex.split(line) == words[:-1]


@pytest.mark.parametrize("text", HANDED)
def test_folders_whose_paths_reach_a_scheduler_are_harmless(text: str, tmp_path: Path, harmed: Path) -> None:
    """Where a checkout lies is written into the jobs, too."""
    place = tmp_path / text.format(harmed="harmed")
    try:
        check_spawned([Path("/plain"), place])
    except ConfigError as error:
        assert "rename the folder" in str(error)
        return
    line = format_cli_arg("--snakefile", str(place / "Snakefile"))
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\0")[:-1] == ["--snakefile", str(place / "Snakefile")]


def test_folders_are_looked_at_before_a_scheduler_gets_jobs() -> None:
    rules = (ROOT / "rules" / "common.smk").read_text(encoding="utf-8")
    start = rules[rules.index("onstart:") :]
    assert start.index("if not workflow.local_exec:") < start.index("place.check_spawned([ROOT, Path.cwd()])")


def test_no_module_is_taken_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m` looks there first."""
    (tmp_path / "psutil.py").write_text("open('harmed', 'w')")
    monkeypatch.chdir(tmp_path)
    start = command.start("1", "0")
    subprocess.run([*start[: start.index("snakemake") + 1], "--version"], check=True, capture_output=True)
    code = [*start[: start.index("-m")], "-c", "import psutil"]
    subprocess.run(code, check=True)
    assert not (tmp_path / "harmed").exists()
