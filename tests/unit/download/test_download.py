"""Raw files come whole or not at all: downloads from a real server, cut off, resumed, left over."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback import CONTENT, HALF, MODIFIED, OTHER, SHA, Answer, Place, Server, raw

from recspectra.data import sources

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
