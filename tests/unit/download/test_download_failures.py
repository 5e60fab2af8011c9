"""Wrong files, errors, silence and full disks: nothing is kept, and the message says what to do."""

from __future__ import annotations

import email.utils
import errno
import hashlib
import os
import re
import socket
import time
from pathlib import Path

import pytest
from loopback import CONTENT, HALF, MD5, OTHER, SHA, Answer, Place, Server, mirror_of, raw

from recspectra.artifacts import ArtifactError
from recspectra.data import sources

# ---------------------------------------------------------------------------- checksums


@pytest.mark.parametrize("content", [OTHER, CONTENT[:-1], b""])
def test_a_wrong_file_is_refused_at_once(
    server: Server, place: Place, waits: list[float], content: bytes
) -> None:
    server.script = [Answer(content=content), Answer()]
    message = place.failure(raw(server.url))
    assert f"dataset 'tiny', file 'sub/raw.csv': {server.url} has sha256" in message
    assert f"{hashlib.sha256(content).hexdigest()}, expected {SHA} ({len(content)} bytes)" in message
    assert "https://example.org/tiny" in message
    assert len(server.requests) == 1
    assert waits == []
    assert place.names() == []


def test_a_wrong_file_after_a_refused_range_counts_as_fresh(server: Server, place: Place) -> None:
    server.script = [Answer(cut=HALF), Answer(content=OTHER, ranges=False), Answer()]
    assert f"expected {SHA}" in place.failure(raw(server.url))
    assert len(server.requests) == 2


def test_md5_alone_is_checked(server: Server, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    server.script = [Answer(content=OTHER), Answer()]
    file = raw(server.url, sha256=None, md5=MD5)
    message = place.failure(file)
    assert f"has md5 {hashlib.md5(OTHER).hexdigest()}, expected {MD5}" in message
    place.fetch(file)
    assert place.has_only()
    assert capsys.readouterr().err == ""


def test_both_checksums_must_hold(server: Server, place: Place) -> None:
    server.script = [Answer()]
    assert f"has md5 {MD5}, expected {'0' * 32}" in place.failure(raw(server.url, md5="0" * 32))


@pytest.mark.parametrize("mirrored", [True, False])
def test_a_file_without_a_checksum_is_taken_with_a_warning(
    server: Server, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], mirrored: bool
) -> None:
    server.script = [Answer()]
    mirror = mirror_of(tmp_path) if mirrored else None
    place.fetch(raw(server.url, sha256=None), mirror)
    assert place.has_only()
    warning = capsys.readouterr().err
    assert warning.startswith("warning: dataset 'tiny', file 'sub/raw.csv'")
    assert f"no checksum is known; sha256: {SHA}" in warning


# -------------------------------------------------------------------- statuses and waits


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 451, 304, 204, 206])
def test_a_final_status_is_final_at_once(
    server: Server, place: Place, waits: list[float], status: int
) -> None:
    server.script = [Answer(status=status, headers={"Retry-After": "1"}), Answer()]
    message = place.failure(raw(server.url))
    assert "dataset 'tiny' needs the file 'sub/raw.csv': no mirror folder was given" in message
    assert f"downloading {server.url} failed (HTTP {status}" in message
    assert "Where to get it: https://example.org/tiny" in message
    assert "Where to put it: MIRROR/sub/raw.csv" in message
    assert f"sha256: {SHA}" in message
    assert "Terms: for tests alone" in message
    assert len(server.requests) == 1
    assert waits == []
    assert place.names() == []


