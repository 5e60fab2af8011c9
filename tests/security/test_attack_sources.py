"""A dataset of somebody else's cannot exchange the files of others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import REPO, ROOT, write_yaml
from requests import Response
from requests.structures import CaseInsensitiveDict

from recspectra import planning
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import SourceFile
from recspectra.config.raw_files import files_of, raw_file, raw_files
from recspectra.data import download
from recspectra.planning import records

ROWS = "".join(f"{user},{item},{user + item}\n" for user in range(8) for item in range(12)).encode()
SHA256, MD5 = hashlib.sha256(ROWS).hexdigest(), hashlib.md5(ROWS).hexdigest()
RIGHT = {"sha256": SHA256, "md5": MD5}
REAL, EVIL = "https://real.example/a.csv", "https://evil.example/a.csv"
Write = Callable[..., Path]


@pytest.fixture
def write(small_project: Path, tmp_path: Path) -> Write:
    """Write a dataset whose only file is that of the others; give what it says of the file."""
    config = (small_project / "config").rename(tmp_path / "config")

    def write(name: str, **file: Any) -> Path:
        source = {"name": "shared", "licence": "-", "citation": "-", "files": [{"path": "a.csv", **file}]}
        reader = {"format": "delimited", "options": {"columns": "user,item,time"}}
        entry = {"name": name, "title": name, "source": source, "reader": reader, "ordered": True}
        return write_yaml(config / f"datasets/{name}.yaml", entry | {"split": {"recipe": "temporal-user"}})

    return write


@pytest.mark.parametrize("known", [{"sha256": SHA256}, {"md5": MD5}, {}])
@pytest.mark.parametrize("evil", ["aaa", "zzz"])
def test_two_addresses_of_one_file_are_an_error(evil: str, known: dict, write: Write, tmp_path: Path) -> None:
    write("mine", url=REAL, **known)
    write(evil, url=EVIL)
    with pytest.raises(ConfigError, match=rf"its url is .*{evil}|its url is .*mine"):
        raw_file(Catalog(tmp_path), "shared", "a.csv")


@pytest.mark.parametrize("evil", ["aaa", "zzz"])
def test_the_address_of_another_serves_none_that_could_not_tell_the_file(
    evil: str, write: Write, tmp_path: Path
) -> None:
    write("mine")
    write(evil, url=EVIL, sha256=SHA256)
    with pytest.raises(ConfigError, match=r"mine\.yaml says neither where it is from nor what it is"):
        raw_file(Catalog(tmp_path), "shared", "a.csv")
    write("mine", md5=MD5)
    found = raw_file(Catalog(tmp_path), "shared", "a.csv")
    assert (found.file.url, found.file.sha256, found.file.md5) == (EVIL, SHA256, MD5)


def test_the_limits_of_a_download_are_the_strictest(write: Write, tmp_path: Path) -> None:
    write("aaa", url=REAL, insecure=True, max_gb=100.0)
    write("mine", url=REAL, max_gb=1.0)
    file = raw_file(Catalog(tmp_path), "shared", "a.csv").file
    assert (file.insecure, file.max_gb) == (False, 1.0)


@pytest.mark.parametrize("evil", ["aaa", "zzz"])
@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_prepare_checks_what_any_dataset_knows(kind: str, evil: str, write: Write, tmp_path: Path) -> None:
    """The file in `results/raw` is somebody else's; the dataset that reads it knows no checksum."""
    write(evil)
    write("mine", **{kind: RIGHT[kind]})
    raw = tmp_path / "results" / "raw" / "shared" / "a.csv"
    raw.parent.mkdir(parents=True)
    words = ["--dataset", evil, "--output", "out.npz"]
    raw.write_bytes(ROWS)
    assert REPO.script("prepare", tmp_path, *words, RECSPECTRA_ROOT=str(tmp_path)).returncode == 0
    (tmp_path / "out.npz").unlink()
    raw.write_bytes(ROWS.replace(b"7", b"6"))
    done = REPO.script("prepare", tmp_path, *words, RECSPECTRA_ROOT=str(tmp_path))
    assert done.returncode == 1 and f"a.csv has {kind}" in done.stderr
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("evil", ["aaa", "zzz"])
def test_another_version_that_one_dataset_knows_is_none_for_the_others(
    evil: str, write: Write, tmp_path: Path
) -> None:
    """`git` lets a file in whose sha256 is another one."""
    write("mine", sha256=SHA256)
    write(evil, git="1" * 40)
    assert raw_file(Catalog(tmp_path), "shared", "a.csv").file.git is None
    write("mine", sha256=SHA256, git="1" * 40)
    assert raw_file(Catalog(tmp_path), "shared", "a.csv").file.git == "1" * 40


