"""Models as files: the same scores after loading, and clear words for what is no such file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recspectra as rs
from recspectra import files
from recspectra.fitting import saved


@pytest.fixture
def path(ease: rs.Model, tmp_path: Path) -> Path:
    return ease.save(tmp_path / "ease.rs")


def changed(path: Path, **about: Any) -> Path:
    """A copy of a model file that says something else of itself."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    known = json.loads(parts[saved.ABOUT]) | about
    parts[saved.ABOUT] = json.dumps({k: v for k, v in known.items() if v is not None}).encode()
    other = path.with_name("other.rs")
    with zipfile.ZipFile(other, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return other


def test_a_loaded_model_recommends_the_same(ease: rs.Model, path: Path, data: rs.Data) -> None:
    again = rs.load(path)
    assert again.recommend(k=7).equals(ease.recommend(k=7))
    assert (again.params, again.log, repr(again)) == (ease.params, ease.log, repr(ease))
    assert rs.evaluate(again, data).equals(rs.evaluate(ease, data))
    found = again.recommend(history={"new": ["film 1", "film 2"]}, k=3)
    assert found.equals(ease.recommend(history={"new": ["film 1", "film 2"]}, k=3))


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
    ({"model": ["ease"]}, "holds a model that is not here"),
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
