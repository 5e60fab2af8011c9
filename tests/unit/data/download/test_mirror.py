"""The mirror is asked first; what it has is checked, what it lacks is named or downloaded."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from loopback import CONTENT, MD5, OTHER, SHA, Answer, Place, Server, raw

from recspectra.config.dataset import SourceFile

GIT = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """The file of a mirror folder."""
    file = tmp_path / "mirror" / "sub" / "raw.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def mirror(local: Path) -> Path:
    return local.parents[1]


def test_the_mirror_is_asked_before_the_network(server: Server, place: Place, mirror: Path) -> None:
    place.fetch(raw(server.url), mirror)
    assert place.has_only()
    assert server.requests == []


def test_what_the_mirror_lacks_is_downloaded(server: Server, place: Place, tmp_path: Path) -> None:
    server.script = [Answer()]
    place.fetch(raw(server.url), tmp_path)
    assert place.has_only()


@pytest.mark.parametrize(
    ("sha256", "md5", "checksum"),
    [
        (SHA, None, f"sha256: {SHA}"),
        (SHA, MD5, f"sha256: {SHA}, md5: {MD5}"),
        (None, None, "checksum: none is known"),
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_a_missing_file_says_where_to_get_it_and_where_to_put_it(
    place: Place, tmp_path: Path, given: bool, sha256: str | None, md5: str | None, checksum: str
) -> None:
    message = place.failure(raw(None, sha256, md5=md5), tmp_path if given else None)
    problem = f"{tmp_path}/sub/raw.csv does not exist" if given else "no mirror folder was given"
    assert message.splitlines() == [
        f"dataset 'tiny' needs the file 'sub/raw.csv': {problem}; no URL is known.",
        "  Where to get it: https://example.org/tiny",
        "  Where to put it: MIRROR/sub/raw.csv, then run again with MIRROR=/path/to/mirror (make), "
        "--config mirror=/path/to/mirror (Snakemake) or the variable RECSPECTRA_MIRROR",
        f"  {checksum}",
        "  Terms: for tests",
    ]


@pytest.mark.parametrize("content", [OTHER, CONTENT[:-1], CONTENT + b"\n", b""])
@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_or_truncated_file_of_the_mirror_is_refused(
    server: Server, place: Place, local: Path, kind: str, content: bytes
) -> None:
    local.write_bytes(content)
    known = {"sha256": None} | {kind: hashlib.new(kind, CONTENT).hexdigest()}
    message = place.failure(raw(server.url, **known), local.parents[1])
    found = hashlib.new(kind, content).hexdigest()
    expected = f"has {kind} {found}, expected {known[kind]} ({len(content)} bytes)"
    assert message.startswith(f"dataset 'tiny', file 'sub/raw.csv': {local} {expected}")
    assert server.requests == []  # the user's copy is not passed over in silence


def test_another_version_that_git_knows_is_accepted_and_no_other(place: Place, local: Path) -> None:
    file = raw(None, sha256=hashlib.sha256(OTHER).hexdigest(), git=GIT)
    local.write_bytes(CONTENT + b"\n")
    assert "has sha256" in place.failure(file, local.parents[1])
    local.unlink()
    assert f"or, by `git hash-object`: {GIT}" in place.failure(file, local.parents[1])
    local.write_bytes(CONTENT)
    place.fetch(file, local.parents[1])
    assert place.has_only()


@pytest.mark.parametrize("mirrored", [True, False])
def test_a_file_without_a_checksum_is_taken_with_a_warning(
    server: Server, place: Place, mirror: Path, mirrored: bool, capfd: pytest.CaptureFixture
) -> None:
    server.script = [Answer()]
    place.fetch(raw(server.url, sha256=None), mirror if mirrored else None)
    assert place.has_only()
    warning = capfd.readouterr().err
    assert warning.startswith("warning: dataset 'tiny', file 'sub/raw.csv'")
    assert f"no checksum is known; sha256: {SHA}" in warning


# ------------------------------------------------------------------ what is no file of it


def test_a_link_may_lead_elsewhere_in_the_mirror(place: Place, local: Path, tmp_path: Path) -> None:
    local.rename(local.with_name("v2.csv"))
    local.symlink_to("v2.csv")
    (tmp_path / "here").symlink_to(local.parents[1])  # the mirror itself may be a link
    place.fetch(raw(), tmp_path / "here")
    assert place.has_only() and not place.target.is_symlink()


@pytest.mark.parametrize("name", ["raw.csv", ""])
def test_a_link_out_of_the_mirror_is_refused(
    server: Server, place: Place, local: Path, tmp_path: Path, name: str
) -> None:
    moved = local.parent / name
    moved.rename(tmp_path / "elsewhere")
    moved.symlink_to(tmp_path / "elsewhere")
    message = place.failure(raw(server.url), local.parents[1])
    assert f"{local} is a link that leads out of the mirror, to {tmp_path}/elsewhere" in message
    assert server.requests == []


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("fifo", "is not a regular file"),
        ("folder", "is not a regular file"),
        ("loop", "cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_what_is_no_file_is_named(server: Server, place: Place, local: Path, kind: str, problem: str) -> None:
    local.unlink()
    make = {"fifo": os.mkfifo, "folder": os.mkdir, "loop": lambda path: path.symlink_to(path)}
    make[kind](local)
    assert f"{local} {problem}" in place.failure(raw(server.url), local.parents[1])
    assert server.requests == []


def test_a_mirror_that_cannot_be_read_is_not_taken_for_a_full_disk(place: Place) -> None:
    place.folder.mkdir()
    file = SourceFile(path="mem", sha256=SHA)  # regular, and its first page cannot be read
    assert "/proc/self/mem cannot be read (Input/output error)" in place.failure(file, Path("/proc/self"))