@pytest.mark.parametrize("kind", RIGHT)
@pytest.mark.parametrize("asking", ["mine", "zzz"])
def test_fetch_checks_what_any_dataset_states(kind: str, asking: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "a.csv").write_bytes(ROWS)
    write("mine")
    words = ["--dataset", asking, "--path", "a.csv", "--mirror", "mirror", "--output", "raw/a.csv"]
    for stated in ("0" * len(RIGHT[kind]), RIGHT[kind]):
        write("zzz", **{kind: stated})
        done = REPO.script("fetch", tmp_path, *words, RECSPECTRA_ROOT=str(tmp_path))
        assert (done.returncode == 0) == (stated == RIGHT[kind]) == (tmp_path / "raw/a.csv").exists()
        assert done.returncode == 0 or f"{kind} {RIGHT[kind]}, expected {stated}" in done.stderr


@pytest.mark.parametrize("kind", RIGHT)
def test_checksums_that_contradict_each_other_stop_the_workflow(
    kind: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, stated in (("aaa", {kind: RIGHT[kind]}), ("mine", {}), ("zzz", {kind: "0" * len(RIGHT[kind])})):
        write(name, **stated)
    plan = planning.load(tmp_path, {}, [])
    records.check_copies(plan, ["quickstart"])  # it has none of them
    for name in ("aaa", "mine", "zzz"):
        with pytest.raises(ConfigError, match=rf"'shared', file 'a\.csv': its {kind} is .*aaa.* but .*zzz"):
            records.check_copies(plan, [f"results/data/{name}/stats.json"])


def test_prepare_refuses_datasets_that_contradict_each_other(write: Write, tmp_path: Path) -> None:
    write("mine", md5=MD5)
    write("zzz", md5="0" * 32)
    with pytest.raises(ConfigError, match="its md5 is"):
        files_of(Catalog(tmp_path), Catalog(tmp_path).dataset("mine"))


def test_the_shipped_datasets_agree() -> None:
    found = raw_files(Catalog(ROOT))
    assert found and [file.problem for file in found.values() if file.problem] == []
    assert planning.load(ROOT, {}, []).default == "quickstart"


@pytest.mark.parametrize(
    "path", [".", "./a.csv", "a.csv/", "x//a.csv", "x/./a.csv", "a.csv/.", "../a.csv", "/a.csv"]
)
def test_a_file_has_one_name(path: str) -> None:
    """By another name it would be another file for the comparison and the same on the disk."""
    with pytest.raises(ValueError, match="path"):
        SourceFile.model_validate({"path": path})


@pytest.mark.parametrize("other", [{"path": "A.csv"}, {}])
def test_names_that_differ_by_case_are_refused(other: dict, write: Write, tmp_path: Path) -> None:
    write("mine", md5=MD5)
    file = write("zzz", **other)
    if not other:
        file.write_text(file.read_text().replace("name: shared", "name: Shared"))
    with pytest.raises(ConfigError, match="differ by upper and lower case alone"):
        raw_files(Catalog(tmp_path))


# ------------------------------------------------------------------------------- downloads


@pytest.mark.parametrize(
    "url",
    [
        "http://x/a",
        "file:///etc/passwd",
        "ftp://x/a",
        "//x/a",
        "https://",
        "HTTP://x/a",
        "https:/x",
        "a b",
        "https://[x",
    ],
)
def test_an_address_is_https(url: str) -> None:
    with pytest.raises(ValueError, match="is not an https address"):
        SourceFile.model_validate({"path": "a", "url": url})


@pytest.mark.parametrize("goal", ["http://real.example/a", "file:///etc/passwd", "ftp://x/a"])
def test_a_redirect_is_https(goal: str) -> None:
    with pytest.raises(ValueError, match="which is not https"):
        _redirected(goal)


def test_a_redirect_to_another_host_is_said(capsys: pytest.CaptureFixture) -> None:
    _redirected("https://real.example/b.csv")
    assert capsys.readouterr().err == ""
    _redirected(EVIL)
    assert f"{REAL} redirects to another host, {EVIL}" in capsys.readouterr().err


def _redirected(goal: str) -> None:
    answer = Response()
    answer.status_code, answer.url = 302, REAL
    answer.headers = CaseInsensitiveDict({"Location": goal})
    answer.raw = type("Raw", (), {"headers": type("H", (), {"discard": lambda self, name: None})()})()
    download._inspect(SourceFile(path="a.csv", url=REAL), answer)
