"""Raw files come whole or not at all: downloads against a real server that misbehaves, and mirrors."""

from __future__ import annotations

import email.utils
import errno
import hashlib
import json
import os
import random
import re
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from recspectra.artifacts import ArtifactError
from recspectra.data import sources
from recspectra.data.interactions import DataError
from recspectra.dataset_schema import DatasetConfig, SourceConfig, SourceFile

CONTENT = random.Random(7).randbytes(300_000)
OTHER = random.Random(8).randbytes(300_000)
HALF = 120_000
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"

# ------------------------------------------------------------------------- the server


@dataclass
class Answer:
    """One answer of the server: a status, or a body and how well it is sent."""

    content: bytes = CONTENT
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True  # Range is understood, and
    if_range: bool = True  # If-Range as well
    ahead: int = 0  # how much too late a piece starts
    length: bool = True
    chunked: bool = False
    cut: int | None = None  # send so much of the body, then close
    reset: bool = False  # drop the connection without any answer
    stall: bool = False  # after `cut` bytes (or before any header) keep silent
    dribble: int = 0  # so many pieces with pauses


class Handler(BaseHTTPRequestHandler):
    """Gives the answers of a list, one a request, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.requests.append({k.lower(): v for k, v in self.headers.items()})
        self.server.paths.append(self.path)
        script = self.server.script
        answer = script.pop(0) if script else Answer(status=404, headers={"X-Script": "ended"})
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return self.connection.close()
        if answer.stall and answer.cut is None:
            return self.server.released.wait(5) and None
        return self.send(answer)

    def send(self, answer: Answer) -> None:
        start = self.start_of(answer)
        body = answer.content[start + answer.ahead :] if answer.status == 200 else b""
        self.send_response(206 if start else answer.status)
        headers = {"ETag": answer.etag, "Last-Modified": answer.modified, "Connection": "close"}
        if answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif answer.length:
            headers["Content-Length"] = str(len(body))
        if start:
            whole = len(answer.content)
            headers["Content-Range"] = f"bytes {start + answer.ahead}-{whole - 1}/{whole}"
        for name, value in (headers | answer.headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.send_body(answer, body if answer.cut is None else body[: max(0, answer.cut - start)])

    def start_of(self, answer: Answer) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or not answer.ranges or answer.status != 200:
            return 0
        if answer.if_range and condition and condition not in (answer.etag, answer.modified):
            return 0
        return int(asked[1])

    def send_body(self, answer: Answer, body: bytes) -> None:
        size = -(-len(body) // answer.dribble) if answer.dribble else len(body)
        for place in range(0, len(body), size or 1):
            piece = body[place : place + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if answer.chunked else piece)
            if answer.dribble:
                self.server.released.wait(0.05)
        if answer.chunked and answer.cut is None:
            self.wfile.write(b"0\r\n\r\n")
        if answer.stall:
            self.server.released.wait(5)


class Server(ThreadingHTTPServer):
    """A server on a free port of this machine."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Answer] = []
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/raw.csv"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the play."""

    def asked(self, header: str) -> list[str | None]:
        return [request.get(header) for request in self.requests]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join(5)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are noted and not made."""
    pauses: list[float] = []
    monkeypatch.setattr(sources, "time", SimpleNamespace(sleep=pauses.append, time=time.time))
    monkeypatch.setattr(sources, "ATTEMPTS", 3)
    monkeypatch.setattr(sources, "BASE_DELAY_S", 1.0)
    monkeypatch.setattr(sources, "MAX_WAIT_S", 40.0)
    monkeypatch.setattr(sources, "TIMEOUT_S", 10.0)
    return pauses


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers that keep silent."""
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.4)


# ------------------------------------------------------------------------ what is asked

SHA, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
DATASET = DatasetConfig.model_construct(
    name="tiny",
    source=SourceConfig(
        name="tiny", licence="for tests alone", citation="-", homepage="https://example.org/tiny"
    ),
)


