"""Models as files: the same scores after loading, and clear words for what is no such file."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import recspectra as rs
from recspectra import files
from recspectra.data.ids import Ids
from recspectra.fitting import saved


@pytest.fixture
def path(ease: rs.Model, tmp_path: Path) -> Path:
    return ease.save(tmp_path / "ease.rs")


def rewritten(path: Path, member: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a model file with another content of a member, its CRC in order."""
    other = path.with_name("other.rs")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            copy.writestr(name, change(content) if name == member else content)
    return other


def changed(path: Path, **about: Any) -> Path:
    """A copy of a model file that says something else of itself."""

    def change(content: bytes) -> bytes:
        known = json.loads(content) | about
        return json.dumps({k: v for k, v in known.items() if v is not None}).encode()

    return rewritten(path, saved.ABOUT, change)


def test_a_loaded_model_recommends_the_same(ease: rs.Model, path: Path, data: rs.Data) -> None:
    again = rs.load(path)
    assert again.recommend(k=7).equals(ease.recommend(k=7))
    assert (again.params, again.log, repr(again)) == (ease.params, ease.log, repr(ease))
    assert rs.evaluate(again, data).equals(rs.evaluate(ease, data))
    found = again.recommend(history={"new": ["film 1", "film 2"]}, k=3)
    assert found.equals(ease.recommend(history={"new": ["film 1", "film 2"]}, k=3))


def test_ids_that_are_numbers_once_the_others_are_dropped_stay_the_same_ids(tmp_path: Path) -> None:
    rows = [(user, f"i{item}", item) for user in ("1", "2", "10") for item in range(12)]
    clicks = pd.DataFrame([*rows, ("guest", "i1", 1)], columns=["user", "item", "time"])
    data = rs.read(clicks, time="time", split="leave-one-out")
    data.ids.save(tmp_path / "ids.parquet")  # as the workflow hands them to a fit
    kept = dataclasses.replace(rs.fit("ease", data), ids=Ids.load(tmp_path / "ids.parquet"))
    assert kept.ids.users.dtype.kind == "i" and data.ids.users.dtype.kind == "U"
    assert rs.evaluate(kept, data).equals(rs.evaluate(rs.fit("ease", data), data))
    with pytest.raises(rs.DataError, match="another split"):
        rs.evaluate(dataclasses.replace(kept, ids=Ids(kept.ids.users[::-1], kept.ids.items)), data)


def test_equal_models_give_equal_bytes(ease: rs.Model, path: Path, tmp_path: Path) -> None:
    assert rs.save(rs.load(path), tmp_path / "b.rs").read_bytes() == path.read_bytes()


def test_nothing_in_the_file_is_pickled(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names[0] == "model.json" and all(name.endswith(".npy") for name in names[1:])
        about = json.loads(archive.read("model.json"))
        assert (about["model"], about["format"], about["version"]) == ("ease", "recspectra-model", 1)
        for name in names[1:]:
            np.lib.format.read_array(archive.open(name), allow_pickle=False)


def test_a_pickled_array_is_not_read(path: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, archive.open("state/evil.npy", "w") as stream:
        np.lib.format.write_array(stream, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(rs.ArtifactError, match="truncated or damaged"):
        rs.load(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(rs.ArtifactError, match=r"ease\.rs: is no model that .*, or is truncated"):
        rs.load(path)


@pytest.mark.parametrize("place", range(5))
def test_a_damaged_file_is_named(path: Path, place: int) -> None:
    with zipfile.ZipFile(path) as archive:
        arrays = [info for info in archive.infolist() if info.file_size > 400]
    info = arrays[place % len(arrays)]
    content = bytearray(path.read_bytes())
    content[info.header_offset + 300] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(rs.ArtifactError, match="damaged"):
        rs.load(path)


def test_what_is_no_saved_model_is_named(path: Path, data: rs.Data, tmp_path: Path) -> None:
    with pytest.raises(rs.ArtifactError, match=r"nowhere\.rs: file not found"):
        rs.load(tmp_path / "nowhere.rs")
    data.train.save(tmp_path / "train.npz")
    with pytest.raises(rs.ArtifactError, match="is no model that RecSpectra saved"):
        rs.load(tmp_path / "train.npz")
    with pytest.raises(rs.ArtifactError, match="is no model that RecSpectra saved"):
        rs.load(changed(path, format="another"))
    with pytest.raises(rs.ArtifactError, match="no model"):
        rs.load(tmp_path)


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"version": 2}, r"is of format 2 \(RecSpectra 0.1.0\), this version reads format 1"),
    ({"version": None}, "is of format None"),
    ({"code": "0" * 12}, "EASE was saved by other code.*any_code=True"),
    ({"params": None}, "model.json lacks 'params'"),
    ({"params": {"regularisation": 3}}, "unknown parameter 'regularisation'"),
    ({"model": "nobody"}, "holds a model that is not here .unknown model 'nobody'"),
    ({"model": "../ease"}, "unknown model '../ease'"),
    ({"model": ["ease"]}, "'model' is no text"),
    ({"title": 5}, "'title' is no text"),
    ({"log": []}, "'log' is no mapping"),
    ({"log": None}, "lacks 'log'"),
    ({"seed": "0"}, "'seed' is no whole number"),
    ({"version": True}, "is of format True"),
]


@pytest.mark.parametrize(("about", "message"), CHANGES, ids=range(len(CHANGES)))
def test_another_version_code_or_model_is_named(path: Path, about: dict[str, Any], message: str) -> None:
    with pytest.raises(rs.ArtifactError, match=message):
        rs.load(changed(path, **about))


def test_a_model_of_other_code_can_be_loaded_if_one_says_so(ease: rs.Model, path: Path) -> None:
    other = changed(path, code="0" * 12)
    assert rs.load(other, any_code=True).recommend("u1", k=3).equals(ease.recommend("u1", k=3))


def test_the_state_of_another_model_does_not_fit(path: Path) -> None:
    with pytest.raises(rs.ArtifactError, match="its state does not fit"):
        rs.load(changed(path, model="sasrec", params={}), any_code=True)


def test_a_model_that_cannot_be_written_leaves_nothing(
    ease: rs.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.rs"
    target.write_text("before")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved.np.lib.format, "write_array", full)
    with pytest.raises(rs.ArtifactError, match=r"m\.rs: cannot be written \(No space left"):
        ease.save(target)
    assert target.read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["m.rs"]
    monkeypatch.undo()
    with pytest.raises(rs.ArtifactError, match="cannot be written"):
        ease.save(target / "below" / "m.rs")


def test_a_file_that_no_memory_holds_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "machine_memory", lambda: 1000)
    with pytest.raises(rs.ArtifactError, match="this machine has"):
        rs.load(path)


