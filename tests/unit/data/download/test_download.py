"""Downloads come whole or not at all, from whom the dataset names, within their limits."""

from __future__ import annotations

import gzip
import hashlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback import CONTENT, HALF, MD5, OTHER, SHA, Answer, Place, Server, raw
from pydantic import ValidationError

from recspectra.data import download, sources
from recspectra.files import ArtifactError

# ------------------------------------------------------------------------------ as sent


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("length", [True, False])
def test_a_file_comes_whole_with_one_request(secure: Server, place: Place, length: bool) -> None:
    secure.script = [Answer(length=length)]
    place.fetch(raw(secure.url, md5=MD5))
    assert place.has_only()
    assert secure.requests == ["/raw.csv"]


def test_a_packed_file_stays_packed(server: Server, place: Place) -> None:
    packed = gzip.compress(b"1,2,3\n")
    server.script = [Answer(content=packed, headers={"Content-Encoding": "gzip"})]
    place.fetch(raw(server.url, sha256=hashlib.sha256(packed).hexdigest()))
    assert place.has_only(packed)
    assert server.encodings == {"identity"}


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Answer(OTHER, cut=HALF * 2), "IncompleteRead(300000 bytes read, 100000 more expected)"),
        (Answer(reset=True), "[Errno 104] Connection reset by peer"),
        (Answer(silent=True), "timed out"),
        (Answer(status=503), "503 Server Error"),
        (Answer(status=429), "429 Client Error"),
    ],
)
def test_what_may_pass_is_tried_again_from_zero(
    server: Server,
    place: Place,
    first: Answer,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", 0.3)
    short = CONTENT[:HALF]
    server.script = [first, Answer(content=short)]
    place.fetch(raw(server.url, sha256=None))  # so that no checksum can help
    assert place.has_only(short)
    assert f"note: {server.url}: {reason}" in capfd.readouterr().err


def test_a_link_under_the_name_or_an_old_part_is_not_written_through(
    server: Server, place: Place, tmp_path: Path
) -> None:
    place.folder.mkdir()
    for name in ("raw.csv", "raw.csv.part"):
        (tmp_path / "other").write_bytes(b"mine")
        (place.folder / name).symlink_to(tmp_path / "other")
    server.script = [Answer()]
    place.fetch(raw(server.url))
    assert (tmp_path / "other").read_bytes() == b"mine"
    assert not place.target.is_symlink() and place.target.read_bytes() == CONTENT


# ------------------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("answer", "reason", "requests"),
    [
        (Answer(status=404), "404 Client Error: Not Found for url: URL", 1),
        (Answer(status=403), "403 Client Error: Forbidden for url: URL", 1),
        (Answer(status=204), "HTTP 204 instead of the file", 1),
        (Answer(status=206), "HTTP 206 instead of the file", 1),
        (Answer(status=503), "503 Server Error: Service Unavailable for url: URL", 3),
        (Answer(cut=HALF), "IncompleteRead(150000 bytes read, 150000 more expected)", 3),
        (Answer(headers={"Content-Length": "many"}), "invalid literal for int() with base 10: 'many'", 1),
    ],
)
def test_a_failure_is_explained_and_leaves_nothing(
    server: Server, place: Place, tmp_path: Path, answer: Answer, reason: str, requests: int
) -> None:
    server.script = [answer] * 9
    reason = reason.replace("URL", server.url)
    problem = f"{tmp_path}/sub/raw.csv does not exist; downloading {server.url} failed ({reason})."
    assert place.failure(raw(server.url), tmp_path).partition("': ")[2].splitlines()[0].endswith(problem)
    assert len(server.requests) == requests


def test_a_failure_keeps_an_older_file(server: Server, place: Place) -> None:
    place.folder.mkdir()
    place.target.write_bytes(b"old")
    with pytest.raises(sources.DataError, match="404"):
        place.fetch(raw(server.url))
    assert place.has_only(b"old")


@pytest.mark.parametrize(
    ("known", "kind"), [({}, "sha256"), ({"sha256": None, "md5": MD5}, "md5"), ({"md5": "0" * 32}, "md5")]
)
def test_every_known_checksum_is_checked(server: Server, place: Place, known: dict, kind: str) -> None:
    content = CONTENT if known.get("md5") == "0" * 32 else OTHER
    server.script = [Answer(content=content)]
    message = place.failure(raw(server.url, **known))
    expected = known.get(kind, SHA)
    found = f"has {kind} {hashlib.new(kind, content).hexdigest()}, expected {expected} ({len(content)} bytes)"
    assert message.startswith(f"dataset 'tiny', file 'sub/raw.csv': {server.url} {found}")
    assert message.endswith("fetch it again: https://example.org/tiny") and "\n" not in message
    assert len(server.requests) == 1