@pytest.mark.parametrize(("status", "reason"), [(403, " Forbidden"), (204, " instead of the file")])
def test_a_final_status_leaves_the_part(server: Server, place: Place, status: int, reason: str) -> None:
    server.script = [Answer(cut=HALF), Answer(status=status), Answer()]
    message = place.failure(raw(server.url))
    assert f"failed (HTTP {status}{reason}); {HALF} bytes are kept in" in message
    assert len(server.requests) == 2
    assert place.part.read_bytes() == CONTENT[:HALF]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_passing_status_is_tried_again_with_longer_waits(
    server: Server, place: Place, waits: list[float], status: int
) -> None:
    server.script = [Answer(status=status), Answer(status=status), Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert len(server.requests) == 3
    assert waits == [1.0, 2.0]


def test_a_server_that_stays_busy_is_given_up(server: Server, place: Place, waits: list[float]) -> None:
    server.script = [Answer(status=503)] * 9
    assert "failed 3 times (HTTP 503 Service Unavailable)." in place.failure(raw(server.url))
    assert len(server.requests) == 3
    assert waits == [1.0, 2.0]
    assert place.names() == []


@pytest.mark.parametrize(
    ("status", "asked", "waited"),
    [
        (429, "7", 7.0),
        (503, "7", 7.0),
        (503, "0.5", 1.0),  # not a number of RFC 9110
        (429, "86400", 40.0),
        (429, "9" * 400, 40.0),
        (429, "-5", 1.0),
        (429, "soon", 1.0),
        (500, "7", 1.0),  # means nothing there
    ],
)
def test_retry_after_is_honoured_up_to_a_cap(
    server: Server, place: Place, waits: list[float], status: int, asked: str, waited: float
) -> None:
    server.script = [Answer(status=status, headers={"Retry-After": asked}), Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert waits == [waited]


def test_retry_after_never_shortens_a_wait(server: Server, place: Place, waits: list[float]) -> None:
    server.script = [Answer(status=503, headers={"Retry-After": "1"})] * 2 + [Answer()]
    place.fetch(raw(server.url))
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(("ahead", "least", "most"), [(20, 15, 20), (9999, 40, 40), (-9999, 1, 1)])
def test_retry_after_may_be_a_date(
    server: Server, place: Place, waits: list[float], ahead: int, least: float, most: float
) -> None:
    date = email.utils.formatdate(time.time() + ahead, usegmt=True)
    server.script = [Answer(status=429, headers={"Retry-After": date}), Answer()]
    place.fetch(raw(server.url))
    assert len(waits) == 1
    assert least <= waits[0] <= most


# -------------------------------------------------------------------- nobody answers


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", [Answer(stall=True), Answer(reset=True)], ids=["silent", "reset"])
def test_a_connection_without_an_answer_is_tried_again(
    server: Server, place: Place, waits: list[float], answer: Answer
) -> None:
    server.script = [answer, Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None, None]
    assert waits == [1.0]


def test_a_server_that_is_down_is_explained(
    place: Place, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:  # bound and not listening: refuses
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/raw.csv"
        message = place.failure(raw(url))
    assert re.search(r"failed 3 times \(.*refused\)", message)
    assert waits == [1.0, 2.0]
    assert place.names() == []


def test_an_unreachable_server_times_out(
    server: Server, place: Place, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(*args: object, **options: object) -> socket.socket:
        assert 10.0 in args or options.get("timeout") == 10.0
        raise TimeoutError("timed out")  # a real one needs a host that drops packets

    monkeypatch.setattr(socket, "create_connection", hangs)
    assert "failed 3 times (timed out)" in place.failure(raw(server.url))
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/raw.csv", "file:///etc/hostname", "raw.csv", "http:///raw.csv", "http://[/x"]
)
def test_only_web_addresses_are_fetched(
    place: Place, monkeypatch: pytest.MonkeyPatch, waits: list[float], url: str
) -> None:
    def never(*args: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(sources.urllib.request, "build_opener", never)
    message = place.failure(raw(url))
    assert f"its URL {url} is not an http or https address" in message
    assert waits == []


@pytest.mark.parametrize("path", ["/with space", "/caf\u00e9"])
def test_a_url_that_cannot_be_asked_for_is_final(
    server: Server, place: Place, waits: list[float], path: str
) -> None:
    assert "failed (" in place.failure(raw(server.url + path))
    assert server.requests == []
    assert waits == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:9/raw.csv", "file:///etc/hostname"])
def test_redirects_stay_on_the_web(server: Server, place: Place, waits: list[float], url: str) -> None:
    server.script = [Answer(status=302, headers={"Location": url}), Answer()]
    message = place.failure(raw(server.url))
    assert "failed (HTTP 302" in message
    assert url in message
    assert len(server.requests) == 1
    assert waits == []


# ---------------------------------------------------------------------------- full disk


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named_and_takes_no_space(
    server: Server, place: Place, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(path: Path, value: object) -> None:
        path.parent.mkdir()
        place.part.symlink_to("/dev/full")

    monkeypatch.setattr(sources, "write_json", begin)  # made just before the part is opened
    server.script = [Answer(), Answer()]
    with pytest.raises(ArtifactError) as caught:
        place.fetch(raw(server.url))
    assert str(caught.value).startswith(f"{place.target}: cannot be written (No space left on device)")
    assert "free space" in str(caught.value)
    assert place.names() == []
    assert len(server.requests) == 1
    assert waits == []


def test_a_disk_that_fills_up_midway_keeps_nothing(server: Server, place: Place, small_files: None) -> None:
    server.script = [Answer(dribble=6), Answer()]
    with pytest.raises(ArtifactError) as caught:
        place.fetch(raw(server.url))
    assert str(caught.value).startswith(f"{place.target}: cannot be written ({os.strerror(errno.EFBIG)})")
    assert place.names() == []
    assert len(server.requests) == 1


def test_a_folder_in_the_way_is_named(server: Server, place: Place) -> None:
    place.target.mkdir(parents=True)
    server.script = [Answer()]
    with pytest.raises(ArtifactError, match="raw.csv: cannot be written"):
        place.fetch(raw(server.url))
    assert place.names() == ["raw.csv"]
