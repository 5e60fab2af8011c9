"""Links and special files of others: not followed to files of the user, not waited for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import REPO, TINY_STUDY, write_yaml

from recspectra import devices, files
from recspectra.config.base import ConfigError
from recspectra.config.dataset import DatasetConfig, read_dataset
from recspectra.config.statements import STATEMENTS, read_statements
from recspectra.config.yaml_io import read_yaml
from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError
from recspectra.data.readers import READERS, read
from recspectra.data.sources import check_raw, fetch
from recspectra.reporting import results, user_values
from recspectra.reporting.pages import pictures
from recspectra.reporting.results import StudyError
from recspectra.running import damage, locks

PRIVATE = "-----BEGIN PRIVATE KEY-----\n"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A file of the user's that an attack must leave as it is, unread."""
    path = tmp_path / "private" / "key"
    path.parent.mkdir()
    path.write_text(PRIVATE)
    path.chmod(0o600)
    return path


# --------------------------------------------------------------------------- written in place


@pytest.mark.parametrize(
    "place",
    [
        ".snakemake/metadata/cmVzdWx0cw==",
        ".snakemake/incomplete/cmVzdWx0cw==",
        ".snakemake/locks/0.input.lock",
        ".snakemake/metadata/@abc/def",
        "results/tuning/tiny/ease/0123456789/trials-0.sqlite",
        "results/tuning/tiny/ease/0123456789/trials-0.sqlite-journal",
    ],
)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_link_where_files_are_written_in_place_stops_the_workflow(
    kind: str, place: str, tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results, records = Path("results"), Path(".snakemake")
    locks.check_links(results, records)
    path = Path(place)
    path.parent.mkdir(parents=True)
    if kind == "folder":
        path.parent.rmdir()
        path.parent.symlink_to(private.parent)
        if "results" in place:
            return  # no SQLite file lies there yet
    else:
        path.symlink_to(private) if kind == "link" else os.mkfifo(path)
    with pytest.raises(locks.Busy, match="is a link or no regular file; remove it"):
        locks.check_links(results, records)


def test_snakemake_does_not_write_through_the_links_of_a_packed_folder(tmp_path: Path, private: Path) -> None:
    work = tmp_path / "work"
    record = work / ".snakemake/metadata/cmVzdWx0cy9pbnRlcmFjdGlvbnMvc3ludGhldGljLm5weg=="
    record.parent.mkdir(parents=True)
    record.symlink_to(private)
    done = REPO.snakemake(work, "results/interactions/synthetic.npz")
    assert done.returncode == 1 and "is a link or no regular file" in done.stderr
    assert private.read_text() == PRIVATE and not (work / "results").exists()


@pytest.mark.parametrize("name", ["x.csv", ".x.csv.part", "x.csv.part"])
def test_an_atomic_write_replaces_a_link(name: str, tmp_path: Path, private: Path) -> None:
    for path in {tmp_path / "x.csv", tmp_path / name}:
        path.symlink_to(private)
    files.write_text(tmp_path / "x.csv", "new")
    assert private.read_text() == PRIVATE
    assert not (tmp_path / "x.csv").is_symlink() and (tmp_path / "x.csv").read_text() == "new"


def test_a_planted_lock_of_a_device_is_not_followed(tmp_path: Path, private: Path) -> None:
    (tmp_path / "7.0").symlink_to(private)
    code = (
        "import sys; sys.argv = ['fit.py']\nfrom recspectra import devices\n"
        "from recspectra.running import cli\n"
        "cli.main(lambda: devices.take())"
    )
    variables = {"CUDA_VISIBLE_DEVICES": "7", devices.LOCKS: str(tmp_path)}
    kept = {k: v for k, v in os.environ.items() if k != "SLURM_JOB_ID"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1 and "7.0: Too many levels" in done.stderr and "Traceback" not in done.stderr
    assert private.read_text() == PRIVATE and private.stat().st_mode & 0o777 == 0o600


def test_a_shared_lock_of_a_device_is_open_to_all_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_held", [])
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")  # first, so that it is gone afterwards: `take` sets it
    before = os.umask(0o077)
    try:
        devices.take({"CUDA_VISIBLE_DEVICES": "3", devices.LOCKS: str(tmp_path)})
    finally:
        os.umask(before)
    assert (tmp_path / "3.0").stat().st_mode & 0o777 == 0o666
    for lock in devices._held:
        lock.release()


# --------------------------------------------------------------------------------- handed on


def _figures(folder: Path) -> Callable[[], bytes]:
    return lambda: pictures.picture(folder / "fig-x.png")


@pytest.mark.parametrize("kind", ["link", "link to a picture", "text", "pipe", "device", "folder", "missing"])
def test_the_report_takes_pictures_alone(kind: str, tmp_path: Path, private: Path) -> None:
    path = tmp_path / "fig-x.png"
    if kind.startswith("link"):
        private.write_bytes(pictures.PNG if "picture" in kind else PRIVATE.encode())
        path.symlink_to(private)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text(PRIVATE)
    with pytest.raises(StudyError, match=r"fig-x\.png"):
        _figures(tmp_path)()


def test_a_picture_is_a_picture(tmp_path: Path) -> None:
    (tmp_path / "fig-x.png").write_bytes(pictures.PNG + b"...")
    assert _figures(tmp_path)() == pictures.PNG + b"..."


def _dataset(path: str, **more: object) -> DatasetConfig:
    source = {"name": "s", "licence": "l", "citation": "c", "files": [{"path": path, **more}]}
    return DatasetConfig.model_validate(
        {"name": "d", "title": "D", "source": source, "reader": {"format": "delimited"},
         "split": {"recipe": "random-user"}, "ordered": False}
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe", "device"])
def test_nothing_outside_of_a_mirror_is_copied(kind: str, tmp_path: Path, private: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "in").mkdir(parents=True)
    path = mirror / "in" / "key"
    if kind == "link":
        path.symlink_to(private)
    elif kind == "folder link":
        (mirror / "in").rmdir()
        (mirror / "in").symlink_to(private.parent)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    dataset = _dataset("in/key")
    with pytest.raises(DataError, match="leads out of the mirror|not a regular file"):
        fetch(dataset, dataset.source.files[0], mirror, tmp_path / "raw" / "key")
    assert not (tmp_path / "raw" / "key").exists()


# ------------------------------------------------------------------------------- never waited for


def special(path: Path, kind: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_yaml_is_a_file(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml: cannot be read: is not a regular file"):
        read_yaml(special(tmp_path / "x.yaml", kind))


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("reader", sorted(set(READERS) - {"synthetic"}))
def test_raw_data_are_files(reader: str, kind: str, tmp_path: Path) -> None:
    special(tmp_path / "raw" / "x.csv", kind)
    dataset = _dataset("x.csv", md5="0" * 32)
    dataset = dataset.model_copy(update={"reader": dataset.reader.model_copy(update={"format": reader})})
    check_raw(dataset, tmp_path / "raw")
    with pytest.raises(DataError, match="is not a regular file"):
        read(dataset, tmp_path / "raw")


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["own.csv", "own.inter", "own.parquet"])
def test_own_data_are_files(name: str, kind: str, tmp_path: Path) -> None:
    special(tmp_path / name, kind)
    file = write_yaml(tmp_path / "own.yaml", {"name": "own", "path": name})
    with pytest.raises(DataError, match="there is no file"):
        read(read_dataset(file, "own.yaml"), tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", ["x.npz", "x.json"])
def test_results_are_files(name: str, kind: str, tmp_path: Path) -> None:
    special(tmp_path / "results" / "data" / name, kind)
    (found,) = damage.damaged(tmp_path / "results")
    assert "is not a regular file" in found[1]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_tables_of_a_study_are_files(kind: str, tmp_path: Path) -> None:
    """Each waited for ever for what a pipe would hold."""
    with pytest.raises(StudyError, match="is not a regular file"):
        results.read_csv(special(tmp_path / "x.csv", kind), ["a"])
    with pytest.raises(StudyError, match="is not a regular file"):
        results.read_parquet(special(tmp_path / "x.parquet", kind))
    with pytest.raises(files.ArtifactError, match="is not a regular file"):
        Ids.load(special(tmp_path / "ids.parquet", kind))
    special(tmp_path / STATEMENTS, kind)
    with pytest.raises(ConfigError, match=r"claims\.csv: cannot be read .*is not a regular file"):
        read_statements(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"], ids=range(3))
def test_a_damaged_parquet_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "beauty.parquet"
    path.write_bytes(content)
    for read_it in (results.read_parquet, lambda path: user_values._by_run(path, {"metric": "ndcg"})):
        with pytest.raises(StudyError, match=r"beauty\.parquet: truncated or corrupted .*; delete it"):
            read_it(path)


def test_a_file_that_is_one_is_read(tmp_path: Path) -> None:
    write_yaml(tmp_path / "x.yaml", TINY_STUDY)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "x.yaml")
    assert read_yaml(tmp_path / "link.yaml") == TINY_STUDY
    files.write_npz(tmp_path / "x.npz", a=np.arange(3))
    assert files.read_npz(tmp_path / "x.npz")["a"].tolist() == [0, 1, 2]
