"""Damaged files are made again, and what failed or was interrupted goes on with the same command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redo_folder import (
    CATALOG,
    CHOICE,
    CHOSEN,
    FAILS,
    ROOT,
    called,
    files,
    folder,
    forgets,
    run_files,
    shown,
)

from recspectra.config.base import ConfigError
from recspectra.files import ArtifactError, write_json, write_text
from recspectra.running.command import Workflow
from recspectra.running.redo import redo


def test_damaged_files_are_listed_and_made_again(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    broken = folder("mf-0") / "run.json"
    sound = broken.read_text()
    broken.write_text(sound[:-9])
    left = folder("mf-0") / ".run.json.abc.tmp"
    left.write_text("half")
    assert redo("damaged", results, CATALOG, FAILS, dry=True) == 0
    assert left.exists() and f"{broken}: truncated or corrupted" in capsys.readouterr().out
    assert redo("damaged", results, CATALOG, FAILS) == 1
    assert not left.exists()
    again = tmp_path / "again"
    again.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[1], 'w').write({sound!r})\n")
    again.chmod(0o755)
    assert redo("damaged", results, CATALOG, Workflow([str(again)])) == 0
    assert broken.read_text() == sound


def test_what_failed_goes_on_with_the_same_studies_and_settings(
    results: Path, command: list[str], capsys: pytest.CaptureFixture
) -> None:
    """What is forgotten is all that said which studies to run again."""
    write_json(results / "studies/quickstart/study.json", {"datasets": ["synthetic"], "choice": CHOICE})
    assert redo("timeout", results, CATALOG, FAILS) == 1
    assert redo("timeout", results, CATALOG, FAILS) == 1
    capsys.readouterr()
    write_json(folder("mf-0") / "run.json", {"status": "timeout"})  # made again, with the same end
    assert forgets(command, "timeout", dry=True) == set()
    assert "then: quickstart" in capsys.readouterr().out and called() == []
    assert forgets(command, "timeout") == {"results/.redo.json"}, "nothing is forgotten twice"
    assert called() == [["--cores", "1", "quickstart", "--config", *CHOSEN]]
    said = capsys.readouterr().out
    assert "goes on: nothing else is forgotten" in said and "no finished study" not in said
    assert str(folder("mf-0") / "run.json") in forgets(command, "timeout"), "it has ended: this is a new one"


def test_another_redo_says_what_is_not_finished_and_leaves_it(
    results: Path, command: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert redo("timeout", results, CATALOG, FAILS) == 1
    assert run_files("elsewhere") <= forgets(command, "ml-1m")
    assert "not finished yet: make redo WHAT=timeout" in capsys.readouterr().out
    forgets(command, "timeout")
    assert called()[-1] == ["--cores", "1", "quickstart", "--config", "datasets=[synthetic]"]
    assert not (results / ".redo.json").exists()


def test_removing_that_was_interrupted_goes_on(
    results: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []

    def interrupted(path: Path) -> None:
        removed.append(path)
        if len(removed) == 2:
            raise KeyboardInterrupt
        shutil.rmtree(path)

    before = files()
    with monkeypatch.context() as patch:
        patch.setattr("recspectra.running.redo._remove_one", interrupted)
        with pytest.raises(KeyboardInterrupt):
            redo("timeout", results, CATALOG, Workflow(command))
    assert 0 < len(before - files()) < len(run_files("mf-0", "mf-both-0")) and called() == []
    forgets(command, "timeout")
    assert before - files() == run_files("mf-0", "mf-both-0") | shown("quickstart", "synthetic")
    assert called() == [["--cores", "1", "quickstart", "--config", "datasets=[synthetic]"]]


def test_a_note_that_leads_out_of_the_results_removes_nothing(
    results: Path, command: list[str], tmp_path: Path
) -> None:
    write_text(tmp_path / "outside", "")
    for path in (str(tmp_path / "outside"), "results/../outside"):
        write_json(results / ".redo.json", {"timeout": {"paths": [path], "studies": {}}})
        with pytest.raises(ConfigError, match="nothing was forgotten"):
            redo("timeout", results, CATALOG, Workflow(command))
    write_json(results / ".redo.json", {"timeout": {"path": "x"}})
    with pytest.raises(ConfigError, match=r"results/\.redo\.json: timeout"):
        redo("timeout", results, CATALOG, Workflow(command))
    write_json(results / ".redo.json", ["timeout"])
    with pytest.raises(ArtifactError, match=r"results/\.redo\.json: .*delete it"):
        redo("timeout", results, CATALOG, Workflow(command))
    assert (tmp_path / "outside").exists()


@pytest.mark.parametrize(("key", "value"), [("scale", "papr"), ("trials", "many"), ("epochs", "0")])
def test_a_wrong_word_is_refused_before_anything_is_removed(
    key: str, value: str, results: Path, command: list[str]
) -> None:
    before = files()
    with pytest.raises(ConfigError, match=key):
        redo("timeout", results, CATALOG, Workflow(command, {key: value}))
    assert files() == before


# A workflow that needs a second to end in order.
SLOW = """
import signal, sys, time
from pathlib import Path
def end(number, frame):
    time.sleep(1)
    with open("ended", "a") as stream: print("in order", file=stream)
    sys.exit(130)
