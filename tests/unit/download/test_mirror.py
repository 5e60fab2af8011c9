"""The mirror is asked first; what it has is checked, what it lacks is named or downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from loopback import CONTENT, HALF, MD5, OTHER, SHA, Answer, Place, Server, mirror_of, raw

from recspectra.data.interactions import DataError

# ------------------------------------------------------------------------------- mirror


def test_the_mirror_is_asked_before_the_network(server: Server, place: Place, tmp_path: Path) -> None:
    place.leave_part(CONTENT[:HALF], server.url)
    place.fetch(raw(server.url), mirror_of(tmp_path))
    assert place.has_only()  # nor does the part of an earlier download stay
    assert server.requests == []


def test_what_the_mirror_lacks_is_downloaded(server: Server, place: Place, tmp_path: Path) -> None:
    server.script = [Answer()]
    place.fetch(raw(server.url), tmp_path)
    assert place.has_only()


@pytest.mark.parametrize(
    ("sha256", "md5", "checksum"),
    [
        (SHA, None, f"sha256: {SHA}"),
        (None, MD5, f"md5: {MD5}"),
        (SHA, MD5, f"sha256: {SHA}, md5: {MD5}"),
        (None, None, "checksum: none is known"),
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_a_missing_file_says_where_to_get_it_and_where_to_put_it(
    place: Place, tmp_path: Path, given: bool, sha256: str | None, md5: str | None, checksum: str
) -> None:
    message = place.failure(raw(None, sha256, md5), tmp_path if given else None)
    problem = f"{tmp_path}/sub/raw.csv does not exist" if given else "no mirror folder was given"
    assert message.splitlines() == [
        f"dataset 'tiny' needs the file 'sub/raw.csv': {problem}; no URL is known.",
        "  Where to get it: https://example.org/tiny",
        "  Where to put it: MIRROR/sub/raw.csv, then run again with --config mirror=MIRROR "
        "(or set RECSPECTRA_MIRROR)",
        f"  {checksum}",
        "  Terms: for tests alone",
    ]
    assert place.names() == []


@pytest.mark.parametrize("content", [OTHER, CONTENT[:-1], CONTENT + b"\n", b""])
@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_or_truncated_file_of_the_mirror_is_refused(
    server: Server, place: Place, tmp_path: Path, kind: str, content: bytes
) -> None:
    server.script = [Answer()]
    known = {"sha256": None} | {kind: hashlib.new(kind, CONTENT).hexdigest()}
    message = place.failure(raw(server.url, **known), mirror_of(tmp_path, content))
    found = hashlib.new(kind, content).hexdigest()
    local = tmp_path / "mirror" / "sub" / "raw.csv"
    expected = f"has {kind} {found}, expected {known[kind]} ({len(content)} bytes)"
    assert f"dataset 'tiny', file 'sub/raw.csv': {local} {expected}" in message
    assert "fetch it again: https://example.org/tiny" in message
    assert place.names() == []
    assert server.requests == []  # the user's copy is not passed over in silence


def test_md5_alone_is_enough_for_the_mirror(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.fetch(raw(None, sha256=None, md5=MD5), mirror_of(tmp_path))
    assert place.has_only()
    assert capsys.readouterr().err == ""


def test_an_older_target_does_not_hide_a_failure(server: Server, place: Place) -> None:
    place.folder.mkdir()
    place.target.write_bytes(b"old")
    with pytest.raises(DataError, match="HTTP 404"):
        place.fetch(raw(server.url))
    assert place.target.read_bytes() == b"old"