def raw(url: str | None = None, sha256: str | None = SHA, md5: str | None = None) -> SourceFile:
    return SourceFile(path="sub/raw.csv", sha256=sha256, md5=md5, url=url)


@dataclass
class Place:
    """Where a download goes."""

    folder: Path

    @property
    def target(self) -> Path:
        return self.folder / "raw.csv"

    @property
    def part(self) -> Path:
        return self.folder / "raw.csv.part"

    @property
    def note(self) -> Path:
        return self.folder / "raw.csv.part.json"

    def names(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir()) if self.folder.exists() else []

    def has_only(self, content: bytes = CONTENT) -> bool:
        return self.names() == ["raw.csv"] and self.target.read_bytes() == content

    def fetch(self, file: SourceFile, mirror: Path | None = None) -> None:
        sources.fetch(DATASET, file, mirror, self.target)

    def failure(self, file: SourceFile, mirror: Path | None = None) -> str:
        """Fetch in vain; return the message."""
        with pytest.raises(DataError) as caught:
            self.fetch(file, mirror)
        assert not self.target.exists()
        return str(caught.value)

    def leave_part(self, content: bytes, url: str, **origin: object) -> None:
        """Make what an earlier run leaves that was ended midway."""
        self.folder.mkdir(exist_ok=True)
        self.part.write_bytes(content)
        note = {"url": url, "etag": '"v1"', "modified": None, "total": len(CONTENT)} | origin
        self.note.write_text(json.dumps(note))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "raw")


# ------------------------------------------------------------------------- good answers


@pytest.mark.parametrize(
    "answer",
    [
        Answer(),
        Answer(etag=None),
        Answer(chunked=True),
        Answer(length=False),
        Answer(dribble=5),
        Answer(dribble=5, chunked=True),
    ],
    ids=["plain", "no-etag", "chunked", "no-length", "slow", "slow-chunked"],
)
def test_a_file_comes_whole_with_one_request(
    server: Server, place: Place, waits: list[float], answer: Answer
) -> None:
    server.script = [answer]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None]
    assert waits == []


@pytest.mark.usefixtures("impatient")
def test_a_slow_server_may_take_longer_than_the_timeout(server: Server, place: Place) -> None:
    server.script = [Answer(dribble=12)]
    began = time.monotonic()
    place.fetch(raw(server.url))
    assert time.monotonic() - began > sources.TIMEOUT_S  # or the test shows nothing
    assert place.has_only()
    assert len(server.requests) == 1


def test_an_empty_file_is_a_file(server: Server, place: Place) -> None:
    server.script = [Answer(content=b"")]
    place.fetch(raw(server.url, sha256=hashlib.sha256(b"").hexdigest()))
    assert place.has_only(b"")


def test_redirects_are_followed_and_keep_the_range(server: Server, place: Place) -> None:
    moved = Answer(status=302, headers={"Location": "/elsewhere"})
    server.script = [moved, Answer(cut=HALF), moved, Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.paths == ["/raw.csv", "/elsewhere"] * 2
    assert server.asked("range") == [None, None, f"bytes={HALF}-", f"bytes={HALF}-"]


# ----------------------------------------------------------------------- cut and resumed


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("stall", [False, True])
def test_a_cut_or_stalled_body_is_gone_on_with(
    server: Server, place: Place, waits: list[float], stall: bool, chunked: bool
) -> None:
    server.script = [Answer(cut=HALF, stall=stall, chunked=chunked), Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None, f"bytes={HALF}-"]
    assert server.asked("if-range") == [None, '"v1"']
    assert waits == [1.0]


def test_a_file_may_come_in_three_pieces(server: Server, place: Place, waits: list[float]) -> None:
    server.script = [Answer(cut=50_000), Answer(cut=200_000), Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None, "bytes=50000-", "bytes=200000-"]
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(
    ("etag", "modified", "condition"),
    [
        ('"v1"', MODIFIED, '"v1"'),
        (None, MODIFIED, MODIFIED),
        ('W/"v1"', MODIFIED, MODIFIED),  # a weak ETag must not be in If-Range
        ('W/"v1"', None, None),
        (None, None, None),
    ],
)
def test_the_strongest_validator_goes_with_the_range(
    server: Server, place: Place, etag: str | None, modified: str | None, condition: str | None
) -> None:
    server.script = [Answer(cut=HALF, etag=etag, modified=modified), Answer(etag=etag, modified=modified)]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None, f"bytes={HALF}-"]
    assert server.asked("if-range") == [None, condition]


