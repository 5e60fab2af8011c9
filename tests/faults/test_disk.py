"""No space left, a results folder that cannot be written, a mirror that disappears."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from disturb import nothing_half_written, same_every_time, started, unmake
from harness import (
    TINY_STUDY,
    Finished,
    Project,
    files_below,
    finished_jobs,
    snapshot,
    unfinished,
    write_yaml,
)

pytestmark = [pytest.mark.faults, pytest.mark.slow]
READ_ONLY = "Read-only file system"
FULL = "No space left on device"


def on_the_disk(work: Path, disk: Path) -> None:
    """Make the results folder of a working folder lie on a small file system."""
    work.mkdir()
    (work / "results").symlink_to(disk)


def size_of(folder: Path) -> int:
    """Return the KiB that a folder's files take on a file system of pages of 4 KiB."""
    return sum(4 * (-(-path.stat().st_size // 4096) + 1) for path in files_below(folder).values())


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.7])
def test_a_disk_that_fills_up_midway_costs_nothing_that_is_finished(
    share: float, finished: Finished, tmp_path: Path, mounted: Callable, figure: Callable
) -> None:
    whole = same_every_time(finished.folder / "results")
    disk = mounted(f"size={int(share * size_of(finished.folder / 'results'))}k")
    work = tmp_path / "work"
    on_the_disk(work, disk)
    done = finished.project.snakemake(work, *finished.options)
    assert done.returncode != 0 and FULL in done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    nothing_half_written(disk, whole)
    assert unfinished(disk) == []
    kept = {name: state for name, state in snapshot(disk).items() if name in whole}
    jobs = finished_jobs(done.stderr)

    mounted("size=100m")
    again = finished.project.snakemake(work, *finished.options)
    assert again.returncode == 0, again.stderr
    now = snapshot(disk)
    assert {name: now[name] for name in kept} == kept, "what was finished was made again"
    assert same_every_time(disk) == whole
    figure(f"full at {share:.0%}: {len(jobs)} jobs and {len(kept)} files kept, "
           f"{len(finished_jobs(again.stderr))} jobs after there was space")  # fmt: skip


def test_results_that_cannot_be_written_are_named(
    finished: Finished, tmp_path: Path, mounted: Callable, figure: Callable
) -> None:
    disk, work = mounted("size=100m"), tmp_path / "work"
    on_the_disk(work, disk)
    shutil.copytree(finished.folder / "results", disk, dirs_exist_ok=True)
    shutil.copytree(finished.folder / ".snakemake", work / ".snakemake")
    unmake(disk)
    kept = snapshot(disk)
    mounted("ro")
    done = finished.project.snakemake(work, *finished.options)
    assert done.returncode != 0
    assert f"the folder 'results' cannot be written: {READ_ONLY}; nothing in it was changed" in done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert snapshot(disk) == kept
    mounted("rw,size=100m")
    again = finished.project.snakemake(work, *finished.options)
    assert again.returncode == 0, again.stderr
    assert same_every_time(disk) == same_every_time(finished.folder / "results")
    assert not [words for words in finished_jobs(again.stderr) if words.startswith("fit")]
    figure(f"refused; {len(finished_jobs(again.stderr))} jobs once it could be written")


# -------------------------------------------------------------------------------- mirror


@pytest.fixture
def mirrored(project: Project, tmp_path: Path) -> tuple[Path, Path]:
    """A mirror with a dataset of three files, and a study on it."""
    mirror, files = tmp_path / "mirror", []
    mirror.mkdir()
    for number, part in enumerate(("train", "valid", "test")):
        rows = [f"{u},{u + 3 * k + number},5,{100 * k + number}" for u in range(60) for k in range(8)]
        (mirror / f"{part}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        digest = hashlib.sha256((mirror / f"{part}.csv").read_bytes()).hexdigest()
        files.append({"path": f"{part}.csv", "part": part, "sha256": digest})
    source = {"name": "parts", "licence": "none", "citation": "none", "fetch": "its page", "files": files}
    dataset = {"name": "parts", "title": "Parts", "source": source, "reader": {"format": "delimited"}}
    config = project.root / "config" / "datasets" / "parts.yaml"
    write_yaml(config, dataset | {"split": {"recipe": "shipped"}, "ordered": True})
    kept = {k: v for k, v in TINY_STUDY.items() if k not in ("tables", "figures", "claims")}
    models = [{"model": "popularity"}]
    study = kept | {"name": "mirrored", "datasets": ["parts"], "models": models}
    yield mirror, write_yaml(tmp_path / "mirrored.yaml", study)
    config.unlink()


def test_a_mirror_that_disappears_midway_is_named_and_fetched_from_later(
    mirrored: tuple[Path, Path], project: Project, tmp_path: Path, figure: Callable
) -> None:
    mirror, study = mirrored
    work, gone = tmp_path / "work", tmp_path / "gone"
    raw = work / "results/raw/parts"
    options = ["--config", f"study={study}", f"mirror={mirror}"]
    process = started(project, work, *options, cores=1)

    def disappear() -> None:
        while process.poll() is None and not list(raw.glob("*.csv")):
            time.sleep(0.005)
        mirror.rename(gone)

    thread = threading.Thread(target=disappear)
    thread.start()
    assert process.wait(timeout=120) != 0
    thread.join()
    said = work.with_name("work.printed").read_text(encoding="utf-8")
    assert "dataset 'parts' needs the file" in said and f"{mirror}/" in said and "Traceback" not in said
    kept = snapshot(raw)
    assert 0 < len(kept) < 3 and unfinished(work) == []

    gone.rename(mirror)
    again = project.snakemake(work, *options)
    assert again.returncode == 0, again.stderr
    now = snapshot(raw)
    assert {name: now[name] for name in kept} == kept
    fetched = [words for words in finished_jobs(again.stderr) if words.startswith("fetch")]
    assert len(fetched) == 3 - len(kept)
    figure(f"{len(kept)} of 3 files kept, {len(fetched)} fetched once it was back")
