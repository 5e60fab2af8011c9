"""Floor 1: files are whole or absent, damage is named, code hashes follow the code; floors."""

from __future__ import annotations

import ast
import errno
import gc
import hashlib
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from recspectra import code_hashes
from recspectra import files as artifacts
from recspectra.code_hashes import code_hash
from recspectra.config.catalog import Catalog
from recspectra.data.splits import moment
from recspectra.files import (
    ArtifactError,
    atomic,
    provenance,
    read_json,
    read_npz,
    sha256,
    write_json,
    write_npz,
    write_text,
)

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "workflow" / "recspectra"
NOISE = np.random.default_rng(0).random(100_000)  # does not compress


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# ------------------------------------------------------------------------------ writing


def test_a_finished_block_leaves_the_file_alone(tmp_path: Path) -> None:
    with atomic(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("whole")
        assert files_below(tmp_path) == [f"new/{temporary.name}"]
    assert files_below(tmp_path) == ["new/a.txt"]
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(error), atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert files_below(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_says_who_may_read_a_written_file(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
        safetensors_file(tmp_path / "b.safetensors")  # replaces the temporary file by one of its own
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


def test_errors_that_have_nothing_to_do_with_writing_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a.txt"):
        (tmp_path / "none").read_text()
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "a.txt"):
        raise ZeroDivisionError


def safetensors_file(path: Path) -> None:
    from safetensors.numpy import save_file

    with atomic(path) as temporary:
        save_file({"x": NOISE}, temporary)


WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: write_text(path, "x" * 800_000),
    "json": lambda path: write_json(path, list(range(100_000))),
    "npz": lambda path: write_npz(path, x=NOISE),
    "safetensors": safetensors_file,
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("mounting a small file system needs root and mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_named_and_leaves_the_old_file(small_disk: Path, kind: str) -> None:
    target = small_disk / "results" / f"a.{kind}"
    write_text(target, "old")
    with pytest.raises(ArtifactError, match=rf"results/a\.{kind}: cannot be written \(No space left"):
        WRITERS[kind](target)
    assert files_below(small_disk) == [f"results/a.{kind}"]
    assert target.read_text() == "old"


@pytest.fixture
def file_limit() -> Iterator[None]:
    """Files may not grow beyond 64 KiB: a write that fails half way, without root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, file_limit: None, kind: str) -> None:
    with pytest.raises(ArtifactError, match=rf"a\.{kind}: cannot be written \(File too large"):
        WRITERS[kind](tmp_path / f"a.{kind}")
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_at_the_flush_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(artifacts.os, "fsync", refuse)
    with pytest.raises(ArtifactError, match=rf"a\.txt: cannot be written \({os.strerror(code)}\)"):
        write_text(tmp_path / "a.txt", "x")
    assert files_below(tmp_path) == []


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="Not a directory|File exists"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtifactError, match="folder: cannot be written"):
        write_text(tmp_path / "folder", "x")


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_npz(tmp_path / f"{name}.npz", x=np.arange(100), y=np.linspace(0, 1, 7), z=np.str_("ok"))
    assert sha256(tmp_path / "a.npz") == sha256(tmp_path / "b.npz")
    write_npz(tmp_path / "c.npz", x=np.arange(1, 101), y=np.linspace(0, 1, 7), z=np.str_("ok"))
    assert sha256(tmp_path / "a.npz") != sha256(tmp_path / "c.npz")


def test_json_is_sorted_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5, None]})
    assert (tmp_path / "a.json").read_text().index('"a"') < (tmp_path / "a.json").read_text().index('"b"')
    assert read_json(tmp_path / "a.json") == {"a": [0.5, None], "b": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert files_below(tmp_path) == ["a.json"]


# ------------------------------------------------------------------------------ reading


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {"x": np.arange(5, dtype=np.int32), "y": np.float64(2.5), "z": np.str_("ok")}
    write_npz(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz")
    assert set(found) == set(arrays)
    assert all(np.array_equal(found[n], a) and found[n].dtype == a.dtype for n, a in arrays.items())


@pytest.mark.parametrize("keep", [0, 1, 10, 100, -1])
def test_a_truncated_npz_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, x=NOISE[:200])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=r"a\.npz: truncated or corrupted"):
        read_npz(path)


def test_any_damage_to_an_npz_is_named_or_harmless(tmp_path: Path) -> None:
    """Zip, zlib, NumPy and tokenize each have their own exceptions; a CRC sees what these do not."""
    path, rng = tmp_path / "a.npz", random.Random(0)
    arrays = {"x": np.arange(1000) % 101, "y": NOISE[:50], "s": np.str_("ok")}
    write_npz(path, **arrays)
    good, named = path.read_bytes(), 0
    for _ in range(2000):
        damaged = bytearray(good)
        start = rng.randrange(len(good))
        damaged[start : start + rng.choice([1, 4, 50])] = rng.randbytes(4)
        path.write_bytes(damaged)
        try:
            found = read_npz(path)
        except ArtifactError as error:
            assert "a.npz: truncated or corrupted" in str(error)
            named += 1
        else:  # a date or a mode, which nothing reads
            assert set(found) == set(arrays)
            assert all(found[name].tobytes() == np.asarray(arrays[name]).tobytes() for name in arrays)
    assert named > 1700


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match=r"a\.npz: .*allow_pickle"):
        read_npz(tmp_path / "a.npz")


def test_an_npy_file_under_the_name_of_an_npz_is_named(tmp_path: Path) -> None:
    with open(tmp_path / "a.npz", "wb") as stream:
        np.save(stream, np.arange(3))
    with pytest.raises(ArtifactError, match=r"a\.npz"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("read", [read_npz, read_json])
def test_a_missing_file_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(ArtifactError, match="none: file not found"):
        read(tmp_path / "none")


@pytest.mark.parametrize("content", [b'{"a": 1', b"", b"\xff\xfe"])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"a\.json: truncated or corrupted"):
        read_json(tmp_path / "a.json")


def test_provenance_names_versions_and_machine() -> None:
    found = provenance()
    assert found["packages"]["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["processor"]


# ---------------------------------------------------------------------------- code hash

MINI = {
    "__init__.py": "",
    "config/__init__.py": "",
    "config/base.py": "LIMIT = 1\n",
    "low.py": '"""Low."""\n\nfrom recspectra.config import base\n\n\n'
    'def value():\n    """One."""\n    return 1\n',
    "far.py": "FAR = 1\n",
    "rel.py": "REL = 1\n",
    "models/__init__.py": "",
    "models/base.py": "def late():\n    import recspectra.far\n    from .. import rel\n",
    "models/one.py": "from recspectra.low import value  # a comment\nfrom recspectra.models import base\n",
    "models/two.py": "TWO = 2\n",
}


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small package in the place of the real one."""
    for name, text in MINI.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code_hashes, "PACKAGE_DIR", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    code_hashes._summary.cache_clear()
    code_hashes._module_path.cache_clear()


def hash_now(*modules: str, scripts: tuple[Path, ...] = ()) -> str:
    forget()
    return code_hash(*modules, scripts=scripts)


ONE = "recspectra.models.one"


@pytest.mark.parametrize(
    ("name", "old", "new", "counts"),
    [
        ("models/one.py", "  # a comment", "  # another", False),
        ("models/one.py", "import value", "import  value ", False),
        ("low.py", '"""Low."""', '"""Lower.\n\nMuch.\n"""', False),
        ("low.py", '"""One."""', '"""Two."""', False),
        ("low.py", '    """One."""\n', "", False),
        ("config/base.py", "LIMIT = 1", "LIMIT = 2", False),
        ("models/two.py", "TWO = 2", "TWO = 3", False),
        ("models/one.py", "import value", "import value as v", True),
        ("low.py", "return 1", "return 2", True),
        ("low.py", "return 1", "return '1'", True),
        ("models/base.py", "late", "later", True),
        ("far.py", "FAR = 1", "FAR = 2", True),
        ("rel.py", "REL = 1", "REL = 2", True),
    ],
)
def test_an_edit_changes_the_hash_if_and_only_if_it_may_change_a_number(
    mini: Path, name: str, old: str, new: str, counts: bool
) -> None:
    """Also of code that is imported at any distance."""
    before = hash_now(ONE)
    text = (mini / name).read_text()
    assert old in text
    (mini / name).write_text(text.replace(old, new))
    assert (hash_now(ONE) != before) == counts


def test_a_script_and_what_it_imports_count(mini: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text("from recspectra.far import FAR\n")
    before = hash_now(scripts=(script,))
    (mini / "far.py").write_text("FAR = 3\n")
    after = hash_now(scripts=(script,))
    script.write_text("from recspectra.far import FAR\nprint(FAR)\n")
    assert len({before, after, hash_now(scripts=(script,))}) == 3


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the modules that hashes of code were taken of."""
    found, summary = set(), code_hashes._summary
    monkeypatch.setattr(code_hashes, "_summary", lambda path, *of: found.add(path.stem) or summary(path, *of))
    return found


def test_an_edit_of_the_eigensolver_reruns_no_fit_by_itself(hashed: set[str]) -> None:
    """A fit reads eigenpairs from a file: it is made again when that file is."""
    scripts = [PACKAGE.parent / "scripts" / f"{name}.py" for name in ("fit", "tune")]
    code_hash("recspectra.models.gsprec", "recspectra.models.sgfcf", scripts=scripts)
    assert {"spectrum", "operators"} <= hashed
    assert not hashed & {"eigen", "solver_block", "solvers"}


def test_how_a_date_becomes_the_moment_of_a_cut_counts(hashed: set[str]) -> None:
    """The schema of a dataset counts in no hash, but what says where a split is cut does."""
    code_hash("recspectra.data.splits")
    assert moment.__module__.rpartition(".")[2] in hashed


def test_each_file_is_parsed_once_and_the_hash_is_that_of_its_tree_without_docstrings(
    mini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda text, **of: parsed.append(of["filename"]) or parse(text, **of))
    found = hash_now(ONE), code_hash(ONE)
    files = {
        "far": "far.py", "low": "low.py", "rel": "rel.py", "config": "config/__init__.py",
        "models": "models/__init__.py", "models.base": "models/base.py", "models.one": "models/one.py",
    }  # fmt: skip
    assert sorted(parsed) == sorted(str(mini / file) for file in files.values())
    plain = hashlib.sha256()
    for name, file in sorted(files.items()):
        text = (mini / file).read_text().replace('"""Low."""', "").replace('    """One."""\n', "")
        tree = hashlib.sha256(ast.dump(parse(text)).encode()).hexdigest()
        plain.update(f"recspectra.{name}={tree}\n".encode())
    assert found == (plain.hexdigest()[:12],) * 2
    assert gc.isenabled()


def test_hash_is_twelve_hex_digits_and_differs_between_models() -> None:
    names = Catalog(ROOT).names("models")
    hashes = {code_hash(f"recspectra.models.{name}") for name in names}
    assert len(hashes) == len(names)
    assert all(len(h) == 12 and int(h, 16) >= 0 for h in hashes)