@pytest.mark.parametrize(("etag", "joined"), [('"v1"', True), (None, False)])
def test_nothing_unchecked_is_joined(server: Server, place: Place, etag: str | None, joined: bool) -> None:
    server.script = [Answer(cut=HALF, etag=etag), Answer(etag=etag)]
    place.fetch(raw(server.url, sha256=None))
    assert place.has_only()
    assert server.asked("range") == [None, f"bytes={HALF}-" if joined else None]


@pytest.mark.parametrize("second", [Answer(ranges=False), Answer(ranges=False, chunked=True)])
def test_a_server_without_ranges_starts_afresh(server: Server, place: Place, second: Answer) -> None:
    server.script = [Answer(cut=HALF, ranges=False), second]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize("if_range", [True, False], ids=["answers-200", "answers-206"])
@pytest.mark.parametrize("checked", [True, False])
def test_a_new_version_is_never_joined_to_the_old_one(
    server: Server, place: Place, if_range: bool, checked: bool
) -> None:
    new = Answer(etag='"v2"', if_range=if_range)
    server.script = [Answer(content=OTHER, cut=HALF), new, Answer(etag='"v2"')]
    place.fetch(raw(server.url, sha256=SHA if checked else None))
    assert place.has_only()
    ranges = [None, f"bytes={HALF}-"] + ([] if if_range else [None])  # a 206 of it is thrown away
    assert server.asked("range") == ranges


def test_a_new_date_is_a_new_version(server: Server, place: Place) -> None:
    old = Answer(content=OTHER, cut=HALF, etag=None, modified="Sun, 31 Dec 2023 00:00:00 GMT")
    new = Answer(etag=None, modified=MODIFIED, if_range=False)
    server.script = [old, new, new]
    place.fetch(raw(server.url, sha256=None))
    assert place.has_only()
    assert server.asked("range") == [None, f"bytes={HALF}-", None]


def test_a_piece_of_a_file_of_unknown_size_may_be_cut_too(server: Server, place: Place) -> None:
    star = {"Content-Range": f"bytes {HALF}-{len(CONTENT) - 1}/*"}
    server.script = [Answer(cut=HALF), Answer(cut=200_000, headers=star), Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None, f"bytes={HALF}-", "bytes=200000-"]


@pytest.mark.parametrize(
    "wrong",
    [Answer(ahead=10), Answer(headers={"Content-Range": "nonsense"}), Answer(content=CONTENT + b"more")],
    ids=["wrong-start", "no-start", "wrong-size"],
)
def test_a_piece_that_does_not_fit_is_thrown_away(server: Server, place: Place, wrong: Answer) -> None:
    server.script = [Answer(cut=HALF), wrong, Answer()]
    place.fetch(raw(server.url, sha256=None))  # so that no checksum can help
    assert place.has_only()
    assert server.asked("range") == [None, f"bytes={HALF}-", None]


