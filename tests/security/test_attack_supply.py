"""What pip installs is what was locked; what is not locked is known."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from harness import ROOT

LOCKS = ("run", "test", "cluster")


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def pinned(path: Path) -> dict[str, str]:
    """Return name -> version of each requirement of a file."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(dict(found)) == len(found)
    return {_name(name): version for name, version in found}


CONSTRAINTS = pinned(ROOT / "constraints.txt")
LOCKED = {name: pinned(ROOT / "locks" / f"{name}.txt") for name in LOCKS}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def unhashed() -> set[str]:
    """Return what the Makefile says has no hashes."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    return set(re.search(r"^UNHASHED := (.*)$", text, re.MULTILINE)[1].split())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_its_version_and_hashes(lock: str) -> None:
    text = (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) == len(LOCKED[lock])
    for block in blocks:
        assert re.fullmatch(r"\S+==\S+(?: ; [^\\]+)? \\(\n +--hash=sha256:[0-9a-f]{64}(?: \\)?)+", block), (
            block
        )
    elsewhere = {n for n in LOCKED[lock] if re.search(rf"^{n}==.*(?:win32|darwin|pypy)", text, re.MULTILINE)}
    for name, version in LOCKED[lock].items():
        assert CONSTRAINTS.get(name) == version or name in elsewhere - CONSTRAINTS.keys(), name


def test_all_that_is_needed_is_locked_or_said_not_to_be() -> None:
    """Of everything that the installed packages require on this machine."""
    known = set().union(*LOCKED.values()) | unhashed() | {"uv"}
    wanted, seen = ["recspectra"], set()
    while wanted:
        name = _name(wanted.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another model
        wanted += [re.match(r"[\w.-]+", need)[0] for need in needs if "extra ==" not in need]
    here = {name for name in seen if _installed(name)}
    assert len(here) > 50 and here - {"recspectra"} <= known


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def test_what_differs_by_index_has_no_hash() -> None:
    assert "torch" in unhashed() and CONSTRAINTS["torch"]
    assert not unhashed() & set().union(*LOCKED.values())


def test_what_is_needed_to_build_is_pinned() -> None:
    assert PROJECT["build-system"]["requires"] == [f"setuptools=={CONSTRAINTS['setuptools']}"]
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt" in text
    deploy = (ROOT / "envs" / "recspectra.post-deploy.sh").read_text(encoding="utf-8")
    assert "--no-deps --no-build-isolation" in deploy


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A Makefile whose python writes down its words instead of installing."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "locks", tmp_path / "locks")
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(
        '#!/bin/sh\necho "$PIP_CONSTRAINT $PIP_BUILD_CONSTRAINT $@" >> words\n', encoding="utf-8"
    )
    python.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("target", ["installed", "installed-test", "installed-cluster"])
@pytest.mark.parametrize("hashes", ["yes", "no"])
def test_make_installs_by_hash_first(target: str, hashes: str, checkout: Path) -> None:
    words = [f"HASHES={hashes}", f"PYTHON={checkout / '.venv' / 'bin' / 'python'}"]
    subprocess.run(["make", f".venv/{target}", *words], cwd=checkout, check=True, capture_output=True)
    calls = [line for line in (checkout / "words").read_text().splitlines() if " pip " in line]
    assert all(line.startswith("constraints.txt constraints.txt -m pip install") for line in calls)
    by_hash = [line for line in calls if "--no-deps --require-hashes -r locks/" in line]
    count = ["installed", "installed-test", "installed-cluster"].index(target) + 1
    assert len(by_hash) == (count if hashes == "yes" else 0)
    assert len(calls) == count + len(by_hash)
    if by_hash:
        assert calls.index(by_hash[0]) == 0 and by_hash[0].endswith("locks/run.txt")