def with_array(path: Path, name: str, change: Callable[[np.ndarray], Any]) -> Path:
    """A copy of a model file with another array."""

    def change_content(content: bytes) -> bytes:
        np.save(stream := io.BytesIO(), change(np.load(io.BytesIO(content))))
        return stream.getvalue()

    return rewritten(path, f"{name}.npy", change_content)


ARRAYS: list[tuple[str, Callable[[np.ndarray], Any], str]] = [
    ("history/items", lambda a: a + 1000, "its histories are not those"),
    ("history/items", lambda a: a - 50, "its histories are not those"),
    ("history/items", lambda a: a.astype(float), "its rows .indptr. do not follow"),
    ("history/items", lambda a: a[:, None], "its rows .indptr. do not follow"),
    ("history/indptr", lambda a: a * 2, "its rows .indptr. do not follow"),
    ("history/indptr", lambda a: a[::-1], "its rows .indptr. do not follow"),
    ("history/indptr", lambda a: a[:0], "its rows .indptr. do not follow"),
    ("history/times", lambda a: a[:3], "its histories are not those"),
    ("ids/users", lambda a: a[:-1], "its histories are not those"),
    ("ids/users", lambda a: np.repeat(a[:1], len(a)), "no list of different ids"),
    ("ids/users", lambda a: np.arange(len(a)) / 2, "no list of different ids"),
    ("ids/items", lambda a: a[0], "no list of different ids"),
    ("ids/items", lambda a: np.append(a, "more"), "does not fit"),
    ("state/weights", lambda a: a[:5, :5], "does not fit"),
    ("state/weights", lambda a: a * np.nan, "NaN"),
    ("state/weights", lambda a: np.array("text"), "does not fit"),
    ("state/weights", lambda a: a.astype(complex), "does not fit"),
]


@pytest.mark.parametrize(("name", "change", "message"), ARRAYS, ids=range(len(ARRAYS)))
def test_arrays_that_do_not_belong_together_are_refused(
    path: Path, name: str, change: Callable[[np.ndarray], Any], message: str
) -> None:
    """Before it is asked: a history out of bounds hides other items than the user's, or crashes."""
    with pytest.raises(rs.ArtifactError, match=rf"other\.rs: .*{message}.*fit it again"):
        rs.load(with_array(path, name, change))


def test_no_file_takes_the_place_of_a_pipe_or_a_device(ease: rs.Model, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(rs.ArtifactError, match=f"{name}: is a pipe or a device, not a file"):
            ease.save(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "pipe"] and (tmp_path / "pipe").is_fifo()


def test_home_is_filled_in(ease: rs.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert ease.save("~/ease.rs") == tmp_path / "ease.rs"
    assert repr(rs.load("~/ease.rs")) == repr(ease)