def test_a_server_that_always_cuts_is_given_up_and_the_part_is_kept(
    server: Server, place: Place, waits: list[float]
) -> None:
    server.script = [Answer(cut=size) for size in (50_000, 90_000, HALF)]
    message = place.failure(raw(server.url))
    cut = f"the connection was cut after {HALF} of {len(CONTENT)} bytes"
    assert f"downloading {server.url} failed 3 times ({cut})" in message
    assert f"{HALF} bytes are kept in {place.part}" in message
    assert place.part.read_bytes() == CONTENT[:HALF]
    assert place.names() == ["raw.csv.part", "raw.csv.part.json"]
    assert waits == [1.0, 2.0]  # none after the last attempt
    assert len(server.requests) == 3
    server.script = [Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range")[3:] == [f"bytes={HALF}-"]


# ------------------------------------------------------------------ parts of earlier runs


KILLED = """
import json, sys
from pathlib import Path
from recspectra.data.sources import fetch
from recspectra.dataset_schema import DatasetConfig, SourceConfig, SourceFile
source = SourceConfig(name="tiny", licence="-", citation="-")
file = SourceFile(path="sub/raw.csv", sha256=sys.argv[1], url=sys.argv[2])
fetch(DatasetConfig.model_construct(name="tiny", source=source), file, None, Path(sys.argv[3]))
"""


def test_a_killed_download_is_gone_on_with(server: Server, place: Place) -> None:
    server.script = [Answer(cut=HALF, stall=True), Answer()]
    package = str(Path(sources.__file__).parents[2])
    command = [sys.executable, "-c", KILLED, SHA, server.url, str(place.target)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": package})
    try:
        deadline = time.monotonic() + 10
        while not (place.part.exists() and place.part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    size = place.part.stat().st_size
    assert 0 < size <= HALF
    assert place.names() == ["raw.csv.part", "raw.csv.part.json"]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None, f"bytes={size}-"]


def test_a_whole_part_is_taken_without_a_request(server: Server, place: Place) -> None:
    place.leave_part(CONTENT, server.url)
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.requests == []


def test_a_part_that_is_too_long_starts_afresh(server: Server, place: Place) -> None:
    place.leave_part(CONTENT + b"too much", server.url)
    server.script = [Answer(status=416), Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [f"bytes={len(CONTENT) + 8}-", None]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda place: place.note.unlink(),
        lambda place: place.note.write_text('{"url": "http'),
        lambda place: place.note.write_text("[1]"),
        lambda place: place.leave_part(CONTENT[:HALF], "http://127.0.0.1:9/other"),
        lambda place: place.part.write_bytes(b""),
        lambda place: place.part.unlink(),
    ],
    ids=["no-note", "cut-note", "odd-note", "other-url", "empty-part", "no-part"],
)
def test_a_part_of_unknown_origin_is_not_used(
    server: Server, place: Place, spoil: Callable[[Place], None]
) -> None:
    place.leave_part(OTHER[:HALF], server.url)
    spoil(place)
    server.script = [Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [None]


def test_a_joined_file_with_a_wrong_checksum_is_fetched_once_more(server: Server, place: Place) -> None:
    place.leave_part(OTHER[:HALF], server.url)
    server.script = [Answer(), Answer()]
    place.fetch(raw(server.url))
    assert place.has_only()
    assert server.asked("range") == [f"bytes={HALF}-", None]


def test_a_file_fetched_once_more_that_is_still_wrong_is_refused(server: Server, place: Place) -> None:
    place.leave_part(OTHER[:HALF], server.url)
    server.script = [Answer(), Answer(content=OTHER), Answer()]
    message = place.failure(raw(server.url))
    assert f"has sha256 {hashlib.sha256(OTHER).hexdigest()}, expected {SHA}" in message
    assert len(server.requests) == 2
    assert place.names() == []


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


@pytest.fixture
def small_files() -> Iterator[None]:
    """A limit on the size of files, met in the midst of the body."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


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


# ------------------------------------------------------------------------------- mirror


def mirror_of(folder: Path, content: bytes = CONTENT) -> Path:
    file = folder / "mirror" / "sub" / "raw.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return folder / "mirror"


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