def test_a_disk_that_fills_up_midway_is_named(server: Server, place: Place) -> None:
    server.script = [Answer()]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))
    try:
        with pytest.raises(ArtifactError, match=r"raw\.csv: cannot be written \(File too large\); nothing"):
            place.fetch(raw(server.url))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert place.names() == []
    assert len(server.requests) == 1


# -------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    "url", ["http://a.org/x", "ftp://a.org/x", "file:///x", "x", "https:///x", "https://[/x"]
)
def test_only_https_may_be_named(url: str) -> None:
    with pytest.raises(ValidationError, match="is not an https address; `insecure: true` allows http"):
        raw(url, insecure=False)
    assert raw("http://a.org/x", insecure=True).allows("https://a.org/x")
    assert not raw("http://a.org/x", insecure=True).allows("ftp://a.org/x")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("insecure", [True, False])
def test_redirects_leave_https_only_where_that_is_allowed(
    secure: Server, server: Server, place: Place, insecure: bool, capfd: pytest.CaptureFixture
) -> None:
    secure.script = [Answer(status=302, headers={"Location": server.url})]
    server.script = [Answer(status=302, headers={"Location": "/elsewhere"}), Answer()]
    file = raw(secure.url, insecure=insecure)
    if insecure:
        place.fetch(file)
        assert place.has_only() and server.requests == ["/raw.csv", "/elsewhere"]
        said = f"note: {secure.url} redirects to another host, {server.url}\n"
        assert capfd.readouterr().err == said  # once: the second redirect stays where it is
    else:
        assert f"failed (it redirects to {server.url}, which is not https)" in place.failure(file)
        assert server.requests == []


def test_a_certificate_that_nobody_signed_is_refused_at_once(
    secure: Server, place: Place, capfd: pytest.CaptureFixture
) -> None:
    secure.script = [Answer()]
    assert "CERTIFICATE_VERIFY_FAILED" in place.failure(raw(secure.url))
    assert secure.requests == []
    assert capfd.readouterr().err == ""


def test_certificates_that_are_not_there_are_explained(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert "/nowhere.pem)." in place.failure(raw("https://127.0.0.1:9/raw.csv"))
    assert "Connection refused)." in place.failure(raw("http://127.0.0.1:9/raw.csv")).splitlines()[0]


@pytest.mark.parametrize("answer", [Answer(cut=0), Answer(length=False, again=CONTENT)])
def test_a_file_larger_than_its_limit_is_refused(server: Server, place: Place, answer: Answer) -> None:
    server.script = [answer] * 3
    assert "it is larger than `max_gb: 0.0002`" in place.failure(raw(server.url, max_gb=2e-4))
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [Answer(silent=True), Answer(length=False, again=b"x")])
def test_a_download_ends_at_its_deadline(
    server: Server, place: Place, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "DEADLINE_S", 0.3)
    server.script = [answer, Answer()]
    began = time.monotonic()
    assert "failed (it took longer than 0.3 s)" in place.failure(raw(server.url))
    assert time.monotonic() - began < 2
    server.released.set()
    time.sleep(0.2)
    assert place.names() == []  # nor does what was left behind write later


# ------------------------------------------------------------------------------- imports

MIRRORED = """
import sys
from pathlib import Path
from loopback import Place, raw
Place(Path(sys.argv[1])).fetch(raw("https://example.org/raw.csv"), Path(sys.argv[2]))
import recspectra.planning
print(sorted({"pooch", "requests"} & set(sys.modules)))
"""


def test_a_copy_from_the_mirror_imports_no_downloader(place: Place, tmp_path: Path) -> None:
    (tmp_path / "mirror" / "sub").mkdir(parents=True)
    (tmp_path / "mirror" / "sub" / "raw.csv").write_bytes(CONTENT)
    paths = [str(Path(__file__).parent), str(Path(sources.__file__).parents[2])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    words = [sys.executable, "-c", MIRRORED, str(place.folder), str(tmp_path / "mirror")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert place.has_only()