signal.signal(signal.SIGINT, end)
with open("called", "a") as stream: print(sys.argv[1:], file=stream)
print("started", flush=True)
time.sleep(60)
"""


def script(*words: str, **options: Any) -> subprocess.Popen:
    """Start `redo.py` in the working folder."""
    command = [sys.executable, str(ROOT / "workflow/scripts/redo.py"), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


@pytest.mark.parametrize("what", ["mf", "damaged"])
def test_an_interrupt_waits_for_the_workflow_and_the_same_command_continues(
    what: str, results: Path, tmp_path: Path
) -> None:
    """Snakemake that is killed leaves lock and jobs behind. Of two studies the second is not begun."""
    write_json(results / "studies/anchors/study.json", {})
    write_text(
        results / "studies/anchors/runs.csv", (results / "studies/quickstart/parts/synthetic.csv").read_text()
    )
    broken = folder("popular") / "run.json"
    broken.write_text("{")
    slow = tmp_path / "slow.py"
    slow.write_text(SLOW)
    for time in (1, 2):
        process = script("--what", what, "--command", sys.executable, str(slow), start_new_session=True)
        while "started" not in (line := process.stdout.readline()):
            assert line, "it ended before"
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 130 and said == ""
        assert Path("ended").read_text() == "in order\n" * time
    calls = Path("called").read_text().splitlines()
    assert len(calls) == 2 and calls[0] == calls[1]
    assert broken.read_text() == "{"


def test_a_command_that_has_ended_leaves_interrupts_as_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert Workflow(["true"]).build([]) == 0 and Workflow(["false"]).build([]) == 1
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_script_calls_snakemake_with_cores_gpus_and_what_was_given(results: Path, tmp_path: Path) -> None:
    """A package of that name stands before Snakemake."""
    text = "import json, sys\nprint(json.dumps(sys.argv[1:]))\n"
    write_text(tmp_path / "first/snakemake/__init__.py", "")
    write_text(tmp_path / "first/snakemake/__main__.py", text)
    paths = os.pathsep.join([str(tmp_path / "first"), *filter(None, sys.path)])
    words = [
        "--cores",
        "3",
        "--gpus",
        "2",
        "--mirror",
        "/a b",
        "--scale",
        "paper",
        "--datasets",
        "",
        "--epochs",
        "5",
    ]
    process = script("--what", "timeout", *words, env=os.environ | {"PYTHONPATH": paths})
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    (call,) = (json.loads(line) for line in said.splitlines() if line.startswith("["))
    assert call == [
        "--profile", "workflow/profiles/default", "--resources", "gpu=2", "--cores", "3", "quickstart",
        "--config", "datasets=[synthetic]", "mirror=/a b", "scale=paper", "epochs=5",
    ]  # fmt: skip
